/* SPDX-License-Identifier: MIT */
/*
 * COMMAND DOCS: the table for people; redis-cli shows its arguments behind the
 * cursor.
 */
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/syntax.h"

#include <ctype.h>

/* ---- arguments ---- */

static const char *type_of_value(struct slice name)
{
    static const struct {
        const char *name;
        const char *type;
    } types[] = {
        {"key", "key"},
        {"newkey", "key"},
        {"source", "key"},
        {"destination", "key"},
        {"pattern", "pattern"},
        {"unix-time-seconds", "unix-time"},
        {"unix-time-milliseconds", "unix-time"},
        {"seconds", "integer"},
        {"milliseconds", "integer"},
        {"count", "integer"},
        {"cursor", "integer"},
        {"start", "integer"},
        {"end", "integer"},
        {"offset", "integer"},
        {"index", "integer"},
        {"destination-db", "integer"},
        {"client-id", "integer"},
        {"protover", "integer"},
        {"decrement", "integer"},
        {"timeout", "integer"},
        {"port", "integer"},
    };

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (slice_equal(name, slice_from_string(types[i].name))) {
            return types[i].type;
        }
    }
    return "string";
}

static bool is_key(const struct syntax_node *node)
{
    return node->kind == SYNTAX_VALUE &&
           strcmp(type_of_value(node->name), "key") == 0;
}

/* A name for the argument: "seconds", "nx", "key_value". */
static void append_name(const struct syntax_node *node, struct buf *out)
{
    switch (node->kind) {
    case SYNTAX_VALUE:
        buf_append_slice(out, node->name);
        return;
    case SYNTAX_TOKEN:
        for (size_t i = 0; i < node->token.size; i++) {
            buf_append_char(out,
                            (char)tolower((unsigned char)node->token.data[i]));
        }
        return;
    case SYNTAX_BLOCK:
        for (const struct syntax_node *n = node->children; n != NULL;
             n = n->next) {
            append_name(n, out);
            buf_append_string(out, n->next != NULL ? "_" : "");
        }
        return;
    case SYNTAX_ONEOF:
        buf_append_string(out, "choice");
        return;
    }
}

static const char *type_name(const struct syntax_node *node)
{
    switch (node->kind) {
    case SYNTAX_VALUE:
        return type_of_value(node->name);
    case SYNTAX_TOKEN:
        return "pure-token";
    case SYNTAX_BLOCK:
        return "block";
    case SYNTAX_ONEOF:
        return "oneof";
    }
    return "string";
}

static void reply_flags(struct reply *reply, const struct syntax_node *node)
{
    reply_bulk_string(reply, "flags");
    reply_set(reply,
              (size_t)node->optional + node->multiple + node->token_repeated);
    if (node->optional) {
        reply_simple(reply, "optional");
    }
    if (node->multiple) {
        reply_simple(reply, "multiple");
    }
    if (node->token_repeated) {
        reply_simple(reply, "multiple_token");
    }
}

/* 'n_keys' counts the keys before it: which key specification is about it. */
static void reply_arguments(struct reply *reply,
                            const struct syntax_node *first, int *n_keys);

static void reply_argument(struct reply *reply, const struct syntax_node *node,
                           int *n_keys)
{
    const bool has_flags =
        node->optional || node->multiple || node->token_repeated;
    struct buf name = {0};

    append_name(node, &name);
    reply_map(reply, 2 + (size_t)(node->kind == SYNTAX_VALUE) + is_key(node) +
                         (node->token.size > 0) + has_flags +
                         (node->children != NULL));
    reply_bulk_string(reply, "name");
    reply_bulk(reply, buf_slice(&name));
    reply_bulk_string(reply, "type");
    reply_bulk_string(reply, type_name(node));
    if (node->kind == SYNTAX_VALUE) {
        reply_bulk_string(reply, "display_text");
        reply_bulk(reply, node->name);
    }
    if (is_key(node)) {
        reply_bulk_string(reply, "key_spec_index");
        reply_integer(reply, (*n_keys)++);
    }
    if (node->token.size > 0) {
        reply_bulk_string(reply, "token");
        reply_bulk(reply, node->token);
    }
    if (has_flags) {
        reply_flags(reply, node);
    }
    if (node->children != NULL) {
        reply_bulk_string(reply, "arguments");
        reply_arguments(reply, node->children, n_keys);
    }
    buf_destroy(&name);
}

static void reply_arguments(struct reply *reply,
                            const struct syntax_node *first, int *n_keys)
{
    size_t n = 0;

    for (const struct syntax_node *node = first; node != NULL;
         node = node->next) {
        n++;
    }
    reply_array(reply, n);
    for (; first != NULL; first = first->next) {
        reply_argument(reply, first, n_keys);
    }
}

/* ---- commands ---- */

static void reply_docs(struct reply *reply, const struct command *c)
{
    const size_t n = command_n_children(c);
    struct syntax syntax;
    int n_keys = 0;

    syntax_parse(&syntax, c->syntax);
    reply_bulk_string(reply, c->name);
    reply_map(reply, 3 + (size_t)(n > 0) + (syntax.first != NULL));
    reply_bulk_string(reply, "summary");
    reply_bulk_string(reply, c->summary);
    reply_bulk_string(reply, "since");
    reply_bulk_string(reply, c->since);
    reply_bulk_string(reply, "group");
    reply_bulk_string(reply, c->group);
    if (syntax.first != NULL) {
        reply_bulk_string(reply, "arguments");
        reply_arguments(reply, syntax.first, &n_keys);
    }
    if (n > 0) {
        reply_bulk_string(reply, "subcommands");
        reply_map(reply, n);
        for (size_t i = 1; i <= n; i++) {
            reply_docs(reply, c + i);
        }
    }
}

/* All commands that are no subcommands. */
static void reply_all_docs(struct reply *reply)
{
    size_t n = 0;

    for (size_t i = 0; i < n_commands;
         i += 1 + command_n_children(&commands[i])) {
        n++;
    }
    reply_map(reply, n);
    for (size_t i = 0; i < n_commands;
         i += 1 + command_n_children(&commands[i])) {
        reply_docs(reply, &commands[i]);
    }
}

enum command_status cmd_command_docs(struct request *r)
{
    size_t known = 0;

    if (r->argc == 2) {
        reply_all_docs(&r->reply);
        return COMMAND_DONE;
    }
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
