/* SPDX-License-Identifier: MIT */
/*
 * Timers added and cancelled by several threads while they fire, on the real
 * clock and on one that is moved meanwhile.
 *
 * Claim: each timer either fires once, not before it is due, or was cancelled
 * and never fires; timers_cancel() says which.
 */
#include <stdio.h>

#include "common/timer.h"
#include "common/waitgroup.h"
#include "tests/support/stress.h"

#define ADDERS 3
#define PER_ROUND 1000 /* Timers of each adder. */

struct trial {
    struct timer timer;
    bool cancelled;
    _Atomic int n_fired;
};

struct adder {
    struct timers *timers;
    uint64_t random;
    struct trial trials[PER_ROUND];
};

static void fire(struct timer *timer)
{
    struct trial *const trial = container_of(timer, struct trial, timer);

    CHECK(clock_now_us() >= timer->due_us);
    trial->n_fired++;
}

static void add_and_cancel(void *arg)
{
    struct adder *const a = arg;

    for (size_t i = 0; i < PER_ROUND; i++) {
        timers_add(a->timers, &a->trials[i].timer,
                   clock_now_us() + stress_random(&a->random, 100), fire);
        if (stress_random(&a->random, 2) == 0) {
            struct trial *const other =
                &a->trials[i - stress_random(&a->random, 20) % (i + 1)];

            other->cancelled |= timers_cancel(a->timers, &other->timer);
        }
    }
}

static void run_round(uint64_t seed, bool manual)
{
    static struct adder adders[ADDERS];
    struct waitgroup wg;
    struct timers *timers;

    if (manual) {
        clock_set_manual(0);
    }
    CHECK(timers_start(&timers) == ERR_OK);
    wg_init(&wg);
    for (size_t i = 0; i < ADDERS; i++) {
        adders[i] =
            (struct adder){.timers = timers, .random = seed * 31 + i + 1};
        CHECK(wg_go(&wg, "add", add_and_cancel, &adders[i]) == ERR_OK);
    }
    for (int i = 0; i < 200 && manual; i++) {
        clock_advance(1);
    }
    wg_wait(&wg);
    /* All that are left are due within 100 us. */
    clock_set_manual(clock_now_us() + 100);
    CHECK(timers_count(timers) == 0);
    timers_free(timers);
    clock_set_real();

    for (size_t i = 0; i < ADDERS; i++) {
        for (size_t n = 0; n < PER_ROUND; n++) {
            const struct trial *const trial = &adders[i].trials[n];

            CHECK(trial->n_fired == (trial->cancelled ? 0 : 1));
        }
    }
    wg_destroy(&wg);
}

int main(void)
{
    const int64_t end_us = stress_end_us();
    uint64_t n_rounds = 0;

    while (clock_real_us() < end_us) {
        n_rounds++;
        run_round(n_rounds, n_rounds % 2 == 0);
    }
    (void)printf("%llu rounds of %d timers\n", (unsigned long long)n_rounds,
                 ADDERS * PER_ROUND);
    return 0;
}
