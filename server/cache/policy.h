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
    struct ghost ghost; /* Of keys evicted from 'small'. */
};

#define VISITS_MAX 3

/* Frees the policy's memory, not the entries. */
void policy_destroy(struct policy *p);

/* Takes charge of the new entry 'e'; false when memory is exhausted. */
NODISCARD
bool policy_insert(struct policy *p, struct entry *e);

/* 'e' stands from now on where 'old' stood, and counts as visited. */
void policy_replace(struct policy *p, const struct entry *old, struct entry *e);

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

/* Chooses an entry to evict and forgets it.  Never one that is dirty, nor
 * 'keep'; one that is expired at 'wall_ms' as soon as it is seen.  Looks at a
 * bounded number of entries; NULL if none of those may go. */
struct entry *policy_victim(struct policy *p, const struct entry *keep,
                            int64_t wall_ms);

/* Bytes of queues and ghosts. */
size_t policy_size(const struct policy *p);

#endif
