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
#include "server/lookup/flight.h"
#include "server/store/store.h"

#include <assert.h>

struct lookup {
    struct lookup_parts parts;
    struct flights *flights; /* Owned. */
};

/* One question while it is being answered. */
struct question {
    struct lookup *lookup;
    const struct mapping *mapping;
    struct slice key;
    uint64_t hash;
    int64_t start_us;
    enum race race; /* Read once: CONFIG SET may change it meanwhile. */
};

struct pending_lookup {
    struct waiter waiter; /* First: the memory is freed through it. */
    struct lookup *lookup;
    const struct mapping *mapping;
    lookup_done_fn *done;
    void *arg;
    uint64_t hash;
    int64_t start_us;
    bool cancelled; /* Loop thread only. */
    size_t key_size;
    char key[];
};

enum freshness {
    COPY_FRESH,
    COPY_STALE, /* Within stale-while-revalidate. */
    COPY_OLD    /* Good for stale-if-error at most. */
};

struct lookup *lookup_new(const struct lookup_parts *parts)
{
    struct lookup *lookup = xcalloc(1, sizeof *lookup);

    lookup->parts = *parts;
    lookup->flights = flights_new(parts->cache, parts->store, parts->timers);
    return lookup;
}

void lookup_free(struct lookup *lookup)
{
    if (lookup == NULL) {
        return;
    }
    flights_free(lookup->flights);
    free(lookup);
}

struct flights *lookup_flights(struct lookup *lookup)
{
    return lookup->flights;
}

const struct lookup_parts *lookup_parts(const struct lookup *lookup)
{
    return &lookup->parts;
}

/* ---- what a copy is worth ---- */

static int64_t limit(const struct lookup *lookup, enum config_id id)
{
    return config_number(lookup->parts.config, id);
}

static bool is_pinned(const struct copy *copy)
{
    return copy->dirty || copy->memory_only;
}

static enum freshness freshness(const struct lookup *lookup,
                                const struct copy *copy, int64_t now_us)
{
    const int64_t age_us = now_us - copy->filled_us;

    if (is_pinned(copy)) {
        return COPY_FRESH;
    }
    if (copy->kind == COPY_NEGATIVE) {
        return age_us < limit(lookup, CONFIG_negative_max_age) ? COPY_FRESH
                                                               : COPY_OLD;
    }
    const int64_t max_age_us = limit(lookup, CONFIG_max_age);
    if (age_us < max_age_us) {
        return COPY_FRESH;
    }
    return age_us - max_age_us < limit(lookup, CONFIG_stale_while_revalidate)
               ? COPY_STALE
               : COPY_OLD;
}

/* May the copy answer because the store failed?  A negative one only while it
 * is fresh: a failed store is not shown as "not found". */
