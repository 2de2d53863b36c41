/* SPDX-License-Identifier: MIT */
/*
 * How a command is read.
 *
 *     begin ──'*'──► count ──► size ──► bytes ──► size ──► bytes … ──► whole
 *       └── other ─► line ──► split into words ─────────────────────► whole
 *
 * The state between two calls is how far the input is understood (position),
 * how far it was searched for the end of a line (scanned), and how many
 * arguments and bytes are still owed.  The input may move while a command is
 * incomplete, so until it is whole argv[i].data holds an offset into the
 * input; the last step turns all offsets into pointers.
 *
 * As in Redis, the two bytes behind an argument are skipped, not compared.
 * Other than in Redis, a NUL ends an inline command as a newline would, where
 * Redis does not see the newline behind it and waits for ever.
 */
#include "server/resp/parse.h"

#include "common/mem.h"

#include <assert.h>
#include <stdio.h>

/* Most commands have fewer arguments; 8 slices are 128 bytes a connection. */
#define ARGV_FIRST 8
/* What an idle connection may keep from a large command. */
#define ARGV_KEPT 256
#define WORDS_KEPT 1024

void resp_parser_init(struct resp_parser *p)
{
    *p = (struct resp_parser){.args_left = -1, .bulk_size = -1};
}

void resp_parser_destroy(struct resp_parser *p)
{
    free(p->argv);
    buf_destroy(&p->words);
    resp_parser_init(p);
}

static enum resp_status fail(struct resp_parser *p, const char *error)
{
    p->error = error;
    return RESP_ERROR;
}

/* The command is read to its end: the next call begins another one. */
static enum resp_status done(struct resp_parser *p)
{
    p->used_bytes = p->position;
    p->position = 0;
    p->scanned = 0;
    p->args_left = -1;
    return p->argc > 0 ? RESP_COMMAND : RESP_NOTHING;
}

static void begin(struct resp_parser *p)
{
    p->argc = 0;
    buf_clear(&p->words);
    if (p->argv_capacity > ARGV_KEPT) {
        free(p->argv);
        p->argv = NULL;
        p->argv_capacity = 0;
    }
    if (p->words.capacity > WORDS_KEPT) {
        buf_destroy(&p->words);
    }
}

/* The array grows with the arguments that came, not with those announced. */
static bool push(struct resp_parser *p, const char *data, size_t size)
{
    if (p->argc == p->argv_capacity) {
        size_t capacity = p->argc == 0 ? ARGV_FIRST : 2 * p->argc;
        struct slice *argv = try_realloc(p->argv, capacity * sizeof(*argv));
        if (argv == NULL) {
            return false;
        }
        p->argv = argv;
        p->argv_capacity = capacity;
    }
    p->argv[p->argc++] = slice_make(data, size);
    return true;
}

/* ---- multibulk ---- */

/* Takes the line at 'position', without its CRLF: RESP_COMMAND when it was
 * whole; 'too_long' is the error when it is longer than a line may be. */
static enum resp_status take_line(struct resp_parser *p,
                                  const struct resp_limits *limits,
                                  struct slice input, const char *too_long,
                                  struct slice *line)
{
    size_t from = p->scanned > p->position ? p->scanned : p->position;
    const char *start = input.data + p->position;
    const char *cr = memchr(input.data + from, '\r', input.size - from);
    if (cr == NULL) {
        p->scanned = input.size;
        return input.size - p->position > limits->max_inline_bytes
                   ? fail(p, too_long)
                   : RESP_INCOMPLETE;
    }
    if (cr + 1 == input.data + input.size) {
        p->scanned = input.size - 1;
        return RESP_INCOMPLETE;
    }
    *line = slice_make(start, (size_t)(cr - start));
    p->position += line->size + 2;
    return RESP_COMMAND;
}

static enum resp_status take_count(struct resp_parser *p,
                                   const struct resp_limits *limits,
                                   struct slice input)
{
    struct slice line;
    const enum resp_status status = take_line(
        p, limits, input, "Protocol error: too big mbulk count string", &line);
    if (status != RESP_COMMAND) {
        return status;
    }
    int64_t count;
    if (!slice_to_int64(slice_make(line.data + 1, line.size - 1), &count) ||
        (count > 0 && (uint64_t)count > limits->max_args)) {
        return fail(p, "Protocol error: invalid multibulk length");
    }
    if (limits->is_stranger && count > RESP_STRANGER_ARGS) {
        return fail(p, "Protocol error: unauthenticated multibulk length");
    }
    p->args_left = count > 0 ? (long)count : 0;
    return RESP_COMMAND;
}

static enum resp_status take_size(struct resp_parser *p,
                                  const struct resp_limits *limits,
                                  struct slice input)
{
    struct slice line;
    const enum resp_status status = take_line(
        p, limits, input, "Protocol error: too big bulk count string", &line);
    if (status != RESP_COMMAND) {
        return status;
    }
    char first = line.data[0]; /* Of an empty line this is its CR. */
    if (first != '$') {
        /* CR and LF are shown as by Redis; what else cannot be shown goes to
         * the log of whoever reads this, so it had better be harmless. */
        char shown = first == '\r' || first == '\n' ? ' ' : first;
        if (shown < ' ' || shown > '~') {
            shown = '?';
        }
        snprintf(p->error_text, sizeof(p->error_text),
                 "Protocol error: expected '$', got '%c'", shown);
        return fail(p, p->error_text);
    }
    int64_t size;
    if (!slice_to_int64(slice_make(line.data + 1, line.size - 1), &size) ||
        size < 0 || (uint64_t)size > limits->max_bulk_bytes) {
        return fail(p, "Protocol error: invalid bulk length");
    }
    if (limits->is_stranger && (uint64_t)size > RESP_STRANGER_BULK_BYTES) {
        return fail(p, "Protocol error: unauthenticated bulk length");
    }
    if (p->position > limits->max_command_bytes ||
        (uint64_t)size > limits->max_command_bytes - p->position) {
        return fail(p, "Protocol error: too big request");
    }
    p->bulk_size = (long)size;
    return RESP_COMMAND;
}

