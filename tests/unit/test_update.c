/* SPDX-License-Identifier: MIT */
/*
 * Writes and the fence, in orders that gates make happen.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "server/admin/stats.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define OLD_BOOK "{\"id\":3,\"title\":\"Old\",\"author\":null,\"year\":null}"
#define NEW_BOOK "{\"id\":3,\"title\":\"New\",\"author\":null,\"year\":null}"

static struct fixture *set_up_with(const char *plain_writes)
{
    const char *const directives[] = {plain_writes, "behind-interval 1h", NULL};
    struct fixture *f = fixture_new(directives);

    fake_store_set_book(f->fake, "3", "Old", NULL, NULL);
    stats_reset();
    return f;
}

static int set_up(void **state)
{
    *state = set_up_with("plain-writes through");
    return 0;
}

static int set_up_behind(void **state)
{
    *state = set_up_with("plain-writes behind");
    return 0;
}

static int set_up_none(void **state)
{
    *state = set_up_with("plain-writes none");
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

static void put_and_wait(struct fixture *f, const char *key, const char *value)
{
    struct written w;

    fixture_put(f, key, value, &w);
    fixture_run_write(f, &w);
    assert_int_equal(w.result.err, ERR_OK);
    written_free(&w);
}

static void assert_answer(struct fixture *f, const char *key, const char *text)
{
    struct asked a;

    assert_string_equal(ask_text(f, key, &a), text);
    asked_free(&a);
}

/* ---- through ---- */

static void test_a_write_is_in_store_and_cache_when_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    put_and_wait(f, "book:3", NEW_BOOK);
    fixture_ask(f, "book:3", &a);

    assert_true(a.answered);
    assert_string_equal(asked_text(&a), NEW_BOOK);
    assert_true(fake_store_has(f->fake, "book:3"));
    asked_free(&a);
}

static void test_a_failed_commit_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct written w;

    assert_answer(f, "book:3", OLD_BOOK);
    fake_store_fail(f->fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);
    fixture_put(f, "book:3", NEW_BOOK, &w);
    fixture_run_write(f, &w);
    assert_int_equal(w.result.err, ERR_STORE_DOWN);
    written_free(&w);

    assert_answer(f, "book:3", OLD_BOOK);
}

static void test_a_fill_older_than_a_write_is_never_cached(void **state)
{
    struct fixture *f = *state;
    struct asked before, after;

    fake_store_hold_key(f->fake, FAKE_READ, FAKE_AFTER, "book:3");
    fixture_ask(f, "book:3", &before);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 1);
    put_and_wait(f, "book:3", NEW_BOOK);
    fixture_ask(f, "book:3", &after); /* Begun after the acknowledgement. */
    assert_true(after.answered);
    assert_string_equal(asked_text(&after), NEW_BOOK);
    fake_store_release_key(f->fake, FAKE_READ, FAKE_AFTER, "book:3");
    fixture_run(f, &before);

    assert_string_equal(asked_text(&before), OLD_BOOK); /* It may. */
    assert_answer(f, "book:3", NEW_BOOK);
    assert_int_equal(stats_sum(STATS_fills_fenced), 1);
    asked_free(&before);
    asked_free(&after);
}

static void test_a_fill_that_came_before_the_fence_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct written w;

    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_put(f, "book:3", NEW_BOOK, &w);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    assert_answer(f, "book:3", OLD_BOOK); /* Filled while the write waits. */
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run_write(f, &w);

    assert_answer(f, "book:3", NEW_BOOK);
    written_free(&w);
}

static void test_a_delete_leaves_a_negative_copy(void **state)
{
    struct fixture *f = *state;
    struct asked a;
    struct written w;

    assert_answer(f, "book:3", OLD_BOOK);
    fixture_put(f, "book:3", NULL, &w);
    fixture_run_write(f, &w);
    assert_int_equal(w.result.n_changed, 1);
    fixture_ask(f, "book:3", &a);

    assert_true(a.answered);
    assert_string_equal(asked_text(&a), "(none)");
    asked_free(&a);
}

static void test_an_insert_drops_the_negative_copy_at_once(void **state)
{
    struct fixture *f = *state;

    assert_answer(f, "k", "(none)");
    put_and_wait(f, "k", "v");

    assert_answer(f, "k", "v");
}

static void test_a_record_key_without_an_integer_is_refused(void **state)
{
    struct fixture *f = *state;
    struct written w;

    fixture_put(f, "book:x", NEW_BOOK, &w);

    assert_true(w.answered);
    assert_int_equal(w.result.err, ERR_INVALID);
    written_free(&w);
    fixture_put(f, "book:x", NULL, &w);
    assert_true(w.answered);
    assert_int_equal(w.result.err, ERR_OK);
    assert_int_equal(w.result.n_changed, 0);
}

