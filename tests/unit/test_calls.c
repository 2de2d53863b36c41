/* SPDX-License-Identifier: MIT */
/* Counts of commands: summed over threads, and how they read in INFO. */
#include "server/command/calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/thread.h"
#include "common/waitgroup.h"

#define THREADS 4
#define ROUNDS 1000

static const struct command *get, *set;

static int set_up(void **state)
{
    (void)state;
    command_init();
    get = command_by_name(SLICE("get"));
    set = command_by_name(SLICE("set"));
    calls_reset();
    return 0;
}

static void assert_prints(void (*print)(struct buf *), const char *expected)
{
    struct buf text = {0};

    print(&text);
    assert_string_equal(buf_string(&text), expected);
    buf_destroy(&text);
}

static void print_latency(struct buf *out)
{
    calls_print_latency("50 99.9 100", out);
}

static void test_calls_add_up_by_command(void **state)
{
    (void)state;
    calls_ended(get, 3, false, true);
    calls_ended(get, 5, true, true);
    calls_ended(set, 7, false, false);
    calls_rejected(set);
    calls_rejected(set);

    assert_prints(calls_print, "cmdstat_get:calls=2,usec=8,usec_per_call=4.00,"
                               "rejected_calls=0,failed_calls=1\r\n"
                               "cmdstat_set:calls=1,usec=7,usec_per_call=7.00,"
                               "rejected_calls=2,failed_calls=0\r\n");
}

static void test_a_command_that_was_only_refused_is_shown(void **state)
{
    (void)state;
    calls_rejected(get);

    assert_prints(calls_print, "cmdstat_get:calls=0,usec=0,usec_per_call=0.00,"
                               "rejected_calls=1,failed_calls=0\r\n");
}

static void test_latency_is_kept_where_it_is_wanted(void **state)
{
    (void)state;
    for (int64_t us = 1; us <= 10; us++) {
        calls_ended(get, us, false, true);
    }
    calls_ended(set, 1, false, false);

    assert_prints(print_latency, "latency_percentiles_usec_get:p50=5.000,"
                                 "p99.9=10.000,p100=10.000\r\n");
}

static void test_errors_add_up_by_code(void **state)
{
    (void)state;
    calls_error("ERR", 1);
    calls_error("WRONGTYPE", 2);
    calls_error("ERR", 3);

    assert_prints(calls_print_errors, "errorstat_ERR:count=4\r\n"
                                      "errorstat_WRONGTYPE:count=2\r\n");
}

static void test_a_reset_begins_at_zero(void **state)
{
    (void)state;
    calls_ended(get, 100, true, true);
    calls_error("ERR", 1);

    calls_reset();
    assert_prints(calls_print, "");
    assert_prints(calls_print_errors, "");
    assert_prints(print_latency, "");

    calls_ended(get, 3, false, true);
    assert_prints(print_latency, "latency_percentiles_usec_get:p50=3.000,"
                                 "p99.9=3.000,p100=3.000\r\n");
}

struct gate {
    struct waitgroup counted;
    struct waitgroup open;
};

static void count_and_wait(void *arg)
{
    struct gate *gate = arg;

    for (int i = 0; i < ROUNDS; i++) {
        calls_ended(get, i % 8, false, true);
    }
    wg_done(&gate->counted);
    wg_wait(&gate->open);
}

static void assert_all_counted(void)
{
    struct calls_sum *sum = calls_sum();
    const struct call_counts n = calls_of(sum, get);

    assert_int_equal(n.calls, THREADS * ROUNDS);
    assert_int_equal(histogram_count(n.latency_us), THREADS * ROUNDS);
    assert_int_equal(histogram_count_to(n.latency_us, 3), THREADS * ROUNDS / 2);
    calls_sum_free(sum);
}

static void test_threads_count_while_they_run_and_when_they_ended(void **state)
{
    struct thread threads[THREADS];
    struct gate gate;

    (void)state;
    wg_init(&gate.counted);
    wg_init(&gate.open);
    wg_add(&gate.counted, THREADS);
    wg_add(&gate.open, 1);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(
            thread_start(&threads[i], "counter", count_and_wait, &gate),
            ERR_OK);
    }
    wg_wait(&gate.counted);
    assert_all_counted();

    wg_done(&gate.open);
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
    }
    assert_all_counted();
    wg_destroy(&gate.counted);
    wg_destroy(&gate.open);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_calls_add_up_by_command),
        TEST(test_a_command_that_was_only_refused_is_shown),
        TEST(test_latency_is_kept_where_it_is_wanted),
        TEST(test_errors_add_up_by_code),
        TEST(test_a_reset_begins_at_zero),
        TEST(test_threads_count_while_they_run_and_when_they_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
