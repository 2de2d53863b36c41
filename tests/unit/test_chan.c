/* SPDX-License-Identifier: MIT */
/*
 * Channels: what Go promises of them, and the eventfd that Go has not.
 */
#include "common/chan.h"

#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/thread.h"
#include "common/waitgroup.h"
#include "tests/support/death.h"

static void send_int(struct chan *c, int value)
{
    assert_int_equal(chan_send(chan_tx(c), &value), ERR_OK);
}

static void assert_receives(struct chan *c, int expected)
{
    int value = -1;

    assert_int_equal(chan_try_recv(chan_rx(c), &value), ERR_OK);
    assert_int_equal(value, expected);
}

static void assert_nothing_to_receive(struct chan *c, enum err why)
{
    int value = -1;

    assert_int_equal(chan_try_recv(chan_rx(c), &value), why);
    assert_int_equal(value, -1);
}

static void start(struct thread *t, thread_fn *fn, void *arg)
{
    assert_int_equal(thread_start(t, "test", fn, arg), ERR_OK);
}

static bool is_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

/* Waits, by the eventfd, until there is something to receive: on an unbuffered
 * channel, until a sender waits. */
static void await_news(struct chan *c)
{
    struct pollfd poll_fd = {.fd = chan_event_fd(chan_rx(c)), .events = POLLIN};

    assert_int_equal(poll(&poll_fd, 1, -1), 1);
}

/* ---- buffered ---- */

static void test_values_come_out_in_the_order_sent(void **state)
{
    struct chan *const c = chan_new(sizeof(int), 3);
    int value = 4;
    (void)state;

    for (int i = 1; i <= 3; i++) {
        send_int(c, i);
    }
    assert_int_equal(chan_len(chan_rx(c)), 3);
    assert_int_equal(chan_try_send(chan_tx(c), &value), ERR_FULL);

    for (int i = 1; i <= 3; i++) {
        assert_receives(c, i);
    }
    assert_int_equal(chan_len(chan_rx(c)), 0);
    assert_nothing_to_receive(c, ERR_EMPTY);
    chan_free(c);
}

static void test_an_unbounded_channel_takes_everything(void **state)
{
    struct chan *const c = chan_new(sizeof(int), CHAN_UNBOUNDED);
    int sent = 0;
    int received = 0;
    (void)state;

    /* Two in, one out: the ring wraps wherever it grows. */
    while (sent < 100000) {
        send_int(c, sent++);
        send_int(c, sent++);
        assert_receives(c, received++);
    }
    while (received < sent) {
        assert_receives(c, received++);
    }

    assert_nothing_to_receive(c, ERR_EMPTY);
    chan_free(c);
}

static void test_values_may_have_any_size(void **state)
{
    static const size_t sizes[] = {0, 1, 3, 8, 17, 5000};
    unsigned char in[5000];
    unsigned char out[5000];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct chan *const c = chan_new(sizes[i], 40);

        for (int n = 0; n < 40; n++) {
            memset(in, n, sizeof(in));
            assert_int_equal(chan_try_send(chan_tx(c), in), ERR_OK);
        }
        for (int n = 0; n < 40; n++) {
            memset(in, n, sizeof(in));
            memset(out, 0xFF, sizeof(out));
            assert_int_equal(chan_try_recv(chan_rx(c), out), ERR_OK);
            assert_memory_equal(in, out, sizes[i]);
        }
        chan_free(c);
    }
}

/* A producer of 'n' values that counts the sends that have returned. */
struct producer {
    struct chan *chan;
    int n;
    _Atomic int n_sent;
};

static void produce(void *arg)
{
    struct producer *const p = arg;

    for (int i = 0; i < p->n; i++) {
        if (chan_send(chan_tx(p->chan), &i) != ERR_OK) {
            return;
        }
        p->n_sent++;
    }
    chan_close(chan_tx(p->chan));
}

