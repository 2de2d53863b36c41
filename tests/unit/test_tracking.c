/* SPDX-License-Identifier: MIT */
/*
 * Tracking: who is told of what, once or as everything, and what is left of it.
 * The order of messages and replies is that of connections (test_conn.c).
 */
#include "server/command/tracking.h"

#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "common/task.h"
#include "server/command/clients.h"
#include "server/lookup/feed.h"
#include "tests/support/fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct fake_client *c;
static struct fixture *f;

static int set_up(void **state)
{
    const char *const directives[] = {"plain-writes none", "max-age 1h", NULL};

    (void)state;
    f = fixture_new(directives);
    c = fake_client_new(f, 3);
    changes_listen(f->changes, tracking_hear, c->server.tracking);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_client_free(c);
    fixture_free(f);
    clock_set_real();
    return 0;
}

/* ---- what was pushed ---- */

/* Runs the tasks there are, and those they make. */
static void run_tasks(void)
{
    while (chan_len(chan_rx(f->home)) > 0) {
        fixture_run_one(f);
    }
}

/* What was pushed, without lengths: ">2 invalidate *1 k ". */
static const char *words_of(struct buf *pushed)
{
    static char text[4096];
    size_t size = 0;

    buf_append_char(pushed, '\0');
    char *rest = buf_data(pushed);
    for (char *word = strtok(rest, "\r\n"); word != NULL;
         word = strtok(NULL, "\r\n")) {
        if (word[0] != '$' || word[1] == '-') {
            size +=
                (size_t)snprintf(text + size, sizeof text - size, "%s ", word);
        }
    }
    text[size] = '\0';
    buf_clear(pushed);
    return text;
}

static void expect_pushed(const char *expected)
{
    run_tasks();
    assert_string_equal(words_of(&c->pushed), expected);
}

static void change_by(const char *key, uint64_t origin)
{
    const struct change change = {.key = slice_from_string(key),
                                  .event = "set",
                                  .class = CHANGE_STRING,
                                  .origin = origin};

    tracking_hear(c->server.tracking, &change);
}

static void change(const char *key)
{
    change_by(key, 0);
}

static void change_many(enum change_class class, const struct mapping *mapping)
{
    const struct change change = {
        .key = SLICE(""), .class = class, .mapping = mapping};

    tracking_hear(c->server.tracking, &change);
}

static struct tracking_figures figures(void)
{
    run_tasks();
    return tracking_figures(c->server.tracking);
}

/* ---- keys ---- */

static void test_a_read_key_is_told_of_once(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    (void)CALL(c, "GET", "k");
    (void)CALL(c, "GET", "k");
    assert_int_equal(figures().n_items, 1);

    change("other");
    expect_pushed("");
    change("k");
    expect_pushed(">2 invalidate *1 k ");
    change("k");
    expect_pushed("");
    assert_int_equal(figures().n_keys, 0);
}

static void test_keys_of_one_batch_are_one_message(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    (void)CALL(c, "MGET", "a", "b", "c");
    change("c");
    change("a");
    expect_pushed(">2 invalidate *2 c a ");
}

static void test_a_write_is_no_read(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    (void)CALL(c, "SET", "k", "1");
    (void)CALL(c, "GETEX", "k");
    assert_int_equal(figures().n_keys, 0);
}

static void test_what_the_store_is_asked_for_is_told_of(void **state)
{
    (void)state;
    fake_store_set_book(f->fake, "3", "Old", NULL, NULL);
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    fake_store_hold(f->fake, FAKE_READ, FAKE_AFTER);
    struct request *r = BEGIN(c, "GET", "book:3");
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 1);

    fake_store_set_book(f->fake, "3", "New", NULL, NULL);
    const struct store_observer observer =
        feed_observer(lookup_feed(f->lookup));
    observer.changed(observer.arg, SLICE("book:3"), STORE_ROW_WRITTEN);
    fake_store_release(f->fake, FAKE_READ, FAKE_AFTER);

    assert_non_null(strstr(fake_client_take(c, r), "Old"));
    expect_pushed(">2 invalidate *1 book:3 ");
}

