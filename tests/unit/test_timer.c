/* SPDX-License-Identifier: MIT */
/*
 * Timers, on a clock in the test's hand: when they fire, and when never.
 */
#include "common/timer.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/mem.h"
#include "tests/support/death.h"

static struct timers *timers;

static int set_up(void **state)
{
    (void)state;
    clock_set_manual(0);
    return timers_start(&timers) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    timers_free(timers);
    clock_set_real();
    return 0;
}

/* A timer that notes when, and as which of all, it fired. */
struct note {
    struct timer timer;
    int64_t fired_us; /* -1: not yet. */
    int n_fired;
    int order; /* 1 for the first. */
};

static int n_fired_all;

static void note(struct timer *timer)
{
    struct note *const n = container_of(timer, struct note, timer);

    n->fired_us = clock_now_us();
    n->n_fired++;
    n->order = ++n_fired_all;
}

static void add(struct note *n, int64_t due_us)
{
    *n = (struct note){.fired_us = -1};
    timers_add(timers, &n->timer, due_us, note);
}

static void test_a_timer_fires_once_when_it_is_due(void **state)
{
    struct note n;
    (void)state;

    add(&n, 100);
    clock_advance(99);
    assert_int_equal(n.n_fired, 0);
    assert_int_equal(timers_count(timers), 1);

    clock_advance(1);
    assert_int_equal(n.n_fired, 1);
    assert_int_equal(n.fired_us, 100);
    assert_int_equal(timers_count(timers), 0);

    clock_advance(1000);
    assert_int_equal(n.n_fired, 1);
}

static void test_what_is_due_already_fires_at_once(void **state)
{
    struct note n;
    (void)state;

    add(&n, -5);
    clock_advance(0);

    assert_int_equal(n.n_fired, 1);
}

static void test_timers_fire_in_the_order_they_are_due(void **state)
{
    static struct note notes[500];
    (void)state;

    n_fired_all = 0;
    for (int i = 0; i < 500; i++) {
        add(&notes[i], 1 + i * 7 % 500); /* Each of 1 to 500 once. */
    }
    clock_advance(250);
    assert_int_equal(timers_count(timers), 250);
    clock_advance(250);

    for (int i = 0; i < 500; i++) {
        assert_int_equal(notes[i].order, notes[i].timer.due_us);
    }
}

static void test_ten_thousand_timers_cost_one_thread(void **state)
{
    static struct note notes[10000];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
        add(&notes[i], 100000);
    }
    assert_int_equal(timers_count(timers), ARRAY_LEN(notes));
    clock_advance(100000);

    for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
        assert_int_equal(notes[i].n_fired, 1);
    }
}

/* ---- cancel ---- */

static void test_a_cancelled_timer_never_fires(void **state)
{
    struct note n;
    struct note other;
    (void)state;

    add(&n, 100);
    add(&other, 100);
    assert_true(timers_cancel(timers, &n.timer));
    assert_false(timers_cancel(timers, &n.timer));
    clock_advance(1000);

    assert_int_equal(n.n_fired, 0);
    assert_int_equal(other.n_fired, 1);
}

static void test_cancel_after_it_fired_says_so(void **state)
{
    struct note n;
    struct timer never_added = {.place = 0};
    (void)state;

    add(&n, 100);
    clock_advance(100);

    assert_false(timers_cancel(timers, &n.timer));
    assert_false(timers_cancel(timers, &never_added));
}

/* A timer whose function waits until the test lets it go on. */
struct slow {
    struct timer timer;
    struct chan *running;
    struct chan *gate;
    bool finished;
};

static void fire_slowly(struct timer *timer)
{
    struct slow *const s = container_of(timer, struct slow, timer);
    int value = 1;

    (void)!chan_send(chan_tx(s->running), &value);
    (void)!chan_recv(chan_rx(s->gate), &value);
    for (int i = 0; i < 100; i++) {
        (void)sched_yield(); /* Gives whoever does not wait time to show it. */
    }
    s->finished = true;
}

static void
test_advance_waits_for_one_that_runs_and_cancel_does_not(void **state)
{
    struct slow slow = {.running = chan_new(sizeof(int), 0),
                        .gate = chan_new(sizeof(int), 0)};
    int value;
    (void)state;

    timers_add(timers, &slow.timer, 0, fire_slowly);
    assert_true(chan_recv(chan_rx(slow.running), &value));
    assert_false(timers_cancel(timers, &slow.timer)); /* It runs right now. */
    chan_close(chan_tx(slow.gate));
    clock_advance(0);
    assert_true(slow.finished);

    chan_free(slow.gate);
    chan_free(slow.running);
}

/* Adds and cancels at random beside a plain list that knows what should be. */
static void test_any_order_of_adds_and_cancels_keeps_the_heap(void **state)
{
    static struct note notes[64];
    unsigned seed = 7;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
        notes[i] = (struct note){.fired_us = -1};
    }
    for (int step = 0; step < 20000; step++) {
        struct note *const n = &notes[(unsigned)rand_r(&seed) % 64];
        const bool waiting = n->timer.place != 0;

        if (waiting && rand_r(&seed) % 2 == 0) {
            assert_true(timers_cancel(timers, &n->timer));
        } else if (!waiting) {
            add(n, clock_now_us() + 1 + rand_r(&seed) % 100);
        }
        if (step % 50 == 0) {
            clock_advance(10);
            for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
                const struct note *const each = &notes[i];

                assert_true(each->timer.place == 0 ||
                            each->timer.due_us > clock_now_us());
                assert_true(each->fired_us == -1 ||
                            (each->fired_us >= each->timer.due_us &&
                             each->fired_us < each->timer.due_us + 10));
            }
        }
    }
}

