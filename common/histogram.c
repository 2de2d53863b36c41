/* SPDX-License-Identifier: MIT */
/*
 * Where a value's bucket is:
 *
 *     value        0 .. 15 | 16 .. 31 | 32 34 .. 62 | 64 68 .. 124 | ...
 *     bucket       0 .. 15 | 16 .. 31 | 32 33 .. 47 | 48 49 ..  63 | ...
 *     wide                1          1             2              4
 *
 * A bucket answers with the largest value that it holds, so a quantile is
 * never too small, and too large by less than the width of its bucket.
 */
#include "common/histogram.h"

#include <assert.h>
#include <stddef.h>

#define SPLIT_BITS 4 /* Each power of two has 1 << SPLIT_BITS buckets. */
#define SPLIT (1 << SPLIT_BITS)

static size_t bucket_of(int64_t value)
{
    if (value < SPLIT) {
        return value < 0 ? 0 : (size_t)value;
    }
    const int power = 63 - __builtin_clzll((unsigned long long)value);
    const int shift = power - SPLIT_BITS;
    /* The leading bit stays in what is shifted, and counts as one SPLIT. */
    const size_t i = (size_t)(shift * SPLIT) + (size_t)(value >> shift);
    return i < HISTOGRAM_BUCKETS ? i : HISTOGRAM_BUCKETS - 1;
}

/* The largest value in bucket 'i'. */
static int64_t top_of(size_t i)
{
    if (i < SPLIT) {
        return (int64_t)i;
    }
    if (i == HISTOGRAM_BUCKETS - 1) {
        return INT64_MAX; /* Also what is beyond the range. */
    }
    const size_t shift = i / SPLIT - 1;
    const int64_t first = (int64_t)(i - shift * SPLIT) << shift;
    return first + ((INT64_C(1) << shift) - 1);
}

static int64_t max_of(const struct histogram *h)
{
    return atomic_load_explicit(&h->max, memory_order_relaxed);
}

static void set_max(struct histogram *h, int64_t max)
{
    atomic_store_explicit(&h->max, max, memory_order_relaxed);
}

/* Acquire, with the release in record(): who sees a value counted, and asks
 * for the maximum then, sees one that is not below it. */
static uint64_t count_of(const struct histogram *h, size_t i)
{
    return atomic_load_explicit(&h->counts[i], memory_order_acquire);
}

void histogram_record(struct histogram *h, int64_t value)
{
    _Atomic uint64_t *count = &h->counts[bucket_of(value)];

    if (value > max_of(h)) {
        set_max(h, value);
    }
    const uint64_t old = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, old + 1, memory_order_release);
}

void histogram_add(struct histogram *to, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        const uint64_t n = count_of(from, i);
        if (n > 0) {
            atomic_store_explicit(&to->counts[i], count_of(to, i) + n,
                                  memory_order_relaxed);
        }
    }
    const int64_t max = max_of(from);
    if (max > max_of(to)) {
        set_max(to, max);
    }
}

void histogram_subtract(struct histogram *h, const struct histogram *from)
{
    int64_t top = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        const uint64_t old = count_of(h, i);
        const uint64_t n = count_of(from, i);
        assert(old >= n);
        atomic_store_explicit(&h->counts[i], old - n, memory_order_relaxed);
        if (old > n) {
            top = top_of(i);
        }
    }
    if (max_of(h) > top) {
        set_max(h, top);
    }
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t n = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        n += count_of(h, i);
    }
    return n;
}

uint64_t histogram_count_to(const struct histogram *h, int64_t value)
{
    const size_t last = bucket_of(value);
    uint64_t n = 0;

    for (size_t i = 0; i <= last; i++) {
        n += count_of(h, i);
    }
    return n;
}

/* How many values, counted from the smallest, are the share 'q' of 'n'; at
 * least one. */
static uint64_t rank_of(double q, uint64_t n)
{
    const double exact = q * (double)n;
    uint64_t rank = (uint64_t)exact;

    rank += (double)rank < exact;
    return rank < 1 ? 1 : rank > n ? n : rank;
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
    assert(q >= 0 && q <= 1);
    const uint64_t n = histogram_count(h);
    if (n == 0) {
        return 0;
    }
    const uint64_t rank = rank_of(q, n);
    size_t i = 0;
    /* Counts only grow while we look, so the rank is reached. */
    for (uint64_t seen = count_of(h, 0);
         seen < rank && i < HISTOGRAM_BUCKETS - 1; seen += count_of(h, i)) {
        i++;
    }
    const int64_t top = top_of(i);
    const int64_t max = max_of(h);
    return top < max ? top : max;
}

int64_t histogram_max(const struct histogram *h)
{
    return max_of(h);
}
