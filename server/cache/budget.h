/* SPDX-License-Identifier: MIT */
/*
 * The budget: what all shards of a cache hold together, and may.
 *
 * Each shard adds what it takes and gives back.  'used_bytes' passes the limit
 * for as long as a put needs to evict what it put too much.
 *
 * Thread-safety: any thread.  All relaxed: numbers that order nothing.
 */
#ifndef SERVER_CACHE_BUDGET_H
#define SERVER_CACHE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So that two threads at work on two shards do not share a cache line. */
#define CACHE_LINE 64

struct budget {
    _Alignas(CACHE_LINE) _Atomic size_t used_bytes;
    _Atomic size_t pinned_bytes;   /* Part of it: dirty entries. */
    _Atomic size_t negative_bytes; /* Part of it: those that stand apart. */
    _Atomic size_t n_entries;
    _Atomic size_t max_bytes;
    _Atomic size_t max_entries;     /* SIZE_MAX: no limit. */
    _Atomic int64_t negative_share; /* As in struct cache_options. */
};

static inline size_t budget_load(const _Atomic size_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

/* Adds 'now' - 'before', which may be less than nothing. */
static inline void budget_adjust(_Atomic size_t *value, size_t before,
                                 size_t now)
{
    if (before != now) {
        (void)atomic_fetch_add_explicit(value, now - before,
                                        memory_order_relaxed);
    }
}

/* True if negative copies have memory of their own. */
bool budget_has_share(const struct budget *b);

/* What negative copies may take; SIZE_MAX if they have no share. */
size_t budget_max_negative(const struct budget *b);

/* True if negative copies take more than their share.  Those that have had one
 * are too many when they have none any more. */
bool budget_share_exceeded(const struct budget *b);

/* True if all together take more than the limit. */
bool budget_limit_exceeded(const struct budget *b);

/* Either: true if something must go. */
bool budget_exceeded(const struct budget *b);

#endif
