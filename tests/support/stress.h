/* SPDX-License-Identifier: MIT */
/*
 * What stress tests share: how long to go on, random numbers, and a check that
 * is there in every build.
 */
#ifndef TESTS_SUPPORT_STRESS_H
#define TESTS_SUPPORT_STRESS_H

#include <stdint.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"

/* Ends the program with the broken claim unless it holds. */
#define CHECK(claim)                                                      \
    do {                                                                  \
        if (!(claim)) {                                                   \
            log_fatal("%s:%d: not true: %s", __FILE__, __LINE__, #claim); \
        }                                                                 \
    } while (0)

/* When to stop, on clock_real_us(): STRESS_SECONDS (1 if not set) from now. */
static inline int64_t stress_end_us(void)
{
    const char *const seconds = getenv("STRESS_SECONDS");

    return clock_real_us() +
           (int64_t)((seconds == NULL ? 1.0 : atof(seconds)) * 1e6);
}

/* A number below 'limit' of a generator (xorshift) whose state, of the caller,
 * starts at anything but 0. */
static inline uint32_t stress_random(uint64_t *state, uint32_t limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32) % limit;
}

#endif
