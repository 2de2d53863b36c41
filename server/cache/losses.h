/* SPDX-License-Identifier: MIT */
/*
 * Plain keys that are no more though nobody wrote: those whose expiry has
 * passed, and those of memory alone that had to make room.  The shards note
 * them, if somebody wants to know, and he takes them now and then.
 *
 * So many may be noted between two takings as fit into LOSSES_MAX_BYTES; of
 * what comes then it is noted only that it came.
 *
 * Thread-safety: any thread; one lock of rank LOCK_LEAF.
 */
#ifndef SERVER_CACHE_LOSSES_H
#define SERVER_CACHE_LOSSES_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/lock.h"

#include <stdatomic.h>

#define LOSSES_MAX_BYTES ((size_t)16 << 20)

enum cache_loss { CACHE_EXPIRED, CACHE_EVICTED };

/* Who may want to know. */
enum losses_for { LOSSES_FOR_EVENTS = 1, LOSSES_FOR_TRACKING = 2 };

struct losses {
    _Atomic unsigned wanted; /* By whom; relaxed. */
    struct mutex lock;       /* Rank LOCK_LEAF. */
    struct buf list GUARDED_BY(lock);
    bool missed GUARDED_BY(lock); /* There were more. */
};

void losses_init(struct losses *losses);
void losses_destroy(struct losses *losses);

/* Notes one, if that is wanted; 'losses' may be NULL. */
void losses_note(struct losses *losses, struct slice key, enum cache_loss loss);

/* What happens to a key that 'who' reads from here on is noted, or not. */
void losses_want(struct losses *losses, enum losses_for who, bool wanted);

/* Takes what was noted, for losses_next().  False: there were more. */
NODISCARD
bool losses_take(struct losses *losses, struct buf *list);

/* Takes the first off '*left', which begins as all of a list. */
bool losses_next(struct slice *left, struct slice *key, enum cache_loss *loss);

#endif
