/* SPDX-License-Identifier: MIT */
/*
 * ACL: the users, shown and changed.
 *
 * Source: the replies of Redis 7.0.
 */
#include "common/clock.h"
#include "common/mem.h"
#include "server/admin/digest.h"
#include "server/command/acl.h"
#include "server/command/args.h"
#include "server/command/handlers.h"

#include <sys/random.h>

static struct acl *acl_of(const struct request *r)
{
    return r->client->server->acl;
}

static enum command_status done_error(struct request *r, struct buf *why)
{
    reply_error(&r->reply, buf_string(why));
    buf_destroy(why);
    return COMMAND_DONE;
}

static enum command_status done_unknown(struct request *r)
{
    reply_errorf(&r->reply,
                 "ERR unknown subcommand or wrong number of arguments for "
                 "'%.*s'. Try ACL HELP.",
                 shown(r->argv[1]), r->argv[1].data);
    return COMMAND_DONE;
}

/* ---- who and what there is ---- */

enum command_status cmd_acl_whoami(struct request *r)
{
    reply_bulk(&r->reply, user_name(r->client->user));
    return COMMAND_DONE;
}

enum command_status cmd_acl_users(struct request *r)
{
    size_t n;
    struct user **all = acl_all(acl_of(r), &n);

    reply_array(&r->reply, n);
    for (size_t i = 0; i < n; i++) {
        reply_bulk(&r->reply, user_name(all[i]));
        user_unref(all[i]);
    }
    free(all);
    return COMMAND_DONE;
}

enum command_status cmd_acl_list(struct request *r)
{
    struct buf lines = {0};
    size_t n = 0;

    acl_print(acl_of(r), &lines);
    const struct slice all = buf_slice(&lines);
    for (size_t i = 0; i < all.size; i++) {
        n += all.data[i] == '\n'; /* Nothing in a line has one. */
    }
    reply_array(&r->reply, n);
    for (size_t begin = 0; begin < all.size;) {
        const char *end = memchr(all.data + begin, '\n', all.size - begin);
        const size_t size = (size_t)(end - all.data) - begin;
        reply_bulk(&r->reply, slice_make(all.data + begin, size));
        begin += size + 1;
    }
    buf_destroy(&lines);
    return COMMAND_DONE;
}

enum command_status cmd_acl_cat(struct request *r)
{
    size_t n = 0;

    if (r->argc > 3) {
        return done_unknown(r);
    }
    if (r->argc == 2) {
        reply_array(&r->reply, COMMAND_CATEGORIES);
        for (size_t i = 0; i < COMMAND_CATEGORIES; i++) {
            reply_bulk_string(&r->reply, command_category_names[i] + 1);
        }
        return COMMAND_DONE;
    }
    const unsigned category = command_category(r->argv[2]);
    if (category == 0) {
        reply_errorf(&r->reply, "ERR Unknown category '%.*s'",
                     shown(r->argv[2]), r->argv[2].data);
        return COMMAND_DONE;
    }
    for (size_t i = 0; i < n_commands; i++) {
        n += (commands[i].categories & category) != 0;
    }
    reply_array(&r->reply, n);
    for (size_t i = 0; i < n_commands; i++) {
        if ((commands[i].categories & category) != 0) {
            reply_bulk_string(&r->reply, commands[i].name);
        }
    }
    return COMMAND_DONE;
}

/* ---- one user ---- */

/* Three fields of a map. */
static void reply_selector(struct reply *reply, const struct selector *s)
{
    static const struct {
        const char *name;
        void (*print)(const struct selector *s, struct buf *out);
    } fields[] = {{"commands", selector_print_commands},
                  {"keys", selector_print_keys},
                  {"channels", selector_print_channels}};
    struct buf text = {0};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        buf_clear(&text);
        fields[i].print(s, &text);
        reply_bulk_string(reply, fields[i].name);
        reply_bulk(reply, buf_slice(&text));
    }
    buf_destroy(&text);
}

static void reply_flags(struct reply *reply, const struct user *user)
{
    const bool says_payloads = user->payloads != PAYLOADS_UNSAID;

    reply_bulk_string(reply, "flags");
    reply_set(reply, 1U + user->any_password + says_payloads);
    reply_bulk_string(reply, user->enabled ? "on" : "off");
    if (user->any_password) {
        reply_bulk_string(reply, "nopass");
    }
    if (says_payloads) {
        reply_bulk_string(reply, user->payloads == PAYLOADS_TRUSTED
                                     ? "skip-sanitize-payload"
                                     : "sanitize-payload");
    }
}

