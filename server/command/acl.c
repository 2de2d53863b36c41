/* SPDX-License-Identifier: MIT */
#include "server/command/acl.h"

#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"
#include "server/command/acl_file.h"
#include "server/command/args.h"
#include "server/command/clients.h"
#include "server/command/transaction.h"
#include "server/command/user_set.h"

#include <assert.h>

struct acl_rest {
    const struct config *config;            /* Borrowed. */
    struct mutex lock;                      /* Rank LOCK_ACL. */
    struct user_set users GUARDED_BY(lock); /* With the default user always. */
    bool changed GUARDED_BY(lock);          /* By clients. */
    uint64_t last_id GUARDED_BY(lock);
};

/* ---- life ---- */

/* Users have changed. */
static void announce(struct acl *acl) REQUIRES(acl->rest->lock)
{
    const struct user *user =
        user_set_find(&acl->rest->users, SLICE(USER_DEFAULT));

    assert(user != NULL);
    atomic_store_explicit(&acl->default_needs_password, !user->any_password,
                          memory_order_relaxed);
    atomic_store_explicit(&acl->default_is_off, !user->enabled,
                          memory_order_relaxed);
    atomic_fetch_add_explicit(&acl->generation, 1, memory_order_release);
}

struct acl *acl_new(const struct config *config)
{
    struct acl *acl = xcalloc(1, sizeof *acl);

    acl->rest = xcalloc(1, sizeof *acl->rest);
    acl->rest->config = config;
    acl->log = acl_log_new();
    mutex_init(&acl->rest->lock, LOCK_ACL, "acl");
    mutex_lock(&acl->rest->lock);
    if (user_set_put(&acl->rest->users,
                     user_new_default(++acl->rest->last_id))) {
        announce(acl);
    }
    mutex_unlock(&acl->rest->lock);
    return acl;
}

void acl_free(struct acl *acl)
{
    if (acl == NULL) {
        return;
    }
    mutex_lock(&acl->rest->lock);
    user_set_destroy(&acl->rest->users);
    mutex_unlock(&acl->rest->lock);
    mutex_destroy(&acl->rest->lock);
    acl_log_free(acl->log);
    free(acl->rest);
    free(acl);
}

/* ---- the users ---- */

/* What acl-pubsub-default says. */
static bool all_channels(const struct config *config)
{
    return config_number(config, CONFIG_acl_pubsub_default) ==
           ACL_PUBSUB_ALLCHANNELS;
}

/* A draft that may take the place of the user of this name.  NULL: out of
 * memory. */
static struct user *draft_of(struct acl_rest *rest, struct slice name)
    REQUIRES(rest->lock)
{
    const struct user *user = user_set_find(&rest->users, name);

    return user != NULL
               ? user_copy(user)
               : user_new(name, ++rest->last_id, all_channels(rest->config));
}

/* Puts the draft in its place.  False: out of memory, and it is gone. */
static bool publish(struct acl *acl, struct user *draft)
    REQUIRES(acl->rest->lock)
{
    if (!user_set_put(&acl->rest->users, draft)) {
        user_unref(draft);
        return false;
    }
    announce(acl);
    return true;
}

void acl_set_default_password(struct acl *acl, struct slice password)
{
    mutex_lock(&acl->rest->lock);
    struct user *draft = draft_of(acl->rest, SLICE(USER_DEFAULT));
    if (draft == NULL || !user_set_password(draft, password) ||
        !publish(acl, draft)) {
        /* To go on without the password would be worse. */
        log_fatal("acl: no memory for requirepass");
    }
    mutex_unlock(&acl->rest->lock);
}

static void explain(const struct rule_failure *failure, struct buf *why)
{
    const struct slice rule = buf_slice(&failure->rule);

    if (failure->error == RULE_OK) {
        buf_printf(why,
                   "ERR Unmatched parenthesis in acl selector starting at "
                   "'%.*s'.",
                   shown(rule), rule.data);
    } else {
        buf_printf(why, "ERR Error in ACL SETUSER modifier '%.*s': %s",
                   shown(rule), rule.data, rule_error_text(failure->error));
    }
}

