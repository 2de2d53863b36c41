/* SPDX-License-Identifier: MIT */
/*
 * Who may free what, and when: a read belongs to its caller again the moment
 * done() is called, so nothing here touches it afterwards.  Whoever calls
 * done() owns the read alone by then.  That is what makes done() happen exactly
 * once, whatever store_pool_stop() and the breaker do meanwhile:
 *
 *     queued ──► taken by admit(), withdraw, stop or the opening breaker:
 *                under the lock
 *     ready ───► taken by a thread or the opening breaker: under the lock
 *     running ─► finishes itself, or is delayed or parked: under the lock
 *     delayed ─► its timer fires, or stop cancelled the timer: the timer says
 *     parked ──► gets a timer that is due, or is taken by stop: under the lock
 *
 * A slot is given back after done(); the pool lives until all are back.
 *
 * Reads that are out for longer than 'store-timeout' are failures already, as
 * the breaker sees it: a store that hangs gives no other sign.  A timer, the
 * watch, looks for them, at least once a second while reads are out.
 *
 * When the breaker opens or half opens, the slots that are taken are abandoned:
 * they count no more, so that reads that hang do not stand in the way of the
 * probes, nor of those that come after them.
 */
#include "server/store/pool_internal.h"

#include <stdlib.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"

/* Failures are logged at most this often. */
#define COMPLAIN_US 1000000

/* The watch looks at least this often, as store-timeout may be lowered. */
#define WATCH_US 1000000

/* What the breaker did, to be carried out without the lock. */
struct verdict {
    enum breaker_state before, after;
    struct read_list doomed; /* To be ended with ERR_STORE_DOWN. */
    size_t n_slots;          /* That these hold. */
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

static struct breaker_rules breaker_rules(const struct store_pool *pool)
{
    const struct config *config = pool->with.config;

