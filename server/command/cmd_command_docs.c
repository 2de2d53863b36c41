/* SPDX-License-Identifier: MIT */
/*
 * COMMAND DOCS: what redis-cli shows behind the cursor.
 */
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
