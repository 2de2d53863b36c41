/* SPDX-License-Identifier: MIT */
/*
 * Counters: sums over threads that run and threads that have ended.
 */
#include "server/admin/stats.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/thread.h"
#include "common/waitgroup.h"

#define THREADS 8
#define ROUNDS 10000

/* Two waits: the threads have counted; they may end. */
struct gate {
    struct waitgroup counted;
    struct waitgroup open;
};

static int reset(void **state)
{
    (void)state;
    stats_reset();
    return 0;
}

static void count_and_wait(void *arg)
{
    struct gate *gate = arg;
    for (int i = 0; i < ROUNDS; i++) {
        stats_count(STATS_lookup_races);
    }
    stats_add(STATS_store_reads, 3);
    wg_done(&gate->counted);
    wg_wait(&gate->open);
}

static void start(struct thread threads[THREADS], struct gate *gate)
{
    wg_init(&gate->counted);
    wg_init(&gate->open);
    wg_add(&gate->counted, THREADS);
    wg_add(&gate->open, 1);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(
            thread_start(&threads[i], "counter", count_and_wait, gate), ERR_OK);
    }
}

static void finish(struct thread threads[THREADS], struct gate *gate)
{
    wg_done(&gate->open);
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
    }
    wg_destroy(&gate->open);
    wg_destroy(&gate->counted);
}

static void test_a_sum_is_over_all_threads(void **state)
{
    (void)state;
    struct thread threads[THREADS];
    struct gate gate;
    start(threads, &gate);
    stats_add(STATS_lookup_races, 5);

    wg_wait(&gate.counted);

    assert_int_equal(stats_sum(STATS_lookup_races), THREADS * ROUNDS + 5);
    assert_int_equal(stats_sum(STATS_store_reads), THREADS * 3);
    finish(threads, &gate);
}

static void test_what_an_ended_thread_counted_stays(void **state)
{
    (void)state;
    struct thread threads[THREADS];
    struct gate gate;

    start(threads, &gate);
    finish(threads, &gate);

    assert_int_equal(stats_sum(STATS_lookup_races), THREADS * ROUNDS);
}

static void test_a_reset_begins_at_zero_while_threads_run(void **state)
{
    (void)state;
    struct thread threads[THREADS];
    struct gate gate;
    start(threads, &gate);
    wg_wait(&gate.counted);

    stats_reset();

    assert_int_equal(stats_sum(STATS_lookup_races), 0);
    stats_count(STATS_lookup_races);
    finish(threads, &gate);
    assert_int_equal(stats_sum(STATS_lookup_races), 1);
}

static void test_all_sums_are_those_of_each(void **state)
{
    (void)state;
    int64_t sums[STATS_COUNT];
    stats_add(STATS_fills, 4);
    stats_add(STATS_lookup_races, 2);

    stats_sums(sums);

    for (enum stats_id id = 0; id < STATS_COUNT; id++) {
        assert_int_equal(sums[id], stats_sum(id));
    }
}

static void test_a_section_prints_its_own_counters(void **state)
{
    (void)state;
    struct buf out = {0};
    stats_add(STATS_total_commands_processed, 12);

    stats_print("Stats", &out);

    assert_non_null(
        strstr(buf_string(&out), "\r\ntotal_commands_processed:12\r\n"));
    assert_null(strstr(buf_string(&out), "lookup"));
    buf_destroy(&out);
}

static void test_every_counter_has_a_sentence(void **state)
{
    (void)state;

    for (enum stats_id id = 0; id < STATS_COUNT; id++) {
        const struct stats_counter *counter = &stats_counters[id];
        assert_true(isupper((unsigned char)counter->summary[0]));
        assert_int_equal(counter->summary[strlen(counter->summary) - 1], '.');
    }
}

#define TEST(f) cmocka_unit_test_setup(f, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_sum_is_over_all_threads),
        TEST(test_what_an_ended_thread_counted_stays),
        TEST(test_a_reset_begins_at_zero_while_threads_run),
        TEST(test_all_sums_are_those_of_each),
        TEST(test_a_section_prints_its_own_counters),
        TEST(test_every_counter_has_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
