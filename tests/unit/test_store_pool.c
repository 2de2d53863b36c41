/* SPDX-License-Identifier: MIT */
/* Reads and walks: slots, queue, delay, withdrawal, close. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/attr.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/stats.h"
#include "tests/support/store_calls.h"

#define MS INT64_C(1000)

static struct store_bed bed;

static int set_up(void **state)
{
    (void)state;
    clock_set_manual(1000000);
    store_bed_init(&bed);
    bed.fake = fake_store_new();
    fake_store_set_book(bed.fake, "1", "The Hobbit", "J.R.R. Tolkien", "1937");
    fake_store_set_book(bed.fake, "2", "Beowulf", NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_bed_destroy(&bed);
    clock_set_real();
    return 0;
}

static void open_with(const char *directive, const char *value)
{
    if (directive != NULL) {
        store_bed_set(&bed, directive, value);
    }
    assert_int_equal(store_bed_open_fake(&bed), ERR_OK);
}

static void hold_reads(void)
{
    fake_store_hold(bed.fake, FAKE_READ, FAKE_BEFORE);
}

static void release_reads(void)
{
    fake_store_release(bed.fake, FAKE_READ, FAKE_BEFORE);
}

/* ---- reading ---- */

static void test_a_read_brings_its_row(void **state)
{
    struct asked a;

    (void)state;
    open_with(NULL, NULL);
    assert_int_equal(ask(bed.store, &a, "book:1"), STORE_STARTED);
    asked_wait(&a);

    assert_int_equal(a.err, ERR_OK);
    assert_int_equal(a.n_rows, 1);
    assert_string_equal(buf_string(&a.row), "1|The Hobbit|J.R.R. Tolkien|1937");
    asked_destroy(&a);
}

static void test_a_row_that_is_not_there_is_no_error(void **state)
{
    struct asked a;

    (void)state;
    open_with(NULL, NULL);
    ask(bed.store, &a, "book:99");
    asked_wait(&a);

    assert_int_equal(a.err, ERR_OK);
    assert_int_equal(a.n_rows, 0);
    asked_destroy(&a);
}

static void test_a_failed_read_says_so_and_is_counted(void **state)
{
    const int64_t errors = stats_sum(STATS_store_errors);
    struct asked a;

    (void)state;
    open_with(NULL, NULL);
    fake_store_fail(bed.fake, FAKE_READ, NULL, 1, ERR_STORE_CORRUPT);
    ask(bed.store, &a, "book:1");
    asked_wait(&a);

    assert_int_equal(a.err, ERR_STORE_CORRUPT);
    assert_int_equal(a.n_rows, 0);
    assert_int_equal(stats_sum(STATS_store_errors), errors + 1);
    asked_destroy(&a);
}

static void test_the_row_is_as_old_as_the_read(void **state)
{
    struct asked a;

    (void)state;
    open_with("store-delay", "100ms");
    ask(bed.store, &a, "book:1");
    fake_store_wait_calls(bed.fake, FAKE_READ, 1);
    fake_store_set_book(bed.fake, "1", "Changed meanwhile", NULL, NULL);
    clock_advance(100 * MS);
    asked_wait(&a);

    assert_string_equal(buf_string(&a.row), "1|The Hobbit|J.R.R. Tolkien|1937");
    asked_destroy(&a);
}

/* ---- reads together ---- */

static void test_reads_that_wait_together_are_read_together(void **state)
{
    struct asked a[10];

    (void)state;
    open_with("store-threads", "1");
    hold_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        ask(bed.store, &a[i], "book:1");
        fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    }
    assert_int_equal(fake_store_calls(bed.fake, FAKE_BEGIN_READ), 0);
    release_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_wait(&a[i]);
        assert_int_equal(a[i].n_rows, 1);
        asked_destroy(&a[i]);
    }
    fake_store_wait_calls(bed.fake, FAKE_END_READ, 1);

    assert_int_equal(fake_store_calls(bed.fake, FAKE_BEGIN_READ), 1);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_READ), 10);
}

static void test_no_answer_waits_for_those_read_with_it(void **state)
{
    struct asked a[4];

    (void)state;
    open_with("store-threads", "1");
    hold_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        ask(bed.store, &a[i], "book:1");
    }
    fake_store_pass(bed.fake, FAKE_READ, FAKE_BEFORE, 2);
    asked_wait(&a[0]);
    asked_wait(&a[1]);
    assert_int_equal(a[2].n_done + a[3].n_done, 0);

    release_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_destroy(&a[i]);
    }
}

