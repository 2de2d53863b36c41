/* SPDX-License-Identifier: MIT */
/* Writes: groups, deferred writes, failures, close. */
#include <sched.h>
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
    store_bed_init(&bed);
    bed.fake = fake_store_new();
    return 0;
}

static int set_up_manual(void **state)
{
    clock_set_manual(1000000);
    return set_up(state);
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

static void start(struct written *w, const char *key, const char *value,
                  bool deferred)
{
    written_init(w, key, value);
    w->write.deferred = deferred;
    assert_int_equal(written_start(bed.store, w), ERR_OK);
}

/* Makes the writer stand in the middle of a commit of its own. */
static void occupy(struct written *w)
{
    fake_store_hold(bed.fake, FAKE_COMMIT, FAKE_BEFORE);
    start(w, "occupied", "", false);
    fake_store_wait_held(bed.fake, FAKE_COMMIT, FAKE_BEFORE, 1);
}

static void let_go(struct written *w)
{
    fake_store_release(bed.fake, FAKE_COMMIT, FAKE_BEFORE);
    written_destroy(w);
}

/* ---- groups ---- */

static void test_a_write_ends_after_its_commit(void **state)
{
    struct written w;

    (void)state;
    open_with(NULL, NULL);
    fake_store_hold(bed.fake, FAKE_COMMIT, FAKE_BEFORE);
    start(&w, "greeting", "hello", false);
    fake_store_wait_held(bed.fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    assert_int_equal(w.n_rows, 1);
    assert_int_equal(w.n_done, 0);
    fake_store_release(bed.fake, FAKE_COMMIT, FAKE_BEFORE);
    written_wait(&w);

    assert_int_equal(w.err, ERR_OK);
    assert_int_equal(w.n_created, 1);
    assert_string_equal(buf_string(&w.row), "hello");
    assert_true(fake_store_has(bed.fake, "greeting"));
    written_destroy(&w);
}

static void test_what_queued_during_a_commit_is_the_next_group(void **state)
{
    const int64_t writes = stats_sum(STATS_store_writes);
    const int64_t commits = stats_sum(STATS_store_commits);
    struct written first;
    struct written w[50];

    (void)state;
    open_with(NULL, NULL);
    occupy(&first);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        start(&w[i], "greeting", "hello", false);
    }
    let_go(&first);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        written_wait(&w[i]);
        assert_true(i == 0 || w[i].order == w[i - 1].order + 1);
    }

    assert_int_equal(fake_store_calls(bed.fake, FAKE_COMMIT), 2);
    assert_int_equal(fake_store_group(bed.fake), 50);
    store_bed_close(&bed); /* Counted after the last done(). */
    assert_int_equal(stats_sum(STATS_store_writes), writes + 51);
    assert_int_equal(stats_sum(STATS_store_commits), commits + 2);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        written_destroy(&w[i]);
    }
}

static void test_a_violated_constraint_is_one_writes_own(void **state)
{
    static const char *const values[] = {"{\"title\":\"One\"}",
                                         "{\"author\":\"Nobody\"}",
                                         "{\"title\":\"Three\"}"};
    static const char *const keys[] = {"book:1", "book:2", "book:3"};
    struct written first;
    struct written w[3];

    (void)state;
    open_with(NULL, NULL);
    occupy(&first);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        start(&w[i], keys[i], values[i], false);
    }
    let_go(&first);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        written_wait(&w[i]);
        assert_int_equal(w[i].err, i == 1 ? ERR_CONSTRAINT : ERR_OK);
        assert_int_equal(fake_store_has(bed.fake, keys[i]), i != 1);
    }

    assert_string_equal(buf_string(&w[1].detail),
                        "NOT NULL constraint failed: books.title");
    assert_int_equal(fake_store_group(bed.fake), 2);
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        written_destroy(&w[i]);
    }
}

/* ---- deferred ---- */

static void test_a_deferred_write_waits_for_half_of_the_interval(void **state)
{
    struct written w;

    (void)state;
    open_with("behind-interval", "1s");
    start(&w, "greeting", "hello", true);
    clock_advance(500 * MS - 1);
    assert_int_equal(w.n_done, 0);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_BEGIN), 0);
    clock_advance(1);
    written_wait(&w);

    assert_int_equal(w.err, ERR_OK);
    assert_true(fake_store_has(bed.fake, "greeting"));
    written_destroy(&w);
}