static void test_a_write_that_does_not_fit_its_key_is_refused(void **state)
{
    static const struct slice fields[] = {SLICE("title"), SLICE("t"),
                                          SLICE("year")};
    const struct update updates[] = {
        {.op = STORE_PUT_PLAIN, .key = SLICE("book:3"), .value = SLICE("v")},
        {.op = STORE_DELETE_PLAIN, .key = SLICE("book:3")},
        {.op = STORE_PUT_ROW, .key = SLICE("k"), .value = SLICE("{}")},
        {.op = STORE_DELETE_ROW, .key = SLICE("k")},
        {.op = STORE_SET_COLUMNS,
         .key = SLICE("k"),
         .fields = fields,
         .n_fields = 2},
        {.op = STORE_SET_COLUMNS,
         .key = SLICE("book:3"),
         .fields = fields,
         .n_fields = 3},
        {.op = STORE_PUT_PLAIN,
         .key = SLICE("k"),
         .value = SLICE("\2\0\0\0\1a\1b"),
         .type = PLAIN_HASH}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof updates / sizeof updates[0]; i++) {
        struct written w;
        fixture_update(f, &updates[i], &w);
        assert_true(w.answered);
        assert_int_equal(w.result.err, ERR_INVALID);
        written_free(&w);
    }
    assert_int_equal(fake_store_calls(f->fake, FAKE_APPLY), 0);
}

/* ---- behind ---- */

static size_t n_dirty(struct fixture *f)
{
    struct cache_usage usage;

    cache_usage(f->cache, &usage);
    return usage.dirty_entries;
}

static void test_behind_acknowledges_from_memory(void **state)
{
    struct fixture *f = *state;
    struct written w;

    fixture_put(f, "k", "v", &w);

    assert_true(w.answered);
    assert_int_equal(w.result.err, ERR_OK);
    assert_false(fake_store_has(f->fake, "k"));
    assert_int_equal(n_dirty(f), 1);
    assert_answer(f, "k", "v");
    assert_int_equal(stats_sum(STATS_store_reads), 0);
}

static void test_a_dirty_copy_is_clean_when_committed(void **state)
{
    struct fixture *f = *state;

    put_and_wait(f, "k", "v");
    put_and_wait(f, "book:3", NEW_BOOK); /* Through: commits all before it. */

    assert_true(fake_store_has(f->fake, "k"));
    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "k", "v");
}

static void test_a_dirty_copy_is_never_evicted(void **state)
{
    struct fixture *f = *state;

    put_and_wait(f, "k", "v");

    assert_false(lookup_evict(f->lookup, SLICE("k")));
    assert_answer(f, "k", "v");
}

static void test_a_delete_of_a_dirty_copy_is_acknowledged_at_once(void **state)
{
    struct fixture *f = *state;
    struct written gone, again;

    put_and_wait(f, "k", "one");
    fixture_put(f, "k", NULL, &gone);
    assert_true(gone.answered);
    assert_int_equal(gone.result.n_changed, 1);
    assert_answer(f, "k", "(none)");
    fixture_put(f, "k", NULL, &again);

    assert_true(again.answered);
    assert_int_equal(again.result.n_changed, 0);
    assert_int_equal(n_dirty(f), 1);
    assert_int_equal(stats_sum(STATS_store_reads), 0);
    written_free(&gone);
    written_free(&again);
}

static void on_flushed(void *arg, const struct update_outcome *outcome)
{
    *(bool *)arg = outcome->err == ERR_OK;
}

static void test_a_flush_takes_older_writes_and_younger_ones_wait(void **state)
{
    struct fixture *f = *state;
    bool flushed = false;
    struct written younger;
    const struct update flush = {.op = STORE_CLEAR_PLAIN, .key = SLICE("")};
    const struct update_caller caller = {
        .home = chan_tx(f->home), .done = on_flushed, .arg = &flushed};

    put_and_wait(f, "older", "v");
    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    assert_false(update_start(f->lookup, &flush, 1, &caller));
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fixture_put(f, "younger", "v", &younger);
    assert_false(younger.answered); /* Or it would be seen before the flush. */
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run_write(f, &younger);

    assert_true(flushed);
    written_free(&younger);
    assert_answer(f, "older", "(none)");
    assert_answer(f, "younger", "v");
}

static void test_a_fill_does_not_replace_a_dirty_copy(void **state)
{
    struct fixture *f = *state;
    struct asked before;

    fake_store_set_plain(f->fake, "k", "old", 0);
    fake_store_hold(f->fake, FAKE_READ, FAKE_AFTER);
    fixture_ask(f, "k", &before);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 1);
    put_and_wait(f, "k", "new");
    fake_store_release(f->fake, FAKE_READ, FAKE_AFTER);
    fixture_run(f, &before);

    assert_answer(f, "k", "new");
    asked_free(&before);
}

