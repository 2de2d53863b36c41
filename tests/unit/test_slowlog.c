/* SPDX-License-Identifier: MIT */
/* The slow log, and what is counted when a command ends. */
#include "server/command/slowlog.h"

#include "common/clock.h"
#include "common/mem.h"
#include "server/command/account.h"
#include "server/command/calls.h"
#include "tests/support/fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

struct bed {
    struct fixture *f;
    struct fake_client *c;
};

static int set_up(void **state)
{
    const char *const directives[] = {"plain-writes through", NULL};
    struct bed *bed = xcalloc(1, sizeof *bed);

    account_reset();
    bed->f = fixture_new(directives);
    bed->c = fake_client_new(bed->f, 2);
    *state = bed;
    return 0;
}

static int tear_down(void **state)
{
    struct bed *bed = *state;

    fake_client_free(bed->c);
    fixture_free(bed->f);
    free(bed);
    return 0;
}

/* Of the command that ended last: how its entry's arguments read. */
static void assert_logged(struct bed *bed, const char *args)
{
    struct buf text = {0};
    struct reply reply = {.out = &text, .protocol = 2};

    slowlog_reply(bed->c->server.slowlog, 1, &reply);
    assert_non_null(strstr(buf_string(&text), args));
    buf_destroy(&text);
}

static size_t n_logged(struct bed *bed)
{
    return slowlog_len(bed->c->server.slowlog);
}

static void test_a_command_is_logged_from_its_limit_on(void **state)
{
    struct bed *bed = *state;

    fixture_set(bed->f, "slowlog-log-slower-than", "1000000000");
    CALL(bed->c, "PING");
    assert_int_equal(n_logged(bed), 0);
    fixture_set(bed->f, "slowlog-log-slower-than", "0");
    CALL(bed->c, "PING", "now");
    assert_int_equal(n_logged(bed), 1);
    assert_logged(bed, "*2\r\n$4\r\nPING\r\n$3\r\nnow\r\n");
    fixture_set(bed->f, "slowlog-log-slower-than", "-1");
    CALL(bed->c, "PING");
    assert_int_equal(n_logged(bed), 1);
}

