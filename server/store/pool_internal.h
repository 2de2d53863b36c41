/* SPDX-License-Identifier: MIT */
/*
 * What the files of the pool share:
 *
 *     pool.c       slots, queue, breaker; reads that are delayed or hang; life
 *     pool_run.c   the threads: what they do with the reads that are ready
 *     pool_walk.c  walks, on the same threads
 */
#ifndef SERVER_STORE_POOL_INTERNAL_H
#define SERVER_STORE_POOL_INTERNAL_H

#include "common/lock.h"
#include "server/store/breaker.h"
#include "server/store/pool.h"
#include "server/store/simulate.h"

#include <stdatomic.h>

/* Linked by their own 'next' and 'previous'; in order of arrival. */
struct read_list {
    struct store_read *first;
    struct store_read *last;
    size_t count;
};

/* The call for one thread to come and see what is ready. */
struct hand {
    struct pool_job job;
    struct store_pool *pool;
    struct hand *next; /* Among the idle. */
};

struct store_pool {
    struct store_pool_options with;
    struct pool *readers; /* Threads, each with an engine_reader. */
    struct hand *hands;   /* Owned; one for each thread. */

    _Atomic uint64_t dice; /* simulate_draw(); relaxed. */
    _Atomic int64_t
        complained_us;         /* When a failure was last logged; relaxed. */
    _Atomic size_t n_unlogged; /* Failures since; relaxed. */

    /* Rank LOCK_STORE; never held across I/O or callbacks. */
    struct mutex lock;
    struct breaker breaker GUARDED_BY(lock);
    struct simulate_outage outage GUARDED_BY(lock);

    /* Slots taken by reads of the breaker's era, and by older ones. */
    size_t n_taken GUARDED_BY(lock);
    size_t n_abandoned GUARDED_BY(lock);
    struct read_list queue GUARDED_BY(lock); /* Wait for a slot. */

    /* With a slot, by start: no longer than store-timeout, or longer. */
    struct read_list running GUARDED_BY(lock);
    struct read_list overdue GUARDED_BY(lock);
    struct timer watch GUARDED_BY(lock); /* Looks for overdue reads. */
    bool watching GUARDED_BY(lock);      /* It waits, or fires. */
    size_t n_delayed GUARDED_BY(lock);   /* Of both: wait on their timers. */
    size_t n_parked GUARDED_BY(lock);    /* Of both: played to hang. */

    /* Of both, those that no thread has begun; linked by 'next_ready'. */
    struct store_read *ready GUARDED_BY(lock);
    struct store_read **ready_end GUARDED_BY(lock);
    size_t n_ready GUARDED_BY(lock);
    uint64_t n_begun GUARDED_BY(lock);  /* Ever taken from the front. */
    struct hand *idle GUARDED_BY(lock); /* Threads to be called. */
    size_t n_coming GUARDED_BY(lock);   /* Called, but not there yet. */

    size_t n_walks GUARDED_BY(lock);          /* Begun and not ended. */
    bool stopping GUARDED_BY(lock);           /* Never false again. */
    struct buf *open_detail GUARDED_BY(lock); /* Set while readers open. */
    struct cond gone; /* Signalled when stopping and nothing is left. */
};

/* ---- pool.c ---- */

/* Hands 'job' to the threads. */
void store_pool_submit(struct store_pool *pool, struct pool_job *job);
void store_pool_signal_if_idle(struct store_pool *pool) REQUIRES(pool->lock);
/* Chooses an idle thread if there is something to do and nobody is coming; to
 * be submitted by the caller, without the lock, unless NULL. */
struct hand *store_pool_choose_hand(struct store_pool *pool)
    REQUIRES(pool->lock);

/* A read has its answer, in 'result': it ends 'due_us' on clock_now_us(), or at
 * once if that has passed. */
void store_pool_answer_at(struct store_pool *pool, struct store_read *read,
                          int64_t due_us);

/* May 'read', which has failed, be asked of the engine again? */
bool store_pool_may_retry(struct store_pool *pool,
                          const struct store_read *read);

/* Counts a failure, and logs it unless one was logged just now. */
void store_pool_complain(struct store_pool *pool, const char *what,
                         enum err err, struct buf *detail);

/* ---- pool_run.c ---- */

void store_pool_work(struct pool_job *job, void *worker);

#endif
