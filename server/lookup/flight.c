/* SPDX-License-Identifier: MIT */
/*
 * How a flight lives:  refs 1 (the store's) + one for each waiter.
 *
 *   join():  under the shard lock: find or make, store_read_start(), add the
 *            waiter, start its deadline
 *   row():   on a store thread: the row is encoded into 'bytes'
 *   done():  under the shard lock: fill unless fenced, leave the table, take
 *            the list of waiters; then, without it: wake them
 *
 * store_read_start() is called under the shard lock, so that a refused read
 * never had other waiters; it only queues, and its locks rank behind.
 */
#include "server/lookup/flight_internal.h"

#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/task.h"
#include "server/admin/config.h"
#include "server/admin/latency.h"
#include "server/admin/stats.h"
#include "server/lookup/hash_value.h"
#include "server/lookup/record.h"

#include <assert.h>

struct flights *flights_new(const struct config *config, struct cache *cache,
                            struct store *store,
                            struct timers *timers) NO_THREAD_SAFETY_ANALYSIS
{
    struct flights *flights = NULL;

    if (posix_memalign((void **)&flights, 64, sizeof *flights) != 0) {
        abort();
    }
    memset(flights, 0, sizeof *flights);
    flights->config = config;
    flights->cache = cache;
    flights->store = store;
    flights->timers = timers;
    for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
        struct flight_shard *shard = &flights->shards[i];
        mutex_init(&shard->lock, LOCK_FLIGHT, "flight");
        for (size_t k = 0; k < FLIGHT_SLOTS; k++) {
            shard->slots[k].foreign_us = INT64_MIN;
        }
    }
    return flights;
}

void flights_free(struct flights *flights)
{
    if (flights == NULL) {
        return;
    }
    assert(flights_count(flights) == 0);
    for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
        mutex_destroy(&flights->shards[i].lock);
    }
    free(flights);
}

/* ---- references ---- */

static void flight_unref(struct flight *f)
{
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1) {
        buf_destroy(&f->bytes);
        free(f);
    }
}

void waiter_unref(struct waiter *w)
{
    if (atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) == 1) {
        if (w->flight != NULL) {
            flight_unref(w->flight);
        }
        free(w);
    }
}

bool waiter_claim(struct waiter *w, enum winner by)
{
    int nobody = WINNER_NOBODY;

    /* Release: what the winner knows is seen by whoever reads 'winner'. */
    return atomic_compare_exchange_strong_explicit(&w->winner, &nobody, (int)by,
                                                   memory_order_acq_rel,
                                                   memory_order_acquire);
}

static void stop_deadline(struct waiter *w)
{
    if (timers_cancel(w->flight->flights->timers, &w->deadline)) {
        waiter_unref(w);
    }
}

void waiter_leave(struct waiter *w)
{
    stop_deadline(w);
    waiter_unref(w);
}

void waiter_result(const struct waiter *w, struct flight_result *result)
{
    const struct flight *f = w->flight;

    *result = (struct flight_result){.err = f->err,
                                     .found = f->found,
                                     .bytes = buf_slice(&f->bytes),
                                     .copy = f->copy};
}

/* ---- delivery ---- */

/* Runs on a loop: delivers a list of waiters of this loop. */
static void deliver_list(void *arg)
{
    for (struct waiter *w = arg, *next; w != NULL; w = next) {
        next = w->next;
        w->deliver(w);
    }
}

static void deliver_one(void *arg)
{
    struct waiter *w = arg;

    w->deliver(w);
}

static void post(struct chan_tx home, struct waiter *list)
{
    if (task_post(home, deliver_list, list)) {
        return;
    }
    /* The loop has stopped, and its callers with it. */
    for (struct waiter *w = list, *next; w != NULL; w = next) {
        next = w->next;
        waiter_unref(w);
    }
}

static void on_deadline(struct timer *timer)
{
    struct waiter *w = container_of(timer, struct waiter, deadline);

    if (!waiter_claim(w, WINNER_DEADLINE)) {
        waiter_unref(w);
        return;
    }
    /* The timer's reference goes on as the delivery's.  The waiter may still
     * be on its flight's list, so it travels alone, without 'next'. */
    if (!task_post(w->home, deliver_one, w)) {
        waiter_unref(w);
    }
}

/* Takes all waiters of '*list' that belong to the loop of the first, in
 * order, off the list. */
static struct waiter *take_one_home(struct waiter **list)
{
    struct chan *home = (*list)->home.chan;
    struct waiter *taken = NULL;
    struct waiter **tail = &taken;
    struct waiter **from = list;

