/* SPDX-License-Identifier: MIT */
/*
 * The blocks of all threads in one list, and what ended threads left behind.
 *
 * Counters are never set back: the owner of a block is its only writer.  A
 * reset remembers the totals instead and subtracts them from then on.
 */
#include "server/admin/stats.h"

#include "common/lock.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* Bytes that processors hand about as one. */
#define CACHE_LINE 64

const struct stats_counter stats_counters[STATS_COUNT] = {
#define STAT(id, section_, summary_) \
    [STATS_##id] = {.name = #id, .section = section_, .summary = summary_},
#include "server/admin/stats.def"
#undef STAT
};

/* Aligned so that no two threads' counters share a line. */
struct block {
    _Alignas(CACHE_LINE) struct stats_counts own; /* Written by its thread. */
    struct block *next;  /* Under the lock; as is 'prev'. */
    struct block **prev; /* What points to this block. */
};

static struct mutex lock; /* Rank LOCK_STATS; held for a pass over blocks. */
static struct block *blocks GUARDED_BY(lock);
static int64_t retired[STATS_COUNT] GUARDED_BY(lock);
static int64_t baseline[STATS_COUNT] GUARDED_BY(lock);

static pthread_key_t key; /* Holds the block, so that its end is noticed. */
static pthread_once_t once = PTHREAD_ONCE_INIT;

_Thread_local struct stats_counts *stats_mine;

static int64_t load(const struct block *b, enum stats_id id)
{
    return atomic_load_explicit(&b->own.counts[id], memory_order_relaxed);
}

/* A thread ends: what it counted stays. */
static void retire(void *arg)
{
    struct block *b = arg;
    mutex_lock(&lock);
    for (enum stats_id id = 0; id < STATS_COUNT; id++) {
        retired[id] += load(b, id);
    }
    *b->prev = b->next;
    if (b->next != NULL) {
        b->next->prev = b->prev;
    }
    mutex_unlock(&lock);
    /* Other destructors may still count: they get a new block. */
    stats_mine = NULL;
    free(b);
}

static void init(void)
{
    mutex_init(&lock, LOCK_STATS, "stats");
    if (pthread_key_create(&key, retire) != 0) {
        abort();
    }
}

static void ensure_init(void)
{
    if (pthread_once(&once, init) != 0) {
        abort();
    }
}

struct stats_counts *stats_register(void)
{
    assert(stats_mine == NULL);
    ensure_init();
    struct block *b = aligned_alloc(CACHE_LINE, sizeof(*b));
    if (b == NULL || pthread_setspecific(key, b) != 0) {
        abort();
    }
    for (enum stats_id id = 0; id < STATS_COUNT; id++) {
        atomic_init(&b->own.counts[id], 0);
    }
    mutex_lock(&lock);
    b->next = blocks;
    b->prev = &blocks;
    if (b->next != NULL) {
        b->next->prev = &b->next;
    }
    blocks = b;
    mutex_unlock(&lock);
    stats_mine = &b->own;
    return stats_mine;
}

/* What was counted since start, resets or not. */
static int64_t total(enum stats_id id) REQUIRES(lock)
{
    int64_t sum = retired[id];
    for (const struct block *b = blocks; b != NULL; b = b->next) {
        sum += load(b, id);
    }
    return sum;
}

int64_t stats_sum(enum stats_id id)
{
    ensure_init();
    mutex_lock(&lock);
    const int64_t sum = total(id) - baseline[id];
    mutex_unlock(&lock);
    return sum;
}

void stats_sums(int64_t sums[STATS_COUNT])
{
    ensure_init();
    mutex_lock(&lock);
    for (enum stats_id id = 0; id < STATS_COUNT; id++) {
        sums[id] = total(id) - baseline[id];
    }
    mutex_unlock(&lock);
}

void stats_reset(void)
{
    ensure_init();
    mutex_lock(&lock);
    for (enum stats_id id = 0; id < STATS_COUNT; id++) {
        baseline[id] = total(id);
    }
    mutex_unlock(&lock);
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
