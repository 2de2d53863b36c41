/* SPDX-License-Identifier: MIT */
/*
 * The pool: every job is run or dropped, once.
 */
#include "common/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/chan.h"

/* A job that counts, and may hold its worker at a gate. */
struct job {
    struct pool_job job;
    struct chan *running; /* Sent to when it runs; may be NULL. */
    struct chan *gate;    /* Then received from, until closed; may be NULL. */
    void *worker;         /* That ran or dropped it. */
    _Atomic int n_runs;
    _Atomic int n_drops;
};

static void run(struct pool_job *pool_job, void *worker)
{
    struct job *const j = container_of(pool_job, struct job, job);
    int value = 1;

    j->worker = worker;
    j->n_runs++;
    if (j->running != NULL) {
        (void)!chan_send(chan_tx(j->running), &value);
    }
    if (j->gate != NULL) {
        (void)!chan_recv(chan_rx(j->gate), &value);
    }
}

static void drop(struct pool_job *pool_job, void *worker)
{
    struct job *const j = container_of(pool_job, struct job, job);

    j->worker = worker;
    j->n_drops++;
}

static struct job new_job(void)
{
    return (struct job){.job = {.run = run, .drop = drop}};
}

static struct pool *start_pool(size_t n_workers, size_t capacity,
                               const struct pool_hooks *hooks)
{
    struct pool *pool;

    assert_int_equal(pool_start(&pool, "test", n_workers, capacity, hooks),
                     ERR_OK);
    return pool;
}

static void submit(struct pool *pool, struct job *j)
{
    assert_int_equal(pool_submit(pool, &j->job), ERR_OK);
}

/* A pool of one worker that is held at a gate. */
struct held {
    struct pool *pool;
    struct job blocker;
};

static void hold(struct held *h, size_t capacity)
{
    int value;

    h->pool = start_pool(1, capacity, NULL);
    h->blocker = new_job();
    h->blocker.running = chan_new(sizeof(int), 0);
    h->blocker.gate = chan_new(sizeof(int), 0);
    submit(h->pool, &h->blocker);
    assert_true(chan_recv(chan_rx(h->blocker.running), &value));
}

static void release(struct held *h)
{
    chan_close(chan_tx(h->blocker.gate));
}

static void release_and_free(struct held *h)
{
    release(h);
    pool_free(h->pool);
    chan_free(h->blocker.gate);
    chan_free(h->blocker.running);
}

static void test_every_job_runs_once(void **state)
{
    struct pool *const pool = start_pool(4, CHAN_UNBOUNDED, NULL);
    static struct job jobs[1000];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = new_job();
        submit(pool, &jobs[i]);
    }
    pool_stop(pool);

    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        assert_int_equal(jobs[i].n_runs, 1);
        assert_int_equal(jobs[i].n_drops, 0);
    }
    pool_free(pool);
}

/* Each job waits until the other runs too. */
static void test_workers_run_side_by_side(void **state)
{
    struct pool *const pool = start_pool(2, 2, NULL);
    struct chan *const meet = chan_new(sizeof(int), 0);
    struct job sends = new_job();
    struct job receives = new_job();
    (void)state;

    sends.running = meet;
    receives.gate = meet;
    submit(pool, &sends);
    submit(pool, &receives);
    pool_stop(pool); /* Comes only if they met. */

    assert_int_equal(sends.n_runs + receives.n_runs, 2);
    pool_free(pool);
    chan_free(meet);
}

static void test_a_withdrawn_job_is_dropped_and_not_run(void **state)
{
    struct held h;
    struct job withdrawn = new_job();
    struct job other = new_job();
    (void)state;

    hold(&h, 2);
    submit(h.pool, &withdrawn);
    submit(h.pool, &other);
    assert_true(pool_withdraw(&withdrawn.job));
    assert_false(pool_withdraw(&withdrawn.job));
    assert_int_equal(withdrawn.n_drops, 0);
    release_and_free(&h);

    assert_int_equal(withdrawn.n_runs, 0);
    assert_int_equal(withdrawn.n_drops, 1);
    assert_int_equal(other.n_runs, 1);
}

static void test_a_job_that_runs_or_has_run_cannot_be_withdrawn(void **state)
{
    struct held h;
    (void)state;

    hold(&h, 1);
    assert_false(pool_withdraw(&h.blocker.job));
    release(&h);
    pool_stop(h.pool);
    assert_false(pool_withdraw(&h.blocker.job));

    assert_int_equal(h.blocker.n_runs, 1);
    assert_int_equal(h.blocker.n_drops, 0);
    pool_free(h.pool);
    chan_free(h.blocker.gate);
    chan_free(h.blocker.running);
}

