/* SPDX-License-Identifier: MIT */
/*
 * Mutex, reader-writer lock and condition: pthreads, annotated for clang's
 * -Wthread-safety and ranked.
 *
 * Every lock has a rank.  A thread may only take a lock of a higher rank than
 * any it holds, so no cycle of waiting threads can form.  Two exceptions: locks
 * of rank LOCK_CHAN, or of rank LOCK_FLIGHT, may be held together, if taken in
 * the order of ascending addresses: a select looks at all its channels at once,
 * and a group of writes touches all its keys at once.
 *
 * Debug builds keep the held locks of each thread and abort with both names
 * when the rule is broken, when a lock is taken twice (a read lock too), or
 * released by a stranger, or when a thread goes to sleep on a condition while
 * it holds another lock.  So no lock may be held across anything that waits:
 * chan_send() and chan_recv() that may, wg_wait(), clock_advance().
 *
 * All functions abort on misuse; none can fail otherwise.
 *
 * Thread-safety: any thread; init and destroy while nobody else uses it.
 */
#ifndef COMMON_LOCK_H
#define COMMON_LOCK_H

#include "common/attr.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__clang__)
#define CAPABILITY(name) __attribute__((capability(name)))
#ifdef HAVE_GUARDED_BY_MEMBER /* From configure: clang can look it up. */
#define GUARDED_BY(lock) __attribute__((guarded_by(lock)))
#else
#define GUARDED_BY(lock) __attribute__((guarded_var))
#endif
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define REQUIRES_SHARED(...) \
    __attribute__((requires_shared_capability(__VA_ARGS__)))
#define EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))
#define ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define ACQUIRE_SHARED(...) \
    __attribute__((acquire_shared_capability(__VA_ARGS__)))
#define RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define RELEASE_SHARED(...) \
    __attribute__((release_shared_capability(__VA_ARGS__)))
#define TRY_ACQUIRE(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define NO_THREAD_SAFETY_ANALYSIS __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(name)
#define GUARDED_BY(lock)
#define REQUIRES(...)
#define REQUIRES_SHARED(...)
#define EXCLUDES(...)
#define ACQUIRE(...)
#define ACQUIRE_SHARED(...)
#define RELEASE(...)
#define RELEASE_SHARED(...)
#define TRY_ACQUIRE(...)
#define NO_THREAD_SAFETY_ANALYSIS
#endif

/* Outermost first: while holding one, only those further down may be taken. */
enum lock_rank {
    LOCK_KEYSPACE, /* server/command/keyspace: who waits for the count. */
    LOCK_CLIENTS,  /* server/command/clients: the list of connections. */
    LOCK_ACL,      /* server/command/acl: the users. */
    LOCK_CONFIG,   /* server/admin/config: directives that are strings. */
    LOCK_FLIGHT,   /* server/lookup/flight: one shard of flights. */
    LOCK_WATCH,    /* server/lookup/watch: the keys of WATCH. */
    LOCK_PUBSUB,   /* server/command/pubsub: who subscribed to what. */
    LOCK_SHARD,    /* server/cache/shard: one shard of the cache. */
    LOCK_STORE,    /* server/store/pool: slots and the queue of the store. */
    LOCK_TIMER,    /* common/timer: the heap. */
    LOCK_CHAN,     /* common/chan: one channel; several by address. */
    LOCK_WAITER,   /* common/chan: one sleeping select. */
    LOCK_WG,       /* common/waitgroup. */
    LOCK_STATS,    /* server/admin/stats: the list of per-thread blocks. */
    LOCK_CLOCK,    /* common/clock: the manual clock. */
    LOCK_LEAF,     /* Anything that calls nothing while held. */
};

struct CAPABILITY("mutex") mutex {
    pthread_mutex_t raw;
    enum lock_rank rank;
    const char *name; /* Static; shown when a rule is broken. */
};

struct CAPABILITY("rwlock") rwlock {
    pthread_rwlock_t raw;
    enum lock_rank rank;
    const char *name;
};

struct cond {
    pthread_cond_t raw; /* On the monotonic clock. */
};

void mutex_init(struct mutex *m, enum lock_rank rank, const char *name);
void mutex_destroy(struct mutex *m);
void mutex_lock(struct mutex *m) ACQUIRE(*m);
bool mutex_trylock(struct mutex *m) TRY_ACQUIRE(true, *m);
void mutex_unlock(struct mutex *m) RELEASE(*m);

void rwlock_init(struct rwlock *l, enum lock_rank rank, const char *name);
void rwlock_destroy(struct rwlock *l);
void rwlock_rdlock(struct rwlock *l) ACQUIRE_SHARED(*l);
void rwlock_rdunlock(struct rwlock *l) RELEASE_SHARED(*l);
void rwlock_wrlock(struct rwlock *l) ACQUIRE(*l);
void rwlock_wrunlock(struct rwlock *l) RELEASE(*l);

void cond_init(struct cond *c);
void cond_destroy(struct cond *c);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);
void cond_wait(struct cond *c, struct mutex *m) REQUIRES(*m);
/* Sleeps until signalled or until the real monotonic clock shows
 * 'deadline_us'; returns false on the latter.  Not for the manual clock: use
 * timer.h for what a test must be able to move. */
bool cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_us)
    REQUIRES(*m);

#endif
