/* SPDX-License-Identifier: MIT */
/*
 * Who may free what, and when: a read belongs to its caller again the moment
 * done() is called, so nothing here touches it afterwards.  Whoever calls
 * done() owns the read alone by then: it was taken out of the queue or of the
 * list of the delayed under the lock, or it has just run.  That is what makes
 * done() happen exactly once, whatever store_pool_stop() does meanwhile:
 *
 *     queued ──► taken by admit(), withdraw or stop: under the lock
 *     running ─► finishes itself, or joins the delayed: under the lock
 *     delayed ─► its timer fires, or stop cancelled the timer: the timer says
 *
 * A slot is given back after done(); the pool lives until all are back.
 */
#include "server/store/pool.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"
#include "server/store/simulate.h"

/* Walks under way at the same time; beyond it, ERR_STORE_BUSY. */
#define WALKS_MAX 1024

/* Keys a walk looks at before others have their turn: about a millisecond. */
#define WALK_STEP 2000

/* Failures are logged at most this often. */
#define COMPLAIN_US 1000000

/* Linked by their own 'next' and 'previous'; in order of arrival. */
struct read_list {
    struct store_read *first;
    struct store_read *last;
    size_t count;
};

struct store_pool {
    struct store_pool_options with;
    struct pool *readers; /* Threads, each with an engine_reader. */

    _Atomic uint64_t dice; /* simulate_draw(); relaxed. */
    _Atomic int64_t
        complained_us;         /* When a failure was last logged; relaxed. */
    _Atomic size_t n_unlogged; /* Failures since; relaxed. */

    /* Rank LOCK_STORE; never held across I/O or callbacks. */
    struct mutex lock;
    size_t n_taken GUARDED_BY(lock);           /* Slots. */
    struct read_list queue GUARDED_BY(lock);   /* Wait for a slot. */
    struct read_list delayed GUARDED_BY(lock); /* Have one, wait on a timer. */
    size_t n_walks GUARDED_BY(lock);           /* Begun and not ended. */
    bool stopping GUARDED_BY(lock);            /* Never false again. */
    struct buf *open_detail GUARDED_BY(lock);  /* Set while readers open. */
    struct cond idle; /* Signalled when stopping and nothing is left. */
};

/* ---- lists ---- */

static void append(struct read_list *list, struct store_read *read)
{
    read->next = NULL;
    read->previous = list->last;
    if (list->last == NULL) {
        list->first = read;
    } else {
        list->last->next = read;
    }
    list->last = read;
    list->count++;
}

static void take_out(struct read_list *list, struct store_read *read)
{
    if (read->previous == NULL) {
        list->first = read->next;
    } else {
        read->previous->next = read->next;
    }
    if (read->next == NULL) {
        list->last = read->previous;
    } else {
        read->next->previous = read->previous;
    }
    list->count--;
}

static struct store_read *take_first(struct read_list *list)
{
    struct store_read *read = list->first;

    if (read != NULL) {
        take_out(list, read);
    }
    return read;
}

/* ---- slots ---- */

static size_t slots(const struct store_pool *pool)
{
    return (size_t)config_number(pool->with.config, CONFIG_store_concurrency);
}

static size_t queue_limit(const struct store_pool *pool)
{
    return (size_t)config_number(pool->with.config, CONFIG_store_queue);
}

/* Gives free slots to the queue.  Who got one is in the result, to be launched
 * without the lock. */
static struct read_list admit(struct store_pool *pool) REQUIRES(pool->lock)
{
    const size_t limit = slots(pool);
    struct read_list admitted = {0};

    while (pool->queue.first != NULL && pool->n_taken < limit) {
        struct store_read *read = take_first(&pool->queue);
        read->queued = false;
        pool->n_taken++;
        append(&admitted, read);
    }
    return admitted;
}

static void submit(struct store_pool *pool, struct pool_job *job)
{
    /* The queue has no bound and closes only when nothing is left to run. */
    const enum err err = pool_submit(pool->readers, job);
    if (err != ERR_OK) {
        log_fatal("store: readers refused a job err=\"%s\"", err_str(err));
    }
}

/* Sends a read that has a slot to the readers. */
static void launch(struct store_pool *pool, struct store_read *read)
{
    read->start_us = clock_now_us();
    submit(pool, &read->job);
}

static void signal_if_idle(struct store_pool *pool) REQUIRES(pool->lock)
{
    if (pool->stopping && pool->n_taken == 0 && pool->n_walks == 0) {
        cond_broadcast(&pool->idle);
    }
}

/* Ends a read that holds a slot, and passes the slot on. */
static void finish(struct store_pool *pool, struct store_read *read)
{
    read->done(read, read->result);

    mutex_lock(&pool->lock);
    pool->n_taken--;
    struct read_list admitted = admit(pool);
    signal_if_idle(pool);
    mutex_unlock(&pool->lock);
    while (admitted.first != NULL) {
        launch(pool, take_first(&admitted));
    }
}