    while (*from != NULL) {
        struct waiter *w = *from;
        if (w->home.chan == home) {
            *from = w->next;
            w->next = NULL;
            *tail = w;
            tail = &w->next;
        } else {
            from = &w->next;
        }
    }
    return taken;
}

/* Decides all waiters of a flight that has ended for the store, and wakes
 * those it won, one task a loop. */
static void wake(struct waiter *waiters)
{
    struct waiter *won = NULL;

    /* The list is last joined first: reversed here, so that they are answered
     * in the order they came. */
    for (struct waiter *w = waiters, *next; w != NULL; w = next) {
        next = w->next;
        if (waiter_claim(w, WINNER_STORE)) {
            w->next = won;
            won = w;
            stop_deadline(w);
        } else {
            waiter_unref(w);
        }
    }
    while (won != NULL) {
        struct waiter *list = take_one_home(&won);
        post(list->home, list);
    }
}

/* ---- the table ---- */

struct flight *flight_find(struct flight_shard *shard, struct slice key,
                           uint64_t hash) REQUIRES(shard->lock)
{
    if (shard->count == 0) {
        return NULL; /* As mostly for who writes: spares him the bin. */
    }
    for (struct flight *f = *flight_bin_of(shard, hash); f != NULL;
         f = f->next) {
        if (f->hash == hash && slice_equal(flight_key(f), key)) {
            return f;
        }
    }
    return NULL;
}

void flight_unlink(struct flight_shard *shard, struct flight *f)
    REQUIRES(shard->lock)
{
    struct flight **link = flight_bin_of(shard, f->hash);

    while (*link != f) {
        link = &(*link)->next;
    }
    *link = f->next;
    f->next = NULL;
    f->in_table = false;
    shard->count--;
}

/* ---- the store's side ---- */

static void on_row(struct store_read *read, const struct store_row *row)
{
    struct flight *f = container_of(read, struct flight, read);

    f->found = true;
    if (row->mapping != NULL) {
        f->copy.kind = COPY_RECORD;
        f->err = record_encode(row, &f->bytes);
    } else {
        f->copy.kind = flight_kind_of(row->type);
        f->copy.expires_ms = row->expires_ms;
        if (f->copy.kind == COPY_HASH &&
            !hash_value_is_valid(row->columns[0].bytes)) {
            f->err = ERR_STORE_CORRUPT; /* Nobody but us could make one. */
            return;
        }
        f->err = buf_try_append_slice(&f->bytes, row->columns[0].bytes)
                     ? ERR_OK
                     : ERR_NOMEM;
    }
}

/* Puts the flight's answer into the cache.  No flight is in the table beside a
 * copy that is younger than any answer of the store: who puts such a copy takes
 * the flight out, and none begins while it is there (has_changed()). */
static void fill(struct flights *flights, struct flight *f)
{
#ifndef NDEBUG
    struct copy there;

    assert(
        !cache_get(flights->cache, flight_key(f), f->hash, 0, &there, NULL) ||
        !(there.dirty || there.memory_only));
#endif
    if (cache_put(flights->cache, flight_key(f), f->hash, &f->copy,
                  buf_slice(&f->bytes)) == ERR_OK) {
        stats_count(STATS_fills);
    }
}

static void on_done(struct store_read *read, enum err err)
{
    struct flight *f = container_of(read, struct flight, read);
    struct flights *flights = f->flights;
    struct flight_shard *shard = flight_shard_of(flights, f->hash);

    if (err == ERR_OK) {
        err = f->err; /* Of on_row(). */
    }
    f->err = err;
    f->copy.origin = read->refresh ? COPY_FROM_REFRESH : COPY_FROM_MISS;
    f->copy.store_us = (uint32_t)(clock_now_us() - f->copy.filled_us);
    latency_note(LATENCY_store_read, f->copy.store_us);
    if (err == ERR_OK && !f->found) {
        f->copy.kind = COPY_NEGATIVE;
    }
    if (err != ERR_OK) {
        log_debug("flight: store read failed err=%s", err_str(err));
    }

    mutex_lock(&shard->lock);
    if (f->in_table) {
        flight_unlink(shard, f);
        if (err == ERR_OK) {
            fill(flights, f);
        }
    } else if (err == ERR_OK) {
        stats_count(STATS_fills_fenced);
    }
    struct waiter *waiters = f->waiters;
    f->waiters = NULL;
    mutex_unlock(&shard->lock);

    wake(waiters);
    flight_unref(f);
}

