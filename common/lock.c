/* SPDX-License-Identifier: MIT */
/*
 * Locks over pthreads, and the checks of debug builds.
 *
 * Each thread keeps a small list of the locks it holds.  Taking one looks the
 * list through: it must not be there already, and must come after every lock
 * that is.  "After" means a higher rank, or, for those of which
 * several may be held, the same rank and a higher address.  That is a strict order over all locks of the program;
 * a cycle of threads that wait for each other would need one of them to go
 * against it.  A trylock does not wait, so it may go against the order.
 *
 * With NDEBUG the list and its checks are gone, and a lock costs what pthreads
 * costs.
 */
#include "common/lock.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

/* ---- what this thread holds ---- */

#ifndef NDEBUG

/* Nothing takes more at once than chan_select(), SELECT_CASES_MAX (32), and a
 * group of writes, all shards of flights (32); in front of them what the caller
 * holds, behind them what that leads to.  TSan, too, knows of 64 at most. */
#define HELD_MAX 64

struct held {
    const void *lock;
    enum lock_rank rank;
    const char *name;
};

static _Thread_local struct held held[HELD_MAX];
static _Thread_local size_t n_held;

static struct held *find_held(const void *lock)
{
    for (size_t i = n_held; i > 0; i--) {
        if (held[i - 1].lock == lock) {
            return &held[i - 1];
        }
    }
    return NULL;
}

/* True if a thread that holds 'first' may wait for 'next'. */
static bool in_order(const struct held *first, const struct held *next)
{
    if (first->rank == next->rank &&
        (next->rank == LOCK_CHAN || next->rank == LOCK_FLIGHT)) {
        return (uintptr_t)first->lock < (uintptr_t)next->lock;
    }
    return first->rank < next->rank;
}

/* Called before waiting for a lock, so that the report comes instead of the
 * deadlock. */
static void check_order(const void *lock, enum lock_rank rank, const char *name)
{
    const struct held next = {.lock = lock, .rank = rank, .name = name};

    if (find_held(lock) != NULL) {
        log_fatal("lock: \"%s\" taken twice by one thread", name);
    }
    for (size_t i = 0; i < n_held; i++) {
        if (!in_order(&held[i], &next)) {
            log_fatal("lock: \"%s\" (rank %d) taken while holding \"%s\" "
                      "(rank %d): wrong order",
                      name, (int)rank, held[i].name, (int)held[i].rank);
        }
    }
}

static void note_taken(const void *lock, enum lock_rank rank, const char *name)
{
    if (n_held == HELD_MAX) {
        log_fatal("lock: \"%s\" is one lock too many for one thread (%d)", name,
                  HELD_MAX);
    }
    held[n_held++] = (struct held){.lock = lock, .rank = rank, .name = name};
}

static void note_released(const void *lock, const char *name)
{
    struct held *const found = find_held(lock);

    if (found == NULL) {
        log_fatal("lock: \"%s\" released by a thread that does not hold it",
                  name);
    }
    *found = held[--n_held];
}

static void check_free(const void *lock, const char *name)
{
    if (find_held(lock) != NULL) {
        log_fatal("lock: \"%s\" destroyed while held", name);
    }
}

/* A thread that sleeps on a condition gives up that one mutex; whoever needs
 * another one of its locks would wait as long as it sleeps. */
static void check_sleep(const void *lock, const char *name)
{
    if (find_held(lock) == NULL) {
        log_fatal("lock: waiting with \"%s\", which is not held", name);
    }
    for (size_t i = 0; i < n_held; i++) {
        if (held[i].lock != lock) {
            log_fatal("lock: waiting with \"%s\" while also holding \"%s\"",
                      name, held[i].name);
        }
    }
}

#else

static inline void check_order(const void *lock, enum lock_rank rank,
                               const char *name)
{
    (void)lock, (void)rank, (void)name;
}
static inline void note_taken(const void *lock, enum lock_rank rank,
                              const char *name)
{
    (void)lock, (void)rank, (void)name;
}
static inline void note_released(const void *lock, const char *name)
{
    (void)lock, (void)name;
}
static inline void check_free(const void *lock, const char *name)
{
    (void)lock, (void)name;
}
static inline void check_sleep(const void *lock, const char *name)
{
    (void)lock, (void)name;
}

#endif

/* pthreads report misuse, and nothing else, as a number. */
static void check(int error, const char *what, const char *name)
{
    if (error != 0) {
        log_fatal("lock: %s failed on \"%s\": %s", what, name, strerror(error));
    }
}

