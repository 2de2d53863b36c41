/* SPDX-License-Identifier: MIT */
/*
 * COMMAND COUNT GETKEYS GETKEYSANDFLAGS INFO LIST: the command table, for
 * clients.  COMMAND DOCS is in cmd_command_docs.c.
 */
#include "common/glob.h"
#include "server/command/args.h"
#include "server/command/handlers.h"

static bool is_top(const struct command *c)
{
    return strchr(c->name, '|') == NULL;
}

static size_t n_top(void)
{
    size_t n = 0;

    for (size_t i = 0; i < n_commands; i++) {
        n += is_top(&commands[i]);
    }
    return n;
}

/* The names of the bits in 'set'. */
static void reply_names(struct reply *reply, unsigned set,
                        const char *const *names)
{
    reply_set(reply, (size_t)__builtin_popcount(set));
    for (size_t i = 0; set >> i != 0; i++) {
        if ((set >> i & 1) != 0) {
            reply_simple(reply, names[i]);
        }
    }
}

/* ---- COMMAND INFO ---- */

/* In the order of the bits KEY_…. */
static const char *const key_flag_names[] = {
    "RO",     "RW",     "OW",
    "RM",     "access", "update",
    "insert", "delete", "variable_flags",
    "not_key"};

/* Keys from argument 'first' to 'last', which counts from 'first', or from the
 * end if it is negative. */
static void reply_key_spec(struct reply *reply, unsigned flags, int first,
                           int last, int step)
{
    reply_map(reply, 3);
    reply_bulk_string(reply, "flags");
    reply_names(reply, flags, key_flag_names);
    reply_bulk_string(reply, "begin_search");
    reply_map(reply, 2);
    reply_bulk_string(reply, "type");
    reply_bulk_string(reply, "index");
    reply_bulk_string(reply, "spec");
    reply_map(reply, 1);
    reply_bulk_string(reply, "index");
    reply_integer(reply, first);
    reply_bulk_string(reply, "find_keys");
    reply_map(reply, 2);
    reply_bulk_string(reply, "type");
    reply_bulk_string(reply, "range");
    reply_bulk_string(reply, "spec");
    reply_map(reply, 3);
    reply_bulk_string(reply, "lastkey");
    reply_integer(reply, last);
    reply_bulk_string(reply, "keystep");
    reply_integer(reply, step);
    reply_bulk_string(reply, "limit");
    reply_integer(reply, 0);
}

static void reply_key_specs(struct reply *reply, const struct command *c)
{
    const unsigned of_last = c->keys >> 16;

    if (c->first_key == 0) {
        reply_set(reply, 0);
        return;
    }
    if (of_last == 0) {
        reply_set(reply, 1);
        reply_key_spec(reply, c->keys, c->first_key,
                       c->last_key < 0 ? c->last_key
                                       : c->last_key - c->first_key,
                       c->key_step);
        return;
    }
    reply_set(reply, 2);
    reply_key_spec(reply, c->keys & 0xffff, c->first_key,
                   c->last_key - c->first_key - c->key_step, c->key_step);
    reply_key_spec(reply, of_last, c->last_key, 0, c->key_step);
}

/* Source: the reply of COMMAND INFO in Redis 7: ten fields. */
static void reply_info(struct reply *reply, const struct command *c)
{
    const size_t n = command_n_children(c);

    reply_array(reply, 10);
    reply_bulk_string(reply, c->name);
    reply_integer(reply, c->arity);
    reply_names(reply, c->flags, command_flag_names);
    reply_integer(reply, c->first_key);
    reply_integer(reply, c->last_key);
    reply_integer(reply, c->key_step);
    reply_names(reply, c->categories, command_category_names);
    reply_set(reply, 0); /* Tips, which are for clusters. */
    reply_key_specs(reply, c);
    reply_set(reply, n);
    for (size_t i = 1; i <= n; i++) {
        reply_info(reply, c + i);
    }
}

enum command_status cmd_command(struct request *r)
{
    reply_array(&r->reply, n_top());
    for (size_t i = 0; i < n_commands; i++) {
        if (is_top(&commands[i])) {
            reply_info(&r->reply, &commands[i]);
        }
    }
    return COMMAND_DONE;
}

