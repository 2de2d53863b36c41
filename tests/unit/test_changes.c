/* SPDX-License-Identifier: MIT */
/*
 * What is told of writes beside their events: who wrote, what was told too
 * early, and that everything was flushed.
 */
#include "server/lookup/changes.h"

#include "common/hash.h"
#include "server/lookup/feed.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct fixture *f;
static struct buf heard; /* "set k by 7;" */

static void hear(void *arg, const struct change *change)
{
    (void)arg;
    buf_append_string(&heard, change->class == CHANGE_QUIET ? "quiet"
                              : change->class == CHANGE_ALL ? "all"
                              : change->class == CHANGE_FLUSHED
                                  ? "flushed"
                                  : change->event);
    if (change->key.size > 0) {
        buf_append_char(&heard, ' ');
        buf_append_slice(&heard, change->key);
    }
    if (change->origin != 0) {
        buf_printf(&heard, " by %d", (int)change->origin);
    }
    buf_append_char(&heard, ';');
}

static void expect(const char *text)
{
    assert_string_equal(buf_string(&heard), text);
    buf_clear(&heard);
}

static int set_up_with(const char *plain_writes, const char *record_writes)
{
    const char *const directives[] = {plain_writes, record_writes,
                                      "behind-interval 1h", "max-age 1h", NULL};

    f = fixture_new(directives);
    fake_store_set_book(f->fake, "3", "old", NULL, "1859");
    changes_listen(f->changes, hear, NULL);
    return 0;
}

static int set_up_through(void **state)
{
    (void)state;
    return set_up_with("plain-writes through", "record-writes through");
}

static int set_up_behind(void **state)
{
    (void)state;
    return set_up_with("plain-writes behind", "record-writes behind");
}

static int set_up_none(void **state)
{
    (void)state;
    return set_up_with("plain-writes none", "record-writes through");
}

static int tear_down(void **state)
{
    (void)state;
    fixture_free(f);
    buf_destroy(&heard);
    return 0;
}

static void on_done(void *arg, const struct update_outcome *outcome)
{
    bool *done = arg;

    assert_int_equal(outcome->err, ERR_OK);
    *done = true;
}

/* Writes for the client of id 7. */
static void write_one(const struct update *update)
{
    bool done = false;
    const struct update_caller caller = {
        .home = chan_tx(f->home), .done = on_done, .arg = &done, .origin = 7};

    (void)update_start(f->lookup, update, 1, &caller);
    while (!done) {
        fixture_run_one(f);
    }
}

static void put(const char *key, const char *value)
{
    write_one(&(struct update){.op = STORE_PUT_PLAIN,
                               .key = slice_from_string(key),
                               .value = slice_from_string(value),
                               .event = "set",
                               .class = CHANGE_STRING});
}

/* Sets the title of book 3, which memory knows. */
static void set_title(const char *title)
{
    const struct slice fields[] = {SLICE("title"), slice_from_string(title)};

    write_one(&(struct update){.op = STORE_SET_COLUMNS,
                               .key = SLICE("book:3"),
                               .fields = fields,
                               .n_fields = ARRAY_LEN(fields),
                               .event = "hset",
                               .class = CHANGE_HASH});
}

static void read_book(void)
{
    struct asked a;

    (void)ask_text(f, "book:3", &a);
    asked_free(&a);
}

/* Waits until all that was deferred is committed, and settled. */
static void commit(void)
{
    struct written w;

    fixture_update(f,
                   &(struct update){.op = STORE_PUT_ROW,
                                    .key = SLICE("book:9"),
                                    .value = SLICE("{\"title\":\"x\"}")},
                   &w);
    fixture_run_write(f, &w);
    written_free(&w);
}

static void test_who_wrote_is_told(void **state)
{
    (void)state;
    put("k", "1");
    expect("set k by 7;");
}

static void test_a_flush_is_told(void **state)
{
    (void)state;
    write_one(&(struct update){.op = STORE_CLEAR_PLAIN, .key = SLICE("")});
    expect("flushed by 7;");
}

static void test_a_row_as_it_was_believed_is_told_once(void **state)
{
    (void)state;
    read_book();
    set_title("new");
    expect("hset book:3 by 7;");
    commit();
    expect("");
}

static void test_a_write_that_is_lost_is_told_again(void **state)
{
    (void)state;
    read_book();
    fake_store_fail(f->fake, FAKE_APPLY, "book:3", 1, ERR_CONSTRAINT);
    set_title("new");
    expect("hset book:3 by 7;");
    commit();
    expect("quiet book:3;"); /* The writer hears of it, too. */
}

static void test_a_row_that_came_otherwise_is_told_again(void **state)
{
    (void)state;
    read_book();
    /* As by a program whose change is not known yet. */
    fake_store_set_book(f->fake, "3", "old", "Somebody", "1859");
    set_title("new");
    expect("hset book:3 by 7;");
    commit();
    expect("quiet book:3;"); /* The writer hears of it, too. */
}

static void test_a_change_of_all_names_the_mapping(void **state)
{
    const struct store_observer feed = feed_observer(lookup_feed(f->lookup));

    (void)state;
    feed.changed_all(feed.arg, NULL);
    feed.changed(feed.arg, SLICE("book:3"), STORE_ROW_DELETED);
    expect("all;del book:3;");
}

#define TEST(name, how) \
    cmocka_unit_test_setup_teardown(name, set_up_##how, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_wrote_is_told, through),
        TEST(test_who_wrote_is_told, behind),
        TEST(test_who_wrote_is_told, none),
        TEST(test_a_flush_is_told, through),
        TEST(test_a_flush_is_told, behind),
        TEST(test_a_flush_is_told, none),
        TEST(test_a_row_as_it_was_believed_is_told_once, behind),
        TEST(test_a_write_that_is_lost_is_told_again, behind),
        TEST(test_a_row_that_came_otherwise_is_told_again, behind),
        TEST(test_a_change_of_all_names_the_mapping, through),
    };

    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
