/* SPDX-License-Identifier: MIT */
/*
 * Updates decided in memory: when it knows enough, what it says until the store
 * has it, and what becomes of it then.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "server/admin/stats.h"
#include "server/lookup/changes.h"
#include "server/lookup/feed.h"
#include "server/lookup/freshness.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define BOOK(title) \
    "{\"id\":3,\"title\":\"" title "\",\"author\":null,\"year\":null}"

static int set_up_with(void **state, const char *plain_writes,
                       const char *record_writes)
{
    const char *const directives[] = {
        plain_writes,          record_writes, "behind-interval 1h",
        "negative-max-age 1h", "max-age 1h",  NULL};
    struct fixture *f = fixture_new(directives);

    fake_store_set_book(f->fake, "3", "old", NULL, "1859");
    stats_reset();
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, "plain-writes behind", "record-writes behind");
}

static int set_up_through(void **state)
{
    return set_up_with(state, "plain-writes through", "record-writes through");
}

static int set_up_none(void **state)
{
    return set_up_with(state, "plain-writes none", "record-writes through");
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/* ---- an update that looks: a number that grows ---- */

static enum err add_one(void *context, const struct present *now,
                        struct update *update, struct buf *room,
                        struct buf *detail)
{
    int64_t number = 0;

    (void)context;
    if (now->kind != COPY_NEGATIVE && !slice_to_int64(now->bytes, &number)) {
        buf_append_string(detail, "no number");
        return ERR_INVALID;
    }
    buf_append_int64(room, number + 1);
    update->value = buf_slice(room);
    update->expires_ms = now->expires_ms;
    return ERR_OK;
}

static struct update grow(const char *key)
{
    return (struct update){.op = STORE_PUT_PLAIN,
                           .key = slice_from_string(key),
                           .event = "incrby",
                           .class = CHANGE_STRING,
                           .decide = add_one};
}

static void begin_grow(struct fixture *f, const char *key, struct written *w)
{
    const struct update update = grow(key);

    fixture_update(f, &update, w);
}

static void put(struct fixture *f, const char *key, const char *value,
                struct written *w)
{
    fixture_put(f, key, value, w);
    fixture_run_write(f, w);
    assert_int_equal(w->result.err, ERR_OK);
    written_free(w);
}

/* Through the store: commits all before it. */
static void commit(struct fixture *f)
{
    struct written w;

    put(f, "book:9", "{\"title\":\"x\"}", &w);
}

static void assert_answer(struct fixture *f, const char *key, const char *text)
{
    struct asked a;

    assert_string_equal(ask_text(f, key, &a), text);
    asked_free(&a);
}

static void assert_stored(struct fixture *f, const char *key, const char *value)
{
    struct buf bytes = {0};

    assert_true(fake_store_get(f->fake, key, NULL, &bytes));
    assert_string_equal(buf_string(&bytes), value);
    buf_destroy(&bytes);
}

static size_t n_dirty(struct fixture *f)
{
    struct cache_usage usage;

    cache_usage(f->cache, &usage);
    return usage.dirty_entries;
}

/* ---- when memory knows ---- */

static void test_a_dirty_copy_is_decided_over_at_once(void **state)
{
    struct fixture *f = *state;
    struct written w;

    put(f, "n", "41", &w);
    begin_grow(f, "n", &w);

    assert_true(w.answered);
    assert_int_equal(w.result.n_changed, 1);
    assert_answer(f, "n", "42");
    assert_false(fake_store_has(f->fake, "n"));
    commit(f);
    assert_stored(f, "n", "42");
    assert_int_equal(n_dirty(f), 0);
}

static void test_a_fresh_copy_is_decided_over_at_once(void **state)
{
    struct fixture *f = *state;
    struct written w;

    fake_store_set_plain(f->fake, "n", "41", 0);
    assert_answer(f, "n", "41");
    assert_answer(f, "none", "(none)");
    begin_grow(f, "n", &w);
    assert_true(w.answered);
    begin_grow(f, "none", &w);

    assert_true(w.answered);
    assert_int_equal(w.result.n_created, 1);
    assert_answer(f, "n", "42");
    assert_answer(f, "none", "1");
}

