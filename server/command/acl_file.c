/* SPDX-License-Identifier: MIT */
#include "server/command/acl_file.h"

#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/admin/config_tables.h"
#include "server/admin/config_text.h"
#include "server/command/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- lines ---- */

/* The words of a line. */
struct words {
    struct slice *list;
    size_t n;
    size_t capacity;
};

static void add_word(struct words *words, struct slice word)
{
    if (words->n == words->capacity) {
        words->capacity = 2 * words->capacity + 16;
        words->list =
            xrealloc(words->list, words->capacity * sizeof words->list[0]);
    }
    words->list[words->n++] = word;
}

/* Takes the first line, without its end, off 'text'. */
static bool take_line(struct slice *text, struct slice *line)
{
    if (text->size == 0) {
        return false;
    }
    const char *end = memchr(text->data, '\n', text->size);
    const size_t size = end == NULL ? text->size : (size_t)(end - text->data);
    const size_t taken = size + (end != NULL);
    *line = slice_make(text->data, size);
    *text = slice_make(text->data + taken, text->size - taken);
    return true;
}

/* The words of 'line', which has white space between them. */
static void split(struct slice line, struct words *words)
{
    size_t begin = 0;

    words->n = 0;
    for (size_t i = 0; i <= line.size; i++) {
        if (i < line.size && memchr(" \t\r", line.data[i], 3) == NULL) {
            continue;
        }
        if (i > begin) {
            add_word(words, slice_make(line.data + begin, i - begin));
        }
        begin = i + 1;
    }
}

/* Makes a user of a name and rules, and puts him into 'users'.  Returns false
 * with what is wrong in '*failure'. */
static bool add_user(struct user_set *users, const struct words *words,
                     size_t name, bool all_channels,
                     struct rule_failure *failure)
{
    struct user *user = user_new(words->list[name], 0, all_channels);

    failure->error = RULE_NO_MEMORY;
    if (user == NULL) {
        return false;
    }
    if (user_change(user, words->list + name + 1, words->n - name - 1,
                    all_channels, failure) &&
        user_set_put(users, user)) {
        return true;
    }
    user_unref(user);
    return false;
}

/* ---- the file ---- */

static void file_path(const struct config *config, struct buf *path)
{
    config_string(config, CONFIG_aclfile, path);
}

bool acl_file_is_configured(const struct config *config)
{
    struct buf path = {0};

    file_path(config, &path);
    const bool configured = path.size > 0;
    buf_destroy(&path);
    return configured;
}

/* What went wrong with the rules of a line. */
static void explain(const struct rule_failure *failure, const char *path,
                    size_t number, struct buf *why)
{
    const struct slice rule = buf_slice(&failure->rule);

    buf_printf(why, "%s:%zu: ", path, number);
    switch (failure->error) {
    case RULE_OK:
        buf_append_string(why, "Unmatched parenthesis in selector definition.");
        break;
    case RULE_UNKNOWN:
        buf_printf(why, "Error in applying operation '%.*s': %s. ", shown(rule),
                   rule.data, rule_error_text(failure->error));
        break;
    default: /* The rule may be a password. */
        buf_printf(why, "%s. ", rule_error_text(failure->error));
    }
}

static void read_line(struct user_set *users, const struct words *words,
                      bool all_channels, const char *path, size_t number,
                      struct buf *why)
{
    struct rule_failure failure = {0};

    if (words->n < 2 || !slice_equal(words->list[0], SLICE("user"))) {
        buf_printf(why,
                   "%s:%zu should start with user keyword followed by the "
                   "username. ",
                   path, number);
        return;
    }
    const struct slice name = words->list[1];
    if (!user_name_is_valid(name)) {
        buf_printf(why,
                   "'%s:%zu: username '%.*s' contains invalid characters. ",
                   path, number, shown(name), name.data);
    } else if (user_set_find(users, name) != NULL) {
        buf_printf(why, "WARNING: Duplicate user '%.*s' found on line %zu. ",
                   shown(name), name.data, number);
    } else if (!add_user(users, words, 1, all_channels, &failure)) {
        explain(&failure, path, number, why);
    }
    buf_destroy(&failure.rule);
}

static void read_lines(struct user_set *users, struct slice text,
                       bool all_channels, const char *path, struct buf *why)
{
    struct words words = {0};
    struct slice line;

    for (size_t number = 1; take_line(&text, &line); number++) {
        split(line, &words);
        if (words.n > 0) {
            read_line(users, &words, all_channels, path, number, why);
        }
    }
    free(words.list);
}

#define READ_BYTES ((size_t)64 << 10)

/* False: errno says why. */
static bool read_all(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "re");
    size_t n;

    if (file == NULL) {
        return false;
    }
    while ((n = fread(buf_reserve(text, READ_BYTES), 1, READ_BYTES, file)) >
           0) {
        buf_commit(text, n);
    }
    const bool whole = !ferror(file);
    fclose(file);
    return whole;
}

bool acl_file_read(const struct config *config, bool all_channels,
                   struct user_set *users, struct buf *why)
{
    struct buf path = {0};
    struct buf text = {0};
    bool good = false;

