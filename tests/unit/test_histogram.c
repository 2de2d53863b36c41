/* SPDX-License-Identifier: MIT */
/*
 * Histograms: how exact quantiles are, and that one thread may record while
 * another reads.
 */
#include "common/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/thread.h"
#include "common/waitgroup.h"

#define VALUES 5000
#define RECORDED 200000

static int make(void **state)
{
    *state = calloc(1, sizeof(struct histogram));
    return *state == NULL ? -1 : 0;
}

static int drop(void **state)
{
    free(*state);
    return 0;
}

/* 'estimate' is not too small, and too large by less than 1/16. */
static void assert_near(int64_t estimate, int64_t exact)
{
    assert_true(estimate >= exact);
    assert_true(estimate - exact <= exact / 16);
}

static void test_an_empty_one_answers_zero(void **state)
{
    const struct histogram *h = *state;

    assert_int_equal(histogram_count(h), 0);
    assert_int_equal(histogram_quantile(h, 0.5), 0);
    assert_int_equal(histogram_max(h), 0);
}

static void test_a_small_value_is_exact(void **state)
{
    struct histogram *h = *state;
    for (int64_t value = 0; value < 16; value++) {
        histogram_record(h, value);
    }

    assert_int_equal(histogram_quantile(h, 0), 0);
    assert_int_equal(histogram_quantile(h, 0.5), 7);
    assert_int_equal(histogram_quantile(h, 1), 15);
}

static void test_each_value_is_within_a_sixteenth(void **state)
{
    (void)state;
    const int64_t last = INT64_C(1) << 40;
    for (int64_t power = 1; power < last; power *= 2) {
        const int64_t values[] = {power, power + power / 3, power + power / 16,
                                  2 * power - 1};
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            struct histogram h = {0};
            histogram_record(&h, values[i]);
            histogram_record(&h, last); /* The maximum helps nobody else. */
            assert_near(histogram_quantile(&h, 0.5), values[i]);
        }
    }
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void test_quantiles_are_those_of_the_sorted_values(void **state)
{
    struct histogram *h = *state;
    int64_t values[VALUES];
    uint64_t seed = 1;
    for (size_t i = 0; i < VALUES; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        values[i] = (int64_t)(seed >> 33) >> (i % 25); /* A long tail. */
        histogram_record(h, values[i]);
    }
    qsort(values, VALUES, sizeof(values[0]), compare);

    assert_near(histogram_quantile(h, 0.5), values[VALUES / 2 - 1]);
    assert_near(histogram_quantile(h, 0.9), values[VALUES / 10 * 9 - 1]);
    assert_near(histogram_quantile(h, 0.99), values[VALUES / 100 * 99 - 1]);
    assert_near(histogram_quantile(h, 0.999), values[VALUES / 1000 * 999 - 1]);
    assert_int_equal(histogram_quantile(h, 1), values[VALUES - 1]);
}

static void test_the_maximum_is_exact_and_bounds_quantiles(void **state)
{
    struct histogram *h = *state;
    histogram_record(h, 1000001);

    assert_int_equal(histogram_max(h), 1000001);
    assert_int_equal(histogram_quantile(h, 0.99), 1000001);
}

static void test_values_beyond_the_range_still_count(void **state)
{
    struct histogram *h = *state;
    histogram_record(h, -5);
    histogram_record(h, INT64_MAX);

    assert_int_equal(histogram_count(h), 2);
    assert_int_equal(histogram_quantile(h, 0.5), 0);
    assert_int_equal(histogram_quantile(h, 1), INT64_MAX);
}

static void test_a_sum_has_the_values_of_both(void **state)
{
    struct histogram *h = *state;
    struct histogram other = {0};
    histogram_record(h, 3);
    histogram_record(&other, 9);
    histogram_record(&other, 9);

    histogram_add(h, &other);

    assert_int_equal(histogram_count(h), 3);
    assert_int_equal(histogram_quantile(h, 0.3), 3);
    assert_int_equal(histogram_quantile(h, 0.5), 9);
    assert_int_equal(histogram_max(h), 9);
}

static void test_what_is_subtracted_leaves_the_rest(void **state)
{
    struct histogram *h = *state;
    struct histogram old = {0};
    histogram_record(h, 1000000);
    histogram_add(&old, h);
    histogram_record(h, 500);

    histogram_subtract(h, &old);

    assert_int_equal(histogram_count(h), 1);
    assert_near(histogram_quantile(h, 0.99), 500);
    assert_near(histogram_max(h), 500);
}

static void test_nothing_remains_of_a_histogram_less_itself(void **state)
{
    struct histogram *h = *state;
    histogram_record(h, 77);

    histogram_subtract(h, h);

    assert_int_equal(histogram_count(h), 0);
    assert_int_equal(histogram_max(h), 0);
}

/* ---- one records, another reads ---- */

struct recorder {
    struct histogram *h;
    struct waitgroup done;
};

static void record(void *arg)
{
    struct recorder *r = arg;
    for (int64_t i = 1; i <= RECORDED; i++) {
        histogram_record(r->h, i);
    }
    wg_done(&r->done);
}

static void test_who_reads_meanwhile_sees_what_may_have_been(void **state)
{
    struct recorder r = {.h = *state};
    struct thread thread;
    uint64_t before = 0;
    wg_init(&r.done);
    wg_add(&r.done, 1);
    assert_int_equal(thread_start(&thread, "recorder", record, &r), ERR_OK);

    while (before < RECORDED) {
        struct histogram copy = {0};
        histogram_add(&copy, r.h);
        const uint64_t n = histogram_count(&copy);
        assert_true(n >= before && n <= RECORDED);
        /* Values come in ascending order: the n-th is n. */
        assert_true(histogram_max(&copy) >= (int64_t)n);
        assert_true(histogram_quantile(r.h, 0.5) <= histogram_max(r.h));
        before = n;
    }

    wg_wait(&r.done);
    thread_join(&thread);
    wg_destroy(&r.done);
    assert_near(histogram_quantile(r.h, 0.5), RECORDED / 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_one_answers_zero),
        TEST(test_a_small_value_is_exact),
        TEST(test_each_value_is_within_a_sixteenth),
        TEST(test_quantiles_are_those_of_the_sorted_values),
        TEST(test_the_maximum_is_exact_and_bounds_quantiles),
        TEST(test_values_beyond_the_range_still_count),
        TEST(test_a_sum_has_the_values_of_both),
        TEST(test_what_is_subtracted_leaves_the_rest),
        TEST(test_nothing_remains_of_a_histogram_less_itself),
        TEST(test_who_reads_meanwhile_sees_what_may_have_been),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
