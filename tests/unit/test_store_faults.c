/* SPDX-License-Identifier: MIT */
/* A store that is played down, slow or hung, or fails: what reads hear, when
 * the breaker opens, and how the store comes back. */
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
#include "server/admin/config.h"
#include "tests/support/store_calls.h"

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)

static struct store_bed bed;

static int set_up(void **state)
{
    (void)state;
    clock_set_manual(SECOND);
    store_bed_init(&bed);
    bed.fake = fake_store_new();
    fake_store_set_book(bed.fake, "1", "The Hobbit", "J.R.R. Tolkien", "1937");
    store_bed_set(&bed, "breaker-failures", "3");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_bed_destroy(&bed);
    clock_set_real();
    return 0;
}

static void open_store(void)
{
    assert_int_equal(store_bed_open_fake(&bed), ERR_OK);
}

static void assert_described(const char *line)
{
    struct buf out = {0};

    store_describe(bed.store, &out);
    if (strstr(buf_string(&out), line) == NULL) {
        fail_msg("no '%s' in:\n%s", line, buf_string(&out));
    }
    buf_destroy(&out);
}

/* Until that line is there: what the store does after done(). */
static void wait_described(const char *line)
{
    struct buf out = {0};
    const int64_t end_us = clock_real_us() + 30 * SECOND;

    do {
        buf_clear(&out);
        store_describe(bed.store, &out);
    } while (strstr(buf_string(&out), line) == NULL &&
             clock_real_us() < end_us);
    buf_destroy(&out);
    assert_described(line);
}

/* One read from start to end. */
static enum err read_now(void)
{
    struct asked a;

    const enum store_start started = ask(bed.store, &a, "book:1");
    /* The slot of the last one may not be free yet. */
    assert_true(started == STORE_STARTED || started == STORE_QUEUED);
    asked_wait(&a);
    const enum err err = a.err;
    asked_destroy(&a);
    return err;
}

static void assert_broken(void)
{
    struct asked a;

    assert_int_equal(ask(bed.store, &a, "book:1"), STORE_BROKEN);
    asked_destroy(&a);
    assert_int_equal(a.n_done, 0);
}

/* Fails three reads, which opens the breaker. */
static void break_store(void)
{
    fake_store_fail(bed.fake, FAKE_READ, NULL, 3, ERR_STORE_DOWN);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_now(), ERR_STORE_DOWN);
    }
    assert_described("store_breaker:open\r\n");
}

/* ---- outage and tail ---- */

static void test_reads_fail_while_the_outage_lasts(void **state)
{
    (void)state;
    store_bed_set(&bed, "breaker-failures", "0");
    store_bed_set(&bed, "store-outage-after", "10s");
    open_store();
    store_bed_set(&bed, "store-outage-for", "30s");
    clock_advance(10 * SECOND - 1);
    assert_int_equal(read_now(), ERR_OK);
    clock_advance(1);
    assert_int_equal(read_now(), ERR_STORE_DOWN);
    clock_advance(30 * SECOND - 1);
    assert_int_equal(read_now(), ERR_STORE_DOWN);
    clock_advance(1);

    assert_int_equal(read_now(), ERR_OK);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_READ), 2);
}

static void test_an_outage_can_be_ended(void **state)
{
    (void)state;
    open_store();
    store_bed_set(&bed, "store-outage-for", "1h");
    assert_int_equal(read_now(), ERR_STORE_DOWN);
    store_bed_set(&bed, "store-outage-for", "0s");

    assert_int_equal(read_now(), ERR_OK);
}

static void test_an_outage_in_the_file_counts_from_the_start(void **state)
{
    (void)state;
    store_bed_set(&bed, "store-outage-for", "1s");
    open_store();
    assert_int_equal(read_now(), ERR_STORE_DOWN);
    clock_advance(SECOND);

    assert_int_equal(read_now(), ERR_OK);
}

static void test_a_read_of_the_tail_takes_its_factor(void **state)
{
    struct asked a;

    (void)state;
    store_bed_set(&bed, "store-delay", "10ms");
    store_bed_set(&bed, "store-tail-rate", "100%");
    store_bed_set(&bed, "store-tail-factor", "7");
    open_store();
    const int64_t asked_us = clock_now_us();
    ask(bed.store, &a, "book:1");
    fake_store_wait_calls(bed.fake, FAKE_READ, 1);
    clock_advance(70 * MS - 1);
    assert_int_equal(a.n_done, 0);
    clock_advance(1);
    asked_wait(&a);

    assert_int_equal(a.done_us - asked_us, 70 * MS);
    asked_destroy(&a);
}

/* ---- hang ---- */