static void test_who_wrote_is_left_out_and_stays(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "NOLOOP");
    (void)CALL(c, "GET", "k");
    change_by("k", c->client.id);
    expect_pushed("");
    change_by("k", c->client.id + 1);
    expect_pushed(">2 invalidate *1 k ");

    (void)CALL(c, "GET", "k");
    (void)CALL(c, "SET", "k", "1"); /* By the way of all writes. */
    expect_pushed("");
    assert_int_equal(figures().n_keys, 1);
}

static void test_who_wrote_hears_that_it_was_refused(void **state)
{
    (void)state;
    fixture_set(f, "plain-writes", "behind");
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "NOLOOP");
    (void)CALL(c, "GET", "k");
    fake_store_fail(f->fake, FAKE_APPLY, "k", 1, ERR_READONLY);
    assert_string_equal(CALL(c, "SET", "k", "1"), "+OK\r\n");
    expect_pushed("");
    (void)CALL(c, "SET", "book:3", "{\"title\":\"t\"}"); /* Commits all. */
    expect_pushed(">2 invalidate *1 k ");
}

static void test_a_version_of_what_expires_is_told(void **state)
{
    (void)state;
    fixture_set(f, "plain-writes", "through");
    fake_store_set_plain(f->fake, "k", "1", clock_wall_ms() + 100000);
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "BCAST");
    assert_memory_equal(CALL(c, "BOOK.VERSION", "k"), ":", 1);
    assert_int_equal(figures().n_keys, 1);
}

static void test_over_resp2_nobody_is_told(void **state)
{
    (void)state;
    (void)CALL(c, "HELLO", "2");
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    (void)CALL(c, "GET", "k");
    change("k");
    expect_pushed("");
    assert_int_equal(figures().n_keys, 0);
}

/* ---- many at once ---- */

static void test_a_flush_is_told_as_everything(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    (void)CALL(c, "MGET", "a", "b");
    change("a");
    (void)CALL(c, "FLUSHALL");
    expect_pushed(">2 invalidate _ ");
    assert_int_equal(figures().n_keys, 0);
    change("b");
    expect_pushed("");
}

static void test_a_mapping_is_told_by_its_keys(void **state)
{
    const struct mapping *books = &store_mappings(f->store)->list[0];

    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    (void)CALL(c, "MGET", "k", "book:1", "book:2");
    change_many(CHANGE_ALL, books);
    expect_pushed(">2 invalidate *2 book:2 book:1 ");
    assert_int_equal(figures().n_keys, 1);
    change_many(CHANGE_ALL, NULL);
    expect_pushed(">2 invalidate _ ");
}

static void test_a_mapping_with_many_keys_is_told_as_everything(void **state)
{
    const struct mapping *books = &store_mappings(f->store)->list[0];
    char key[32];

    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    for (int i = 1; i <= 2000; i++) {
        snprintf(key, sizeof key, "book:x%d", i); /* None can exist. */
        (void)CALL(c, "GET", key);
    }
    change_many(CHANGE_ALL, books);
    expect_pushed(">2 invalidate _ ");
    assert_int_equal(figures().n_keys, 0);
    assert_int_equal(figures().n_items, 0);
}

static void test_prefixes_hear_of_a_mapping_they_overlap(void **state)
{
    const struct mapping *books = &store_mappings(f->store)->list[0];

    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "user:");
    change_many(CHANGE_ALL, books);
    expect_pushed("");
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "book:1");
    change_many(CHANGE_ALL, books);
    expect_pushed(">2 invalidate _ ");
}

static void test_too_many_notes_are_everything(void **state)
{
    static char key[1 << 20];

    (void)state;
    memset(key, 'k', sizeof key - 1);
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "BCAST");
    for (int i = 0; i < 100; i++) {
        change(key);
    }
    expect_pushed(">2 invalidate _ ");
    change("k");
    expect_pushed(">2 invalidate *1 k ");
}

