/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that are good enough to be fair, and not to be secret:
 * SplitMix64, whose state is one number, begun with any.
 *
 * Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators"
 * (2014).
 *
 * Thread-safety: a state belongs to one thread at a time.
 */
#ifndef COMMON_RANDOM_H
#define COMMON_RANDOM_H

#include <stdint.h>

/* Spreads the bits of 'z' over all of the result. */
static inline uint64_t random_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The next number after '*state'. */
static inline uint64_t random_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return random_mix(*state);
}

#endif