static void test_a_shorter_interval_counts_for_what_waits(void **state)
{
    struct written w;

    (void)state;
    open_with("behind-interval", "1h");
    start(&w, "greeting", "hello", true);
    while (timers_count(bed.timers) == 0) {
        sched_yield(); /* Until the writer has set its alarm. */
    }
    store_bed_set(&bed, "behind-interval", "10ms");
    clock_advance(1000 * MS);
    written_wait(&w);

    assert_int_equal(w.err, ERR_OK);
    written_destroy(&w);
}

static void test_deferred_writes_go_with_one_that_is_not(void **state)
{
    struct written deferred[2];
    struct written urgent;

    (void)state;
    open_with("behind-interval", "1h");
    start(&deferred[0], "a", "1", true);
    start(&deferred[1], "a", "2", true);
    start(&urgent, "a", "3", false);
    written_wait(&urgent);

    assert_int_equal(deferred[0].n_done, 1);
    assert_int_equal(deferred[1].order, deferred[0].order + 1);
    assert_int_equal(urgent.order, deferred[1].order + 1);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_COMMIT), 1);
    written_destroy(&deferred[0]);
    written_destroy(&deferred[1]);
    written_destroy(&urgent);
}

static struct waitgroup many;
static _Atomic int n_many_failed;

static void many_done(struct store_write *write, enum err err,
                      struct slice detail)
{
    (void)write;
    (void)detail;
    n_many_failed += err == ERR_OK ? 0 : 1;
    wg_done(&many);
}

/* 'n' writes of as many keys; to be freed after they were waited for. */
static struct store_write *make_many(size_t n, bool deferred)
{
    static char keys[140000][24];
    struct store_write *writes = xcalloc(n, sizeof(*writes));

    wg_init(&many);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%zu", i);
        writes[i] = (struct store_write){.op = STORE_PUT_PLAIN,
                                         .key = slice_from_string(keys[i]),
                                         .value = SLICE("value"),
                                         .deferred = deferred,
                                         .done = many_done};
    }
    return writes;
}

static void test_many_deferred_writes_do_not_wait(void **state)
{
    const size_t n = 4096;
    struct store_write *writes = make_many(n, true);

    (void)state;
    open_with("behind-interval", "1h");
    wg_add(&many, (long)n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(store_write_start(bed.store, &writes[i]), ERR_OK);
    }
    wg_wait(&many);

    assert_int_equal(n_many_failed, 0);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_COMMIT), 1);
    wg_destroy(&many);
    free(writes);
}

static void test_large_deferred_writes_do_not_wait(void **state)
{
    char *megabyte = xcalloc(1, 1 << 20);
    struct store_write *writes = make_many(16, true);

    (void)state;
    open_with("behind-interval", "1h");
    wg_add(&many, 16);
    for (size_t i = 0; i < 16; i++) {
        writes[i].value = slice_make(megabyte, 1 << 20);
        assert_int_equal(store_write_start(bed.store, &writes[i]), ERR_OK);
    }
    wg_wait(&many);

    assert_int_equal(n_many_failed, 0);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_COMMIT), 1);
    wg_destroy(&many);
    free(writes);
    free(megabyte);
}

static void test_close_commits_deferred_writes(void **state)
{
    struct written w;

    (void)state;
    open_with("behind-interval", "1h");
    start(&w, "greeting", "hello", true);
    store_bed_close(&bed);

    assert_int_equal(w.n_done, 1);
    assert_int_equal(w.err, ERR_OK);
    assert_true(fake_store_has(bed.fake, "greeting"));
    assert_int_equal(timers_count(bed.timers), 0);
    written_destroy(&w);
}

/* ---- walks after deferred writes ---- */

static void test_a_walk_sees_deferred_writes(void **state)
{
    struct written w;

    (void)state;
    open_with("behind-interval", "1h");
    start(&w, "greeting", "hello", true);

    assert_int_equal(count_keys(bed.store), 1);
    assert_int_equal(w.n_done, 1);
    assert_int_equal(count_keys(bed.store), 1);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_BEGIN), 1);
    written_destroy(&w);
}

static void test_a_walk_fails_if_deferred_writes_do(void **state)
{
    struct written w;

    (void)state;
    open_with("behind-interval", "1h");
    start(&w, "greeting", "hello", true);
    fake_store_fail(bed.fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);

    assert_int_equal(count_keys(bed.store), -1);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_COUNT), 0);
    assert_int_equal(w.n_done, 0);
    assert_int_equal(write_now(bed.store, "other", ""), ERR_OK);
    written_destroy(&w);
}

/* ---- failures ---- */