enum command_status cmd_command_info(struct request *r)
{
    if (r->argc == 2) {
        return cmd_command(r);
    }
    reply_array(&r->reply, r->argc - 2);
    for (size_t i = 2; i < r->argc; i++) {
        const struct command *c = command_by_name(r->argv[i]);
        if (c == NULL) {
            reply_null(&r->reply);
        } else {
            reply_info(&r->reply, c);
        }
    }
    return COMMAND_DONE;
}

enum command_status cmd_command_count(struct request *r)
{
    reply_integer(&r->reply, (int64_t)n_top());
    return COMMAND_DONE;
}

/* ---- COMMAND LIST ---- */

/* What COMMAND LIST is asked for. */
struct filter {
    bool modules;         /* Of which there are none. */
    unsigned categories;  /* In one of these; or, */
    struct slice pattern; /* with a name like this. */
};

static bool passes(const struct filter *filter, const struct command *c)
{
    if (filter->modules) {
        return false;
    }
    return filter->pattern.data != NULL
               ? glob_match(filter->pattern, slice_from_string(c->name), true)
               : (c->categories & filter->categories) != 0;
}

enum command_status cmd_command_list(struct request *r)
{
    struct filter filter = {.categories = ~0U};
    const bool has_filter = r->argc == 5 && arg_is(r, 2, "FILTERBY");
    size_t n = 0;

    if (has_filter && arg_is(r, 3, "MODULE")) {
        filter.modules = true;
    } else if (has_filter && arg_is(r, 3, "ACLCAT")) {
        filter.categories = command_category(r->argv[4]);
    } else if (has_filter && arg_is(r, 3, "PATTERN")) {
        filter.pattern = r->argv[4];
    } else if (r->argc != 2) {
        return done_syntax_error(r);
    }
    /* Redis, too, lists subcommands only if there is a filter. */
    for (size_t i = 0; i < n_commands; i++) {
        n += (has_filter || is_top(&commands[i])) &&
             passes(&filter, &commands[i]);
    }
    reply_array(&r->reply, n);
    for (size_t i = 0; i < n_commands; i++) {
        if ((has_filter || is_top(&commands[i])) &&
            passes(&filter, &commands[i])) {
            reply_bulk_string(&r->reply, commands[i].name);
        }
    }
    return COMMAND_DONE;
}

/* ---- COMMAND GETKEYS ---- */

/* Makes 'inner' the request that stands from argument 2 on, with its keys;
 * false if there are none, which is replied. */
static bool find_keys(struct request *r, struct request *inner,
                      struct key_places *places)
{
    const char *error = NULL;

    inner->argv = r->argv + 2;
    inner->argc = r->argc - 2;
    inner->command = command_of_words(inner->argv, inner->argc);
    if (inner->command == NULL) {
        error = "ERR Invalid command specified";
    } else if (inner->command->first_key == 0 ||
               (inner->command->keys & KEY_NOT_KEY) != 0) {
        error = "ERR The command has no key arguments";
    } else if (!command_arity_fits(inner->command, inner->argc)) {
        error = "ERR Invalid number of arguments specified for command";
    } else {
        *places = command_keys(inner);
        return true;
    }
    reply_error(&r->reply, error);
    return false;
}

static size_t n_keys(const struct key_places *places)
{
    return (places->end - places->first + places->step - 1) / places->step;
}

enum command_status cmd_command_getkeys(struct request *r)
{
    struct request inner = {0};
    struct key_places places;

    if (find_keys(r, &inner, &places)) {
        reply_array(&r->reply, n_keys(&places));
        for (size_t i = places.first; i < places.end; i += places.step) {
            reply_bulk(&r->reply, inner.argv[i]);
        }
    }
    return COMMAND_DONE;
}

enum command_status cmd_command_getkeysandflags(struct request *r)
{
    struct request inner = {0};
    struct key_places places;

    if (find_keys(r, &inner, &places)) {
        reply_array(&r->reply, n_keys(&places));
        for (size_t i = places.first; i < places.end; i += places.step) {
            reply_array(&r->reply, 2);
            reply_bulk(&r->reply, inner.argv[i]);
            reply_names(&r->reply, command_key_flags(&inner, i),
                        key_flag_names);
        }
    }
    return COMMAND_DONE;
}

enum command_status cmd_command_help(struct request *r)
{
    command_reply_help(r, "command");
    return COMMAND_DONE;
}
