/* SPDX-License-Identifier: MIT */
/*
 * Select: one case of several, and never more than one.
 */
#include "common/chan.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/thread.h"
#include "common/timer.h"
#include "tests/support/death.h"

static struct chan *new_chan(size_t capacity)
{
    return chan_new(sizeof(int), capacity);
}

static void send_int(struct chan *c, int value)
{
    assert_int_equal(chan_send(chan_tx(c), &value), ERR_OK);
}

static void start(struct thread *t, thread_fn *fn, void *arg)
{
    assert_int_equal(thread_start(t, "test", fn, arg), ERR_OK);
}

/* Waits until a thread waits to send on the unbuffered 'c'. */
static void await_sender(struct chan *c)
{
    struct pollfd poll_fd = {.fd = chan_event_fd(chan_rx(c)), .events = POLLIN};

    assert_int_equal(poll(&poll_fd, 1, -1), 1);
}

/* ---- without waiting ---- */

static void test_the_case_that_is_ready_is_taken(void **state)
{
    struct chan *const empty = new_chan(1);
    struct chan *const full = new_chan(1);
    int in = 0;
    const int out = 2;
    (void)state;

    send_int(full, 1);
    struct select_case cases[] = {
        select_recv(chan_rx(empty), &in),
        select_send(chan_tx(full), &out),
        select_recv(chan_rx(full), &in),
    };
    assert_int_equal(chan_select(cases, 3, SELECT_FOREVER), 2);
    assert_true(cases[2].ok);
    assert_int_equal(in, 1);

    /* Now there is room in it. */
    assert_int_equal(chan_select(cases, 2, SELECT_FOREVER), 1);
    assert_false(cases[1].closed);
    assert_int_equal(chan_len(chan_rx(full)), 1);
    chan_free(full);
    chan_free(empty);
}

static void test_default_is_taken_when_no_case_is_ready(void **state)
{
    struct chan *const empty = new_chan(0);
    struct chan *const full = new_chan(1);
    int in = 42;
    const int out = 2;
    (void)state;

    send_int(full, 1);
    struct select_case cases[] = {
        select_recv(chan_rx(empty), &in),
        select_send(chan_tx(full), &out),
        select_send(chan_tx(empty), &out),
    };
    assert_int_equal(chan_select(cases, 3, SELECT_DEFAULT), SELECT_NONE);
    assert_int_equal(in, 42);
    assert_int_equal(chan_select(NULL, 0, SELECT_DEFAULT), SELECT_NONE);
    chan_free(full);
    chan_free(empty);
}

static void test_a_nil_channel_is_never_ready(void **state)
{
    struct chan *const c = new_chan(1);
    const struct chan_rx nil_rx = {.chan = NULL};
    const struct chan_tx nil_tx = {.chan = NULL};
    int in = 0;
    (void)state;

    send_int(c, 7);
    struct select_case cases[] = {
        select_recv(nil_rx, &in),
        select_send(nil_tx, &in),
        select_recv(chan_rx(c), &in),
    };
    assert_int_equal(chan_select(cases, 3, SELECT_FOREVER), 2);
    assert_int_equal(in, 7);
    assert_int_equal(chan_select(cases, 2, clock_real_us() + 1000),
                     SELECT_NONE);
    chan_free(c);
}

static void test_a_closed_channel_is_ready_and_says_so(void **state)
{
    struct chan *const closed = new_chan(1);
    struct chan *const empty = new_chan(1);
    int in = 42;
    const int out = 1;
    (void)state;

    chan_close(chan_tx(closed));
    struct select_case receive[] = {
        select_recv(chan_rx(empty), &in),
        select_recv(chan_rx(closed), &in),
    };
    assert_int_equal(chan_select(receive, 2, SELECT_FOREVER), 1);
    assert_false(receive[1].ok);
    assert_int_equal(in, 42);

    struct select_case send[] = {select_send(chan_tx(closed), &out)};
    assert_int_equal(chan_select(send, 1, SELECT_FOREVER), 0);
    assert_true(send[0].closed);
    chan_free(empty);
    chan_free(closed);
}

/* 10 000 draws of probability 1/4 stray from 2500 by 43 in the standard
 * deviation; 500 is more than eleven of them. */
static void test_all_ready_cases_are_equally_likely(void **state)
{
    struct chan *chans[4];
    struct select_case cases[4];
    int n_taken[4] = {0};
    int in;
    (void)state;

    for (int i = 0; i < 4; i++) {
        chans[i] = new_chan(1);
        cases[i] = select_recv(chan_rx(chans[i]), &in);
        send_int(chans[i], i);
    }
    for (int round = 0; round < 10000; round++) {
        const int chosen = chan_select(cases, 4, SELECT_FOREVER);

        assert_in_range(chosen, 0, 3);
        assert_int_equal(in, chosen);
        n_taken[chosen]++;
        send_int(chans[chosen], chosen);
    }

    for (int i = 0; i < 4; i++) {
        assert_in_range(n_taken[i], 2000, 3000);
        chan_free(chans[i]);
    }
}

