/* SPDX-License-Identifier: MIT */
/*
 * Outcomes: that they add up, over tables and threads, and begin at zero
 * again after a reset.
 */
#include "server/admin/outcomes.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/thread.h"
#include "common/waitgroup.h"
#include "server/admin/stats.h"

#define THREADS 4
#define ROUNDS 10000

static int reset(void **state)
{
    (void)state;
    stats_reset();
    return 0;
}

static void assert_printed(struct buf *out, const char *line)
{
    if (strstr(buf_string(out), line) == NULL) {
        fail_msg("no \"%s\" in\n%s", line, buf_string(out));
    }
}

static void test_the_outcomes_sum_to_the_lookups(void **state)
{
    (void)state;
    for (enum outcome o = 0; o < OUTCOME_COUNT; o++) {
        for (int table = OUTCOMES_PLAIN; table <= (int)o; table++) {
            outcomes_count(o, table, 10);
        }
    }
    int64_t sum = 0;
    for (enum outcome o = 0; o < OUTCOME_COUNT; o++) {
        assert_int_equal(outcomes_sum(o), o + 2);
        sum += outcomes_sum(o);
    }

    assert_int_equal(outcomes_total(), sum);
}

static void test_each_table_is_counted_apart(void **state)
{
    (void)state;
    outcomes_count(OUTCOME_miss, OUTCOMES_PLAIN, 10);
    outcomes_count(OUTCOME_miss, 0, 10);
    outcomes_count(OUTCOME_miss, 0, 10);
    outcomes_count(OUTCOME_miss, OUTCOMES_TABLES_MAX - 1, 10);

    assert_int_equal(outcomes_table_sum(OUTCOME_miss, OUTCOMES_PLAIN), 1);
    assert_int_equal(outcomes_table_sum(OUTCOME_miss, 0), 2);
    assert_int_equal(outcomes_table_sum(OUTCOME_miss, 1), 0);
    assert_int_equal(outcomes_table_sum(OUTCOME_miss, OUTCOMES_TABLES_MAX - 1),
                     1);
}

static void test_a_table_too_many_counts_overall(void **state)
{
    (void)state;
    outcomes_count(OUTCOME_joined, OUTCOMES_TABLES_MAX, 10);
    outcomes_count(OUTCOME_joined, 100000, 10);

    assert_int_equal(outcomes_sum(OUTCOME_joined), 2);
    assert_int_equal(
        outcomes_table_sum(OUTCOME_joined, OUTCOMES_TABLES_MAX - 1), 0);
}

/* ---- threads ---- */

/* Two waits: the threads have counted; they may end. */
struct gate {
    struct waitgroup counted;
    struct waitgroup open;
};

static void count_and_wait(void *arg)
{
    struct gate *gate = arg;
    for (int i = 0; i < ROUNDS; i++) {
        outcomes_count(OUTCOME_fresh_hit, 0, i);
        stats_count(STATS_lookup_races);
    }
    wg_done(&gate->counted);
    wg_wait(&gate->open);
}

static void test_threads_that_run_and_that_ended_are_summed(void **state)
{
    (void)state;
    struct thread threads[THREADS];
    struct gate gate;
    wg_init(&gate.counted);
    wg_init(&gate.open);
    wg_add(&gate.counted, THREADS);
    wg_add(&gate.open, 1);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(
            thread_start(&threads[i], "counter", count_and_wait, &gate),
            ERR_OK);
    }
    while (outcomes_total() < ROUNDS) { /* Reading while they count. */
    }

    wg_wait(&gate.counted);
    assert_int_equal(outcomes_sum(OUTCOME_fresh_hit), THREADS * ROUNDS);
    wg_done(&gate.open);
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
    }

    assert_int_equal(outcomes_sum(OUTCOME_fresh_hit), THREADS * ROUNDS);
    assert_int_equal(stats_sum(STATS_lookup_races), THREADS * ROUNDS);
    wg_destroy(&gate.open);
    wg_destroy(&gate.counted);
}

/* ---- reset and INFO ---- */

