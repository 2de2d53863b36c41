/* SPDX-License-Identifier: MIT */
/*
 * Publish and subscribe: who wants to hear of which channel, and how a message
 * gets to all of them.
 *
 *     topic "news" ──► part of loop 0: [subscription][subscription]…
 *        │       └───► part of loop 1: [subscription]…
 *     topic "n*"  ───► part of loop 1: …
 *
 *     PUBLISH news hi, on any thread:
 *         find the topic and the patterns that match, count their subscribers,
 *         send each loop that has some ONE task: the message and its parts
 *     on each of these loops:
 *         walk over the subscriptions of the parts, push to their clients
 *
 * A topic is a channel, a pattern or a shard channel that somebody subscribed
 * to.  Messages are matched once, where they are published, and never looked
 * up again.  While nobody subscribed, a publication costs one load.
 *
 * Order: all messages of one thread reach a subscriber in their order, and so
 * do those of threads that publish one after the other.  A client gets what is
 * published after its subscription, and nothing from before.
 *
 * Bounds: the tasks that wait for a loop are counted in bytes.  When they are
 * many, publishers are told of a loop that they should wait for.  Who cannot
 * wait (a notification of a change) publishes all the same, and when a loop is
 * far behind, the clients whose messages would be too many are disconnected: a
 * stream with gaps would be worse.  What a client itself does not read is
 * bounded by net/conn.
 *
 * Thread-safety: publishing and counting on any thread; the subscriptions of a
 * client on its loop.  One lock of rank LOCK_PUBSUB.
 */
#ifndef SERVER_COMMAND_PUBSUB_H
#define SERVER_COMMAND_PUBSUB_H

#include "common/attr.h"
#include "common/chan.h"
#include "common/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct client;
struct pubsub;
struct subscription; /* Of one client to one topic. */

enum pubsub_kind {
    PUBSUB_CHANNEL,
    PUBSUB_PATTERN, /* Hears of every channel that it matches. */
    PUBSUB_SHARD,   /* SSUBSCRIBE: names apart from those of channels. */
    PUBSUB_MONITOR, /* Not a channel: what is published goes out as it is.  See
                       monitor.h. */
    PUBSUB_KINDS
};

struct pubsub *pubsub_new(void);
/* Nobody is subscribed any more. */
void pubsub_free(struct pubsub *ps);

/* ---- subscribers; on the client's loop ---- */

/* Subscribes; nothing if 'client' is already.  False: out of memory. */
NODISCARD
bool pubsub_subscribe(struct pubsub *ps, struct client *client,
                      enum pubsub_kind kind, struct slice name);
/* What 'client' has subscribed to; NULL: it has not. */
struct subscription *pubsub_find(const struct client *client,
                                 enum pubsub_kind kind, struct slice name);
/* The subscriptions of 'client', one after the other; NULL: no more. */
struct subscription *pubsub_first(const struct client *client,
                                  enum pubsub_kind kind);
struct subscription *pubsub_next(const struct subscription *subscription);
/* Valid until the subscription ends. */
struct slice pubsub_name(const struct subscription *subscription);
void pubsub_end(struct pubsub *ps, struct subscription *subscription);
/* Ends all subscriptions of 'client', which may have none. */
void pubsub_leave(struct pubsub *ps, struct client *client);

/* ---- publishers; any thread ---- */

/* Sends 'message' to all who subscribed to 'channel', and if 'kind' is
 * PUBSUB_CHANNEL to the patterns that match it.  Returns how many subscriptions
 * there were.  '*crowded' is the home of a loop that has much to deliver, or
 * has no channel: a publisher who can wait lets a task go there and come back
 * before it publishes again.  'crowded' may be NULL for one who cannot. */
size_t pubsub_publish(struct pubsub *ps, enum pubsub_kind kind,
                      struct slice channel, struct slice text,
                      struct chan_tx *crowded);

/* Could anybody hear of a change of a key?  One load. */
bool pubsub_hears_changes(const struct pubsub *ps);

/* ---- figures; any thread ---- */

/* Topics of a kind that somebody has subscribed to. */
size_t pubsub_count(const struct pubsub *ps, enum pubsub_kind kind);
/* Those whose names match 'pattern': each is given to 'visit', under a lock. */
void pubsub_visit(struct pubsub *ps, enum pubsub_kind kind,
                  struct slice pattern,
                  void (*visit)(void *arg, struct slice name), void *arg);
/* How many have subscribed to this one. */
size_t pubsub_subscribers(struct pubsub *ps, enum pubsub_kind kind,
                          struct slice name);

#endif