static void test_without_a_copy_the_store_decides(void **state)
{
    struct fixture *f = *state;
    struct written w;

    fake_store_set_plain(f->fake, "n", "41", 0);
    begin_grow(f, "n", &w);
    assert_false(w.answered);
    fixture_run_write(f, &w);
    assert_stored(f, "n", "42");
    begin_grow(f, "n", &w); /* Now there is one. */

    assert_true(w.answered);
    assert_answer(f, "n", "43");
}

static void test_a_distrusted_copy_is_not_decided_over(void **state)
{
    struct fixture *f = *state;
    const struct store_observer feed = feed_observer(lookup_feed(f->lookup));
    struct written w;

    fake_store_set_plain(f->fake, "n", "1", 0);
    assert_answer(f, "n", "1");
    fake_store_set_plain(f->fake, "n", "41", 0); /* By somebody else. */
    feed.changed_all(feed.arg, NULL);
    begin_grow(f, "n", &w);
    fixture_run_write(f, &w);

    assert_answer(f, "n", "42");
}

static void test_while_a_write_is_under_way_memory_does_not_know(void **state)
{
    struct fixture *f = *state;
    struct written one, two, plain;

    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    begin_grow(f, "n", &one);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    assert_answer(f, "n", "(none)"); /* A fresh copy of the past. */
    begin_grow(f, "n", &two);
    fixture_put(f, "n", "10", &plain);
    assert_false(two.answered);
    assert_false(plain.answered); /* Nor is a blind one first. */
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run_write(f, &plain);

    assert_true(one.answered);
    assert_int_equal(two.result.n_changed, 1);
    assert_answer(f, "n", "10");
    begin_grow(f, "n", &one);
    assert_true(one.answered);
    assert_answer(f, "n", "11");
}

static void test_while_all_keys_are_deleted_memory_does_not_know(void **state)
{
    struct fixture *f = *state;
    struct written flush, w;

    put(f, "n", "41", &w);
    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_update(
        f, &(struct update){.op = STORE_CLEAR_PLAIN, .key = SLICE("")}, &flush);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    begin_grow(f, "n", &w);
    assert_false(w.answered);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run_write(f, &w);

    assert_true(flush.answered);
    assert_answer(f, "n", "1");
}

static void test_what_a_decision_refuses_is_answered_at_once(void **state)
{
    struct fixture *f = *state;
    struct written w;

    put(f, "n", "text", &w);
    begin_grow(f, "n", &w);

    assert_true(w.answered);
    assert_int_equal(w.result.err, ERR_INVALID);
    assert_answer(f, "n", "text");
    assert_int_equal(n_dirty(f), 1);
    written_free(&w);
}

static void test_an_expired_copy_is_nothing(void **state)
{
    struct fixture *f = *state;
    struct written w;

    fixture_update(f,
                   &(struct update){.op = STORE_PUT_PLAIN,
                                    .key = SLICE("n"),
                                    .value = SLICE("41"),
                                    .expires_ms = clock_wall_ms() - 1},
                   &w);
    assert_true(w.answered);
    assert_answer(f, "n", "(none)");
    fixture_put(f, "n", NULL, &w);
    assert_int_equal(w.result.n_changed, 0);
    begin_grow(f, "n", &w);

    assert_true(w.answered);
    assert_int_equal(w.result.n_created, 1);
    assert_answer(f, "n", "1");
    commit(f);
    assert_stored(f, "n", "1");
}

/* ---- deletes ---- */

