/* SPDX-License-Identifier: MIT */
/*
 * What the threads do.  Reads that are ready stand in one list; a thread that
 * is called takes them from its front, one by one, and answers each at once.
 *
 * When several are ready, the thread reads them inside one transaction of the
 * database, which saves most of the cost of a short read.  Its snapshot shows
 * what was committed when it began, so it may serve only reads that were ready
 * before that: a read that begins after a write was acknowledged has to see
 * that write.  'end' is where those reads end, taken before the transaction
 * begins.  As all threads take from the same list, a read never waits for a
 * thread that is stuck with another.
 *
 *     n_begun            end
 *        ▼                ▼
 *      [ r  r  r  r  r  r ] r  r      the last two came after BEGIN
 */
#include "server/store/pool_internal.h"

#include "common/clock.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"

/* Reads of one snapshot.  Few enough that it never keeps the log from being
 * moved into the file for long. */
#define BATCH_MAX 64

/* ---- one read ---- */

static bool is_down(struct store_pool *pool)
{
    if (config_number(pool->with.config, CONFIG_store_outage_for) == 0) {
        return false;
    }
    mutex_lock(&pool->lock);
    const bool down = simulate_is_down(&pool->outage, clock_now_us());
    mutex_unlock(&pool->lock);
    return down;
}

static struct simulate_fate decide(struct store_pool *pool)
{
    const struct config *config = pool->with.config;
    const struct simulate_rules rules = {
        .delay_us = config_number(config, CONFIG_store_delay),
        .jitter_us = config_number(config, CONFIG_store_jitter),
        .tail_rate = config_number(config, CONFIG_store_tail_rate),
        .tail_factor = config_number(config, CONFIG_store_tail_factor),
        .error_rate = config_number(config, CONFIG_store_error_rate),
    };
    struct simulate_fate fate = {0};

    if (rules.delay_us != 0 || rules.jitter_us != 0 || rules.error_rate != 0) {
        fate = simulate_decide(&rules, simulate_draw(&pool->dice));
    }
    fate.fail = fate.fail || is_down(pool);
    return fate;
}

static enum err ask_engine(struct store_pool *pool, struct store_read *read,
                           struct engine_reader *reader)
{
    const struct engine *engine = pool->with.engine;
    struct buf detail = {0};

    enum err err = engine->read(reader, read, &detail);
    if ((err == ERR_STORE_LOCKED || err == ERR_IO) &&
        store_pool_may_retry(pool, read)) {
        buf_clear(&detail);
        err = engine->read(reader, read, &detail);
    }
    if (err != ERR_OK) {
        store_pool_complain(pool, "read", err, &detail);
    }
    buf_destroy(&detail);
    return err == ERR_IO ? ERR_STORE_DOWN : err;
}

static void run_read(struct store_pool *pool, struct store_read *read,
                     struct engine_reader *reader)
{
    const struct simulate_fate fate = decide(pool);

    if (fate.fail) {
        stats_count(STATS_store_errors);
        read->result = ERR_STORE_DOWN;
    } else {
        read->result = ask_engine(pool, read, reader);
    }
    store_pool_answer_at(
        pool, read, fate.delay_us == 0 ? 0 : read->start_us + fate.delay_us);
}

/* ---- many reads ---- */

/* How many are ready now; '*end' is set to where a batch of them ends. */
static size_t plan_batch(struct store_pool *pool, uint64_t *end)
{
    mutex_lock(&pool->lock);
    pool->n_coming--;
    const size_t n = pool->n_ready < BATCH_MAX ? pool->n_ready : BATCH_MAX;
    *end = pool->n_begun + n;
    mutex_unlock(&pool->lock);
    return n;
}

static bool begin_batch(struct store_pool *pool, struct engine_reader *reader)
{
    const struct engine *engine = pool->with.engine;
    struct buf detail = {0};

    if (engine->begin_read == NULL) {
        return false;
    }
    const enum err err = engine->begin_read(reader, &detail);
    if (err != ERR_OK) { /* Each read alone, then. */
        store_pool_complain(pool, "begin", err, &detail);
    }
    buf_destroy(&detail);
    return err == ERR_OK;
}

/* The next read if it belongs to the batch; calls another thread if there are
 * more. */
static struct store_read *begin_next(struct store_pool *pool, uint64_t end)
{
    mutex_lock(&pool->lock);
    struct store_read *read = pool->n_begun < end ? pool->ready : NULL;
    struct hand *hand = NULL;
    if (read != NULL) {
        pool->ready = read->next_ready;
        if (pool->ready == NULL) {
            pool->ready_end = &pool->ready;
        }
        pool->n_ready--;
        pool->n_begun++;
        hand = store_pool_choose_hand(pool);
    }
    mutex_unlock(&pool->lock);

    if (hand != NULL) {
        store_pool_submit(pool, &hand->job);
    }
    return read;
}

/* Ends a thread's turn.  If there is more to do it comes again, behind the
 * walks that wait; else it is idle. */
static void take_leave(struct store_pool *pool, struct hand *hand)
{
    mutex_lock(&pool->lock);
    hand->next = pool->idle;
    pool->idle = hand;
    hand = store_pool_choose_hand(pool);
    store_pool_signal_if_idle(pool);
    mutex_unlock(&pool->lock);

    if (hand != NULL) {
        store_pool_submit(pool, &hand->job);
    }
}

void store_pool_work(struct pool_job *job, void *worker)
{
    struct hand *hand = container_of(job, struct hand, job);
    struct store_pool *pool = hand->pool;
    struct engine_reader *reader = worker;
    struct store_read *read;
    uint64_t end;

    const bool together =
        plan_batch(pool, &end) > 1 && begin_batch(pool, reader);
    while ((read = begin_next(pool, end)) != NULL) {
        run_read(pool, read, reader);
    }
    if (together) {
        pool->with.engine->end_read(reader);
    }
    take_leave(pool, hand);
}
