/* SPDX-License-Identifier: MIT */
/*
 * A count under a mutex and a condition that says "it is zero".
 *
 * The last wg_done() signals while it holds the lock: whoever waits can only
 * return, and destroy the group, after the lock was given back.
 */
#include "common/waitgroup.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"

void wg_init(struct waitgroup *wg)
{
    *wg = (struct waitgroup){.count = 0};
    mutex_init(&wg->lock, LOCK_WG, "waitgroup");
    cond_init(&wg->zero);
}

void wg_destroy(struct waitgroup *wg)
{
    mutex_lock(&wg->lock);
    const long count = wg->count;
    mutex_unlock(&wg->lock);

    if (count != 0) {
        log_fatal("waitgroup: destroyed while not done count=%ld", count);
    }
    cond_destroy(&wg->zero);
    mutex_destroy(&wg->lock);
}

void wg_add(struct waitgroup *wg, long delta)
{
    mutex_lock(&wg->lock);
    wg->count += delta;
    const long count = wg->count;
    if (count < 0) {
        log_fatal("waitgroup: more done than added count=%ld", count);
    }
    if (count == 0) {
        cond_broadcast(&wg->zero);
    }
    mutex_unlock(&wg->lock);
}

void wg_done(struct waitgroup *wg)
{
    wg_add(wg, -1);
}

void wg_wait(struct waitgroup *wg)
{
    mutex_lock(&wg->lock);
    while (wg->count > 0) {
        cond_wait(&wg->zero, &wg->lock);
    }
    mutex_unlock(&wg->lock);
}

/* What a thread of wg_go() is told; it frees it. */
struct go {
    struct waitgroup *wg;
    thread_fn *fn;
    void *arg;
};

static void go(void *arg)
{
    const struct go go = *(struct go *)arg;

    free(arg);
    go.fn(go.arg);
    wg_done(go.wg);
}

enum err wg_go(struct waitgroup *wg, const char *name, thread_fn *fn, void *arg)
{
    struct go *const told = xmalloc(sizeof(*told));

    *told = (struct go){.wg = wg, .fn = fn, .arg = arg};
    wg_add(wg, 1);
    const enum err err = thread_start_detached(name, go, told);
    if (err != ERR_OK) {
        free(told);
        wg_done(wg);
    }
    return err;
}
