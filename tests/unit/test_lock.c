/* SPDX-License-Identifier: MIT */
/*
 * Locks: one alone, many readers at once, and what debug builds refuse.
 */
#include "common/lock.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/thread.h"
#include "common/waitgroup.h"
#include "tests/support/death.h"

#define THREADS 8
#define ROUNDS 2000

static void start(struct waitgroup *wg, thread_fn *fn, void *arg)
{
    assert_int_equal(wg_go(wg, "test", fn, arg), ERR_OK);
}

/* ---- mutex ---- */

struct counter {
    struct mutex lock;
    long count GUARDED_BY(lock);
};

static void count_up(void *arg)
{
    struct counter *const c = arg;

    for (int i = 0; i < ROUNDS; i++) {
        mutex_lock(&c->lock);
        c->count++;
        mutex_unlock(&c->lock);
    }
}

static void test_a_mutex_admits_one_at_a_time(void **state)
{
    struct counter c = {.count = 0};
    struct waitgroup wg;
    (void)state;

    mutex_init(&c.lock, LOCK_LEAF, "counter");
    wg_init(&wg);
    for (int i = 0; i < THREADS; i++) {
        start(&wg, count_up, &c);
    }
    wg_wait(&wg);

    mutex_lock(&c.lock);
    assert_int_equal(c.count, THREADS * ROUNDS);
    mutex_unlock(&c.lock);
    wg_destroy(&wg);
    mutex_destroy(&c.lock);
}

struct attempt {
    struct mutex *lock;
    bool taken;
};

static void try_lock(void *arg)
{
    struct attempt *const attempt = arg;
    const bool taken = mutex_trylock(attempt->lock);

    if (taken) {
        mutex_unlock(attempt->lock);
    }
    attempt->taken = taken;
}

static bool another_thread_can_take(struct mutex *m)
{
    struct attempt attempt = {.lock = m};
    struct thread thread;

    assert_int_equal(thread_start(&thread, "try", try_lock, &attempt), ERR_OK);
    thread_join(&thread);
    return attempt.taken;
}

static void test_trylock_does_not_wait(void **state)
{
    struct mutex m;
    (void)state;

    mutex_init(&m, LOCK_LEAF, "m");
    assert_true(another_thread_can_take(&m));
    mutex_lock(&m);
    assert_false(another_thread_can_take(&m));
    mutex_unlock(&m);
    assert_true(another_thread_can_take(&m));
    mutex_destroy(&m);
}

/* ---- rwlock ---- */

struct shared {
    struct rwlock lock;
    struct waitgroup all_in; /* Done once by each reader that is inside. */
    _Atomic int n_readers;   /* Inside now. */
    _Atomic int n_writers;
    _Atomic int n_broken; /* Times a writer was not alone. */
    _Atomic bool stop;
};

static void shared_init(struct shared *s)
{
    *s = (struct shared){.n_readers = 0};
    rwlock_init(&s->lock, LOCK_SHARD, "shared");
    wg_init(&s->all_in);
}

static void shared_destroy(struct shared *s)
{
    wg_destroy(&s->all_in);
    rwlock_destroy(&s->lock);
}

/* Leaves only when every reader is inside.  The rule against sleeping with a
 * lock is the reason to look again and again here. */
static void read_together(void *arg)
{
    struct shared *const s = arg;

    rwlock_rdlock(&s->lock);
    s->n_readers++;
    while (s->n_readers < THREADS) {
        (void)sched_yield();
    }
    rwlock_rdunlock(&s->lock);
}

static void test_many_readers_are_in_at_once(void **state)
{
    struct shared s;
    struct waitgroup wg;
    (void)state;

    shared_init(&s);
    wg_init(&wg);
    for (int i = 0; i < THREADS; i++) {
        start(&wg, read_together, &s);
    }
    wg_wait(&wg); /* Comes only if all were in together. */

    assert_int_equal(s.n_readers, THREADS);
    wg_destroy(&wg);
    shared_destroy(&s);
}

