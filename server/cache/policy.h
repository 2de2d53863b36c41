/* SPDX-License-Identifier: MIT */
/*
 * The eviction policy of one shard: whom to drop when memory runs out.
 *
 * It is S3-FIFO: a small queue, where newcomers prove themselves, and a main
 * queue.  A hit only counts a visit, up to VISITS_MAX, and moves nothing.
 *
 *                    ┌───────────── came back (its ghost is here) ───┐
 *     new ─► [ small, a tenth ] ──── visited ─────► [ main ] ◄───────┤
 *                    │                               │    └─ visited: round
 *                    └─ not visited: evicted,        │       again, one
 *                       leaves a ghost               │       visit less
 *                                                    └─ not visited: evicted
 *
 * A scan of everything once passes through the small queue and leaves the main
 * queue alone.
 * Source: Yang et al., "FIFO queues are all you need for cache eviction",
 * SOSP 2023.
 *
 * Queues are measured in entries, not in bytes: a large value takes the same
 * way as a small one.
 *
 * Negative copies that have memory of their own stand apart, in a queue where
 * visits do not count: the oldest goes first.  So a scan of keys that do not
 * exist meets no value.
 *
 * Thread-safety: policy_visit() under the shard's read lock, everything else
 * under its write lock.
 */
#ifndef SERVER_CACHE_POLICY_H
#define SERVER_CACHE_POLICY_H

#include "server/cache/entry.h"
#include "server/cache/ghost.h"
#include "server/cache/ring.h"

/* Zeroed means empty. */
struct policy {
    struct ring small;
    struct ring main;
    struct ring negative;
    struct ghost ghost; /* Of keys evicted from 'small'. */
};

#define VISITS_MAX 3

/* Values of struct entry's 'queue'. */
enum policy_queue { QUEUE_SMALL, QUEUE_MAIN, QUEUE_NEGATIVE };

/* Frees the policy's memory, not the entries. */
void policy_destroy(struct policy *p);

/* Takes charge of the new entry 'e', 'apart' if it is a negative copy that has
 * memory of its own; false when memory is exhausted. */
NODISCARD
bool policy_insert(struct policy *p, struct entry *e, bool apart);

/* 'e' takes over from 'old' and counts as visited: it stands where 'old' stood,
 * unless only one of them stands apart.  False when memory is exhausted; then
 * nothing has changed. */
NODISCARD
bool policy_replace(struct policy *p, struct entry *old, struct entry *e,
                    bool apart);

/* 'e', which the policy is in charge of, stands apart from now on.  False when
 * memory is exhausted; then nothing has changed. */
NODISCARD
bool policy_set_apart(struct policy *p, struct entry *e);

/* True if 'e', which the policy is in charge of, stands apart. */
bool policy_stands_apart(const struct entry *e);

/* Forgets 'e', which leaves for another reason than eviction. */
void policy_remove(struct policy *p, struct entry *e);

/* 'e' was hit.  Two threads that visit at once may count as one. */
static inline void policy_visit(struct entry *e)
{
    const uint8_t visits =
        atomic_load_explicit(&e->visits, memory_order_relaxed);

    if (visits < VISITS_MAX) {
        atomic_store_explicit(&e->visits, visits + 1, memory_order_relaxed);
    }
}

/* Chooses an entry to evict and forgets it.  Never one that is dirty, that
 * stands apart, nor 'keep'; one that is expired at 'wall_ms' as soon as it is
 * seen.  Looks at a bounded number of entries; NULL if none of those may go. */
struct entry *policy_victim(struct policy *p, const struct entry *keep,
                            int64_t wall_ms);

/* Chooses the oldest entry that stands apart and forgets it; NULL if there is
 * none, or that is 'keep'. */
struct entry *policy_oldest_apart(struct policy *p, const struct entry *keep);

/* Bytes of queues and ghosts. */
size_t policy_size(const struct policy *p);

#endif
