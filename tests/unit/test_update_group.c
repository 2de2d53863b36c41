/* SPDX-License-Identifier: MIT */
/*
 * Groups of writes through the store: all or nothing, there and for whoever
 * reads through the cache, at every moment that gates can hold.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "server/admin/stats.h"
#include "server/lookup/changes.h"
#include "server/lookup/feed.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define BOOK(title) \
    "{\"id\":3,\"title\":\"" title "\",\"author\":null,\"year\":null}"

static int set_up_with(void **state, const char *plain_writes)
{
    const char *const directives[] = {plain_writes, "behind-interval 1h",
                                      "store-threads 4", "max-age 1h", NULL};
    struct fixture *f = fixture_new(directives);

    fake_store_set_book(f->fake, "3", "old", NULL, NULL);
    fake_store_set_plain(f->fake, "k", "old", 0);
    stats_reset();
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, "plain-writes through");
}

static int set_up_behind(void **state)
{
    return set_up_with(state, "plain-writes behind");
}

static int set_up_none(void **state)
{
    return set_up_with(state, "plain-writes none");
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/* ---- what groups are made of ---- */

static struct update put(const char *key, const char *value)
{
    struct slice id;
    const bool record =
        mapping_find(&mappings_builtin, slice_from_string(key), &id) != NULL;

    return (struct update){.op = record ? STORE_PUT_ROW : STORE_PUT_PLAIN,
                           .key = slice_from_string(key),
                           .value = slice_from_string(value),
                           .event = "set",
                           .class = CHANGE_STRING};
}

static enum err refuse(void *context, const struct present *now,
                       struct update *update, struct buf *room,
                       struct buf *detail)
{
    (void)context;
    (void)now;
    (void)update;
    (void)room;
    buf_append_string(detail, "the test refuses");
    return ERR_WRONG_TYPE;
}

static bool no(void *arg)
{
    (void)arg;
    return false;
}

#define N_PAIR 2

/* "k" and "book:3" become 'new'. */
static void begin_pair(struct fixture *f, struct grouped *g)
{
    const struct update pair[N_PAIR] = {put("k", "new"),
                                        put("book:3", BOOK("new"))};

    fixture_group(f, pair, N_PAIR, NULL, NULL, g);
}

static void assert_answer(struct fixture *f, const char *key, const char *text)
{
    struct asked a;

    assert_string_equal(ask_text(f, key, &a), text);
    asked_free(&a);
}

static void assert_pair(struct fixture *f, bool is_new)
{
    assert_answer(f, "k", is_new ? "new" : "old");
    assert_answer(f, "book:3", is_new ? BOOK("new") : BOOK("old"));
}

static bool is_cached(struct fixture *f, const char *name)
{
    const struct slice key = slice_from_string(name);
    struct copy copy;

    return cache_get(f->cache, key, hash_bytes(key), 0, &copy, NULL);
}

static void hold(struct fixture *f, enum fake_call call,
                 enum fake_moment moment)
{
    fake_store_hold(f->fake, call, moment);
}

static void wait_held(struct fixture *f, enum fake_call call,
                      enum fake_moment moment)
{
    fake_store_wait_held(f->fake, call, moment, 1);
}

static void release(struct fixture *f, enum fake_call call,
                    enum fake_moment moment)
{
    fake_store_release(f->fake, call, moment);
}

static void put_and_wait(struct fixture *f, const char *key, const char *value)
{
    struct written w;

    fixture_put(f, key, value, &w);
    fixture_run_write(f, &w);
    assert_int_equal(w.result.err, ERR_OK);
    written_free(&w);
}

/* ---- all or nothing ---- */

static void test_a_group_is_committed_and_cached_as_one(void **state)
{
    struct fixture *f = *state;
    struct grouped g;

    assert_pair(f, false);
    begin_pair(f, &g);
    fixture_run_group(f, &g);

    assert_int_equal(g.err, ERR_OK);
    assert_int_equal(g.n, N_PAIR);
    assert_int_equal(g.results[0].n_changed, 1);
    assert_int_equal(g.results[1].n_changed, 1);
    assert_true(is_cached(f, "k"));
    assert_true(is_cached(f, "book:3"));
    assert_pair(f, true);
}