/* ---- joining ---- */

static struct flight *new_flight(struct flights *flights, struct slice key,
                                 uint64_t hash, bool refresh)
{
    struct flight *f =
        key.size <= UINT32_MAX ? try_malloc(sizeof *f + key.size) : NULL;

    if (f == NULL) {
        return NULL;
    }
    *f = (struct flight){.flights = flights,
                         .refs = 1,
                         .hash = hash,
                         .copy.filled_us = clock_now_us(),
                         .key_size = (uint32_t)key.size};
    memcpy(f->key, key.data, key.size);
    f->read.refresh = refresh;
    f->read.row = on_row;
    f->read.done = on_done;
    f->read.mapping = mapping_find(store_mappings(flights->store),
                                   flight_key(f), &f->read.key);
    if (f->read.mapping == NULL) {
        f->read.key = flight_key(f);
    }
    return f;
}

static void enter(struct flight_shard *shard, struct flight *f)
    REQUIRES(shard->lock)
{
    struct flight **bin = flight_bin_of(shard, f->hash);

    f->next = *bin;
    *bin = f;
    f->in_table = true;
    shard->count++;
}

/* Makes the flight and asks the store; on success enters it in the table,
 * unless its key is marked: then it is for one waiter alone. */
static enum flight_join start(struct flights *flights,
                              struct flight_shard *shard, struct slice key,
                              uint64_t hash, bool refresh, bool marked,
                              struct flight **flightp) REQUIRES(shard->lock)
{
    struct flight *f = new_flight(flights, key, hash, refresh);

    if (f == NULL) {
        return FLIGHT_REFUSED;
    }
    /* Its done() may run at once on another thread, and then waits for the
     * shard lock. */
    const enum store_start started = store_read_start(flights->store, &f->read);
    if (started == STORE_REFUSED || started == STORE_BROKEN) {
        flight_unref(f);
        return started == STORE_BROKEN ? FLIGHT_BROKEN : FLIGHT_REFUSED;
    }
    if (!marked) {
        enter(shard, f);
    }
    stats_count(STATS_store_reads);
    *flightp = f;
    return FLIGHT_STARTED;
}

/* A flight older than any of its waiters will ever be holds its key no
 * longer: a store that hangs must not keep those who ask later from trying. */
static struct flight *find_young(struct flights *flights,
                                 struct flight_shard *shard, struct slice key,
                                 uint64_t hash) REQUIRES(shard->lock)
{
    struct flight *f = flight_find(shard, key, hash);

    if (f != NULL && clock_now_us() - f->copy.filled_us >=
                         config_number(flights->config, CONFIG_store_timeout)) {
        flight_unlink(shard, f);
        stats_count(STATS_flights_let_go);
        return NULL;
    }
    return f;
}

/* Is the cached copy another than the caller saw?  Who saw one that the store
 * does not have yet does not ask, so no flight ever begins beside such a copy.
 */
static bool has_changed(struct flights *flights, struct slice key,
                        uint64_t hash, uint64_t seen_version)
{
    struct copy copy;
    const bool there = cache_get(flights->cache, key, hash, 0, &copy, NULL);

    return seen_version != (there ? copy.version : 0);
}

static void add_waiter(struct flights *flights, struct flight *f,
                       struct waiter *w, int64_t deadline_us)
{
    atomic_store_explicit(&w->refs, 3, memory_order_relaxed);
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    w->flight = f;
    w->next = f->waiters;
    f->waiters = w;
    timers_add(flights->timers, &w->deadline, deadline_us, on_deadline);
}

/* Of a marked key: nobody's answer may serve another, and none is cached, so
 * that all see the group at the moment the store does.  If the key has a copy
 * that the store does not have, its lookups wait for the end of the group. */
static enum flight_join
join_marked(struct flights *flights, struct flight_shard *shard,
            struct flight_mark *mark, struct waiter *w, struct flight **flightp)
    REQUIRES(shard->lock)
{
    if (w == NULL) {
        return FLIGHT_REFUSED; /* A refresh, for no copy. */
    }
    if (!mark->hides) {
        return start(flights, shard, mark->key, mark->hash, false, true,
                     flightp);
    }
    if (mark->held == NULL) {
        mark->held = new_flight(flights, mark->key, mark->hash, false);
        if (mark->held == NULL) {
            return FLIGHT_REFUSED;
        }
        mark->held->held = true;
    }
    *flightp = mark->held;
    return FLIGHT_STARTED;
}