/* However the threads run, a sender is never further ahead than 'capacity'. */
static void assert_send_waits(size_t capacity)
{
    struct producer p = {.chan = chan_new(sizeof(int), capacity), .n = 2000};
    struct thread thread;
    int value;
    int n_received = 0;

    start(&thread, produce, &p);
    for (;;) {
        assert_true(p.n_sent <= n_received + (int)capacity);
        if (!chan_recv(chan_rx(p.chan), &value)) {
            break;
        }
        assert_int_equal(value, n_received);
        n_received++;
    }
    thread_join(&thread);

    assert_int_equal(n_received, p.n);
    chan_free(p.chan);
}

static void test_a_send_on_a_full_channel_waits_for_room(void **state)
{
    (void)state;

    assert_send_waits(1);
    assert_send_waits(5);
}

/* ---- unbuffered ---- */

static void test_an_unbuffered_send_waits_for_its_receiver(void **state)
{
    struct producer p = {.chan = chan_new(sizeof(int), 0), .n = 1};
    struct thread thread;
    int value;
    (void)state;

    start(&thread, produce, &p);
    await_news(p.chan);
    assert_int_equal(p.n_sent, 0);
    assert_int_equal(chan_len(chan_rx(p.chan)), 0);

    assert_true(chan_recv(chan_rx(p.chan), &value));
    thread_join(&thread);
    assert_int_equal(p.n_sent, 1);
    chan_free(p.chan);

    assert_send_waits(0);
}

static void receive_one(void *arg)
{
    struct chan *const c = arg;
    int value;

    (void)!chan_recv(chan_rx(c), &value);
}

static void test_try_send_unbuffered_needs_a_waiting_receiver(void **state)
{
    struct chan *const c = chan_new(sizeof(int), 0);
    struct thread thread;
    const int value = 1;
    (void)state;

    assert_int_equal(chan_try_send(chan_tx(c), &value), ERR_FULL);

    start(&thread, receive_one, c);
    while (chan_try_send(chan_tx(c), &value) == ERR_FULL) {
        (void)sched_yield(); /* It is not waiting yet. */
    }
    thread_join(&thread);
    assert_int_equal(chan_try_send(chan_tx(c), &value), ERR_FULL);
    chan_free(c);
}

/* ---- close ---- */

static void test_send_on_a_closed_channel_is_an_error(void **state)
{
    static const size_t capacities[] = {0, 1, CHAN_UNBOUNDED};
    const int value = 1;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(capacities); i++) {
        struct chan *const c = chan_new(sizeof(int), capacities[i]);

        chan_close(chan_tx(c));
        assert_int_equal(chan_send(chan_tx(c), &value), ERR_CLOSED);
        assert_int_equal(chan_try_send(chan_tx(c), &value), ERR_CLOSED);
        chan_free(c);
    }
}

static void test_a_closed_channel_drains_and_then_says_so(void **state)
{
    struct chan *const c = chan_new(sizeof(int), 2);
    int value = -1;
    (void)state;

    send_int(c, 1);
    send_int(c, 2);
    chan_close(chan_tx(c));

    assert_receives(c, 1);
    assert_true(chan_recv(chan_rx(c), &value));
    assert_int_equal(value, 2);
    assert_nothing_to_receive(c, ERR_CLOSED);
    assert_false(chan_recv(chan_rx(c), &value));
    assert_int_equal(chan_recv_until(chan_rx(c), &value, 0), ERR_CLOSED);
    assert_int_equal(value, 2);
    chan_free(c);
}

static void test_range_ends_on_close(void **state)
{
    struct producer p = {.chan = chan_new(sizeof(int), 4), .n = 1000};
    struct thread thread;
    int value;
    int sum = 0;
    (void)state;

    start(&thread, produce, &p);
    while (chan_recv(chan_rx(p.chan), &value)) {
        sum += value;
    }
    thread_join(&thread);

    assert_int_equal(sum, 999 * 1000 / 2);
    chan_free(p.chan);
}

/* What a receiver got: nothing, if the channel was closed. */
struct receipt {
    struct chan *chan;
    bool received;
    int value;
};

static void receive(void *arg)
{
    struct receipt *const r = arg;

    r->received = chan_recv(chan_rx(r->chan), &r->value);
}