static void test_a_write_that_waited_is_logged_with_its_words(void **state)
{
    struct bed *bed = *state;

    fixture_set(bed->f, "slowlog-log-slower-than", "0");
    assert_string_equal(CALL(bed->c, "SET", "k", "v"), "+OK\r\n");

    assert_logged(bed, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n");
}

static void test_a_write_whose_words_have_gone_is_not_logged(void **state)
{
    struct bed *bed = *state;

    fixture_set(bed->f, "slowlog-log-slower-than", "-1");
    fake_store_hold(bed->f->fake, FAKE_BEGIN, FAKE_BEFORE);
    struct request *set = BEGIN(bed->c, "SET", "k", "v");
    fixture_set(bed->f, "slowlog-log-slower-than", "0");
    fake_store_release(bed->f->fake, FAKE_BEGIN, FAKE_BEFORE);
    assert_string_equal(fake_client_take(bed->c, set), "+OK\r\n");

    assert_int_equal(n_logged(bed), 0);
}

static void test_the_oldest_entries_go(void **state)
{
    struct bed *bed = *state;

    fixture_set(bed->f, "slowlog-log-slower-than", "0");
    fixture_set(bed->f, "slowlog-max-len", "2");
    CALL(bed->c, "ECHO", "one");
    CALL(bed->c, "ECHO", "two");
    CALL(bed->c, "ECHO", "three");
    assert_int_equal(n_logged(bed), 2);
    assert_logged(bed, "three");

    slowlog_trim(bed->c->server.slowlog, 1);
    assert_int_equal(n_logged(bed), 1);
    assert_logged(bed, "three");
}

static void test_long_arguments_are_cut(void **state)
{
    struct bed *bed = *state;
    char long_arg[200];

    memset(long_arg, 'x', sizeof long_arg - 1);
    long_arg[sizeof long_arg - 1] = '\0';
    fixture_set(bed->f, "slowlog-log-slower-than", "0");
    CALL(bed->c, "ECHO", long_arg);

    assert_logged(bed, "\r\n$147\r\nxxx");
    assert_logged(bed, "xxx... (71 more bytes)\r\n");
}

static void test_many_arguments_are_cut(void **state)
{
    struct bed *bed = *state;
    const char *words[41] = {"EXISTS"};

    for (size_t i = 1; i < 40; i++) {
        words[i] = "k";
    }
    fixture_set(bed->f, "slowlog-log-slower-than", "0");
    fake_client_take(bed->c, fake_client_begin(bed->c, words));

    assert_logged(bed, "*32\r\n$6\r\nEXISTS\r\n");
    assert_logged(bed, "... (9 more arguments)\r\n");
}

static void test_secrets_are_not_shown(void **state)
{
    struct bed *bed = *state;

    fixture_set(bed->f, "slowlog-log-slower-than", "0");
    CALL(bed->c, "HELLO", "2", "AUTH", "default", "sesame");
    assert_logged(bed, "$4\r\nAUTH\r\n$10\r\n(redacted)\r\n$10\r\n(redacted)");
    CALL(bed->c, "CONFIG", "SET", "loglevel", "info", "RequirePass", "sesame");
    assert_logged(bed, "$4\r\ninfo\r\n$11\r\nRequirePass\r\n$10\r\n(redacted)");
}

/* ---- what is counted ---- */

static struct call_counts counts_of(const char *name)
{
    struct calls_sum *sum = calls_sum();
    struct call_counts n =
        calls_of(sum, command_by_name(slice_from_string(name)));

    n.latency_us = NULL; /* It goes with the sum. */
    calls_sum_free(sum);
    return n;
}

static void test_each_command_is_counted_once_however_it_ends(void **state)
{
    struct bed *bed = *state;

    CALL(bed->c, "SET", "k", "v"); /* Waits. */
    CALL(bed->c, "GET", "k");      /* A hit. */
    CALL(bed->c, "INCR", "k");     /* Fails. */
    CALL(bed->c, "GET");           /* Is refused. */

    assert_int_equal(counts_of("set").calls, 1);
    assert_int_equal(counts_of("get").calls, 1);
    assert_int_equal(counts_of("get").rejected, 1);
    assert_int_equal(counts_of("get").failed, 0);
    assert_int_equal(counts_of("incr").calls, 1);
    assert_int_equal(counts_of("incr").failed, 1);
}

static void
test_commands_of_a_transaction_count_when_it_is_executed(void **state)
{
    struct bed *bed = *state;

    CALL(bed->c, "MULTI");
    CALL(bed->c, "SET", "k", "v");
    CALL(bed->c, "INCR", "k");
    CALL(bed->c, "PING");
    assert_int_equal(counts_of("set").calls, 0);
    CALL(bed->c, "EXEC");

    assert_int_equal(counts_of("set").calls, 1);
    assert_int_equal(counts_of("incr").calls, 1);
    assert_int_equal(counts_of("incr").failed, 1);
    assert_int_equal(counts_of("ping").calls, 1);
    assert_int_equal(counts_of("exec").calls, 1);
    assert_int_equal(counts_of("exec").failed, 0);
}

static void test_a_command_takes_the_time_that_it_waits(void **state)
{
    struct bed *bed = *state;

    fake_store_hold(bed->f->fake, FAKE_BEGIN, FAKE_BEFORE);
    struct request *set = BEGIN(bed->c, "SET", "k", "v");
    const int64_t begun_us = clock_now_us();
    while (clock_now_us() - begun_us < 2000) {
        CALL(bed->c, "PING");
    }
    fake_store_release(bed->f->fake, FAKE_BEGIN, FAKE_BEFORE);
    fake_client_take(bed->c, set);

    assert_in_range(counts_of("set").took_us, 2000, INT32_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_command_is_logged_from_its_limit_on),
        TEST(test_a_write_that_waited_is_logged_with_its_words),
        TEST(test_a_write_whose_words_have_gone_is_not_logged),
        TEST(test_the_oldest_entries_go),
        TEST(test_long_arguments_are_cut),
        TEST(test_many_arguments_are_cut),
        TEST(test_secrets_are_not_shown),
        TEST(test_each_command_is_counted_once_however_it_ends),
        TEST(test_commands_of_a_transaction_count_when_it_is_executed),
        TEST(test_a_command_takes_the_time_that_it_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