/* Giving a lock back is the last look at it: whoever takes it next may destroy
 * it at once.  So the unlock functions fetch its name before. */

/* ---- mutex ---- */

void mutex_init(struct mutex *m, enum lock_rank rank, const char *name)
{
    check(pthread_mutex_init(&m->raw, NULL), "init", name);
    m->rank = rank;
    m->name = name;
}

void mutex_destroy(struct mutex *m)
{
    check_free(m, m->name);
    check(pthread_mutex_destroy(&m->raw), "destroy", m->name);
}

void mutex_lock(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
    check_order(m, m->rank, m->name);
    check(pthread_mutex_lock(&m->raw), "lock", m->name);
    note_taken(m, m->rank, m->name);
}

bool mutex_trylock(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
    const int error = pthread_mutex_trylock(&m->raw);

    if (error == EBUSY) {
        return false;
    }
    check(error, "trylock", m->name);
    note_taken(m, m->rank, m->name);
    return true;
}

void mutex_unlock(struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
    const char *const name = m->name;

    note_released(m, name);
    check(pthread_mutex_unlock(&m->raw), "unlock", name);
}

/* ---- rwlock ---- */

void rwlock_init(struct rwlock *l, enum lock_rank rank, const char *name)
{
    pthread_rwlockattr_t attr;

    check(pthread_rwlockattr_init(&attr), "init", name);
    /* A writer that waits holds new readers off: otherwise a stream of readers
     * that overlap keeps it out for ever.  That makes reading twice a
     * deadlock, which the check for "taken twice" excludes. */
    check(pthread_rwlockattr_setkind_np(
              &attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP),
          "init", name);
    check(pthread_rwlock_init(&l->raw, &attr), "init", name);
    check(pthread_rwlockattr_destroy(&attr), "init", name);
    l->rank = rank;
    l->name = name;
}

void rwlock_destroy(struct rwlock *l)
{
    check_free(l, l->name);
    check(pthread_rwlock_destroy(&l->raw), "destroy", l->name);
}

void rwlock_rdlock(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
    check_order(l, l->rank, l->name);
    check(pthread_rwlock_rdlock(&l->raw), "rdlock", l->name);
    note_taken(l, l->rank, l->name);
}

void rwlock_rdunlock(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
    const char *const name = l->name;

    note_released(l, name);
    check(pthread_rwlock_unlock(&l->raw), "unlock", name);
}

void rwlock_wrlock(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
    check_order(l, l->rank, l->name);
    check(pthread_rwlock_wrlock(&l->raw), "wrlock", l->name);
    note_taken(l, l->rank, l->name);
}

void rwlock_wrunlock(struct rwlock *l) NO_THREAD_SAFETY_ANALYSIS
{
    const char *const name = l->name;

    note_released(l, name);
    check(pthread_rwlock_unlock(&l->raw), "unlock", name);
}

/* ---- cond ---- */

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;

    check(pthread_condattr_init(&attr), "init", "cond");
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), "init", "cond");
    check(pthread_cond_init(&c->raw, &attr), "init", "cond");
    check(pthread_condattr_destroy(&attr), "init", "cond");
}

void cond_destroy(struct cond *c)
{
    check(pthread_cond_destroy(&c->raw), "destroy", "cond");
}

void cond_signal(struct cond *c)
{
    check(pthread_cond_signal(&c->raw), "signal", "cond");
}

void cond_broadcast(struct cond *c)
{
    check(pthread_cond_broadcast(&c->raw), "broadcast", "cond");
}

void cond_wait(struct cond *c, struct mutex *m) NO_THREAD_SAFETY_ANALYSIS
{
    check_sleep(m, m->name);
    note_released(m, m->name);
    check(pthread_cond_wait(&c->raw, &m->raw), "wait", m->name);
    note_taken(m, m->rank, m->name);
}

bool cond_wait_until(struct cond *c, struct mutex *m,
                     int64_t deadline_us) NO_THREAD_SAFETY_ANALYSIS
{
    const int64_t us = deadline_us < 0 ? 0 : deadline_us;
    const struct timespec deadline = {.tv_sec = us / 1000000,
                                      .tv_nsec = us % 1000000 * 1000};

    check_sleep(m, m->name);
    note_released(m, m->name);
    const int error = pthread_cond_timedwait(&c->raw, &m->raw, &deadline);
    note_taken(m, m->rank, m->name);
    if (error == ETIMEDOUT) {
        return false;
    }
    check(error, "wait", m->name);
    return true;
}
