/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of tracking; nobody else includes this.
 *
 *     tracking.c        clients: who tracks, and how
 *     tracking_read.c   what they read
 *     tracking_table.c  what was read on a loop, by whom
 *     tracking_send.c   notes of changes on their way to loops, and what
 *                       clients are told
 *
 *     hub (a loop) ─► space ─► tracked "k" ─► interest ─► tracker (a client)
 *          │            └────► tracked "l" ─► interest ─┘ └─► interest …
 *          └─► inbox: notes of changes
 *
 * Thread-safety: a hub, and all that hangs on it, is its loop's, but for the
 * inbox and the atomics.
 */
#ifndef SERVER_COMMAND_TRACKING_INTERNAL_H
#define SERVER_COMMAND_TRACKING_INTERNAL_H

#include "common/buf.h"
#include "common/lock.h"
#include "common/table.h"
#include "server/command/tracking.h"

/* Of the filter that spares a loop notes of keys that nobody there has read: as
 * many tracked keys pass one note in two. */
#define FILTER_SLOTS 16384

/* Prefixes are counted by their first byte; those that are empty here. */
#define ANY_BYTE 256

/* Expiries stand in lists by the tenth of a second; one round is 100 s. */
#define WHEEL_SLOTS 1024
#define WHEEL_SLOT_MS 100

/* What takes long is done in steps of so many, between which the loop does
 * other things: about 100 us. */
#define STEP 1000

/* A client has read a key. */
struct interest {
    struct table_node node; /* Of the space, by key and client. */
    struct tracked *tracked;
    struct tracker *tracker;
    LIST_ENTRY(interest) of_key;
    LIST_ENTRY(interest) of_tracker;
};

/* A key that was read, as it is inside: with its database. */
struct tracked {
    struct table_node node; /* Of the space. */
    struct space *space;
    LIST_HEAD(, interest) interests; /* Never empty. */
    LIST_ENTRY(tracked) of_mapping;
    LIST_ENTRY(tracked) of_wheel;
    int64_t expires_ms; /* 0: never; then it is not in the wheel. */
    size_t size;
    char key[];
};

LIST_HEAD(tracked_list, tracked);

/* All that was read, until everything is dropped at once: then it is set aside,
 * and taken apart in steps. */
struct space {
    LIST_ENTRY(space) siblings; /* Of those set aside. */
    struct table keys;
    struct table interests;
    size_t n_lists;                   /* Mappings, and one for plain keys. */
    struct tracked_list of_mapping[]; /* The keys once more. */
};

struct prefix {
    struct prefix *next; /* In ascending order. */
    size_t size;
    char bytes[];
};

struct tracker {
    struct hub *hub;
    struct client *client; /* NULL: it has left, and what it read is being
                              forgotten. */
    uint64_t id;
    struct tracking_options options;
    struct chan_tx redirect_home; /* Of options.redirect. */
    bool broken;
    bool caching; /* CLIENT CACHING was given. */
    struct prefix *prefixes;
    LIST_HEAD(, interest) interests;
    LIST_ENTRY(tracker) siblings;

    /* What it is to be told. */
    struct buf told; /* Keys, as bulk strings. */
    size_t n_told;
    bool all;       /* Everything instead. */
    bool touched;   /* There is something; in the hub's list of these. */
    bool under_way; /* A redirected message has not come back. */
    TAILQ_ENTRY(tracker) of_touched;
};

LIST_HEAD(tracker_list, tracker);

/* A loop whose clients track. */
struct hub {
    struct tracking *tracking;
    struct hub *next; /* Constant. */
    struct chan_tx home;

    struct mutex lock; /* Rank LOCK_LEAF. */
    struct buf inbox GUARDED_BY(lock);
    bool lost GUARDED_BY(lock);   /* There were too many notes. */
    bool posted GUARDED_BY(lock); /* The loop has been sent a task. */

    /* Written by the loop, before it looks up what they are about; read
     * relaxed. */
    _Atomic uint32_t n_seen[FILTER_SLOTS]; /* Tracked keys, by hash. */
    _Atomic uint32_t n_prefixed[ANY_BYTE + 1];
    _Atomic size_t n_trackers;
    _Atomic size_t n_keys;
    _Atomic size_t n_items;
    _Atomic size_t n_prefixes;
    _Atomic size_t n_expiring;

    /* The loop's. */
    struct space *space;
    LIST_HEAD(, space) aside;
    struct tracker_list trackers; /* Of both kinds. */
    struct tracker_list broadcast;
    struct tracker_list leaving;
    TAILQ_HEAD(, tracker) touched;
    bool receiving;  /* Pushing is allowed. */
    int64_t visited; /* The last slot of the wheel, counted from 1970. */
    uint64_t random;
    struct tracked_list wheel[WHEEL_SLOTS];
};

struct tracking {
    const struct server *server; /* Borrowed. */
    struct mutex lock; /* Rank LOCK_LEAF; held to add a hub or to count. */
    size_t n_clients GUARDED_BY(lock);
    _Atomic(struct hub *) hubs; /* Added under the lock, release; walked over
                                   acquire. */
};

/* For counters that one thread writes, and others read. */
#define COUNT(counter, by)                                             \
    atomic_store_explicit(                                             \
        &(counter),                                                    \
        atomic_load_explicit(&(counter), memory_order_relaxed) + (by), \
        memory_order_relaxed)
#define READ(counter) atomic_load_explicit(&(counter), memory_order_relaxed)

static inline struct hub *first_hub(const struct tracking *tracking)
{
    return atomic_load_explicit(&tracking->hubs, memory_order_acquire);
}

static inline struct slice tracked_key(const struct tracked *k)
{
    return slice_make(k->key, k->size);
}

/* ---- tracking.c ---- */

bool tracker_has_prefix_of(const struct tracker *t, struct slice shown);
void tracker_publish(struct tracker *t);
/* Frees one that has left, if nothing points to it. */
void tracker_try_free(struct tracker *t);

/* ---- tracking_table.c ---- */

struct space *space_new(size_t n_lists);
/* False: there is no memory. */
NODISCARD
bool hub_enter(struct hub *hub, struct tracker *t, struct slice key,
               uint64_t hash);
/* The key if 't' has read it, or NULL. */
struct tracked *hub_find(struct hub *hub, const struct tracker *t,
                         struct slice key, uint64_t hash);
void hub_expires(struct hub *hub, struct tracked *k, int64_t expires_ms);
/* 'key' has changed by 'origin'. */
void hub_changed(struct hub *hub, struct slice key, uint64_t hash,
                 uint64_t origin);
/* Keys of 'mapping' may have changed; or any. */
void hub_changed_mapping(struct hub *hub, const struct mapping *mapping);
void hub_changed_all(struct hub *hub);
/* Tells of what has expired, keeps the bound on keys, forgets what clients that
 * left have read: true if there is more of it to do. */
NODISCARD
bool hub_tidy(struct hub *hub);
/* Frees all that was read. */
void hub_clear(struct hub *hub);
/* Too many keys are tracked: asks the loop that has most to tell of some. */
void tracking_check_bound(const struct tracking *tracking);

/* ---- tracking_send.c ---- */

void tracker_tell(struct tracker *t, struct slice key);
void tracker_tell_all(struct tracker *t);
/* What it was to be told is forgotten. */
void tracker_tell_nothing(struct tracker *t);
/* Has the loop look after its hub.  Any thread. */
void hub_wake(struct hub *hub);

#endif