static void
test_a_failed_commit_fails_its_writes_and_keeps_deferred(void **state)
{
    struct written first;
    struct written deferred;
    struct written urgent;

    (void)state;
    open_with("behind-interval", "1h");
    occupy(&first);
    start(&deferred, "deferred", "1", true);
    start(&urgent, "urgent", "1", false);
    fake_store_pass(bed.fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_wait_calls(bed.fake, FAKE_COMMIT, 2);
    fake_store_fail(bed.fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);
    let_go(&first);
    written_wait(&urgent);

    assert_int_equal(urgent.err, ERR_STORE_DOWN);
    assert_string_equal(buf_string(&urgent.detail), "as the test wanted");
    assert_false(fake_store_has(bed.fake, "urgent"));
    assert_int_equal(deferred.n_done, 0);

    assert_int_equal(write_now(bed.store, "next", ""), ERR_OK);
    assert_int_equal(deferred.n_done, 1);
    assert_int_equal(deferred.n_rows, 2);
    assert_int_equal(deferred.n_created, 1);
    assert_true(fake_store_has(bed.fake, "deferred"));
    assert_false(fake_store_has(bed.fake, "urgent"));
    written_destroy(&urgent);
    written_destroy(&deferred);
}

static void
test_a_store_that_fails_within_a_write_is_asked_without_it(void **state)
{
    struct written first;
    struct written w[2];

    (void)state;
    open_with(NULL, NULL);
    occupy(&first);
    start(&w[0], "good", "1", false);
    start(&w[1], "bad", "1", false);
    fake_store_fail(bed.fake, FAKE_APPLY, "bad", 2, ERR_STORE_DOWN);
    let_go(&first);
    written_wait(&w[0]);
    written_wait(&w[1]);

    assert_int_equal(w[0].err, ERR_OK);
    assert_int_equal(w[1].err, ERR_STORE_DOWN);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_ROLLBACK), 2);
    assert_true(fake_store_has(bed.fake, "good"));
    assert_false(fake_store_has(bed.fake, "bad"));
    written_destroy(&w[0]);
    written_destroy(&w[1]);
}

static void test_a_write_that_fails_alone_takes_nobody_along(void **state)
{
    struct written first;
    struct written w[2];

    (void)state;
    open_with(NULL, NULL);
    occupy(&first);
    start(&w[0], "bad", "1", false);
    start(&w[1], "good", "1", false);
    fake_store_fail(bed.fake, FAKE_APPLY, "bad", 1000, ERR_STORE_DOWN);
    let_go(&first);
    written_wait(&w[0]);
    written_wait(&w[1]);

    assert_int_equal(w[0].err, ERR_STORE_DOWN);
    assert_int_equal(w[1].err, ERR_OK);
    assert_true(fake_store_has(bed.fake, "good"));
    written_destroy(&w[0]);
    written_destroy(&w[1]);
}

static void test_deferred_writes_are_tried_again_by_themselves(void **state)
{
    struct written w;

    (void)state;
    open_with("behind-interval", "1ms");
    fake_store_fail(bed.fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);
    start(&w, "greeting", "hello", true);
    written_wait(&w);

    assert_int_equal(w.err, ERR_OK);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_COMMIT), 2);
    written_destroy(&w);
}

static void test_a_pile_of_deferred_writes_does_not_hide_a_failure(void **state)
{
    const size_t n = 6000; /* More than a group. */
    struct store_write *writes = make_many(n, true);

    (void)state;
    open_with("behind-interval", "1h");
    fake_store_fail(bed.fake, FAKE_COMMIT, NULL, 1000000, ERR_STORE_DOWN);
    wg_add(&many, (long)n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(store_write_start(bed.store, &writes[i]), ERR_OK);
    }
    assert_int_equal(write_now(bed.store, "urgent", ""), ERR_STORE_DOWN);
    fake_store_forgive(bed.fake);
    assert_int_equal(write_now(bed.store, "urgent", ""), ERR_OK);
    wg_wait(&many);

    assert_int_equal(n_many_failed, 0);
    wg_destroy(&many);
    free(writes);
}

