/* SPDX-License-Identifier: MIT */
#include "server/command/notifier.h"

#include "common/buf.h"
#include "server/admin/config.h"
#include "server/command/databases.h"
#include "server/command/parts.h"
#include "server/command/pubsub.h"
#include "server/store/store.h"

#define KEYSPACE "keyspace"
#define KEYEVENT "keyevent"

/* The letter of notify-keyspace-events; 0: no event of a key. */
static int64_t event_of(enum change_class class)
{
    switch (class) {
    case CHANGE_GENERIC:
        return EVENTS_GENERIC;
    case CHANGE_STRING:
        return EVENTS_STRING;
    case CHANGE_HASH:
        return EVENTS_HASH;
    case CHANGE_EXPIRED:
        return EVENTS_EXPIRED;
    case CHANGE_EVICTED:
        return EVENTS_EVICTED;
    case CHANGE_QUIET:
    case CHANGE_ALL:
    case CHANGE_FLUSHED:
        break;
    }
    return 0;
}

/* Publishes 'message' on the channel "__<what>@<database>__:<name>". */
static void publish(struct pubsub *pubsub, const char *what, int database,
                    struct slice name, struct slice message)
{
    struct buf channel = {0};

    buf_printf(&channel, "__%s@%d__:", what, database);
    buf_append_slice(&channel, name);
    (void)pubsub_publish(pubsub, PUBSUB_CHANNEL, buf_slice(&channel), message,
                         NULL);
    buf_destroy(&channel);
}

/* The database that clients know the key in; -1 for one of our own. */
static int database_of(const struct server *server, struct slice key)
{
    struct slice id;

    if (!plain_key_has_prefix(key) &&
        (!databases_swapped(server->databases) ||
         mapping_find(store_mappings(server->store), key, &id) != NULL)) {
        return 0;
    }
    return databases_selected(server->databases, plain_key_database(key));
}

void notifier_hear(void *arg, const struct change *change)
{
    const struct server *server = arg;

    if (!pubsub_hears_changes(server->pubsub)) {
        return;
    }
    const int64_t told =
        config_number(server->config, CONFIG_notify_keyspace_events);
    if (change->class == CHANGE_ALL) {
        if ((told & EVENTS_KEYEVENT) != 0) {
            publish(server->pubsub, KEYEVENT, 0, SLICE("resync"),
                    change->key.size > 0 ? change->key : SLICE("*"));
        }
        return;
    }
    if ((told & event_of(change->class)) == 0) {
        return;
    }
    const struct slice event = slice_from_string(change->event);
    const struct slice key = plain_key_shown(change->key);
    const int database = database_of(server, change->key);
    if (database >= 0 && (told & EVENTS_KEYSPACE) != 0) {
        publish(server->pubsub, KEYSPACE, database, key, event);
    }
    if (database >= 0 && (told & EVENTS_KEYEVENT) != 0) {
        publish(server->pubsub, KEYEVENT, database, event, key);
    }
}