/* ---- on a reader's thread ---- */

static void complain(struct store_pool *pool, const char *what, enum err err,
                     struct buf *detail)
{
    const int64_t now_us = clock_now_us();
    int64_t last_us =
        atomic_load_explicit(&pool->complained_us, memory_order_relaxed);

    stats_count(STATS_store_errors);
    atomic_fetch_add_explicit(&pool->n_unlogged, 1, memory_order_relaxed);
    if ((last_us == 0 || now_us - last_us >= COMPLAIN_US) &&
        atomic_compare_exchange_strong_explicit(&pool->complained_us, &last_us,
                                                now_us, memory_order_relaxed,
                                                memory_order_relaxed)) {
        const size_t n = atomic_exchange_explicit(&pool->n_unlogged, 0,
                                                  memory_order_relaxed);
        log_warn("store: %s failed err=\"%s\" detail=\"%s\" failures=%zu", what,
                 err_str(err), buf_string(detail), n);
    }
}

static enum err ask_engine(struct store_pool *pool, struct store_read *read,
                           struct engine_reader *reader)
{
    struct buf detail = {0};

    const enum err err = pool->with.engine->read(reader, read, &detail);
    if (err != ERR_OK) {
        complain(pool, "read", err, &detail);
    }
    buf_destroy(&detail);
    return err;
}

static struct simulate_fate decide(struct store_pool *pool)
{
    const struct config *config = pool->with.config;
    const struct simulate_rules rules = {
        .delay_us = config_number(config, CONFIG_store_delay),
        .jitter_us = config_number(config, CONFIG_store_jitter),
        .error_rate = config_number(config, CONFIG_store_error_rate),
    };

    if (rules.delay_us == 0 && rules.jitter_us == 0 && rules.error_rate == 0) {
        return (struct simulate_fate){0};
    }
    return simulate_decide(&rules, simulate_draw(&pool->dice));
}

static void delay_over(struct timer *timer)
{
    struct store_read *read = container_of(timer, struct store_read, timer);
    struct store_pool *pool = read->pool;

    mutex_lock(&pool->lock);
    take_out(&pool->delayed, read);
    mutex_unlock(&pool->lock);
    finish(pool, read);
}

/* Has a timer finish 'read'; false if the store stops: then nobody will. */
static bool delay(struct store_pool *pool, struct store_read *read,
                  int64_t due_us)
{
    mutex_lock(&pool->lock);
    const bool delayed = !pool->stopping;
    if (delayed) {
        append(&pool->delayed, read);
        /* With the lock held, so that it fires only after it can be found. */
        timers_add(pool->with.timers, &read->timer, due_us, delay_over);
    }
    mutex_unlock(&pool->lock);
    return delayed;
}

static void run_read(struct pool_job *job, void *worker)
{
    struct store_read *read = container_of(job, struct store_read, job);
    struct store_pool *pool = read->pool;
    const struct simulate_fate fate = decide(pool);

    if (fate.fail) {
        stats_count(STATS_store_errors);
        read->result = ERR_STORE_DOWN;
    } else {
        read->result = ask_engine(pool, read, worker);
    }

    if (fate.delay_us > 0) {
        const int64_t due_us = read->start_us + fate.delay_us;
        if (due_us > clock_now_us()) {
            if (delay(pool, read, due_us)) {
                return;
            }
            read->result = ERR_SHUTTING_DOWN;
        }
    }
    finish(pool, read);
}

/* ---- reads ---- */

enum store_start store_pool_read(struct store_pool *pool,
                                 struct store_read *read)
{
    const size_t limit = slots(pool);
    enum store_start start = STORE_REFUSED;

    read->pool = pool;
    read->job.run = run_read;
    read->timer = (struct timer){0};
    read->result = ERR_OK;
    read->queued = false;

    mutex_lock(&pool->lock);
    const bool free_slot = pool->n_taken < limit && pool->queue.count == 0;
    if (pool->stopping || (read->refresh && pool->n_taken * 2 >= limit)) {
        start = STORE_REFUSED;
    } else if (free_slot) {
        pool->n_taken++;
        start = STORE_STARTED;
    } else if (!read->refresh && pool->queue.count < queue_limit(pool)) {
        append(&pool->queue, read);
        read->queued = true;
        start = STORE_QUEUED;
    }
    mutex_unlock(&pool->lock);

    if (start == STORE_STARTED) {
        launch(pool, read);
    }
    return start;
}

bool store_pool_withdraw(struct store_pool *pool, struct store_read *read)
{
    mutex_lock(&pool->lock);
    const bool withdrawn = read->queued;
    if (withdrawn) {
        take_out(&pool->queue, read);
        read->queued = false;
    }
    mutex_unlock(&pool->lock);
    return withdrawn;
}

/* ---- walks ---- */

enum err store_pool_walk_begin(struct store_pool *pool, struct store_walk *walk)
{
    enum err err = ERR_OK;

