/* SPDX-License-Identifier: MIT */
#include "server/lookup/freshness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000)

static const struct freshness_rules plain_rules = {
    .max_age_us = 60 * SECOND,
    .stale_us = 300 * SECOND,
    .error_us = 3600 * SECOND,
    .negative_us = 5 * SECOND,
    .age_bound_us = FRESHNESS_NO_BOUND,
    .stale_bound_us = FRESHNESS_NO_BOUND,
};

static const struct copy value_copy = {.kind = COPY_RECORD,
                                       .filled_us = 1000 * SECOND};
static const struct copy negative_copy = {.kind = COPY_NEGATIVE,
                                          .filled_us = 1000 * SECOND};

static enum freshness at(const struct freshness_rules *rules,
                         const struct copy *copy, int64_t age_us)
{
    return freshness_of(rules, copy, copy->filled_us + age_us);
}

static void test_a_copy_is_fresh_then_stale_then_old(void **state)
{
    (void)state;
    assert_int_equal(at(&plain_rules, &value_copy, 0), COPY_FRESH);
    assert_int_equal(at(&plain_rules, &value_copy, 60 * SECOND - 1),
                     COPY_FRESH);
    assert_int_equal(at(&plain_rules, &value_copy, 60 * SECOND), COPY_STALE);
    assert_int_equal(at(&plain_rules, &value_copy, 360 * SECOND - 1),
                     COPY_STALE);
    assert_int_equal(at(&plain_rules, &value_copy, 360 * SECOND), COPY_OLD);
}

static void test_a_negative_copy_is_fresh_then_old(void **state)
{
    (void)state;
    assert_int_equal(at(&plain_rules, &negative_copy, 5 * SECOND - 1),
                     COPY_FRESH);
    assert_int_equal(at(&plain_rules, &negative_copy, 5 * SECOND), COPY_OLD);
    assert_false(
        freshness_good_on_error(&plain_rules, &negative_copy, 1005 * SECOND));
}

static void test_a_copy_from_before_a_nameless_change_is_old(void **state)
{
    struct freshness_rules rules = plain_rules;
    struct copy dirty = value_copy;

    (void)state;
    dirty.dirty = true;
    rules.distrusted_us = value_copy.filled_us;
    assert_int_equal(at(&rules, &value_copy, 0), COPY_OLD);
    assert_int_equal(at(&rules, &negative_copy, 0), COPY_OLD);
    assert_int_equal(at(&rules, &dirty, 0), COPY_FRESH);
    /* A failed store is never shown as "not found". */
    assert_true(
        freshness_good_on_error(&rules, &value_copy, value_copy.filled_us));
    assert_false(freshness_good_on_error(&rules, &negative_copy,
                                         negative_copy.filled_us));

    rules.distrusted_us = value_copy.filled_us - 1;
    assert_int_equal(at(&rules, &value_copy, 0), COPY_FRESH);
    assert_int_equal(at(&rules, &negative_copy, 0), COPY_FRESH);
}

static void test_a_pinned_copy_never_ages(void **state)
{
    struct copy dirty = value_copy;
    struct copy memory = value_copy;

    (void)state;
    dirty.dirty = true;
    memory.memory_only = true;
    assert_int_equal(at(&plain_rules, &dirty, 1000000 * SECOND), COPY_FRESH);
    assert_int_equal(at(&plain_rules, &memory, 1000000 * SECOND), COPY_FRESH);
}

static void test_an_old_copy_is_good_on_error_up_to_its_window(void **state)
{
    (void)state;
    assert_true(freshness_good_on_error(&plain_rules, &value_copy,
                                        (1000 + 3660) * SECOND - 1));
    assert_false(freshness_good_on_error(&plain_rules, &value_copy,
                                         (1000 + 3660) * SECOND));
}

static void test_the_bounds_of_a_request_tighten(void **state)
{
    struct freshness_rules rules = plain_rules;

    (void)state;
    rules.age_bound_us = 10 * SECOND;
    rules.stale_bound_us = 20 * SECOND;
    assert_int_equal(at(&rules, &value_copy, 10 * SECOND - 1), COPY_FRESH);
    assert_int_equal(at(&rules, &value_copy, 10 * SECOND), COPY_STALE);
    assert_int_equal(at(&rules, &value_copy, 30 * SECOND), COPY_OLD);
    rules.age_bound_us = 0;
    rules.stale_bound_us = 0;
    assert_int_equal(at(&rules, &value_copy, 0), COPY_OLD);
}

static void test_the_bounds_of_a_request_never_loosen(void **state)
{
    struct freshness_rules rules = plain_rules;

    (void)state;
    rules.age_bound_us = 86400 * SECOND;
    rules.stale_bound_us = 86400 * SECOND;
    assert_int_equal(at(&rules, &value_copy, 60 * SECOND), COPY_STALE);
    assert_int_equal(at(&rules, &value_copy, 360 * SECOND), COPY_OLD);
}

/* The age at which 'copy' ceases to be fresh. */
static int64_t lifetime_of(const struct freshness_rules *rules,
                           const struct copy *copy)
{
    return freshness_left(rules, copy, copy->filled_us).fresh_us;
}

static void test_jitter_spreads_lifetimes_within_its_bounds(void **state)
{
    struct freshness_rules rules = plain_rules;
    struct copy copy = value_copy;
    int buckets[10] = {0};

    (void)state;
    rules.jitter = 100000; /* 10 % */
    for (uint64_t version = 1; version <= 10000; version++) {
        copy.version = version;
        const int64_t us = lifetime_of(&rules, &copy);
        assert_in_range(us, 54 * SECOND, 66 * SECOND);
        const int64_t bucket = (us - 54 * SECOND) * 10 / (12 * SECOND + 1);
        buckets[bucket]++;
    }
    for (size_t i = 0; i < 10; i++) {
        assert_in_range(buckets[i], 800, 1200); /* Evenly: 1000 each. */
    }
}

static void test_jitter_is_the_same_however_often_it_is_asked(void **state)
{
    struct freshness_rules rules = plain_rules;
    struct copy copy = value_copy;

    (void)state;
    rules.jitter = 100000;
    copy.version = 12345;
    assert_int_equal(lifetime_of(&rules, &copy), lifetime_of(&rules, &copy));
}

static void test_the_longest_ages_do_not_overflow(void **state)
{
    struct freshness_rules rules = plain_rules;
    struct copy copy = value_copy;

    (void)state;
    rules.max_age_us = 365 * 86400 * SECOND;
    rules.jitter = 1000000; /* 100 % */
    for (uint64_t version = 1; version <= 1000; version++) {
        copy.version = version;
        assert_in_range(lifetime_of(&rules, &copy), 0, 2 * rules.max_age_us);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_is_fresh_then_stale_then_old),
        cmocka_unit_test(test_a_negative_copy_is_fresh_then_old),
        cmocka_unit_test(test_a_copy_from_before_a_nameless_change_is_old),
        cmocka_unit_test(test_a_pinned_copy_never_ages),
        cmocka_unit_test(test_an_old_copy_is_good_on_error_up_to_its_window),
        cmocka_unit_test(test_the_bounds_of_a_request_tighten),
        cmocka_unit_test(test_the_bounds_of_a_request_never_loosen),
        cmocka_unit_test(test_jitter_spreads_lifetimes_within_its_bounds),
        cmocka_unit_test(test_jitter_is_the_same_however_often_it_is_asked),
        cmocka_unit_test(test_the_longest_ages_do_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