/* ---- prefixes ---- */

static void test_prefixes_are_told_of_what_begins_so(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a", "PREFIX",
               "bb");
    change("apple");
    change("b");
    change("bb");
    change("");
    expect_pushed(">2 invalidate *2 apple bb ");
    (void)CALL(c, "CLIENT", "TRACKING", "OFF");
    change("apple");
    expect_pushed("");
    assert_int_equal(figures().n_prefixes, 0);
}

static void test_no_prefix_any_more_is_every_key(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a");
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "BCAST");
    assert_int_equal(figures().n_prefixes, 2);
    change("x");
    change("a");
    expect_pushed(">2 invalidate *2 x a ");
}

static void test_no_prefix_is_every_key(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP");
    change("x");
    change_by("y", c->client.id);
    expect_pushed(">2 invalidate *1 x ");
}

/* ---- expiry ---- */

static void tick_until_told(const char *expected)
{
    do {
        tracking_tick(c->server.tracking);
        run_tasks();
    } while (c->pushed.size == 0);
    expect_pushed(expected);
}

static void test_what_expires_is_told_without_a_copy(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    (void)CALL(c, "SET", "k", "1", "PX", "150");
    (void)CALL(c, "SET", "never", "1");
    (void)CALL(c, "MGET", "never", "k");
    cache_clear(f->cache);
    tick_until_told(">2 invalidate *1 k ");
    assert_int_equal(figures().n_keys, 1);
}

static void test_prefixes_are_told_what_expires(void **state)
{
    (void)state;
    (void)CALL(c, "SET", "k", "1", "PX", "150");
    (void)CALL(c, "SET", "other", "1", "PX", "150");
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "k");
    (void)CALL(c, "MGET", "other", "k");
    assert_int_equal(figures().n_keys, 1);
    cache_clear(f->cache);
    tick_until_told(">2 invalidate *1 k ");
    assert_int_equal(figures().n_keys, 0);
}

/* As when an answer that was on its way for long comes last. */
static void test_of_two_expiries_the_earlier_counts(void **state)
{
    struct slice words[] = {SLICE("get"), SLICE("k")};
    const struct request r = {.client = &c->client,
                              .command = command_by_name(words[0]),
                              .argv = words,
                              .argc = 2};
    const int64_t soon_ms = clock_wall_ms() + 150;

    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    (void)CALL(c, "GET", "k");
    tracking_note_expiry(&r, 0, soon_ms);
    tracking_note_expiry(&r, 0, soon_ms + 3600000);
    while (clock_wall_ms() < soon_ms + 500) {
        tracking_tick(c->server.tracking);
        run_tasks();
    }
    expect_pushed(">2 invalidate *1 k ");
}

static void test_an_expiry_within_a_transaction_counts(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    (void)CALL(c, "SET", "k", "1", "PX", "150");
    (void)CALL(c, "MULTI");
    (void)CALL(c, "GET", "k");
    (void)CALL(c, "EXEC");
    cache_clear(f->cache);
    tick_until_told(">2 invalidate *1 k ");
}

/* ---- bounds ---- */

static void test_the_table_is_bounded(void **state)
{
    char key[32];

    (void)state;
    fixture_set(f, "tracking-table-max-keys", "10");
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%d", i);
        (void)CALL(c, "GET", key);
    }
    assert_int_equal(figures().n_keys, 10);
    fixture_set(f, "tracking-table-max-keys", "1");
    tracking_tick(c->server.tracking);
    assert_int_equal(figures().n_keys, 1);
    fixture_set(f, "tracking-table-max-keys", "0");
    (void)CALL(c, "MGET", "a", "b", "c");
    assert_true(figures().n_keys >= 3);
}

