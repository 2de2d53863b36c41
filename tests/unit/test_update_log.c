/* SPDX-License-Identifier: MIT */
/*
 * Writes of plain keys that the log has acknowledged: the cache answers for
 * them until the table has them.
 *
 * The clock stands still, so nothing goes from the log into the table unless
 * a write needs it there, or the clock is moved.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "common/waitgroup.h"
#include "server/admin/stats.h"
#include "server/lookup/changes.h"
#include "server/lookup/feed.h"
#include "server/lookup/watch.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define BOOK(title) \
    "{\"id\":3,\"title\":\"" title "\",\"author\":null,\"year\":null}"

static int set_up(void **state)
{
    static const char *const directives[] = {
        "plain-writes through", "max-age 1h", "negative-max-age 1h", NULL};

    clock_set_manual(1000000);
    struct fixture *f = fixture_new_logged(directives);
    fake_store_set_book(f->fake, "3", "old", NULL, NULL);
    fake_store_set_plain(f->fake, "k", "old", 0);
    stats_reset();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    clock_set_real();
    return 0;
}

static struct update put(const char *key, const char *value)
{
    struct slice id;
    const bool record =
        mapping_find(&mappings_builtin, slice_from_string(key), &id) != NULL;

    return (struct update){.op = record ? STORE_PUT_ROW : STORE_PUT_PLAIN,
                           .key = slice_from_string(key),
                           .value = slice_from_string(value)};
}

static void begin(struct fixture *f, const struct update *updates, size_t n,
                  struct grouped *g)
{
    fixture_group(f, updates, n, NULL, NULL, g);
}

static void write_group(struct fixture *f, const struct update *updates,
                        size_t n)
{
    struct grouped g;

    begin(f, updates, n, &g);
    fixture_run_group(f, &g);
    assert_int_equal(g.err, ERR_OK);
}

static void write_one(struct fixture *f, const char *key, const char *value)
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

static void assert_stored(struct fixture *f, const char *key, const char *value)
{
    struct buf bytes = {0};

    assert_int_equal(fake_store_get(f->fake, key, NULL, &bytes), value != NULL);
    assert_string_equal(buf_string(&bytes), value != NULL ? value : "");
    buf_destroy(&bytes);
}

static size_t n_dirty(struct fixture *f)
{
    struct cache_usage usage;

    cache_usage(f->cache, &usage);
    return usage.dirty_entries;
}

struct barrier {
    struct store_write write;
    struct waitgroup passed;
};

static void on_passed(struct store_write *write, enum err err,
                      struct slice detail)
{
    (void)err;
    (void)detail;
    wg_done(&container_of(write, struct barrier, write)->passed);
}

/* Has the table take what is in the log. */
static void drain(struct fixture *f)
{
    struct barrier b = {.write = {.op = STORE_BARRIER, .done = on_passed}};

    wg_init(&b.passed);
    wg_add(&b.passed, 1);
    assert_int_equal(store_write_start(f->store, &b.write), ERR_OK);
    wg_wait(&b.passed);
    wg_destroy(&b.passed);
}

static void test_a_logged_write_is_answered_from_a_pinned_copy(void **state)
{
    struct fixture *f = *state;

    assert_answer(f, "k", "old");
    write_one(f, "k", "new");
    assert_stored(f, "k", "old");
    assert_int_equal(n_dirty(f), 1);
    assert_false(lookup_evict(f->lookup, SLICE("k")));
    assert_answer(f, "k", "new");
    drain(f);

    assert_stored(f, "k", "new");
    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "k", "new");
    assert_int_equal(stats_sum(STATS_store_reads), 1);
}

static void test_a_logged_delete_is_answered_from_a_pinned_copy(void **state)
{
    struct fixture *f = *state;
    struct written w;

    fixture_put(f, "k", NULL, &w);
    fixture_run_write(f, &w);
    assert_int_equal(w.result.n_changed, 1);
    assert_stored(f, "k", "old");
    assert_answer(f, "k", "(none)");
    drain(f);

    assert_stored(f, "k", NULL);
    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "k", "(none)");
}

