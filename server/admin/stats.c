/* SPDX-License-Identifier: MIT */
/*
 * The counters as a tally: how they are added up.
 */
#include "server/admin/stats.h"

#include "server/admin/outcomes.h"
#include "server/admin/tally.h"

#include <assert.h>

const struct stats_counter stats_counters[STATS_COUNT] = {
#define STAT(id, section_, summary_) \
    [STATS_##id] = {.name = #id, .section = section_, .summary = summary_},
#include "server/admin/stats.def"
#undef STAT
};

_Thread_local struct stats_counts *stats_mine;

static int64_t load(const struct stats_counts *from, enum stats_id id)
{
    return atomic_load_explicit(&from->counts[id], memory_order_relaxed);
}

static void change(struct stats_counts *to, enum stats_id id, int64_t n)
{
    atomic_store_explicit(&to->counts[id], load(to, id) + n,
                          memory_order_relaxed);
}

static void add(void *to, const void *from)
{
    for (enum stats_id id = 0; id < STATS_COUNT; id++) {
        change(to, id, load(from, id));
    }
}

static void subtract(void *from, const void *what)
{
    for (enum stats_id id = 0; id < STATS_COUNT; id++) {
        change(from, id, -load(what, id));
    }
}

static void forget(void)
{
    stats_mine = NULL;
}

static struct stats_counts retired, baseline;
static struct tally tally = {
    .size = sizeof(struct stats_counts),
    .add = add,
    .subtract = subtract,
    .forget = forget,
    .retired = &retired,
    .baseline = &baseline,
};

struct stats_counts *stats_register(void)
{
    assert(stats_mine == NULL);
    stats_mine = tally_register(&tally);
    return stats_mine;
}

int64_t stats_sum(enum stats_id id)
{
    struct stats_counts sum;
    tally_sum(&tally, &sum);
    return load(&sum, id);
}

void stats_sums(int64_t sums[STATS_COUNT])
{
    struct stats_counts sum;
    tally_sum(&tally, &sum);
    for (enum stats_id id = 0; id < STATS_COUNT; id++) {
        sums[id] = load(&sum, id);
    }
}

void stats_reset(void)
{
    tally_reset(&tally);
    outcomes_reset();
}

void stats_print(const char *section, struct buf *out)
{
    int64_t sums[STATS_COUNT];
    stats_sums(sums);
    for (enum stats_id id = 0; id < STATS_COUNT; id++) {
        if (strcmp(stats_counters[id].section, section) == 0) {
            buf_printf(out, "%s:%lld\r\n", stats_counters[id].name,
                       (long long)sums[id]);
        }
    }
}