static void test_without_memory_a_key_is_told_of_at_once(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    for (long n = 1; n <= 2; n++) {
        (void)mem_fail_nth(n);
        (void)CALL(c, "EXISTS", "k");
        (void)mem_fail_nth(0);
        if (figures().n_keys == 0) {
            expect_pushed(">2 invalidate *1 k ");
        } else {
            change("k");
            expect_pushed(">2 invalidate *1 k ");
        }
    }
}

static void test_what_one_client_read_is_forgotten_when_it_leaves(void **state)
{
    char key[32];

    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        (void)CALL(c, "GET", key);
    }
    (void)CALL(c, "CLIENT", "TRACKING", "OFF");
    assert_int_equal(figures().n_clients, 0);
    assert_int_equal(figures().n_keys, 0);
    assert_int_equal(figures().n_items, 0);
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    change("k1");
    expect_pushed("");
}

/* ---- another client is told ---- */

static struct client target;
static struct buf target_pushed;

static void on_target_push(struct client *client, const struct slice *pieces,
                           size_t n)
{
    assert_ptr_equal(client, &target);
    for (size_t i = 0; i < n; i++) {
        buf_append_slice(&target_pushed, pieces[i]);
    }
}

/* It has the id after that of 'c'. */
static void connect_target(int protocol)
{
    target = (struct client){.server = &c->server,
                             .home = chan_tx(f->home),
                             .protocol = protocol,
                             .on_push = on_target_push};
    assert_true(clients_add(c->server.clients, &target, 10));
    assert_int_equal(target.id, 2);
}

static void disconnect_target(void)
{
    pubsub_leave(c->server.pubsub, &target);
    tracking_stop(&target);
    clients_remove(c->server.clients, &target);
    buf_destroy(&target_pushed);
}

static void expect_target(const char *expected)
{
    run_tasks();
    assert_string_equal(words_of(&target_pushed), expected);
}

static void test_a_subscriber_is_told_instead(void **state)
{
    (void)state;
    connect_target(2);
    assert_true(pubsub_subscribe(c->server.pubsub, &target, PUBSUB_CHANNEL,
                                 SLICE("__redis__:invalidate")));
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "REDIRECT", "2");
    (void)CALL(c, "GET", "k");
    change("k");
    expect_target("*3 message __redis__:invalidate *1 k ");
    change_many(CHANGE_FLUSHED, NULL);
    expect_target("*3 message __redis__:invalidate $-1 ");
    expect_pushed("");
    disconnect_target();
}

static void
test_what_comes_while_a_message_is_under_way_is_sent_later(void **state)
{
    (void)state;
    connect_target(3);
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "BCAST", "REDIRECT", "2");
    change("a");
    fixture_run_one(f); /* The note: a message begins. */
    change("b");
    change("c");
    expect_target(">2 invalidate *1 a >2 invalidate *2 b c ");
    disconnect_target();
}

static void test_who_redirects_to_nobody_is_told_so(void **state)
{
    (void)state;
    connect_target(3);
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "REDIRECT", "2");
    (void)CALL(c, "GET", "k");
    disconnect_target();
    change("k");
    expect_pushed(">2 tracking-redir-broken :2 ");
    assert_true(tracking_is_broken(&c->client));
    (void)CALL(c, "CLIENT", "TRACKING", "ON");
    assert_false(tracking_is_broken(&c->client));
}

static void test_who_leaves_while_a_message_is_under_way_is_freed(void **state)
{
    (void)state;
    connect_target(3);
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "REDIRECT", "2");
    (void)CALL(c, "GET", "k");
    change("k");
    fixture_run_one(f);
    (void)CALL(c, "CLIENT", "TRACKING", "OFF");
    expect_target(">2 invalidate *1 k ");
    disconnect_target();
}

/* ---- choice ---- */