    return (struct breaker_rules){
        .failures = config_number(config, CONFIG_breaker_failures),
        .interval_us = config_number(config, CONFIG_breaker_probe_interval),
        .slots = (size_t)config_number(config, CONFIG_store_concurrency),
    };
}

static size_t queue_limit(const struct store_pool *pool)
{
    return (size_t)config_number(pool->with.config, CONFIG_store_queue);
}

void store_pool_submit(struct store_pool *pool, struct pool_job *job)
{
    /* The queue has no bound and closes only when nothing is left to run. */
    const enum err err = pool_submit(pool->readers, job);
    if (err != ERR_OK) {
        log_fatal("store: readers refused a job err=\"%s\"", err_str(err));
    }
}

static void submit_hand(struct store_pool *pool, struct hand *hand)
{
    if (hand != NULL) {
        store_pool_submit(pool, &hand->job);
    }
}

struct hand *store_pool_choose_hand(struct store_pool *pool)
    REQUIRES(pool->lock)
{
    struct hand *hand = NULL;

    if (pool->n_ready > 0 && pool->n_coming == 0 && pool->idle != NULL) {
        hand = pool->idle;
        pool->idle = hand->next;
        pool->n_coming++;
    }
    return hand;
}

static void watch(struct timer *timer);

static void start_watch(struct store_pool *pool, int64_t now_us)
    REQUIRES(pool->lock)
{
    const int64_t timeout_us =
        config_number(pool->with.config, CONFIG_store_timeout);
    int64_t due_us = pool->running.first->start_us + timeout_us;

    if (due_us > now_us + WATCH_US) {
        due_us = now_us + WATCH_US;
    }
    pool->watching = true;
    timers_add(pool->with.timers, &pool->watch, due_us, watch);
}

/* Gives 'read' a slot: a thread will begin it. */
static void start(struct store_pool *pool, struct store_read *read,
                  int64_t now_us) REQUIRES(pool->lock)
{
    pool->n_taken++;
    read->era = pool->breaker.era;
    read->start_us = now_us;
    append(&pool->running, read);
    read->next_ready = NULL;
    *pool->ready_end = read;
    pool->ready_end = &read->next_ready;
    pool->n_ready++;
    if (!pool->watching) {
        start_watch(pool, now_us);
    }
}

/* Gives free slots to the queue. */
static void admit(struct store_pool *pool) REQUIRES(pool->lock)
{
    const struct breaker_rules rules = breaker_rules(pool);
    const size_t limit = breaker_slots(&pool->breaker, &rules);

    while (pool->queue.first != NULL && pool->n_taken < limit) {
        struct store_read *read = take_first(&pool->queue);
        read->queued = false;
        start(pool, read, clock_now_us());
    }
}

void store_pool_signal_if_idle(struct store_pool *pool) REQUIRES(pool->lock)
{
    if (pool->stopping && pool->n_taken == 0 && pool->n_abandoned == 0 &&
        pool->n_walks == 0 && pool->n_coming == 0 && !pool->watching) {
        cond_broadcast(&pool->gone);
    }
}

/* ---- the breaker ---- */

static struct verdict begin_verdict(struct store_pool *pool)
    REQUIRES(pool->lock)
{
    return (struct verdict){.before = pool->breaker.state};
}

static void forsake(struct store_pool *pool, struct store_read *read)
{
    take_out(read->overdue ? &pool->overdue : &pool->running, read);
}

/* Nothing that waits is asked of a store that is given up. */
static void take_doomed(struct store_pool *pool, struct verdict *verdict)
    REQUIRES(pool->lock)
{
    verdict->doomed = pool->queue;
    pool->queue = (struct read_list){0};
    for (struct store_read *read = verdict->doomed.first; read != NULL;
         read = read->next) {
        read->queued = false; /* Cannot be withdrawn any more. */
    }
    verdict->n_slots = pool->n_ready;
    for (struct store_read *read = pool->ready; read != NULL;
         read = read->next_ready) {
        forsake(pool, read);
        append(&verdict->doomed, read);
    }
    pool->n_begun += pool->n_ready;
    pool->n_ready = 0;
    pool->ready = NULL;
    pool->ready_end = &pool->ready;
}

/* Sees what became of the breaker since begin_verdict(). */
static void end_verdict(struct store_pool *pool, struct verdict *verdict)
    REQUIRES(pool->lock)
{
    verdict->after = pool->breaker.state;
    if (verdict->after == verdict->before) {
        return;
    }
    if (verdict->after != BREAKER_CLOSED) { /* A new era. */
        pool->n_abandoned += pool->n_taken;
        pool->n_taken = 0;
    }
    if (verdict->after == BREAKER_OPEN) {
        take_doomed(pool, verdict);
    }
}

static void carry_out(struct store_pool *pool, struct verdict *verdict)
{
    struct store_read *read;

    if (verdict->after == verdict->before) {
        return;
    }
    if (verdict->after == BREAKER_OPEN) {
        log_error("store: breaker open, asked by probes only given_up=%zu",
                  verdict->doomed.count);
    } else {
        log_info("store: breaker %s", breaker_name(verdict->after));
    }
    while ((read = take_first(&verdict->doomed)) != NULL) {
        read->done(read, ERR_STORE_DOWN);
    }
    mutex_lock(&pool->lock);
    pool->n_abandoned -= verdict->n_slots;
    store_pool_signal_if_idle(pool);
    mutex_unlock(&pool->lock);
}

/* Tells the breaker how 'read' ended. */
static void judge(struct store_pool *pool, const struct store_read *read,
                  struct verdict *verdict) REQUIRES(pool->lock)
{
    const struct breaker_rules rules = breaker_rules(pool);

