/* SPDX-License-Identifier: MIT */
/*
 * Small helpers for the arguments of commands.
 *
 * Thread-safety: pure functions.
 */
#ifndef SERVER_COMMAND_ARGS_H
#define SERVER_COMMAND_ARGS_H

#include "server/command/command.h"

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

static inline enum command_status done_ok(struct request *request)
{
    reply_ok(&request->reply);
    return COMMAND_DONE;
}

#endif