static void test_a_read_never_sees_a_time_before_it_began(void **state)
{
    struct asked first, together[2], late;

    (void)state;
    open_with("store-threads", "1");
    fake_store_hold(bed.fake, FAKE_BEGIN_READ, FAKE_AFTER);
    hold_reads();
    ask(bed.store, &first, "book:1");
    fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    ask(bed.store, &together[0], "book:1");
    ask(bed.store, &together[1], "book:1");
    release_reads();
    /* Their snapshot is taken; now the row is written, and read again. */
    fake_store_wait_held(bed.fake, FAKE_BEGIN_READ, FAKE_AFTER, 1);
    fake_store_set_book(bed.fake, "1", "Written", NULL, NULL);
    ask(bed.store, &late, "book:1");
    fake_store_release(bed.fake, FAKE_BEGIN_READ, FAKE_AFTER);
    asked_wait(&together[1]);
    asked_wait(&late);

    assert_string_equal(buf_string(&together[1].row),
                        "1|The Hobbit|J.R.R. Tolkien|1937");
    assert_string_equal(buf_string(&late.row), "1|Written|NULL|NULL");
    asked_destroy(&first);
    asked_destroy(&together[0]);
    asked_destroy(&together[1]);
    asked_destroy(&late);
}

static void test_without_a_snapshot_each_is_read_alone(void **state)
{
    struct asked a[3];

    (void)state;
    open_with("store-threads", "1");
    fake_store_fail(bed.fake, FAKE_BEGIN_READ, NULL, 1, ERR_STORE_DOWN);
    hold_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        ask(bed.store, &a[i], "book:1");
        fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    }
    release_reads();

    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_wait(&a[i]);
        assert_int_equal(a[i].n_rows, 1);
        asked_destroy(&a[i]);
    }
    assert_int_equal(fake_store_calls(bed.fake, FAKE_BEGIN_READ), 1);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_END_READ), 0);
}

static void test_a_thread_that_is_stuck_keeps_no_read_from_others(void **state)
{
    struct asked a[5];

    (void)state;
    open_with("store-threads", "2");
    fake_store_hold_key(bed.fake, FAKE_READ, FAKE_BEFORE, "book:2");
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        ask(bed.store, &a[i], i == 1 ? "book:2" : "book:1");
    }
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        if (i != 1) {
            asked_wait(&a[i]);
        }
    }
    assert_int_equal(a[1].n_done, 0);

    fake_store_release_key(bed.fake, FAKE_READ, FAKE_BEFORE, "book:2");
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_destroy(&a[i]);
    }
}

/* ---- slots and queue ---- */

static void test_reads_without_a_slot_wait_in_order(void **state)
{
    struct asked a[3];

    (void)state;
    open_with("store-concurrency", "1");
    hold_reads();
    assert_int_equal(ask(bed.store, &a[0], "book:1"), STORE_STARTED);
    assert_int_equal(ask(bed.store, &a[1], "book:2"), STORE_QUEUED);
    assert_int_equal(ask(bed.store, &a[2], "book:3"), STORE_QUEUED);

    fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    assert_int_equal(fake_store_reads(bed.fake, "book:2"), 0);
    fake_store_pass(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    fake_store_wait_calls(bed.fake, FAKE_READ, 2);
    assert_int_equal(a[0].n_done, 1);
    assert_int_equal(fake_store_reads(bed.fake, "book:2"), 1);
    assert_int_equal(fake_store_reads(bed.fake, "book:3"), 0);

    release_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_destroy(&a[i]);
    }
    assert_int_equal(fake_store_reads(bed.fake, "book:3"), 1);
}

static void test_a_full_queue_refuses(void **state)
{
    struct asked a[3];

    (void)state;
    store_bed_set(&bed, "store-concurrency", "1");
    open_with("store-queue", "1");
    hold_reads();
    assert_int_equal(ask(bed.store, &a[0], "book:1"), STORE_STARTED);
    assert_int_equal(ask(bed.store, &a[1], "book:1"), STORE_QUEUED);
    assert_int_equal(ask(bed.store, &a[2], "book:1"), STORE_REFUSED);

    release_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_destroy(&a[i]);
    }
    assert_int_equal(a[2].n_done, 0);
}

