/* SPDX-License-Identifier: MIT */
/*
 * Why nothing old survives.  A copy gets into the cache through a flight or
 * through a write that was committed.
 *
 *   flight   Entered in the table before the store is asked, so it is one of
 *            three: it filled before the change was told (the copy is evicted,
 *            or no newer than 'distrusted_us'), it is in the table (fenced), or
 *            it began afterwards, and reads what the change left.
 *   write    Its copy is as old as its transaction, and is dropped if a change
 *            of the key was told after that (update.c).
 *
 * changed_all() sets the time first and fences then: a flight that begins in
 * between is fenced for nothing, and none is missed.
 */
#include "server/lookup/feed.h"

#include "common/clock.h"
#include "common/hash.h"
#include "common/histogram.h"
#include "common/mem.h"
#include "server/admin/latency.h"
#include "server/admin/stats.h"
#include "server/lookup/changes.h"
#include "server/lookup/watch.h"

#include <stdlib.h>

struct feed {
    const struct lookup_parts *parts; /* Borrowed, as the next. */
    struct flights *flights;
    struct histogram lag_us;     /* Recorded by the watcher's thread. */
    _Atomic int64_t last_lag_us; /* Relaxed: INFO. */
    /* One per mapping, and the last for plain keys.  Stored release by who
     * tells, before flights are fenced; loaded acquire by lookups. */
    size_t n_mappings;
    _Atomic int64_t distrusted_us[];
};

struct feed *feed_new(const struct lookup_parts *parts, struct flights *flights)
{
    const size_t n = store_mappings(parts->store)->count;
    struct feed *feed =
        xcalloc(1, sizeof *feed + (n + 1) * sizeof feed->distrusted_us[0]);

    feed->parts = parts;
    feed->flights = flights;
    feed->n_mappings = n;
    for (size_t i = 0; i <= n; i++) {
        atomic_init(&feed->distrusted_us[i], INT64_MIN);
    }
    return feed;
}

void feed_free(struct feed *feed)
{
    free(feed);
}

/* ---- what the store tells ---- */

static void changed(void *arg, struct slice key, enum store_change change)
{
    struct feed *feed = arg;
    const struct lookup_parts *parts = feed->parts;
    const uint64_t hash = hash_bytes(key);
    const bool deleted = change == STORE_ROW_DELETED;
    const struct change told = {.key = key,
                                .event = deleted ? "del" : "hset",
                                .class =
                                    deleted ? CHANGE_GENERIC : CHANGE_HASH};

    stats_count(STATS_feed_changes);
    flights_lock(feed->flights, hash);
    flights_foreign(feed->flights, key, hash);
    if (parts->watches != NULL) {
        watches_touch(parts->watches, key);
    }
    if (parts->changes != NULL) {
        changes_tell(parts->changes, &told);
    }
    flights_unlock(feed->flights, hash);
}

static void distrust(struct feed *feed, size_t index, int64_t now_us)
{
    int64_t before_us =
        atomic_load_explicit(&feed->distrusted_us[index], memory_order_relaxed);

    /* Never back: two threads may tell at once. */
    while (before_us < now_us &&
           !atomic_compare_exchange_weak_explicit(
               &feed->distrusted_us[index], &before_us, now_us,
               memory_order_release, memory_order_relaxed)) {
    }
}

static void changed_all(void *arg, const struct mapping *mapping)
{
    struct feed *feed = arg;
    const struct lookup_parts *parts = feed->parts;
    const struct slice prefix = mapping != NULL ? mapping->prefix : SLICE("");
    const struct change told = {
        .key = SLICE(""), .class = CHANGE_ALL, .mapping = mapping};
    const int64_t now_us = clock_now_us();

    stats_count(STATS_feed_resets);
    if (mapping != NULL) {
        distrust(feed, mapping->index, now_us);
        flights_fence_mapping(feed->flights, mapping);
    } else {
        for (size_t i = 0; i <= feed->n_mappings; i++) {
            distrust(feed, i, now_us);
        }
        flights_fence_all(feed->flights);
    }
    if (parts->watches != NULL) {
        watches_touch_all(parts->watches, prefix);
    }
    if (parts->changes != NULL) {
        changes_tell(parts->changes, &told);
    }
}

static void lag(void *arg, int64_t lag_us)
{
    struct feed *feed = arg;

    histogram_record(&feed->lag_us, lag_us);
    latency_note(LATENCY_feed, lag_us);
    atomic_store_explicit(&feed->last_lag_us, lag_us, memory_order_relaxed);
}

struct store_observer feed_observer(struct feed *feed)
{
    return (struct store_observer){.arg = feed,
                                   .changed = changed,
                                   .changed_all = changed_all,
                                   .lag = lag};
}

/* ---- what lookups ask ---- */

int64_t feed_distrusted_us(const struct feed *feed,
                           const struct mapping *mapping)
{
    const size_t index = mapping != NULL ? mapping->index : feed->n_mappings;

    return atomic_load_explicit(&feed->distrusted_us[index],
                                memory_order_acquire);
}

static void line_ms(struct buf *out, const char *name, int64_t us)
{
    buf_printf(out, "%s:%lld.%03lld\r\n", name, (long long)(us / 1000),
               (long long)(us % 1000));
}

void feed_describe(const struct feed *feed, struct buf *out)
{
    line_ms(out, "feed_lag_ms",
            atomic_load_explicit(&feed->last_lag_us, memory_order_relaxed));
    line_ms(out, "feed_lag_ms_p99", histogram_quantile(&feed->lag_us, 0.99));
    line_ms(out, "feed_lag_ms_max", histogram_max(&feed->lag_us));
}
