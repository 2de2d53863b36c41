/* SPDX-License-Identifier: MIT */
/*
 * How much happens in a second just now: the counters of stats.h, looked at
 * ten times a second, over the last second and a half.
 *
 * Thread-safety: any thread; one lock of rank LOCK_LEAF.
 */
#ifndef SERVER_ADMIN_RATES_H
#define SERVER_ADMIN_RATES_H

#define RATES_EVERY_US 100000

struct rates {
    double commands; /* A second, all of them. */
    double input_bytes;
    double output_bytes;
};

/* To be called every RATES_EVERY_US. */
void rates_sample(void);

struct rates rates_now(void);

#endif
