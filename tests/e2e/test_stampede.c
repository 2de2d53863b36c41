/* SPDX-License-Identifier: MIT */
/*
 * A thousand clients ask one cold key at the same moment: the store is read
 * once, and all get its answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "tests/support/daemon.h"

#define CLIENTS 1000

/* Long enough for all to have asked, also under a sanitizer. */
#define DELAY "2s"

static redisContext *clients[CLIENTS];

static void connect_all(const struct daemon *d)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = redisConnectFd(daemon_connect(d));
        assert_non_null(clients[i]);
    }
    /* Once they are answered they are with their loops. */
    for (size_t i = 0; i < CLIENTS; i++) {
        redisReply *reply = redisCommand(clients[i], "PING");
        assert_non_null(reply);
        freeReplyObject(reply);
    }
}

/* Each client sends its request before the first waits for an answer. */
static void ask_all(const char *key)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        int done = 0;
        assert_int_equal(REDIS_OK,
                         redisAppendCommand(clients[i], "HGET %s title", key));
        while (!done) {
            assert_int_equal(REDIS_OK, redisBufferWrite(clients[i], &done));
        }
    }
}

static void assert_all_answered(int type, const char *expected)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        void *answer = NULL;
        assert_int_equal(REDIS_OK, redisGetReply(clients[i], &answer));
        const redisReply *reply = answer;
        assert_int_equal(type, reply->type);
        if (expected != NULL) {
            assert_string_equal(expected, reply->str);
        }
        freeReplyObject(answer);
    }
}

static void stampede(const char *const *args, const char *key, int type,
                     const char *expected)
{
    struct daemon d = {0};

    daemon_raise_files();
    daemon_start(&d, args);
    connect_all(&d);

    ask_all(key);
    assert_all_answered(type, expected);

    assert_int_equal(1, daemon_info(&d, "store_reads"));
    assert_int_equal(CLIENTS - 1, daemon_info(&d, "flights_joined"));
    assert_int_equal(0, daemon_info(&d, "flights"));
    for (size_t i = 0; i < CLIENTS; i++) {
        redisFree(clients[i]);
    }
    daemon_stop(&d);
    daemon_remove(&d);
}

static void test_a_thousand_clients_cost_one_read(void **state)
{
    const char *const args[] = {"--store-delay", DELAY, NULL};

    (void)state;
    stampede(args, "book:2", REDIS_REPLY_STRING, "The Hobbit");
}

static void test_a_missing_row_costs_one_read_too(void **state)
{
    const char *const args[] = {"--store-delay", DELAY, NULL};

    (void)state;
    stampede(args, "book:99", REDIS_REPLY_NIL, NULL);
}

static void test_a_failed_read_is_told_to_all(void **state)
{
    const char *const args[] = {"--store-delay", DELAY, "--store-error-rate",
                                "100%", NULL};

    (void)state;
    stampede(args, "book:2", REDIS_REPLY_ERROR, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thousand_clients_cost_one_read),
        cmocka_unit_test(test_a_missing_row_costs_one_read_too),
        cmocka_unit_test(test_a_failed_read_is_told_to_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