static void test_a_queued_read_can_be_withdrawn(void **state)
{
    struct asked a[4];

    (void)state;
    open_with("store-concurrency", "1");
    hold_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        ask(bed.store, &a[i], i == 0 ? "book:1" : "book:2");
    }
    assert_false(ask_withdraw(bed.store, &a[0])); /* It runs. */
    assert_true(ask_withdraw(bed.store, &a[2]));  /* The middle, … */
    assert_false(store_read_withdraw(bed.store, &a[2].read));
    assert_true(ask_withdraw(bed.store, &a[3])); /* … the end … */
    assert_true(ask_withdraw(bed.store, &a[1])); /* … and the last one left. */

    release_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_wait(&a[i]);
        assert_int_equal(a[i].n_done, i == 0 ? 1 : 0);
    }
    assert_int_equal(fake_store_reads(bed.fake, "book:2"), 0);
    assert_false(ask_withdraw(bed.store, &a[0]));
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_destroy(&a[i]);
    }
}

static void test_refreshes_leave_half_of_the_slots_alone(void **state)
{
    struct asked a[3];
    struct asked refused;

    (void)state;
    open_with("store-concurrency", "4");
    hold_reads();
    assert_int_equal(ask_refresh(bed.store, &a[0], "book:1"), STORE_STARTED);
    assert_int_equal(ask_refresh(bed.store, &a[1], "book:1"), STORE_STARTED);
    assert_int_equal(ask_refresh(bed.store, &refused, "book:1"), STORE_REFUSED);
    assert_int_equal(ask(bed.store, &a[2], "book:1"), STORE_STARTED);

    release_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_destroy(&a[i]);
    }
    asked_destroy(&refused);
    assert_int_equal(refused.n_done, 0);
}

static void test_a_single_slot_refreshes_too_when_it_is_free(void **state)
{
    struct asked a;

    (void)state;
    open_with("store-concurrency", "1");
    assert_int_equal(ask_refresh(bed.store, &a, "book:1"), STORE_STARTED);
    asked_wait(&a);

    assert_int_equal(a.n_rows, 1);
    asked_destroy(&a);
}

static void test_more_slots_at_run_time_serve_the_queue(void **state)
{
    struct asked a[4];

    (void)state;
    open_with("store-concurrency", "1");
    hold_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        ask(bed.store, &a[i], "book:1");
    }
    store_bed_set(&bed, "store-concurrency", "3");
    fake_store_pass(bed.fake, FAKE_READ, FAKE_BEFORE, 1);

    /* One ended; two threads stand at the gate now. */
    fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 2);
    release_reads();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_destroy(&a[i]);
    }
}

/* ---- simulation ---- */

static void test_a_delayed_read_ends_on_time(void **state)
{
    struct asked a;

    (void)state;
    open_with("store-delay", "100ms");
    const int64_t asked_us = clock_now_us();
    ask(bed.store, &a, "book:1");
    fake_store_wait_calls(bed.fake, FAKE_READ, 1);
    clock_advance(100 * MS - 1);
    assert_int_equal(a.n_done, 0);
    clock_advance(1);
    asked_wait(&a);

    assert_int_equal(a.done_us - asked_us, 100 * MS);
    assert_int_equal(a.err, ERR_OK);
    asked_destroy(&a);
}

static void test_a_delay_holds_the_slot(void **state)
{
    struct asked a[2];

    (void)state;
    store_bed_set(&bed, "store-delay", "100ms");
    open_with("store-concurrency", "1");
    const int64_t asked_us = clock_now_us();
    ask(bed.store, &a[0], "book:1");
    assert_int_equal(ask(bed.store, &a[1], "book:2"), STORE_QUEUED);
    clock_advance(100 * MS);
    asked_wait(&a[0]);
    fake_store_wait_calls(bed.fake, FAKE_READ, 2);
    clock_advance(99 * MS);
    assert_int_equal(a[1].n_done, 0);
    clock_advance(1 * MS);
    asked_wait(&a[1]);

    assert_int_equal(a[1].done_us - asked_us, 200 * MS);
    asked_destroy(&a[0]);
    asked_destroy(&a[1]);
}