static void test_a_delete_in_memory_ends_as_a_negative_copy(void **state)
{
    struct fixture *f = *state;
    struct cache_usage usage;
    struct written w;

    fake_store_set_plain(f->fake, "n", "41", 0);
    assert_answer(f, "n", "41");
    fixture_put(f, "n", NULL, &w);
    assert_true(w.answered);
    assert_int_equal(w.result.n_changed, 1);
    assert_int_equal(n_dirty(f), 1);
    assert_answer(f, "n", "(none)"); /* Though the store has it. */
    assert_true(fake_store_has(f->fake, "n"));
    assert_false(lookup_evict(f->lookup, SLICE("n")));
    commit(f);

    assert_false(fake_store_has(f->fake, "n"));
    cache_usage(f->cache, &usage);
    assert_int_equal(usage.dirty_entries, 0);
    assert_int_equal(usage.negative_entries, 1);
    assert_true(lookup_evict(f->lookup, SLICE("n")));
    assert_answer(f, "n", "(none)");
}

static void test_a_delete_without_a_copy_asks_the_store(void **state)
{
    struct fixture *f = *state;
    struct written w;

    fake_store_set_plain(f->fake, "n", "41", 0);
    fixture_put(f, "n", NULL, &w);
    assert_false(w.answered);
    fixture_run_write(f, &w);

    assert_int_equal(w.result.n_changed, 1);
    assert_false(fake_store_has(f->fake, "n"));
}

static void test_a_fill_from_before_a_delete_in_memory_is_fenced(void **state)
{
    struct fixture *f = *state;
    struct asked before;
    struct written w;

    fake_store_set_plain(f->fake, "n", "41", 0);
    fake_store_hold(f->fake, FAKE_READ, FAKE_AFTER);
    fixture_ask(f, "n", &before);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 1);
    put(f, "n", "42", &w);
    fixture_put(f, "n", NULL, &w);
    assert_true(w.answered);
    fake_store_release(f->fake, FAKE_READ, FAKE_AFTER);
    fixture_run(f, &before);

    assert_string_equal(asked_text(&before), "41");
    assert_answer(f, "n", "(none)");
    asked_free(&before);
}

/* ---- the way into the store ---- */

static void test_a_foreign_change_behind_the_commit_drops_the_copy(void **state)
{
    struct fixture *f = *state;
    const struct store_observer feed = feed_observer(lookup_feed(f->lookup));
    struct written w;

    put(f, "n", "1", &w);
    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_AFTER);
    fixture_put(f, "book:9", "{\"title\":\"x\"}", &w);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_AFTER, 1);
    fake_store_set_plain(f->fake, "n", "foreign", 0);
    feed.changed(feed.arg, SLICE("n"), STORE_ROW_WRITTEN);
    assert_answer(f, "n", "1"); /* Pinned: its write is not settled. */
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_AFTER);
    fixture_run_write(f, &w);

    assert_answer(f, "n", "foreign");
    written_free(&w);
}

static void test_a_foreign_change_before_the_write_is_overwritten(void **state)
{
    struct fixture *f = *state;
    const struct store_observer feed = feed_observer(lookup_feed(f->lookup));
    struct written w;

    put(f, "n", "1", &w);
    fake_store_set_plain(f->fake, "n", "foreign", 0);
    feed.changed(feed.arg, SLICE("n"), STORE_ROW_WRITTEN);
    assert_answer(f, "n", "1");
    commit(f);

    assert_answer(f, "n", "1");
    assert_stored(f, "n", "1");
}

static void test_a_lost_write_takes_its_copy_along(void **state)
{
    struct fixture *f = *state;
    struct written w;

    fake_store_set_plain(f->fake, "n", "41", 0);
    assert_answer(f, "n", "41");
    fake_store_fail(f->fake, FAKE_APPLY, "n", 1, ERR_READONLY);
    fixture_put(f, "n", NULL, &w);
    assert_true(w.answered);
    commit(f);

    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "n", "41");
}

