/* SPDX-License-Identifier: MIT */
/*
 * Notifications: which channels, for which classes, and none that nobody hears.
 */
#include "server/command/databases.h"
#include "server/command/notifier.h"

#include "common/hash.h"
#include "common/task.h"
#include "server/admin/config.h"
#include "server/command/client.h"
#include "server/command/parts.h"
#include "server/command/pubsub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct server server;
static struct chan *home;
static struct client client;
static struct buf heard; /* "channel message;" */

/* The bulk string in 'text' that follows '*at'. */
static struct slice bulk(const char **at)
{
    const char *length = strchr(*at, '$') + 1;
    const char *bytes = strchr(length, '\n') + 1;
    const size_t size = strtoul(length, NULL, 10);

    *at = bytes + size;
    return slice_make(bytes, size);
}

static void on_push(struct client *c, const struct slice *pieces, size_t n)
{
    const char *at = pieces[1].data;

    (void)c;
    assert_int_equal(n, 2);
    buf_append_slice(&heard, bulk(&at));
    buf_append_char(&heard, ' ');
    buf_append_slice(&heard, bulk(&at));
    buf_append_char(&heard, ';');
}

static void expect(const char *text)
{
    struct task task;

    while (chan_try_recv(chan_rx(home), &task) == ERR_OK) {
        task.run(task.arg);
    }
    assert_string_equal(buf_string(&heard), text);
    buf_clear(&heard);
}

static void configure(const char *letters)
{
    struct buf detail = {0};

    assert_int_equal(config_set(server.config, CONFIG_notify_keyspace_events,
                                slice_from_string(letters), &detail),
                     ERR_OK);
    buf_destroy(&detail);
}

static void change(const char *key, const char *event, enum change_class class)
{
    const struct change c = {
        .key = slice_from_string(key), .event = event, .class = class};

    notifier_hear(&server, &c);
}

static int setup(void **state)
{
    (void)state;
    server = (struct server){.config = config_new(),
                             .databases = databases_new(16),
                             .pubsub = pubsub_new()};
    home = chan_new(sizeof(struct task), CHAN_UNBOUNDED);
    client = (struct client){
        .home = chan_tx(home), .id = 1, .protocol = 3, .on_push = on_push};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pubsub_leave(server.pubsub, &client);
    pubsub_free(server.pubsub);
    databases_free(server.databases);
    config_free(server.config);
    chan_free(home);
    buf_destroy(&heard);
    return 0;
}

static void hear(enum pubsub_kind kind, const char *name)
{
    assert_true(pubsub_subscribe(server.pubsub, &client, kind,
                                 slice_from_string(name)));
}

static void test_a_change_is_told_on_two_channels(void **state)
{
    (void)state;
    hear(PUBSUB_PATTERN, "__key*");

    change("book:3", "hset", CHANGE_HASH);

    expect("__keyspace@0__:book:3 hset;__keyevent@0__:hset book:3;");
}

static void test_a_key_may_be_heard_of_alone(void **state)
{
    (void)state;
    hear(PUBSUB_CHANNEL, "__keyspace@0__:a");

    change("b", "set", CHANGE_STRING);
    change("a", "set", CHANGE_STRING);

    expect("__keyspace@0__:a set;");
}

static void test_classes_are_told_as_configured(void **state)
{
    static const struct {
        const char *letters;
        const char *heard;
    } cases[] = {
        {"", ""},
        {"A", ""},
        {"E", ""},
        {"Eg", "__keyevent@0__:1 k;"},
        {"E$h", "__keyevent@0__:2 k;__keyevent@0__:3 k;"},
        {"Exe", "__keyevent@0__:4 k;__keyevent@0__:5 k;"},
        {"Kg", "__keyspace@0__:k 1;"},
        {"KEx", "__keyspace@0__:k 4;__keyevent@0__:4 k;"},
        {"KElsztdmn", ""},
    };
    (void)state;
    hear(PUBSUB_PATTERN, "*");

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        configure(cases[i].letters);
        change("k", "1", CHANGE_GENERIC);
        change("k", "2", CHANGE_STRING);
        change("k", "3", CHANGE_HASH);
        change("k", "4", CHANGE_EXPIRED);
        change("k", "5", CHANGE_EVICTED);
        /* That anything may have changed is of no class. */
        expect(cases[i].heard);
    }
}

static void test_a_change_of_anything_asks_to_read_again(void **state)
{
    (void)state;
    hear(PUBSUB_CHANNEL, "__keyevent@0__:resync");

    change("", "", CHANGE_ALL);
    expect("__keyevent@0__:resync *;");

    configure("AK");
    change("", "", CHANGE_ALL);
    expect("");
}

static void test_other_subscribers_are_no_reason_to_tell(void **state)
{
    (void)state;
    hear(PUBSUB_CHANNEL, "news");
    hear(PUBSUB_PATTERN, "user:*");

    assert_false(pubsub_hears_changes(server.pubsub));
    change("k", "set", CHANGE_STRING);

    expect("");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_change_is_told_on_two_channels),
        TEST(test_a_key_may_be_heard_of_alone),
        TEST(test_classes_are_told_as_configured),
        TEST(test_a_change_of_anything_asks_to_read_again),
        TEST(test_other_subscribers_are_no_reason_to_tell),
    };
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
