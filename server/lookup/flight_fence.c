/* SPDX-License-Identifier: MIT */
/*
 * What writes and changes by others do to flights and to the keys they are of.
 *
 * A shard is locked by hash, through functions, so the analysis of locks does
 * not follow; the ranks and TSan do.
 */
#include "server/lookup/flight_internal.h"

#include "common/clock.h"

#include <assert.h>

/* ---- locks ---- */

void flights_lock(struct flights *flights,
                  uint64_t hash) NO_THREAD_SAFETY_ANALYSIS
{
    mutex_lock(&flight_shard_of(flights, hash)->lock);
}

void flights_unlock(struct flights *flights,
                    uint64_t hash) NO_THREAD_SAFETY_ANALYSIS
{
    mutex_unlock(&flight_shard_of(flights, hash)->lock);
}

uint32_t flights_shards_of(uint64_t hash)
{
    return UINT32_C(1) << hash % FLIGHT_SHARDS;
}

void flights_lock_shards(struct flights *flights,
                         uint32_t shards) NO_THREAD_SAFETY_ANALYSIS
{
    for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
        if ((shards >> i & 1) != 0) {
            mutex_lock(&flights->shards[i].lock);
        }
    }
}

void flights_unlock_shards(struct flights *flights,
                           uint32_t shards) NO_THREAD_SAFETY_ANALYSIS
{
    for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
        if ((shards >> i & 1) != 0) {
            mutex_unlock(&flights->shards[i].lock);
        }
    }
}

/* ---- the fence ---- */

#ifndef NDEBUG
static _Atomic bool fence_is_off; /* Relaxed; set by a test that has no other
                                     threads. */

void flights_test_no_fence(bool off)
{
    fence_is_off = off;
}
#endif

void flights_fence(struct flights *flights, struct slice key,
                   uint64_t hash) NO_THREAD_SAFETY_ANALYSIS
{
#ifndef NDEBUG
    if (fence_is_off) {
        return;
    }
#endif
    struct flight_shard *shard = flight_shard_of(flights, hash);
    struct flight *f = flight_find(shard, key, hash);

    if (f != NULL) {
        flight_unlink(shard, f);
    }
}

static bool is_any(const struct flight *f, const struct mapping *mapping)
{
    (void)f;
    (void)mapping;
    return true;
}

static bool is_of(const struct flight *f, const struct mapping *mapping)
{
    return f->read.mapping == mapping;
}

/* Takes out all flights that 'matches' says. */
static void fence_many(struct flights *flights,
                       bool (*matches)(const struct flight *f,
                                       const struct mapping *mapping),
                       const struct mapping *mapping)
{
    for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
        struct flight_shard *shard = &flights->shards[i];
        mutex_lock(&shard->lock);
        for (size_t bin = 0; shard->count > 0 && bin < FLIGHT_BINS; bin++) {
            for (struct flight *f = shard->bins[bin], *next; f != NULL;
                 f = next) {
                next = f->next;
                if (matches(f, mapping)) {
                    flight_unlink(shard, f);
                }
            }
        }
        mutex_unlock(&shard->lock);
    }
}

void flights_fence_plain(struct flights *flights)
{
    fence_many(flights, is_of, NULL);
}

void flights_fence_mapping(struct flights *flights,
                           const struct mapping *mapping)
{
    fence_many(flights, is_of, mapping);
}

void flights_fence_all(struct flights *flights)
{
    fence_many(flights, is_any, NULL);
}

/* ---- changes by others ---- */

static struct flight_slot *slot(struct flights *flights,
                                uint64_t hash) NO_THREAD_SAFETY_ANALYSIS
{
    return flight_slot_of(flight_shard_of(flights, hash), hash);
}

void flights_foreign(struct flights *flights, struct slice key, uint64_t hash)
{
    slot(flights, hash)->foreign_us = clock_now_us();
    flights_fence(flights, key, hash);
    (void)cache_evict(flights->cache, key, hash);
}

bool flights_foreign_since(struct flights *flights, uint64_t hash,
                           int64_t since_us)
{
    return slot(flights, hash)->foreign_us >= since_us;
}

/* ---- writes under way ---- */

void flights_write_begun(struct flights *flights, uint64_t hash)
{
    slot(flights, hash)->n_writing++;
}

void flights_write_ended(struct flights *flights, uint64_t hash)
{
    assert(slot(flights, hash)->n_writing > 0);
    slot(flights, hash)->n_writing--;
}

