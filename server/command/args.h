/* SPDX-License-Identifier: MIT */
/*
 * Small helpers for the arguments of commands.
 *
 * Thread-safety: pure functions.
 */
#ifndef SERVER_COMMAND_ARGS_H
#define SERVER_COMMAND_ARGS_H

#include "server/command/command.h"

#include <limits.h>

/* True if argument 'i' is 'word', in any case. */
static inline bool arg_is(const struct request *request, size_t i,
                          const char *word)
{
    return i < request->argc &&
           slice_equal_nocase(request->argv[i], slice_from_string(word));
}

/* Reads argument 'i' as an integer; replies with Redis' error if it is none. */
static inline bool arg_integer(struct request *request, size_t i,
                               int64_t *value)
{
    if (slice_to_int64(request->argv[i], value)) {
        return true;
    }
    reply_error(&request->reply, "ERR value is not an integer or out of range");
    return false;
}

/* Reads argument 'i' as a cursor, as strtoul() and so Redis does: digits,
 * perhaps behind a sign, or nothing; replies with its error if it is none. */
static inline bool arg_cursor(struct request *request, size_t i,
                              uint64_t *cursor)
{
    const struct slice s = request->argv[i];
    const bool has_sign = s.size > 1 && (s.data[0] == '-' || s.data[0] == '+');
    uint64_t value = 0;
    bool good = true;

    for (size_t k = has_sign; good && k < s.size; k++) {
        const unsigned digit = (unsigned)(unsigned char)s.data[k] - '0';
        good = digit <= 9 && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, digit, &value);
    }
    if (good) {
        *cursor = has_sign && s.data[0] == '-' ? -value : value;
    } else {
        reply_error(&request->reply, "ERR invalid cursor");
    }
    return good;
}

/* The same within the bounds of a C int, as Redis reads some. */
static inline bool arg_int(struct request *request, size_t i, int *value)
{
    int64_t wide;

    if (!arg_integer(request, i, &wide)) {
        return false;
    }
    if (wide < INT_MIN || wide > INT_MAX) {
        reply_error(&request->reply, "ERR value is out of range, value must "
                                     "between -2147483648 and 2147483647");
        return false;
    }
    *value = (int)wide;
    return true;
}

/* As the precision of "%.*s": of what a client sent, however much, an error
 * repeats at most this, as in Redis. */
#define SHOWN_BYTES 128

static inline int shown(struct slice arg)
{
    return (int)(arg.size < SHOWN_BYTES ? arg.size : SHOWN_BYTES);
}

static inline enum command_status done_syntax_error(struct request *request)
{
    reply_err(&request->reply, ERR_SYNTAX, NULL);
    return COMMAND_DONE;
}

static inline enum command_status done_wrong_count(struct request *request)
{
    reply_errorf(&request->reply,
                 "ERR wrong number of arguments for '%s' command",
                 request->command->name);
    return COMMAND_DONE;
}

/* What Redis says where a subcommand checks its words itself. */
static inline enum command_status done_wrong_subcommand(struct request *request)
{
    const struct slice sub = request->argv[1];
    struct buf upper = {0};

    buf_append_upper(&upper, request->command->name);
    buf_truncate(&upper, strcspn(request->command->name, "|"));
    reply_errorf(&request->reply,
                 "ERR unknown subcommand or wrong number of arguments for "
                 "'%.*s'. Try %s HELP.",
                 shown(sub), sub.data, buf_string(&upper));
    buf_destroy(&upper);
    return COMMAND_DONE;
}

static inline enum command_status done_ok(struct request *request)
{
    reply_ok(&request->reply);
    return COMMAND_DONE;
}

#endif