static void read_and_look(void *arg)
{
    struct shared *const s = arg;

    for (int i = 0; i < ROUNDS; i++) {
        rwlock_rdlock(&s->lock);
        s->n_readers++;
        s->n_broken += s->n_writers != 0;
        s->n_readers--;
        rwlock_rdunlock(&s->lock);
    }
}

static void write_and_look(void *arg)
{
    struct shared *const s = arg;

    for (int i = 0; i < ROUNDS; i++) {
        rwlock_wrlock(&s->lock);
        s->n_broken += ++s->n_writers != 1 || s->n_readers != 0;
        s->n_writers--;
        rwlock_wrunlock(&s->lock);
    }
}

static void test_a_writer_is_alone(void **state)
{
    struct shared s;
    struct waitgroup wg;
    (void)state;

    shared_init(&s);
    wg_init(&wg);
    for (int i = 0; i < THREADS; i++) {
        start(&wg, i % 4 == 0 ? write_and_look : read_and_look, &s);
    }
    wg_wait(&wg);

    assert_int_equal(s.n_broken, 0);
    wg_destroy(&wg);
    shared_destroy(&s);
}

/* Two of these overlap nearly all the time. */
static void read_until_stopped(void *arg)
{
    struct shared *const s = arg;
    bool first = true;

    while (!s->stop) {
        rwlock_rdlock(&s->lock);
        for (int i = 0; i < 100 && !s->stop; i++) {
            (void)sched_yield();
        }
        rwlock_rdunlock(&s->lock);
        if (first) {
            wg_done(&s->all_in);
            first = false;
        }
    }
}

static void test_a_stream_of_readers_does_not_keep_a_writer_out(void **state)
{
    struct shared s;
    struct waitgroup wg;
    (void)state;

    shared_init(&s);
    wg_init(&wg);
    wg_add(&s.all_in, THREADS);
    for (int i = 0; i < THREADS; i++) {
        start(&wg, read_until_stopped, &s);
    }
    wg_wait(&s.all_in);

    rwlock_wrlock(&s.lock); /* Comes while they all go on reading. */
    rwlock_wrunlock(&s.lock);

    s.stop = true;
    wg_wait(&wg);
    wg_destroy(&wg);
    shared_destroy(&s);
}

/* ---- cond ---- */

struct gate {
    struct mutex lock;
    struct cond opened;
    bool open GUARDED_BY(lock);
};

static void gate_init(struct gate *g)
{
    *g = (struct gate){.open = false};
    mutex_init(&g->lock, LOCK_LEAF, "gate");
    cond_init(&g->opened);
}

static void gate_destroy(struct gate *g)
{
    cond_destroy(&g->opened);
    mutex_destroy(&g->lock);
}

static void wait_for_gate(void *arg)
{
    struct gate *const g = arg;

    mutex_lock(&g->lock);
    while (!g->open) {
        cond_wait(&g->opened, &g->lock);
    }
    mutex_unlock(&g->lock);
}

static void test_a_broadcast_wakes_everybody(void **state)
{
    struct gate g;
    struct waitgroup wg;
    (void)state;

    gate_init(&g);
    wg_init(&wg);
    for (int i = 0; i < THREADS; i++) {
        start(&wg, wait_for_gate, &g);
    }
    mutex_lock(&g.lock);
    g.open = true;
    cond_broadcast(&g.opened);
    mutex_unlock(&g.lock);
    wg_wait(&wg);

    wg_destroy(&wg);
    gate_destroy(&g);
}

static void test_waiting_ends_at_the_deadline(void **state)
{
    const int64_t deadline_us = clock_real_us() + 2000;
    struct gate g;
    (void)state;

    gate_init(&g);
    mutex_lock(&g.lock);
    assert_false(cond_wait_until(&g.opened, &g.lock, -1));
    assert_false(cond_wait_until(&g.opened, &g.lock, 0));
    while (cond_wait_until(&g.opened, &g.lock, deadline_us)) {
    }
    mutex_unlock(&g.lock);

    assert_true(clock_real_us() >= deadline_us);
    gate_destroy(&g);
}