    *verdict = begin_verdict(pool);
    if (read->overdue || read->result == ERR_SHUTTING_DOWN) {
        /* It has failed already, or says nothing. */
    } else if (read->result == ERR_OK || engine_is_own_fault(read->result)) {
        breaker_succeeded(&pool->breaker, &rules, read->era,
                          pool->queue.count > 0);
    } else {
        breaker_failed(&pool->breaker, &rules, read->era, clock_now_us());
    }
    end_verdict(pool, verdict);
}

/* Looks for reads that are out for too long. */
static void watch(struct timer *timer)
{
    struct store_pool *pool = container_of(timer, struct store_pool, watch);
    const int64_t now_us = clock_now_us();
    const int64_t oldest_us =
        now_us - config_number(pool->with.config, CONFIG_store_timeout);
    const struct breaker_rules rules = breaker_rules(pool);
    struct store_read *read;

    mutex_lock(&pool->lock);
    struct verdict verdict = begin_verdict(pool);
    while ((read = pool->running.first) != NULL &&
           read->start_us <= oldest_us && !pool->stopping) {
        take_out(&pool->running, read);
        append(&pool->overdue, read);
        read->overdue = true;
        breaker_failed(&pool->breaker, &rules, read->era, now_us);
    }
    end_verdict(pool, &verdict);
    mutex_unlock(&pool->lock);

    carry_out(pool, &verdict);

    mutex_lock(&pool->lock);
    pool->watching = false;
    if (pool->running.first != NULL && !pool->stopping) {
        start_watch(pool, now_us);
    }
    store_pool_signal_if_idle(pool);
    mutex_unlock(&pool->lock);
}

/* 'breaker-failures' has changed. */
static void follow_rules(void *arg)
{
    struct store_pool *pool = arg;
    const struct breaker_rules rules = breaker_rules(pool);

    mutex_lock(&pool->lock);
    struct verdict verdict = begin_verdict(pool);
    breaker_follow(&pool->breaker, &rules);
    end_verdict(pool, &verdict);
    mutex_unlock(&pool->lock);
    carry_out(pool, &verdict);
}

bool store_pool_may_retry(struct store_pool *pool,
                          const struct store_read *read)
{
    const int64_t timeout_us =
        config_number(pool->with.config, CONFIG_store_timeout);

    mutex_lock(&pool->lock);
    const bool closed = pool->breaker.state == BREAKER_CLOSED;
    mutex_unlock(&pool->lock);
    return closed && clock_now_us() - read->start_us < timeout_us;
}

void store_pool_complain(struct store_pool *pool, const char *what,
                         enum err err, struct buf *detail)
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

/* ---- answers ---- */

/* Ends a read that holds a slot, and passes the slot on. */
static void finish(struct store_pool *pool, struct store_read *read)
{
    const uint32_t era = read->era;
    struct verdict verdict;

    mutex_lock(&pool->lock);
    forsake(pool, read);
    judge(pool, read, &verdict);
    mutex_unlock(&pool->lock);

    read->done(read, read->result);
    carry_out(pool, &verdict);

    mutex_lock(&pool->lock);
    if (era == pool->breaker.era) {
        pool->n_taken--;
    } else {
        pool->n_abandoned--;
    }
    admit(pool);
    struct hand *hand = store_pool_choose_hand(pool);
    store_pool_signal_if_idle(pool);
    mutex_unlock(&pool->lock);
    submit_hand(pool, hand);
}

static void delay_over(struct timer *timer)
{
    struct store_read *read = container_of(timer, struct store_read, timer);
    struct store_pool *pool = read->pool;

    mutex_lock(&pool->lock);
    pool->n_delayed--;
    mutex_unlock(&pool->lock);
    store_pool_answer_at(pool, read, 0);
}

static void delay(struct store_pool *pool, struct store_read *read,
                  int64_t due_us) REQUIRES(pool->lock)
{
    pool->n_delayed++;
    /* With the lock held, so that it fires only after it can be found. */
    timers_add(pool->with.timers, &read->timer, due_us, delay_over);
}

void store_pool_answer_at(struct store_pool *pool, struct store_read *read,
                          int64_t due_us)
{
    const bool early = due_us > clock_now_us();

    if (!early && !config_switch(pool->with.config, CONFIG_store_hang)) {
        finish(pool, read);
        return;
    }
    mutex_lock(&pool->lock);
    const bool stopping = pool->stopping;
    /* Looked at again: let_go() comes after the switch, with the lock. */
    const bool hangs = config_switch(pool->with.config, CONFIG_store_hang);
    if (!stopping && early) {
        delay(pool, read, due_us);
    } else if (!stopping && hangs) {
        read->parked = true;
        pool->n_parked++;
    }
    mutex_unlock(&pool->lock);

    if (stopping) {
        read->result = ERR_SHUTTING_DOWN;
        finish(pool, read);
    } else if (!early && !hangs) {
        finish(pool, read);
    }
}

static void let_go_of(struct store_pool *pool, const struct read_list *list,
                      int64_t now_us) REQUIRES(pool->lock)
{
    for (struct store_read *read = list->first; read != NULL;
         read = read->next) {
        if (read->parked) {
            read->parked = false;
            pool->n_parked--;
            delay(pool, read, now_us);
        }
    }
}

/* 'store-hang' has changed. */
static void let_go(void *arg)
{
    struct store_pool *pool = arg;

    mutex_lock(&pool->lock);
    if (!config_switch(pool->with.config, CONFIG_store_hang)) {
        const int64_t now_us = clock_now_us();
        let_go_of(pool, &pool->overdue, now_us);
        let_go_of(pool, &pool->running, now_us);
    }
    mutex_unlock(&pool->lock);
}

/* 'store-outage-for' has changed. */
static void plan_outage(void *arg)
{
    struct store_pool *pool = arg;
    const struct config *config = pool->with.config;

    mutex_lock(&pool->lock);
    pool->outage = simulate_plan(
        clock_now_us(), config_number(config, CONFIG_store_outage_after),
        config_number(config, CONFIG_store_outage_for));
    mutex_unlock(&pool->lock);
}

/* ---- reads ---- */

/* Finds 'read' its place; the breaker lets it pass. */
static enum store_start place(struct store_pool *pool, struct store_read *read,
                              size_t limit) REQUIRES(pool->lock)
{
    admit(pool); /* 'store-concurrency' may have grown. */
    if (read->refresh && pool->n_taken * 2 >= limit) {
        return STORE_REFUSED;
    }
    if (pool->n_taken < limit && pool->queue.count == 0) {
        start(pool, read, clock_now_us());
        return STORE_STARTED;
    }
    if (!read->refresh && pool->queue.count < queue_limit(pool)) {
        append(&pool->queue, read);
        read->queued = true;
        return STORE_QUEUED;
    }
    return STORE_REFUSED;
}

enum store_start store_pool_read(struct store_pool *pool,
                                 struct store_read *read)
{
    const struct breaker_rules rules = breaker_rules(pool);
    enum store_start result;