/* ---- waiting ---- */

struct sender {
    struct chan *chan;
    int value;
};

static void send_one(void *arg)
{
    const struct sender *const s = arg;

    (void)!chan_send(chan_tx(s->chan), &s->value);
}

/* The exercise's select: whichever answer comes first. */
static void test_select_waits_for_the_first_that_is_ready(void **state)
{
    struct chan *const cache = new_chan(0);
    struct chan *const database = new_chan(0);
    struct sender sender = {.chan = database, .value = 3};
    struct thread thread;
    int in = 0;
    (void)state;

    start(&thread, send_one, &sender);
    struct select_case cases[] = {
        select_recv(chan_rx(cache), &in),
        select_recv(chan_rx(database), &in),
    };
    assert_int_equal(chan_select(cases, 2, SELECT_FOREVER), 1);
    thread_join(&thread);

    assert_true(cases[1].ok);
    assert_false(cases[0].ok);
    assert_int_equal(in, 3);
    /* Of the case not taken nothing is left for a sender to meet. */
    assert_int_equal(chan_try_send(chan_tx(cache), &in), ERR_FULL);
    chan_free(database);
    chan_free(cache);
}

/* Two sends that wait; only the one that met a receiver is carried out. */
struct offer {
    struct chan *chans[2];
    int values[2];
    int chosen;
    bool closed;
};

static void offer_both(void *arg)
{
    struct offer *const o = arg;
    struct select_case cases[] = {
        select_send(chan_tx(o->chans[0]), &o->values[0]),
        select_send(chan_tx(o->chans[1]), &o->values[1]),
    };

    o->chosen = chan_select(cases, 2, SELECT_FOREVER);
    o->closed = o->chosen >= 0 && cases[o->chosen].closed;
}

static void test_of_two_sends_that_wait_one_is_carried_out(void **state)
{
    struct offer offer = {.chans = {new_chan(0), new_chan(0)},
                          .values = {10, 20}};
    struct thread thread;
    int in = 0;
    (void)state;

    start(&thread, offer_both, &offer);
    await_sender(offer.chans[0]);
    await_sender(offer.chans[1]);
    assert_int_equal(chan_try_recv(chan_rx(offer.chans[1]), &in), ERR_OK);
    /* Perhaps it has not woken yet; the other case is void all the same. */
    assert_int_equal(chan_try_recv(chan_rx(offer.chans[0]), &in), ERR_EMPTY);
    thread_join(&thread);

    assert_int_equal(in, 20);
    assert_int_equal(offer.chosen, 1);
    assert_false(offer.closed);
    chan_free(offer.chans[0]);
    chan_free(offer.chans[1]);
}

static void test_close_wakes_a_select(void **state)
{
    struct offer offer = {.chans = {new_chan(0), new_chan(0)}};
    struct thread thread;
    (void)state;

    start(&thread, offer_both, &offer);
    await_sender(offer.chans[0]);
    chan_close(chan_tx(offer.chans[0]));
    thread_join(&thread);

    assert_int_equal(offer.chosen, 0);
    assert_true(offer.closed);
    chan_free(offer.chans[0]);
    chan_free(offer.chans[1]);
}

static void test_select_gives_up_at_the_deadline(void **state)
{
    struct chan *const a = new_chan(0);
    struct chan *const b = new_chan(0);
    const int64_t deadline_us = clock_real_us() + 2000;
    int in = 42;
    const int out = 1;
    (void)state;

    struct select_case cases[] = {
        select_recv(chan_rx(a), &in),
        select_send(chan_tx(b), &out),
    };
    assert_int_equal(chan_select(cases, 2, deadline_us), SELECT_NONE);
    assert_true(clock_real_us() >= deadline_us);
    assert_int_equal(in, 42);

    /* Neither case is left behind. */
    assert_int_equal(chan_try_send(chan_tx(a), &out), ERR_FULL);
    assert_int_equal(chan_try_recv(chan_rx(b), &in), ERR_EMPTY);
    chan_free(b);
    chan_free(a);
}

static void test_a_select_does_not_meet_itself(void **state)
{
    struct chan *const c = new_chan(0);
    int in = 42;
    const int out = 1;
    (void)state;

    struct select_case cases[] = {
        select_recv(chan_rx(c), &in),
        select_send(chan_tx(c), &out),
        select_recv(chan_rx(c), &in),
    };
    assert_int_equal(chan_select(cases, 3, clock_real_us() + 1000),
                     SELECT_NONE);
    assert_int_equal(in, 42);
    chan_free(c);
}

/* ---- select against select ---- */

#define ROUNDS 5000

/* Sends on one channel or receives on the other, whichever comes about. */
struct trader {
    struct chan *out;
    struct chan *in;
    long sent;     /* Sum of the values. */
    long received; /* Sum of the values. */
    bool failed;
};