static void test_the_younger_of_two_logged_writes_stays(void **state)
{
    struct fixture *f = *state;

    write_one(f, "k", "1");
    write_one(f, "k", "2");
    assert_answer(f, "k", "2");
    assert_int_equal(n_dirty(f), 1);
    drain(f);

    assert_stored(f, "k", "2");
    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "k", "2");
}

static void test_a_logged_group_is_pinned_as_one(void **state)
{
    struct fixture *f = *state;
    const struct update group[] = {put("k", "1"), put("m", "2"), put("k", "3")};

    write_group(f, group, 3);
    assert_stored(f, "k", "old");
    assert_int_equal(n_dirty(f), 2);
    assert_answer(f, "k", "3");
    assert_answer(f, "m", "2");
    drain(f);

    assert_stored(f, "k", "3");
    assert_stored(f, "m", "2");
    assert_int_equal(n_dirty(f), 0);
}

static void test_a_group_past_the_log_takes_what_was_in_it(void **state)
{
    struct fixture *f = *state;
    const struct update group[] = {put("k", "2"), put("book:3", BOOK("2"))};
    struct asked a;
    struct grouped g;

    write_one(f, "k", "1");
    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_AFTER);
    begin(f, group, 2, &g);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_AFTER, 1);
    assert_answer(f, "book:3", BOOK("2"));
    fixture_ask(f, "k", &a); /* "1" would be from before the group. */
    assert_false(a.answered);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_AFTER);
    fixture_run(f, &a);
    fixture_run_group(f, &g);

    assert_string_equal(asked_text(&a), "2");
    assert_stored(f, "k", "2");
    assert_int_equal(n_dirty(f), 0);
    asked_free(&a);
}

static void test_after_a_failed_group_the_logged_copy_is_back(void **state)
{
    struct fixture *f = *state;
    const struct update group[] = {put("k", "2"), put("book:3", BOOK("2"))};
    struct grouped g;

    write_one(f, "k", "1");
    fake_store_fail(f->fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);
    begin(f, group, 2, &g);
    fixture_run_group(f, &g);
    assert_int_equal(g.err, ERR_STORE_DOWN);
    assert_answer(f, "k", "1");
    assert_int_equal(n_dirty(f), 1);
    drain(f);

    assert_stored(f, "k", "1");
}

/* The copy of the first of two writes finds no memory; the second is pinned,
 * and then the first ends, as the second says all. */