static void test_ten_thousand_delayed_reads_take_one_delay(void **state)
{
    const size_t n = 10000;
    struct asked *a = xcalloc(n, sizeof(*a));

    (void)state;
    open_with("store-delay", "100ms");
    const int64_t asked_us = clock_now_us();
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ask(bed.store, &a[i], "book:1"), STORE_STARTED);
    }
    clock_advance(100 * MS);

    for (size_t i = 0; i < n; i++) {
        asked_wait(&a[i]);
        assert_int_equal(a[i].done_us - asked_us, 100 * MS);
        assert_int_equal(a[i].n_rows, 1);
        asked_destroy(&a[i]);
    }
    free(a);
}

static void test_a_simulated_failure_has_no_row_and_takes_as_long(void **state)
{
    struct asked a;

    (void)state;
    store_bed_set(&bed, "store-error-rate", "100%");
    open_with("store-delay", "100ms");
    ask(bed.store, &a, "book:1");
    clock_advance(100 * MS - 1);
    assert_int_equal(a.n_done, 0);
    clock_advance(1);
    asked_wait(&a);

    assert_int_equal(a.err, ERR_STORE_DOWN);
    assert_int_equal(a.n_rows, 0);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_READ), 0);
    asked_destroy(&a);
}

/* ---- close ---- */

static void test_close_ends_delayed_and_queued_reads(void **state)
{
    struct asked a[3];

    (void)state;
    store_bed_set(&bed, "store-delay", "1h");
    open_with("store-concurrency", "2");
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        ask(bed.store, &a[i], "book:1");
    }
    store_bed_close(&bed);

    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        assert_int_equal(a[i].n_done, 1);
        assert_int_equal(a[i].err, ERR_SHUTTING_DOWN);
        asked_destroy(&a[i]);
    }
    assert_int_equal(timers_count(bed.timers), 0);
}

static void close_store(void *arg)
{
    (void)arg;
    store_bed_close(&bed);
}

static void test_close_waits_for_a_read_that_runs(void **state)
{
    struct waitgroup closing;
    struct asked a;

    (void)state;
    open_with(NULL, NULL);
    hold_reads();
    ask(bed.store, &a, "book:1");
    fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    wg_init(&closing);
    assert_int_equal(wg_go(&closing, "close", close_store, NULL), ERR_OK);
    release_reads();
    wg_wait(&closing);

    assert_int_equal(a.n_done, 1);
    assert_int_equal(a.err, ERR_OK);
    asked_destroy(&a);
    wg_destroy(&closing);
}

/* What a callback asks while the store closes. */
static struct {
    struct asked first, second;
    enum store_start start;
} late;

static void ask_late(struct store_read *read, enum err err)
{
    (void)read;
    (void)err;
    late.start = ask(bed.store, &late.second, "book:1");
    wg_done(&late.first.ended);
}

static void test_a_store_that_closes_refuses(void **state)
{
    (void)state;
    open_with("store-delay", "1h");
    ask(bed.store, &late.first, "book:1");
    late.first.read.done = ask_late;
    store_bed_close(&bed);

    assert_int_equal(late.start, STORE_REFUSED);
    asked_destroy(&late.first);
    asked_destroy(&late.second);
}

static void test_a_reader_that_cannot_open_fails_the_store(void **state)
{
    (void)state;
    fake_store_fail(bed.fake, FAKE_READER_OPEN, NULL, 1, ERR_STORE_CORRUPT);

    assert_int_equal(store_bed_open_fake(&bed), ERR_STORE_CORRUPT);
    assert_string_equal(buf_string(&bed.detail), "as the test wanted");
    assert_null(bed.store);
}

static void test_an_unknown_scheme_is_invalid(void **state)
{
    const struct store_options options = {.config = bed.config,
                                          .mappings = &mappings_builtin,
                                          .timers = bed.timers};

    (void)state;
    store_bed_set(&bed, "store", "oracle:db");
    assert_int_equal(store_open(&bed.store, &options, &bed.detail),
                     ERR_INVALID);
    assert_non_null(strstr(buf_string(&bed.detail), "oracle:db"));
}

/* ---- walks ---- */