/* ---- what debug builds refuse ---- */

static struct mutex outer;
static struct mutex inner;
static struct rwlock table;
static struct {
    struct mutex low; /* The lower address of the two. */
    struct mutex high;
} chans;

static int init_locks(void **state)
{
    (void)state;
    mutex_init(&outer, LOCK_STORE, "outer");
    mutex_init(&inner, LOCK_LEAF, "inner");
    rwlock_init(&table, LOCK_SHARD, "table");
    mutex_init(&chans.low, LOCK_CHAN, "low chan");
    mutex_init(&chans.high, LOCK_CHAN, "high chan");
    return 0;
}

static int destroy_locks(void **state)
{
    (void)state;
    mutex_destroy(&chans.high);
    mutex_destroy(&chans.low);
    rwlock_destroy(&table);
    mutex_destroy(&inner);
    mutex_destroy(&outer);
    return 0;
}

/* As many as a group of writes takes at once. */
static void test_all_shards_of_flights_nest_by_address(void **state)
    NO_THREAD_SAFETY_ANALYSIS
{
    struct mutex shards[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shards); i++) {
        mutex_init(&shards[i], LOCK_FLIGHT, "shard");
    }
    for (size_t i = 0; i < ARRAY_LEN(shards); i++) {
        mutex_lock(&shards[i]);
    }
    mutex_lock(&outer); /* What they lead to. */
    mutex_lock(&chans.low);
    mutex_unlock(&chans.low);
    mutex_unlock(&outer);
    for (size_t i = 0; i < ARRAY_LEN(shards); i++) {
        mutex_unlock(&shards[i]);
        mutex_destroy(&shards[i]);
    }
}

static void test_locks_nest_in_the_order_of_ranks(void **state)
{
    (void)state;

    rwlock_rdlock(&table);
    mutex_lock(&outer);
    mutex_lock(&chans.low);
    mutex_lock(&chans.high);
    mutex_lock(&inner);
    /* Giving back goes in any order. */
    mutex_unlock(&outer);
    mutex_unlock(&chans.low);
    rwlock_rdunlock(&table);
    mutex_unlock(&inner);
    mutex_unlock(&chans.high);
}

static void test_a_trylock_may_go_against_the_order(void **state)
{
    (void)state;

    mutex_lock(&inner);
    const bool taken = mutex_trylock(&outer);
    if (taken) {
        mutex_unlock(&outer);
    }
    mutex_unlock(&inner);
    assert_true(taken);
}

#ifndef NDEBUG

/* The compiler's checker sees most of these too; they are about the run. */

static void take_against_the_order(void) NO_THREAD_SAFETY_ANALYSIS
{
    mutex_lock(&inner);
    mutex_lock(&outer);
}

static void read_against_the_order(void) NO_THREAD_SAFETY_ANALYSIS
{
    mutex_lock(&outer);
    rwlock_rdlock(&table);
}

static void take_two_of_a_rank(void) NO_THREAD_SAFETY_ANALYSIS
{
    struct mutex other;

    mutex_init(&other, LOCK_LEAF, "other");
    mutex_lock(&inner);
    mutex_lock(&other);
}

static void take_chans_downwards(void) NO_THREAD_SAFETY_ANALYSIS
{
    mutex_lock(&chans.high);
    mutex_lock(&chans.low);
}

static void take_flights_downwards(void) NO_THREAD_SAFETY_ANALYSIS
{
    struct mutex shards[2];

    mutex_init(&shards[0], LOCK_FLIGHT, "low shard");
    mutex_init(&shards[1], LOCK_FLIGHT, "high shard");
    mutex_lock(&shards[1]);
    mutex_lock(&shards[0]);
}

static void take_twice(void) NO_THREAD_SAFETY_ANALYSIS
{
    mutex_lock(&outer);
    mutex_lock(&outer);
}

