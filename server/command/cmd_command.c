/* SPDX-License-Identifier: MIT */
/*
 * COMMAND: the command table, for clients and for redis-cli's hints.
 */
#include "server/command/args.h"
#include "server/command/handlers.h"

static const struct {
    unsigned bit;
    const char *name;
} flag_names[] = {
    {CMD_WRITE, "write"},       {CMD_READONLY, "readonly"},
    {CMD_DENYOOM, "denyoom"},   {CMD_ADMIN, "admin"},
    {CMD_FAST, "fast"},         {CMD_NO_AUTH, "no_auth"},
    {CMD_NO_MULTI, "no_multi"}, {CMD_PUBSUB, "pubsub"},
};

static const struct {
    unsigned bit;
    const char *name;
} category_names[] = {
    {CAT_KEYSPACE, "@keyspace"}, {CAT_READ, "@read"},
    {CAT_WRITE, "@write"},       {CAT_STRING, "@string"},
    {CAT_HASH, "@hash"},         {CAT_CONNECTION, "@connection"},
    {CAT_ADMIN, "@admin"},       {CAT_DANGEROUS, "@dangerous"},
    {CAT_FAST, "@fast"},         {CAT_SLOW, "@slow"},
    {CAT_BOOK, "@book"},         {CAT_TRANSACTION, "@transaction"},
    {CAT_PUBSUB, "@pubsub"},
};

static size_t n_bits(unsigned set)
{
    return (size_t)__builtin_popcount(set);
}

static bool is_top(const struct command *c)
{
    return strchr(c->name, '|') == NULL;
}

/* Source: the reply of COMMAND INFO in Redis 7: ten fields. */
static void reply_info(struct reply *reply, const struct command *c)
{
    reply_array(reply, 10);
    reply_bulk_string(reply, c->name);
    reply_integer(reply, c->arity);
    reply_set(reply, n_bits(c->flags));
    for (size_t i = 0; i < ARRAY_LEN(flag_names); i++) {
        if ((c->flags & flag_names[i].bit) != 0) {
            reply_simple(reply, flag_names[i].name);
        }
    }
    reply_integer(reply, c->first_key);
    reply_integer(reply, c->last_key);
    reply_integer(reply, c->key_step);
    reply_set(reply, n_bits(c->categories));
    for (size_t i = 0; i < ARRAY_LEN(category_names); i++) {
        if ((c->categories & category_names[i].bit) != 0) {
            reply_simple(reply, category_names[i].name);
        }
    }
    reply_array(reply, 0); /* Tips. */
    reply_array(reply, 0); /* Key specifications: the three integers say all. */
    const size_t n = command_n_children(c);
    reply_array(reply, n);
    for (size_t i = 1; i <= n; i++) {
        reply_info(reply, c + i);
    }
}

static size_t n_top(void)
{
    size_t n = 0;

    for (size_t i = 0; i < n_commands; i++) {
        n += is_top(&commands[i]);
    }
    return n;
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

enum command_status cmd_command_count(struct request *r)
{
    reply_integer(&r->reply, (int64_t)n_top());
    return COMMAND_DONE;
}

enum command_status cmd_command_list(struct request *r)
{
    reply_array(&r->reply, n_top());
    for (size_t i = 0; i < n_commands; i++) {
        if (is_top(&commands[i])) {
            reply_bulk_string(&r->reply, commands[i].name);
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

/* The syntax, word by word: what redis-cli shows behind the cursor. */
static void reply_arguments(struct reply *reply, const char *syntax)
{
    const size_t size = strlen(syntax);
    size_t n = 0;

    /* Words outside brackets are arguments, a bracketed part is one. */
    for (int pass = 0; pass < 2; pass++) {
        size_t begin = 0;
        int depth = 0;
        if (pass == 1) {
            reply_array(reply, n);
        }
        for (size_t i = 0; i <= size; i++) {
            const char c = syntax[i];
            depth += c == '[' || c == '<' ? 1 : c == ']' || c == '>' ? -1 : 0;
            if ((c != ' ' && c != '\0') || depth > 0) {
                continue;
            }
            if (i > begin && pass == 0) {
                n++;
            } else if (i > begin) {
                const struct slice word = slice_make(syntax + begin, i - begin);
                reply_map(reply, 3);
                reply_bulk_string(reply, "name");
                reply_bulk(reply, word);
                reply_bulk_string(reply, "type");
                reply_bulk_string(reply, "string");
                reply_bulk_string(reply, "display_text");
                reply_bulk(reply, word);
            }
            begin = i + 1;
        }
    }
}

static void reply_docs(struct reply *reply, const struct command *c)
{
    const size_t n = command_n_children(c);
    const bool has_arguments = c->syntax[0] != '\0';

    reply_bulk_string(reply, c->name);
    reply_map(reply, 3 + (n > 0) + has_arguments);
    reply_bulk_string(reply, "summary");
    reply_bulk_string(reply, c->summary);
    reply_bulk_string(reply, "since");
    reply_bulk_string(reply, c->since);
    reply_bulk_string(reply, "group");
    reply_bulk_string(reply, c->group);
    if (has_arguments) {
        reply_bulk_string(reply, "arguments");
        reply_arguments(reply, c->syntax);
    }
    if (n > 0) {
        reply_bulk_string(reply, "subcommands");
        reply_map(reply, n);
        for (size_t i = 1; i <= n; i++) {
            reply_docs(reply, c + i);
        }
    }
}

enum command_status cmd_command_docs(struct request *r)
{
    if (r->argc == 2) {
        reply_map(&r->reply, n_top());
        for (size_t i = 0; i < n_commands; i++) {
            if (is_top(&commands[i])) {
                reply_docs(&r->reply, &commands[i]);
            }
        }
        return COMMAND_DONE;
    }
    size_t known = 0;
    for (size_t i = 2; i < r->argc; i++) {
        known += command_by_name(r->argv[i]) != NULL;
    }
    reply_map(&r->reply, known);
    for (size_t i = 2; i < r->argc; i++) {
        const struct command *c = command_by_name(r->argv[i]);
        if (c != NULL) {
            reply_docs(&r->reply, c);
        }
    }
    return COMMAND_DONE;
}

enum command_status cmd_command_help(struct request *r)
{
    command_reply_help(r, "command");
    return COMMAND_DONE;
}
