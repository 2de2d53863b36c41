/* SPDX-License-Identifier: MIT */
/*
 * A binary heap under a mutex, and a thread that sleeps until its root is due.
 *
 *     heap[0]  earliest          children of heap[i]: heap[2i+1], heap[2i+2]
 *
 * Each timer knows its place, so cancelling costs as little as adding: O(log
 * n). The thread takes a timer out of the heap under the lock and calls its
 * function without it.  Taking it out is the moment that decides between
 * timers_cancel() and the function.
 *
 * On the manual clock the thread sleeps without a deadline; moving the clock
 * calls catch_up(), which wakes it and waits until it has nothing due.
 */
#include "common/timer.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"

struct timers {
    struct thread thread; /* Of the owner. */
    bool joined;          /* Of the owner: timers_stop() is through. */

    struct mutex lock;  /* Rank LOCK_TIMER; never held while a timer fires. */
    struct cond sooner; /* The thread must look again: new root, clock, stop. */
    struct cond idle;   /* The thread has found nothing due. */
    struct timer **heap GUARDED_BY(lock); /* Owned; 'n_places' of them. */
    size_t n_places GUARDED_BY(lock);
    size_t count GUARDED_BY(lock); /* Timers in the heap. */
    bool firing GUARDED_BY(lock);  /* A timer's function runs. */
    bool stopping GUARDED_BY(lock);
};

/* ---- the heap ---- */

static void put(struct timers *t, size_t index, struct timer *timer)
    REQUIRES(t->lock)
{
    t->heap[index] = timer;
    timer->place = index + 1;
}

/* Moves 'timer', which belongs at 'index' or nearer to the root. */
static void sift_up(struct timers *t, size_t index, struct timer *timer)
    REQUIRES(t->lock)
{
    while (index > 0) {
        const size_t parent = (index - 1) / 2;

        if (t->heap[parent]->due_us <= timer->due_us) {
            break;
        }
        put(t, index, t->heap[parent]);
        index = parent;
    }
    put(t, index, timer);
}

/* Moves 'timer', which belongs at 'index' or farther from the root. */
static void sift_down(struct timers *t, size_t index, struct timer *timer)
    REQUIRES(t->lock)
{
    for (;;) {
        size_t child = 2 * index + 1;

        if (child + 1 < t->count &&
            t->heap[child + 1]->due_us < t->heap[child]->due_us) {
            child++;
        }
        if (child >= t->count || timer->due_us <= t->heap[child]->due_us) {
            break;
        }
        put(t, index, t->heap[child]);
        index = child;
    }
    put(t, index, timer);
}

static void insert(struct timers *t, struct timer *timer) REQUIRES(t->lock)
{
    if (t->count == t->n_places) {
        t->n_places = t->n_places == 0 ? 64 : 2 * t->n_places;
        t->heap = xrealloc(t->heap, t->n_places * sizeof(*t->heap));
    }
    t->count++;
    sift_up(t, t->count - 1, timer);
}

/* Takes 'timer' out; the last one fills the gap, and then finds its place. */
static void take_out(struct timers *t, struct timer *timer) REQUIRES(t->lock)
{
    const size_t gap = timer->place - 1;

    assert(gap < t->count && t->heap[gap] == timer);
    timer->place = 0;
    t->count--;
    if (gap < t->count) {
        struct timer *const last = t->heap[t->count];

        if (last->due_us < timer->due_us) {
            sift_up(t, gap, last);
        } else {
            sift_down(t, gap, last);
        }
    }
}

/* ---- the thread ---- */

static bool is_due(const struct timers *t) REQUIRES(t->lock)
{
    return t->count > 0 && t->heap[0]->due_us <= clock_now_us();
}

static void fire_root(struct timers *t) REQUIRES(t->lock)
{
    struct timer *const timer = t->heap[0];
    timer_fn *const fire = timer->fire;

    take_out(t, timer);
    t->firing = true;
    mutex_unlock(&t->lock);
    fire(timer); /* The timer may be gone, or waiting again, after this. */
    mutex_lock(&t->lock);
    t->firing = false;
}

static void run(void *arg)
{
    struct timers *const t = arg;

    clock_is_waited_for();
    mutex_lock(&t->lock);
    while (!t->stopping) {
        if (is_due(t)) {
            fire_root(t);
            continue;
        }
        cond_broadcast(&t->idle);
        if (t->count == 0 || clock_is_manual()) {
            cond_wait(&t->sooner, &t->lock);
        } else {
            (void)cond_wait_until(&t->sooner, &t->lock, t->heap[0]->due_us);
        }
    }
    cond_broadcast(&t->idle);
    mutex_unlock(&t->lock);
}

/* The waker of clock.h: the clock shows another time now. */
static void catch_up(void *arg)
{
    struct timers *const t = arg;

    mutex_lock(&t->lock);
    cond_signal(&t->sooner);
    while (!t->stopping && (t->firing || is_due(t))) {
        cond_wait(&t->idle, &t->lock);
    }
    mutex_unlock(&t->lock);
}

/* ---- the interface ---- */

enum err timers_start(struct timers **timersp)
{
    struct timers *const t = xmalloc(sizeof(*t));

    *t = (struct timers){.count = 0};
    mutex_init(&t->lock, LOCK_TIMER, "timers");
    cond_init(&t->sooner);
    cond_init(&t->idle);
    clock_on_advance(catch_up, t);
    const enum err err = thread_start(&t->thread, "timers", run, t);
    if (err != ERR_OK) {
        t->joined = true; /* There is nobody to join. */
        timers_free(t);
        return err;
    }
    *timersp = t;
    return ERR_OK;
}

void timers_stop(struct timers *t)
{
    if (t->joined) {
        return;
    }
    mutex_lock(&t->lock);
    t->stopping = true;
    cond_signal(&t->sooner);
    mutex_unlock(&t->lock);
    thread_join(&t->thread);
    t->joined = true;
}

void timers_free(struct timers *t)
{
    if (t == NULL) {
        return;
    }
    timers_stop(t);
    clock_off_advance(catch_up, t);
    mutex_lock(&t->lock);
    struct timer **const heap = t->heap;
    mutex_unlock(&t->lock);
    free(heap);
    cond_destroy(&t->idle);
    cond_destroy(&t->sooner);
    mutex_destroy(&t->lock);
    free(t);
}

void timers_add(struct timers *t, struct timer *timer, int64_t due_us,
                timer_fn *fire)
{
    mutex_lock(&t->lock);
    if (timer->place != 0) {
        log_fatal("timer: added while it waits already");
    }
    timer->due_us = due_us;
    timer->fire = fire;
    insert(t, timer);
    if (timer->place == 1) {
        cond_signal(&t->sooner);
    }
    mutex_unlock(&t->lock);
}

bool timers_cancel(struct timers *t, struct timer *timer)
{
    mutex_lock(&t->lock);
    const bool waiting = timer->place != 0;
    if (waiting) {
        take_out(t, timer);
    }
    mutex_unlock(&t->lock);
    return waiting;
}

size_t timers_count(struct timers *t)
{
    mutex_lock(&t->lock);
    const size_t count = t->count;
    mutex_unlock(&t->lock);
    return count;
}