static void test_close_wakes_every_receiver(void **state)
{
    struct chan *const c = chan_new(sizeof(int), 0);
    struct receipt receipts[4];
    struct thread threads[4];
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        receipts[i] = (struct receipt){.chan = c, .value = 42};
        start(&threads[i], receive, &receipts[i]);
    }
    /* One value goes to somebody, so that at least one was waiting. */
    send_int(c, 7);
    chan_close(chan_tx(c));

    int n_received = 0;
    for (size_t i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        n_received += receipts[i].received;
        assert_int_equal(receipts[i].value, receipts[i].received ? 7 : 42);
    }
    assert_int_equal(n_received, 1);
    chan_free(c);
}

static void send_refused(void *arg)
{
    struct producer *const p = arg;
    const int value = 1;

    if (chan_send(chan_tx(p->chan), &value) != ERR_CLOSED) {
        p->n_sent++;
    }
}

static void test_close_wakes_a_waiting_sender_with_an_error(void **state)
{
    struct producer p = {.chan = chan_new(sizeof(int), 0)};
    struct thread thread;
    (void)state;

    start(&thread, send_refused, &p);
    await_news(p.chan);
    chan_close(chan_tx(p.chan));
    thread_join(&thread);

    assert_int_equal(p.n_sent, 0);
    assert_nothing_to_receive(p.chan, ERR_CLOSED);
    chan_free(p.chan);
}

static void close_twice(void)
{
    struct chan *const c = chan_new(sizeof(int), 0);

    chan_close(chan_tx(c));
    chan_close(chan_tx(c));
}

static void free_under_a_sender(void)
{
    struct producer p = {.chan = chan_new(sizeof(int), 0), .n = 1};
    struct thread thread;

    if (thread_start(&thread, "sender", produce, &p) == ERR_OK) {
        await_news(p.chan);
        chan_free(p.chan);
    }
}

static void test_misuse_ends_the_program(void **state)
{
    (void)state;

    ASSERT_ABORTS(close_twice, "chan: closed twice");
    ASSERT_ABORTS(free_under_a_sender, "chan: freed while a thread waits");
}

/* ---- deadlines ---- */

static void test_receiving_gives_up_at_the_deadline(void **state)
{
    struct chan *const c = chan_new(sizeof(int), 0);
    const int64_t deadline_us = clock_real_us() + 2000;
    const int sent = 1;
    int value = -1;
    (void)state;

    assert_int_equal(chan_recv_until(chan_rx(c), &value, 0), ERR_TIMEOUT);
    assert_int_equal(chan_recv_until(chan_rx(c), &value, deadline_us),
                     ERR_TIMEOUT);
    assert_true(clock_real_us() >= deadline_us);
    assert_int_equal(value, -1);

    /* Nothing of it is left behind for a sender to meet. */
    assert_int_equal(chan_try_send(chan_tx(c), &sent), ERR_FULL);
    chan_free(c);
}

static void test_receiving_before_the_deadline_gets_the_value(void **state)
{
    struct producer p = {.chan = chan_new(sizeof(int), 0), .n = 1};
    struct thread thread;
    int value = -1;
    (void)state;

    start(&thread, produce, &p);
    assert_int_equal(
        chan_recv_until(chan_rx(p.chan), &value, SELECT_FOREVER - 1), ERR_OK);
    thread_join(&thread);

    assert_int_equal(value, 0);
    chan_free(p.chan);
}

/* ---- the eventfd ---- */

/* How often it was written since it was last read. */
static unsigned long count_of(int event_fd)
{
    char path[64];
    char line[128];
    unsigned long count = 999;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", event_fd);
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        (void)sscanf(line, "eventfd-count: %lx", &count);
    }
    (void)fclose(file);
    return count;
}

static void test_the_eventfd_says_when_there_is_a_value(void **state)
{
    struct chan *const c = chan_new(sizeof(int), CHAN_UNBOUNDED);
    const int fd = chan_event_fd(chan_rx(c));
    (void)state;

    assert_true(fd >= 0);
    assert_int_equal(chan_event_fd(chan_rx(c)), fd);
    for (int round = 0; round < 3; round++) {
        assert_false(is_readable(fd));
        send_int(c, 1);
        assert_true(is_readable(fd));
        send_int(c, 2);
        assert_receives(c, 1);
        assert_true(is_readable(fd));
        assert_receives(c, 2);
        assert_nothing_to_receive(c, ERR_EMPTY);
    }
    assert_false(is_readable(fd));
    chan_free(c);
}