static void test_caching_is_for_one_command(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "OPTIN");
    (void)CALL(c, "GET", "a");
    (void)CALL(c, "CLIENT", "CACHING", "YES");
    (void)CALL(c, "CLIENT", "ID");
    (void)CALL(c, "GET", "b");
    (void)CALL(c, "GET", "c");
    assert_int_equal(figures().n_keys, 1);

    (void)CALL(c, "CLIENT", "TRACKING", "OFF");
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "OPTOUT");
    (void)CALL(c, "CLIENT", "CACHING", "NO");
    (void)CALL(c, "GET", "a");
    (void)CALL(c, "GET", "b");
    change("a");
    change("b");
    expect_pushed(">2 invalidate *1 b ");
}

static void
test_caching_within_a_transaction_is_for_the_rest_of_it(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "OPTIN");
    (void)CALL(c, "MULTI");
    (void)CALL(c, "GET", "a");
    (void)CALL(c, "CLIENT", "CACHING", "YES");
    (void)CALL(c, "GET", "b");
    (void)CALL(c, "EXEC");
    (void)CALL(c, "GET", "c");
    change("a");
    change("b");
    change("c");
    expect_pushed(">2 invalidate *1 b ");
}

static void test_what_is_read_behind_a_transaction_is_not_left_out(void **state)
{
    (void)state;
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "OPTOUT");
    (void)CALL(c, "MULTI");
    (void)CALL(c, "CLIENT", "CACHING", "NO");
    (void)CALL(c, "GET", "a");
    (void)CALL(c, "EXEC");
    (void)CALL(c, "GET", "b");
    change("a");
    change("b");
    expect_pushed(">2 invalidate *1 b ");
}

static void test_tracking_begins_within_a_transaction(void **state)
{
    (void)state;
    (void)CALL(c, "MULTI");
    (void)CALL(c, "GET", "a");
    (void)CALL(c, "CLIENT", "TRACKING", "ON", "OPTOUT");
    (void)CALL(c, "GET", "b");
    (void)CALL(c, "CLIENT", "CACHING", "NO");
    (void)CALL(c, "GET", "c");
    (void)CALL(c, "EXEC");
    (void)CALL(c, "GET", "d");
    change("a");
    change("b");
    change("c");
    change("d");
    expect_pushed(">2 invalidate *2 b d ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_read_key_is_told_of_once),
        TEST(test_keys_of_one_batch_are_one_message),
        TEST(test_a_write_is_no_read),
        TEST(test_what_the_store_is_asked_for_is_told_of),
        TEST(test_who_wrote_is_left_out_and_stays),
        TEST(test_who_wrote_hears_that_it_was_refused),
        TEST(test_a_version_of_what_expires_is_told),
        TEST(test_over_resp2_nobody_is_told),
        TEST(test_a_flush_is_told_as_everything),
        TEST(test_a_mapping_is_told_by_its_keys),
        TEST(test_a_mapping_with_many_keys_is_told_as_everything),
        TEST(test_prefixes_hear_of_a_mapping_they_overlap),
        TEST(test_too_many_notes_are_everything),
        TEST(test_prefixes_are_told_of_what_begins_so),
        TEST(test_no_prefix_any_more_is_every_key),
        TEST(test_no_prefix_is_every_key),
        TEST(test_what_expires_is_told_without_a_copy),
        TEST(test_prefixes_are_told_what_expires),
        TEST(test_of_two_expiries_the_earlier_counts),
        TEST(test_an_expiry_within_a_transaction_counts),
        TEST(test_the_table_is_bounded),
        TEST(test_without_memory_a_key_is_told_of_at_once),
        TEST(test_what_one_client_read_is_forgotten_when_it_leaves),
        TEST(test_a_subscriber_is_told_instead),
        TEST(test_what_comes_while_a_message_is_under_way_is_sent_later),
        TEST(test_who_redirects_to_nobody_is_told_so),
        TEST(test_who_leaves_while_a_message_is_under_way_is_freed),
        TEST(test_caching_is_for_one_command),
        TEST(test_caching_within_a_transaction_is_for_the_rest_of_it),
        TEST(test_what_is_read_behind_a_transaction_is_not_left_out),
        TEST(test_tracking_begins_within_a_transaction),
    };

    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