static void test_no_read_ends_while_the_store_hangs(void **state)
{
    struct asked a[5];

    (void)state;
    store_bed_set(&bed, "store-threads", "1");
    store_bed_set(&bed, "store-hang", "yes");
    open_store();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        ask(bed.store, &a[i], "book:1");
    }
    wait_described("store_reads_hung:5\r\n"); /* One thread holds them all. */
    clock_advance(SECOND);
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        assert_int_equal(a[i].n_done, 0);
    }
    store_bed_set(&bed, "store-hang", "no");

    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_wait(&a[i]);
        assert_int_equal(a[i].err, ERR_OK);
        assert_int_equal(a[i].n_rows, 1);
        asked_destroy(&a[i]);
    }
}

static void test_a_delay_ends_before_the_hang_does(void **state)
{
    struct asked a;

    (void)state;
    store_bed_set(&bed, "store-hang", "yes");
    store_bed_set(&bed, "store-delay", "10ms");
    open_store();
    ask(bed.store, &a, "book:1");
    fake_store_wait_calls(bed.fake, FAKE_READ, 1);
    wait_described("store_reads_delayed:1\r\n");
    assert_described("store_reads_hung:0\r\n");
    clock_advance(10 * MS);
    assert_described("store_reads_hung:1\r\n");
    store_bed_set(&bed, "store-hang", "no");

    asked_wait(&a);
    asked_destroy(&a);
}

static void test_close_ends_reads_that_hang(void **state)
{
    struct asked a[2];

    (void)state;
    store_bed_set(&bed, "store-hang", "yes");
    open_store();
    ask(bed.store, &a[0], "book:1");
    wait_described("store_reads_hung:1\r\n");
    clock_advance(6 * SECOND); /* This one is overdue. */
    ask(bed.store, &a[1], "book:1");
    wait_described("store_reads_hung:2\r\n");
    store_bed_close(&bed);

    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        assert_int_equal(a[i].n_done, 1);
        assert_int_equal(a[i].err, ERR_SHUTTING_DOWN);
        asked_destroy(&a[i]);
    }
    assert_int_equal(timers_count(bed.timers), 0);
    store_bed_set(&bed, "store-hang", "no"); /* Nobody listens any more. */
}

/* ---- the breaker ---- */

static void test_failures_in_a_row_break_the_store(void **state)
{
    (void)state;
    open_store();
    assert_described("store_breaker:closed\r\n");
    break_store();
    assert_broken();

    assert_described("store_breaker_opened:1\r\n");
    assert_described("store_breaker_slots:0\r\n");
    assert_int_equal(fake_store_calls(bed.fake, FAKE_READ), 3);
}

static void test_what_is_the_reads_own_fault_breaks_nothing(void **state)
{
    (void)state;
    open_store();
    fake_store_fail(bed.fake, FAKE_READ, NULL, 5, ERR_TOO_BIG);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(read_now(), ERR_TOO_BIG);
    }

    assert_described("store_breaker:closed\r\n");
}

static void test_a_store_that_hangs_breaks(void **state)
{
    struct asked a[3];

    (void)state;
    store_bed_set(&bed, "store-timeout", "2s");
    open_store();
    fake_store_hold(bed.fake, FAKE_READ, FAKE_BEFORE);
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        ask(bed.store, &a[i], "book:1");
    }
    fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 2);
    clock_advance(2 * SECOND - 1);
    assert_described("store_breaker:closed\r\n");
    clock_advance(1);
    assert_described("store_breaker:open\r\n");
    assert_described("store_reads_overdue:2\r\n");
    assert_broken();

    /* The one that no thread had begun does not wait for the others. */
    asked_wait(&a[2]);
    assert_int_equal(a[2].err, ERR_STORE_DOWN);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_READ), 2);
    fake_store_release(bed.fake, FAKE_READ, FAKE_BEFORE);
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_destroy(&a[i]);
    }
    /* They were of another time. */
    assert_described("store_breaker:open\r\n");
}

static void test_the_queue_is_told_when_the_store_breaks(void **state)
{
    struct asked a[3];

    (void)state;
    store_bed_set(&bed, "breaker-failures", "1");
    store_bed_set(&bed, "store-concurrency", "1");
    open_store();
    fake_store_hold(bed.fake, FAKE_READ, FAKE_BEFORE);
    fake_store_fail(bed.fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
    assert_int_equal(ask(bed.store, &a[0], "book:1"), STORE_STARTED);
    assert_int_equal(ask(bed.store, &a[1], "book:1"), STORE_QUEUED);
    assert_int_equal(ask(bed.store, &a[2], "book:1"), STORE_QUEUED);
    fake_store_release(bed.fake, FAKE_READ, FAKE_BEFORE);

    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_wait(&a[i]);
        assert_int_equal(a[i].err, ERR_STORE_DOWN);
        assert_false(store_read_withdraw(bed.store, &a[i].read));
        asked_destroy(&a[i]);
    }
    assert_int_equal(fake_store_calls(bed.fake, FAKE_READ), 1);
}