bool acl_change(struct acl *acl, struct slice name, const struct slice *rules,
                size_t n, struct buf *why)
{
    struct rule_failure failure = {.error = RULE_NO_MEMORY};

    mutex_lock(&acl->rest->lock);
    struct user *draft = draft_of(acl->rest, name);
    bool good =
        draft != NULL &&
        user_change(draft, rules, n, all_channels(acl->rest->config), &failure);
    if (good) {
        good = publish(acl, draft);
        acl->rest->changed = true;
    } else {
        user_unref(draft);
    }
    mutex_unlock(&acl->rest->lock);
    if (!good) {
        explain(&failure, why);
    }
    buf_destroy(&failure.rule);
    return good;
}

bool acl_remove(struct acl *acl, struct slice name)
{
    assert(!slice_equal(name, SLICE(USER_DEFAULT)));
    mutex_lock(&acl->rest->lock);
    const bool found = user_set_remove(&acl->rest->users, name);
    if (found) {
        acl->rest->changed = true;
        announce(acl);
    }
    mutex_unlock(&acl->rest->lock);
    return found;
}

struct user *acl_find(struct acl *acl, struct slice name)
{
    mutex_lock(&acl->rest->lock);
    struct user *user = user_set_find(&acl->rest->users, name);
    if (user != NULL) {
        user = user_ref(user);
    }
    mutex_unlock(&acl->rest->lock);
    return user;
}

struct user **acl_all(struct acl *acl, size_t *n)
{
    mutex_lock(&acl->rest->lock);
    const struct user_set *users = &acl->rest->users;
    struct user **all = xmalloc(users->n * sizeof(struct user *));
    *n = users->n;
    for (size_t i = 0; i < users->n; i++) {
        all[i] = user_ref(users->list[i]);
    }
    mutex_unlock(&acl->rest->lock);
    return all;
}

void acl_print(struct acl *acl, struct buf *out)
{
    size_t n;
    struct user **all = acl_all(acl, &n);

    for (size_t i = 0; i < n; i++) {
        buf_append_string(out, "user ");
        buf_append_slice(out, user_name(all[i]));
        buf_append_char(out, ' ');
        user_print(all[i], out);
        buf_append_char(out, '\n');
        user_unref(all[i]);
    }
    free(all);
}

/* ---- files ---- */

void acl_tell_config(struct acl *acl, struct config *config)
{
    struct buf entries = {0};
    struct buf detail = {0};

    mutex_lock(&acl->rest->lock);
    const bool changed = acl->rest->changed;
    mutex_unlock(&acl->rest->lock);
    if (!changed || acl_has_file(acl)) {
        return;
    }
    acl_print(acl, &entries);
    acl_config_print(&entries);
    if (config_set(config, CONFIG_user, buf_slice(&entries), &detail) !=
        ERR_OK) {
        log_warn("acl: users are not told the configuration: %s",
                 buf_string(&detail));
    }
    buf_destroy(&detail);
    buf_destroy(&entries);
}

/* Takes 'fresh' for all users.  Who has the name of one that there was is that
 * one, changed; the default user is always there. */
static void replace_all(struct acl *acl, struct user_set *fresh)
    REQUIRES(acl->rest->lock)
{
    struct acl_rest *rest = acl->rest;

    for (size_t i = 0; i < fresh->n; i++) {
        const struct user *old =
            user_set_find(&rest->users, user_name(fresh->list[i]));
        fresh->list[i]->id = old != NULL ? old->id : ++rest->last_id;
    }
    user_set_destroy(&rest->users);
    rest->users = *fresh;
    *fresh = (struct user_set){0};
    announce(acl);
}

bool acl_has_file(const struct acl *acl)
{
    return acl_file_is_configured(acl->rest->config);
}

