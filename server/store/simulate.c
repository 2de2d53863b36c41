/* SPDX-License-Identifier: MIT */
/*
 * One draw gives two independent numbers, its halves: the upper decides about
 * failure, the lower about the delay.  Mixed once more, it gives a third, which
 * says who belongs to the tail.
 */
#include "server/store/simulate.h"

#include "common/random.h"

#define MILLION 1000000

/* 'random' spread evenly over 0 .. n-1; n below 2^32. */
static uint64_t scale(uint32_t random, uint64_t n)
{
    return ((uint64_t)random * n) >> 32;
}

static int64_t delay(const struct simulate_rules *rules, uint32_t random)
{
    if (rules->jitter_us == 0) {
        return rules->delay_us;
    }

    /* In steps of 2^-32 of the spread: finer than a clock for minutes. */
    const double share = (double)random / (double)UINT32_MAX;
    const int64_t shift = (int64_t)(share * 2.0 * (double)rules->jitter_us);
    const int64_t result = rules->delay_us - rules->jitter_us + shift;
    return result < 0 ? 0 : result;
}

static bool falls_under(int64_t rate, uint32_t random)
{
    return (int64_t)scale(random, MILLION) < rate;
}

struct simulate_fate simulate_decide(const struct simulate_rules *rules,
                                     uint64_t random)
{
    const uint32_t upper = (uint32_t)(random >> 32);
    const uint32_t lower = (uint32_t)random;
    const uint32_t third = (uint32_t)(random_mix(random) >> 32);
    struct simulate_fate fate = {
        .delay_us = delay(rules, lower),
        .fail = falls_under(rules->error_rate, upper),
    };

    if (falls_under(rules->tail_rate, third)) {
        fate.delay_us *= rules->tail_factor;
    }
    return fate;
}

uint64_t simulate_draw(_Atomic uint64_t *dice)
{
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);

    /* Relaxed: the numbers must differ, their order means nothing. */
    return random_mix(
        atomic_fetch_add_explicit(dice, step, memory_order_relaxed) + step);
}

struct simulate_outage simulate_plan(int64_t now_us, int64_t after_us,
                                     int64_t for_us)
{
    return (struct simulate_outage){.from_us = now_us + after_us,
                                    .until_us = now_us + after_us + for_us};
}

bool simulate_is_down(const struct simulate_outage *outage, int64_t now_us)
{
    return now_us >= outage->from_us && now_us < outage->until_us;
}