/* ---- from a timer's function ---- */

struct chain {
    struct timer timer;
    struct note *victim; /* Cancelled by the first link. */
    int left;
};

static void fire_chain(struct timer *timer)
{
    struct chain *const c = container_of(timer, struct chain, timer);

    if (c->victim != NULL) {
        (void)timers_cancel(timers, &c->victim->timer);
        c->victim = NULL;
    }
    if (--c->left > 0) {
        timers_add(timers, &c->timer, timer->due_us + 1, fire_chain);
    }
}

static void test_a_function_may_add_and_cancel(void **state)
{
    struct note victim;
    struct chain chain = {.victim = &victim, .left = 10};
    (void)state;

    add(&victim, 50);
    timers_add(timers, &chain.timer, 1, fire_chain);
    clock_advance(100); /* Returns after the whole chain. */

    assert_int_equal(chain.left, 0);
    assert_int_equal(victim.n_fired, 0);
    assert_int_equal(timers_count(timers), 0);
}

static void free_itself(struct timer *timer)
{
    n_fired_all++;
    free(timer);
}

static void test_a_function_may_free_its_timer(void **state)
{
    struct timer *const timer = xcalloc(1, sizeof(*timer));
    (void)state;

    n_fired_all = 0;
    timers_add(timers, timer, 5, free_itself);
    clock_advance(5);

    assert_int_equal(n_fired_all, 1);
}

/* ---- stop, and the real clock ---- */

static void test_after_stop_nothing_fires(void **state)
{
    struct note before;
    struct note after;
    (void)state;

    add(&before, 10);
    timers_stop(timers);
    timers_stop(timers);
    add(&after, 10);
    clock_advance(100);

    assert_int_equal(before.n_fired, 0);
    assert_int_equal(after.n_fired, 0);
    assert_int_equal(timers_count(timers), 2);
    assert_true(timers_cancel(timers, &before.timer));
}

struct wakeup {
    struct timer timer;
    struct chan *chan; /* Sent the time. */
};

static void send_time(struct timer *timer)
{
    const struct wakeup *const w = container_of(timer, struct wakeup, timer);
    const int64_t now_us = clock_now_us();

    (void)!chan_try_send(chan_tx(w->chan), &now_us);
}

static void test_on_the_real_clock_none_fires_early(void **state)
{
    struct wakeup late = {.chan = chan_new(sizeof(int64_t), 1)};
    struct wakeup soon = {.chan = chan_new(sizeof(int64_t), 1)};
    int64_t fired_us;
    (void)state;

    clock_set_real();
    const int64_t due_us = clock_now_us() + 2000;
    timers_add(timers, &late.timer, due_us + INT64_C(3600000000), send_time);
    timers_add(timers, &soon.timer, due_us, send_time);

    assert_true(chan_recv(chan_rx(soon.chan), &fired_us));
    assert_true(fired_us >= due_us);
    assert_int_equal(chan_len(chan_rx(late.chan)), 0);
    assert_true(timers_cancel(timers, &late.timer));
    chan_free(soon.chan);
    chan_free(late.chan);
}

/* ---- misuse ---- */

static void advance(struct timer *timer)
{
    (void)timer;
    clock_advance(1);
}

static void advance_from_a_function(void)
{
    struct timers *own;
    struct timer timer = {.place = 0};

    clock_set_manual(0);
    if (timers_start(&own) == ERR_OK) {
        timers_add(own, &timer, 0, advance);
        clock_advance(1);
    }
}

static void add_twice(void)
{
    struct timers *own;
    struct timer timer = {.place = 0};

    clock_set_manual(0);
    if (timers_start(&own) == ERR_OK) {
        timers_add(own, &timer, 10, advance);
        timers_add(own, &timer, 20, advance);
    }
}

static void test_misuse_ends_the_program(void **state)
{
    (void)state;

    ASSERT_ABORTS(advance_from_a_function,
                  "clock: moved by a timer's function");
    ASSERT_ABORTS(add_twice, "timer: added while it waits already");
}

#define WITH_TIMERS(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TIMERS(test_a_timer_fires_once_when_it_is_due),
        WITH_TIMERS(test_what_is_due_already_fires_at_once),
        WITH_TIMERS(test_timers_fire_in_the_order_they_are_due),
        WITH_TIMERS(test_ten_thousand_timers_cost_one_thread),
        WITH_TIMERS(test_a_cancelled_timer_never_fires),
        WITH_TIMERS(test_cancel_after_it_fired_says_so),
        WITH_TIMERS(test_advance_waits_for_one_that_runs_and_cancel_does_not),
        WITH_TIMERS(test_any_order_of_adds_and_cancels_keeps_the_heap),
        WITH_TIMERS(test_a_function_may_add_and_cancel),
        WITH_TIMERS(test_a_function_may_free_its_timer),
        WITH_TIMERS(test_after_stop_nothing_fires),
        WITH_TIMERS(test_on_the_real_clock_none_fires_early),
        cmocka_unit_test(test_misuse_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
