/* SPDX-License-Identifier: MIT */
/*
 * maxmemory-clients: what clients cost together, and who goes first.
 */
#include "server/command/client_memory.h"

#include "common/task.h"
#include "server/admin/config.h"
#include "server/command/clients.h"
#include "server/command/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define KB ((size_t)1024)
#define N 4

static struct server server;
static struct chan *loop;
static struct client clients[N];
static bool killed[N];

static void on_kill(struct client *client)
{
    killed[client - clients] = true;
    client_memory_leave(server.client_memory, client);
    clients_remove(server.clients, client);
}

static void limit(const char *value)
{
    struct buf detail = {0};

    assert_int_equal(config_set(server.config, CONFIG_maxmemory_clients,
                                slice_from_string(value), &detail),
                     ERR_OK);
    buf_destroy(&detail);
}

static int set_up(void **state)
{
    (void)state;
    server = (struct server){.config = config_new(),
                             .clients = clients_new(),
                             .client_memory = client_memory_new()};
    loop = chan_new(sizeof(struct task), CHAN_UNBOUNDED);
    for (size_t i = 0; i < N; i++) {
        clients[i] = (struct client){
            .server = &server, .home = chan_tx(loop), .on_kill = on_kill};
        killed[i] = false;
        assert_true(clients_add(server.clients, &clients[i], N));
        client_memory_charge(server.client_memory, &clients[i], KB);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) {
        if (!killed[i]) {
            on_kill(&clients[i]);
        }
    }
    assert_int_equal(client_memory_total(server.client_memory), 0);
    client_memory_free(server.client_memory);
    clients_free(server.clients);
    config_free(server.config);
    chan_free(loop);
    return 0;
}

static void cost(size_t i, size_t bytes)
{
    client_memory_charge(server.client_memory, &clients[i], bytes);
}

/* Runs the tasks of the loop; "13" are clients 1 and 3. */
static void assert_killed(const char *which)
{
    char found[N + 1] = "";
    struct task task;

    while (chan_try_recv(chan_rx(loop), &task) == ERR_OK) {
        task.run(task.arg);
    }
    for (size_t i = 0; i < N; i++) {
        if (killed[i]) {
            found[strlen(found)] = (char)('0' + i);
        }
    }
    assert_string_equal(found, which);
}

static void test_the_total_is_that_of_all(void **state)
{
    (void)state;
    cost(0, 100 * KB);
    cost(1, 5 * KB);
    cost(1, 2 * KB);

    assert_int_equal(client_memory_total(server.client_memory), 104 * KB);
}

static void test_without_a_limit_nobody_goes(void **state)
{
    (void)state;
    cost(0, KB << 30);

    assert_killed("");
}

static void test_the_largest_go_until_the_rest_is_within_the_limit(void **state)
{
    (void)state;
    limit("200kb");
    cost(0, 10 * KB);
    cost(1, 70 * KB);
    cost(2, 110 * KB);
    assert_killed("");
    cost(0, 30 * KB);

    assert_killed("2");
    assert_int_equal(client_memory_total(server.client_memory), 101 * KB);
}

static void test_who_asked_not_to_be_evicted_stays(void **state)
{
    (void)state;
    limit("200kb");
    client_set_flag(&clients[2], CLIENT_NO_EVICT, true);
    cost(1, 70 * KB);
    cost(2, 1000 * KB);

    assert_killed("013");
}

static void test_nobody_goes_for_whom_somebody_else_goes_already(void **state)
{
    (void)state;
    limit("200kb");
    cost(1, 70 * KB);
    cost(2, 300 * KB); /* Sent away, but its loop is busy. */
    cost(1, 80 * KB);

    assert_killed("2");
}

static void test_a_lower_limit_counts_at_once(void **state)
{
    (void)state;
    cost(3, 300 * KB);
    limit("100kb");
    client_memory_enforce(&server);

    assert_killed("3");
}

static void test_a_share_is_one_of_maxmemory(void **state)
{
    (void)state;
    limit("10%"); /* Of 256 MB. */
    cost(3, 20000 * KB);
    assert_killed("");
    cost(2, 20000 * KB);

    assert_killed("2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_total_is_that_of_all),
        TEST(test_without_a_limit_nobody_goes),
        TEST(test_the_largest_go_until_the_rest_is_within_the_limit),
        TEST(test_who_asked_not_to_be_evicted_stays),
        TEST(test_nobody_goes_for_whom_somebody_else_goes_already),
        TEST(test_a_lower_limit_counts_at_once),
        TEST(test_a_share_is_one_of_maxmemory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