static void test_deferred_writes_are_limited_in_number(void **state)
{
    const size_t n = 80000;
    struct store_write *writes = make_many(n, true);
    size_t n_taken = 0;
    enum err err = ERR_OK;

    (void)state;
    open_with("behind-interval", "1h");
    fake_store_fail(bed.fake, FAKE_COMMIT, NULL, 1000000, ERR_STORE_DOWN);
    while (n_taken < n && err == ERR_OK) {
        wg_add(&many, 1);
        err = store_write_start(bed.store, &writes[n_taken]);
        n_taken += err == ERR_OK ? 1 : 0;
    }
    wg_done(&many);

    assert_int_equal(err, ERR_STORE_BUSY);
    assert_int_equal(n_taken, 65536);
    assert_int_equal(write_now(bed.store, "urgent", ""), ERR_STORE_DOWN);
    fake_store_forgive(bed.fake);
    store_bed_close(&bed);
    wg_wait(&many);
    assert_int_equal(n_many_failed, 0);
    wg_destroy(&many);
    free(writes);
}

static void test_deferred_writes_are_limited_in_bytes(void **state)
{
    const size_t size = (size_t)32 << 20;
    char *large = xcalloc(1, size);
    struct store_write *writes = make_many(10, true);
    struct written first;
    size_t n_taken = 0;
    enum err err = ERR_OK;

    (void)state;
    open_with("behind-interval", "1h");
    occupy(&first);
    while (n_taken < 10 && err == ERR_OK) {
        wg_add(&many, 1);
        writes[n_taken].key = SLICE("k"); /* The last one is carried out. */
        writes[n_taken].value = slice_make(large, size);
        err = store_write_start(bed.store, &writes[n_taken]);
        n_taken += err == ERR_OK ? 1 : 0;
    }
    wg_done(&many);

    assert_int_equal(err, ERR_STORE_BUSY);
    assert_int_equal(n_taken, 8);
    let_go(&first);
    wg_wait(&many);
    assert_int_equal(n_many_failed, 0);
    wg_add(&many, 1);
    assert_int_equal(store_write_start(bed.store, &writes[9]), ERR_OK);
    store_bed_close(&bed);
    wg_wait(&many);
    wg_destroy(&many);
    free(writes);
    free(large);
}

static void test_a_group_that_fails_is_tried_in_smaller_ones(void **state)
{
    const size_t n = 4096;
    struct store_write *writes = make_many(n, true);

    (void)state;
    open_with("behind-interval", "1h");
    fake_store_fail(bed.fake, FAKE_COMMIT, NULL, 3, ERR_STORE_DOWN);
    wg_add(&many, (long)n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(store_write_start(bed.store, &writes[i]), ERR_OK);
    }
    store_bed_close(&bed); /* Commits the rest, fewer than a group. */
    wg_wait(&many);

    assert_int_equal(n_many_failed, 0);
    /* 4096, 2048, 1024, then 512, 1024, 2048, 512. */
    assert_int_equal(fake_store_calls(bed.fake, FAKE_COMMIT), 7);
    assert_int_equal(fake_store_group(bed.fake), 512);
    wg_destroy(&many);
    free(writes);
}

static void test_a_lock_is_waited_for(void **state)
{
    struct written w;

    (void)state;
    open_with(NULL, NULL);
    fake_store_fail(bed.fake, FAKE_BEGIN, NULL, 3, ERR_STORE_LOCKED);
    start(&w, "greeting", "hello", false);
    written_wait(&w);

    assert_int_equal(w.err, ERR_OK);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_BEGIN), 4);
    written_destroy(&w);
}

static void test_a_lock_held_too_long_fails_who_waits(void **state)
{
    struct written deferred;
    struct written urgent;

    (void)state;
    store_bed_set(&bed, "store-timeout", "30ms");
    open_with("behind-interval", "1h");
    fake_store_fail(bed.fake, FAKE_BEGIN, NULL, 1000000, ERR_STORE_LOCKED);
    start(&deferred, "deferred", "", true);
    start(&urgent, "urgent", "", false);
    written_wait(&urgent);

    assert_int_equal(urgent.err, ERR_STORE_LOCKED);
    assert_int_equal(deferred.n_done, 0);
    store_bed_close(&bed);
    assert_int_equal(deferred.err, ERR_SHUTTING_DOWN);
    assert_int_equal(deferred.n_done, 1);
    written_destroy(&deferred);
    written_destroy(&urgent);
}

static void test_close_tries_again_before_it_gives_up(void **state)
{
    struct written w;

    (void)state;
    open_with("behind-interval", "1h");
    fake_store_fail(bed.fake, FAKE_BEGIN, NULL, 2, ERR_STORE_LOCKED);
    start(&w, "greeting", "hello", true);
    store_bed_close(&bed);

    assert_int_equal(w.err, ERR_OK);
    assert_true(fake_store_has(bed.fake, "greeting"));
    written_destroy(&w);
}

