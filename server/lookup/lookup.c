/* SPDX-License-Identifier: MIT */
/*
 * The states of a lookup:
 *
 *   probe the cache ─► can it answer alone? ──yes──► answered on this thread
 *        ▲                     │no
 *        │changed              ▼
 *        └────────── join the key's flight ─► the cache has a valid copy
 *                              │              (race always)? claim for it,
 *                              ▼              answered on this thread
 *                           pending: the first claim wins
 *                              ├─ flight done: its answer, or if it failed …
 *                              └─ deadline …  a copy within stale-if-error,
 *                                             or the error
 */
#include "server/lookup/lookup.h"

#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"
#include "server/lookup/feed.h"
#include "server/lookup/flight.h"
#include "server/lookup/freshness.h"
#include "server/lookup/outbox.h"
#include "server/store/store.h"

#include <assert.h>

struct lookup {
    struct lookup_parts parts;
    struct flights *flights; /* Owned, as the next. */
    struct feed *feed;
    struct outbox *outbox; /* Of the store's writer. */
};

/* One question while it is being answered. */
struct question {
    struct lookup *lookup;
    const struct mapping *mapping;
    struct slice key;
    uint64_t hash;
    int64_t start_us;
    int64_t wait_us;
    uint64_t min_version;
    bool no_touch;
    /* Read once: CONFIG SET may change them meanwhile. */
    enum race race;
    struct freshness_rules rules;
};

struct pending_lookup {
    struct waiter waiter; /* First: the memory is freed through it. */
    struct lookup *lookup;
    const struct mapping *mapping;
    lookup_done_fn *done;
    void *arg;
    uint64_t hash;
    int64_t start_us;
    uint64_t min_version;
    /* Loop thread only. */
    enum outcome how; /* What it counts as if the store answers. */
    bool cancelled;
    size_t key_size;
    char key[];
};

struct lookup *lookup_new(const struct lookup_parts *parts)
{
    struct lookup *lookup = xcalloc(1, sizeof *lookup);

    lookup->parts = *parts;
    lookup->flights =
        flights_new(parts->config, parts->cache, parts->store, parts->timers);
    lookup->feed = feed_new(&lookup->parts, lookup->flights);
    lookup->outbox = outbox_new();
    store_on_ended(parts->store, outbox_flush, lookup->outbox);
    return lookup;
}

void lookup_free(struct lookup *lookup)
{
    if (lookup == NULL) {
        return;
    }
    feed_free(lookup->feed);
    flights_free(lookup->flights);
    outbox_free(lookup->outbox);
    free(lookup);
}

struct flights *lookup_flights(struct lookup *lookup)
{
    return lookup->flights;
}

struct outbox *lookup_outbox(const struct lookup *lookup)
{
    return lookup->outbox;
}

struct feed *lookup_feed(const struct lookup *lookup)
{
    return lookup->feed;
}

const struct lookup_parts *lookup_parts(const struct lookup *lookup)
{
    return &lookup->parts;
}

/* ---- the question ---- */

static int64_t limit(const struct lookup *lookup, enum config_id id)
{
    return config_number(lookup->parts.config, id);
}

/* Which of the tables of config.h and outcomes.h a key belongs to. */
static int table_of(const struct mapping *mapping)
{
    return mapping != NULL ? (int)mapping->index : OUTCOMES_PLAIN;
}