static void test_what_the_database_refuses_takes_all_back(void **state)
{
    struct fixture *f = *state;
    const struct update group[] = {put("k", "new"),
                                   put("book:3", "{\"author\":\"no title\"}")};
    struct grouped g;

    assert_pair(f, false);
    fixture_group(f, group, 2, NULL, NULL, &g);
    fixture_run_group(f, &g);

    assert_int_equal(g.err, ERR_CONSTRAINT);
    assert_int_equal(g.results[0].err, ERR_CONSTRAINT);
    assert_pair(f, false);
}

static void test_what_a_member_refuses_itself_fails_alone(void **state)
{
    struct fixture *f = *state;
    struct update group[] = {put("book:3", BOOK("bad")), put("k", "new"),
                             put("book:x", BOOK("bad"))};
    struct grouped g;

    group[0].decide = refuse;
    fixture_group(f, group, 3, NULL, NULL, &g);
    fixture_run_group(f, &g);

    assert_int_equal(g.err, ERR_OK);
    assert_int_equal(g.results[0].err, ERR_WRONG_TYPE);
    assert_int_equal(g.results[1].err, ERR_OK);
    assert_int_equal(g.results[2].err, ERR_INVALID);
    assert_answer(f, "k", "new");
    assert_answer(f, "book:3", BOOK("old"));
}

static void test_a_group_that_is_told_not_to_go_on_does_nothing(void **state)
{
    struct fixture *f = *state;
    const struct update group[] = {put("k", "new"), put("other", "new")};
    struct grouped g;

    fixture_group(f, group, 2, no, NULL, &g);
    fixture_run_group(f, &g);
    assert_int_equal(g.err, ERR_CONFLICT);
    fixture_group(f, group, 1, no, NULL, &g);
    fixture_run_group(f, &g);
    assert_int_equal(g.err, ERR_CONFLICT);

    assert_answer(f, "k", "old");
    assert_answer(f, "other", "(none)");
}