static void test_a_walk_brings_every_key_page_by_page(void **state)
{
    struct walked w;

    (void)state;
    fake_store_set_plain(bed.fake, "greeting", "hello", 0);
    open_with(NULL, NULL);
    walk_page(bed.store, &w, 0, 2);
    const uint64_t cursor = w.walk.cursor;
    assert_int_equal(w.n_keys, 2);
    assert_int_not_equal(cursor, 0);
    walked_destroy(&w);

    walk_page(bed.store, &w, cursor, 2);
    assert_int_equal(w.n_keys, 1);
    assert_int_equal(w.walk.cursor, 0);
    walked_destroy(&w);
    assert_int_equal(count_keys(bed.store), 3);
}

static void test_a_long_walk_lets_reads_pass(void **state)
{
    struct walked w = {.walk = {.kind = STORE_SCAN, .count = SIZE_MAX}};
    struct asked a;
    char key[32];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        fake_store_set_plain(bed.fake, key, "", 0);
    }
    open_with("store-threads", "1");
    fake_store_hold(bed.fake, FAKE_SCAN, FAKE_BEFORE);
    assert_int_equal(walked_start(bed.store, &w), ERR_OK);
    fake_store_wait_held(bed.fake, FAKE_SCAN, FAKE_BEFORE, 1);
    ask(bed.store, &a, "book:1");
    fake_store_pass(bed.fake, FAKE_SCAN, FAKE_BEFORE, 1);
    asked_wait(&a);

    fake_store_release(bed.fake, FAKE_SCAN, FAKE_BEFORE);
    walked_wait(&w);
    assert_int_equal(w.n_keys, 5002);
    assert_int_equal(w.walk.cursor, 0);
    walked_destroy(&w);
    asked_destroy(&a);
}

static void test_a_failed_walk_says_so(void **state)
{
    struct walked w;

    (void)state;
    open_with(NULL, NULL);
    fake_store_fail(bed.fake, FAKE_SCAN, NULL, 1, ERR_STORE_DOWN);
    walk_page(bed.store, &w, 0, 10);

    assert_int_equal(w.err, ERR_STORE_DOWN);
    walked_destroy(&w);
}

static void test_the_store_describes_itself(void **state)
{
    struct buf out = {0};
    struct asked a;

    (void)state;
    open_with("store-concurrency", "1");
    hold_reads();
    ask(bed.store, &a, "book:1");
    store_describe(bed.store, &out);

    assert_non_null(strstr(buf_string(&out), "store_engine:fake\r\n"));
    assert_non_null(strstr(buf_string(&out), "store_reads_running:1\r\n"));
    release_reads();
    asked_destroy(&a);
    buf_destroy(&out);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_read_brings_its_row),
        CASE(test_a_row_that_is_not_there_is_no_error),
        CASE(test_a_failed_read_says_so_and_is_counted),
        CASE(test_the_row_is_as_old_as_the_read),
        CASE(test_reads_that_wait_together_are_read_together),
        CASE(test_no_answer_waits_for_those_read_with_it),
        CASE(test_a_read_never_sees_a_time_before_it_began),
        CASE(test_without_a_snapshot_each_is_read_alone),
        CASE(test_a_thread_that_is_stuck_keeps_no_read_from_others),
        CASE(test_reads_without_a_slot_wait_in_order),
        CASE(test_a_full_queue_refuses),
        CASE(test_a_queued_read_can_be_withdrawn),
        CASE(test_refreshes_leave_half_of_the_slots_alone),
        CASE(test_a_single_slot_refreshes_too_when_it_is_free),
        CASE(test_more_slots_at_run_time_serve_the_queue),
        CASE(test_a_delayed_read_ends_on_time),
        CASE(test_a_delay_holds_the_slot),
        CASE(test_ten_thousand_delayed_reads_take_one_delay),
        CASE(test_a_simulated_failure_has_no_row_and_takes_as_long),
        CASE(test_close_ends_delayed_and_queued_reads),
        CASE(test_close_waits_for_a_read_that_runs),
        CASE(test_a_store_that_closes_refuses),
        CASE(test_a_reader_that_cannot_open_fails_the_store),
        CASE(test_an_unknown_scheme_is_invalid),
        CASE(test_a_walk_brings_every_key_page_by_page),
        CASE(test_a_long_walk_lets_reads_pass),
        CASE(test_a_failed_walk_says_so),
        CASE(test_the_store_describes_itself),
    };

    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
