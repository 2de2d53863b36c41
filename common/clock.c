/* SPDX-License-Identifier: MIT */
/*
 * The system's clocks, or one number that a test moves.
 *
 * Reading is one atomic load in front of clock_gettime(2), which does not enter
 * the kernel.
 *
 * Moving the clock calls the wakers one after the other without the lock held,
 * for they take locks of their own and wait.  The flag 'moving' keeps the list
 * as it is meanwhile: whoever wants to change it, or to move the clock too,
 * waits for the flag.  So a waker is never called after clock_off_advance()
 * has returned.
 */
#include "common/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"

#define US_PER_S INT64_C(1000000)
#define NO_TIME INT64_MIN /* The clock is the system's. */
#define MANUAL_WALL_MS INT64_C(1700000000000)

/* What the clock shows while a test holds it, else NO_TIME.  Written under
 * 'lock'.  Release, paired with the acquire of readers: who sees the new time
 * sees what the test did before it moved the clock. */
static _Atomic int64_t manual_us = NO_TIME;

struct waker {
    void (*wake)(void *arg);
    void *arg;
};

/* A static mutex cannot be ranked by mutex_init(), so all of this is set up at
 * the first use that needs it. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct mutex lock; /* Rank LOCK_CLOCK; never held while waking. */
static struct cond moved; /* 'moving' became false. */
static bool moving GUARDED_BY(lock);
static struct waker *wakers GUARDED_BY(lock); /* Owned; 'n_wakers' of them. */
static size_t n_wakers GUARDED_BY(lock);

/* Set on threads that the movers wait for; they must not move the clock. */
static _Thread_local bool is_waited_for;

static void set_up(void)
{
    mutex_init(&lock, LOCK_CLOCK, "clock");
    cond_init(&moved);
}

static int64_t read_system(clockid_t id)
{
    struct timespec now;

    (void)clock_gettime(id, &now);
    return now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
    const int64_t manual =
        atomic_load_explicit(&manual_us, memory_order_acquire);

    return manual != NO_TIME ? manual : clock_real_us();
}

int64_t clock_real_us(void)
{
    return read_system(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    const int64_t manual =
        atomic_load_explicit(&manual_us, memory_order_acquire);

    return manual != NO_TIME ? MANUAL_WALL_MS * 1000 + manual
                             : read_system(CLOCK_REALTIME);
}

int64_t clock_wall_ms(void)
{
    return clock_wall_us() / 1000;
}

bool clock_is_manual(void)
{
    return atomic_load_explicit(&manual_us, memory_order_acquire) != NO_TIME;
}

static void lock_still(void) ACQUIRE(lock)
{
    (void)pthread_once(&once, set_up);
    mutex_lock(&lock);
    while (moving) {
        cond_wait(&moved, &lock);
    }
}

/* Sets the clock to 'us' (NO_TIME: to the system's), or moves it on by 'us';
 * then wakes everybody and waits for them. */
static void move(bool relative, int64_t us)
{
    if (is_waited_for) {
        log_fatal("clock: moved by a timer's function, which the mover would "
                  "wait for");
    }
    lock_still();
    if (relative) {
        const int64_t before =
            atomic_load_explicit(&manual_us, memory_order_relaxed);
        if (before == NO_TIME || us < 0) {
            log_fatal("clock: only a manual clock can be advanced, and only "
                      "forward");
        }
        us += before;
    }
    atomic_store_explicit(&manual_us, us, memory_order_release);
    moving = true;
    /* The list does not change while 'moving' is set. */
    const struct waker *const list = wakers;
    const size_t n_list = n_wakers;
    mutex_unlock(&lock);

    for (size_t i = 0; i < n_list; i++) {
        list[i].wake(list[i].arg);
    }

    mutex_lock(&lock);
    moving = false;
    cond_broadcast(&moved);
    mutex_unlock(&lock);
}

void clock_set_manual(int64_t now_us)
{
    assert(now_us != NO_TIME);
    move(false, now_us);
}

void clock_advance(int64_t delta_us)
{
    move(true, delta_us);
}

void clock_set_real(void)
{
    move(false, NO_TIME);
}

void clock_on_advance(void (*wake)(void *arg), void *arg)
{
    lock_still();
    wakers = xrealloc(wakers, (n_wakers + 1) * sizeof(*wakers));
    wakers[n_wakers++] = (struct waker){.wake = wake, .arg = arg};
    mutex_unlock(&lock);
}

void clock_off_advance(void (*wake)(void *arg), void *arg)
{
    lock_still();
    for (size_t i = 0; i < n_wakers; i++) {
        if (wakers[i].wake == wake && wakers[i].arg == arg) {
            wakers[i] = wakers[--n_wakers];
            break;
        }
    }
    if (n_wakers == 0) {
        free(wakers);
        wakers = NULL;
    }
    mutex_unlock(&lock);
}

void clock_is_waited_for(void)
{
    is_waited_for = true;
}
