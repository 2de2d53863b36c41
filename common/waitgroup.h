/* SPDX-License-Identifier: MIT */
/*
 * WaitGroup: waits for a number of things to be done, without sleeping and
 * without asking again.
 *
 * Thread-safety: any thread; all adds that a wait shall see must happen
 * before it.  A count below zero aborts.
 */
#ifndef COMMON_WAITGROUP_H
#define COMMON_WAITGROUP_H

#include "common/lock.h"
#include "common/thread.h"

struct waitgroup {
    struct mutex lock; /* Rank LOCK_WG; held for a few instructions. */
    struct cond zero;  /* Signalled when 'count' becomes 0. */
    long count GUARDED_BY(lock);
};

void wg_init(struct waitgroup *wg);

/* Aborts if something is not done.  Right after wg_wait() is early enough. */
void wg_destroy(struct waitgroup *wg);

void wg_add(struct waitgroup *wg, long delta);
void wg_done(struct waitgroup *wg);

/* Returns when the count is 0.  The group may be used again afterwards. */
void wg_wait(struct waitgroup *wg);

/* Go's 'go func() { defer wg.Done(); … }()': adds one, runs 'fn(arg)' on a
 * detached thread, and is done when 'fn' has returned.  Errors: ERR_SYSTEM, and
 * then nothing was added. */
NODISCARD
enum err wg_go(struct waitgroup *wg, const char *name, thread_fn *fn,
               void *arg);

#endif
