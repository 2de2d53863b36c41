/* SPDX-License-Identifier: MIT */
/*
 * The cache: many shards, each one reader-writer lock over one hash table,
 * under one limit of memory.
 *
 * It keeps copies: for a key, bytes of some kind and what is known of them.
 * It does not know how old a copy may be (lookup/ decides), nor what the
 * bytes mean (lookup/record does); it only drops plain keys whose expiry has
 * passed, and what the policy chooses when memory runs out.
 *
 * Negative copies can have a small share of the memory of their own.  Beyond it
 * the oldest of them go, and no value: a scan of keys that do not exist cannot
 * push out what does.
 *
 * A hit takes the shard's read lock, sets the entry's visit bit, copies out,
 * and leaves.  A dirty copy is never evicted.  A memory-only one is, as in
 * Redis under one of its allkeys policies: the limit comes first.
 *
 * Thread-safety: any thread; each call holds one shard lock (LOCK_SHARD) and
 * never across I/O or callbacks.
 */
#ifndef SERVER_CACHE_CACHE_H
#define SERVER_CACHE_CACHE_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/slice.h"
#include "server/cache/losses.h"

#include <stddef.h>

struct cache;

enum copy_kind {
    COPY_STRING, /* A plain value: the bytes themselves. */
    COPY_HASH,   /* A plain value: fields, as lookup/hash_value encodes them. */
    COPY_RECORD, /* A row, as lookup/record encodes it. */
    COPY_NEGATIVE, /* "The store has no such row"; no bytes. */
};

/* Where a copy came from. */
enum copy_origin {
    COPY_FROM_MISS,    /* A lookup that had to ask the store. */
    COPY_FROM_REFRESH, /* A store read that nobody waited for. */
    COPY_FROM_WRITE
};

/* What is known of a copy, beside its bytes. */
struct copy {
    enum copy_kind kind;
    bool dirty;         /* Acknowledged, not in the store yet: pinned. */
    bool memory_only;   /* A plain key under 'plain-writes none'. */
    bool hidden;        /* To be put as cache_hide() would leave it; not set by
                           the cache. */
    int64_t filled_us;  /* clock_now_us() when the store was asked, or when
                           the write was acknowledged. */
    int64_t expires_ms; /* Wall clock; 0: never. */
    enum copy_origin origin;
    uint32_t store_us; /* How long the store took for it; 0 for a write. */
    uint64_t version;  /* Set by the cache: grows with every put of any key, and
                          from one run of the program to the next. */
};

struct cache_options {
    size_t n_shards;        /* Rounded up to a power of two; at most 4096. */
    size_t max_bytes;       /* Of entries, index and queues together. */
    size_t max_entries;     /* 0: as many as fit. */
    int64_t negative_share; /* Millionths of max_bytes for negative copies;
                               0: no share of their own. */
};

struct cache *cache_new(const struct cache_options *options);
void cache_free(struct cache *cache);

/* Looks up 'key' ('hash' is hash_bytes(key)).  On a hit fills '*copy', appends
 * its bytes to 'out' unless that is NULL, and returns true.  An entry whose
 * expiry is not after 'wall_ms' is a miss.  If 'out' cannot grow it is a miss.
 */
NODISCARD
bool cache_get(struct cache *cache, struct slice key, uint64_t hash,
               int64_t wall_ms, struct copy *copy, struct buf *out);
/* The same, but the copy is not more likely to be kept for it. */
NODISCARD
bool cache_peek(struct cache *cache, struct slice key, uint64_t hash,
                int64_t wall_ms, struct copy *copy, struct buf *out);

/* Stores a copy of 'bytes' under 'key', in place of what was there, evicting
 * others if memory demands it.  Gives the copy its version and returns it in
 * copy->version.  A copy larger than the whole limit, or a negative one larger
 * than their share, is not kept, and what was there is dropped; for one that is
 * dirty or memory-only that is an error.
 * Errors: ERR_TOO_BIG (just that), ERR_NOMEM (the allocator refuses, or dirty
 * copies already take half of the limit).  After an error all is as
 * before. */
NODISCARD
enum err cache_put(struct cache *cache, struct slice key, uint64_t hash,
                   struct copy *copy, struct slice bytes);

