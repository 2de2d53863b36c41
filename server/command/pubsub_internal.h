/* SPDX-License-Identifier: MIT */
/*
 * Shared by pubsub.c (who subscribed to what) and publish.c (messages on their
 * way); nobody else includes this.
 *
 * Who may touch what:
 *
 *     table of topics, parts of a topic, counts   under the lock
 *     subscriptions of a part, and of a client    changed on their loop; read
 *                                                 there without the lock
 *     a part's memory                             counted: a message under way
 *                                                 to its loop has a reference
 *
 * A subscription has a number, a message that of the last subscription before
 * it.  So a loop can tell which came first, though the message waited for its
 * turn meanwhile.
 */
#ifndef SERVER_COMMAND_PUBSUB_INTERNAL_H
#define SERVER_COMMAND_PUBSUB_INTERNAL_H

#include "common/lock.h"
#include "common/table.h"
#include "server/command/client.h"
#include "server/command/pubsub.h"

/* Patterns stand in lists by their first byte; this one is of those that may
 * begin with any. */
#define PUBSUB_ANY_BYTE 256

/* A loop with subscribers. */
struct hub {
    struct hub *next;             /* Constant. */
    struct chan_tx home;          /* Constant. */
    struct table subscriptions;   /* By client and name; the loop's. */
    _Atomic size_t backlog_bytes; /* Relaxed: a sum that decides who waits. */
};

/* The subscriptions to a topic on one loop. */
struct part {
    struct part *next; /* Of the topic. */
    struct topic *topic;
    struct hub *hub;
    size_t n;                       /* Read by publishers. */
    LIST_HEAD(, subscription) list; /* The loop's. */
    _Atomic unsigned refs;          /* The topic's, and of deliveries. */
    _Atomic bool overrun;           /* Its clients will be closed. */
};

struct topic {
    struct table_node node;
    enum pubsub_kind kind;
    bool hears_changes;
    size_t n;                   /* Of all parts. */
    struct part *parts;         /* Never empty. */
    LIST_ENTRY(topic) siblings; /* Patterns: of the same first byte. */
    size_t name_size;
    char name[];
};

struct subscription {
    struct table_node node; /* In the hub. */
    struct client *client;
    struct part *part;
    uint64_t number;
    LIST_ENTRY(subscription) of_part;
    LIST_ENTRY(subscription) of_client;
};

struct pubsub {
    struct rwlock lock; /* Rank LOCK_PUBSUB; reading: matching one message with
                           all patterns. */
    struct table topics[PUBSUB_KINDS] GUARDED_BY(lock);
    LIST_HEAD(, topic) patterns[PUBSUB_ANY_BYTE + 1] GUARDED_BY(lock);
    struct hub *hubs GUARDED_BY(lock);
    uint64_t last_number GUARDED_BY(lock); /* Of a subscription. */
    /* Topics, counted for whoever wants to know without the lock that there
     * are none.  Written under it; relaxed. */
    _Atomic size_t n_topics[PUBSUB_KINDS];
    _Atomic size_t n_hear_changes;
};

static inline struct slice topic_name(const struct topic *topic)
{
    return slice_make(topic->name, topic->name_size);
}

/* The topic of this name and hash_bytes(name), or NULL. */
struct topic *pubsub_topic(const struct pubsub *ps, enum pubsub_kind kind,
                           struct slice name, uint64_t hash)
    REQUIRES_SHARED(ps->lock);

void part_unref(struct part *part);

#endif
