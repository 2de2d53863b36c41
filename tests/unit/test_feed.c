/* SPDX-License-Identifier: MIT */
/*
 * What becomes of copies, and of reads under way, when others change the
 * database: each order of a fill, or of a write, and the change.
 */
#include "server/lookup/feed.h"

#include "common/clock.h"
#include "common/hash.h"
#include "server/admin/stats.h"
#include "server/lookup/changes.h"
#include "server/lookup/watch.h"
#include "server/lookup/why.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define KEY "book:3"
#define OLD "old"
#define NEW "new"

static const char *const directives[] = {
    "max-age 1h",         "negative-max-age 1h", "stale-if-error 1h",
    "breaker-failures 0", "store-threads 4",     NULL};

struct bed {
    struct fixture *f;
    struct store_observer feed;
};

static int set_up(void **state)
{
    static struct bed bed;

    bed.f = fixture_new(directives);
    bed.feed = feed_observer(lookup_feed(bed.f->lookup));
    fake_store_set_book(bed.f->fake, "3", OLD, NULL, NULL);
    *state = &bed;
    return 0;
}

static int tear_down(void **state)
{
    struct bed *bed = *state;

    fixture_free(bed->f);
    return 0;
}

/* Another program has written the row, and the watcher has seen it. */
static void commit_elsewhere(struct bed *bed)
{
    fake_store_set_book(bed->f->fake, "3", NEW, NULL, NULL);
}

static void tell(struct bed *bed, const char *key)
{
    bed->feed.changed(bed->feed.arg, slice_from_string(key), STORE_ROW_WRITTEN);
}

static void tell_all(struct bed *bed, const struct mapping *mapping)
{
    bed->feed.changed_all(bed->feed.arg, mapping);
    /* What is filled in the same microsecond is not trusted either. */
    const int64_t told_us = clock_now_us();
    while (clock_now_us() == told_us) {
    }
}

/* The answer has 'title', or is "(none)", or an error. */
static void assert_says(struct asked *a, const char *title)
{
    const char *text = asked_text(a);

    if (strstr(text, title) == NULL) {
        fail_msg("'%s' does not say '%s'", text, title);
    }
    asked_free(a);
}

static void assert_answers(struct bed *bed, const char *key, const char *title,
                           enum lookup_source source)
{
    struct asked a;

    fixture_ask(bed->f, key, &a);
    fixture_run(bed->f, &a);
    assert_int_equal(a.answer.source, source);
    assert_says(&a, title);
}

static void fill(struct bed *bed)
{
    assert_answers(bed, KEY, OLD, LOOKUP_STORE);
    assert_answers(bed, KEY, OLD, LOOKUP_CACHE);
}

/* ---- copies ---- */

static void test_a_copy_of_a_changed_row_goes(void **state)
{
    struct bed *bed = *state;

    fill(bed);
    commit_elsewhere(bed);
    tell(bed, KEY);

    assert_answers(bed, KEY, NEW, LOOKUP_STORE);
    assert_answers(bed, KEY, NEW, LOOKUP_CACHE);
}

static void test_other_copies_stay(void **state)
{
    struct bed *bed = *state;

    fill(bed);
    tell(bed, "book:4");

    assert_answers(bed, KEY, OLD, LOOKUP_CACHE);
}

static void test_a_negative_copy_goes_when_the_row_appears(void **state)
{
    struct bed *bed = *state;

    assert_true(fake_store_remove(bed->f->fake, KEY));
    assert_answers(bed, KEY, "(none)", LOOKUP_STORE);
    assert_answers(bed, KEY, "(none)", LOOKUP_CACHE);
    commit_elsewhere(bed);
    tell(bed, KEY);

    assert_answers(bed, KEY, NEW, LOOKUP_STORE);
}

static void test_a_copy_of_a_deleted_row_goes(void **state)
{
    struct bed *bed = *state;

    fill(bed);
    assert_true(fake_store_remove(bed->f->fake, KEY));
    bed->feed.changed(bed->feed.arg, SLICE(KEY), STORE_ROW_DELETED);

    assert_answers(bed, KEY, "(none)", LOOKUP_STORE);
}

static void test_a_dirty_copy_stays(void **state)
{
    struct bed *bed = *state;
    struct written w;

    fixture_set(bed->f, "behind-interval", "1h");
    fixture_put(bed->f, "plain", "ours", &w);
    assert_true(w.answered);
    written_free(&w);
    fake_store_set_plain(bed->f->fake, "plain", "theirs", 0);
    tell(bed, "plain");
    tell_all(bed, NULL);

    assert_answers(bed, "plain", "ours", LOOKUP_CACHE);
}

