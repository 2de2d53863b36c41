/* SPDX-License-Identifier: MIT */
/*
 * The list of clients: who gets in, under which number, and how it is shown.
 */
#include "server/command/clients.h"

#include "common/clock.h"
#include "common/waitgroup.h"
#include "server/command/command.h"

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
    const char *both = described(clients, NULL, &text);
    const char *second = strchr(both, '\n') + 1;
    assert_memory_equal(both, "id=1 ", 5);
    assert_memory_equal(second, "id=3 ", 5);
    assert_string_equal(strchr(second, '\n'), "\n");
    clients_remove(clients, &c[0]); /* and the front. */

    assert_memory_equal(described(clients, NULL, &text), "id=3 ", 5);
    clients_remove(clients, &c[2]);
    assert_string_equal(described(clients, NULL, &text), "");
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
    c.pending_requests = 2;
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
        " name=loader ",
        " age=10 ",
        " idle=2 ",
        " qbuf=10 ",
        " qbuf-free=54 ",
        " obl=20 ",
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
        const char *line = described(clients, NULL, &text);
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
        TEST(test_a_list_is_whole_while_clients_come_and_go),
    };

    command_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