static void test_a_burst_costs_one_write(void **state)
{
    struct chan *const c = chan_new(sizeof(int), CHAN_UNBOUNDED);
    const int fd = chan_event_fd(chan_rx(c));
    (void)state;

    for (int i = 0; i < 1000; i++) {
        send_int(c, i);
    }
    assert_int_equal(count_of(fd), 1);

    for (int i = 0; i < 1000; i++) {
        assert_receives(c, i);
    }
    assert_nothing_to_receive(c, ERR_EMPTY);
    assert_int_equal(count_of(fd), 0);
    chan_free(c);
}

static void test_the_eventfd_stays_readable_once_closed(void **state)
{
    struct chan *const c = chan_new(sizeof(int), 1);
    const int fd = chan_event_fd(chan_rx(c));
    (void)state;

    send_int(c, 1);
    chan_close(chan_tx(c));
    assert_true(is_readable(fd));
    assert_receives(c, 1);
    assert_nothing_to_receive(c, ERR_CLOSED);
    assert_nothing_to_receive(c, ERR_CLOSED);

    assert_true(is_readable(fd));
    chan_free(c);
}

static void test_closing_an_empty_channel_makes_it_readable(void **state)
{
    struct chan *const c = chan_new(sizeof(int), 1);
    const int fd = chan_event_fd(chan_rx(c));
    (void)state;

    assert_false(is_readable(fd));
    chan_close(chan_tx(c));

    assert_true(is_readable(fd));
    chan_free(c);
}

static void test_an_eventfd_made_late_knows_what_is_there(void **state)
{
    struct chan *const c = chan_new(sizeof(int), 1);
    (void)state;

    send_int(c, 1);
    assert_true(is_readable(chan_event_fd(chan_rx(c))));
    assert_receives(c, 1);
    assert_nothing_to_receive(c, ERR_EMPTY);

    assert_false(is_readable(chan_event_fd(chan_rx(c))));
    chan_free(c);
}