/* ---- reads under way ---- */

static void test_a_fill_from_before_the_change_is_not_cached(void **state)
{
    struct bed *bed = *state;
    const int64_t fenced = stats_sum(STATS_fills_fenced);
    struct asked a;

    fake_store_hold(bed->f->fake, FAKE_READ, FAKE_AFTER);
    fixture_ask(bed->f, KEY, &a);
    fake_store_wait_held(bed->f->fake, FAKE_READ, FAKE_AFTER, 1);
    commit_elsewhere(bed);
    tell(bed, KEY);
    fake_store_release(bed->f->fake, FAKE_READ, FAKE_AFTER);
    fixture_run(bed->f, &a);

    assert_says(&a, OLD); /* It began before. */
    assert_int_equal(stats_sum(STATS_fills_fenced) - fenced, 1);
    assert_answers(bed, KEY, NEW, LOOKUP_STORE);
}

static void test_a_lookup_after_the_change_asks_for_itself(void **state)
{
    struct bed *bed = *state;
    struct asked before, after;

    fake_store_hold(bed->f->fake, FAKE_READ, FAKE_AFTER);
    fixture_ask(bed->f, KEY, &before);
    fake_store_wait_held(bed->f->fake, FAKE_READ, FAKE_AFTER, 1);
    commit_elsewhere(bed);
    tell(bed, KEY);
    fixture_ask(bed->f, KEY, &after);
    fake_store_wait_held(bed->f->fake, FAKE_READ, FAKE_AFTER, 2);
    fake_store_release(bed->f->fake, FAKE_READ, FAKE_AFTER);
    fixture_run(bed->f, &before);
    fixture_run(bed->f, &after);

    assert_says(&before, OLD);
    assert_says(&after, NEW);
    assert_answers(bed, KEY, NEW, LOOKUP_CACHE);
}