static void test_a_reset_of_the_counters_resets_outcomes(void **state)
{
    (void)state;
    struct buf out = {0};
    outcomes_count(OUTCOME_timeout, 3, 5000000);

    stats_reset();
    outcomes_count(OUTCOME_miss, 3, 15);
    outcomes_print_latency(&out);

    assert_int_equal(outcomes_total(), 1);
    assert_string_equal(
        buf_string(&out),
        "latency_miss_us:count=1,p50=15,p90=15,p99=15,p99.9=15,max=15\r\n"
        "latency_all_us:count=1,p50=15,p90=15,p99=15,p99.9=15,max=15\r\n");
    buf_destroy(&out);
}

static void test_counts_print_overall_then_by_table(void **state)
{
    (void)state;
    struct buf out = {0};
    const char *const tables[] = {"books", "authors"};
    outcomes_count(OUTCOME_fresh_hit, 0, 1);
    outcomes_count(OUTCOME_fresh_hit, 1, 1);
    outcomes_count(OUTCOME_busy, OUTCOMES_PLAIN, 1);

    outcomes_print(tables, 2, &out);

    assert_printed(&out, "lookups:3\r\noutcome_fresh_hit:2\r\n");
    assert_printed(&out, "outcome_miss:0\r\n");
    assert_printed(&out, "\r\noutcome_books_fresh_hit:1\r\n"
                         "outcome_authors_fresh_hit:1\r\n"
                         "outcome_plain_busy:1\r\n");
    assert_null(strstr(buf_string(&out), "outcome_books_miss"));
    buf_destroy(&out);
}

static void test_latency_over_all_is_that_of_every_outcome(void **state)
{
    (void)state;
    struct buf out = {0};
    for (int i = 0; i < 99; i++) {
        outcomes_count(OUTCOME_fresh_hit, 0, 2);
    }
    outcomes_count(OUTCOME_miss, 0, 100000);

    outcomes_print_latency(&out);

    assert_printed(&out, "latency_fresh_hit_us:count=99,p50=2,p90=2,p99=2,"
                         "p99.9=2,max=2\r\n");
    assert_printed(&out, "latency_all_us:count=100,p50=2,p90=2,p99=2,"
                         "p99.9=100000,max=100000\r\n");
    assert_null(strstr(buf_string(&out), "latency_joined_us"));
    buf_destroy(&out);
}

static void test_every_outcome_has_a_sentence(void **state)
{
    (void)state;

    for (enum outcome o = 0; o < OUTCOME_COUNT; o++) {
        const char *summary = outcome_rows[o].summary;
        assert_true(isupper((unsigned char)summary[0]));
        assert_int_equal(summary[strlen(summary) - 1], '.');
    }
}

static void test_the_page_explains_every_outcome(void **state)
{
    (void)state;
    const char *source = getenv("BOOKD_SRC");
    struct buf text = {0};
    struct buf row = {0};
    buf_printf(&row, "%s/docs/protocol.md", source == NULL ? "." : source);
    FILE *file = fopen(buf_string(&row), "r");
    assert_non_null(file);
    char *room = buf_reserve(&text, 1 << 20);
    buf_commit(&text, fread(room, 1, 1 << 20, file));
    fclose(file);

    for (enum outcome o = 0; o < OUTCOME_COUNT; o++) {
        buf_clear(&row);
        buf_printf(&row, "| `%s` | %s |\n", outcome_rows[o].name,
                   outcome_rows[o].summary);
        assert_non_null(strstr(buf_string(&text), buf_string(&row)));
    }
    buf_destroy(&text);
    buf_destroy(&row);
}

#define TEST(f) cmocka_unit_test_setup(f, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_outcomes_sum_to_the_lookups),
        TEST(test_each_table_is_counted_apart),
        TEST(test_a_table_too_many_counts_overall),
        TEST(test_threads_that_run_and_that_ended_are_summed),
        TEST(test_a_reset_of_the_counters_resets_outcomes),
        TEST(test_counts_print_overall_then_by_table),
        TEST(test_latency_over_all_is_that_of_every_outcome),
        TEST(test_every_outcome_has_a_sentence),
        TEST(test_the_page_explains_every_outcome),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