    read->pool = pool;
    read->timer = (struct timer){0};
    read->result = ERR_OK;
    read->queued = false;
    read->overdue = false;
    read->parked = false;

    mutex_lock(&pool->lock);
    if (pool->stopping) {
        result = STORE_REFUSED;
    } else if (pool->breaker.state != BREAKER_OPEN) {
        result = place(pool, read, breaker_slots(&pool->breaker, &rules));
    } else if (breaker_probe(&pool->breaker, &rules, clock_now_us())) {
        start(pool, read, clock_now_us());
        result = STORE_STARTED;
    } else {
        result = STORE_BROKEN;
    }
    struct hand *hand = store_pool_choose_hand(pool);
    mutex_unlock(&pool->lock);
    submit_hand(pool, hand);
    return result;
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
    cond_destroy(&pool->gone);
    mutex_destroy(&pool->lock);
    free(pool->hands);
    free(pool);
}

static void make_hands(struct store_pool *pool, size_t count)
    REQUIRES(pool->lock)
{
    pool->hands = xcalloc(count, sizeof(*pool->hands));
    for (size_t i = 0; i < count; i++) {
        struct hand *hand = &pool->hands[i];
        hand->job.run = store_pool_work;
        hand->pool = pool;
        hand->next = pool->idle;
        pool->idle = hand;
    }
}

static void follow_config(struct store_pool *pool)
{
    const struct config *config = pool->with.config;

    plan_outage(pool);
    config_on_change(config, CONFIG_store_outage_for, plan_outage, pool);
    config_on_change(config, CONFIG_store_hang, let_go, pool);
    config_on_change(config, CONFIG_breaker_failures, follow_rules, pool);
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
    cond_init(&pool->gone);
    atomic_init(&pool->dice, (uint64_t)clock_wall_ms());
    mutex_lock(&pool->lock);
    pool->ready_end = &pool->ready;
    make_hands(pool, n_threads);
    mutex_unlock(&pool->lock);

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
    follow_config(pool);
    *poolp = pool;
    return ERR_OK;
}

/* Takes over those of 'list' that wait on a timer that had not fired, or hang;
 * returns them in front of 'chain', linked by 'next_ready'. */
static struct store_read *take_waiting(struct store_pool *pool,
                                       const struct read_list *list,
                                       struct store_read *chain)
    REQUIRES(pool->lock)
{
    for (struct store_read *read = list->first; read != NULL;
         read = read->next) {
        const bool delayed = timers_cancel(pool->with.timers, &read->timer);
        if (delayed || read->parked) {
            pool->n_delayed -= delayed ? 1 : 0;
            pool->n_parked -= read->parked ? 1 : 0;
            read->parked = false;
            read->next_ready = chain;
            chain = read;
        }
    }
    return chain;
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
    struct store_read *waiting = take_waiting(pool, &pool->running, NULL);
    waiting = take_waiting(pool, &pool->overdue, waiting);
    if (pool->watching && timers_cancel(pool->with.timers, &pool->watch)) {
        pool->watching = false;
    }
    mutex_unlock(&pool->lock);

    while ((read = take_first(&queued)) != NULL) {
        read->done(read, ERR_SHUTTING_DOWN);
    }
    while ((read = waiting) != NULL) {
        waiting = read->next_ready;
        read->result = ERR_SHUTTING_DOWN;
        finish(pool, read);
    }
}

void store_pool_close(struct store_pool *pool)
{
    config_off_change(pool->with.config, let_go, pool);
    config_off_change(pool->with.config, plan_outage, pool);
    config_off_change(pool->with.config, follow_rules, pool);
    store_pool_stop(pool);
    mutex_lock(&pool->lock);
    while (pool->n_taken > 0 || pool->n_abandoned > 0 || pool->n_walks > 0 ||
           pool->n_coming > 0 || pool->watching) {
        cond_wait(&pool->gone, &pool->lock);
    }
    mutex_unlock(&pool->lock);
    destroy(pool);
}

void store_pool_describe(struct store_pool *pool, struct buf *out)
{
    const struct breaker_rules rules = breaker_rules(pool);

    mutex_lock(&pool->lock);
    const struct breaker breaker = pool->breaker;
    const size_t running = pool->n_taken + pool->n_abandoned;
    const size_t delayed = pool->n_delayed;
    const size_t hung = pool->n_parked;
    const size_t overdue = pool->overdue.count;
    const size_t queued = pool->queue.count;
    const size_t walks = pool->n_walks;
    mutex_unlock(&pool->lock);

    buf_printf(out, "store_reads_running:%zu\r\n", running);
    buf_printf(out, "store_reads_delayed:%zu\r\n", delayed);
    buf_printf(out, "store_reads_hung:%zu\r\n", hung);
    buf_printf(out, "store_reads_overdue:%zu\r\n", overdue);
    buf_printf(out, "store_reads_queued:%zu\r\n", queued);
    buf_printf(out, "store_walks_running:%zu\r\n", walks);
    buf_printf(out, "store_breaker:%s\r\n", breaker_name(breaker.state));
    buf_printf(out, "store_breaker_opened:%lld\r\n",
               (long long)breaker.n_opened);
    buf_printf(out, "store_breaker_slots:%zu\r\n",
               breaker_slots(&breaker, &rules));
}