static bool good_on_error(const struct lookup *lookup, const struct copy *copy,
                          int64_t now_us)
{
    return freshness(lookup, copy, now_us) == COPY_FRESH ||
           (copy->kind != COPY_NEGATIVE &&
            now_us - copy->filled_us - limit(lookup, CONFIG_max_age) <
                limit(lookup, CONFIG_stale_if_error));
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

/* ---- answers ---- */

static void count_answer(const struct answer *answer)
{
    stats_count(STATS_lookups);
    switch (answer->outcome) {
    case LOOKUP_FOUND:
        stats_count(STATS_keyspace_hits);
        break;
    case LOOKUP_MISS:
        stats_count(STATS_keyspace_misses);
        break;
    case LOOKUP_FAILED:
        stats_count(STATS_lookup_error_answers);
        return;
    }
    if (answer->source == LOOKUP_STORE) {
        stats_count(STATS_lookup_store_answers);
        return;
    }
    stats_count(STATS_lookup_cache_answers);
    if (answer->outcome == LOOKUP_MISS) {
        stats_count(STATS_lookup_negative_answers);
    }
}

static void answer_from_copy(struct answer *answer, const struct copy *copy,
                             struct slice bytes, int64_t now_us)
{
    answer->outcome = copy->kind == COPY_NEGATIVE ? LOOKUP_MISS : LOOKUP_FOUND;
    answer->source = LOOKUP_CACHE;
    answer->bytes = bytes;
    /* Another thread may have filled it since 'now_us'. */
    answer->age_us = now_us > copy->filled_us ? now_us - copy->filled_us : 0;
    answer->expires_ms = copy->expires_ms;
}

static void answer_failed(struct answer *answer, enum err err)
{
    answer->outcome = LOOKUP_FAILED;
    answer->source = LOOKUP_STORE;
    answer->err = err;
    answer->bytes = SLICE("");
}

/* The store failed with 'err': answers from a copy that is young enough for
 * that, or with the error. */
static void answer_without_store(const struct question *q, enum err err,
                                 struct buf *scratch, struct answer *answer)
{
    const struct lookup *lookup = q->lookup;
    const int64_t now_us = clock_now_us();
    const size_t begin = scratch->size;
    struct copy copy;

    if (err == ERR_STORE_TIMEOUT) {
        stats_count(STATS_store_timeouts);
    } else if (err == ERR_STORE_BUSY) {
        stats_count(STATS_store_busy);
    }
    if (cache_get(lookup->parts.cache, q->key, q->hash, 0, &copy, scratch)) {
        apply_expiry(&copy);
        if (good_on_error(lookup, &copy, now_us)) {
            stats_count(STATS_lookup_stale_if_error_answers);
            answer_from_copy(
                answer, &copy,
                slice_make(buf_data(scratch) + begin, scratch->size - begin),
                now_us);
            return;
        }
    }
    buf_truncate(scratch, begin);
    answer_failed(answer, err);
}

static void finish_answer(const struct question *q, struct answer *answer)
{
    answer->mapping = q->mapping;
    answer->start_us = q->start_us;
    count_answer(answer);
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
    answer_from_copy(answer, &result.copy, result.bytes, clock_now_us());
    answer->source = LOOKUP_STORE;
    answer->age_us = 0;
}

static void deliver(struct waiter *waiter)
{
    struct pending_lookup *p =
        container_of(waiter, struct pending_lookup, waiter);
    const struct question q = {.lookup = p->lookup,
                               .mapping = p->mapping,
                               .key = slice_make(p->key, p->key_size),
                               .hash = p->hash,
                               .start_us = p->start_us};
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
    stats_count(STATS_lookup_abandoned);
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
                                 .key_size = q->key.size};
    memcpy(p->key, q->key.data, q->key.size);
    p->waiter.home = caller->home;
    p->waiter.deliver = deliver;
    return p;
}

/* ---- asking ---- */

static void refresh(const struct question *q, uint64_t seen_version)
{
    switch (flights_join(q->lookup->flights, q->key, q->hash, seen_version,
                         NULL, 0)) {
    case FLIGHT_STARTED:
        stats_count(STATS_refreshes);
        break;
    case FLIGHT_REFUSED:
        stats_count(STATS_refreshes_skipped);
        break;
    case FLIGHT_JOINED:
    case FLIGHT_CHANGED:
        break;
    }
}

/* What the probe found, and what the race makes of it. */
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
    probe->there = cache_get(q->lookup->parts.cache, q->key, q->hash, 0,
                             &probe->copy, scratch);
    if (probe->there) {
        apply_expiry(&probe->copy);
        probe->bytes =
            slice_make(buf_data(scratch) + begin, scratch->size - begin);
        probe->freshness = freshness(q->lookup, &probe->copy, q->start_us);
    } else {
        buf_truncate(scratch, begin);
    }
}

/* True if the cache answers without a race: 'answer' is then filled. */
static bool cache_answers_alone(const struct question *q,
                                const struct probe *probe,
                                struct answer *answer)
{
    const bool pinned = probe->there && is_pinned(&probe->copy);