static void test_more_slots_are_for_those_that_wait(void **state)
{
    struct asked a[3];

    (void)state;
    store_bed_set(&bed, "store-concurrency", "1");
    open_store();
    fake_store_hold_key(bed.fake, FAKE_READ, FAKE_BEFORE, "book:1");
    assert_int_equal(ask(bed.store, &a[0], "book:1"), STORE_STARTED);
    fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    assert_int_equal(ask(bed.store, &a[1], "book:2"), STORE_QUEUED);
    store_bed_set(&bed, "store-concurrency", "3");

    assert_int_equal(ask(bed.store, &a[2], "book:3"), STORE_STARTED);
    asked_wait(&a[1]);
    asked_wait(&a[2]);
    fake_store_release_key(bed.fake, FAKE_READ, FAKE_BEFORE, "book:1");
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_destroy(&a[i]);
    }
}

static void test_one_read_probes_each_interval(void **state)
{
    (void)state;
    store_bed_set(&bed, "breaker-probe-interval", "500ms");
    open_store();
    break_store();
    clock_advance(500 * MS - 1);
    assert_broken();
    fake_store_fail(bed.fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
    clock_advance(1);
    assert_int_equal(read_now(), ERR_STORE_DOWN);
    assert_broken();
    clock_advance(500 * MS);

    assert_int_equal(read_now(), ERR_OK);
    assert_described("store_breaker:half-open\r\n");
    assert_described("store_breaker_slots:1\r\n");
    assert_described("store_breaker_opened:1\r\n");
}

static void test_the_store_comes_back_without_a_stampede(void **state)
{
    struct asked a[31];

    (void)state;
    open_store();
    break_store();
    clock_advance(SECOND);
    assert_int_equal(read_now(), ERR_OK);
    wait_described("store_reads_running:0\r\n");
    fake_store_hold(bed.fake, FAKE_READ, FAKE_BEFORE);
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        assert_int_equal(ask(bed.store, &a[i], "book:1"),
                         i == 0 ? STORE_STARTED : STORE_QUEUED);
    }
    fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    assert_described("store_reads_running:1\r\n");
    fake_store_pass(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 2);
    assert_described("store_reads_running:2\r\n");
    assert_described("store_breaker_slots:2\r\n");
    fake_store_release(bed.fake, FAKE_READ, FAKE_BEFORE);

    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        asked_wait(&a[i]);
        assert_int_equal(a[i].err, ERR_OK);
        asked_destroy(&a[i]);
    }
    assert_described("store_breaker:closed\r\n");
}

static void test_a_failure_on_the_way_back_breaks_it_again(void **state)
{
    (void)state;
    open_store();
    break_store();
    clock_advance(SECOND);
    assert_int_equal(read_now(), ERR_OK);
    wait_described("store_reads_running:0\r\n");
    fake_store_fail(bed.fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
    assert_int_equal(read_now(), ERR_STORE_DOWN);

    assert_described("store_breaker:open\r\n");
    assert_described("store_breaker_opened:2\r\n");
    assert_broken();
}

static void test_reads_that_hang_do_not_keep_the_store_broken(void **state)
{
    struct asked hung[4];

    (void)state;
    store_bed_set(&bed, "store-concurrency", "3");
    store_bed_set(&bed, "store-hang", "yes");
    open_store();
    for (size_t i = 0; i < 3; i++) {
        ask(bed.store, &hung[i], "book:1");
    }
    wait_described("store_reads_hung:3\r\n");
    clock_advance(5 * SECOND);
    assert_described("store_breaker:open\r\n");
    clock_advance(500 * MS);
    assert_int_equal(ask(bed.store, &hung[3], "book:1"), STORE_STARTED);
    wait_described("store_reads_hung:4\r\n"); /* The probe hangs as well. */
    assert_broken();
    store_bed_set(&bed, "store-hang", "no");

    for (size_t i = 0; i < ARRAY_LEN(hung); i++) {
        asked_wait(&hung[i]);
        assert_int_equal(hung[i].err, ERR_OK);
        asked_destroy(&hung[i]);
    }
    wait_described("store_reads_running:0\r\n");
    assert_described("store_breaker:half-open\r\n");
    assert_int_equal(read_now(), ERR_OK);
}

static void test_threads_that_hang_leave_a_way_back(void **state)
{
    struct asked stuck;

    (void)state;
    store_bed_set(&bed, "store-concurrency", "1");
    store_bed_set(&bed, "breaker-failures", "1");
    fake_store_set_book(bed.fake, "2", "Beowulf", NULL, NULL);
    open_store();
    fake_store_hold_key(bed.fake, FAKE_READ, FAKE_BEFORE, "book:2");
    ask(bed.store, &stuck, "book:2");
    fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    clock_advance(5 * SECOND);
    assert_described("store_breaker:open\r\n");
    clock_advance(SECOND);

    assert_int_equal(read_now(), ERR_OK); /* The probe, on another thread. */
    assert_int_equal(read_now(), ERR_OK);
    wait_described("store_breaker:closed\r\n");
    assert_int_equal(read_now(), ERR_OK); /* Its slot does not count now. */
    fake_store_release_key(bed.fake, FAKE_READ, FAKE_BEFORE, "book:2");
    asked_destroy(&stuck);
}

static void test_switched_off_the_breaker_closes(void **state)
{
    (void)state;
    open_store();
    break_store();
    store_bed_set(&bed, "breaker-failures", "0");
    assert_described("store_breaker:closed\r\n");
    fake_store_fail(bed.fake, FAKE_READ, NULL, 10, ERR_STORE_DOWN);

    for (int i = 0; i < 10; i++) {
        assert_int_equal(read_now(), ERR_STORE_DOWN);
    }
    assert_described("store_breaker:closed\r\n");
}

/* ---- another try ---- */

static void test_a_passing_failure_is_tried_again(void **state)
{
    static const enum err passing[] = {ERR_STORE_LOCKED, ERR_IO};

    (void)state;
    open_store();
    for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
        fake_store_fail(bed.fake, FAKE_READ, NULL, 1, passing[i]);
        assert_int_equal(read_now(), ERR_OK);
    }

    assert_int_equal(fake_store_calls(bed.fake, FAKE_READ), 4);
}

