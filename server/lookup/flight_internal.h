/* SPDX-License-Identifier: MIT */
/*
 * What the files of the flights share.
 *
 *     flight.c        a flight's life, and those who wait on it
 *     flight_fence.c  what writes and changes by others do to flights
 *
 * Thread-safety: what a shard's lock guards says so.
 */
#ifndef SERVER_LOOKUP_FLIGHT_INTERNAL_H
#define SERVER_LOOKUP_FLIGHT_INTERNAL_H

#include "server/lookup/flight.h"

/* Flights live for a store read; 32 shards keep them apart well beyond the
 * number of threads, and few enough for one thread to lock all. */
#define FLIGHT_SHARDS 32
/* Chains of a shard: 16 384 cold keys, one a chain. */
#define FLIGHT_BINS 512
/* What is known of the writes of a key is known by its slot; two keys that
 * share one are taken for the same, which costs a fill, or a way through the
 * store, and harms nobody. */
#define FLIGHT_SLOTS 128

struct flight {
    struct store_read read;
    struct flights *flights; /* Borrowed. */
    uint64_t hash;
    _Atomic int refs;
    /* Written by row() before done(); constant after it. */
    enum err err;
    struct buf bytes;
    struct copy copy; /* But 'filled_us', when the store was asked. */

    /* Guarded by the shard's lock. */
    struct flight *next;    /* The chain. */
    struct waiter *waiters; /* Last joined first. */

    bool in_table; /* False: done, fenced, or of a marked key. */
    bool held;     /* The store was not asked: it waits for a group to end. */

    /* Small things last: thousands wait at once, in 256 bytes each if their
     * keys are short. */
    bool found; /* As 'err'. */
    uint32_t key_size;
    char key[];
};

/* The writes of the keys whose hashes fall on it. */
struct flight_slot {
    uint32_t n_writing; /* Begun, and not acknowledged. */
    uint32_t n_applied; /* In the store's transaction, and not settled. */
    int64_t foreign_us; /* When a change by others was last told. */
    struct flight_mark *marks;
};

struct CAPABILITY("mutex") flight_shard {
    struct mutex lock; /* Rank LOCK_FLIGHT; held over a fill, never over I/O. */
    struct flight *bins[FLIGHT_BINS] GUARDED_BY(lock);
    struct flight_slot slots[FLIGHT_SLOTS] GUARDED_BY(lock);
    size_t count GUARDED_BY(lock);
    uint32_t n_barred GUARDED_BY(lock); /* flights_bar(). */
} __attribute__((aligned(64)));

struct flights {
    const struct config *config; /* Borrowed, as are the next three. */
    struct cache *cache;
    struct store *store;
    struct timers *timers;
    uint32_t n_clearing; /* As n_applied; of the store's writer. */
    struct flight_shard shards[FLIGHT_SHARDS]; /* Ascending addresses. */
};

static inline struct flight_shard *flight_shard_of(struct flights *flights,
                                                   uint64_t hash)
{
    return &flights->shards[hash % FLIGHT_SHARDS];
}

static inline struct flight **flight_bin_of(struct flight_shard *shard,
                                            uint64_t hash)
{
    return &shard->bins[hash / FLIGHT_SHARDS % FLIGHT_BINS];
}

static inline struct flight_slot *flight_slot_of(struct flight_shard *shard,
                                                 uint64_t hash)
{
    return &shard->slots[hash / FLIGHT_SHARDS % FLIGHT_SLOTS];
}

static inline struct slice flight_key(const struct flight *f)
{
    return slice_make(f->key, f->key_size);
}

/* ---- flight.c ---- */

struct flight *flight_find(struct flight_shard *shard, struct slice key,
                           uint64_t hash) REQUIRES(shard->lock);
void flight_unlink(struct flight_shard *shard, struct flight *f)
    REQUIRES(shard->lock);

/* ---- flight_fence.c ---- */

/* The mark of 'key', or NULL. */
struct flight_mark *flight_mark_of(struct flight_shard *shard, struct slice key,
                                   uint64_t hash) REQUIRES(shard->lock);

#endif
