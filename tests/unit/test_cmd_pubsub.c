/* SPDX-License-Identifier: MIT */
/*
 * SUBSCRIBE and its family, PUBLISH and PUBSUB: the replies of Redis 7.0.
 */
#include "tests/support/fake_client.h"

#include "server/command/pubsub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int set_up_with(void **state, int protocol)
{
    const char *const directives[] = {"plain-writes none", NULL};

    *state = fake_client_new(fixture_new(directives), protocol);
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, 2);
}

static int set_up_resp3(void **state)
{
    return set_up_with(state, 3);
}

static void test_subscriptions_are_counted_together(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "SUBSCRIBE", "a", "a", "b"),
                        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
                        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
                        "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    assert_string_equal(CALL(c, "PSUBSCRIBE", "a*"),
                        "*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:3\r\n");
    assert_string_equal(CALL(c, "SSUBSCRIBE", "s"),
                        "*3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n");
    assert_string_equal(CALL(c, "UNSUBSCRIBE", "b", "none"),
                        "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:2\r\n"
                        "*3\r\n$11\r\nunsubscribe\r\n$4\r\nnone\r\n:2\r\n");
}

static void test_without_names_all_of_the_kind_end(void **state)
{
    struct fake_client *c = *state;
    (void)CALL(c, "SUBSCRIBE", "a");
    (void)CALL(c, "PSUBSCRIBE", "p");

    assert_string_equal(CALL(c, "UNSUBSCRIBE"),
                        "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n");
    assert_string_equal(CALL(c, "UNSUBSCRIBE"),
                        "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:1\r\n");
    assert_string_equal(CALL(c, "PUNSUBSCRIBE"),
                        "*3\r\n$12\r\npunsubscribe\r\n$1\r\np\r\n:0\r\n");
    assert_string_equal(CALL(c, "SUNSUBSCRIBE"),
                        "*3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n");
}

static void test_resp3_has_pushes(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "SUBSCRIBE", "a"),
                        ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    assert_string_equal(CALL(c, "PUNSUBSCRIBE"),
                        ">3\r\n$12\r\npunsubscribe\r\n_\r\n:1\r\n");
}

static void test_in_resp2_a_subscriber_may_do_little(void **state)
{
    static const char *const refused[][3] = {
        {"GET", "a"}, {"PUBLISH", "a", "b"}, {"HELLO", "3"}, {"MULTI"}};
    struct fake_client *c = *state;
    (void)CALL(c, "SUBSCRIBE", "a");

    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const char *words[4] = {refused[i][0], refused[i][1], refused[i][2]};
        const char *reply = fake_client_take(c, fake_client_begin(c, words));
        assert_non_null(strstr(reply, "-ERR Can't execute '"));
        assert_non_null(strstr(reply, "': only (P|S)SUBSCRIBE / "
                                      "(P|S)UNSUBSCRIBE / PING / QUIT / RESET "
                                      "are allowed in this context\r\n"));
    }

    assert_string_equal(CALL(c, "PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert_string_equal(CALL(c, "PING", "x"),
                        "*2\r\n$4\r\npong\r\n$1\r\nx\r\n");
    (void)CALL(c, "UNSUBSCRIBE");
    assert_string_equal(CALL(c, "GET", "a"), "$-1\r\n");
}

static void test_reset_ends_subscriptions(void **state)
{
    struct fake_client *c = *state;
    (void)CALL(c, "SUBSCRIBE", "a");
    (void)CALL(c, "SSUBSCRIBE", "b");

    assert_string_equal(CALL(c, "RESET"), "+RESET\r\n");

    assert_string_equal(CALL(c, "PING"), "+PONG\r\n");
    assert_string_equal(CALL(c, "PUBSUB", "CHANNELS"), "*0\r\n");
    assert_string_equal(CALL(c, "PUBSUB", "SHARDCHANNELS"), "*0\r\n");
}

