/* SPDX-License-Identifier: MIT */
#include "server/command/pause.h"

#include "common/clock.h"
#include "common/lock.h"
#include "common/mem.h"

#include <stdatomic.h>

struct waiter {
    struct chan_tx home;
    task_fn *resume;
    void *arg;
};

struct pause {
    /* Written under the lock.  Relaxed: a command that comes at the moment of
     * the pause may run before or after it. */
    _Atomic enum pause_kind kind;
    struct mutex lock; /* Rank LOCK_LEAF. */
    int64_t end_us GUARDED_BY(lock);
    struct waiter *waiters GUARDED_BY(lock); /* One for a loop. */
    size_t n_waiters GUARDED_BY(lock);
};

struct pause *pause_new(void)
{
    struct pause *pause = xcalloc(1, sizeof *pause);

    mutex_init(&pause->lock, LOCK_LEAF, "pause");
    return pause;
}

void pause_free(struct pause *pause)
{
    if (pause == NULL) {
        return;
    }
    mutex_lock(&pause->lock);
    free(pause->waiters);
    mutex_unlock(&pause->lock);
    mutex_destroy(&pause->lock);
    free(pause);
}

/* ---- begin and end ---- */

enum pause_kind pause_kind(const struct pause *pause)
{
    return atomic_load_explicit(&pause->kind, memory_order_relaxed);
}

static void set_kind(struct pause *pause, enum pause_kind kind)
{
    atomic_store_explicit(&pause->kind, kind, memory_order_relaxed);
}

void pause_begin(struct pause *pause, enum pause_kind kind, int64_t end_us)
{
    const int64_t now_us = clock_now_us();

    mutex_lock(&pause->lock);
    const bool is_over = pause->end_us <= now_us;
    if (is_over || end_us > pause->end_us) {
        pause->end_us = end_us;
    }
    if (is_over || kind > pause_kind(pause)) {
        set_kind(pause, kind);
    }
    mutex_unlock(&pause->lock);
}

void pause_end(struct pause *pause)
{
    mutex_lock(&pause->lock);
    struct waiter *waiters = pause->waiters;
    const size_t n = pause->n_waiters;
    pause->waiters = NULL;
    pause->n_waiters = 0;
    pause->end_us = 0;
    set_kind(pause, PAUSE_NONE);
    mutex_unlock(&pause->lock);

    for (size_t i = 0; i < n; i++) {
        (void)task_post(waiters[i].home, waiters[i].resume, waiters[i].arg);
    }
    free(waiters);
}

/* ---- who waits ---- */

/* True: 'arg' had been noted before. */
static bool is_noted(const struct pause *pause, const void *arg)
    REQUIRES(pause->lock)
{
    for (size_t i = 0; i < pause->n_waiters; i++) {
        if (pause->waiters[i].arg == arg) {
            return true;
        }
    }
    return false;
}

int64_t pause_wait(struct pause *pause, struct chan_tx home, task_fn *resume,
                   void *arg)
{
    const int64_t now_us = clock_now_us();

    mutex_lock(&pause->lock);
    const int64_t end_us = pause->end_us;
    if (end_us <= now_us) {
        set_kind(pause, PAUSE_NONE);
    } else if (!is_noted(pause, arg)) {
        pause->waiters = xrealloc(pause->waiters, (pause->n_waiters + 1) *
                                                      sizeof pause->waiters[0]);
        pause->waiters[pause->n_waiters++] =
            (struct waiter){.home = home, .resume = resume, .arg = arg};
    }
    mutex_unlock(&pause->lock);
    return end_us;
}