/* One of many copies that are put together. */
struct cache_item {
    struct slice key;
    uint64_t hash;
    struct slice bytes;
    struct copy copy; /* Its version is set, unless it is removed. */
    bool remove;      /* The key is to have no copy. */
};

/* Puts all of 'items', of different keys, or none.  Who finds one of them as it
 * is now finds no other as it was, but may miss it before this returns: the
 * caller has those who miss wait and look again, and keeps others from putting
 * copies of these keys.  A copy that is hidden stays so, and so does what was
 * there if it is not put.  Errors: as cache_put(), where a copy that cannot be
 * kept is always one.  After an error all is as before, but a clean copy may
 * have gone. */
NODISCARD
enum err cache_put_many(struct cache *cache, struct cache_item *items,
                        size_t n);

/* Drops the copy, dirty or not; true if there was one. */
bool cache_remove(struct cache *cache, struct slice key, uint64_t hash);

/* Drops the copy if it is still 'version', hidden or not; true if it was. */
bool cache_remove_version(struct cache *cache, struct slice key, uint64_t hash,
                          uint64_t version);

/* A hidden copy is a miss to cache_get(), and all else goes on with it; whoever
 * puts another shows that.  Returns true if there is a copy. */
bool cache_hide(struct cache *cache, struct slice key, uint64_t hash,
                bool hidden);

/* True if there is a dirty copy, hidden or not; '*filled_us' is its. */
bool cache_dirty(struct cache *cache, struct slice key, uint64_t hash,
                 int64_t *filled_us);

/* The newest version that any copy got. */
uint64_t cache_version(const struct cache *cache);

/* Drops the copy unless it is dirty or memory-only; true if one was dropped. */
bool cache_evict(struct cache *cache, struct slice key, uint64_t hash);

/* The dirty copy 'version' has reached the store, and is an ordinary one from
 * now on.  Nothing if the copy has another version by now. */
void cache_clean(struct cache *cache, struct slice key, uint64_t hash,
                 uint64_t version);

/* Drops every copy that is not dirty, one shard at a time (keeps dirty ones:
 * their writes are younger than whatever asks for this). */
void cache_clear(struct cache *cache);

/* The same for the keys that 'is_meant' says, which is called with a shard
 * locked. */
typedef bool cache_key_fn(void *context, struct slice key);
void cache_clear_some(struct cache *cache, cache_key_fn *is_meant,
                      void *context);

/* Walks over the copies of all keys page by page: calls 'visit' with each key
 * of the next bins from '*cursor' on (0 begins), until at least 'count' were
 * visited; '*cursor' becomes 0 at the end, and is always below 2^44.  Each key
 * that is there throughout is visited at least once, expired ones too.  Keys
 * are copied out first: 'visit' runs without a lock. */
void cache_scan(struct cache *cache, uint64_t *cursor, size_t count,
                void (*visit)(void *context, struct slice key,
                              const struct copy *copy),
                void *context);

/* Changes the limit at run time.  What is too much goes in small steps: by the
 * next puts and by cache_expire_some(). */
void cache_set_max_bytes(struct cache *cache, size_t max_bytes);

/* Changes the share of negative copies at run time, likewise in small steps. */
void cache_set_negative_share(struct cache *cache, int64_t millionths);

/* To be called by a timer: looks at about 'max' entries, going on where the
 * last call ended, and drops the expired ones that are not dirty; then, if the
 * limit is exceeded, evicts up to 'max'.  Returns how many it dropped and
 * evicted: when that is much of 'max', another call soon is worth it. */
size_t cache_expire_some(struct cache *cache, int64_t wall_ms, size_t max);

/* What expired or was evicted. */
struct losses *cache_losses(struct cache *cache);

struct cache_usage {
    size_t entries;
    size_t negative_entries;
    size_t negative_bytes; /* Of those counted against their share. */
    size_t dirty_entries;
    size_t memory_only_entries;
    size_t used_bytes; /* Entries and index, as the allocator rounds them. */
    size_t max_bytes;
    uint64_t evictions;
    uint64_t expirations;
};
void cache_usage(struct cache *cache, struct cache_usage *usage);

/* Bytes that 'key' costs, 0 if it is not there. */
size_t cache_entry_bytes(struct cache *cache, struct slice key, uint64_t hash);

#endif