static void
test_what_memory_cannot_hold_is_known_to_the_store_alone(void **state)
{
    struct fixture *f = *state;
    struct written w, next;

    put(f, "n", "41", &w);
    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    mem_fail_nth(2); /* The batch, and the entry. */
    begin_grow(f, "n", &w);
    mem_fail_nth(0);
    assert_false(w.answered);
    begin_grow(f, "n", &next); /* "41" is not the last word. */
    assert_false(next.answered);
    assert_answer(f, "n", "41"); /* But acknowledged. */
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run_write(f, &w);
    fixture_run_write(f, &next);

    assert_answer(f, "n", "43");
    assert_int_equal(n_dirty(f), 0);
}

/* ---- groups ---- */

static bool yes(void *arg)
{
    ++*(int *)arg;
    return true;
}

static bool no(void *arg)
{
    ++*(int *)arg;
    return false;
}

static void test_a_group_that_memory_knows_is_acknowledged_at_once(void **state)
{
    struct fixture *f = *state;
    struct update group[] = {grow("n"), grow("m"), grow("n")};
    struct grouped g;
    struct written w;
    int n_checks = 0;

    put(f, "n", "1", &w);
    put(f, "m", "5", &w);
    fixture_group(f, group, 3, yes, &n_checks, &g);
    assert_true(g.answered);
    assert_int_equal(g.err, ERR_OK);
    assert_int_equal(n_checks, 1);
    assert_answer(f, "n", "3");
    assert_answer(f, "m", "6");
    commit(f);

    assert_stored(f, "n", "3");
    assert_stored(f, "m", "6");
    assert_int_equal(n_dirty(f), 0);
    fixture_group(f, group, 3, no, &n_checks, &g);
    assert_true(g.answered);
    assert_int_equal(g.err, ERR_CONFLICT);
    assert_answer(f, "n", "3");
}

static void test_a_group_of_which_memory_knows_a_part_goes_through(void **state)
{
    struct fixture *f = *state;
    struct update group[] = {grow("n"), grow("m")};
    struct grouped g;
    struct written w;

    put(f, "n", "1", &w);
    fake_store_set_plain(f->fake, "m", "5", 0);
    fixture_group(f, group, 2, NULL, NULL, &g);
    assert_false(g.answered);
    fixture_run_group(f, &g);

    assert_int_equal(g.err, ERR_OK);
    assert_answer(f, "n", "2");
    assert_answer(f, "m", "6");
    assert_int_equal(n_dirty(f), 0);
}

struct seen {
    int n;
    char text[32];
};

static void note(void *context, const struct present *now)
{
    struct seen *seen = context;

    seen->n++;
    snprintf(seen->text, sizeof seen->text, "%.*s", (int)now->bytes.size,
             now->bytes.data);
}

static void test_a_read_in_a_group_sees_what_came_before_it(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    struct update group[] = {
        grow("n"),
        {.op = STORE_READ, .key = SLICE("n"), .context = &seen, .found = note},
        grow("n")};
    struct grouped g;
    struct written w;

    put(f, "n", "1", &w);
    fixture_group(f, group, 3, NULL, NULL, &g);
    assert_true(g.answered);
    assert_string_equal(seen.text, "2");
    assert_answer(f, "n", "3");
    commit(f);
    (void)lookup_evict(f->lookup, SLICE("n"));
    fixture_group(f, group, 3, NULL, NULL, &g);
    assert_false(g.answered);
    fixture_run_group(f, &g);

    assert_string_equal(seen.text, "4"); /* In the store as well. */
    assert_answer(f, "n", "5");
}

static void test_reads_alone_are_answered_from_copies_in_any_mode(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    struct update group[] = {
        {.op = STORE_READ, .key = SLICE("n"), .context = &seen, .found = note},
        {.op = STORE_READ,
         .key = SLICE("none"),
         .context = &seen,
         .found = note}};
    struct grouped g;

    fake_store_set_plain(f->fake, "n", "41", 0);
    fixture_group(f, group, 2, NULL, NULL, &g);
    assert_false(g.answered);
    fixture_run_group(f, &g);
    assert_int_equal(seen.n, 2);
    assert_answer(f, "n", "41");
    assert_answer(f, "none", "(none)");
    fixture_group(f, group, 1, NULL, NULL, &g);

    assert_true(g.answered);
    assert_string_equal(seen.text, "41");
}

