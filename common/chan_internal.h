/* SPDX-License-Identifier: MIT */
/*
 * What chan.c and select.c share: the channel's insides and its waiters.
 *
 * A thread that must wait is a sleeper, on its own stack.  It leaves one
 * waiter with every channel it waits on, and whoever comes to one of these
 * channels with the other half of the exchange serves it: copies the value
 * straight between the two threads, and wakes it.
 *
 *     struct chan                            struct sleeper (a thread's stack)
 *     ┌─────────────┐     ┌─ waiter ─┐       ┌─────────────────────┐
 *     │ senders   ──┼────►│ &value   ├──────►│ lock, woken, served │
 *     │ receivers   │     └──────────┘   ┌──►│                     │
 *     └─────────────┘     ┌─ waiter ─┐   │   └─────────────────────┘
 *     another chan ──────►│ &value   ├───┘
 *                         └──────────┘
 *
 * A sleeper is settled once: by the first that serves it, or by itself when
 * its deadline passes.  Whoever finds it settled passes it over.  So of all
 * the cases of a select exactly one is carried out.
 *
 * Lists change under the channel's lock; a sleeper settles under its own,
 * which is taken inside.  A sleeper returns only after it has taken the locks
 * of all its channels again: then nobody looks at it any more, and it looks at
 * none of them.
 *
 * Only chan.c and select.c include this.
 */
#ifndef COMMON_CHAN_INTERNAL_H
#define COMMON_CHAN_INTERNAL_H

#include "common/chan.h"
#include "common/lock.h"

struct waiter;

struct sleeper {
    struct mutex lock; /* Rank LOCK_WAITER; held while one value is copied. */
    struct cond woken; /* Signalled when 'settled' becomes true. */
    bool settled GUARDED_BY(lock);          /* Served, or given up. */
    struct waiter *served GUARDED_BY(lock); /* Which one; NULL: given up. */
};

/* All under the lock of the channel it is left with. */
struct waiter {
    struct sleeper *sleeper;
    void *value;         /* A sender's to take, or a receiver's to fill. */
    struct waiter *prev; /* Towards who has waited longer. */
    struct waiter *next;
    bool queued; /* In the list of the channel. */
    bool closed; /* Served by chan_close(): no value was moved. */
};

/* First come, first served. */
struct waiters {
    struct waiter *first;
    struct waiter *last;
};

struct chan {
    /* Fixed by chan_new(). */
    size_t value_size; /* Bytes. */
    size_t capacity;   /* Values. */

    struct mutex lock; /* Rank LOCK_CHAN; held while one value is copied. */
    bool closed GUARDED_BY(lock);
    char *values GUARDED_BY(lock);    /* Owned: a ring of 'n_places'. */
    size_t n_places GUARDED_BY(lock); /* Grows by need up to 'capacity'. */
    size_t first GUARDED_BY(lock);    /* Place of the oldest value. */
    size_t count GUARDED_BY(lock);    /* Values in the ring. */
    struct waiters senders GUARDED_BY(lock);   /* Only when it is full. */
    struct waiters receivers GUARDED_BY(lock); /* Only when it is empty. */
    int event_fd GUARDED_BY(lock);             /* Owned; -1 until asked for. */
    bool signalled GUARDED_BY(lock); /* It is readable, or about to be. */

    /* Threads that will look at the channel once more though their exchange is
     * settled: sleepers that take their waiters back, and senders that write to
     * 'event_fd' after giving the lock back.  Goes up under the lock; release
     * by whoever leaves, acquire in chan_free(). */
    _Atomic int n_inside;
};

/* Gives the lock back, after making the eventfd readable if there is a value
 * now, or the end. */
void chan_unlock(struct chan *c) RELEASE(c->lock);

/* Sends if that needs no waiting.  Errors: ERR_FULL, ERR_CLOSED. */
enum err chan_send_locked(struct chan *c, const void *value) REQUIRES(c->lock);

/* Receives if that needs no waiting.  Errors: ERR_EMPTY, ERR_CLOSED. */
enum err chan_recv_locked(struct chan *c, void *value) REQUIRES(c->lock);

/* Puts 'w' at the end of 'list', or takes it out if it is still in it. */
void waiters_add(struct waiters *list, struct waiter *w);
void waiters_remove(struct waiters *list, struct waiter *w);

#endif