    if (probe->freshness == COPY_OLD || (q->race == RACE_ALWAYS && !pinned) ||
        (q->race == RACE_NEVER && probe->freshness == COPY_STALE)) {
        return false;
    }
    answer_from_copy(answer, &probe->copy, probe->bytes, q->start_us);
    if (probe->freshness == COPY_STALE) {
        stats_count(STATS_lookup_races);
        stats_count(STATS_races_won_by_cache);
        stats_count(STATS_lookup_stale_answers);
        refresh(q, probe->copy.version);
    }
    return true;
}

/* 'race always', and the cache has a valid copy: the store is under way, and
 * the cache tries to be first.  True if it was. */
static bool cache_wins(struct pending_lookup *p, const struct probe *probe,
                       struct answer *answer)
{
    struct lookup *lookup = p->lookup;

    stats_count(STATS_lookup_races);
    if (!waiter_claim(&p->waiter, WINNER_CACHE)) {
        stats_count(STATS_races_won_by_store);
        return false;
    }
    stats_count(STATS_races_won_by_cache);
    answer_from_copy(answer, &probe->copy, probe->bytes, p->start_us);
    flights_withdraw(lookup->flights, &p->waiter);
    waiter_leave(&p->waiter);
    return true;
}

/* Asks the store.  Returns the pending lookup, or NULL with the answer. */
static struct pending_lookup *ask_store(const struct question *q,
                                        const struct lookup_caller *caller,
                                        const struct probe *probe, bool *again,
                                        struct buf *scratch,
                                        struct answer *answer)
{
    const bool cache_may_win =
        q->race == RACE_ALWAYS && probe->freshness != COPY_OLD;
    const uint64_t seen_version = probe->there ? probe->copy.version : 0;
    struct pending_lookup *p = new_pending(q, caller);

    if (p == NULL) {
        answer_failed(answer, ERR_NOMEM);
        return NULL;
    }
    switch (flights_join(
        q->lookup->flights, q->key, q->hash, seen_version, &p->waiter,
        q->start_us + limit(q->lookup, CONFIG_store_timeout))) {
    case FLIGHT_JOINED:
        stats_count(STATS_flights_joined);
        break;
    case FLIGHT_STARTED:
        break;
    case FLIGHT_CHANGED:
        *again = true;
        free(p);
        return NULL;
    case FLIGHT_REFUSED:
        free(p);
        if (cache_may_win) {
            stats_count(STATS_refreshes_skipped);
            answer_from_copy(answer, &probe->copy, probe->bytes, q->start_us);
        } else {
            answer_without_store(q, ERR_STORE_BUSY, scratch, answer);
        }
        return NULL;
    }
    return cache_may_win && cache_wins(p, probe, answer) ? NULL : p;
}

/* Nobody is overtaken so often in a row: there is a copy, and no memory to take
 * it into. */
#define TRIES_MAX 16

static bool store_could_have(const struct question *q, struct slice id)
{
    return q->mapping != NULL
               ? mapping_id_valid(q->mapping, id)
               : limit(q->lookup, CONFIG_plain_writes) != WRITES_NONE;
}

struct pending_lookup *lookup_get(struct lookup *lookup, struct slice key,
                                  const struct lookup_caller *caller,
                                  struct buf *scratch, struct answer *answer)
{
    struct question q = {.lookup = lookup,
                         .key = key,
                         .hash = hash_bytes(key),
                         .start_us = clock_now_us(),
                         .race = (enum race)limit(lookup, CONFIG_race)};
    struct slice id;
    struct pending_lookup *pending = NULL;
    bool again = true;

    q.mapping = mapping_find(store_mappings(lookup->parts.store), key, &id);
    *answer = (struct answer){0};
    for (unsigned tries = 1; again; tries++) {
        struct probe probe;

        again = false;
        probe_cache(&q, scratch, &probe);
        if (cache_answers_alone(&q, &probe, answer)) {
            break;
        }
        if (!store_could_have(&q, id)) {
            answer->outcome = LOOKUP_MISS;
            break;
        }
        if (tries > TRIES_MAX) {
            answer_failed(answer, ERR_NOMEM);
            break;
        }
        pending = ask_store(&q, caller, &probe, &again, scratch, answer);
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
}