bool acl_load(struct acl *acl, struct buf *why)
{
    struct user_set fresh = {0};
    const bool good = acl_file_read(
        acl->rest->config, all_channels(acl->rest->config), &fresh, why);

    if (good) {
        mutex_lock(&acl->rest->lock);
        replace_all(acl, &fresh);
        mutex_unlock(&acl->rest->lock);
    }
    user_set_destroy(&fresh);
    return good;
}

bool acl_save(struct acl *acl)
{
    struct buf text = {0};

    acl_print(acl, &text);
    const bool good = acl_file_write(acl->rest->config, buf_slice(&text));
    buf_destroy(&text);
    return good;
}

enum err acl_check_config(const struct config *config, struct buf *detail)
{
    struct user_set users = {0};
    const enum err err =
        acl_config_read(config, all_channels(config), &users, detail);

    user_set_destroy(&users);
    return err;
}

enum err acl_load_configured(struct acl *acl, struct buf *detail)
{
    const struct config *config = acl->rest->config;
    struct user_set fresh = {0};
    struct buf password = {0};

    config_string(config, CONFIG_requirepass, &password);
    if (password.size > 0) {
        acl_set_default_password(acl, buf_slice(&password));
    }
    buf_destroy(&password);
    enum err err =
        acl_config_read(config, all_channels(config), &fresh, detail);
    mutex_lock(&acl->rest->lock);
    for (size_t i = 0; err == ERR_OK && i < fresh.n; i++) {
        struct user *user = user_ref(fresh.list[i]);
        user->id = ++acl->rest->last_id;
        if (!publish(acl, user)) {
            buf_append_string(detail, "no memory for the users\n");
            err = ERR_NOMEM;
        }
    }
    mutex_unlock(&acl->rest->lock);
    user_set_destroy(&fresh);
    if (detail->size > 0) {
        buf_truncate(detail, detail->size - 1); /* The end of a line. */
    }
    if (err == ERR_OK && acl_has_file(acl) && !acl_load(acl, detail)) {
        err = ERR_INVALID;
    }
    return err;
}

/* ---- clients ---- */

/* Makes 'user', whose reference it takes, that of the client. */
static void become(struct client *client, struct user *user)
{
    clients_set_user(client->server->clients, client, user);
    client->trusted_in = 0;
    client->looked_in = 0;
}

void acl_welcome(struct client *client)
{
    struct acl *acl = client->server->acl;
    struct user *user = acl_find(acl, SLICE(USER_DEFAULT));

    client->authenticated = user->any_password && user->enabled;
    become(client, user);
}

static void count(enum denial reason)
{
    switch (reason) {
    case DENIED_COMMAND:
        stats_count(STATS_acl_access_denied_cmd);
        break;
    case DENIED_KEY:
        stats_count(STATS_acl_access_denied_key);
        break;
    case DENIED_CHANNEL:
        stats_count(STATS_acl_access_denied_channel);
        break;
    case DENIED_AUTH:
        stats_count(STATS_acl_access_denied_auth);
        break;
    }
}

static void note(const struct request *request, enum denial reason,
                 struct slice object, struct slice user)
{
    struct client *client = request->client;
    const struct server *server = client->server;
    struct buf description = {0};

    count(reason);
    clients_describe(server->clients, client, &description);
    if (description.size > 0) {
        buf_truncate(&description, description.size - 1); /* Its newline. */
    }
    const struct acl_log_entry entry = {
        .reason = reason,
        .in_multi = request->execution != NULL || transaction_is_open(client),
        .object = object,
        .user = user,
        .client = buf_slice(&description),
        .at_ms = clock_now_us() / 1000};
    acl_log_add(server->acl->log, &entry,
                (size_t)config_number(server->config, CONFIG_acllog_max_len));
    buf_destroy(&description);
}

bool acl_login(struct request *request, struct slice name,
               struct slice password)
{
    struct client *client = request->client;
    struct user *user = acl_find(client->server->acl, name);

    if (user == NULL || !user_admits(user, password)) {
        user_unref(user);
        note(request, DENIED_AUTH, request->argv[0], name);
        return false;
    }
    client->authenticated = true;
    become(client, user);
    return true;
}

