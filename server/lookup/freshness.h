/* SPDX-License-Identifier: MIT */
/*
 * What a cached copy is worth at its age, under the rules of its table and the
 * bounds of one request.
 *
 *     filled      max-age              + stale-while-revalidate
 *       ├── fresh ──┼──────── stale ────────┼─────────── old ──────…
 *       └───────────┴─ good if the store fails ──────┤ + stale-if-error
 *
 * The moment a copy ceases to be fresh is spread from copy to copy by
 * 'freshness-jitter', so that copies filled together do not expire together;
 * it is the same however often it is asked.  Every later moment follows from
 * it, so no copy is served past its last permitted moment.
 *
 * A copy from before a change that nobody could name (feed.h) is distrusted:
 * old, however young it is.
 *
 * Dirty and memory-only copies are the truth itself and always fresh.  A
 * negative copy is fresh for 'negative-max-age' and then good for nothing: a
 * failed store is not shown as "not found".
 *
 * Thread-safety: pure functions over values.
 * Source: the words are those of RFC 9111 and RFC 5861.
 */
#ifndef SERVER_LOOKUP_FRESHNESS_H
#define SERVER_LOOKUP_FRESHNESS_H

#include "server/cache/cache.h"

#include <stdbool.h>
#include <stdint.h>

struct config;

#define FRESHNESS_NO_BOUND INT64_MAX

struct freshness_rules {
    int64_t max_age_us;
    int64_t jitter;   /* Millionths of max_age_us, up and down. */
    int64_t stale_us; /* After max-age: while the store is asked. */
    int64_t error_us; /* After max-age: when the store failed. */
    int64_t negative_us;
    /* Copies filled then or before are distrusted; INT64_MIN: none. */
    int64_t distrusted_us;
    /* Bounds of the request: they tighten, and never loosen. */
    int64_t age_bound_us;
    int64_t stale_bound_us;
};

enum freshness {
    COPY_FRESH,
    COPY_STALE, /* May answer while the store is asked. */
    COPY_OLD    /* May answer at most when the store fails. */
};

/* The rules of table 'table' (an index, or -1 for plain keys), unbounded. */
struct freshness_rules freshness_rules(const struct config *config, int table);

enum freshness freshness_of(const struct freshness_rules *rules,
                            const struct copy *copy, int64_t now_us);

/* Was the copy filled before a change that nobody could name? */
bool freshness_distrusts(const struct freshness_rules *rules,
                         const struct copy *copy);

/* May the copy answer because the store failed or kept us waiting? */
bool freshness_good_on_error(const struct freshness_rules *rules,
                             const struct copy *copy, int64_t now_us);

/* What is left of each window, in microseconds; below 0 when it is past. */
struct freshness_left {
    int64_t fresh_us;
    int64_t stale_us;
    int64_t error_us;
};
struct freshness_left freshness_left(const struct freshness_rules *rules,
                                     const struct copy *copy, int64_t now_us);

static inline bool copy_is_pinned(const struct copy *copy)
{
    return copy->dirty || copy->memory_only;
}

#endif