static void test_a_failed_commit_shows_nothing_of_the_group(void **state)
{
    struct fixture *f = *state;
    struct grouped g;

    assert_pair(f, false);
    hold(f, FAKE_COMMIT, FAKE_BEFORE);
    fake_store_fail(f->fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);
    begin_pair(f, &g);
    wait_held(f, FAKE_COMMIT, FAKE_BEFORE);
    assert_pair(f, false);
    release(f, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run_group(f, &g);

    assert_int_equal(g.err, ERR_STORE_DOWN);
    assert_pair(f, false);
    assert_true(is_cached(f, "k")); /* The mark is off: fills are kept. */
}

/* The copy of the first has gone, that of the second has not. */
static void test_a_group_that_memory_cannot_hold_is_seen_whole(void **state)
{
    static char large[700 << 10];
    struct fixture *f = *state;
    struct asked k, m;
    struct grouped g;

    memset(large, 'x', sizeof large - 1);
    const struct update group[] = {put("k", "1"), put("m", large)};
    fake_store_set_plain(f->fake, "m", "old", 0);
    cache_set_max_bytes(f->cache, 600 << 10);
    assert_string_equal(ask_text(f, "k", &k), "old");
    assert_string_equal(ask_text(f, "m", &m), "old");
    asked_free(&k);
    asked_free(&m);
    hold(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_group(f, group, 2, NULL, NULL, &g);
    assert_false(g.answered);
    wait_held(f, FAKE_COMMIT, FAKE_AFTER);
    (void)lookup_evict(f->lookup, SLICE("m"));
    assert_string_equal(ask_text(f, "m", &m), large);
    assert_string_equal(ask_text(f, "k", &k), "1");
    release(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_run_group(f, &g);

    asked_free(&k);
    asked_free(&m);
}

static void test_a_key_written_twice_has_the_second_value(void **state)
{
    struct fixture *f = *state;
    const struct update group[] = {put("a", "1"), put("b", "1"), put("a", "2")};
    struct grouped g;

    fixture_group(f, group, 3, NULL, NULL, &g);
    fixture_run_group(f, &g);

    assert_int_equal(g.results[0].n_created, 1);
    assert_int_equal(g.results[2].n_changed, 1);
    assert_true(is_cached(f, "a"));
    assert_answer(f, "a", "2");
    assert_answer(f, "b", "1");
}

/* ---- who reads meanwhile ---- */

static void test_readers_see_the_group_when_the_store_does(void **state)
{
    struct fixture *f = *state;
    struct grouped g;

    assert_pair(f, false); /* Cached, both. */
    hold(f, FAKE_COMMIT, FAKE_BEFORE);
    hold(f, FAKE_COMMIT, FAKE_AFTER);
    begin_pair(f, &g);

    wait_held(f, FAKE_COMMIT, FAKE_BEFORE);
    assert_pair(f, false);
    assert_false(is_cached(f, "k")); /* Asked, and not kept. */
    release(f, FAKE_COMMIT, FAKE_BEFORE);
    wait_held(f, FAKE_COMMIT, FAKE_AFTER);
    assert_pair(f, true); /* Nothing was acknowledged yet. */
    assert_false(g.answered);
    release(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_run_group(f, &g);
    assert_pair(f, true);
}

static void test_nobody_joins_a_read_from_before_the_commit(void **state)
{
    struct fixture *f = *state;
    struct asked before, after;
    struct grouped g;

    hold(f, FAKE_COMMIT, FAKE_BEFORE);
    hold(f, FAKE_COMMIT, FAKE_AFTER);
    begin_pair(f, &g);
    wait_held(f, FAKE_COMMIT, FAKE_BEFORE);
    fake_store_hold_key(f->fake, FAKE_READ, FAKE_AFTER, "k");
    fixture_ask(f, "k", &before); /* Has read what was before. */
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 1);
    release(f, FAKE_COMMIT, FAKE_BEFORE);
    wait_held(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_ask(f, "k", &after);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 2);
    fake_store_release_key(f->fake, FAKE_READ, FAKE_AFTER, "k");
    fixture_run(f, &before);
    fixture_run(f, &after);
    release(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_run_group(f, &g);

    assert_string_equal(asked_text(&before), "old");
    assert_string_equal(asked_text(&after), "new");
    assert_pair(f, true);
    asked_free(&before);
    asked_free(&after);
}

static void test_a_read_from_before_the_turn_is_fenced(void **state)
{
    struct fixture *f = *state;
    struct asked before;
    struct grouped g;

    fake_store_hold_key(f->fake, FAKE_READ, FAKE_AFTER, "k");
    fixture_ask(f, "k", &before);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 1);
    hold(f, FAKE_COMMIT, FAKE_AFTER);
    begin_pair(f, &g);
    wait_held(f, FAKE_COMMIT, FAKE_AFTER);
    fake_store_release_key(f->fake, FAKE_READ, FAKE_AFTER, "k");
    fixture_run(f, &before);

    assert_string_equal(asked_text(&before), "old");
    assert_pair(f, true);
    release(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_run_group(f, &g);
    assert_pair(f, true);
    asked_free(&before);
}

/* ---- beside a copy that the store does not have yet ---- */

/* "k" is dirty, and a group that the store must decide has its turn. */
static void begin_over_dirty(struct fixture *f, struct grouped *g)
{
    put_and_wait(f, "k", "dirty");
    assert_answer(f, "book:3", BOOK("old"));
    hold(f, FAKE_COMMIT, FAKE_BEFORE);
    begin_pair(f, g);
    assert_false(g->answered);
    wait_held(f, FAKE_COMMIT, FAKE_BEFORE);
}

static void test_lookups_of_a_dirty_key_wait_for_the_group(void **state)
{
    struct fixture *f = *state;
    struct asked early, late;
    struct grouped g;

    begin_over_dirty(f, &g);
    hold(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_ask(f, "k", &early);
    assert_false(early.answered); /* The store would say "old". */
    release(f, FAKE_COMMIT, FAKE_BEFORE);
    wait_held(f, FAKE_COMMIT, FAKE_AFTER);
    assert_answer(f, "book:3", BOOK("new"));
    fixture_ask(f, "k", &late); /* May not be "dirty" any more. */
    assert_false(late.answered);
    release(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_run(f, &early);
    fixture_run(f, &late);
    fixture_run_group(f, &g);

    assert_string_equal(asked_text(&early), "new");
    assert_string_equal(asked_text(&late), "new");
    assert_pair(f, true);
    asked_free(&early);
    asked_free(&late);
}

static void test_after_a_failed_group_the_dirty_copy_is_back(void **state)
{
    struct fixture *f = *state;
    struct asked early;
    struct grouped g;

    fake_store_fail(f->fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);
    begin_over_dirty(f, &g);
    fixture_ask(f, "k", &early);
    assert_false(early.answered);
    release(f, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run(f, &early);
    fixture_run_group(f, &g);

    assert_int_equal(g.err, ERR_STORE_DOWN);
    assert_string_equal(asked_text(&early), "dirty");
    assert_answer(f, "k", "dirty");
    assert_answer(f, "book:3", BOOK("old"));
    asked_free(&early);
}

static void test_who_waits_for_a_group_has_a_deadline(void **state)
{
    struct fixture *f = *state;
    const struct lookup_bounds soon = {.max_age_us = 0, .wait_us = 1000};
    struct asked early;
    struct grouped g;

    begin_over_dirty(f, &g);
    fixture_ask_within(f, "k", &soon, &early);
    fixture_run(f, &early);
    assert_int_equal(early.answer.err, ERR_STORE_TIMEOUT);
    release(f, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run_group(f, &g);

    assert_pair(f, true);
    asked_free(&early);
}

/* ---- beside other writes of the same transaction ---- */

struct listener {
    struct fixture *f;
    int n_told;
    int n_cached; /* Times that a told key had a copy. */
};

static void hear(void *arg, const struct change *change)
{
    struct listener *l = arg;
    struct copy copy;

    l->n_told++;
    l->n_cached += cache_get(l->f->cache, change->key, hash_bytes(change->key),
                             0, &copy, NULL);
}

/* Keeps the writer busy until more is queued. */
static void hold_writer(struct fixture *f, struct written *w)
{
    hold(f, FAKE_BEGIN, FAKE_BEFORE);
    fixture_put(f, "first", "x", w);
    wait_held(f, FAKE_BEGIN, FAKE_BEFORE);
}

static void
test_of_writes_in_one_transaction_only_the_last_is_cached(void **state)
{
    struct fixture *f = *state;
    struct listener l = {.f = f};
    struct written first, one, two;

    changes_listen(f->changes, hear, &l);
    hold_writer(f, &first);
    fixture_update(f,
                   &(struct update){.op = STORE_PUT_PLAIN,
                                    .key = SLICE("k"),
                                    .value = SLICE("1"),
                                    .event = "set"},
                   &one);
    fixture_update(f,
                   &(struct update){.op = STORE_PUT_PLAIN,
                                    .key = SLICE("k"),
                                    .value = SLICE("2"),
                                    .event = "set"},
                   &two);
    release(f, FAKE_BEGIN, FAKE_BEFORE);
    fixture_run_write(f, &two);

    /* Who has seen "2" in the store does not find "1" in the cache. */
    assert_int_equal(l.n_told, 2);
    assert_int_equal(l.n_cached, 1);
    assert_answer(f, "k", "2");
    written_free(&first);
    written_free(&one);
    written_free(&two);
}

static void test_a_write_before_the_group_leaves_no_copy_beside_it(void **state)
{
    struct fixture *f = *state;
    struct listener l = {.f = f};
    struct written first, one;
    struct grouped g;

    hold_writer(f, &first);
    fixture_update(f,
                   &(struct update){.op = STORE_PUT_PLAIN,
                                    .key = SLICE("k"),
                                    .value = SLICE("1"),
                                    .event = "set"},
                   &one);
    begin_pair(f, &g);
    changes_listen(f->changes, hear, &l);
    release(f, FAKE_BEGIN, FAKE_BEFORE);
    fixture_run_group(f, &g);

    assert_int_equal(l.n_told, 3);
    assert_int_equal(l.n_cached, 2); /* Those of the group. */
    assert_pair(f, true);
    written_free(&first);
    written_free(&one);
}

static void test_two_groups_of_one_transaction_share_a_key(void **state)
{
    struct fixture *f = *state;
    const struct update other[] = {put("k", "newer"), put("m", "newer")};
    struct written first;
    struct grouped g, h;

    hold_writer(f, &first);
    begin_pair(f, &g);
    fixture_group(f, other, 2, NULL, NULL, &h);
    release(f, FAKE_BEGIN, FAKE_BEFORE);
    fixture_run_group(f, &h);

    assert_true(g.answered);
    assert_answer(f, "k", "newer");
    assert_answer(f, "m", "newer");
    assert_answer(f, "book:3", BOOK("new"));
    assert_true(is_cached(f, "k"));
    written_free(&first);
}

static void test_lookups_wait_through_two_groups_of_a_dirty_key(void **state)
{
    struct fixture *f = *state;
    const struct update other[] = {put("k", "newer"), put("m", "newer")};
    struct asked early;
    struct written first;
    struct grouped g, h;

    put_and_wait(f, "k", "dirty");
    hold(f, FAKE_BEGIN, FAKE_BEFORE);
    fixture_put(f, "book:5", NULL, &first);
    wait_held(f, FAKE_BEGIN, FAKE_BEFORE);
    begin_pair(f, &g);
    fixture_group(f, other, 2, NULL, NULL, &h);
    hold(f, FAKE_COMMIT, FAKE_AFTER);
    release(f, FAKE_BEGIN, FAKE_BEFORE);
    wait_held(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_ask(f, "k", &early);
    release(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_run(f, &early);
    fixture_run_group(f, &h);

    assert_true(g.answered);
    assert_answer(f, "k", "newer");
    asked_free(&early);
    written_free(&first);
}

/* ---- beside changes by others ---- */

static void test_a_foreign_change_after_the_commit_wins(void **state)
{
    struct fixture *f = *state;
    const struct store_observer feed = feed_observer(lookup_feed(f->lookup));
    struct grouped g;

    hold(f, FAKE_COMMIT, FAKE_AFTER);
    begin_pair(f, &g);
    wait_held(f, FAKE_COMMIT, FAKE_AFTER);
    fake_store_set_book(f->fake, "3", "foreign", NULL, NULL);
    feed.changed(feed.arg, SLICE("book:3"), STORE_ROW_WRITTEN);
    release(f, FAKE_COMMIT, FAKE_AFTER);
    fixture_run_group(f, &g);

    assert_int_equal(g.err, ERR_OK);
    assert_answer(f, "book:3", BOOK("foreign"));
    assert_answer(f, "k", "new");
}

/* ---- many keys, in memory only ---- */

static void test_memory_only_keys_change_together(void **state)
{
    struct fixture *f = *state;
    const struct update set[] = {put("a", "1"), put("b", "2"), put("a", "3")};
    const struct update drop[] = {
        {.op = STORE_DELETE_PLAIN, .key = SLICE("a")},
        {.op = STORE_DELETE_PLAIN, .key = SLICE("none")},
        put("b", "4"),
    };
    struct grouped g;

    fixture_group(f, set, 3, NULL, NULL, &g);
    assert_true(g.answered);
    assert_int_equal(g.results[2].n_changed, 1);
    assert_answer(f, "a", "3");
    fixture_group(f, drop, 3, NULL, NULL, &g);

    assert_true(g.answered);
    assert_int_equal(g.results[0].n_changed, 1);
    assert_int_equal(g.results[1].n_changed, 0);
    assert_answer(f, "a", "(none)");
    assert_answer(f, "b", "4");
    assert_int_equal(fake_store_calls(f->fake, FAKE_APPLY), 0);
}

#define THROUGH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define BEHIND(name) \
    cmocka_unit_test_setup_teardown(name, set_up_behind, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        THROUGH(test_a_group_is_committed_and_cached_as_one),
        THROUGH(test_what_the_database_refuses_takes_all_back),
        THROUGH(test_what_a_member_refuses_itself_fails_alone),
        THROUGH(test_a_group_that_is_told_not_to_go_on_does_nothing),
        BEHIND(test_a_group_that_is_told_not_to_go_on_does_nothing),
        THROUGH(test_a_failed_commit_shows_nothing_of_the_group),
        THROUGH(test_a_key_written_twice_has_the_second_value),
        BEHIND(test_a_group_that_memory_cannot_hold_is_seen_whole),
        BEHIND(test_a_key_written_twice_has_the_second_value),
        THROUGH(test_readers_see_the_group_when_the_store_does),
        THROUGH(test_nobody_joins_a_read_from_before_the_commit),
        THROUGH(test_a_read_from_before_the_turn_is_fenced),
        BEHIND(test_lookups_of_a_dirty_key_wait_for_the_group),
        BEHIND(test_after_a_failed_group_the_dirty_copy_is_back),
        BEHIND(test_who_waits_for_a_group_has_a_deadline),
        THROUGH(test_of_writes_in_one_transaction_only_the_last_is_cached),
        THROUGH(test_a_write_before_the_group_leaves_no_copy_beside_it),
        THROUGH(test_two_groups_of_one_transaction_share_a_key),
        BEHIND(test_lookups_wait_through_two_groups_of_a_dirty_key),
        THROUGH(test_a_foreign_change_after_the_commit_wins),
        cmocka_unit_test_setup_teardown(test_memory_only_keys_change_together,
                                        set_up_none, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