static enum flight_join join(struct flights *flights,
                             struct flight_shard *shard, struct slice key,
                             uint64_t hash, uint64_t seen_version,
                             struct waiter *w, struct flight **flightp)
    REQUIRES(shard->lock)
{
    struct flight_mark *mark = flight_mark_of(shard, key, hash);

    *flightp = mark != NULL ? NULL : find_young(flights, shard, key, hash);
    if (*flightp != NULL) {
        return FLIGHT_JOINED;
    }
    if (has_changed(flights, key, hash, seen_version)) {
        return FLIGHT_CHANGED;
    }
    return mark != NULL
               ? join_marked(flights, shard, mark, w, flightp)
               : start(flights, shard, key, hash, w == NULL, false, flightp);
}

enum flight_join flights_join(struct flights *flights, struct slice key,
                              uint64_t hash, uint64_t seen_version,
                              struct waiter *w, int64_t deadline_us)
{
    struct flight_shard *shard = flight_shard_of(flights, hash);
    struct flight *f;

    mutex_lock(&shard->lock);
    const enum flight_join result =
        join(flights, shard, key, hash, seen_version, w, &f);
    if (f != NULL && w != NULL) {
        add_waiter(flights, f, w, deadline_us);
    }
    mutex_unlock(&shard->lock);
    return result;
}

void flights_land(struct flights *flights, struct flight *f)
{
    struct flight_shard *shard = flight_shard_of(flights, f->hash);
    struct waiter *waiters = NULL;

    mutex_lock(&shard->lock);
    f->held = false;
    bool landed = cache_get(flights->cache, flight_key(f), f->hash, 0, &f->copy,
                            &f->bytes);
    f->found = landed;
    if (!landed) {
        buf_clear(&f->bytes);
        f->copy.filled_us = clock_now_us();
        /* Once it is started, row() may be at the flight. */
        const enum store_start started =
            store_read_start(flights->store, &f->read);
        if (started == STORE_REFUSED || started == STORE_BROKEN) {
            f->err = started == STORE_BROKEN ? ERR_STORE_DOWN : ERR_STORE_BUSY;
            landed = true;
        }
    }
    if (landed) {
        waiters = f->waiters;
        f->waiters = NULL;
    } else {
        stats_count(STATS_store_reads);
    }
    mutex_unlock(&shard->lock);

    if (landed) {
        wake(waiters);
        flight_unref(f);
    }
}

bool flights_changed(struct flights *flights, struct slice key, uint64_t hash,
                     uint64_t seen_version)
{
    struct flight_shard *shard = flight_shard_of(flights, hash);

    mutex_lock(&shard->lock);
    const bool changed = has_changed(flights, key, hash, seen_version);
    mutex_unlock(&shard->lock);
    return changed;
}

bool flights_withdraw(struct flights *flights, struct waiter *w)
{
    struct flight *f = w->flight;
    struct flight_shard *shard = flight_shard_of(flights, f->hash);
    bool withdrawn = false;

    mutex_lock(&shard->lock);
    if (!f->held && f->waiters == w && w->next == NULL &&
        store_read_withdraw(flights->store, &f->read)) {
        f->waiters = NULL;
        if (f->in_table) {
            flight_unlink(shard, f);
        }
        withdrawn = true;
    }
    mutex_unlock(&shard->lock);
    if (withdrawn) {
        stats_count(STATS_reads_withdrawn);
        waiter_unref(w); /* The list's. */
        flight_unref(f); /* The store's; the waiter has its own. */
    }
    return withdrawn;
}

bool flights_view(struct flights *flights, struct slice key, uint64_t hash,
                  struct flight_view *view)
{
    struct flight_shard *shard = flight_shard_of(flights, hash);

    mutex_lock(&shard->lock);
    const struct flight *f = flight_find(shard, key, hash);
    if (f != NULL) {
        *view =
            (struct flight_view){.age_us = clock_now_us() - f->copy.filled_us};
        for (const struct waiter *w = f->waiters; w != NULL; w = w->next) {
            view->n_waiters +=
                atomic_load_explicit(&w->winner, memory_order_relaxed) ==
                WINNER_NOBODY;
        }
    }
    mutex_unlock(&shard->lock);
    return f != NULL;
}

size_t flights_count(struct flights *flights)
{
    size_t count = 0;

    for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
        mutex_lock(&flights->shards[i].lock);
        count += flights->shards[i].count;
        mutex_unlock(&flights->shards[i].lock);
    }
    return count;
}