enum command_status cmd_acl_getuser(struct request *r)
{
    struct reply *reply = &r->reply;
    struct user *user = acl_find(acl_of(r), r->argv[2]);

    if (user == NULL) {
        reply_null(reply);
        return COMMAND_DONE;
    }
    reply_map(reply, 6);
    reply_flags(reply, user);
    const struct slice passwords = buf_slice(&user->passwords);
    reply_bulk_string(reply, "passwords");
    reply_array(reply, passwords.size / DIGEST_LEN);
    for (size_t at = 0; at < passwords.size; at += DIGEST_LEN) {
        reply_bulk(reply, slice_make(passwords.data + at, DIGEST_LEN));
    }
    reply_selector(reply, &user->selectors[0]);
    reply_bulk_string(reply, "selectors");
    reply_array(reply, user->n_selectors - 1);
    for (size_t i = 1; i < user->n_selectors; i++) {
        reply_map(reply, 3);
        reply_selector(reply, &user->selectors[i]);
    }
    user_unref(user);
    return COMMAND_DONE;
}

enum command_status cmd_acl_setuser(struct request *r)
{
    struct buf why = {0};

    if (!user_name_is_valid(r->argv[2])) {
        reply_error(&r->reply,
                    "ERR Usernames can't contain spaces or null characters");
        return COMMAND_DONE;
    }
    if (!acl_change(acl_of(r), r->argv[2], r->argv + 3, r->argc - 3, &why)) {
        return done_error(r, &why);
    }
    acl_recheck(r->client->server, r->argv[2]);
    return done_ok(r);
}

enum command_status cmd_acl_deluser(struct request *r)
{
    const struct slice own = user_name(r->client->user);
    int64_t n = 0;

    for (size_t i = 2; i < r->argc; i++) {
        if (slice_equal(r->argv[i], SLICE(USER_DEFAULT))) {
            reply_error(&r->reply, "ERR The 'default' user cannot be removed");
            return COMMAND_DONE;
        }
    }
    for (size_t i = 2; i < r->argc; i++) {
        const bool removed = acl_remove(acl_of(r), r->argv[i]);
        n += removed;
        if (removed) {
            acl_recheck(r->client->server, r->argv[i]);
        }
        if (removed && slice_equal(r->argv[i], own)) {
            r->client->close_after_reply = true;
        }
    }
    reply_integer(&r->reply, n);
    return COMMAND_DONE;
}

/* Replies why the user may not do what 'asked' asks for. */
static void reply_verdict(struct reply *reply, enum verdict verdict,
                          const struct request *asked, size_t place)
{
    if (verdict == VERDICT_NO_COMMAND) {
        reply_bulkf(reply,
                    "This user has no permissions to run the '%s' command",
                    asked->command->name);
    } else {
        const struct slice object = asked->argv[place];
        reply_bulkf(reply,
                    "This user has no permissions to access the '%.*s' %s",
                    shown(object), object.data,
                    verdict == VERDICT_NO_KEY ? "key" : "channel");
    }
}

enum command_status cmd_acl_dryrun(struct request *r)
{
    struct request asked = {.argv = r->argv + 3, .argc = r->argc - 3};
    struct user *user = acl_find(acl_of(r), r->argv[2]);
    size_t place = 0;

    if (user == NULL) {
        reply_errorf(&r->reply, "ERR User '%.*s' not found", shown(r->argv[2]),
                     r->argv[2].data);
        return COMMAND_DONE;
    }
    asked.command = command_of_words(asked.argv, asked.argc);
    if (asked.command == NULL) {
        reply_errorf(&r->reply, "ERR Command '%.*s' not found",
                     shown(r->argv[3]), r->argv[3].data);
    } else if (!command_arity_fits(asked.command, asked.argc)) {
        reply_errorf(&r->reply,
                     "ERR wrong number of arguments for '%s' command",
                     asked.command->name);
    } else {
        const enum verdict verdict = user_judge(user, &asked, &place);
        if (verdict == VERDICT_ALLOWED) {
            reply_ok(&r->reply);
        } else {
            reply_verdict(&r->reply, verdict, &asked, place);
        }
    }
    user_unref(user);
    return COMMAND_DONE;
}

/* ---- the file ---- */

