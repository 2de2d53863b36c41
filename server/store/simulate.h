/* SPDX-License-Identifier: MIT */
/*
 * Plays a slower and less reliable database: what becomes of a read under
 * 'store-delay', 'store-jitter', 'store-tail-rate' and 'store-error-rate', and
 * when an outage is.
 *
 * Only decisions are made here, from a random number and a time that the
 * caller brings; the timers that carry them out are in pool.c.
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_STORE_SIMULATE_H
#define SERVER_STORE_SIMULATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct simulate_rules {
    int64_t delay_us;
    int64_t jitter_us;   /* Up to this much more or less than 'delay_us'. */
    int64_t tail_rate;   /* Millionths of all reads that take … */
    int64_t tail_factor; /* … so many times their delay. */
    int64_t error_rate;  /* Millionths of all reads that fail. */
};

struct simulate_fate {
    int64_t delay_us; /* Never negative. */
    bool fail;
};

/* The fate of one read; the same 'random' gives the same fate. */
struct simulate_fate simulate_decide(const struct simulate_rules *rules,
                                     uint64_t random);

/* The next random number of a sequence that any number of threads share. */
uint64_t simulate_draw(_Atomic uint64_t *dice);

/* From 'from_us' until before 'until_us' all reads fail.  Zeroed: never. */
struct simulate_outage {
    int64_t from_us;
    int64_t until_us;
};

/* The outage that begins 'after_us' from now and lasts 'for_us'. */
struct simulate_outage simulate_plan(int64_t now_us, int64_t after_us,
                                     int64_t for_us);
bool simulate_is_down(const struct simulate_outage *outage, int64_t now_us);

#endif
