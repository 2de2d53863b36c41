/* SPDX-License-Identifier: MIT */
/*
 * CLIENT PAUSE: what it holds, for how long, and who is told of its end.
 */
#include "server/command/pause.h"

#include "common/clock.h"
#include "server/command/command.h"
#include "server/command/dispatch.h"
#include "server/command/parts.h"
#include "server/command/transaction.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define NOW (1000 * SECOND)

static struct pause *pause_;
static struct chan *loops[2];

static int set_up(void **state)
{
    (void)state;
    clock_set_manual(NOW);
    pause_ = pause_new();
    for (size_t i = 0; i < 2; i++) {
        loops[i] = chan_new(sizeof(struct task), CHAN_UNBOUNDED);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        chan_free(loops[i]);
    }
    pause_free(pause_);
    clock_set_real();
    return 0;
}

/* Is a command of this name with 'argc' words held? */
static bool holds(const char *name, size_t argc)
{
    struct transaction transaction = {.open = true, .writes = true};
    struct server server = {.pause = pause_};
    struct client client = {.server = &server, .transaction = &transaction};
    const struct request request = {
        .client = &client,
        .command = command_by_name(slice_from_string(name)),
        .argc = argc};

    return command_is_paused(&request);
}

static void test_nothing_is_held_without_a_pause(void **state)
{
    (void)state;

    assert_false(holds("set", 3));
    assert_false(holds("get", 2));
}

static void test_a_pause_of_writes_holds_writes_and_messages(void **state)
{
    (void)state;
    pause_begin(pause_, PAUSE_WRITES, NOW + SECOND);

    assert_true(holds("set", 3));
    assert_true(holds("del", 2));
    assert_true(holds("getex", 2));
    assert_true(holds("publish", 3));
    assert_true(holds("spublish", 3));
    assert_true(holds("exec", 1));
    assert_false(holds("get", 2));
    assert_false(holds("multi", 1));
    assert_false(holds("client|unpause", 2));
}

static void test_exec_is_held_for_what_it_would_write(void **state)
{
    (void)state;
    struct transaction transaction = {.open = true};
    struct server server = {.pause = pause_};
    struct client client = {.server = &server, .transaction = &transaction};
    const struct request exec = {.client = &client,
                                 .command = command_by_name(SLICE("exec")),
                                 .argc = 1};
    pause_begin(pause_, PAUSE_WRITES, NOW + SECOND);

    assert_false(command_is_paused(&exec));
    transaction.writes = true;
    assert_true(command_is_paused(&exec));
    client.transaction = NULL; /* It will be refused. */
    assert_false(command_is_paused(&exec));
}

static void test_a_pause_of_all_holds_whatever_would_run(void **state)
{
    (void)state;
    pause_begin(pause_, PAUSE_ALL, NOW + SECOND);

    assert_true(holds("get", 2));
    assert_true(holds("client|unpause", 2));
    assert_false(holds("get", 3));
    assert_false(holds("nosuch", 1));
}

static int64_t wait_on(size_t loop, void *arg)
{
    return pause_wait(pause_, chan_tx(loops[loop]), NULL, arg);
}

static void test_it_is_over_at_its_time(void **state)
{
    (void)state;
    pause_begin(pause_, PAUSE_ALL, NOW + SECOND);
    assert_int_equal(wait_on(0, loops), NOW + SECOND);
    clock_advance(SECOND);

    assert_int_equal(wait_on(0, loops), NOW + SECOND);

    assert_false(holds("get", 2));
}

static void test_of_two_the_later_end_and_the_stricter_kind_count(void **state)
{
    (void)state;
    pause_begin(pause_, PAUSE_WRITES, NOW + 9 * SECOND);
    pause_begin(pause_, PAUSE_ALL, NOW + SECOND);
    assert_true(holds("get", 2));
    assert_int_equal(wait_on(0, loops), NOW + 9 * SECOND);
    pause_begin(pause_, PAUSE_WRITES, NOW + 10 * SECOND);
    assert_true(holds("get", 2));

    clock_advance(10 * SECOND); /* What is over counts no more. */
    pause_begin(pause_, PAUSE_WRITES, NOW + 11 * SECOND);

    assert_false(holds("get", 2));
    assert_int_equal(wait_on(0, loops), NOW + 11 * SECOND);
}

static size_t n_tasks(struct chan *loop)
{
    struct task task;
    size_t n = 0;

    while (chan_try_recv(chan_rx(loop), &task) == ERR_OK) {
        n++;
    }
    return n;
}

static void test_its_end_is_told_once_to_each_loop_that_waits(void **state)
{
    (void)state;
    pause_begin(pause_, PAUSE_ALL, NOW + SECOND);
    (void)wait_on(0, &loops[0]);
    (void)wait_on(0, &loops[0]);
    (void)wait_on(1, &loops[1]);

    pause_end(pause_);

    assert_false(holds("get", 2));
    assert_int_equal(n_tasks(loops[0]), 1);
    assert_int_equal(n_tasks(loops[1]), 1);
    pause_end(pause_);
    assert_int_equal(n_tasks(loops[0]), 0);
}

static void test_who_comes_too_late_to_wait_need_not(void **state)
{
    (void)state;
    pause_begin(pause_, PAUSE_ALL, NOW + SECOND);
    pause_end(pause_);

    assert_true(wait_on(0, loops) <= NOW);

    pause_begin(pause_, PAUSE_ALL, NOW + SECOND);
    pause_end(pause_);
    assert_int_equal(n_tasks(loops[0]), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_held_without_a_pause),
        TEST(test_a_pause_of_writes_holds_writes_and_messages),
        TEST(test_exec_is_held_for_what_it_would_write),
        TEST(test_a_pause_of_all_holds_whatever_would_run),
        TEST(test_it_is_over_at_its_time),
        TEST(test_of_two_the_later_end_and_the_stricter_kind_count),
        TEST(test_its_end_is_told_once_to_each_loop_that_waits),
        TEST(test_who_comes_too_late_to_wait_need_not),
    };

    command_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
