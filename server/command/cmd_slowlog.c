/* SPDX-License-Identifier: MIT */
/*
 * SLOWLOG: the commands that took long.
 */
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/command/slowlog.h"

#define SHOWN_DEFAULT 10 /* As in Redis. */

enum command_status cmd_slowlog_get(struct request *r)
{
    int64_t n = SHOWN_DEFAULT;

    if (r->argc > 3) {
        reply_errorf(&r->reply,
                     "ERR unknown subcommand or wrong number of arguments for "
                     "'%.*s'. Try SLOWLOG HELP.",
                     shown(r->argv[1]), r->argv[1].data);
        return COMMAND_DONE;
    }
    if (r->argc == 3 && (!slice_to_int64(r->argv[2], &n) || n < -1)) {
        reply_error(&r->reply,
                    "ERR count should be greater than or equal to -1");
        return COMMAND_DONE;
    }
    slowlog_reply(r->client->server->slowlog, n < 0 ? SIZE_MAX : (size_t)n,
                  &r->reply);
    return COMMAND_DONE;
}

enum command_status cmd_slowlog_len(struct request *r)
{
    reply_integer(&r->reply, (int64_t)slowlog_len(r->client->server->slowlog));
    return COMMAND_DONE;
}

enum command_status cmd_slowlog_reset(struct request *r)
{
    slowlog_trim(r->client->server->slowlog, 0);
    return done_ok(r);
}

enum command_status cmd_slowlog_help(struct request *r)
{
    command_reply_help(r, "slowlog");
    return COMMAND_DONE;
}