/* Looks at the client's user anew if there may be something new.  False: he is
 * gone. */
static bool look_again(struct client *client)
{
    struct acl *acl = client->server->acl;
    const uint64_t generation =
        atomic_load_explicit(&acl->generation, memory_order_acquire);

    if (client->looked_in == generation) {
        return true;
    }
    struct user *user = acl_find(acl, user_name(client->user));
    if (user == NULL || user->id != client->user->id) {
        user_unref(user);
        return false;
    }
    become(client, user);
    client->looked_in = generation;
    if (user->unrestricted && !acl_awaits_login(client)) {
        client->trusted_in = generation;
    }
    return true;
}

static void refuse(struct request *request, enum verdict verdict, size_t place,
                   struct buf *why)
{
    static const struct {
        enum denial reason;
        const char *now;  /* Why the command may not run; */
        const char *then; /* or no longer, as it was queued. */
    } texts[] = {
        [VERDICT_NO_COMMAND] = {DENIED_COMMAND, "",
                                "no permission to execute the command or "
                                "subcommand"},
        [VERDICT_NO_KEY] = {DENIED_KEY,
                            "access one of the keys used as arguments",
                            "no permission to touch the specified keys"},
        [VERDICT_NO_CHANNEL] = {DENIED_CHANNEL,
                                "access one of the channels used as arguments",
                                "no permission to access one of the channels "
                                "used as arguments"},
    };
    const char *command = request->command->name;

    note(request, texts[verdict].reason,
         verdict == VERDICT_NO_COMMAND ? slice_from_string(command)
                                       : request->argv[place],
         user_name(request->client->user));
    if (request->execution != NULL) {
        buf_printf(why,
                   "NOPERM ACLs rules changed between the moment the "
                   "transaction was accumulated and the EXEC call. This "
                   "command is no longer allowed for the following reason: %s",
                   texts[verdict].then);
    } else if (verdict == VERDICT_NO_COMMAND) {
        buf_printf(why,
                   "NOPERM this user has no permissions to run the '%s' "
                   "command",
                   command);
    } else {
        buf_printf(why, "NOPERM this user has no permissions to %s",
                   texts[verdict].now);
    }
}

enum acl_answer acl_admit(struct request *request, struct buf *why)
{
    struct client *client = request->client;
    size_t place = 0;

    if (!look_again(client)) {
        return ACL_GONE;
    }
    if (acl_awaits_login(client) &&
        (request->command->flags & CMD_NO_AUTH) == 0) {
        buf_append_string(why, "NOAUTH Authentication required.");
        return ACL_REFUSED;
    }
    if (client->user->unrestricted) {
        return ACL_ADMITTED;
    }
    const enum verdict verdict = user_judge(client->user, request, &place);
    if (verdict == VERDICT_ALLOWED) {
        return ACL_ADMITTED;
    }
    refuse(request, verdict, place, why);
    return ACL_REFUSED;
}

/* ---- those who have to go ---- */

/* May the client's user hear all that it has subscribed to? */
static bool may_hear_all(const struct client *client)
{
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        const struct subscription *s =
            pubsub_first(client, (enum pubsub_kind)kind);
        for (; s != NULL; s = pubsub_next(s)) {
            if (!user_may_hear(client->user, pubsub_name(s),
                               kind == PUBSUB_PATTERN)) {
                return false;
            }
        }
    }
    return true;
}

static void recheck(struct client *client, void *arg)
{
    (void)arg;
    if (client != NULL && (!look_again(client) || !may_hear_all(client))) {
        client->on_kill(client);
    }
}

void acl_recheck(struct server *server, struct slice name)
{
    const struct client_filter filter = {.user = name};
    size_t n;
    uint64_t *ids = clients_select(server->clients, &filter, &n);

    for (size_t i = 0; i < n; i++) {
        /* Who is not there any more needs no look. */
        (void)!clients_send(server->clients, ids[i], recheck, NULL);
    }
    free(ids);
}
