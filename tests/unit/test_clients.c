/* SPDX-License-Identifier: MIT */
/*
 * The list of clients: who gets in, under which number, and how it is shown.
 */
#include "server/command/clients.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/task.h"
#include "common/waitgroup.h"
#include "server/command/command.h"
#include "server/command/user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000)

static int set_up(void **state)
{
    clock_set_manual(1000 * SECOND);
    *state = clients_new();
    return 0;
}

static int tear_down(void **state)
{
    clients_free(*state);
    clock_set_real();
    return 0;
}

static struct client example(void)
{
    return (struct client){.fd = 9,
                           .user = user_new_default(1),
                           .protocol = 3,
                           .shown_protocol = 3,
                           .created_us = 990 * SECOND,
                           .last_active_us = 998 * SECOND,
                           .address = "192.0.2.1:1234",
                           .local_address = "192.0.2.2:7379"};
}

static const char *described(struct clients *clients, struct client *client,
                             struct buf *text)
{
    buf_clear(text);
    clients_describe(clients, client, text);
    return buf_string(text);
}

static const char *listed(struct clients *clients,
                          const struct client_filter *filter, struct buf *text)
{
    buf_clear(text);
    clients_list(clients, filter, text);
    return buf_string(text);
}

static const struct client_filter all = {.id = 0};

static void test_numbers_begin_at_one_and_are_never_used_again(void **state)
{
    struct clients *clients = *state;
    struct client a = example();
    struct client b = example();

    assert_true(clients_add(clients, &a, 10));
    clients_remove(clients, &a);
    a = example();
    assert_true(clients_add(clients, &b, 10));
    assert_true(clients_add(clients, &a, 10));

    assert_int_equal(b.id, 2);
    assert_int_equal(a.id, 3);
    clients_remove(clients, &a);
    clients_remove(clients, &b);
}

static void test_no_more_than_the_limit_get_in(void **state)
{
    struct clients *clients = *state;
    struct client a = example();
    struct client b = example();

    assert_true(clients_add(clients, &a, 1));
    assert_false(clients_add(clients, &b, 1));
    assert_int_equal(clients_count(clients), 1);
    clients_remove(clients, &a);
    assert_true(clients_add(clients, &b, 1));

    assert_int_equal(clients_count(clients), 1);
    clients_remove(clients, &b);
}

static void test_all_are_listed_in_the_order_they_came(void **state)
{
    struct clients *clients = *state;
    struct client c[4];
    struct buf text = {0};

    for (size_t i = 0; i < 4; i++) {
        c[i] = example();
        assert_true(clients_add(clients, &c[i], 10));
    }
    clients_remove(clients, &c[1]); /* From the middle, */
    clients_remove(clients, &c[3]); /* the end, */
    const char *both = listed(clients, &all, &text);
    const char *second = strchr(both, '\n') + 1;
    assert_memory_equal(both, "id=1 ", 5);
    assert_memory_equal(second, "id=3 ", 5);
    assert_string_equal(strchr(second, '\n'), "\n");
    clients_remove(clients, &c[0]); /* and the front. */

    assert_memory_equal(listed(clients, &all, &text), "id=3 ", 5);
    clients_remove(clients, &c[2]);
    assert_string_equal(listed(clients, &all, &text), "");
    buf_destroy(&text);
}

static void test_a_client_is_described_in_one_line(void **state)
{
    struct clients *clients = *state;
    struct client c = example();
    struct buf text = {0};

    c.last_command = command_by_name(SLICE("client|list"));
    c.input_bytes = 10;
    c.input_capacity = 64;
    c.output_bytes = 20;
    c.held_replies = 3;
    c.held_bytes = 30;
    c.memory_bytes = 1000;
    c.queued_commands = 3;
    c.queued_bytes = 100;
    c.watched_keys = 4;
    c.n_subscriptions[PUBSUB_PATTERN] = 5;
    c.pending_requests = 2;
    c.blocked_requests = 1;
    assert_true(clients_add(clients, &c, 1));
    clients_set_name(clients, &c.name, SLICE("loader"));
    clients_set_name(clients, &c.library_name, SLICE("hiredis"));
    clients_set_name(clients, &c.library_version, SLICE("0.14"));
    const char *line = described(clients, &c, &text);

    static const char *const fields[] = {
        "id=1 ",
        " addr=192.0.2.1:1234 ",
        " laddr=192.0.2.2:7379 ",
        " fd=9 ",
        " flags=Pxb ",
        " name=loader ",
        " age=10 ",
        " idle=2 ",
        " qbuf=10 ",
        " qbuf-free=54 ",
        " obl=20 ",
        " oll=3 ",
        " omem=30 ",
        " multi=2 ",
        " multi-mem=100 ",
        " tot-mem=1100 ",
        " watch=4 ",
        " psub=5 ",
        " cmd=client|list ",
        " resp=3 ",
        " pending=2\n",
        " user=default ",
        " lib-name=hiredis ",
        " lib-ver=0.14 ",
        " db=0 ",
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        assert_non_null(strstr(line, fields[i]));
    }
    assert_string_equal(strchr(line, '\n'), "\n");
    clients_remove(clients, &c);
    buf_destroy(&text);
}

