/* SPDX-License-Identifier: MIT */
/*
 * raw: any command; the reply with its types for people, plain for pipes, or
 * as JSON.
 *
 *     1) "title"              title              ["title",
 *     2) (integer) 3          3                   3]
 *     on a terminal           in a pipe           --json
 */
#include "client/client.h"
#include "client/print.h"
#include "common/mem.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- on a terminal ---- */

/* A string in quotes, with quotes and backslashes escaped too. */
static void append_quoted(struct buf *b, struct slice s)
{
    buf_append_char(b, '"');
    while (s.size > 0) {
        size_t plain = 0;
        while (plain < s.size && s.data[plain] != '"' &&
               s.data[plain] != '\\') {
            plain++;
        }
        print_safe(b, slice_make(s.data, plain));
        if (plain < s.size) {
            buf_append_char(b, '\\');
            buf_append_char(b, s.data[plain]);
            plain++;
        }
        s = slice_make(s.data + plain, s.size - plain);
    }
    buf_append_char(b, '"');
}

static void append_typed(struct buf *b, const struct reply *reply,
                         size_t indent);

/* "1) first", each further element on a line of its own, indented to stand
 * below the first. */
static void append_array(struct buf *b, const struct reply *reply,
                         size_t indent)
{
    const size_t n = reply_count(reply);
    char number[32];
    int width;

    if (n == 0) {
        buf_append_string(b, "(empty array)\n");
        return;
    }
    width = snprintf(number, sizeof(number), "%zu", n);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_printf(b, "%*s", (int)indent, "");
        }
        buf_printf(b, "%*zu) ", width, i + 1);
        append_typed(b, reply_at(reply, i), indent + (size_t)width + 2);
    }
}

static void append_typed(struct buf *b, const struct reply *reply,
                         size_t indent)
{
    switch (reply_kind(reply)) {
    case REPLY_NIL:
        buf_append_string(b, "(nil)\n");
        break;
    case REPLY_INTEGER:
        buf_printf(b, "(integer) %" PRId64 "\n", reply_integer(reply));
        break;
    case REPLY_STRING:
        append_quoted(b, reply_text(reply));
        buf_append_char(b, '\n');
        break;
    case REPLY_STATUS:
        print_safe(b, reply_text(reply));
        buf_append_char(b, '\n');
        break;
    case REPLY_ERROR:
        buf_append_string(b, "(error) ");
        print_safe(b, reply_text(reply));
        buf_append_char(b, '\n');
        break;
    case REPLY_ARRAY:
        append_array(b, reply, indent);
        break;
    }
}

/* INFO and the like are made to be read, not to be quoted. */
static bool is_prose(const struct reply *reply)
{
    const struct slice text = reply_text(reply);

    return reply_kind(reply) == REPLY_STRING && text.size > 0 &&
           text.data[text.size - 1] == '\n';
}

/* ---- in a pipe, and as JSON ---- */

static void append_plain(struct buf *b, const struct reply *reply)
{
    for (size_t i = 0; i < reply_count(reply); i++) {
        append_plain(b, reply_at(reply, i));
    }
    if (reply_kind(reply) == REPLY_ARRAY) {
        return;
    }
    if (reply_kind(reply) == REPLY_INTEGER) {
        buf_append_int64(b, reply_integer(reply));
    } else {
        buf_append_slice(b, reply_text(reply));
    }
    if (!is_prose(reply)) {
        buf_append_char(b, '\n');
    }
}

static void append_json(struct buf *b, const struct reply *reply)
{
    switch (reply_kind(reply)) {
    case REPLY_NIL:
        buf_append_string(b, "null");
        break;
    case REPLY_INTEGER:
        buf_append_int64(b, reply_integer(reply));
        break;
    case REPLY_STRING:
    case REPLY_STATUS:
        buf_append_json(b, reply_text(reply));
        break;
    case REPLY_ERROR:
        buf_append_string(b, "{\"error\":");
        buf_append_json(b, reply_text(reply));
        buf_append_char(b, '}');
        break;
    case REPLY_ARRAY:
        buf_append_char(b, '[');
        for (size_t i = 0; i < reply_count(reply); i++) {
            if (i > 0) {
                buf_append_char(b, ',');
            }
            append_json(b, reply_at(reply, i));
        }
        buf_append_char(b, ']');
        break;
    }
}

static void show(const struct reply *reply, bool json)
{
    const bool terminal = print_stdout()->is_terminal;
    struct buf text = {0};
    struct buf b = {0};

    if (json) {
        append_json(&text, reply);
        buf_append_char(&text, '\n');
    } else if (!terminal) {
        append_plain(&text, reply);
    } else if (is_prose(reply)) {
        buf_append_slice(&text, reply_text(reply));
    } else {
        append_typed(&b, reply, 0);
    }
    if (terminal) {
        print_safe_lines(&b, buf_slice(&text));
    } else {
        buf_append_slice(&b, buf_slice(&text));
    }
    print_write(stdout, &b);
    buf_destroy(&b);
    buf_destroy(&text);
}

/* A server told to stop says goodbye by closing the connection. */
static bool is_goodbye(const struct client *client, const struct reply *reply)
{
    return reply == NULL && session_was_closed(client->session) &&
           slice_equal_nocase(slice_from_string(client->args->words[0]),
                              SLICE("SHUTDOWN"));
}

enum status command_raw(struct client *client)
{
    const struct args *args = client->args;
    struct slice *words;
    struct reply *reply;
    enum status status = client_connect(client);

    if (status != STATUS_OK) {
        return status;
    }
    words = xcalloc(args->n_words, sizeof(*words));
    for (size_t i = 0; i < args->n_words; i++) {
        words[i] = slice_from_string(args->words[i]);
    }
    session_send(client->session, words, args->n_words);
    reply = session_receive(client->session);
    if (!is_goodbye(client, reply)) {
        status = session_check(client->session, reply);
        if (status == STATUS_OK) {
            show(reply, args->options.json);
        }
    }
    reply_free(reply);
    free(words);
    return status;
}
