/* SPDX-License-Identifier: MIT */
/*
 * A walk goes in steps: each is a job of its own, which goes behind whatever
 * was queued meanwhile.
 */
#include "server/store/pool_internal.h"

#include "common/clock.h"

/* Walks under way at the same time; beyond it, ERR_STORE_BUSY. */
#define WALKS_MAX 1024

/* Keys a walk looks at before others have their turn: about a millisecond. */
#define WALK_STEP 2000

enum err store_pool_walk_begin(struct store_pool *pool, struct store_walk *walk)
{
    enum err err = ERR_OK;

    walk->pool = pool;
    walk->left = walk->count;
    walk->took_us = 0;
    mutex_lock(&pool->lock);
    if (pool->stopping) {
        err = ERR_SHUTTING_DOWN;
    } else if (pool->n_walks >= WALKS_MAX) {
        err = ERR_STORE_BUSY;
    } else {
        pool->n_walks++;
    }
    mutex_unlock(&pool->lock);
    return err;
}

static void forget_walk(struct store_pool *pool)
{
    mutex_lock(&pool->lock);
    pool->n_walks--;
    store_pool_signal_if_idle(pool);
    mutex_unlock(&pool->lock);
}

void store_pool_walk_end(struct store_walk *walk, enum err err)
{
    struct store_pool *pool = walk->pool;

    walk->done(walk, err);
    forget_walk(pool);
}

void store_pool_walk_refuse(struct store_walk *walk)
{
    forget_walk(walk->pool);
}

/* One step of 'walk'; true if another has to follow. */
static bool step(struct store_walk *walk, struct engine_reader *reader,
                 enum err *err)
{
    const struct engine *engine = walk->pool->with.engine;
    const size_t count = walk->left < WALK_STEP ? walk->left : WALK_STEP;
    struct buf detail = {0};

    const int64_t start_us = clock_now_us();
    switch (walk->kind) {
    case STORE_SCAN:
        *err = engine->scan(reader, walk, count, &detail);
        break;
    case STORE_COUNT:
        *err = engine->count(reader, walk, &detail);
        break;
    case STORE_KEYSPACE:
        *err = engine->keyspace(reader, walk, &detail);
        break;
    case STORE_RANDOM:
        *err = engine->random(reader, walk, &detail);
        break;
    }
    walk->took_us += clock_now_us() - start_us;
    if (*err != ERR_OK) {
        store_pool_complain(walk->pool, "walk", *err, &detail);
    }
    buf_destroy(&detail);

    walk->left -= count;
    return *err == ERR_OK && walk->kind == STORE_SCAN && walk->left > 0 &&
           walk->cursor != 0;
}

static void run_walk(struct pool_job *job, void *worker)
{
    struct store_walk *walk = container_of(job, struct store_walk, job);
    struct store_pool *pool = walk->pool;
    enum err err = ERR_OK;

    const bool more = step(walk, worker, &err);
    mutex_lock(&pool->lock);
    const bool stopping = pool->stopping;
    mutex_unlock(&pool->lock);

    if (more && !stopping) {
        store_pool_walk_run(walk);
    } else {
        store_pool_walk_end(walk, more ? ERR_SHUTTING_DOWN : err);
    }
}

void store_pool_walk_run(struct store_walk *walk)
{
    walk->job.run = run_walk;
    store_pool_submit(walk->pool, &walk->job);
}
