/* SPDX-License-Identifier: MIT */
/*
 * PING ECHO HELLO QUIT RESET: about the connection itself.
 */
#include "server/command/acl.h"
#include "server/command/args.h"
#include "server/command/clients.h"
#include "server/command/handlers.h"
#include "server/command/monitor.h"
#include "server/command/parts.h"
#include "server/command/redis.h"
#include "server/command/tracking.h"
#include "server/command/transaction.h"

enum command_status cmd_ping(struct request *r)
{
    if (r->argc > 2) {
        return done_wrong_count(r);
    }
    if (client_is_subscriber(r->client) && r->client->protocol == 2) {
        /* So that it can be told from a message's neighbours. */
        reply_array(&r->reply, 2);
        reply_bulk_string(&r->reply, "pong");
        reply_bulk(&r->reply, r->argc == 2 ? r->argv[1] : SLICE(""));
    } else if (r->argc == 2) {
        reply_bulk(&r->reply, r->argv[1]);
    } else {
        reply_simple(&r->reply, "PONG");
    }
    return COMMAND_DONE;
}

enum command_status cmd_echo(struct request *r)
{
    reply_bulk(&r->reply, r->argv[1]);
    return COMMAND_DONE;
}

static void set_protocol(struct request *r, int protocol)
{
    r->client->protocol = protocol;
    r->reply.protocol = protocol;
    atomic_store_explicit(&r->client->shown_protocol, protocol,
                          memory_order_relaxed);
}

/* Checks the options behind the version; replies on error.  '*name' is left
 * with no data unless SETNAME was given. */
static bool hello_options(struct request *r, struct slice *name)
{
    for (size_t i = 2; i < r->argc; i++) {
        if (arg_is(r, i, "AUTH") && i + 2 < r->argc) {
            if (!acl_login(r, r->argv[i + 1], r->argv[i + 2])) {
                reply_error(&r->reply, ACL_WRONGPASS);
                return false;
            }
            i += 2;
        } else if (arg_is(r, i, "SETNAME") && i + 1 < r->argc) {
            *name = r->argv[++i];
            if (!client_name_valid(*name)) {
                reply_error(&r->reply, CLIENT_NAME_ERROR);
                return false;
            }
        } else {
            reply_errorf(&r->reply, "ERR Syntax error in HELLO option '%.*s'",
                         shown(r->argv[i]), r->argv[i].data);
            return false;
        }
    }
    return true;
}

enum command_status cmd_hello(struct request *r)
{
    struct client *client = r->client;
    struct reply *reply = &r->reply;
    struct slice name = {0};
    int64_t version = client->protocol;

    if (r->argc > 1 && !slice_to_int64(r->argv[1], &version)) {
        reply_error(reply, "ERR Protocol version is not an integer or out of "
                           "range");
        return COMMAND_DONE;
    }
    if (version != 2 && version != 3) {
        reply_error(reply, "NOPROTO unsupported protocol version");
        return COMMAND_DONE;
    }
    if (!hello_options(r, &name)) {
        return COMMAND_DONE;
    }
    if (!client->authenticated) {
        reply_error(reply,
                    "NOAUTH HELLO must be called with the client already "
                    "authenticated, otherwise the HELLO AUTH <user> <pass> "
                    "option can be used to authenticate the client and select "
                    "the RESP protocol version at the same time");
        return COMMAND_DONE;
    }
    if (name.data != NULL) {
        clients_set_name(client->server->clients, &client->name, name);
    }
    set_protocol(r, (int)version);

    reply_map(reply, 7);
    reply_bulk_string(reply, "server");
    reply_bulk_string(reply, "redis"); /* Clients look at it. */
    reply_bulk_string(reply, "version");
    reply_bulk_string(reply, REDIS_VERSION);
    reply_bulk_string(reply, "proto");
    reply_integer(reply, version);
    reply_bulk_string(reply, "id");
    reply_integer(reply, (int64_t)client->id);
    reply_bulk_string(reply, "mode");
    reply_bulk_string(reply, "standalone");
    reply_bulk_string(reply, "role");
    reply_bulk_string(reply, "master");
    reply_bulk_string(reply, "modules");
    reply_array(reply, 0);
    return COMMAND_DONE;
}

enum command_status cmd_quit(struct request *r)
{
    r->client->close_after_reply = true;
    return done_ok(r);
}

enum command_status cmd_reset(struct request *r)
{
    transaction_end(r->client);
    tracking_stop(r->client);
    clients_set_name(r->client->server->clients, &r->client->name, SLICE(""));
    monitor_end(r->client);
    pubsub_leave(r->client->server->pubsub, r->client);
    client_set_flag(r->client, CLIENT_NO_EVICT, false);
    client_set_flag(r->client, CLIENT_NO_TOUCH, false);
    r->client->replies = REPLIES_SENT;
    atomic_store_explicit(&r->client->database, 0, memory_order_relaxed);
    set_protocol(r, 2);
    acl_welcome(r->client);
    reply_simple(&r->reply, "RESET");
    return COMMAND_DONE;
}