static void test_without_a_descriptor_the_channel_works_on(void **state)
{
    struct chan *const c = chan_new(sizeof(int), 1);
    struct rlimit limit;
    (void)state;

    send_int(c, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(chan_event_fd(chan_rx(c)), -1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

    assert_receives(c, 1);
    assert_nothing_to_receive(c, ERR_EMPTY);
    assert_false(is_readable(chan_event_fd(chan_rx(c))));
    send_int(c, 2);
    assert_true(is_readable(chan_event_fd(chan_rx(c))));
    chan_free(c);
}

static void test_an_unbuffered_eventfd_says_that_a_sender_waits(void **state)
{
    struct producer p = {.chan = chan_new(sizeof(int), 0), .n = 1};
    const int fd = chan_event_fd(chan_rx(p.chan));
    struct thread thread;
    (void)state;

    assert_false(is_readable(fd));
    start(&thread, produce, &p);
    await_news(p.chan);
    assert_receives(p.chan, 0);
    thread_join(&thread); /* It has closed the channel. */

    assert_true(is_readable(fd));
    chan_free(p.chan);
}

/* ---- many on both sides ---- */

#define SENDERS 3
#define RECEIVERS 3
#define VALUES 3000 /* Of each sender. */

struct market {
    struct chan *chan;
    struct waitgroup senders;
    _Atomic int n_seen[SENDERS * VALUES];
    _Atomic int next_base;
};

static void sell(void *arg)
{
    struct market *const m = arg;
    const int base = atomic_fetch_add(&m->next_base, VALUES);

    for (int i = 0; i < VALUES; i++) {
        const int value = base + i;

        if (chan_send(chan_tx(m->chan), &value) != ERR_OK) {
            return;
        }
    }
}

static void buy(void *arg)
{
    struct market *const m = arg;
    int value;

    while (chan_recv(chan_rx(m->chan), &value)) {
        m->n_seen[value]++;
    }
}

static void assert_each_value_arrives_once(size_t capacity)
{
    static struct market m;
    struct waitgroup receivers;

    m = (struct market){.chan = chan_new(sizeof(int), capacity)};
    wg_init(&m.senders);
    wg_init(&receivers);
    for (int i = 0; i < RECEIVERS; i++) {
        assert_int_equal(wg_go(&receivers, "buy", buy, &m), ERR_OK);
    }
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(wg_go(&m.senders, "sell", sell, &m), ERR_OK);
    }
    wg_wait(&m.senders);
    chan_close(chan_tx(m.chan));
    wg_wait(&receivers);

    for (size_t i = 0; i < ARRAY_LEN(m.n_seen); i++) {
        assert_int_equal(m.n_seen[i], 1);
    }
    wg_destroy(&receivers);
    wg_destroy(&m.senders);
    chan_free(m.chan);
}

static void test_each_value_arrives_once(void **state)
{
    (void)state;

    assert_each_value_arrives_once(0);
    assert_each_value_arrives_once(1);
    assert_each_value_arrives_once(7);
    assert_each_value_arrives_once(CHAN_UNBOUNDED);
}

/* An event loop: polls, drains to ERR_EMPTY, polls again. */
static void assert_a_loop_misses_nothing(size_t capacity)
{
    static struct market m;
    enum err err = ERR_OK;
    int value;

    m = (struct market){.chan = chan_new(sizeof(int), capacity)};
    wg_init(&m.senders);
    const int fd = chan_event_fd(chan_rx(m.chan));
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(wg_go(&m.senders, "sell", sell, &m), ERR_OK);
    }
    for (int n_received = 0; n_received < SENDERS * VALUES;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

        assert_int_equal(poll(&poll_fd, 1, -1), 1);
        while ((err = chan_try_recv(chan_rx(m.chan), &value)) == ERR_OK) {
            assert_int_equal(m.n_seen[value]++, 0);
            n_received++;
        }
        assert_int_equal(err, ERR_EMPTY);
    }
    wg_wait(&m.senders);

    assert_nothing_to_receive(m.chan, ERR_EMPTY);
    assert_false(is_readable(fd));
    wg_destroy(&m.senders);
    chan_free(m.chan);
}

static void test_an_event_loop_misses_nothing(void **state)
{
    (void)state;

    assert_a_loop_misses_nothing(0);
    assert_a_loop_misses_nothing(2);
    assert_a_loop_misses_nothing(CHAN_UNBOUNDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_out_in_the_order_sent),
        cmocka_unit_test(test_an_unbounded_channel_takes_everything),
        cmocka_unit_test(test_values_may_have_any_size),
        cmocka_unit_test(test_a_send_on_a_full_channel_waits_for_room),
        cmocka_unit_test(test_an_unbuffered_send_waits_for_its_receiver),
        cmocka_unit_test(test_try_send_unbuffered_needs_a_waiting_receiver),
        cmocka_unit_test(test_send_on_a_closed_channel_is_an_error),
        cmocka_unit_test(test_a_closed_channel_drains_and_then_says_so),
        cmocka_unit_test(test_range_ends_on_close),
        cmocka_unit_test(test_close_wakes_every_receiver),
        cmocka_unit_test(test_close_wakes_a_waiting_sender_with_an_error),
        cmocka_unit_test(test_misuse_ends_the_program),
        cmocka_unit_test(test_receiving_gives_up_at_the_deadline),
        cmocka_unit_test(test_receiving_before_the_deadline_gets_the_value),
        cmocka_unit_test(test_the_eventfd_says_when_there_is_a_value),
        cmocka_unit_test(test_a_burst_costs_one_write),
        cmocka_unit_test(test_the_eventfd_stays_readable_once_closed),
        cmocka_unit_test(test_closing_an_empty_channel_makes_it_readable),
        cmocka_unit_test(test_an_eventfd_made_late_knows_what_is_there),
        cmocka_unit_test(test_without_a_descriptor_the_channel_works_on),
        cmocka_unit_test(test_an_unbuffered_eventfd_says_that_a_sender_waits),
        cmocka_unit_test(test_each_value_arrives_once),
        cmocka_unit_test(test_an_event_loop_misses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