static void test_who_publishes_to_himself_gets_the_message_first(void **state)
{
    struct fake_client *c = *state;
    (void)CALL(c, "SUBSCRIBE", "a");

    struct request *r = BEGIN(c, "PUBLISH", "a", "hi");
    assert_false(r->finished);
    assert_true(r->pushes_first);

    assert_string_equal(fake_client_take(c, r), ":1\r\n");
    assert_string_equal(buf_string(&c->pushed),
                        ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
}

static void test_a_publisher_who_leaves_is_no_matter(void **state)
{
    struct fake_client *c = *state;
    (void)CALL(c, "SUBSCRIBE", "a");
    (void)BEGIN(c, "PUBLISH", "a", "hi");

    fake_client_leave(c);

    while (chan_len(chan_rx(c->f->home)) > 0) {
        fixture_run_one(c->f);
    }
}

static void test_nobody_is_a_number(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "PUBLISH", "a", "hi"), ":0\r\n");
    assert_string_equal(CALL(c, "SPUBLISH", "a", "hi"), ":0\r\n");
}

static void test_pubsub_tells_who_is_there(void **state)
{
    static const struct {
        const char *words[5];
        const char *reply;
    } cases[] = {
        {{"PUBSUB", "CHANNELS"}, "*1\r\n$1\r\na\r\n"},
        {{"PUBSUB", "CHANNELS", "b*"}, "*0\r\n"},
        {{"PUBSUB", "NUMSUB"}, "*0\r\n"},
        {{"PUBSUB", "NUMSUB", "a", "b"},
         "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:0\r\n"},
        {{"PUBSUB", "NUMPAT"}, ":2\r\n"},
        {{"PUBSUB", "SHARDCHANNELS", "*"}, "*1\r\n$1\r\ns\r\n"},
        {{"PUBSUB", "SHARDNUMSUB", "s"}, "*2\r\n$1\r\ns\r\n:1\r\n"},
        {{"PUBSUB", "channels", "a", "b"},
         "-ERR unknown subcommand or wrong number of arguments for "
         "'channels'. Try PUBSUB HELP.\r\n"},
        {{"PUBSUB", "NOPE"},
         "-ERR unknown subcommand 'NOPE'. Try PUBSUB HELP.\r\n"},
    };
    struct fake_client *c = *state;
    (void)CALL(c, "SUBSCRIBE", "a");
    (void)CALL(c, "PSUBSCRIBE", "p1", "p2");
    (void)CALL(c, "SSUBSCRIBE", "s");

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(
            fake_client_take(c, fake_client_begin(c, cases[i].words)),
            cases[i].reply);
    }
}

static void test_figures_are_shown(void **state)
{
    struct fake_client *c = *state;
    (void)CALL(c, "SUBSCRIBE", "a", "b");
    (void)CALL(c, "PSUBSCRIBE", "p");
    (void)CALL(c, "SSUBSCRIBE", "s");

    const char *info = CALL(c, "INFO", "stats");
    assert_non_null(strstr(info, "pubsub_channels:2\r\n"));
    assert_non_null(strstr(info, "pubsub_patterns:1\r\n"));
    assert_non_null(strstr(info, "pubsubshard_channels:1\r\n"));
    assert_non_null(strstr(CALL(c, "CLIENT", "LIST"),
                           " flags=P db=0 sub=2 psub=1 ssub=1 "));
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, fake_client_tear_down)
#define TEST3(name) \
    cmocka_unit_test_setup_teardown(name, set_up_resp3, fake_client_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_subscriptions_are_counted_together),
        TEST(test_without_names_all_of_the_kind_end),
        TEST3(test_resp3_has_pushes),
        TEST(test_in_resp2_a_subscriber_may_do_little),
        TEST(test_reset_ends_subscriptions),
        TEST3(test_who_publishes_to_himself_gets_the_message_first),
        TEST3(test_a_publisher_who_leaves_is_no_matter),
        TEST(test_nobody_is_a_number),
        TEST3(test_pubsub_tells_who_is_there),
        TEST3(test_figures_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