    file_path(config, &path);
    const size_t size = why->size;
    buf_append_string(why, "ERR ");
    if (!read_all(buf_string(&path), &text)) {
        buf_printf(why, "Error loading ACLs, opening file '%s': %s",
                   buf_string(&path), strerror(errno));
    } else {
        const size_t prefix = why->size;
        read_lines(users, buf_slice(&text), all_channels, buf_string(&path),
                   why);
        good = why->size == prefix;
        buf_append_string(why, "WARNING: ACL errors detected, no change to the "
                               "previously active ACL rules was performed");
    }
    buf_destroy(&text);
    buf_destroy(&path);
    if (good && user_set_find(users, SLICE(USER_DEFAULT)) == NULL) {
        good = user_set_put(users, user_new_default(0));
    }
    if (good) {
        buf_truncate(why, size);
    }
    return good;
}

bool acl_file_write(const struct config *config, struct slice text)
{
    struct buf path = {0};
    struct buf wrong = {0};

    file_path(config, &path);
    /* A link stays one: what it stands for is replaced. */
    char *real = realpath(buf_string(&path), NULL);
    const bool good = file_replace(real != NULL ? real : buf_string(&path),
                                   text, 0600, &wrong) == ERR_OK;
    if (!good) {
        log_error("acl: cannot write aclfile path=%s err=\"%s\"",
                  buf_string(&path), buf_string(&wrong));
    }
    free(real);
    buf_destroy(&wrong);
    buf_destroy(&path);
    return good;
}

/* ---- the directive ---- */

/* The words of an entry; those that were in quotes are put into 'room', which
 * must not move: it has space for all of the entry. */
static void split_entry(struct slice entry, struct words *words,
                        struct buf *room)
{
    struct buf line = {0};
    const char *at;

    buf_append_slice(&line, entry);
    words->n = 0;
    buf_clear(room);
    (void)buf_reserve(room, entry.size);
    for (at = buf_string(&line); *at != '\0'; at += *at == ' ') {
        const size_t start = room->size;
        if (*at == '"') {
            at++;
            (void)config_text_unquote(&at, room); /* Quoted by us. */
        } else {
            const size_t size = strcspn(at, " ");
            buf_append(room, at, size);
            at += size;
        }
        add_word(words,
                 slice_make(buf_slice(room).data + start, room->size - start));
    }
    buf_destroy(&line);
}

void acl_config_print(struct buf *lines)
{
    struct buf out = {0};
    struct words words = {0};
    struct slice line;
    struct slice rest = buf_slice(lines);

    while (take_line(&rest, &line)) {
        buf_append_string(&out, out.size > 0 ? "\n" : "");
        split(line, &words);
        for (size_t i = 1; i < words.n; i++) {
            buf_append_string(&out, i > 1 ? " " : "");
            config_tables_quote(words.list[i], &out);
        }
    }
    free(words.list);
    buf_destroy(lines);
    *lines = out;
}

static void complain(const struct rule_failure *failure, struct slice name,
                     struct buf *detail)
{
    buf_printf(detail, "user %.*s: ", shown(name), name.data);
    if (failure->error == RULE_OK) {
        buf_append_string(detail, "a parenthesis is not closed\n");
    } else if (failure->error == RULE_UNKNOWN) {
        buf_printf(detail, "'%s': %s\n",
                   buf_string((struct buf *)(uintptr_t)&failure->rule),
                   rule_error_text(failure->error));
    } else {
        buf_printf(detail, "%s\n", rule_error_text(failure->error));
    }
}

static void read_entry(struct user_set *users, const struct words *words,
                       bool all_channels, struct buf *detail)
{
    const struct slice name = words->list[0];
    struct rule_failure failure = {0};

    if (!user_name_is_valid(name)) {
        buf_append_string(detail, "user: a name has no spaces\n");
    } else if (user_set_find(users, name) != NULL) {
        buf_printf(detail,
                   "user %.*s: Duplicate user found. A user can only be "
                   "defined once in config files\n",
                   shown(name), name.data);
    } else if (!add_user(users, words, 0, all_channels, &failure)) {
        complain(&failure, name, detail);
    } else if (!user_set_find(users, name)->enabled) {
        log_notice("acl: a user of the configuration is off, as there is no "
                   "rule 'on' user=%.*s",
                   shown(name), name.data);
    }
    buf_destroy(&failure.rule);
}

enum err acl_config_read(const struct config *config, bool all_channels,
                         struct user_set *users, struct buf *detail)
{
    struct buf text = {0};
    struct buf room = {0};
    struct words words = {0};
    struct slice entry;
    const size_t size = detail->size;

    config_string(config, CONFIG_user, &text);
    if (text.size > 0 && acl_file_is_configured(config)) {
        buf_append_string(
            detail, "Configuring bookd with users defined in its configuration "
                    "and at the same setting an ACL file path is invalid. This "
                    "setup is very likely to lead to configuration errors and "
                    "security holes, please define either an ACL file or "
                    "declare users directly in the configuration, but not "
                    "both.\n");
    }
    struct slice rest = buf_slice(&text);
    while (take_line(&rest, &entry)) {
        split_entry(entry, &words, &room);
        read_entry(users, &words, all_channels, detail);
    }
    free(words.list);
    buf_destroy(&room);
    buf_destroy(&text);
    return detail->size == size ? ERR_OK : ERR_INVALID;
}
