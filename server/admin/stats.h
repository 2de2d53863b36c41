/* SPDX-License-Identifier: MIT */
/*
 * Counters: one table (stats.def), one block of counters per thread, summed
 * when somebody asks (see tally.h).
 *
 * stats_add() touches the calling thread's own block only: no lock and no
 * cache line shared with another thread.
 *
 * Thread-safety: any thread.  A figure is exact for what happened before on
 * the asking thread, or was handed to it; of other threads it may miss what
 * they count at that moment.
 */
#ifndef SERVER_ADMIN_STATS_H
#define SERVER_ADMIN_STATS_H

#include "common/buf.h"
#include "common/slice.h"

#include <stdatomic.h>

enum stats_id {
#define STAT(id, section, summary) STATS_##id,
#include "server/admin/stats.def"
#undef STAT
    STATS_COUNT
};

struct stats_counter {
    const char *name;    /* As in INFO: "lookup_cache_answers". */
    const char *section; /* INFO section: "Lookup". */
    const char *summary; /* One sentence. */
};

extern const struct stats_counter stats_counters[STATS_COUNT];

/* One thread's counters, written by that thread only.  Relaxed: each stands
 * alone, and readers take them as they come. */
struct stats_counts {
    _Atomic int64_t counts[STATS_COUNT];
};

/* The calling thread's counters; NULL before its first count. */
extern _Thread_local struct stats_counts *stats_mine;

/* Makes and registers the calling thread's block; for stats_add(). */
struct stats_counts *stats_register(void);

/* Adds 'n' to a counter.  A load and a store suffice: nobody else writes. */
static inline void stats_add(enum stats_id id, int64_t n)
{
    struct stats_counts *mine = stats_mine;
    if (mine == NULL) {
        mine = stats_register();
    }
    const int64_t old =
        atomic_load_explicit(&mine->counts[id], memory_order_relaxed);
    atomic_store_explicit(&mine->counts[id], old + n, memory_order_relaxed);
}

static inline void stats_count(enum stats_id id)
{
    stats_add(id, 1);
}

/* The sum over all threads since start or since the last reset. */
int64_t stats_sum(enum stats_id id);

/* All sums at once, 'sums[id]', taken in one pass. */
void stats_sums(int64_t sums[STATS_COUNT]);

/* CONFIG RESETSTAT: sums begin at zero again, and those of outcomes.h too. */
void stats_reset(void);

/* Appends "name:value\r\n" for every counter of 'section'. */
void stats_print(const char *section, struct buf *out);

#endif
