/* SPDX-License-Identifier: MIT */
/*
 * One shard of the cache: a reader-writer lock over an index, a policy, and
 * the counts of what they hold.
 *
 * All shards share one budget of memory.  A shard tells it what it takes and
 * gives back; it asks it whether anything must be evicted.
 *
 * Thread-safety: any thread, after shard_init().  A hit takes the lock for
 * reading and writes nothing but the entry's visits; the budget is touched by
 * changes only.
 */
#ifndef SERVER_CACHE_SHARD_H
#define SERVER_CACHE_SHARD_H

#include "common/lock.h"
#include "server/cache/budget.h"
#include "server/cache/index.h"
#include "server/cache/losses.h"
#include "server/cache/policy.h"

struct shard {
    _Alignas(CACHE_LINE) struct rwlock lock; /* LOCK_SHARD. */
    struct index index GUARDED_BY(lock);
    struct policy policy GUARDED_BY(lock);
    size_t entry_bytes GUARDED_BY(lock);    /* Of all entries. */
    size_t pinned_bytes GUARDED_BY(lock);   /* Of the dirty ones. */
    size_t negative_bytes GUARDED_BY(lock); /* Of those that stand apart. */
    size_t charged_bytes GUARDED_BY(lock);  /* What the budget knows of. */
    size_t n_negative GUARDED_BY(lock);
    size_t n_dirty GUARDED_BY(lock);
    size_t n_memory_only GUARDED_BY(lock);
    size_t n_expiring GUARDED_BY(lock);  /* With an expiry. */
    uint32_t expire_at GUARDED_BY(lock); /* Position in the index where
                                            shard_expire() goes on. */
    uint64_t n_evicted GUARDED_BY(lock);
    uint64_t n_expired GUARDED_BY(lock);
    size_t n_shards;           /* Of the cache; constant. */
    struct budget *budget;     /* Borrowed; constant. */
    struct losses *losses;     /* Borrowed; may be NULL; constant. */
    _Atomic uint64_t *version; /* Likewise; of the last put of all. */
};

/* One of 'n_shards' that share '*budget' and draw versions from '*version'. */
void shard_init(struct shard *s, struct budget *budget,
                _Atomic uint64_t *version, size_t n_shards);
void shard_destroy(struct shard *s);

/* As cache_get(), or without 'visit' as cache_peek(). */
NODISCARD
bool shard_get(struct shard *s, const struct key *key, int64_t wall_ms,
               struct copy *copy, struct buf *out, bool visit);

/* Puts 'e', which becomes the shard's, in place of what 'key' had, and evicts
 * others if the budget says so.  The version goes to '*version'.  False when
 * memory is exhausted: then nothing has changed and 'e' is the caller's. */
NODISCARD
bool shard_put(struct shard *s, const struct key *key, struct entry *e,
               uint64_t *version);

/* Evicts entries other than 'keep', negative copies beyond their share first,
 * until the budget is held, no more than 'max', and no more than is good for
 * those who wait for the lock.  Returns how many went. */
size_t shard_evict(struct shard *s, const struct entry *keep, size_t max);

/* As shard_put(), but 'e' is hidden, what the key had goes to '*old' (or NULL),
 * and nothing is evicted. */
NODISCARD
bool shard_exchange(struct shard *s, const struct key *key, struct entry *e,
                    struct entry **old, uint64_t *version);
/* Takes that back: 'e' is the caller's again, unless it was evicted: then it is
 * gone, and false is returned.  'old' is the shard's, or gone likewise. */
bool shard_restore(struct shard *s, const struct key *key, struct entry *e,
                   struct entry *old);

/* Which entries a removal may take. */
enum shard_remove { REMOVE_ANY, REMOVE_IF_IN_STORE };
bool shard_remove(struct shard *s, const struct key *key,
                  enum shard_remove which);

/* As cache_remove_version(), cache_hide() and cache_dirty(). */
bool shard_remove_version(struct shard *s, const struct key *key,
                          uint64_t version);
bool shard_hide(struct shard *s, const struct key *key, bool hidden);
bool shard_dirty(struct shard *s, const struct key *key, int64_t *filled_us);

/* As cache_clean(). */
void shard_clean(struct shard *s, const struct key *key, uint64_t version);

/* Drops what is not dirty and 'is_meant' says (NULL: all), in steps: others have
 * their turn between them. */
void shard_clear(struct shard *s, cache_key_fn *is_meant, void *context);

/* Looks at some entries, about 'max' at most, and drops the expired ones that
 * are not dirty; the next call goes on behind them.  Adds the number dropped to
 * '*n_dropped' and returns the number looked at; 0 if no entry of the shard can
 * expire. */
size_t shard_expire(struct shard *s, int64_t wall_ms, size_t max,
                    size_t *n_dropped);

/* Appends entries from position '*at' on to 'out', each as shard_next() reads
 * it, at least 'n_wanted' if there are; '*at' is 0 again at the end. */
size_t shard_scan(struct shard *s, uint32_t *at, size_t n_wanted,
                  struct buf *out);

/* Takes the next entry of shard_scan() off 'page'; false if that is empty.
 * '*key' is valid until the buffer changes. */
bool shard_next(struct slice *page, struct slice *key, struct copy *copy);

/* Adds this shard's numbers to '*usage'. */
void shard_usage(struct shard *s, struct cache_usage *usage);

size_t shard_entry_bytes(struct shard *s, const struct key *key);

#endif