static enum resp_status parse_multibulk(struct resp_parser *p,
                                        const struct resp_limits *limits,
                                        struct slice input)
{
    enum resp_status status;
    if (p->args_left < 0) {
        status = take_count(p, limits, input);
        if (status != RESP_COMMAND) {
            return status;
        }
    }
    while (p->args_left > 0) {
        if (p->bulk_size < 0) {
            status = take_size(p, limits, input);
            if (status != RESP_COMMAND) {
                return status;
            }
        }
        size_t size = (size_t)p->bulk_size;
        if (input.size - p->position < size + 2) {
            return RESP_INCOMPLETE;
        }
        if (!push(p, (const char *)(uintptr_t)p->position, size)) {
            return fail(p, "Protocol error: out of memory");
        }
        p->position += size + 2;
        p->bulk_size = -1;
        p->args_left--;
    }
    for (size_t i = 0; i < p->argc; i++) {
        p->argv[i].data = input.data + (uintptr_t)p->argv[i].data;
    }
    return done(p);
}

/* ---- inline ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char unescape(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* A closing quote must end its word; returns what follows it, or NULL. */
static const char *close_quote(const char *quote, const char *end)
{
    return quote + 1 == end || is_space(quote[1]) ? quote + 1 : NULL;
}

/* Copies what stands between double quotes, 's' being behind the first, with
 * \n \r \t \b \a \xHH understood.  Returns what follows, or NULL. */
static const char *take_double_quoted(const char *s, const char *end,
                                      char **out)
{
    for (; s < end; s++) {
        if (*s == '"') {
            return close_quote(s, end);
        }
        if (*s == '\\' && end - s > 3 && s[1] == 'x' && hex_digit(s[2]) >= 0 &&
            hex_digit(s[3]) >= 0) {
            *(*out)++ = (char)(hex_digit(s[2]) << 4 | hex_digit(s[3]));
            s += 3;
        } else if (*s == '\\' && end - s > 1) {
            s++;
            *(*out)++ = unescape(*s);
        } else {
            *(*out)++ = *s;
        }
    }
    return NULL;
}

/* The same between single quotes, where only \' is understood. */
static const char *take_single_quoted(const char *s, const char *end,
                                      char **out)
{
    for (; s < end; s++) {
        if (*s == '\'') {
            return close_quote(s, end);
        }
        if (*s == '\\' && end - s > 1 && s[1] == '\'') {
            s++;
        }
        *(*out)++ = *s;
    }
    return NULL;
}

/* A quote may open in the middle of a word, and its end ends the word. */
static const char *take_word(const char *s, const char *end, char **out)
{
    while (s < end && *s != ' ' && *s != '\t' && *s != '\r' && *s != '\n') {
        if (*s == '"') {
            return take_double_quoted(s + 1, end, out);
        }
        if (*s == '\'') {
            return take_single_quoted(s + 1, end, out);
        }
        *(*out)++ = *s++;
    }
    return s;
}

static enum resp_status split(struct resp_parser *p, struct slice line)
{
    /* Unquoting never lengthens, so 'words' does not move from here on. */
    char *out = buf_try_reserve(&p->words, line.size + 1);
    if (out == NULL) {
        return fail(p, "Protocol error: out of memory");
    }
    const char *s = line.data;
    const char *nul = memchr(s, '\0', line.size);
    const char *end = nul != NULL ? nul : s + line.size;
    for (;;) {
        while (s < end && is_space(*s)) {
            s++;
        }
        if (s == end) {
            return done(p);
        }
        const char *word = out;
        s = take_word(s, end, &out);
        if (s == NULL) {
            return fail(p, "Protocol error: unbalanced quotes in request");
        }
        if (!push(p, word, (size_t)(out - word))) {
            return fail(p, "Protocol error: out of memory");
        }
    }
}

static enum resp_status parse_inline(struct resp_parser *p,
                                     const struct resp_limits *limits,
                                     struct slice input)
{
    const char *newline =
        memchr(input.data + p->scanned, '\n', input.size - p->scanned);
    if (newline == NULL) {
        p->scanned = input.size;
        if (input.size > limits->max_inline_bytes) {
            return fail(p, "Protocol error: too big inline request");
        }
        return RESP_INCOMPLETE;
    }
    size_t size = (size_t)(newline - input.data);
    p->position = size + 1;
    if (size > 0 && input.data[size - 1] == '\r') {
        size--;
    }
    return split(p, slice_make(input.data, size));
}

enum resp_status resp_parse(struct resp_parser *p,
                            const struct resp_limits *limits,
                            struct slice input)
{
    assert(input.size >= p->position && input.size >= p->scanned);
    if (p->position == 0 && p->scanned == 0) {
        begin(p);
    }
    if (input.size == 0) {
        return RESP_INCOMPLETE;
    }
    return input.data[0] == '*' ? parse_multibulk(p, limits, input)
                                : parse_inline(p, limits, input);
}
