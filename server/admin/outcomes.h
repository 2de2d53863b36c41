/* SPDX-License-Identifier: MIT */
/*
 * The ends of all lookups: one table (outcomes.def); for each outcome a count
 * overall, one per table, and a histogram of how long it took.
 *
 * Each thread counts in a block of its own (see tally.h), summed when somebody
 * asks; asking copies some 70 KB, so it is for INFO and tests.  The outcomes
 * add up to the lookups, and of any answer here, the tables to the overall
 * counts.
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_ADMIN_OUTCOMES_H
#define SERVER_ADMIN_OUTCOMES_H

#include "common/buf.h"

enum outcome {
#define OUTCOME(id, summary) OUTCOME_##id,
#include "server/admin/outcomes.def"
#undef OUTCOME
    OUTCOME_COUNT
};

/* Tables whose lookups are counted apart; what is beyond counts overall. */
#define OUTCOMES_TABLES_MAX 64
#define OUTCOMES_PLAIN (-1) /* The "table" of plain keys. */

struct outcome_row {
    const char *name; /* "fresh_hit" */
    const char *summary;
};
extern const struct outcome_row outcome_rows[OUTCOME_COUNT];

/* Counts one lookup that ended, 'took_us' after it began, queueing included.
 * 'table' is the index of its mapping, or OUTCOMES_PLAIN. */
void outcomes_count(enum outcome outcome, int table, int64_t took_us);

int64_t outcomes_sum(enum outcome outcome);
int64_t outcomes_table_sum(enum outcome outcome, int table);
/* Of all outcomes: the number of lookups that have ended. */
int64_t outcomes_total(void);
void outcomes_reset(void); /* Called by stats_reset(). */

/* "lookups:N", their total; "outcome_fresh_hit:N" lines, then
 * "outcome_<table>_fresh_hit:N" for each of 'n' tables (plain keys as "plain");
 * zero counts of tables are left out. */
void outcomes_print(const char *const *tables, size_t n, struct buf *out);
/* "latency_fresh_hit_us:count=…,p50=…,p90=…,p99=…,p99.9=…,max=…" for each
 * outcome that happened, and "latency_all_us" over all. */
void outcomes_print_latency(struct buf *out);

#endif
