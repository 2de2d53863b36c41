/* SPDX-License-Identifier: MIT */
/*
 * The outcomes as a tally: for each a row of counts, one per table, and a
 * histogram.  The count overall is the sum of the row, so that the figures of
 * one snapshot add up.
 */
#include "server/admin/outcomes.h"

#include "common/histogram.h"
#include "common/mem.h"
#include "server/admin/tally.h"

#include <assert.h>
#include <stdlib.h>

/* Plain keys first, then the tables, then all tables beyond these. */
#define COLUMNS (1 + OUTCOMES_TABLES_MAX + 1)

const struct outcome_row outcome_rows[OUTCOME_COUNT] = {
#define OUTCOME(id, summary_) \
    [OUTCOME_##id] = {.name = #id, .summary = summary_},
#include "server/admin/outcomes.def"
#undef OUTCOME
};

/* One thread's, written by that thread only; also sums of these. */
struct outcome_counts {
    _Atomic int64_t counts[OUTCOME_COUNT][COLUMNS]; /* Relaxed. */
    struct histogram took_us[OUTCOME_COUNT];
};

static _Thread_local struct outcome_counts *mine;

static size_t column_of(int table)
{
    assert(table >= OUTCOMES_PLAIN);
    return table < OUTCOMES_TABLES_MAX ? (size_t)(table + 1) : COLUMNS - 1;
}

static int64_t load(const struct outcome_counts *from, enum outcome outcome,
                    size_t column)
{
    return atomic_load_explicit(&from->counts[outcome][column],
                                memory_order_relaxed);
}

static void change(struct outcome_counts *to, enum outcome outcome,
                   size_t column, int64_t n)
{
    atomic_store_explicit(&to->counts[outcome][column],
                          load(to, outcome, column) + n, memory_order_relaxed);
}

/* ---- the tally ---- */

static void add(void *to_arg, const void *from_arg)
{
    struct outcome_counts *to = to_arg;
    const struct outcome_counts *from = from_arg;
    for (enum outcome o = 0; o < OUTCOME_COUNT; o++) {
        for (size_t column = 0; column < COLUMNS; column++) {
            change(to, o, column, load(from, o, column));
        }
        histogram_add(&to->took_us[o], &from->took_us[o]);
    }
}

static void subtract(void *from_arg, const void *what_arg)
{
    struct outcome_counts *from = from_arg;
    const struct outcome_counts *what = what_arg;
    for (enum outcome o = 0; o < OUTCOME_COUNT; o++) {
        for (size_t column = 0; column < COLUMNS; column++) {
            change(from, o, column, -load(what, o, column));
        }
        histogram_subtract(&from->took_us[o], &what->took_us[o]);
    }
}

static void forget(void)
{
    mine = NULL;
}

static struct outcome_counts retired, baseline;
static struct tally tally = {
    .size = sizeof(struct outcome_counts),
    .add = add,
    .subtract = subtract,
    .forget = forget,
    .retired = &retired,
    .baseline = &baseline,
};

/* All counts at this moment; too much for a stack, so to be freed. */
static struct outcome_counts *snapshot(void)
{
    struct outcome_counts *sum = xmalloc(sizeof(*sum));
    tally_sum(&tally, sum);
    return sum;
}

/* ---- counting and asking ---- */

void outcomes_count(enum outcome outcome, int table, int64_t took_us)
{
    assert(outcome < OUTCOME_COUNT);
    if (mine == NULL) {
        mine = tally_register(&tally);
    }
    change(mine, outcome, column_of(table), 1);
    histogram_record(&mine->took_us[outcome], took_us);
}

static int64_t overall(const struct outcome_counts *from, enum outcome outcome)
{
    int64_t sum = 0;
    for (size_t column = 0; column < COLUMNS; column++) {
        sum += load(from, outcome, column);
    }
    return sum;
}

int64_t outcomes_sum(enum outcome outcome)
{
    struct outcome_counts *sum = snapshot();
    const int64_t n = overall(sum, outcome);
    free(sum);
    return n;
}

int64_t outcomes_table_sum(enum outcome outcome, int table)
{
    struct outcome_counts *sum = snapshot();
    const int64_t n = load(sum, outcome, column_of(table));
    free(sum);
    return n;
}

static int64_t total(const struct outcome_counts *from)
{
    int64_t sum = 0;
    for (enum outcome o = 0; o < OUTCOME_COUNT; o++) {
        sum += overall(from, o);
    }
    return sum;
}

int64_t outcomes_total(void)
{
    struct outcome_counts *sum = snapshot();
    const int64_t n = total(sum);
    free(sum);
    return n;
}

void outcomes_reset(void)
{
    tally_reset(&tally);
}

/* ---- INFO ---- */

static void print_table(const struct outcome_counts *from, const char *name,
                        int table, struct buf *out)
{
    for (enum outcome o = 0; o < OUTCOME_COUNT; o++) {
        const int64_t n = load(from, o, column_of(table));
        if (n != 0) {
            buf_printf(out, "outcome_%s_%s:%lld\r\n", name,
                       outcome_rows[o].name, (long long)n);
        }
    }
}

void outcomes_print(const char *const *tables, size_t n, struct buf *out)
{
    struct outcome_counts *sum = snapshot();
    buf_printf(out, "lookups:%lld\r\n", (long long)total(sum));
    for (enum outcome o = 0; o < OUTCOME_COUNT; o++) {
        buf_printf(out, "outcome_%s:%lld\r\n", outcome_rows[o].name,
                   (long long)overall(sum, o));
    }
    for (size_t i = 0; i < n && i < OUTCOMES_TABLES_MAX; i++) {
        print_table(sum, tables[i], (int)i, out);
    }
    print_table(sum, "plain", OUTCOMES_PLAIN, out);
    free(sum);
}

static void print_latency(const char *name, const struct histogram *h,
                          struct buf *out)
{
    buf_printf(out,
               "latency_%s_us:count=%llu,p50=%lld,p90=%lld,p99=%lld,"
               "p99.9=%lld,max=%lld\r\n",
               name, (unsigned long long)histogram_count(h),
               (long long)histogram_quantile(h, 0.5),
               (long long)histogram_quantile(h, 0.9),
               (long long)histogram_quantile(h, 0.99),
               (long long)histogram_quantile(h, 0.999),
               (long long)histogram_max(h));
}

void outcomes_print_latency(struct buf *out)
{
    struct outcome_counts *sum = snapshot();
    struct histogram all = {0};
    for (enum outcome o = 0; o < OUTCOME_COUNT; o++) {
        if (histogram_count(&sum->took_us[o]) > 0) {
            print_latency(outcome_rows[o].name, &sum->took_us[o], out);
            histogram_add(&all, &sum->took_us[o]);
        }
    }
    print_latency("all", &all, out);
    free(sum);
}