static void read_twice(void) NO_THREAD_SAFETY_ANALYSIS
{
    rwlock_rdlock(&table);
    rwlock_rdlock(&table);
}

static void write_after_read(void) NO_THREAD_SAFETY_ANALYSIS
{
    rwlock_rdlock(&table);
    rwlock_wrlock(&table);
}

static void release_unheld(void) NO_THREAD_SAFETY_ANALYSIS
{
    mutex_unlock(&outer);
}

static void release_by_stranger(void *arg) NO_THREAD_SAFETY_ANALYSIS
{
    (void)arg;
    mutex_unlock(&outer);
}

static void release_on_another_thread(void) NO_THREAD_SAFETY_ANALYSIS
{
    struct thread thread;

    mutex_lock(&outer);
    if (thread_start(&thread, "other", release_by_stranger, NULL) == ERR_OK) {
        thread_join(&thread);
    }
}

static void sleep_with_another_lock(void) NO_THREAD_SAFETY_ANALYSIS
{
    struct cond never;

    cond_init(&never);
    mutex_lock(&outer);
    mutex_lock(&inner);
    cond_wait(&never, &inner);
}

static void sleep_without_the_lock(void) NO_THREAD_SAFETY_ANALYSIS
{
    struct cond never;

    cond_init(&never);
    cond_wait(&never, &inner);
}

static void destroy_while_held(void) NO_THREAD_SAFETY_ANALYSIS
{
    mutex_lock(&outer);
    mutex_destroy(&outer);
}

#endif

static void test_misuse_ends_the_program_with_both_names(void **state)
{
    (void)state;

#ifdef NDEBUG
    print_message("configured without --enable-debug: no checks\n");
    skip();
#else
    ASSERT_ABORTS(take_against_the_order, "\"outer\"", "\"inner\"", "order");
    ASSERT_ABORTS(read_against_the_order, "\"table\"", "\"outer\"", "order");
    ASSERT_ABORTS(take_two_of_a_rank, "\"other\"", "\"inner\"", "order");
    ASSERT_ABORTS(take_chans_downwards, "\"low chan\"", "\"high chan\"",
                  "order");
    ASSERT_ABORTS(take_flights_downwards, "\"low shard\"", "\"high shard\"",
                  "order");
    ASSERT_ABORTS(take_twice, "\"outer\" taken twice");
    ASSERT_ABORTS(read_twice, "\"table\" taken twice");
    ASSERT_ABORTS(write_after_read, "\"table\" taken twice");
    ASSERT_ABORTS(release_unheld, "\"outer\" released by a thread");
    ASSERT_ABORTS(release_on_another_thread, "\"outer\" released by a thread");
    ASSERT_ABORTS(sleep_with_another_lock, "waiting with \"inner\"",
                  "holding \"outer\"");
    ASSERT_ABORTS(sleep_without_the_lock, "\"inner\", which is not held");
    ASSERT_ABORTS(destroy_while_held, "\"outer\" destroyed while held");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mutex_admits_one_at_a_time),
        cmocka_unit_test(test_trylock_does_not_wait),
        cmocka_unit_test(test_many_readers_are_in_at_once),
        cmocka_unit_test(test_a_writer_is_alone),
        cmocka_unit_test(test_a_stream_of_readers_does_not_keep_a_writer_out),
        cmocka_unit_test(test_a_broadcast_wakes_everybody),
        cmocka_unit_test(test_waiting_ends_at_the_deadline),
        cmocka_unit_test_setup_teardown(test_locks_nest_in_the_order_of_ranks,
                                        init_locks, destroy_locks),
        cmocka_unit_test_setup_teardown(
            test_all_shards_of_flights_nest_by_address, init_locks,
            destroy_locks),
        cmocka_unit_test_setup_teardown(test_a_trylock_may_go_against_the_order,
                                        init_locks, destroy_locks),
        cmocka_unit_test_setup_teardown(
            test_misuse_ends_the_program_with_both_names, init_locks,
            destroy_locks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