struct freshness_rules lookup_rules(const struct lookup *lookup,
                                    const struct mapping *mapping)
{
    struct freshness_rules rules =
        freshness_rules(lookup->parts.config, table_of(mapping));

    rules.distrusted_us = feed_distrusted_us(lookup->feed, mapping);
    return rules;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct question question(struct lookup *lookup, struct slice key,
                                int64_t start_us, struct slice *id)
{
    struct question q = {.lookup = lookup,
                         .key = key,
                         .hash = hash_bytes(key),
                         .start_us = start_us,
                         .wait_us = limit(lookup, CONFIG_store_timeout),
                         .race = (enum race)limit(lookup, CONFIG_race)};

    q.mapping = mapping_find(store_mappings(lookup->parts.store), key, id);
    q.rules = lookup_rules(lookup, q.mapping);
    return q;
}

static void apply_bounds(struct question *q, const struct lookup_bounds *bounds)
{
    q->rules.age_bound_us = bounds->max_age_us;
    q->rules.stale_bound_us = bounds->stale_us;
    q->wait_us = smaller(q->wait_us, bounds->wait_us);
    q->min_version = bounds->min_version;
}

/* Nothing in the store could have the key? */
static bool is_impossible(const struct question *q, struct slice id)
{
    return q->mapping != NULL
               ? !mapping_id_valid(q->mapping, id)
               : limit(q->lookup, CONFIG_plain_writes) == WRITES_NONE;
}

/* ---- answers ---- */

static void count_answer(const struct question *q, const struct answer *answer)
{
    outcomes_count(answer->how, table_of(q->mapping), answer->took_us);
    if (answer->outcome == LOOKUP_FAILED) {
        return;
    }
    stats_count(answer->outcome == LOOKUP_FOUND ? STATS_keyspace_hits
                                                : STATS_keyspace_misses);
    stats_count(answer->source == LOOKUP_STORE ? STATS_lookup_store_answers
                                               : STATS_lookup_cache_answers);
    if (answer->source == LOOKUP_STORE && answer->outcome == LOOKUP_FOUND) {
        stats_count(STATS_store_answers_found);
    }
}

static void finish_answer(const struct question *q, struct answer *answer)
{
    answer->mapping = q->mapping;
    answer->took_us = clock_now_us() - q->start_us;
    count_answer(q, answer);
}

static void answer_from_copy(struct answer *answer, enum outcome how,
                             const struct copy *copy, struct slice bytes,
                             int64_t now_us)
{
    answer->outcome = copy->kind == COPY_NEGATIVE ? LOOKUP_MISS : LOOKUP_FOUND;
    answer->how = how;
    answer->source = LOOKUP_CACHE;
    answer->kind = copy->kind;
    answer->bytes = bytes;
    /* Another thread may have filled it since 'now_us'. */
    answer->age_us = now_us > copy->filled_us ? now_us - copy->filled_us : 0;
    answer->expires_ms = copy->expires_ms;
}

static void answer_failed(struct answer *answer, enum err err)
{
    answer->outcome = LOOKUP_FAILED;
    answer->how = err == ERR_STORE_TIMEOUT ? OUTCOME_timeout
                  : err == ERR_STORE_BUSY  ? OUTCOME_busy
                                           : OUTCOME_down;
    answer->source = LOOKUP_STORE;
    answer->err = err;
    answer->bytes = SLICE("");
}

/* A copy whose own expiry has passed says "there is no such key", as the
 * store's row, which expired with it, would. */
static void apply_expiry(struct copy *copy)
{
    if (copy->expires_ms != 0 && copy->expires_ms <= clock_wall_ms()) {
        copy->kind = COPY_NEGATIVE;
        copy->expires_ms = 0;
    }
}

/* A copy that is pinned is the youngest there is, whatever its version. */
static bool is_version_good(const struct question *q, const struct copy *copy)
{
    return copy->version >= q->min_version || copy_is_pinned(copy);
}

/* May the copy answer, as the store does not? */
static bool is_good_without_store(const struct question *q,
                                  const struct copy *copy, int64_t now_us)
{
    if (!is_version_good(q, copy)) {
        return false;
    }
    /* What failed has not won the race, whoever was first. */
    return freshness_good_on_error(&q->rules, copy, now_us) ||
           (q->race == RACE_ALWAYS &&
            freshness_of(&q->rules, copy, now_us) != COPY_OLD);
}

/* The store failed with 'err': answers from a copy that is young enough for
 * that, or with the error. */
static void answer_without_store(const struct question *q, enum err err,
                                 struct buf *scratch, struct answer *answer)
{
    const int64_t now_us = clock_now_us();
    const size_t begin = scratch->size;
    struct copy copy;

    /* A table that is not what it was has not failed: it is another. */
    if (err != ERR_STORE_MAPPING &&
        cache_get(q->lookup->parts.cache, q->key, q->hash, 0, &copy, scratch)) {
        apply_expiry(&copy);
        if (is_good_without_store(q, &copy, now_us)) {
            answer_from_copy(answer, OUTCOME_stale_if_error, &copy,
                             slice_make(buf_slice(scratch).data + begin,
                                        scratch->size - begin),
                             now_us);
            return;
        }
    }
    buf_truncate(scratch, begin);
    answer_failed(answer, err);
}

/* ---- the pending side; on the loop behind 'home' ---- */

static void answer_from_flight(struct pending_lookup *p,
                               const struct question *q, struct buf *scratch,
                               struct answer *answer)
{
    struct flight_result result;

    waiter_result(&p->waiter, &result);
    if (result.err != ERR_OK) {
        answer_without_store(q, result.err, scratch, answer);
        return;
    }
    apply_expiry(&result.copy);
    answer_from_copy(answer, p->how, &result.copy, result.bytes,
                     clock_now_us());
    answer->source = LOOKUP_STORE;
    answer->age_us = 0;
}

static void deliver(struct waiter *waiter)
{
    struct pending_lookup *p =
        container_of(waiter, struct pending_lookup, waiter);
    const struct question q = {
        .lookup = p->lookup,
        .mapping = p->mapping,
        .key = slice_make(p->key, p->key_size),
        .hash = p->hash,
        .start_us = p->start_us,
        .min_version = p->min_version,
        .race = p->how == OUTCOME_race_store ? RACE_ALWAYS : RACE_NEVER,
        .rules = lookup_rules(p->lookup, p->mapping)};
    struct answer answer = {0};
    struct buf scratch = {0};

    if (p->cancelled) {
        waiter_unref(waiter); /* The caller's was dropped by the cancel. */
        return;
    }
    if (atomic_load_explicit(&waiter->winner, memory_order_acquire) ==
        WINNER_STORE) {
        answer_from_flight(p, &q, &scratch, &answer);
    } else {
        answer_without_store(&q, ERR_STORE_TIMEOUT, &scratch, &answer);
    }
    finish_answer(&q, &answer);
    p->done(p->arg, &answer);
    buf_destroy(&scratch);
    waiter_unref(waiter); /* The caller's … */
    waiter_unref(waiter); /* … and the delivery's. */
}

void lookup_cancel(struct pending_lookup *p)
{
    assert(!p->cancelled);
    outcomes_count(OUTCOME_abandoned, table_of(p->mapping),
                   clock_now_us() - p->start_us);
    p->cancelled = true;
    if (waiter_claim(&p->waiter, WINNER_CALLER)) {
        waiter_leave(&p->waiter);
    } else {
        waiter_unref(&p->waiter);
    }
}

static struct pending_lookup *new_pending(const struct question *q,
                                          const struct lookup_caller *caller)
{
    struct pending_lookup *p = try_malloc(sizeof *p + q->key.size);

    if (p == NULL) {
        return NULL;
    }
    *p = (struct pending_lookup){.lookup = q->lookup,
                                 .mapping = q->mapping,
                                 .done = caller->done,
                                 .arg = caller->arg,
                                 .hash = q->hash,
                                 .start_us = q->start_us,
                                 .min_version = q->min_version,
                                 .key_size = q->key.size};
    memcpy(p->key, q->key.data, q->key.size);
    p->waiter.home = caller->home;
    p->waiter.deliver = deliver;
    return p;
}

/* ---- asking ---- */

/* Asks the store without waiting for it.  Refreshes start only while the store
 * has room for them; one that does not is tried again by the next who asks, so
 * the copies that are asked for most are refreshed first. */
static enum flight_join refresh(const struct question *q, uint64_t seen_version)
{
    const enum flight_join join = flights_join(q->lookup->flights, q->key,
                                               q->hash, seen_version, NULL, 0);

    if (join == FLIGHT_STARTED) {
        stats_count(STATS_refreshes);
    } else if (join == FLIGHT_REFUSED || join == FLIGHT_BROKEN) {
        stats_count(STATS_refreshes_skipped);
    }
    return join;
}

/* What the probe found, and what it is worth. */
struct probe {
    bool there;
    struct copy copy;
    struct slice bytes;
    enum freshness freshness; /* COPY_OLD if there is none. */
};

static void probe_cache(const struct question *q, struct buf *scratch,
                        struct probe *probe)
{
    const size_t begin = scratch->size;

    *probe = (struct probe){.freshness = COPY_OLD};
    probe->there = (q->no_touch ? cache_peek : cache_get)(
        q->lookup->parts.cache, q->key, q->hash, 0, &probe->copy, scratch);
    if (probe->there) {
        apply_expiry(&probe->copy);
        probe->bytes =
            slice_make(buf_slice(scratch).data + begin, scratch->size - begin);
        probe->freshness =
            is_version_good(q, &probe->copy)
                ? freshness_of(&q->rules, &probe->copy, q->start_us)
                : COPY_OLD;
    } else {
        buf_truncate(scratch, begin);
    }
}

static uint64_t seen_version(const struct probe *probe)
{
    return probe->there ? probe->copy.version : 0;
}

/* Does the cache answer without waiting for a race? */
static bool cache_answers_alone(const struct question *q,
                                const struct probe *probe)
{
    switch (probe->freshness) {
    case COPY_FRESH:
        return q->race != RACE_ALWAYS || copy_is_pinned(&probe->copy);
    case COPY_STALE:
        return q->race == RACE_STALE;
    case COPY_OLD:
        break;
    }
    return false;
}

static void answer_alone(const struct question *q, const struct probe *probe,
                         struct answer *answer)
{
    const bool is_stale = probe->freshness == COPY_STALE;

    answer_from_copy(answer,
                     probe->copy.kind == COPY_NEGATIVE ? OUTCOME_negative_hit
                     : is_stale                        ? OUTCOME_stale_hit
                                                       : OUTCOME_fresh_hit,
                     &probe->copy, probe->bytes, q->start_us);
    if (is_stale) {
        stats_count(STATS_lookup_races);
        (void)refresh(q, seen_version(probe));
    }
}

/* 'race always': is the copy good enough to win? */
static bool cache_may_win(const struct question *q, const struct probe *probe)
{
    return q->race == RACE_ALWAYS && probe->freshness != COPY_OLD;
}

static void answer_cache_won(const struct probe *probe, int64_t now_us,
                             struct answer *answer)
{
    answer_from_copy(answer, OUTCOME_race_cache, &probe->copy, probe->bytes,
                     now_us);
}

/* 'race always', and the cache has a valid copy: the store is under way, and
 * the cache tries to be first.  True if it was. */
static bool cache_wins(struct pending_lookup *p, const struct probe *probe,
                       struct answer *answer)
{
    stats_count(STATS_lookup_races);
    p->how = OUTCOME_race_store;
    if (!waiter_claim(&p->waiter, WINNER_CACHE)) {
        return false;
    }
    answer_cache_won(probe, p->start_us, answer);
    (void)flights_withdraw(p->lookup->flights, &p->waiter);
    waiter_leave(&p->waiter);
    return true;
}

/* Asks the store and waits.  Returns the pending lookup, or NULL with the
 * answer, or with '*again' set. */
static struct pending_lookup *ask_store(const struct question *q,
                                        const struct lookup_caller *caller,
                                        const struct probe *probe, bool *again,
                                        struct buf *scratch,
                                        struct answer *answer)
{
    struct pending_lookup *p = new_pending(q, caller);

    if (p == NULL) {
        answer_failed(answer, ERR_NOMEM);
        return NULL;
    }
    const enum flight_join join =
        flights_join(q->lookup->flights, q->key, q->hash, seen_version(probe),
                     &p->waiter, q->start_us + q->wait_us);
    switch (join) {
    case FLIGHT_STARTED:
    case FLIGHT_JOINED:
        p->how = join == FLIGHT_STARTED ? OUTCOME_miss : OUTCOME_joined;
        if (join == FLIGHT_JOINED) {
            stats_count(STATS_flights_joined);
        }
        return cache_may_win(q, probe) && cache_wins(p, probe, answer) ? NULL
                                                                       : p;
    case FLIGHT_CHANGED:
        *again = true;
        break;
    case FLIGHT_REFUSED:
    case FLIGHT_BROKEN:
        if (cache_may_win(q, probe)) {
            stats_count(STATS_refreshes_skipped);
            answer_cache_won(probe, q->start_us, answer);
        } else {
            answer_without_store(
                q, join == FLIGHT_BROKEN ? ERR_STORE_DOWN : ERR_STORE_BUSY,
                scratch, answer);
        }
        break;
    }
    free(p);
    return NULL;
}

/* Asks the store, but takes what there is now. */
static void ask_without_waiting(const struct question *q,
                                const struct probe *probe, bool *again,
                                struct buf *scratch, struct answer *answer)
{
    const enum flight_join join = refresh(q, seen_version(probe));

    if (join == FLIGHT_CHANGED) {
        *again = true;
    } else if (cache_may_win(q, probe)) {
        stats_count(STATS_lookup_races);
        answer_cache_won(probe, q->start_us, answer);
    } else {
        answer_without_store(
            q, join == FLIGHT_BROKEN ? ERR_STORE_DOWN : ERR_STORE_TIMEOUT,
            scratch, answer);
    }
}

/* Nobody is overtaken so often in a row: there is a copy, and no memory to take
 * it into. */
#define TRIES_MAX 16

struct pending_lookup *lookup_get(struct lookup *lookup, struct slice key,
                                  const struct lookup_bounds *bounds,
                                  const struct lookup_caller *caller,
                                  struct buf *scratch, struct answer *answer)
{
    struct slice id;
    struct question q = question(lookup, key, caller->start_us, &id);
    struct pending_lookup *pending = NULL;
    bool again = true;

    if (bounds != NULL) {
        apply_bounds(&q, bounds);
    }
    q.no_touch = caller->no_touch;
    *answer = (struct answer){0};
    for (unsigned tries = 1; again; tries++) {
        struct probe probe;

        again = false;
        if (tries > 1) {
            /* What is put together is hidden meanwhile, under this lock: who
             * has it sees what is there, however often that is written. */
            flights_lock(lookup->flights, q.hash);
        }
        probe_cache(&q, scratch, &probe);
        if (tries > 1) {
            flights_unlock(lookup->flights, q.hash);
        }
        if (cache_answers_alone(&q, &probe)) {
            answer_alone(&q, &probe, answer);
        } else if (is_impossible(&q, id)) {
            /* Nobody holds a key up that no row can have; plain keys in memory
             * only may be missed because they are written just now. */
            again = q.mapping == NULL && tries <= TRIES_MAX &&
                    flights_changed(lookup->flights, key, q.hash,
                                    seen_version(&probe));
            answer->outcome = LOOKUP_MISS;
            answer->kind = COPY_NEGATIVE;
            answer->how = OUTCOME_impossible;
        } else if (tries > TRIES_MAX) {
            answer_failed(answer, ERR_NOMEM);
        } else if (q.wait_us == 0) {
            ask_without_waiting(&q, &probe, &again, scratch, answer);
        } else {
            pending = ask_store(&q, caller, &probe, &again, scratch, answer);
        }
    }
    if (pending == NULL) {
        finish_answer(&q, answer);
    }
    return pending;
}

bool lookup_evict(struct lookup *lookup, struct slice key)
{
    return cache_evict(lookup->parts.cache, key, hash_bytes(key));
}

void lookup_describe(struct lookup *lookup, struct buf *out)
{
    buf_printf(out, "flights:%zu\r\n", flights_count(lookup->flights));
    feed_describe(lookup->feed, out);
}
