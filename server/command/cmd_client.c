/* SPDX-License-Identifier: MIT */
/*
 * CLIENT: who is connected, under which names, and how one is served.  KILL
 * and UNBLOCK are in cmd_client_kill.c.
 *
 * Source: the replies of Redis 7.0; SETINFO and NO-TOUCH of 7.2.
 */
#include "common/clock.h"
#include "server/command/args.h"
#include "server/command/client_filter.h"
#include "server/command/clients.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/command/pause.h"
#include "server/command/redis.h"

/* ---- names ---- */

enum command_status cmd_client_id(struct request *r)
{
    reply_integer(&r->reply, (int64_t)r->client->id);
    return COMMAND_DONE;
}

enum command_status cmd_client_getname(struct request *r)
{
    /* Only this client's own loop changes the name. */
    if (r->client->name == NULL) {
        reply_null(&r->reply);
    } else {
        reply_bulk_string(&r->reply, r->client->name);
    }
    return COMMAND_DONE;
}

enum command_status cmd_client_setname(struct request *r)
{
    if (!client_name_valid(r->argv[2])) {
        reply_error(&r->reply, CLIENT_NAME_ERROR);
        return COMMAND_DONE;
    }
    clients_set_name(r->client->server->clients, &r->client->name, r->argv[2]);
    return done_ok(r);
}

enum command_status cmd_client_setinfo(struct request *r)
{
    struct client *client = r->client;
    const bool is_name = arg_is(r, 2, "LIB-NAME");

    if (!is_name && !arg_is(r, 2, "LIB-VER")) {
        reply_errorf(&r->reply, "ERR Unrecognized option '%.*s'",
                     shown(r->argv[2]), r->argv[2].data);
        return COMMAND_DONE;
    }
    if (!client_name_valid(r->argv[3])) {
        reply_errorf(&r->reply,
                     "ERR %s cannot contain spaces, newlines or special "
                     "characters.",
                     is_name ? "lib-name" : "lib-ver");
        return COMMAND_DONE;
    }
    clients_set_name(client->server->clients,
                     is_name ? &client->library_name : &client->library_version,
                     r->argv[3]);
    return done_ok(r);
}

/* ---- lists ---- */

static enum command_status reply_text(struct request *r, struct buf *text)
{
    reply_verbatim(&r->reply, "txt", buf_slice(text));
    buf_destroy(text);
    return COMMAND_DONE;
}

enum command_status cmd_client_info(struct request *r)
{
    struct buf text = {0};

    clients_describe(r->client->server->clients, r->client, &text);
    return reply_text(r, &text);
}

/* CLIENT LIST ID …: in the order of the numbers, each as often as it is named.
 */
static enum command_status list_named(struct request *r)
{
    struct buf text = {0};

    for (size_t i = 3; i < r->argc; i++) {
        int64_t id;
        if (!slice_to_int64(r->argv[i], &id)) {
            buf_destroy(&text);
            reply_error(&r->reply, "ERR Invalid client ID");
            return COMMAND_DONE;
        }
        if (id > 0) {
            const struct client_filter filter = {.id = (uint64_t)id};
            clients_list(r->client->server->clients, &filter, &text);
        }
    }
    return reply_text(r, &text);
}

enum command_status cmd_client_list(struct request *r)
{
    struct client_filter filter = {.id = 0};
    struct buf text = {0};

    if (r->argc > 3 && arg_is(r, 2, "ID")) {
        return list_named(r);
    }
    if (r->argc == 4 && arg_is(r, 2, "TYPE")) {
        if (!client_filter_type(r, 3, &filter.type)) {
            return COMMAND_DONE;
        }
    } else if (r->argc != 2) {
        return done_syntax_error(r);
    }
    clients_list(r->client->server->clients, &filter, &text);
    return reply_text(r, &text);
}

/* ---- how it is served ---- */

enum command_status cmd_client_reply(struct request *r)
{
    struct client *client = r->client;

    if (arg_is(r, 2, "ON")) {
        client->replies = REPLIES_SENT;
        return done_ok(r);
    }
    if (arg_is(r, 2, "OFF")) {
        client->replies = REPLIES_DROPPED;
    } else if (!arg_is(r, 2, "SKIP")) {
        return done_syntax_error(r);
    } else if (client->replies != REPLIES_DROPPED) {
        client->replies = REPLIES_SKIP_NEXT;
    }
    return COMMAND_DONE;
}

static enum command_status set_flag(struct request *r, enum client_flag flag)
{
    const bool on = arg_is(r, 2, "on");

    if (!on && !arg_is(r, 2, "off")) {
        return done_syntax_error(r);
    }
    client_set_flag(r->client, flag, on);
    return done_ok(r);
}

enum command_status cmd_client_no_evict(struct request *r)
{
    return set_flag(r, CLIENT_NO_EVICT);
}

enum command_status cmd_client_no_touch(struct request *r)
{
    return set_flag(r, CLIENT_NO_TOUCH);
}

/* ---- PAUSE ---- */

enum command_status cmd_client_pause(struct request *r)
{
    enum pause_kind kind = PAUSE_ALL;
    int64_t timeout_ms;

    if (r->argc > 4) {
        return done_wrong_subcommand(r);
    }
    if (r->argc == 4 && arg_is(r, 3, "WRITE")) {
        kind = PAUSE_WRITES;
    } else if (r->argc == 4 && !arg_is(r, 3, "ALL")) {
        reply_error(&r->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
        return COMMAND_DONE;
    }
    if (!slice_to_int64(r->argv[2], &timeout_ms)) {
        reply_error(&r->reply, "ERR timeout is not an integer or out of range");
        return COMMAND_DONE;
    }
    if (timeout_ms < 0) {
        reply_error(&r->reply, "ERR timeout is negative");
        return COMMAND_DONE;
    }
    const int64_t now_us = clock_now_us();
    pause_begin(r->client->server->pause, kind,
                timeout_ms <= (INT64_MAX - now_us) / 1000
                    ? now_us + timeout_ms * 1000
                    : INT64_MAX);
    return done_ok(r);
}

enum command_status cmd_client_unpause(struct request *r)
{
    pause_end(r->client->server->pause);
    return done_ok(r);
}

enum command_status cmd_client_help(struct request *r)
{
    command_reply_help(r, "client");
    return COMMAND_DONE;
}
