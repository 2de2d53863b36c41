/* SPDX-License-Identifier: MIT */
#include "server/admin/rates.h"

#include "common/clock.h"
#include "common/lock.h"
#include "server/admin/stats.h"

#include <pthread.h>
#include <stdlib.h>

#define SAMPLES 16 /* As many as Redis takes. */

struct sample {
    int64_t at_us;
    int64_t commands;
    int64_t input_bytes;
    int64_t output_bytes;
};

static struct mutex lock; /* Rank LOCK_LEAF. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sample samples[SAMPLES] GUARDED_BY(lock); /* A ring. */
static size_t n_samples GUARDED_BY(lock); /* That were ever taken. */

static void init(void)
{
    mutex_init(&lock, LOCK_LEAF, "rates");
}

static void take_lock(void) ACQUIRE(lock)
{
    if (pthread_once(&once, init) != 0) {
        abort();
    }
    mutex_lock(&lock);
}

void rates_sample(void)
{
    int64_t sums[STATS_COUNT];

    stats_sums(sums);
    take_lock();
    samples[n_samples++ % SAMPLES] =
        (struct sample){.at_us = clock_now_us(),
                        .commands = sums[STATS_total_commands_processed],
                        .input_bytes = sums[STATS_total_net_input_bytes],
                        .output_bytes = sums[STATS_total_net_output_bytes]};
    mutex_unlock(&lock);
}

/* The counters may have begun at zero meanwhile. */
static double rate(int64_t from, int64_t to, int64_t us)
{
    return us > 0 && to > from ? (double)(to - from) * 1e6 / (double)us : 0;
}

struct rates rates_now(void)
{
    struct rates now = {0};

    take_lock();
    if (n_samples > 1) {
        const size_t n = n_samples < SAMPLES ? n_samples : SAMPLES;
        const struct sample *first = &samples[(n_samples - n) % SAMPLES];
        const struct sample *last = &samples[(n_samples - 1) % SAMPLES];
        const int64_t us = last->at_us - first->at_us;
        now.commands = rate(first->commands, last->commands, us);
        now.input_bytes = rate(first->input_bytes, last->input_bytes, us);
        now.output_bytes = rate(first->output_bytes, last->output_bytes, us);
    }
    mutex_unlock(&lock);
    return now;
}