    walk->pool = pool;
    walk->left = walk->count;
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
    signal_if_idle(pool);
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

    if (walk->kind == STORE_COUNT) {
        *err = engine->count(reader, walk, &detail);
    } else {
        *err = engine->scan(reader, walk, count, &detail);
    }
    if (*err != ERR_OK) {
        complain(walk->pool, "walk", *err, &detail);
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
    enum err err;

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
    submit(walk->pool, &walk->job);
}

/* ---- life ---- */

static enum err open_reader(void *context, size_t index, void **worker)
{
    struct store_pool *pool = context;
    struct engine_reader *reader = NULL;
    struct buf detail = {0};

    (void)index;
    const enum err err =
        pool->with.engine->reader_open(pool->with.database, &reader, &detail);
    if (err == ERR_OK) {
        *worker = reader;
    } else {
        mutex_lock(&pool->lock);
        if (pool->open_detail->size == 0) { /* The first to fail says why. */
            buf_append_slice(pool->open_detail, buf_slice(&detail));
        }
        mutex_unlock(&pool->lock);
    }
    buf_destroy(&detail);
    return err;
}

static void close_reader(void *context, void *worker)
{
    struct store_pool *pool = context;

    pool->with.engine->reader_close(worker);
}

static void destroy(struct store_pool *pool)
{
    pool_free(pool->readers);
    cond_destroy(&pool->idle);
    mutex_destroy(&pool->lock);
    free(pool);
}

enum err store_pool_open(struct store_pool **poolp,
                         const struct store_pool_options *options,
                         struct buf *detail)
{
    struct store_pool *pool = xmalloc(sizeof(*pool));
    const size_t n_threads =
        (size_t)config_number(options->config, CONFIG_store_threads);
    const struct pool_hooks hooks = {
        .open = open_reader, .close = close_reader, .context = pool};

    *pool = (struct store_pool){.with = *options, .open_detail = detail};
    mutex_init(&pool->lock, LOCK_STORE, "store");
    cond_init(&pool->idle);
    atomic_init(&pool->dice, (uint64_t)clock_wall_ms());

    const enum err err =
        pool_start(&pool->readers, "store", n_threads, CHAN_UNBOUNDED, &hooks);
    mutex_lock(&pool->lock);
    pool->open_detail = NULL;
    mutex_unlock(&pool->lock);
    if (err != ERR_OK) {
        pool->readers = NULL;
        if (detail->size == 0) {
            buf_printf(detail, "cannot start %zu store threads: %s", n_threads,
                       err_str(err));
        }
        destroy(pool);
        return err;
    }
    *poolp = pool;
    return ERR_OK;
}

/* Takes out the delayed whose timers had not fired: these are ours to end. */
static struct read_list cancel_delayed(struct store_pool *pool)
    REQUIRES(pool->lock)
{
    struct read_list cancelled = {0};
    struct store_read *next;

    for (struct store_read *read = pool->delayed.first; read != NULL;
         read = next) {
        next = read->next;
        if (timers_cancel(pool->with.timers, &read->timer)) {
            take_out(&pool->delayed, read);
            append(&cancelled, read);
        }
    }
    return cancelled;
}

void store_pool_stop(struct store_pool *pool)
{
    struct store_read *read;

    mutex_lock(&pool->lock);
    pool->stopping = true;
    struct read_list queued = pool->queue;
    pool->queue = (struct read_list){0};
    for (read = queued.first; read != NULL; read = read->next) {
        read->queued = false; /* Cannot be withdrawn any more. */
    }
    struct read_list cancelled = cancel_delayed(pool);
    mutex_unlock(&pool->lock);

    while ((read = take_first(&queued)) != NULL) {
        read->done(read, ERR_SHUTTING_DOWN);
    }
    while ((read = take_first(&cancelled)) != NULL) {
        read->result = ERR_SHUTTING_DOWN;
        finish(pool, read);
    }
}

void store_pool_close(struct store_pool *pool)
{
    store_pool_stop(pool);
    mutex_lock(&pool->lock);
    while (pool->n_taken > 0 || pool->n_walks > 0) {
        cond_wait(&pool->idle, &pool->lock);
    }
    mutex_unlock(&pool->lock);
    destroy(pool);
}

void store_pool_describe(struct store_pool *pool, struct buf *out)
{
    mutex_lock(&pool->lock);
    const size_t taken = pool->n_taken;
    const size_t delayed = pool->delayed.count;
    const size_t queued = pool->queue.count;
    const size_t walks = pool->n_walks;
    mutex_unlock(&pool->lock);

    buf_printf(out, "store_reads_running:%zu\r\n", taken);
    buf_printf(out, "store_reads_delayed:%zu\r\n", delayed);
    buf_printf(out, "store_reads_queued:%zu\r\n", queued);
    buf_printf(out, "store_walks_running:%zu\r\n", walks);
}
