/* SPDX-License-Identifier: MIT */
/*
 * A pool under submitters that take back what they can, stopped in the middle.
 *
 * Claims: a job that was submitted is either run or, if it was withdrawn,
 * dropped, exactly once; a job that was refused is neither.
 */
#include <sched.h>
#include <stdio.h>

#include "common/pool.h"
#include "common/waitgroup.h"
#include "tests/support/stress.h"

#define SUBMITTERS 3
#define WORKERS 2
#define CAPACITY 8
#define PER_ROUND 400 /* Jobs of each submitter. */

struct job {
    struct pool_job job;
    bool submitted;
    bool withdrawn;
    _Atomic int n_runs;
    _Atomic int n_drops;
};

struct submitter {
    struct pool *pool;
    uint64_t random;
    struct job jobs[PER_ROUND];
};

static void run(struct pool_job *pool_job, void *worker)
{
    (void)worker;
    container_of(pool_job, struct job, job)->n_runs++;
}

static void drop(struct pool_job *pool_job, void *worker)
{
    (void)worker;
    container_of(pool_job, struct job, job)->n_drops++;
}

static void submit_all(void *arg)
{
    struct submitter *const s = arg;

    for (size_t i = 0; i < PER_ROUND; i++) {
        struct job *const j = &s->jobs[i];
        enum err err;

        j->job = (struct pool_job){.run = run, .drop = drop};
        while ((err = pool_submit(s->pool, &j->job)) == ERR_FULL) {
            (void)sched_yield();
        }
        if (err == ERR_CLOSED) {
            return;
        }
        j->submitted = true;
        if (stress_random(&s->random, 3) == 0) {
            /* One of the last few, queued or not. */
            struct job *const other =
                &s->jobs[i - stress_random(&s->random, 4) % (i + 1)];

            other->withdrawn |= pool_withdraw(&other->job);
        }
    }
}

/* Stops the pool while they submit, in every other round. */
static void run_round(uint64_t seed)
{
    static struct submitter submitters[SUBMITTERS];
    struct waitgroup wg;
    struct pool *pool;
    uint64_t random = seed;

    CHECK(pool_start(&pool, "stress", WORKERS, CAPACITY, NULL) == ERR_OK);
    wg_init(&wg);
    for (size_t i = 0; i < SUBMITTERS; i++) {
        submitters[i] =
            (struct submitter){.pool = pool, .random = seed * 31 + i + 1};
        CHECK(wg_go(&wg, "submit", submit_all, &submitters[i]) == ERR_OK);
    }
    if (seed % 2 == 0) {
        for (uint32_t i = stress_random(&random, 50); i > 0; i--) {
            (void)sched_yield();
        }
        pool_stop(pool);
    }
    wg_wait(&wg);
    pool_stop(pool);

    for (size_t i = 0; i < SUBMITTERS; i++) {
        for (size_t n = 0; n < PER_ROUND; n++) {
            const struct job *const j = &submitters[i].jobs[n];

            CHECK(j->n_drops == (j->withdrawn ? 1 : 0));
            CHECK(j->n_runs == (j->submitted && !j->withdrawn ? 1 : 0));
        }
    }
    wg_destroy(&wg);
    pool_free(pool);
}

int main(void)
{
    const int64_t end_us = stress_end_us();
    uint64_t n_rounds = 0;

    while (clock_real_us() < end_us) {
        run_round(++n_rounds);
    }
    (void)printf("%llu rounds of %d jobs\n", (unsigned long long)n_rounds,
                 SUBMITTERS * PER_ROUND);
    return 0;
}