static void test_it_is_tried_once_only(void **state)
{
    (void)state;
    open_store();
    fake_store_fail(bed.fake, FAKE_READ, NULL, 2, ERR_STORE_LOCKED);
    assert_int_equal(read_now(), ERR_STORE_LOCKED);
    fake_store_fail(bed.fake, FAKE_READ, NULL, 2, ERR_IO);
    assert_int_equal(read_now(), ERR_STORE_DOWN);

    assert_int_equal(fake_store_calls(bed.fake, FAKE_READ), 4);
}

static void test_it_is_not_tried_after_its_time(void **state)
{
    struct asked a;

    (void)state;
    store_bed_set(&bed, "store-timeout", "1s");
    open_store();
    fake_store_hold(bed.fake, FAKE_READ, FAKE_BEFORE);
    fake_store_fail(bed.fake, FAKE_READ, NULL, 1, ERR_STORE_LOCKED);
    ask(bed.store, &a, "book:1");
    fake_store_wait_held(bed.fake, FAKE_READ, FAKE_BEFORE, 1);
    clock_advance(SECOND);
    fake_store_release(bed.fake, FAKE_READ, FAKE_BEFORE);
    asked_wait(&a);

    assert_int_equal(a.err, ERR_STORE_LOCKED);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_READ), 1);
    asked_destroy(&a);
}

static void test_a_probe_is_not_tried_again(void **state)
{
    (void)state;
    open_store();
    break_store();
    clock_advance(SECOND);
    fake_store_fail(bed.fake, FAKE_READ, NULL, 1, ERR_STORE_LOCKED);

    assert_int_equal(read_now(), ERR_STORE_LOCKED);
    assert_described("store_breaker:open\r\n");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_reads_fail_while_the_outage_lasts),
        CASE(test_an_outage_can_be_ended),
        CASE(test_an_outage_in_the_file_counts_from_the_start),
        CASE(test_a_read_of_the_tail_takes_its_factor),
        CASE(test_no_read_ends_while_the_store_hangs),
        CASE(test_a_delay_ends_before_the_hang_does),
        CASE(test_close_ends_reads_that_hang),
        CASE(test_failures_in_a_row_break_the_store),
        CASE(test_what_is_the_reads_own_fault_breaks_nothing),
        CASE(test_a_store_that_hangs_breaks),
        CASE(test_the_queue_is_told_when_the_store_breaks),
        CASE(test_more_slots_are_for_those_that_wait),
        CASE(test_one_read_probes_each_interval),
        CASE(test_the_store_comes_back_without_a_stampede),
        CASE(test_a_failure_on_the_way_back_breaks_it_again),
        CASE(test_reads_that_hang_do_not_keep_the_store_broken),
        CASE(test_threads_that_hang_leave_a_way_back),
        CASE(test_switched_off_the_breaker_closes),
        CASE(test_a_passing_failure_is_tried_again),
        CASE(test_it_is_tried_once_only),
        CASE(test_it_is_not_tried_after_its_time),
        CASE(test_a_probe_is_not_tried_again),
    };

    log_init();
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