static bool has_file(struct request *r)
{
    if (acl_has_file(acl_of(r))) {
        return true;
    }
    reply_error(&r->reply,
                "ERR This Redis instance is not configured to use an ACL file. "
                "You may want to specify users via the ACL SETUSER command and "
                "then issue a CONFIG REWRITE (assuming you have a Redis "
                "configuration file set) in order to store users in the Redis "
                "configuration.");
    return false;
}

enum command_status cmd_acl_load(struct request *r)
{
    struct buf why = {0};

    if (!has_file(r)) {
        return COMMAND_DONE;
    }
    if (!acl_load(acl_of(r), &why)) {
        return done_error(r, &why);
    }
    buf_destroy(&why);
    acl_recheck(r->client->server, (struct slice){0});
    return done_ok(r);
}

enum command_status cmd_acl_save(struct request *r)
{
    if (!has_file(r)) {
        return COMMAND_DONE;
    }
    if (!acl_save(acl_of(r))) {
        reply_error(&r->reply, "ERR There was an error trying to save the "
                               "ACLs. Please check the server logs for more "
                               "information");
        return COMMAND_DONE;
    }
    return done_ok(r);
}

/* ---- the rest ---- */

#define GENPASS_BITS 256
#define GENPASS_BITS_MAX 4096

enum command_status cmd_acl_genpass(struct request *r)
{
    unsigned char bytes[GENPASS_BITS_MAX / 8];
    char digits[2 * sizeof bytes];
    int64_t bits = GENPASS_BITS;

    if (r->argc > 3) {
        return done_unknown(r);
    }
    if (r->argc == 3 && !arg_integer(r, 2, &bits)) {
        return COMMAND_DONE;
    }
    if (bits <= 0 || bits > GENPASS_BITS_MAX) {
        reply_errorf(&r->reply,
                     "ERR ACL GENPASS argument must be the number of bits for "
                     "the output password, a positive number up to %d",
                     GENPASS_BITS_MAX);
        return COMMAND_DONE;
    }
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        reply_err(&r->reply, ERR_SYSTEM, NULL);
        return COMMAND_DONE;
    }
    for (size_t i = 0; i < sizeof digits; i++) {
        digits[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 * 4) & 15];
    }
    reply_bulk(&r->reply, slice_make(digits, ((size_t)bits + 3) / 4));
    return COMMAND_DONE;
}

/* Entries unless it says otherwise. */
#define LOG_ENTRIES 10

static void begin_log(void *arg, size_t n)
{
    reply_array(arg, n);
}

static void reply_entry(void *arg, const struct acl_log_entry *entry)
{
    static const char *const reasons[] = {[DENIED_COMMAND] = "command",
                                          [DENIED_KEY] = "key",
                                          [DENIED_CHANNEL] = "channel",
                                          [DENIED_AUTH] = "auth"};
    struct reply *reply = arg;
    const int64_t age_ms = clock_now_us() / 1000 - entry->at_ms;

    reply_map(reply, 7);
    reply_bulk_string(reply, "count");
    reply_integer(reply, (int64_t)entry->count);
    reply_bulk_string(reply, "reason");
    reply_bulk_string(reply, reasons[entry->reason]);
    reply_bulk_string(reply, "context");
    reply_bulk_string(reply, entry->in_multi ? "multi" : "toplevel");
    reply_bulk_string(reply, "object");
    reply_bulk(reply, entry->object);
    reply_bulk_string(reply, "username");
    reply_bulk(reply, entry->user);
    reply_bulk_string(reply, "age-seconds");
    reply_double(reply, (double)age_ms / 1000);
    reply_bulk_string(reply, "client-info");
    reply_bulk(reply, entry->client);
}

enum command_status cmd_acl_log(struct request *r)
{
    int64_t n = LOG_ENTRIES;

    if (r->argc > 3) {
        return done_unknown(r);
    }
    if (arg_is(r, 2, "RESET")) {
        acl_log_reset(acl_of(r)->log);
        return done_ok(r);
    }
    if (r->argc == 3 && !arg_integer(r, 2, &n)) {
        return COMMAND_DONE;
    }
    acl_log_tell(acl_of(r)->log, n > 0 ? (size_t)n : 0, begin_log, reply_entry,
                 &r->reply);
    return COMMAND_DONE;
}

enum command_status cmd_acl_help(struct request *r)
{
    command_reply_help(r, "acl");
    return COMMAND_DONE;
}