static void test_a_new_client_has_no_name_and_no_command(void **state)
{
    struct clients *clients = *state;
    struct client c = example();
    struct buf text = {0};

    assert_true(clients_add(clients, &c, 1));
    const char *line = described(clients, &c, &text);

    assert_non_null(strstr(line, " name= "));
    assert_non_null(strstr(line, " cmd=NULL "));
    assert_non_null(strstr(line, " lib-name= lib-ver= "));
    clients_remove(clients, &c);
    buf_destroy(&text);
}

static void test_an_empty_name_takes_the_name_away(void **state)
{
    struct clients *clients = *state;
    struct client c = example();

    assert_true(clients_add(clients, &c, 1));
    clients_set_name(clients, &c.name, SLICE("one"));
    clients_set_name(clients, &c.name, SLICE("two"));
    assert_string_equal(c.name, "two");
    clients_set_name(clients, &c.name, SLICE(""));

    assert_null(c.name);
    clients_remove(clients, &c);
}

/* ---- flags ---- */

static void test_flags_are_letters_in_the_order_of_redis(void **state)
{
    static const struct {
        unsigned flags;
        size_t n_channels;
        int queued;
        const char *letters;
    } cases[] = {
        {0, 0, 0, " flags=N "},
        {CLIENT_READS | CLIENT_WRITES, 0, 0, " flags=N "},
        {0, 1, 0, " flags=P "},
        {0, 0, 1, " flags=x "},
        {CLIENT_MONITORS, 1, 1, " flags=OPx "},
        {CLIENT_PAUSED | CLIENT_CLOSES | CLIENT_UNIX | CLIENT_NO_EVICT |
             CLIENT_NO_TOUCH,
         0, 0, " flags=bcUeT "},
    };
    struct clients *clients = *state;
    struct buf text = {0};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client c = example();
        c.flags = cases[i].flags;
        c.n_subscriptions[PUBSUB_CHANNEL] = cases[i].n_channels;
        c.queued_commands = cases[i].queued;
        assert_true(clients_add(clients, &c, 1));

        assert_non_null(
            strstr(described(clients, &c, &text), cases[i].letters));

        clients_remove(clients, &c);
    }
    buf_destroy(&text);
}

static void test_events_tell_what_a_socket_is_watched_for(void **state)
{
    struct clients *clients = *state;
    struct client c = example();
    struct buf text = {0};

    assert_true(clients_add(clients, &c, 1));
    assert_non_null(strstr(described(clients, &c, &text), " events= "));
    client_set_flag(&c, CLIENT_READS, true);
    assert_non_null(strstr(described(clients, &c, &text), " events=r "));
    client_set_flag(&c, CLIENT_WRITES, true);
    assert_non_null(strstr(described(clients, &c, &text), " events=rw "));
    client_set_flag(&c, CLIENT_READS, false);

    assert_non_null(strstr(described(clients, &c, &text), " events=w "));
    clients_remove(clients, &c);
    buf_destroy(&text);
}

/* ---- which ---- */

static void test_a_filter_is_true_of_those_that_fit_in_everything(void **state)
{
    struct clients *clients = *state;
    struct client a = example();
    struct client b = example();
    const struct {
        struct client_filter filter;
        size_t n; /* Of a and b, b being pubsub, younger and elsewhere. */
    } cases[] = {
        {{.id = 0}, 2},
        {{.id = 1}, 1},
        {{.id = 3}, 0},
        {{.type = CLIENT_TYPE_NORMAL}, 1},
        {{.type = CLIENT_TYPE_PUBSUB}, 1},
        {{.type = CLIENT_TYPE_REPLICA}, 0},
        {{.type = CLIENT_TYPE_MASTER}, 0},
        {{.address = SLICE("192.0.2.1:1234")}, 1},
        {{.address = SLICE("192.0.2.1")}, 0},
        {{.address = SLICE("")}, 0},
        {{.local_address = SLICE("192.0.2.2:7379")}, 2},
        {{.user = SLICE("default")}, 2},
        {{.user = SLICE("nobody")}, 0},
        {{.min_age_us = 10 * SECOND}, 1},
        {{.min_age_us = 10 * SECOND + 1}, 0},
        {{.other_than = &a}, 1},
        {{.id = 1, .other_than = &a}, 0},
        {{.id = 1, .type = CLIENT_TYPE_PUBSUB}, 0},
        {{.type = CLIENT_TYPE_PUBSUB, .user = SLICE("default")}, 1},
    };

    b.n_subscriptions[PUBSUB_SHARD] = 1;
    b.created_us += SECOND;
    strcpy(b.address, "192.0.2.9:1");
    assert_true(clients_add(clients, &a, 10));
    assert_true(clients_add(clients, &b, 10));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n;
        free(clients_select(clients, &cases[i].filter, &n));
        assert_int_equal(n, cases[i].n);
    }
    clients_remove(clients, &a);
    clients_remove(clients, &b);
}

