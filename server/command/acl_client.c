/* SPDX-License-Identifier: MIT */
/*
 * Who a client is, and what it may do.
 */
#include "server/command/acl.h"

#include "common/clock.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"
#include "server/command/clients.h"
#include "server/command/transaction.h"

#include <stdlib.h>

/* Makes 'user', whose reference it takes, that of the client. */
static void become(struct client *client, struct user *user)
{
    clients_set_user(client->server->clients, client, user);
    client->trusted_in = 0;
    client->looked_in = 0;
}

void acl_welcome(struct client *client)
{
    struct acl *acl = client->server->acl;
    struct user *user = acl_find(acl, SLICE(USER_DEFAULT));

    client->authenticated = user->any_password && user->enabled;
    become(client, user);
}

static void count(enum denial reason)
{
    switch (reason) {
    case DENIED_COMMAND:
        stats_count(STATS_acl_access_denied_cmd);
        break;
    case DENIED_KEY:
        stats_count(STATS_acl_access_denied_key);
        break;
    case DENIED_CHANNEL:
        stats_count(STATS_acl_access_denied_channel);
        break;
    case DENIED_AUTH:
        stats_count(STATS_acl_access_denied_auth);
        break;
    }
}

static void note(const struct request *request, enum denial reason,
                 struct slice object, struct slice user)
{
    struct client *client = request->client;
    const struct server *server = client->server;
    struct buf description = {0};

    count(reason);
    clients_describe(server->clients, client, &description);
    if (description.size > 0) {
        buf_truncate(&description, description.size - 1); /* Its newline. */
    }
    const struct acl_log_entry entry = {
        .reason = reason,
        .in_multi = request->execution != NULL || transaction_is_open(client),
        .object = object,
        .user = user,
        .client = buf_slice(&description),
        .at_ms = clock_now_us() / 1000};
    acl_log_add(server->acl->log, &entry,
                (size_t)config_number(server->config, CONFIG_acllog_max_len));
    buf_destroy(&description);
}

bool acl_login(struct request *request, struct slice name,
               struct slice password)
{
    struct client *client = request->client;
    struct user *user = acl_find(client->server->acl, name);

    if (user == NULL || !user_admits(user, password)) {
        user_unref(user);
        note(request, DENIED_AUTH, request->argv[0], name);
        return false;
    }
    client->authenticated = true;
    become(client, user);
    return true;
}

/* Looks at the client's user anew if there may be something new.  False: he is
 * gone. */
static bool look_again(struct client *client)
{
    struct acl *acl = client->server->acl;
    const uint64_t generation =
        atomic_load_explicit(&acl->generation, memory_order_acquire);

    if (client->looked_in == generation) {
        return true;
    }
    struct user *user = acl_find(acl, user_name(client->user));
    if (user == NULL || user->id != client->user->id) {
        user_unref(user);
        return false;
    }
    become(client, user);
    client->looked_in = generation;
    if (user->unrestricted && !acl_awaits_login(client)) {
        client->trusted_in = generation;
    }
    return true;
}

static void refuse(struct request *request, enum verdict verdict, size_t place,
                   struct buf *why)
{
    static const struct {
        enum denial reason;
        const char *now;  /* Why the command may not run; */
        const char *then; /* or no longer, as it was queued. */
    } texts[] = {
        [VERDICT_NO_COMMAND] = {DENIED_COMMAND, "",
                                "no permission to execute the command or "
                                "subcommand"},
        [VERDICT_NO_KEY] = {DENIED_KEY,
                            "access one of the keys used as arguments",
                            "no permission to touch the specified keys"},
        [VERDICT_NO_CHANNEL] = {DENIED_CHANNEL,
                                "access one of the channels used as arguments",
                                "no permission to access one of the channels "
                                "used as arguments"},
    };
    const char *command = request->command->name;

    note(request, texts[verdict].reason,
         verdict == VERDICT_NO_COMMAND ? slice_from_string(command)
                                       : request->argv[place],
         user_name(request->client->user));
    if (request->execution != NULL) {
        buf_printf(why,
                   "NOPERM ACLs rules changed between the moment the "
                   "transaction was accumulated and the EXEC call. This "
                   "command is no longer allowed for the following reason: %s",
                   texts[verdict].then);
    } else if (verdict == VERDICT_NO_COMMAND) {
        buf_printf(why,
                   "NOPERM this user has no permissions to run the '%s' "
                   "command",
                   command);
    } else {
        buf_printf(why, "NOPERM this user has no permissions to %s",
                   texts[verdict].now);
    }
}

enum acl_answer acl_admit(struct request *request, struct buf *why)
{
    struct client *client = request->client;
    size_t place = 0;

    if (!look_again(client)) {
        return ACL_GONE;
    }
    if (acl_awaits_login(client) &&
        (request->command->flags & CMD_NO_AUTH) == 0) {
        buf_append_string(why, "NOAUTH Authentication required.");
        return ACL_REFUSED;
    }
    if (client->user->unrestricted) {
        return ACL_ADMITTED;
    }
    const enum verdict verdict = user_judge(client->user, request, &place);
    if (verdict == VERDICT_ALLOWED) {
        return ACL_ADMITTED;
    }
    refuse(request, verdict, place, why);
    return ACL_REFUSED;
}

/* ---- who has to go ---- */

/* May the client's user hear all that it has subscribed to?  MONITOR is no
 * channel. */
static bool may_hear_all(const struct client *client)
{
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        const struct subscription *s =
            kind == PUBSUB_MONITOR
                ? NULL
                : pubsub_first(client, (enum pubsub_kind)kind);
        for (; s != NULL; s = pubsub_next(s)) {
            if (!user_may_hear(client->user, pubsub_name(s),
                               kind == PUBSUB_PATTERN)) {
                return false;
            }
        }
    }
    return true;
}

static void recheck(struct client *client, void *arg)
{
    (void)arg;
    if (client != NULL && (!look_again(client) || !may_hear_all(client))) {
        client->on_kill(client);
    }
}

void acl_recheck(struct server *server, struct slice name)
{
    const struct client_filter filter = {.user = name};
    size_t n;
    uint64_t *ids = clients_select(server->clients, &filter, &n);

    for (size_t i = 0; i < n; i++) {
        /* Who is not there any more needs no look. */
        (void)!clients_send(server->clients, ids[i], recheck, NULL);
    }
    free(ids);
}
