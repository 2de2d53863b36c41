/* SPDX-License-Identifier: MIT */
/* Rates: what the counters did in the last second and a half. */
#include "server/admin/rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "server/admin/stats.h"

static int set_up(void **state)
{
    (void)state;
    clock_set_manual(0);
    stats_reset();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clock_set_real();
    return 0;
}

/* 'n' rounds of a tenth of a second with so many commands each. */
static void pass(int n, int64_t commands)
{
    for (int i = 0; i < n; i++) {
        stats_add(STATS_total_commands_processed, commands);
        stats_add(STATS_total_net_input_bytes, 10 * commands);
        clock_advance(RATES_EVERY_US);
        rates_sample();
    }
}

static void test_a_steady_rate_is_that_of_a_second(void **state)
{
    (void)state;
    pass(16, 7);

    assert_int_equal(rates_now().commands, 70);
    assert_int_equal(rates_now().input_bytes, 700);
    assert_int_equal(rates_now().output_bytes, 0);
}

static void test_what_was_before_is_forgotten(void **state)
{
    (void)state;
    pass(16, 1000);
    pass(16, 1);

    assert_int_equal(rates_now().commands, 10);
}

static void test_counters_set_to_zero_are_no_negative_rate(void **state)
{
    (void)state;
    pass(16, 1000);
    stats_reset();
    pass(1, 1);

    assert_int_equal(rates_now().commands, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_steady_rate_is_that_of_a_second),
        TEST(test_what_was_before_is_forgotten),
        TEST(test_counters_set_to_zero_are_no_negative_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
