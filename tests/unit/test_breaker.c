/* SPDX-License-Identifier: MIT */
/* When the breaker opens, probes, ramps up and closes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/store/breaker.h"

#define INTERVAL 500

static const struct breaker_rules rules = {
    .failures = 3, .interval_us = INTERVAL, .slots = 100};

static void failures(struct breaker *b, int n, int64_t now_us)
{
    for (int i = 0; i < n; i++) {
        breaker_failed(b, &rules, b->era, now_us);
    }
}

static void successes(struct breaker *b, int n, bool waiting)
{
    for (int i = 0; i < n; i++) {
        breaker_succeeded(b, &rules, b->era, waiting);
    }
}

static struct breaker opened(int64_t now_us)
{
    struct breaker b = {0};

    failures(&b, 3, now_us);
    assert_int_equal(b.state, BREAKER_OPEN);
    return b;
}

static struct breaker half_opened(void)
{
    struct breaker b = opened(0);

    assert_true(breaker_probe(&b, &rules, INTERVAL));
    successes(&b, 1, false);
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    return b;
}

static void test_failures_in_a_row_open_it(void **state)
{
    struct breaker b = {0};

    (void)state;
    failures(&b, 2, 0);
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_int_equal(breaker_slots(&b, &rules), 100);
    failures(&b, 1, 0);

    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(b.n_opened, 1);
    assert_int_equal(breaker_slots(&b, &rules), 0);
}

static void test_a_success_ends_the_row(void **state)
{
    struct breaker b = {0};

    (void)state;
    failures(&b, 2, 0);
    successes(&b, 1, false);
    failures(&b, 2, 0);

    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_without_a_number_it_never_opens(void **state)
{
    const struct breaker_rules never = {.failures = 0, .slots = 100};
    struct breaker b = {0};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        breaker_failed(&b, &never, b.era, 0);
    }

    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_switched_off_it_closes(void **state)
{
    const struct breaker_rules never = {.failures = 0, .slots = 100};
    struct breaker b = opened(0);

    (void)state;
    breaker_follow(&b, &rules);
    assert_int_equal(b.state, BREAKER_OPEN);
    breaker_follow(&b, &never);

    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_int_equal(breaker_slots(&b, &never), 100);
}

static void test_one_probe_goes_each_interval(void **state)
{
    struct breaker b = opened(1000);

    (void)state;
    assert_false(breaker_probe(&b, &rules, 1000));
    assert_false(breaker_probe(&b, &rules, 1000 + INTERVAL - 1));
    assert_true(breaker_probe(&b, &rules, 1000 + INTERVAL));
    assert_false(breaker_probe(&b, &rules, 1000 + INTERVAL));
    failures(&b, 1, 1000 + INTERVAL + 10);
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(b.n_opened, 1);
    assert_false(breaker_probe(&b, &rules, 1000 + 2 * INTERVAL - 1));
    assert_true(breaker_probe(&b, &rules, 1000 + 2 * INTERVAL));
}

static void test_only_an_open_breaker_probes(void **state)
{
    struct breaker b = {0};
    struct breaker half = half_opened();

    (void)state;
    assert_false(breaker_probe(&b, &rules, 1000000));
    assert_false(breaker_probe(&half, &rules, 1000000));
}

static void test_slots_double_with_each_round(void **state)
{
    static const size_t slots[] = {1, 2, 4, 8, 16, 32, 64};
    struct breaker b = half_opened();

    (void)state;
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        assert_int_equal(b.state, BREAKER_HALF_OPEN);
        assert_int_equal(breaker_slots(&b, &rules), slots[i]);
        successes(&b, (int)slots[i], true);
    }

    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_int_equal(breaker_slots(&b, &rules), 100);
}

static void test_where_nobody_waits_it_closes_earlier(void **state)
{
    struct breaker b = half_opened();

    (void)state;
    successes(&b, 1 + 2 + 4 + 8, false);
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    successes(&b, 16, false);

    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_a_failure_while_half_open_opens_it_again(void **state)
{
    struct breaker b = half_opened();

    (void)state;
    successes(&b, 5, true);
    failures(&b, 1, 10000);

    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(b.n_opened, 2);
    assert_false(breaker_probe(&b, &rules, 10000 + INTERVAL - 1));
    assert_true(breaker_probe(&b, &rules, 10000 + INTERVAL));
    successes(&b, 1, true);
    assert_int_equal(breaker_slots(&b, &rules), 1); /* From the start. */
}

static void test_results_of_an_earlier_era_say_nothing(void **state)
{
    struct breaker b = {0};
    const uint32_t before = b.era;

    (void)state;
    failures(&b, 3, 0);
    breaker_succeeded(&b, &rules, before, false);
    assert_int_equal(b.state, BREAKER_OPEN);

    const uint32_t probing = b.era;
    successes(&b, 1, false);
    breaker_failed(&b, &rules, probing, 0); /* Another probe, which hung. */
    breaker_failed(&b, &rules, before, 0);
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
}

static void test_closed_again_it_counts_from_the_start(void **state)
{
    struct breaker b = half_opened();

    (void)state;
    successes(&b, 31, false);
    assert_int_equal(b.state, BREAKER_CLOSED);
    failures(&b, 2, 0);

    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_half_open_never_has_more_slots_than_the_rules(void **state)
{
    const struct breaker_rules narrow = {
        .failures = 3, .interval_us = INTERVAL, .slots = 3};
    struct breaker b = half_opened();

    (void)state;
    breaker_succeeded(&b, &narrow, b.era, true);
    assert_int_equal(breaker_slots(&b, &narrow), 2);
    breaker_succeeded(&b, &narrow, b.era, true);
    breaker_succeeded(&b, &narrow, b.era, true);

    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_int_equal(breaker_slots(&b, &narrow), 3);
}

static void test_states_have_names(void **state)
{
    (void)state;
    assert_string_equal(breaker_name(BREAKER_CLOSED), "closed");
    assert_string_equal(breaker_name(BREAKER_OPEN), "open");
    assert_string_equal(breaker_name(BREAKER_HALF_OPEN), "half-open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_in_a_row_open_it),
        cmocka_unit_test(test_a_success_ends_the_row),
        cmocka_unit_test(test_without_a_number_it_never_opens),
        cmocka_unit_test(test_switched_off_it_closes),
        cmocka_unit_test(test_one_probe_goes_each_interval),
        cmocka_unit_test(test_only_an_open_breaker_probes),
        cmocka_unit_test(test_slots_double_with_each_round),
        cmocka_unit_test(test_where_nobody_waits_it_closes_earlier),
        cmocka_unit_test(test_a_failure_while_half_open_opens_it_again),
        cmocka_unit_test(test_results_of_an_earlier_era_say_nothing),
        cmocka_unit_test(test_closed_again_it_counts_from_the_start),
        cmocka_unit_test(test_half_open_never_has_more_slots_than_the_rules),
        cmocka_unit_test(test_states_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
