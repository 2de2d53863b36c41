/* SPDX-License-Identifier: MIT */
/* What becomes of a read in a database that is played slow or failing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/store/simulate.h"

#define DRAWS 20000

static void test_no_rules_change_nothing(void **state)
{
    const struct simulate_rules none = {0};
    _Atomic uint64_t dice = 1;

    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const struct simulate_fate fate =
            simulate_decide(&none, simulate_draw(&dice));

        assert_int_equal(fate.delay_us, 0);
        assert_false(fate.fail);
    }
}

static void test_the_delay_stays_within_the_jitter(void **state)
{
    const struct simulate_rules rules = {.delay_us = 1000, .jitter_us = 100};
    int64_t least = INT64_MAX;
    int64_t most = 0;
    _Atomic uint64_t dice = 2;

    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const int64_t delay_us =
            simulate_decide(&rules, simulate_draw(&dice)).delay_us;
        least = delay_us < least ? delay_us : least;
        most = delay_us > most ? delay_us : most;
    }

    assert_in_range(least, 900, 905); /* It uses its range, too. */
    assert_in_range(most, 1095, 1100);
    assert_int_equal(simulate_decide(&rules, 0).delay_us, 900);
    assert_int_equal(simulate_decide(&rules, UINT64_MAX).delay_us, 1100);
}

static void test_a_delay_is_never_negative(void **state)
{
    const struct simulate_rules rules = {.delay_us = 10, .jitter_us = 1000};

    (void)state;
    assert_int_equal(simulate_decide(&rules, 0).delay_us, 0);
}

static void test_the_largest_delay_does_not_overflow(void **state)
{
    const int64_t day_us = INT64_C(86400) * 1000000;
    const struct simulate_rules rules = {.delay_us = day_us,
                                         .jitter_us = day_us};

    (void)state;
    assert_int_equal(simulate_decide(&rules, 0).delay_us, 0);
    assert_int_equal(simulate_decide(&rules, UINT32_MAX).delay_us, 2 * day_us);
}

static void test_the_error_rate_is_kept(void **state)
{
    const struct simulate_rules rules = {.error_rate = 100000}; /* 10 %. */
    int n_failed = 0;
    _Atomic uint64_t dice = 3;

    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        n_failed += simulate_decide(&rules, simulate_draw(&dice)).fail ? 1 : 0;
    }

    /* 2000 expected, with a deviation of 42. */
    assert_in_range(n_failed, 1800, 2200);
}

static void test_rates_of_all_and_none_are_exact(void **state)
{
    const struct simulate_rules all = {.error_rate = 1000000};
    const struct simulate_rules none = {.error_rate = 0};

    (void)state;
    assert_true(simulate_decide(&all, 0).fail);
    assert_true(simulate_decide(&all, UINT64_MAX).fail);
    assert_false(simulate_decide(&none, 0).fail);
}

static void test_the_tail_is_slower_and_as_rare_as_asked(void **state)
{
    const struct simulate_rules rules = {
        .delay_us = 100, .tail_rate = 10000, .tail_factor = 10}; /* 1 %. */
    int n_slow = 0;
    _Atomic uint64_t dice = 4;

    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const int64_t delay_us =
            simulate_decide(&rules, simulate_draw(&dice)).delay_us;

        assert_true(delay_us == 100 || delay_us == 1000);
        n_slow += delay_us == 1000 ? 1 : 0;
    }

    /* 200 expected, with a deviation of 14. */
    assert_in_range(n_slow, 130, 270);
}

static void test_the_tail_is_independent_of_failures(void **state)
{
    const struct simulate_rules rules = {.delay_us = 100,
                                         .tail_rate = 500000,
                                         .tail_factor = 2,
                                         .error_rate = 500000};
    int n_both = 0;
    _Atomic uint64_t dice = 5;

    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const struct simulate_fate fate =
            simulate_decide(&rules, simulate_draw(&dice));
        n_both += fate.fail && fate.delay_us == 200 ? 1 : 0;
    }

    /* A quarter, 5000, with a deviation of 61. */
    assert_in_range(n_both, 4700, 5300);
}

static void test_an_outage_begins_and_ends_on_time(void **state)
{
    const struct simulate_outage outage = simulate_plan(1000, 50, 200);

    (void)state;
    assert_false(simulate_is_down(&outage, 1049));
    assert_true(simulate_is_down(&outage, 1050));
    assert_true(simulate_is_down(&outage, 1249));
    assert_false(simulate_is_down(&outage, 1250));
}

static void test_an_outage_of_no_length_never_is(void **state)
{
    const struct simulate_outage outage = simulate_plan(1000, 0, 0);

    (void)state;
    assert_false(simulate_is_down(&outage, 1000));
    assert_false(simulate_is_down(&(struct simulate_outage){0}, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_rules_change_nothing),
        cmocka_unit_test(test_the_delay_stays_within_the_jitter),
        cmocka_unit_test(test_a_delay_is_never_negative),
        cmocka_unit_test(test_the_largest_delay_does_not_overflow),
        cmocka_unit_test(test_the_error_rate_is_kept),
        cmocka_unit_test(test_rates_of_all_and_none_are_exact),
        cmocka_unit_test(test_the_tail_is_slower_and_as_rare_as_asked),
        cmocka_unit_test(test_the_tail_is_independent_of_failures),
        cmocka_unit_test(test_an_outage_begins_and_ends_on_time),
        cmocka_unit_test(test_an_outage_of_no_length_never_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