/* ---- records ---- */

static struct update set_field(const struct slice fields[2])
{
    return (struct update){.op = STORE_SET_COLUMNS,
                           .key = SLICE("book:3"),
                           .fields = fields,
                           .n_fields = 2,
                           .event = "hset",
                           .class = CHANGE_HASH};
}

#define ROW(title, year) \
    "{\"id\":3,\"title\":\"" title "\",\"author\":null,\"year\":" year "}"

static void test_a_field_of_a_known_record_is_set_at_once(void **state)
{
    struct fixture *f = *state;
    const struct slice year[] = {SLICE("year"), SLICE("1860")};
    const struct slice title[] = {SLICE("title"), SLICE("new")};
    const struct update updates[] = {set_field(year), set_field(title)};
    struct written w;

    assert_answer(f, "book:3", ROW("old", "1859"));
    fixture_update(f, &updates[0], &w);
    assert_true(w.answered);
    fixture_update(f, &updates[1], &w);
    assert_true(w.answered);
    assert_answer(f, "book:3", ROW("new", "1860"));
    commit(f);

    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "book:3", ROW("new", "1860"));
    (void)lookup_evict(f->lookup, SLICE("book:3"));
    assert_answer(f, "book:3", ROW("new", "1860"));
}

static void test_what_cannot_be_foreseen_goes_through(void **state)
{
    struct fixture *f = *state;
    const struct slice no_number[] = {SLICE("year"), SLICE("x")};
    const struct slice real[] = {SLICE("year"), SLICE("1.5")};
    const struct slice key[] = {SLICE("id"), SLICE("3")};
    const struct slice unknown[] = {SLICE("colour"), SLICE("red")};
    const struct update updates[] = {set_field(no_number), set_field(real),
                                     set_field(key), set_field(unknown)};

    assert_answer(f, "book:3", ROW("old", "1859"));
    for (size_t i = 0; i < sizeof updates / sizeof updates[0]; i++) {
        struct written w;
        fixture_update(f, &updates[i], &w);
        assert_false(w.answered);
        fixture_run_write(f, &w);
        written_free(&w);
    }
}

static void test_a_record_that_is_deleted_is_gone_at_once(void **state)
{
    struct fixture *f = *state;
    struct written w;

    assert_answer(f, "book:3", ROW("old", "1859"));
    fixture_put(f, "book:3", NULL, &w);
    assert_true(w.answered);
    assert_int_equal(w.result.n_changed, 1);
    assert_answer(f, "book:3", "(none)");
    commit(f);

    assert_false(fake_store_has(f->fake, "book:3"));
    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "book:3", "(none)");
}

static void test_a_row_that_the_database_refuses_is_not_believed(void **state)
{
    struct fixture *f = *state;
    const struct slice none[] = {SLICE("title"), {.data = NULL, .size = 0}};
    const struct update update = set_field(none);
    struct written w;

    assert_answer(f, "book:3", ROW("old", "1859"));
    fixture_update(f, &update, &w);
    assert_true(w.answered);
    commit(f);

    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "book:3", ROW("old", "1859"));
}

/* ---- versions ---- */

static void test_a_copy_older_than_a_version_does_not_answer(void **state)
{
    struct fixture *f = *state;
    struct lookup_bounds bounds = {.max_age_us = FRESHNESS_NO_BOUND,
                                   .stale_us = FRESHNESS_NO_BOUND,
                                   .wait_us = FRESHNESS_NO_BOUND};
    struct asked a;
    struct written w;

    assert_answer(f, "book:3", ROW("old", "1859"));
    put(f, "dirty", "v", &w);
    fixture_ask_within(f, "book:3", &bounds, &a);
    assert_true(a.answered);
    asked_free(&a);
    bounds.min_version = cache_version(f->cache);
    fixture_ask_within(f, "book:3", &bounds, &a);
    assert_false(a.answered);
    fixture_run(f, &a);
    asked_free(&a);
    fixture_ask_within(f, "book:3", &bounds, &a);
    assert_true(a.answered); /* It has been filled since. */
    asked_free(&a);
    bounds.min_version = cache_version(f->cache) + 1;
    fixture_ask_within(f, "dirty", &bounds, &a);

    assert_true(a.answered); /* Nobody has a younger one. */
    asked_free(&a);
}

