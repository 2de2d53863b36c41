/* SPDX-License-Identifier: MIT */
/*
 * Subscriptions and messages, with clients that are no connections: what is
 * pushed to them is kept.  Their loops are channels of tasks, which the test
 * runs when it wants to.
 */
#include "server/command/pubsub.h"

#include "common/buf.h"
#include "common/hash.h"
#include "common/mem.h"
#include "common/task.h"
#include "server/command/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct listener {
    struct client client;
    struct buf pushed;
    size_t n_pushed;
    bool overrun;
};

static struct pubsub *pubsub;
static struct chan *loops[2];
static uint64_t last_id;

/* ---- helpers ---- */

static void on_push(struct client *client, const struct slice *pieces, size_t n)
{
    struct listener *l = container_of(client, struct listener, client);

    for (size_t i = 0; i < n; i++) {
        buf_append_slice(&l->pushed, pieces[i]);
    }
    l->n_pushed++;
}

static void on_overrun(struct client *client)
{
    container_of(client, struct listener, client)->overrun = true;
}

static struct listener *listener_on(size_t loop, int protocol)
{
    struct listener *l = xcalloc(1, sizeof(*l));

    l->client = (struct client){.home = chan_tx(loops[loop]),
                                .id = ++last_id,
                                .protocol = protocol,
                                .on_push = on_push,
                                .on_overrun = on_overrun};
    return l;
}

static struct listener *listener_new(void)
{
    return listener_on(0, 3);
}

static void listener_free(struct listener *l)
{
    pubsub_leave(pubsub, &l->client);
    buf_destroy(&l->pushed);
    free(l);
}

static void subscribe(struct listener *l, enum pubsub_kind kind,
                      const char *name)
{
    assert_true(
        pubsub_subscribe(pubsub, &l->client, kind, slice_from_string(name)));
}

static void unsubscribe(struct listener *l, enum pubsub_kind kind,
                        const char *name)
{
    struct subscription *s =
        pubsub_find(&l->client, kind, slice_from_string(name));

    assert_non_null(s);
    pubsub_end(pubsub, s);
}

static size_t publish(const char *channel, const char *message)
{
    return pubsub_publish(pubsub, PUBSUB_CHANNEL, slice_from_string(channel),
                          slice_from_string(message), NULL);
}

/* Runs what waits for the loops; returns how many tasks that was. */
static size_t run(void)
{
    struct task task;
    size_t n = 0;

    for (size_t i = 0; i < 2; i++) {
        while (chan_try_recv(chan_rx(loops[i]), &task) == ERR_OK) {
            task.run(task.arg);
            n++;
        }
    }
    return n;
}

static void expect(struct listener *l, const char *text)
{
    run();
    assert_string_equal(buf_string(&l->pushed), text);
    buf_clear(&l->pushed);
}