void flights_write_applied(struct flights *flights, uint64_t hash)
{
    slot(flights, hash)->n_applied++;
}

void flights_write_settled(struct flights *flights, uint64_t hash)
{
    assert(slot(flights, hash)->n_applied > 0);
    slot(flights, hash)->n_applied--;
}

void flights_clear_applied(struct flights *flights)
{
    flights->n_clearing++;
}

void flights_clear_settled(struct flights *flights)
{
    assert(flights->n_clearing > 0);
    flights->n_clearing--;
}

bool flights_overtaken(struct flights *flights, uint64_t hash)
{
    return slot(flights, hash)->n_applied > 0 || flights->n_clearing > 0;
}

static void bar(struct flights *flights, uint32_t change)
{
    for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
        struct flight_shard *shard = &flights->shards[i];
        mutex_lock(&shard->lock);
        shard->n_barred += change;
        mutex_unlock(&shard->lock);
    }
}

void flights_bar(struct flights *flights)
{
    bar(flights, 1);
}

void flights_unbar(struct flights *flights)
{
    bar(flights, (uint32_t)-1);
}

bool flights_memory_knows(struct flights *flights,
                          uint64_t hash) NO_THREAD_SAFETY_ANALYSIS
{
    return flight_shard_of(flights, hash)->n_barred == 0 &&
           slot(flights, hash)->n_writing == 0;
}

/* ---- marks ---- */

struct flight_mark *flight_mark_of(struct flight_shard *shard, struct slice key,
                                   uint64_t hash)
{
    struct flight_mark *mark = flight_slot_of(shard, hash)->marks;

    while (mark != NULL &&
           (mark->hash != hash || !slice_equal(mark->key, key))) {
        mark = mark->next;
    }
    return mark;
}

bool flights_is_marked(struct flights *flights, struct slice key,
                       uint64_t hash) NO_THREAD_SAFETY_ANALYSIS
{
    return flight_mark_of(flight_shard_of(flights, hash), key, hash) != NULL;
}

void flights_mark(struct flights *flights,
                  struct flight_mark *mark) NO_THREAD_SAFETY_ANALYSIS
{
    struct flight_slot *s = slot(flights, mark->hash);

    if (mark->set) {
        return;
    }
    flights_fence(flights, mark->key, mark->hash);
    (void)cache_evict(flights->cache, mark->key, mark->hash);
    mark->hides = cache_hide(flights->cache, mark->key, mark->hash, true);
    /* Of several marks of a key the first, which lookups find, has the flight.
     */
    struct flight_mark *other = flight_mark_of(
        flight_shard_of(flights, mark->hash), mark->key, mark->hash);
    if (other != NULL) {
        mark->hides = mark->hides || other->hides;
        mark->held = other->held;
        other->held = NULL;
    }
    mark->next = s->marks;
    s->marks = mark;
    mark->set = true;
}

void flights_hold_marked(struct flights *flights,
                         struct flight_mark *mark) NO_THREAD_SAFETY_ANALYSIS
{
    if (mark->set) {
        /* Also when the one that lookups find now is gone. */
        mark->hides = true;
        flight_mark_of(flight_shard_of(flights, mark->hash), mark->key,
                       mark->hash)
            ->hides = true;
    }
}

void flights_hide_marked(struct flights *flights, struct slice key,
                         uint64_t hash) NO_THREAD_SAFETY_ANALYSIS
{
    struct flight_mark *mark =
        flight_mark_of(flight_shard_of(flights, hash), key, hash);

    if (mark != NULL) {
        mark->hides = cache_hide(flights->cache, key, hash, true);
    }
}

struct flight *flights_unmark(struct flights *flights, struct flight_mark *mark)
    NO_THREAD_SAFETY_ANALYSIS
{
    struct flight_slot *s = slot(flights, mark->hash);
    struct flight *held = mark->held;

    if (!mark->set) {
        return NULL;
    }
    struct flight_mark **link = &s->marks;
    while (*link != mark) {
        link = &(*link)->next;
    }
    *link = mark->next;
    mark->set = false;
    mark->held = NULL;

    /* Another group of the same transaction goes on with it. */
    struct flight_mark *other = flight_mark_of(
        flight_shard_of(flights, mark->hash), mark->key, mark->hash);
    if (other == NULL) {
        (void)cache_hide(flights->cache, mark->key, mark->hash, false);
        return held;
    }
    assert(held == NULL || other->held == NULL);
    other->held = held != NULL ? held : other->held;
    return NULL;
}
