/* SPDX-License-Identifier: MIT */
/*
 * Plays a slower and less reliable database: what becomes of a read under
 * 'store-delay', 'store-jitter' and 'store-error-rate'.
 *
 * Only decisions are made here, from a random number that the caller brings;
 * the timers that carry them out are in pool.c.
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
    int64_t jitter_us;  /* Up to this much more or less than 'delay_us'. */
    int64_t error_rate; /* Millionths of all reads that fail. */
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

#endif