static void
test_without_the_store_an_older_version_does_not_answer(void **state)
{
    struct fixture *f = *state;
    struct lookup_bounds bounds = {.max_age_us = FRESHNESS_NO_BOUND,
                                   .stale_us = FRESHNESS_NO_BOUND,
                                   .wait_us = FRESHNESS_NO_BOUND};
    struct asked a;

    assert_answer(f, "book:3", ROW("old", "1859"));
    bounds.min_version = cache_version(f->cache) + 1;
    fake_store_fail(f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
    fixture_ask_within(f, "book:3", &bounds, &a);
    fixture_run(f, &a);

    assert_int_equal(a.answer.outcome, LOOKUP_FAILED);
    asked_free(&a);
}

/* ---- none ---- */

static void test_memory_only_keys_are_decided_over(void **state)
{
    struct fixture *f = *state;
    struct written w;

    begin_grow(f, "n", &w);
    assert_true(w.answered);
    assert_int_equal(w.result.n_created, 1);
    begin_grow(f, "n", &w);

    assert_true(w.answered);
    assert_answer(f, "n", "2");
    assert_int_equal(fake_store_calls(f->fake, FAKE_APPLY), 0);
}

#define BEHIND(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define THROUGH(name) \
    cmocka_unit_test_setup_teardown(name, set_up_through, tear_down)
#define NONE(name) cmocka_unit_test_setup_teardown(name, set_up_none, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BEHIND(test_a_dirty_copy_is_decided_over_at_once),
        BEHIND(test_a_fresh_copy_is_decided_over_at_once),
        BEHIND(test_without_a_copy_the_store_decides),
        BEHIND(test_a_distrusted_copy_is_not_decided_over),
        BEHIND(test_while_a_write_is_under_way_memory_does_not_know),
        BEHIND(test_while_all_keys_are_deleted_memory_does_not_know),
        BEHIND(test_what_a_decision_refuses_is_answered_at_once),
        BEHIND(test_an_expired_copy_is_nothing),
        BEHIND(test_a_delete_in_memory_ends_as_a_negative_copy),
        BEHIND(test_a_delete_without_a_copy_asks_the_store),
        BEHIND(test_a_fill_from_before_a_delete_in_memory_is_fenced),
        BEHIND(test_a_foreign_change_behind_the_commit_drops_the_copy),
        BEHIND(test_a_foreign_change_before_the_write_is_overwritten),
        BEHIND(test_a_lost_write_takes_its_copy_along),
        BEHIND(test_what_memory_cannot_hold_is_known_to_the_store_alone),
        BEHIND(test_a_group_that_memory_knows_is_acknowledged_at_once),
        BEHIND(test_a_group_of_which_memory_knows_a_part_goes_through),
        BEHIND(test_a_read_in_a_group_sees_what_came_before_it),
        THROUGH(test_reads_alone_are_answered_from_copies_in_any_mode),
        BEHIND(test_a_field_of_a_known_record_is_set_at_once),
        BEHIND(test_what_cannot_be_foreseen_goes_through),
        BEHIND(test_a_record_that_is_deleted_is_gone_at_once),
        BEHIND(test_a_row_that_the_database_refuses_is_not_believed),
        BEHIND(test_a_copy_older_than_a_version_does_not_answer),
        BEHIND(test_without_the_store_an_older_version_does_not_answer),
        NONE(test_memory_only_keys_are_decided_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