static void test_a_write_that_was_outrun_leaves_the_younger_copy(void **state)
{
    struct fixture *f = *state;
    struct written one;

    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    cache_set_max_bytes(f->cache, 1); /* Nothing can be pinned. */
    fixture_put(f, "k", "1", &one);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_pass(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    /* From the log into the table: the table's turn is held. */
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    assert_false(one.answered);
    cache_set_max_bytes(f->cache, 1 << 20);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run_write(f, &one);
    write_one(f, "k", "2");

    assert_answer(f, "k", "2");
    written_free(&one);
}

static void test_a_group_that_cannot_be_pinned_is_waited_for(void **state)
{
    struct fixture *f = *state;
    const struct update group[] = {put("k", "1"), put("m", "2")};
    struct asked k, m;
    struct grouped g;

    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    cache_set_max_bytes(f->cache, 1);
    begin(f, group, 2, &g);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_pass(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_wait_calls(f->fake, FAKE_COMMIT, 2);
    assert_false(g.answered);
    fixture_ask(f, "k", &k); /* The table will have one before the other. */
    fixture_ask(f, "m", &m);
    assert_false(k.answered);
    cache_set_max_bytes(f->cache, 1 << 20);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run(f, &k);
    fixture_run(f, &m);
    fixture_run_group(f, &g);

    assert_string_equal(asked_text(&k), "1");
    assert_string_equal(asked_text(&m), "2");
    asked_free(&k);
    asked_free(&m);
}

/* The group behind it, of the same transaction, changes nothing and ends. */
static void test_it_is_waited_for_when_a_later_group_has_ended(void **state)
{
    struct fixture *f = *state;
    const struct update puts[] = {put("k", "1"), put("m", "2")};
    const struct update reads[] = {{.op = STORE_READ, .key = SLICE("k")},
                                   {.op = STORE_READ, .key = SLICE("m")}};
    struct grouped g, later;
    struct written first;
    struct asked k;

    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    cache_set_max_bytes(f->cache, 1);
    fixture_put(f, "x", "1", &first);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    begin(f, puts, 2, &g);
    begin(f, reads, 2, &later);
    fake_store_pass(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_wait_calls(f->fake, FAKE_COMMIT, 2);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_pass(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fixture_run_group(f, &later);
    assert_false(g.answered);
    fixture_ask(f, "k", &k);
    assert_false(k.answered);
    cache_set_max_bytes(f->cache, 1 << 20);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run(f, &k);
    fixture_run_group(f, &g);
    fixture_run_write(f, &first);

    assert_string_equal(asked_text(&k), "1");
    asked_free(&k);
    written_free(&first);
}

/* The copy of the third write is hidden while the first two end, which nobody
 * could pin. */
static void test_a_hidden_copy_is_left_by_those_it_has_outrun(void **state)
{
    struct fixture *f = *state;
    struct written w[3];
    struct asked a;

    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    cache_set_max_bytes(f->cache, 1);
    fixture_put(f, "k", "1", &w[0]);
    fake_store_wait_calls(f->fake, FAKE_COMMIT, 1);
    fixture_put(f, "k", "2", &w[1]);
    fake_store_pass(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_wait_calls(f->fake, FAKE_COMMIT, 2);
    fixture_put(f, "k", "3", &w[2]);
    fake_store_pass(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_wait_calls(f->fake, FAKE_COMMIT, 3);
    cache_set_max_bytes(f->cache, 1 << 20);
    fake_store_pass(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    for (size_t i = 0; i < 3; i++) {
        fixture_run_write(f, &w[i]);
    }

    const size_t n_pinned = n_dirty(f);
    fixture_ask(f, "k", &a);
    fixture_run(f, &a);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);

    assert_int_equal(n_pinned, 1);
    assert_string_equal(asked_text(&a), "3");
    asked_free(&a);
    for (size_t i = 0; i < 3; i++) {
        written_free(&w[i]);
    }
}

/* Who watches a key sees what is there, or is told that it has changed. */
static void test_a_write_that_cannot_be_pinned_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct written w;
    struct asked a;

    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    cache_set_max_bytes(f->cache, 1);
    fixture_put(f, "k", "new", &w);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    struct watched *watched = watches_add(f->watches, SLICE("k"));
    const uint64_t before = watched_version(watched);
    assert_answer(f, "k", "old");
    fake_store_pass(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_wait_calls(f->fake, FAKE_COMMIT, 2);
    assert_true(watched_version(watched) > before);
    fixture_ask(f, "k", &a);
    assert_false(a.answered);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run(f, &a);
    fixture_run_write(f, &w);

    assert_string_equal(asked_text(&a), "new");
    watches_remove(f->watches, watched);
    asked_free(&a);
    written_free(&w);
}

/* A delete that finds nothing there, as a logged one was before it. */
static void test_a_delete_of_nothing_leaves_a_logged_delete_pinned(void **state)
{
    struct fixture *f = *state;
    struct written first, second;

    fixture_put(f, "k", NULL, &first);
    fixture_run_write(f, &first);
    clock_advance(1); /* So the second is carried out after the first. */
    fixture_put(f, "k", NULL, &second);
    fixture_run_write(f, &second);
    assert_int_equal(second.result.n_changed, 0);

    assert_stored(f, "k", "old");
    assert_int_equal(n_dirty(f), 1);
    assert_false(lookup_evict(f->lookup, SLICE("k")));
    assert_answer(f, "k", "(none)");
    written_free(&first);
    written_free(&second);
}

/* It has neither, and until it has the second nobody else has the first. */
static void
test_a_write_that_cannot_be_pinned_leaves_the_one_before(void **state)
{
    struct fixture *f = *state;
    struct written second;

    write_one(f, "k", "1");
    const unsigned n_commits = fake_store_calls(f->fake, FAKE_COMMIT);
    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    cache_set_max_bytes(f->cache, 1);
    fixture_put(f, "k", "2", &second);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_pass(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_store_wait_calls(f->fake, FAKE_COMMIT, n_commits + 2);
    assert_false(second.answered);
    assert_stored(f, "k", "old");
    assert_int_equal(n_dirty(f), 1);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run_write(f, &second);

    assert_stored(f, "k", "2");
    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "k", "2");
    written_free(&second);
}

/* What its caller forgets once he is told. */
struct wish {
    char value[8];
};

static enum err decide_wish(void *context, const struct present *now,
                            struct update *update, struct buf *room,
                            struct buf *detail)
{
    struct wish *wish = context;

    (void)now;
    (void)room;
    (void)detail;
    update->value = slice_from_string(wish->value);
    return ERR_OK;
}

static void test_what_was_decided_outlives_its_context(void **state)
{
    struct fixture *f = *state;
    struct wish wish = {"new"};
    const struct update update = {.op = STORE_PUT_PLAIN,
                                  .key = SLICE("k"),
                                  .value = SLICE(""),
                                  .decide = decide_wish,
                                  .context = &wish};
    struct written w;

    fixture_update(f, &update, &w);
    fixture_run_write(f, &w);
    assert_stored(f, "k", "old");
    memset(&wish, '?', sizeof wish);
    drain(f);

    assert_stored(f, "k", "new");
    written_free(&w);
}

/* Who begins to watch 'key' when 'update' is carried out, but cannot be seen
 * yet, has read what was before it. */
static void assert_touched_when_seen(struct fixture *f,
                                     const struct update *update)
{
    struct written w;

    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_update(f, update, &w);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    struct watched *watched = watches_add(f->watches, SLICE("book:3"));
    struct watched *plain = watches_add(f->watches, SLICE("k"));
    const uint64_t before = watched_version(watched) + watched_version(plain);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_run_write(f, &w);

    assert_true(watched_version(watched) + watched_version(plain) > before);
    watches_remove(f->watches, watched);
    watches_remove(f->watches, plain);
    written_free(&w);
}

static void test_who_watches_hears_when_a_write_can_be_seen(void **state)
{
    const struct update book = put("book:3", BOOK("new"));
    const struct update flush = {.op = STORE_CLEAR_PLAIN, .key = SLICE("")};

    assert_touched_when_seen(*state, &book);
    assert_touched_when_seen(*state, &flush);
}

static void test_what_is_applied_later_is_not_touched_again(void **state)
{
    struct fixture *f = *state;
    struct watched *watched = watches_add(f->watches, SLICE("k"));

    const uint64_t before = watched_version(watched);
    write_one(f, "k", "new");
    const uint64_t after = watched_version(watched);
    assert_true(after > before);
    drain(f);

    assert_true(watched_version(watched) == after);
    watches_remove(f->watches, watched);
}

static void test_a_flush_takes_what_is_in_the_log(void **state)
{
    struct fixture *f = *state;
    const struct update flush = {.op = STORE_CLEAR_PLAIN, .key = SLICE("")};

    write_one(f, "k", "1");
    write_one(f, "m", "1");
    write_group(f, &flush, 1);

    assert_int_equal(n_dirty(f), 0);
    assert_answer(f, "k", "(none)");
    assert_answer(f, "m", "(none)");
}

#define WITH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_a_logged_write_is_answered_from_a_pinned_copy),
        WITH(test_a_logged_delete_is_answered_from_a_pinned_copy),
        WITH(test_the_younger_of_two_logged_writes_stays),
        WITH(test_a_logged_group_is_pinned_as_one),
        WITH(test_a_group_past_the_log_takes_what_was_in_it),
        WITH(test_after_a_failed_group_the_logged_copy_is_back),
        WITH(test_a_write_that_was_outrun_leaves_the_younger_copy),
        WITH(test_a_group_that_cannot_be_pinned_is_waited_for),
        WITH(test_it_is_waited_for_when_a_later_group_has_ended),
        WITH(test_a_hidden_copy_is_left_by_those_it_has_outrun),
        WITH(test_a_write_that_cannot_be_pinned_is_waited_for),
        WITH(test_a_delete_of_nothing_leaves_a_logged_delete_pinned),
        WITH(test_a_write_that_cannot_be_pinned_leaves_the_one_before),
        WITH(test_what_was_decided_outlives_its_context),
        WITH(test_who_watches_hears_when_a_write_can_be_seen),
        WITH(test_what_is_applied_later_is_not_touched_again),
        WITH(test_a_flush_takes_what_is_in_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
