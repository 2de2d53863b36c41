/* SPDX-License-Identifier: MIT */
/*
 * A histogram of durations: counts in buckets that grow with the value, so
 * that every percentile is known within 1/16 (6.25 %) of itself.
 *
 * Values below 16 have a bucket each; above, each power of two is divided
 * into 16 buckets.  Values beyond the range count in the last bucket.  One
 * that is zeroed is empty.
 *
 * Thread-safety: one thread records; any thread may read meanwhile and sees
 * each count as it was at some moment, and a maximum that is not below the
 * values it sees counted.  A histogram that others are added to or subtracted
 * from belongs to one thread.
 * Source: the bucket layout of HdrHistogram, by Gil Tene.
 */
#ifndef COMMON_HISTOGRAM_H
#define COMMON_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS (16 * 37) /* Up to 2^40 microseconds: 12 days. */

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS]; /* Release and acquire. */
    _Atomic int64_t max; /* Relaxed; written before the count of its value. */
};

/* Counts 'value', microseconds or whatever the unit is; below 0 is 0. */
void histogram_record(struct histogram *h, int64_t value);
/* Adds the counts of 'from', which another thread may be recording into. */
void histogram_add(struct histogram *to, const struct histogram *from);
/* Takes the counts of 'from' away from 'h', which has at least these.  The
 * maximum of what remains is then known as a quantile is: not too small, and
 * too large by less than 1/16. */
void histogram_subtract(struct histogram *h, const struct histogram *from);
uint64_t histogram_count(const struct histogram *h);
/* How many values are not above 'value', or in the same bucket as it. */
uint64_t histogram_count_to(const struct histogram *h, int64_t value);
/* The value that the share 'q' (0 .. 1) of all values does not exceed, too
 * large by less than 1/16 and never beyond the maximum; 0 when there are no
 * values. */
int64_t histogram_quantile(const struct histogram *h, double q);
int64_t histogram_max(const struct histogram *h);

#endif
