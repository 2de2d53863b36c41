/* SPDX-License-Identifier: MIT */
#include "server/command/notifier.h"

#include "common/buf.h"
#include "server/admin/config.h"
#include "server/command/parts.h"
#include "server/command/pubsub.h"

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

/* Publishes 'message' on the channel "<prefix><name>". */
static void publish(struct pubsub *pubsub, const char *prefix,
                    struct slice name, struct slice message)
{
    struct buf channel = {0};

    buf_append_string(&channel, prefix);
    buf_append_slice(&channel, name);
    (void)pubsub_publish(pubsub, PUBSUB_CHANNEL, buf_slice(&channel), message,
                         NULL);
    buf_destroy(&channel);
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
            publish(server->pubsub, PUBSUB_KEYEVENT, SLICE("resync"),
                    change->key.size > 0 ? change->key : SLICE("*"));
        }
        return;
    }
    if ((told & event_of(change->class)) == 0) {
        return;
    }
    const struct slice event = slice_from_string(change->event);
    if ((told & EVENTS_KEYSPACE) != 0) {
        publish(server->pubsub, PUBSUB_KEYSPACE, change->key, event);
    }
    if ((told & EVENTS_KEYEVENT) != 0) {
        publish(server->pubsub, PUBSUB_KEYEVENT, event, change->key);
    }
}