static void trade(void *arg)
{
    struct trader *const t = arg;

    for (int i = 1; i <= ROUNDS; i++) {
        int value = 0;
        struct select_case cases[] = {
            select_send(chan_tx(t->out), &i),
            select_recv(chan_rx(t->in), &value),
        };
        const int chosen = chan_select(cases, 2, SELECT_FOREVER);

        t->failed |= chosen == 1 ? !cases[1].ok : value != 0;
        t->sent += chosen == 0 ? i : 0;
        t->received += value;
    }
}

/* Every exchange is one case of each, so that both have as many rounds. */
static void test_two_selects_that_face_each_other_meet(void **state)
{
    struct chan *const a = new_chan(0);
    struct chan *const b = new_chan(0);
    struct trader one = {.out = a, .in = b};
    struct trader two = {.out = b, .in = a};
    struct thread thread;
    (void)state;

    start(&thread, trade, &two);
    trade(&one);
    thread_join(&thread);

    assert_false(one.failed);
    assert_false(two.failed);
    assert_int_equal(one.sent, two.received);
    assert_int_equal(two.sent, one.received);
    assert_true(one.sent + two.sent > 0);
    chan_free(b);
    chan_free(a);
}

/* ---- Go's time.After ---- */

struct alarm {
    struct timer timer;
    struct chan *chan; /* Of capacity 1: the timer never waits. */
};

static void ring(struct timer *timer)
{
    const struct alarm *const a = container_of(timer, struct alarm, timer);
    const int value = 1;

    (void)!chan_try_send(chan_tx(a->chan), &value);
}

static void test_a_timer_is_a_case_like_any_other(void **state)
{
    struct alarm alarm = {.chan = new_chan(1)};
    struct chan *const never = new_chan(0);
    struct timers *timers;
    int in;
    (void)state;

    clock_set_manual(0);
    assert_int_equal(timers_start(&timers), ERR_OK);
    timers_add(timers, &alarm.timer, 100, ring);
    struct select_case cases[] = {
        select_recv(chan_rx(never), &in),
        select_recv(chan_rx(alarm.chan), &in),
    };
    clock_advance(99);
    assert_int_equal(chan_select(cases, 2, SELECT_DEFAULT), SELECT_NONE);
    clock_advance(1);
    assert_int_equal(chan_select(cases, 2, SELECT_FOREVER), 1);

    timers_free(timers);
    clock_set_real();
    chan_free(never);
    chan_free(alarm.chan);
}

/* ---- limits ---- */

static void test_as_many_cases_as_allowed_may_wait(void **state)
{
    struct select_case cases[SELECT_CASES_MAX];
    struct chan *chans[SELECT_CASES_MAX];
    int in;
    (void)state;

    for (size_t i = 0; i < SELECT_CASES_MAX; i++) {
        chans[i] = new_chan(1);
        cases[i] = select_recv(chan_rx(chans[i]), &in);
    }
    assert_int_equal(
        chan_select(cases, SELECT_CASES_MAX, clock_real_us() + 1000),
        SELECT_NONE);
    send_int(chans[SELECT_CASES_MAX - 1], 5);
    assert_int_equal(chan_select(cases, SELECT_CASES_MAX, SELECT_FOREVER),
                     SELECT_CASES_MAX - 1);
    assert_int_equal(in, 5);
    for (size_t i = 0; i < SELECT_CASES_MAX; i++) {
        chan_free(chans[i]);
    }
}

static void select_too_many(void)
{
    static struct select_case cases[SELECT_CASES_MAX + 1];

    (void)!chan_select(cases, SELECT_CASES_MAX + 1, SELECT_DEFAULT);
}

static void test_more_cases_than_allowed_end_the_program(void **state)
{
    (void)state;

    ASSERT_ABORTS(select_too_many, "select over 33 cases, more than 32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_case_that_is_ready_is_taken),
        cmocka_unit_test(test_default_is_taken_when_no_case_is_ready),
        cmocka_unit_test(test_a_nil_channel_is_never_ready),
        cmocka_unit_test(test_a_closed_channel_is_ready_and_says_so),
        cmocka_unit_test(test_all_ready_cases_are_equally_likely),
        cmocka_unit_test(test_select_waits_for_the_first_that_is_ready),
        cmocka_unit_test(test_of_two_sends_that_wait_one_is_carried_out),
        cmocka_unit_test(test_close_wakes_a_select),
        cmocka_unit_test(test_select_gives_up_at_the_deadline),
        cmocka_unit_test(test_a_select_does_not_meet_itself),
        cmocka_unit_test(test_two_selects_that_face_each_other_meet),
        cmocka_unit_test(test_a_timer_is_a_case_like_any_other),
        cmocka_unit_test(test_as_many_cases_as_allowed_may_wait),
        cmocka_unit_test(test_more_cases_than_allowed_end_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