static void test_too_many_writes_are_refused_and_the_rest_is_kept(void **state)
{
    const size_t n = 140000;
    struct store_write *writes = make_many(n, false);
    struct written first;
    size_t n_taken = 0;
    enum err err = ERR_OK;

    (void)state;
    open_with(NULL, NULL);
    occupy(&first);
    while (n_taken < n && err == ERR_OK) {
        wg_add(&many, 1);
        err = store_write_start(bed.store, &writes[n_taken]);
        n_taken += err == ERR_OK ? 1 : 0;
    }
    wg_done(&many);

    assert_int_equal(err, ERR_STORE_BUSY);
    assert_int_equal(n_taken, 131072);
    let_go(&first);
    wg_wait(&many);
    assert_int_equal(n_many_failed, 0);
    wg_destroy(&many);
    free(writes);
}

static enum err late_err;

static void write_late(struct store_write *write, enum err err,
                       struct slice detail)
{
    static struct store_write late = {.op = STORE_CLEAR_PLAIN,
                                      .done = many_done};

    (void)write;
    (void)err;
    (void)detail;
    late_err = store_write_start(bed.store, &late);
}

static void close_store(void *arg)
{
    (void)arg;
    store_bed_close(&bed);
}

static void test_a_store_that_closes_refuses_writes(void **state)
{
    struct store_write write = {
        .op = STORE_CLEAR_PLAIN, .deferred = true, .done = write_late};
    struct waitgroup closing;

    (void)state;
    /* Deferred: begun only because the store closes. */
    open_with("behind-interval", "1h");
    assert_int_equal(store_write_start(bed.store, &write), ERR_OK);
    wg_init(&closing);
    assert_int_equal(wg_go(&closing, "close", close_store, NULL), ERR_OK);
    wg_wait(&closing);

    assert_int_equal(late_err, ERR_SHUTTING_DOWN);
    wg_destroy(&closing);
}

/* ---- checkpoints ---- */

static void test_the_writer_checkpoints_between_commits(void **state)
{
    const int64_t checkpoints = stats_sum(STATS_store_checkpoints);

    (void)state;
    open_with(NULL, NULL);
    fake_store_set_checkpoint_due(bed.fake, true);
    fake_store_fail(bed.fake, FAKE_CHECKPOINT, NULL, 1, ERR_STORE_DOWN);
    assert_int_equal(write_now(bed.store, "a", ""), ERR_OK);
    assert_int_equal(write_now(bed.store, "a", ""), ERR_OK);
    store_bed_close(&bed);

    assert_int_equal(fake_store_calls(bed.fake, FAKE_CHECKPOINT), 2);
    assert_int_equal(stats_sum(STATS_store_checkpoints), checkpoints + 2);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define MANUAL(test) \
    cmocka_unit_test_setup_teardown(test, set_up_manual, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_write_ends_after_its_commit),
        CASE(test_what_queued_during_a_commit_is_the_next_group),
        CASE(test_a_violated_constraint_is_one_writes_own),
        MANUAL(test_a_deferred_write_waits_for_half_of_the_interval),
        MANUAL(test_a_shorter_interval_counts_for_what_waits),
        CASE(test_deferred_writes_go_with_one_that_is_not),
        CASE(test_many_deferred_writes_do_not_wait),
        CASE(test_large_deferred_writes_do_not_wait),
        CASE(test_close_commits_deferred_writes),
        CASE(test_a_walk_sees_deferred_writes),
        CASE(test_a_walk_fails_if_deferred_writes_do),
        CASE(test_a_failed_commit_fails_its_writes_and_keeps_deferred),
        CASE(test_a_store_that_fails_within_a_write_is_asked_without_it),
        CASE(test_a_write_that_fails_alone_takes_nobody_along),
        CASE(test_deferred_writes_are_tried_again_by_themselves),
        CASE(test_a_pile_of_deferred_writes_does_not_hide_a_failure),
        CASE(test_deferred_writes_are_limited_in_number),
        CASE(test_a_group_that_fails_is_tried_in_smaller_ones),
        CASE(test_a_lock_is_waited_for),
        CASE(test_a_lock_held_too_long_fails_who_waits),
        CASE(test_close_tries_again_before_it_gives_up),
        CASE(test_deferred_writes_are_limited_in_bytes),
        CASE(test_too_many_writes_are_refused_and_the_rest_is_kept),
        CASE(test_a_store_that_closes_refuses_writes),
        CASE(test_the_writer_checkpoints_between_commits),
    };

    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
