/* SPDX-License-Identifier: MIT */
/*
 * CLIENT: who is connected, and under which names.
 */
#include "server/command/args.h"
#include "server/command/clients.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/command/redis.h"

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

static enum command_status describe(struct request *r, struct client *which)
{
    struct buf text = {0};

    clients_describe(r->client->server->clients, which, &text);
    reply_verbatim(&r->reply, "txt", buf_slice(&text));
    buf_destroy(&text);
    return COMMAND_DONE;
}

enum command_status cmd_client_info(struct request *r)
{
    return describe(r, r->client);
}

enum command_status cmd_client_list(struct request *r)
{
    return describe(r, NULL);
}

enum command_status cmd_client_help(struct request *r)
{
    command_reply_help(r, "client");
    return COMMAND_DONE;
}