static void test_a_dirty_copy_answers_alone_under_race_always(void **state)
{
    struct fixture *f = *state;

    fixture_set(f, "race", "always");
    fake_store_set_plain(f->fake, "k", "old", 0);
    put_and_wait(f, "k", "new");

    assert_answer(f, "k", "new");
    assert_int_equal(stats_sum(STATS_store_reads), 0);
}

static void test_what_memory_cannot_hold_is_committed_at_once(void **state)
{
    struct fixture *f = *state;
    static char big[1 << 20];
    struct written w;

    memset(big, 'x', sizeof big - 1);
    cache_set_max_bytes(f->cache, 1 << 19);
    fixture_put(f, "k", big, &w);
    assert_false(w.answered);
    fixture_run_write(f, &w); /* Though the interval is an hour. */

    assert_int_equal(w.result.err, ERR_OK);
    assert_true(fake_store_has(f->fake, "k"));
    written_free(&w);
}

static void test_a_write_that_the_store_refuses_late_is_not_kept(void **state)
{
    struct fixture *f = *state;

    fake_store_set_plain(f->fake, "k", "old", 0);
    fake_store_fail(f->fake, FAKE_APPLY, "k", 1, ERR_READONLY);
    put_and_wait(f, "k", "new"); /* Acknowledged from memory. */
    assert_answer(f, "k", "new");
    put_and_wait(f, "book:3", NEW_BOOK); /* Has all before it committed. */

    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "k", "old");
}

/* More than the store lets wait; the cache must hold them too. */
#define N_CROWD 65600

static void test_who_writes_faster_than_the_store_waits_for_it(void **state)
{
    struct fixture *f = *state;
    struct written *w = xcalloc(N_CROWD, sizeof *w);
    size_t n_waiting = 0;

    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    for (size_t i = 0; i < N_CROWD; i++) {
        char key[32];
        snprintf(key, sizeof key, "k%zu", i);
        fixture_put(f, key, "v", &w[i]);
        n_waiting += !w[i].answered;
    }
    assert_in_range(n_waiting, 1, N_CROWD - 1);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);

    for (size_t i = 0; i < N_CROWD; i++) {
        fixture_run_write(f, &w[i]);
        assert_int_equal(w[i].result.err, ERR_OK);
        written_free(&w[i]);
    }
    free(w);
}

static void test_closing_commits_what_was_acknowledged(void **state)
{
    struct fixture *f = *state;

    put_and_wait(f, "k", "v");
    store_close(f->store);
    f->store = NULL;

    assert_true(fake_store_has(f->fake, "k"));
}

/* ---- none ---- */

static void test_none_keeps_plain_keys_in_memory_only(void **state)
{
    struct fixture *f = *state;
    struct written w;

    put_and_wait(f, "k", "v");
    assert_answer(f, "k", "v");
    assert_answer(f, "other", "(none)");
    fixture_put(f, "k", NULL, &w);

    assert_int_equal(w.result.n_changed, 1);
    assert_answer(f, "k", "(none)");
    assert_int_equal(fake_store_calls(f->fake, FAKE_READ), 0);
    assert_int_equal(fake_store_calls(f->fake, FAKE_APPLY), 0);
}

#define THROUGH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define BEHIND(name) \
    cmocka_unit_test_setup_teardown(name, set_up_behind, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        THROUGH(test_a_write_is_in_store_and_cache_when_acknowledged),
        THROUGH(test_a_failed_commit_changes_nothing),
        THROUGH(test_a_fill_older_than_a_write_is_never_cached),
        THROUGH(test_a_fill_that_came_before_the_fence_is_replaced),
        THROUGH(test_a_delete_leaves_a_negative_copy),
        THROUGH(test_an_insert_drops_the_negative_copy_at_once),
        THROUGH(test_a_record_key_without_an_integer_is_refused),
        THROUGH(test_a_write_that_does_not_fit_its_key_is_refused),
        BEHIND(test_a_write_that_does_not_fit_its_key_is_refused),
        BEHIND(test_behind_acknowledges_from_memory),
        BEHIND(test_a_dirty_copy_is_clean_when_committed),
        BEHIND(test_a_dirty_copy_is_never_evicted),
        BEHIND(test_a_delete_of_a_dirty_copy_is_acknowledged_at_once),
        BEHIND(test_a_flush_takes_older_writes_and_younger_ones_wait),
        BEHIND(test_a_fill_does_not_replace_a_dirty_copy),
        BEHIND(test_a_dirty_copy_answers_alone_under_race_always),
        BEHIND(test_what_memory_cannot_hold_is_committed_at_once),
        BEHIND(test_a_write_that_the_store_refuses_late_is_not_kept),
        BEHIND(test_who_writes_faster_than_the_store_waits_for_it),
        BEHIND(test_closing_commits_what_was_acknowledged),
        cmocka_unit_test_setup_teardown(
            test_none_keeps_plain_keys_in_memory_only, set_up_none, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