static void test_a_full_queue_refuses_and_keeps_nothing(void **state)
{
    struct held h;
    struct job queued = new_job();
    struct job refused = new_job();
    (void)state;

    hold(&h, 1);
    submit(h.pool, &queued);
    assert_int_equal(pool_submit(h.pool, &refused.job), ERR_FULL);
    assert_false(pool_withdraw(&refused.job));
    release_and_free(&h);

    assert_int_equal(queued.n_runs, 1);
    assert_int_equal(refused.n_runs + refused.n_drops, 0);
}

static void test_stop_runs_what_is_queued_and_refuses_more(void **state)
{
    struct held h;
    struct job queued = new_job();
    struct job late = new_job();
    (void)state;

    hold(&h, 1);
    submit(h.pool, &queued);
    release(&h);
    pool_stop(h.pool);
    pool_stop(h.pool);

    assert_int_equal(queued.n_runs, 1);
    assert_int_equal(pool_submit(h.pool, &late.job), ERR_CLOSED);
    pool_free(h.pool);
    chan_free(h.blocker.gate);
    chan_free(h.blocker.running);
    pool_free(NULL);
}

/* ---- a job that submits itself again ---- */

struct repeat {
    struct pool_job job;
    struct pool *pool;
    struct chan *done;
    int left;
};

static void run_again(struct pool_job *pool_job, void *worker)
{
    struct repeat *const r = container_of(pool_job, struct repeat, job);

    (void)worker;
    if (--r->left > 0 && pool_submit(r->pool, &r->job) == ERR_OK) {
        return; /* It may run already: not ours any more. */
    }
    chan_close(chan_tx(r->done));
}

static void test_a_job_may_submit_itself_again(void **state)
{
    struct repeat r = {.job.run = run_again,
                       .pool = start_pool(2, 1, NULL),
                       .done = chan_new(sizeof(int), 0),
                       .left = 1000};
    int value;
    (void)state;

    assert_int_equal(pool_submit(r.pool, &r.job), ERR_OK);
    assert_false(chan_recv(chan_rx(r.done), &value));

    assert_int_equal(r.left, 0);
    pool_free(r.pool);
    chan_free(r.done);
}

/* ---- what workers own ---- */

#define WORKERS 3

struct place {
    int owned[WORKERS]; /* By the worker of that index. */
    size_t broken;      /* 'open' of this index fails. */
    _Atomic int n_open;
    _Atomic int n_opened;
};

static enum err open_place(void *context, size_t index, void **worker)
{
    struct place *const p = context;

    if (index == p->broken) {
        return ERR_STORE_CORRUPT;
    }
    p->owned[index] = 1;
    p->n_open++;
    p->n_opened++;
    *worker = &p->owned[index];
    return ERR_OK;
}

static void close_place(void *context, void *worker)
{
    struct place *const p = context;

    *(int *)worker = 0;
    p->n_open--;
}

static void test_each_worker_owns_what_its_open_gave(void **state)
{
    struct place p = {.broken = SIZE_MAX};
    const struct pool_hooks hooks = {
        .open = open_place, .close = close_place, .context = &p};
    struct pool *const pool = start_pool(WORKERS, 10, &hooks);
    struct job j = new_job();
    (void)state;

    assert_int_equal(p.n_open, WORKERS);
    submit(pool, &j);
    pool_free(pool);

    assert_true((int *)j.worker >= p.owned);
    assert_true((int *)j.worker < p.owned + WORKERS);
    assert_int_equal(p.n_open, 0);
}

static void test_one_open_that_fails_fails_the_pool(void **state)
{
    (void)state;

    for (size_t broken = 0; broken < WORKERS; broken++) {
        struct place p = {.broken = broken};
        const struct pool_hooks hooks = {
            .open = open_place, .close = close_place, .context = &p};
        struct pool *pool = NULL;

        assert_int_equal(pool_start(&pool, "test", WORKERS, 10, &hooks),
                         ERR_STORE_CORRUPT);
        assert_null(pool);
        assert_int_equal(p.n_opened, WORKERS - 1);
        assert_int_equal(p.n_open, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_job_runs_once),
        cmocka_unit_test(test_workers_run_side_by_side),
        cmocka_unit_test(test_a_withdrawn_job_is_dropped_and_not_run),
        cmocka_unit_test(test_a_job_that_runs_or_has_run_cannot_be_withdrawn),
        cmocka_unit_test(test_a_full_queue_refuses_and_keeps_nothing),
        cmocka_unit_test(test_stop_runs_what_is_queued_and_refuses_more),
        cmocka_unit_test(test_a_job_may_submit_itself_again),
        cmocka_unit_test(test_each_worker_owns_what_its_open_gave),
        cmocka_unit_test(test_one_open_that_fails_fails_the_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