static int setup(void **state)
{
    (void)state;
    pubsub = pubsub_new();
    for (size_t i = 0; i < 2; i++) {
        loops[i] = chan_new(sizeof(struct task), CHAN_UNBOUNDED);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    run();
    for (size_t i = 0; i < PUBSUB_KINDS; i++) {
        assert_int_equal(pubsub_count(pubsub, i), 0);
    }
    assert_false(pubsub_hears_changes(pubsub));
    for (size_t i = 0; i < 2; i++) {
        chan_free(loops[i]);
    }
    pubsub_free(pubsub);
    return 0;
}

/* ---- messages ---- */

static void test_nobody_hears_what_nobody_subscribed_to(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    subscribe(l, PUBSUB_CHANNEL, "a");

    assert_int_equal(publish("b", "hello"), 0);

    assert_int_equal(run(), 0);
    listener_free(l);
}

static void test_a_message_is_pushed_in_the_protocol_of_its_client(void **state)
{
    (void)state;
    struct listener *two = listener_on(0, 2);
    struct listener *three = listener_on(0, 3);
    subscribe(two, PUBSUB_CHANNEL, "a");
    subscribe(three, PUBSUB_CHANNEL, "a");

    assert_int_equal(publish("a", "hi"), 2);

    expect(two, "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    expect(three, ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    listener_free(two);
    listener_free(three);
}

static void test_a_pattern_hears_of_the_channel_after_the_channel(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    subscribe(l, PUBSUB_PATTERN, "a*");
    subscribe(l, PUBSUB_CHANNEL, "ab");

    assert_int_equal(publish("ab", ""), 2);

    expect(l, ">3\r\n$7\r\nmessage\r\n$2\r\nab\r\n$0\r\n\r\n"
              ">4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\nab\r\n$0\r\n\r\n");
    listener_free(l);
}

static void test_shard_channels_are_apart_from_channels(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    subscribe(l, PUBSUB_SHARD, "a");
    subscribe(l, PUBSUB_PATTERN, "*");

    assert_int_equal(publish("a", "x"), 1);
    expect(l, ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$1\r\nx\r\n");
    assert_int_equal(
        pubsub_publish(pubsub, PUBSUB_SHARD, SLICE("a"), SLICE("y"), NULL), 1);
    expect(l, ">3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$1\r\ny\r\n");
    listener_free(l);
}

static void test_patterns_match_as_globs(void **state)
{
    static const struct {
        const char *pattern, *channel;
        size_t n;
    } cases[] = {
        {"*", "", 1},         {"*", "x", 1},          {"", "", 1},
        {"", "x", 0},         {"h?llo", "hi", 0},     {"h?llo", "hello", 1},
        {"[ab]c", "bc", 1},   {"[ab]c", "cc", 0},     {"\\*x", "*x", 1},
        {"\\*x", "ax", 0},    {"news.*", "news.", 1}, {"news.*", "new", 0},
        {"\xff*", "\xff", 1},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct listener *l = listener_new();
        subscribe(l, PUBSUB_PATTERN, cases[i].pattern);
        assert_int_equal(publish(cases[i].channel, "m"), cases[i].n);
        run();
        assert_int_equal(l->n_pushed, cases[i].n);
        listener_free(l);
    }
}

static void test_names_and_messages_are_bytes(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    const struct slice name = SLICE("a\0\r\nb");
    assert_true(pubsub_subscribe(pubsub, &l->client, PUBSUB_CHANNEL, name));

    assert_int_equal(publish("a", "m"), 0);
    assert_int_equal(
        pubsub_publish(pubsub, PUBSUB_CHANNEL, name, SLICE("\0"), NULL), 1);

    run();
    assert_true(slice_equal(
        buf_slice(&l->pushed),
        SLICE(">3\r\n$7\r\nmessage\r\n$5\r\na\0\r\nb\r\n$1\r\n\0\r\n")));
    listener_free(l);
}

static void test_each_loop_gets_one_task(void **state)
{
    (void)state;
    enum { EACH = 10 };
    struct listener *all[2 * EACH];
    for (size_t i = 0; i < 2 * EACH; i++) {
        all[i] = listener_on(i % 2, 3);
        subscribe(all[i], PUBSUB_CHANNEL, "a");
        subscribe(all[i], PUBSUB_PATTERN, "?");
    }

    assert_int_equal(publish("a", "m"), 4 * EACH);

    assert_int_equal(run(), 2);
    for (size_t i = 0; i < 2 * EACH; i++) {
        assert_int_equal(all[i]->n_pushed, 2);
        listener_free(all[i]);
    }
}

/* ---- subscriptions ---- */

static void test_a_second_subscription_to_the_same_is_none(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    subscribe(l, PUBSUB_CHANNEL, "a");
    subscribe(l, PUBSUB_CHANNEL, "a");

    assert_int_equal(publish("a", "m"), 1);
    assert_int_equal(l->client.n_subscriptions[PUBSUB_CHANNEL], 1);

    unsubscribe(l, PUBSUB_CHANNEL, "a");
    assert_null(pubsub_find(&l->client, PUBSUB_CHANNEL, SLICE("a")));
    assert_int_equal(publish("a", "m"), 0);
    listener_free(l);
}

static void test_who_leaves_does_not_get_what_is_under_way(void **state)
{
    (void)state;
    struct listener *leaves = listener_new();
    struct listener *stays = listener_new();
    subscribe(leaves, PUBSUB_CHANNEL, "a");
    subscribe(stays, PUBSUB_CHANNEL, "a");

    assert_int_equal(publish("a", "m"), 2);
    pubsub_leave(pubsub, &leaves->client);
    run();

    assert_int_equal(leaves->n_pushed, 0);
    assert_int_equal(stays->n_pushed, 1);
    listener_free(leaves);
    listener_free(stays);
}

static void test_all_may_leave_while_a_message_is_under_way(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    subscribe(l, PUBSUB_CHANNEL, "a");
    subscribe(l, PUBSUB_PATTERN, "*");

    assert_int_equal(publish("a", "m"), 2);
    listener_free(l);

    assert_int_equal(run(), 1);
}

static void test_who_comes_later_does_not_get_what_is_under_way(void **state)
{
    (void)state;
    struct listener *first = listener_new();
    struct listener *later = listener_new();
    subscribe(first, PUBSUB_CHANNEL, "a");

    assert_int_equal(publish("a", "m"), 1);
    subscribe(later, PUBSUB_CHANNEL, "a");
    run();
    assert_int_equal(first->n_pushed, 1);
    assert_int_equal(later->n_pushed, 0);

    assert_int_equal(publish("a", "m"), 2);
    unsubscribe(first, PUBSUB_CHANNEL, "a");
    subscribe(first, PUBSUB_CHANNEL, "a"); /* Anew: from here on. */
    run();
    assert_int_equal(first->n_pushed, 1);
    assert_int_equal(later->n_pushed, 1);
    listener_free(first);
    listener_free(later);
}

static void add_name(void *arg, struct slice name)
{
    buf_append_slice(arg, name);
    buf_append_char(arg, ' ');
}

static void test_topics_are_counted_and_listed(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    struct listener *m = listener_on(1, 2);
    struct buf names = {0};
    subscribe(l, PUBSUB_CHANNEL, "a");
    subscribe(m, PUBSUB_CHANNEL, "a");
    subscribe(m, PUBSUB_CHANNEL, "b");
    subscribe(l, PUBSUB_PATTERN, "a");

    assert_int_equal(pubsub_count(pubsub, PUBSUB_CHANNEL), 2);
    assert_int_equal(pubsub_count(pubsub, PUBSUB_PATTERN), 1);
    assert_int_equal(pubsub_subscribers(pubsub, PUBSUB_CHANNEL, SLICE("a")), 2);
    assert_int_equal(pubsub_subscribers(pubsub, PUBSUB_CHANNEL, SLICE("c")), 0);
    pubsub_visit(pubsub, PUBSUB_CHANNEL, SLICE("[b]"), add_name, &names);
    assert_string_equal(buf_string(&names), "b ");

    buf_destroy(&names);
    listener_free(l);
    listener_free(m);
}

static void test_subscriptions_of_a_kind_are_walked(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    size_t n = 0;
    subscribe(l, PUBSUB_CHANNEL, "a");
    subscribe(l, PUBSUB_PATTERN, "p");
    subscribe(l, PUBSUB_CHANNEL, "b");

    for (struct subscription *s = pubsub_first(&l->client, PUBSUB_CHANNEL);
         s != NULL; s = pubsub_next(s)) {
        assert_int_equal(pubsub_name(s).size, 1);
        assert_int_not_equal(pubsub_name(s).data[0], 'p');
        n++;
    }

    assert_int_equal(n, 2);
    assert_null(pubsub_first(&l->client, PUBSUB_SHARD));
    listener_free(l);
}

static void test_who_may_hear_of_changes_is_known(void **state)
{
    static const struct {
        enum pubsub_kind kind;
        const char *name;
        bool hears;
    } cases[] = {
        {PUBSUB_CHANNEL, "news", false},
        {PUBSUB_CHANNEL, "", false},
        {PUBSUB_CHANNEL, "__key", true},
        {PUBSUB_CHANNEL, "__keyspace@0__:book:3", true},
        {PUBSUB_CHANNEL, "__keyevent@0__:del", true},
        {PUBSUB_CHANNEL, "*", false},
        {PUBSUB_SHARD, "__keyspace@0__:book:3", false},
        {PUBSUB_PATTERN, "*", true},
        {PUBSUB_PATTERN, "_*", true},
        {PUBSUB_PATTERN, "[_]*", true},
        {PUBSUB_PATTERN, "\\__key*", true},
        {PUBSUB_PATTERN, "__keyspace@*__:book:*", true},
        {PUBSUB_PATTERN, "a*", false},
        {PUBSUB_PATTERN, "_a*", false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct listener *l = listener_new();
        subscribe(l, cases[i].kind, cases[i].name);
        assert_int_equal(pubsub_hears_changes(pubsub), cases[i].hears);
        listener_free(l);
    }
}

/* ---- many ---- */

#define MANY 10000

static void test_ten_thousand_may_subscribe_to_one_channel(void **state)
{
    (void)state;
    struct listener **all = xcalloc(MANY, sizeof(*all));
    for (size_t i = 0; i < MANY; i++) {
        all[i] = listener_on(i % 2, 2);
        subscribe(all[i], PUBSUB_CHANNEL, "a");
    }

    assert_int_equal(publish("a", "m"), MANY);

    assert_int_equal(run(), 2);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(all[i]->n_pushed, 1);
        listener_free(all[i]);
    }
    free(all);
}

static void test_one_may_subscribe_to_ten_thousand_patterns(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    char name[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "*:%d", i);
        subscribe(l, PUBSUB_PATTERN, name);
    }

    assert_int_equal(publish("user:77", "m"), 1);

    run();
    assert_int_equal(l->n_pushed, 1);
    assert_int_equal(pubsub_count(pubsub, PUBSUB_PATTERN), MANY);
    listener_free(l);
}

/* ---- bounds ---- */

/* Publishes a megabyte on "a". */
static size_t publish_large(struct chan_tx *crowded)
{
    static const char large[1 << 20];

    return pubsub_publish(pubsub, PUBSUB_CHANNEL, SLICE("a"),
                          slice_make(large, sizeof large), crowded);
}

static void test_a_publisher_is_told_of_a_loop_with_much_to_do(void **state)
{
    (void)state;
    struct listener *l = listener_on(1, 3);
    struct chan_tx crowded;
    subscribe(l, PUBSUB_CHANNEL, "a");

    assert_int_equal(publish_large(&crowded), 1);
    assert_null(crowded.chan);
    for (int i = 0; i < 4; i++) {
        (void)publish_large(&crowded);
    }
    assert_ptr_equal(crowded.chan, loops[1]);

    run();
    (void)publish_large(&crowded);
    assert_null(crowded.chan);
    listener_free(l);
}

static void test_who_would_wait_for_too_much_is_closed(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    struct listener *other = listener_new();
    subscribe(l, PUBSUB_CHANNEL, "a");
    subscribe(other, PUBSUB_CHANNEL, "b");

    for (int i = 0; i < 100; i++) {
        assert_int_equal(publish_large(NULL), 1);
    }
    assert_true(chan_len(chan_rx(loops[0])) < 70);
    run();

    assert_true(l->overrun);
    assert_false(other->overrun);
    assert_int_equal(publish("a", "m"), 1);
    assert_int_equal(run(), 1); /* Life goes on. */
    listener_free(l);
    listener_free(other);
}

static void test_without_memory_nothing_is_subscribed_to(void **state)
{
    (void)state;
    struct listener *l = listener_new();

    (void)mem_fail_nth(1);
    assert_false(
        pubsub_subscribe(pubsub, &l->client, PUBSUB_CHANNEL, SLICE("a")));

    assert_int_equal(mem_fail_nth(0), 0);
    assert_null(pubsub_find(&l->client, PUBSUB_CHANNEL, SLICE("a")));
    assert_int_equal(pubsub_count(pubsub, PUBSUB_CHANNEL), 0);
    listener_free(l);
}

static void test_a_message_without_memory_closes_who_would_get_it(void **state)
{
    (void)state;
    struct listener *l = listener_new();
    subscribe(l, PUBSUB_CHANNEL, "a");

    (void)mem_fail_nth(1);
    assert_int_equal(publish("a", "m"), 1);

    assert_int_equal(mem_fail_nth(0), 0);
    run();
    assert_int_equal(l->n_pushed, 0);
    assert_true(l->overrun);
    listener_free(l);
}

static void test_a_loop_that_has_closed_loses_nothing(void **state)
{
    (void)state;
    struct listener *l = listener_on(1, 3);
    subscribe(l, PUBSUB_CHANNEL, "a");

    chan_close(chan_tx(loops[1]));

    assert_int_equal(publish("a", "m"), 1);
    listener_free(l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nobody_hears_what_nobody_subscribed_to),
        TEST(test_a_message_is_pushed_in_the_protocol_of_its_client),
        TEST(test_a_pattern_hears_of_the_channel_after_the_channel),
        TEST(test_shard_channels_are_apart_from_channels),
        TEST(test_patterns_match_as_globs),
        TEST(test_names_and_messages_are_bytes),
        TEST(test_each_loop_gets_one_task),
        TEST(test_a_second_subscription_to_the_same_is_none),
        TEST(test_who_leaves_does_not_get_what_is_under_way),
        TEST(test_all_may_leave_while_a_message_is_under_way),
        TEST(test_who_comes_later_does_not_get_what_is_under_way),
        TEST(test_topics_are_counted_and_listed),
        TEST(test_subscriptions_of_a_kind_are_walked),
        TEST(test_who_may_hear_of_changes_is_known),
        TEST(test_ten_thousand_may_subscribe_to_one_channel),
        TEST(test_one_may_subscribe_to_ten_thousand_patterns),
        TEST(test_a_publisher_is_told_of_a_loop_with_much_to_do),
        TEST(test_who_would_wait_for_too_much_is_closed),
        TEST(test_without_memory_nothing_is_subscribed_to),
        TEST(test_a_message_without_memory_closes_who_would_get_it),
        TEST(test_a_loop_that_has_closed_loses_nothing),
    };
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