static void test_a_fill_that_began_after_the_change_is_cached(void **state)
{
    struct bed *bed = *state;
    struct asked a;

    commit_elsewhere(bed);
    tell(bed, KEY);
    fake_store_hold(bed->f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask(bed->f, KEY, &a);
    fake_store_wait_held(bed->f->fake, FAKE_READ, FAKE_BEFORE, 1);
    tell(bed, "book:4"); /* Another row. */
    fake_store_release(bed->f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_run(bed->f, &a);

    assert_says(&a, NEW);
    assert_answers(bed, KEY, NEW, LOOKUP_CACHE);
}

static void test_a_refresh_from_before_the_change_is_not_cached(void **state)
{
    struct bed *bed = *state;
    struct asked a;

    fill(bed);
    fixture_set(bed->f, "race", "always");
    fake_store_hold(bed->f->fake, FAKE_READ, FAKE_AFTER);
    fixture_ask(bed->f, KEY, &a);
    assert_true(a.answered);
    assert_says(&a, OLD);
    fake_store_wait_held(bed->f->fake, FAKE_READ, FAKE_AFTER, 1);
    commit_elsewhere(bed);
    tell(bed, KEY);
    fake_store_release(bed->f->fake, FAKE_READ, FAKE_AFTER);
    fake_store_wait_calls(bed->f->fake, FAKE_READ, 2);
    fixture_set(bed->f, "race", "never");

    assert_answers(bed, KEY, NEW, LOOKUP_STORE);
}

static void test_a_snapshot_from_before_the_change_fills_nothing(void **state)
{
    struct bed *bed = *state;
    struct asked first, second, third;

    /* One thread, which is busy: what waits behind it is read together. */
    fixture_free(bed->f);
    bed->f = fixture_new(
        (const char *const[]){"max-age 1h", "store-threads 1", NULL});
    bed->feed = feed_observer(lookup_feed(bed->f->lookup));
    fake_store_set_book(bed->f->fake, "3", OLD, NULL, NULL);
    fake_store_hold(bed->f->fake, FAKE_READ, FAKE_BEFORE);
    fake_store_hold(bed->f->fake, FAKE_BEGIN_READ, FAKE_AFTER);
    fixture_ask(bed->f, "book:1", &first);
    fake_store_wait_held(bed->f->fake, FAKE_READ, FAKE_BEFORE, 1);
    fixture_ask(bed->f, "book:2", &second);
    fixture_ask(bed->f, KEY, &third);
    fake_store_release(bed->f->fake, FAKE_READ, FAKE_BEFORE);
    fake_store_wait_held(bed->f->fake, FAKE_BEGIN_READ, FAKE_AFTER, 1);
    commit_elsewhere(bed); /* The snapshot is taken. */
    tell(bed, KEY);
    fake_store_release(bed->f->fake, FAKE_BEGIN_READ, FAKE_AFTER);
    fixture_run(bed->f, &first);
    fixture_run(bed->f, &second);
    fixture_run(bed->f, &third);

    assert_says(&third, OLD);
    asked_free(&first);
    asked_free(&second);
    assert_answers(bed, KEY, NEW, LOOKUP_STORE);
}

/* ---- writes under way ---- */

static void test_a_change_after_our_commit_is_not_hidden_by_it(void **state)
{
    struct bed *bed = *state;
    struct written w;

    fixture_set(bed->f, "record-writes", "through");
    fake_store_hold(bed->f->fake, FAKE_COMMIT, FAKE_AFTER);
    fixture_put(bed->f, KEY, "{\"title\":\"ours\"}", &w);
    fake_store_wait_held(bed->f->fake, FAKE_COMMIT, FAKE_AFTER, 1);
    commit_elsewhere(bed);
    tell(bed, KEY); /* Before our write has settled in the cache. */
    fake_store_release(bed->f->fake, FAKE_COMMIT, FAKE_AFTER);
    fixture_run_write(bed->f, &w);

    assert_int_equal(w.result.err, ERR_OK);
    written_free(&w);
    assert_answers(bed, KEY, NEW, LOOKUP_STORE);
}

static void test_a_nameless_change_after_our_commit_is_not_hidden(void **state)
{
    struct bed *bed = *state;
    struct written w;

    fixture_set(bed->f, "record-writes", "through");
    fake_store_hold(bed->f->fake, FAKE_COMMIT, FAKE_AFTER);
    fixture_put(bed->f, KEY, "{\"title\":\"ours\"}", &w);
    fake_store_wait_held(bed->f->fake, FAKE_COMMIT, FAKE_AFTER, 1);
    commit_elsewhere(bed);
    tell_all(bed, NULL);
    fake_store_release(bed->f->fake, FAKE_COMMIT, FAKE_AFTER);
    fixture_run_write(bed->f, &w);

    assert_int_equal(w.result.err, ERR_OK);
    written_free(&w);
    assert_answers(bed, KEY, NEW, LOOKUP_STORE);
}

static void test_a_write_after_the_change_is_cached(void **state)
{
    struct bed *bed = *state;
    struct written w;

    fixture_set(bed->f, "record-writes", "through");
    fill(bed);
    commit_elsewhere(bed);
    tell(bed, KEY);
    fixture_put(bed->f, KEY, "{\"title\":\"ours\"}", &w);
    fixture_run_write(bed->f, &w);

    written_free(&w);
    assert_answers(bed, KEY, "ours", LOOKUP_CACHE);
}

/* ---- changes that have no name ---- */

static void test_all_copies_of_a_table_are_out_of_date_at_once(void **state)
{
    struct bed *bed = *state;

    fake_store_set_plain(bed->f->fake, "plain", "same", 0);
    assert_answers(bed, "plain", "same", LOOKUP_STORE);
    fill(bed);
    commit_elsewhere(bed);
    tell_all(bed, &mappings_builtin.list[0]);

    assert_answers(bed, KEY, NEW, LOOKUP_STORE);
    assert_answers(bed, KEY, NEW, LOOKUP_CACHE);
    assert_answers(bed, "plain", "same", LOOKUP_CACHE);
    tell_all(bed, NULL);
    assert_answers(bed, KEY, NEW, LOOKUP_STORE);
    assert_answers(bed, "plain", "same", LOOKUP_STORE);
}

static void
test_a_fill_from_before_a_nameless_change_is_not_cached(void **state)
{
    struct bed *bed = *state;
    struct asked a;

    fake_store_hold(bed->f->fake, FAKE_READ, FAKE_AFTER);
    fixture_ask(bed->f, KEY, &a);
    fake_store_wait_held(bed->f->fake, FAKE_READ, FAKE_AFTER, 1);
    commit_elsewhere(bed);
    tell_all(bed, NULL);
    fake_store_release(bed->f->fake, FAKE_READ, FAKE_AFTER);
    fixture_run(bed->f, &a);

    assert_says(&a, OLD);
    assert_answers(bed, KEY, NEW, LOOKUP_STORE);
}

static void test_a_distrusted_copy_answers_if_the_store_fails(void **state)
{
    struct bed *bed = *state;
    struct why why;

    fill(bed);
    assert_answers(bed, "book:9", "(none)", LOOKUP_STORE);
    tell_all(bed, NULL);
    lookup_why(bed->f->lookup, SLICE(KEY), &why);
    assert_string_equal(why.state, "old");
    assert_string_equal(why.answers, "store");
    assert_non_null(strstr(why.reason, "others have changed"));

    fake_store_fail(bed->f->fake, FAKE_READ, NULL, 2, ERR_STORE_DOWN);
    assert_answers(bed, KEY, OLD, LOOKUP_CACHE);
    assert_answers(bed, "book:9", err_str(ERR_STORE_DOWN), LOOKUP_STORE);
}

static void test_no_copy_answers_for_a_table_that_is_another(void **state)
{
    struct bed *bed = *state;

    fill(bed);
    tell_all(bed, NULL);
    fake_store_fail(bed->f->fake, FAKE_READ, NULL, 1, ERR_STORE_MAPPING);

    assert_answers(bed, KEY, err_str(ERR_STORE_MAPPING), LOOKUP_STORE);
}

/* ---- who else hears of it ---- */

static struct change heard[4];
static size_t n_heard;

static void hear(void *arg, const struct change *change)
{
    (void)arg;
    assert_true(n_heard < 4);
    heard[n_heard++] = *change;
}

static void test_listeners_and_watched_keys_hear_of_a_change(void **state)
{
    struct bed *bed = *state;
    struct lookup_parts parts = *lookup_parts(bed->f->lookup);

    n_heard = 0;
    parts.changes = changes_new();
    parts.watches = watches_new();
    changes_listen(parts.changes, hear, NULL);
    struct watched *watched = watches_add(parts.watches, SLICE(KEY));
    const uint64_t version = watched_version(watched);
    struct feed *feed = feed_new(&parts, lookup_flights(bed->f->lookup));
    const struct store_observer observer = feed_observer(feed);

    observer.changed(observer.arg, SLICE(KEY), STORE_ROW_WRITTEN);
    assert_true(watched_version(watched) > version);
    observer.changed(observer.arg, SLICE("book:4"), STORE_ROW_DELETED);
    observer.changed_all(observer.arg, NULL);
    assert_true(watched_version(watched) > version + 1);

    assert_int_equal(n_heard, 3);
    assert_string_equal(heard[0].event, "hset");
    assert_int_equal(heard[0].class, CHANGE_HASH);
    assert_string_equal(heard[1].event, "del");
    assert_int_equal(heard[1].class, CHANGE_GENERIC);
    assert_int_equal(heard[2].class, CHANGE_ALL);
    feed_free(feed);
    watches_remove(parts.watches, watched);
    watches_free(parts.watches);
    changes_free(parts.changes);
}

static void test_the_lag_is_told_in_milliseconds(void **state)
{
    struct bed *bed = *state;
    struct buf text = {0};

    bed->feed.lag(bed->feed.arg, 7000);
    bed->feed.lag(bed->feed.arg, 1250);
    feed_describe(lookup_feed(bed->f->lookup), &text);

    assert_non_null(strstr(buf_string(&text), "feed_lag_ms:1.250\r\n"));
    assert_non_null(strstr(buf_string(&text), "feed_lag_ms_p99:7.000\r\n"));
    assert_non_null(strstr(buf_string(&text), "feed_lag_ms_max:7.000\r\n"));
    buf_destroy(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_copy_of_a_changed_row_goes),
        TEST(test_other_copies_stay),
        TEST(test_a_negative_copy_goes_when_the_row_appears),
        TEST(test_a_copy_of_a_deleted_row_goes),
        TEST(test_a_dirty_copy_stays),
        TEST(test_a_fill_from_before_the_change_is_not_cached),
        TEST(test_a_lookup_after_the_change_asks_for_itself),
        TEST(test_a_fill_that_began_after_the_change_is_cached),
        TEST(test_a_refresh_from_before_the_change_is_not_cached),
        TEST(test_a_snapshot_from_before_the_change_fills_nothing),
        TEST(test_a_change_after_our_commit_is_not_hidden_by_it),
        TEST(test_a_nameless_change_after_our_commit_is_not_hidden),
        TEST(test_a_write_after_the_change_is_cached),
        TEST(test_all_copies_of_a_table_are_out_of_date_at_once),
        TEST(test_a_fill_from_before_a_nameless_change_is_not_cached),
        TEST(test_a_distrusted_copy_answers_if_the_store_fails),
        TEST(test_no_copy_answers_for_a_table_that_is_another),
        TEST(test_listeners_and_watched_keys_hear_of_a_change),
        TEST(test_the_lag_is_told_in_milliseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
