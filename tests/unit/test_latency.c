/* SPDX-License-Identifier: MIT */
/* The latency monitor: which samples are kept, and for how long. */
#include "server/admin/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"

#define SECOND_US INT64_C(1000000)

static int set_up(void **state)
{
    (void)state;
    clock_set_manual(0);
    latency_set_threshold(10);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (enum latency_event e = 0; e < LATENCY_COUNT; e++) {
        (void)latency_reset(e);
    }
    latency_set_threshold(0);
    clock_set_real();
    return 0;
}

static struct latency_history history(void)
{
    struct latency_history h = {0};

    const bool any = latency_get(LATENCY_command, &h);
    assert_int_equal(any, h.n > 0);
    return h;
}

static void test_only_what_takes_too_long_is_kept(void **state)
{
    (void)state;
    latency_note(LATENCY_command, 9999);
    assert_int_equal(history().n, 0);

    latency_note(LATENCY_command, 10000);
    assert_int_equal(history().n, 1);
    assert_int_equal(history().samples[0].took_ms, 10);
    assert_int_equal(history().samples[0].at_s, clock_wall_ms() / 1000);
}

static void test_a_threshold_of_zero_keeps_nothing(void **state)
{
    (void)state;
    latency_set_threshold(0);

    latency_note(LATENCY_command, INT64_MAX - 1);

    assert_int_equal(history().n, 0);
}

static void test_a_second_has_one_sample_the_longest(void **state)
{
    (void)state;
    latency_note(LATENCY_command, 20000);
    latency_note(LATENCY_command, 50000);
    latency_note(LATENCY_command, 30000);
    clock_advance(SECOND_US);
    latency_note(LATENCY_command, 11000);

    const struct latency_history h = history();
    assert_int_equal(h.n, 2);
    assert_int_equal(h.samples[0].took_ms, 50);
    assert_int_equal(h.samples[1].took_ms, 11);
    assert_int_equal(h.max_ms, 50);
}

static void test_the_oldest_samples_go_and_the_maximum_stays(void **state)
{
    (void)state;
    latency_note(LATENCY_command, 999000);
    for (int i = 1; i <= LATENCY_SAMPLES; i++) {
        clock_advance(SECOND_US);
        latency_note(LATENCY_command, 1000 * (INT64_C(100) + i));
    }

    const struct latency_history h = history();
    assert_int_equal(h.n, LATENCY_SAMPLES);
    assert_int_equal(h.samples[0].took_ms, 101);
    assert_int_equal(h.samples[LATENCY_SAMPLES - 1].took_ms,
                     100 + LATENCY_SAMPLES);
    assert_int_equal(h.max_ms, 999);
}

static void test_events_are_apart_and_reset_one_by_one(void **state)
{
    struct latency_history h;

    (void)state;
    latency_note(LATENCY_command, 20000);
    latency_note(LATENCY_store_read, 30000);

    assert_true(latency_reset(LATENCY_command));
    assert_false(latency_reset(LATENCY_command));
    assert_false(latency_get(LATENCY_command, &h));
    assert_true(latency_get(LATENCY_store_read, &h));
    assert_int_equal(h.max_ms, 30);
}

static void test_events_are_found_by_name_in_any_case(void **state)
{
    (void)state;
    for (enum latency_event e = 0; e < LATENCY_COUNT; e++) {
        const char *name = latency_rows[e].name;
        assert_int_equal(latency_find(name, strlen(name)), e);
    }
    assert_int_equal(latency_find("Fast-Command", 12), LATENCY_fast_command);
    assert_int_equal(latency_find("fast", 4), LATENCY_COUNT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_only_what_takes_too_long_is_kept),
        TEST(test_a_threshold_of_zero_keeps_nothing),
        TEST(test_a_second_has_one_sample_the_longest),
        TEST(test_the_oldest_samples_go_and_the_maximum_stays),
        TEST(test_events_are_apart_and_reset_one_by_one),
        TEST(test_events_are_found_by_name_in_any_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