static void test_selected_are_the_numbers(void **state)
{
    struct clients *clients = *state;
    struct client c[3];
    size_t n;

    for (size_t i = 0; i < 3; i++) {
        c[i] = example();
        assert_true(clients_add(clients, &c[i], 10));
    }
    const struct client_filter others = {.other_than = &c[1]};
    uint64_t *ids = clients_select(clients, &others, &n);

    assert_int_equal(n, 2);
    assert_int_equal(ids[0], 1);
    assert_int_equal(ids[1], 3);
    free(ids);
    for (size_t i = 0; i < 3; i++) {
        clients_remove(clients, &c[i]);
    }
}

/* ---- on its loop ---- */

static void note(struct client *client, void *arg)
{
    struct client **noted = arg;

    *noted = client;
}

static void run_one(struct chan *loop)
{
    struct task task;

    assert_int_equal(chan_try_recv(chan_rx(loop), &task), ERR_OK);
    task.run(task.arg);
}

static void test_a_task_is_run_on_the_loop_of_its_client(void **state)
{
    struct clients *clients = *state;
    struct chan *loop = chan_new(sizeof(struct task), CHAN_UNBOUNDED);
    struct client c = example();
    struct client *noted = NULL;

    c.home = chan_tx(loop);
    assert_true(clients_add(clients, &c, 1));
    assert_true(clients_send(clients, 1, note, (void *)&noted));
    assert_null(noted);
    run_one(loop);

    assert_ptr_equal(noted, &c);
    clients_remove(clients, &c);
    chan_free(loop);
}

static void test_a_task_learns_that_its_client_has_gone(void **state)
{
    struct clients *clients = *state;
    struct chan *loop = chan_new(sizeof(struct task), CHAN_UNBOUNDED);
    struct client c = example();
    struct client *noted = &c;

    c.home = chan_tx(loop);
    assert_true(clients_add(clients, &c, 1));
    assert_true(clients_send(clients, 1, note, (void *)&noted));
    clients_remove(clients, &c);
    run_one(loop);

    assert_null(noted);
    chan_free(loop);
}

static void test_nothing_is_sent_to_whom_there_is_not(void **state)
{
    struct clients *clients = *state;
    struct chan *loop = chan_new(sizeof(struct task), CHAN_UNBOUNDED);
    struct client c = example();
    struct client *noted = NULL;

    c.home = chan_tx(loop);
    assert_true(clients_add(clients, &c, 1));
    assert_false(clients_send(clients, 2, note, (void *)&noted));
    chan_close(chan_tx(loop)); /* Its loop has ended. */
    assert_false(clients_send(clients, 1, note, (void *)&noted));

    clients_remove(clients, &c);
    chan_free(loop);
}

/* ---- at the same time ---- */

static void come_and_go(void *arg)
{
    struct clients *clients = arg;

    for (int i = 0; i < 500; i++) {
        struct client c = example();
        if (clients_add(clients, &c, 100)) {
            clients_set_name(clients, &c.name, SLICE("somebody"));
            atomic_store_explicit(&c.input_bytes, (size_t)i,
                                  memory_order_relaxed);
            clients_remove(clients, &c);
        }
    }
}

static void test_a_list_is_whole_while_clients_come_and_go(void **state)
{
    struct clients *clients = *state;
    struct waitgroup wg;
    struct buf text = {0};

    wg_init(&wg);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wg_go(&wg, "churn", come_and_go, clients), ERR_OK);
    }
    for (int i = 0; i < 200; i++) {
        const char *line = listed(clients, &all, &text);
        while (*line != '\0') {
            assert_memory_equal(line, "id=", 3);
            line = strchr(line, '\n') + 1;
        }
    }
    wg_wait(&wg);

    assert_int_equal(clients_count(clients), 0);
    wg_destroy(&wg);
    buf_destroy(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_numbers_begin_at_one_and_are_never_used_again),
        TEST(test_no_more_than_the_limit_get_in),
        TEST(test_all_are_listed_in_the_order_they_came),
        TEST(test_a_client_is_described_in_one_line),
        TEST(test_a_new_client_has_no_name_and_no_command),
        TEST(test_an_empty_name_takes_the_name_away),
        TEST(test_flags_are_letters_in_the_order_of_redis),
        TEST(test_events_tell_what_a_socket_is_watched_for),
        TEST(test_a_filter_is_true_of_those_that_fit_in_everything),
        TEST(test_selected_are_the_numbers),
        TEST(test_a_task_is_run_on_the_loop_of_its_client),
        TEST(test_a_task_learns_that_its_client_has_gone),
        TEST(test_nothing_is_sent_to_whom_there_is_not),
        TEST(test_a_list_is_whole_while_clients_come_and_go),
    };

    command_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
