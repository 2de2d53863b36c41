/* SPDX-License-Identifier: MIT */
/*
 * The pool: a channel of pointers to jobs, and threads that range over it.
 *
 * There is no lock here.  The channel orders everything but withdrawing, and
 * that is one compare-and-swap between the submitter and the worker.
 */
#include "common/pool.h"

#include <assert.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/chan.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/waitgroup.h"

struct worker {
    struct pool *pool;
    size_t index;         /* 0 up to 'n_workers'. */
    struct thread thread; /* Of the owner of the pool. */
    enum err opened;      /* Written before it is done with 'opening'. */
    void *own;            /* Of its thread: what 'open' returned. */
};

struct pool {
    struct chan *jobs; /* Of struct pool_job *. */
    struct pool_hooks hooks;
    struct waitgroup opening; /* Workers whose 'open' has not returned. */

    /* Of the owner. */
    struct worker *workers; /* Owned. */
    size_t n_workers;       /* Started. */
    bool stopped;
};

/* Runs 'job', or drops it if it was withdrawn.  It is not ours afterwards. */
static void handle(struct pool_job *job, void *own)
{
    int queued = POOL_JOB_QUEUED;

    /* What the submitter wrote came through the channel.  Acquire on failure,
     * paired with the release of pool_withdraw(). */
    if (atomic_compare_exchange_strong_explicit(
            &job->state, &queued, POOL_JOB_RUNNING, memory_order_acquire,
            memory_order_acquire)) {
        job->run(job, own);
    } else {
        job->drop(job, own);
    }
}

static void work(void *arg)
{
    struct worker *const w = arg;
    const struct pool_hooks *const hooks = &w->pool->hooks;
    struct pool_job *job;

    w->opened = hooks->open == NULL
                    ? ERR_OK
                    : hooks->open(hooks->context, w->index, &w->own);
    const bool opened = w->opened == ERR_OK;
    wg_done(&w->pool->opening);
    if (!opened) {
        return;
    }
    while (chan_recv(chan_rx(w->pool->jobs), &job)) {
        handle(job, w->own);
    }
    if (hooks->close != NULL) {
        hooks->close(hooks->context, w->own);
    }
}

/* Starts all workers and waits until each is open or has failed. */
static enum err start_workers(struct pool *pool, const char *name, size_t count)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        struct worker *const w = &pool->workers[i];
        struct buf thread_name = {.size = 0};

        *w = (struct worker){.pool = pool, .index = i};
        buf_printf(&thread_name, "%s/%zu", name, i);
        wg_add(&pool->opening, 1);
        err = thread_start(&w->thread, buf_string(&thread_name), work, w);
        buf_destroy(&thread_name);
        if (err == ERR_OK) {
            pool->n_workers++;
        } else {
            wg_done(&pool->opening);
        }
    }
    wg_wait(&pool->opening);
    for (size_t i = 0; i < pool->n_workers && err == ERR_OK; i++) {
        err = pool->workers[i].opened;
    }
    return err;
}

enum err pool_start(struct pool **poolp, const char *name, size_t n_workers,
                    size_t capacity, const struct pool_hooks *hooks)
{
    struct pool *const pool = xmalloc(sizeof(*pool));

    assert(n_workers > 0);
    *pool = (struct pool){
        .jobs = chan_new(sizeof(struct pool_job *), capacity),
        .workers = xcalloc(n_workers, sizeof(*pool->workers)),
    };
    if (hooks != NULL) {
        pool->hooks = *hooks;
    }
    wg_init(&pool->opening);

    const enum err err = start_workers(pool, name, n_workers);
    if (err != ERR_OK) {
        pool_free(pool);
        return err;
    }
    *poolp = pool;
    return ERR_OK;
}

enum err pool_submit(struct pool *pool, struct pool_job *job)
{
    atomic_store_explicit(&job->state, POOL_JOB_QUEUED, memory_order_relaxed);
    const enum err err = chan_try_send(chan_tx(pool->jobs), &job);
    if (err != ERR_OK) {
        atomic_store_explicit(&job->state, POOL_JOB_IDLE, memory_order_relaxed);
    }
    return err;
}

bool pool_withdraw(struct pool_job *job)
{
    int queued = POOL_JOB_QUEUED;

    /* Release, paired with the acquire of handle(): 'drop' sees what the
     * withdrawer did before. */
    return atomic_compare_exchange_strong_explicit(
        &job->state, &queued, POOL_JOB_WITHDRAWN, memory_order_release,
        memory_order_relaxed);
}

void pool_stop(struct pool *pool)
{
    if (pool->stopped) {
        return;
    }
    chan_close(chan_tx(pool->jobs));
    for (size_t i = 0; i < pool->n_workers; i++) {
        thread_join(&pool->workers[i].thread);
    }
    pool->stopped = true;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pool_stop(pool);
    wg_destroy(&pool->opening);
    chan_free(pool->jobs);
    free(pool->workers);
    free(pool);
}
