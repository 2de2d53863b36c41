/* SPDX-License-Identifier: MIT */
/*
 * SHUTDOWN LASTSAVE ROLE TIME: about the server as a whole.
 */
#include "common/clock.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/info.h"
#include "server/command/parts.h"

enum command_status cmd_shutdown(struct request *r)
{
    struct server *server = r->client->server;
    bool save = false;
    bool nosave = false;

    if (r->argc == 2 && arg_is(r, 1, "ABORT")) {
        /* One that has begun answers no more commands. */
        reply_error(&r->reply, "ERR No shutdown in progress.");
        return COMMAND_DONE;
    }
    /* All are taken for Redis' sake: what was acknowledged is always saved. */
    for (size_t i = 1; i < r->argc; i++) {
        save = save || arg_is(r, i, "SAVE");
        nosave = nosave || arg_is(r, i, "NOSAVE");
        if (!arg_is(r, i, "NOSAVE") && !arg_is(r, i, "SAVE") &&
            !arg_is(r, i, "NOW") && !arg_is(r, i, "FORCE")) {
            return done_syntax_error(r);
        }
    }
    if (save && nosave) {
        return done_syntax_error(r);
    }
    /* No reply on success, as in Redis: the connection ends. */
    r->client->close_after_reply = true;
    server->stop(server);
    return COMMAND_DONE;
}

enum command_status cmd_lastsave(struct request *r)
{
    reply_integer(&r->reply, info_last_save_s(r->client->server));
    return COMMAND_DONE;
}

enum command_status cmd_role(struct request *r)
{
    reply_array(&r->reply, 3);
    reply_bulk_string(&r->reply, "master");
    reply_integer(&r->reply, 0); /* The offset that replicas would be at. */
    reply_array(&r->reply, 0);
    return COMMAND_DONE;
}

enum command_status cmd_time(struct request *r)
{
    const int64_t now_us = clock_wall_us();

    reply_array(&r->reply, 2);
    reply_bulk_int64(&r->reply, now_us / 1000000);
    reply_bulk_int64(&r->reply, now_us % 1000000);
    return COMMAND_DONE;
}
