/* SPDX-License-Identifier: MIT */
/*
 * A request sleeps without a thread, and ends once, whoever is first: the
 * clock, somebody who wakes it, or its client, who leaves.
 */
#include "server/command/alarm.h"

#include "common/clock.h"
#include "tests/support/fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SECOND_US 1000000

static int set_up(void **state)
{
    const char *const directives[] = {"enable-debug-command yes", NULL};

    clock_set_manual(SECOND_US);
    *state = fake_client_new(fixture_new(directives), 2);
    return 0;
}

static void test_a_request_wakes_when_its_time_has_come(void **state)
{
    struct fake_client *c = *state;
    struct request *sleeper = BEGIN(c, "DEBUG", "SLEEP", "5");

    clock_advance(5 * SECOND_US - 1);
    fixture_run_ready(c->f);
    assert_false(sleeper->finished);
    clock_advance(1);
    assert_string_equal(fake_client_take(c, sleeper), "+OK\r\n");
}

static void test_others_are_served_meanwhile(void **state)
{
    struct fake_client *c = *state;
    struct request *sleeper = BEGIN(c, "DEBUG", "SLEEP", "1e300");

    assert_string_equal(CALL(c, "PING"), "+PONG\r\n");
    assert_false(sleeper->finished);
}

static void test_who_leaves_sleeps_no_more(void **state)
{
    struct fake_client *c = *state;

    (void)BEGIN(c, "DEBUG", "SLEEP", "5");
    fake_client_leave(c);
    /* Nothing fires any more; AddressSanitizer sees that all is freed. */
    clock_advance(10 * SECOND_US);
    fixture_run_ready(c->f);
}

static void test_who_leaves_while_it_wakes_is_let_go(void **state)
{
    struct fake_client *c = *state;

    (void)BEGIN(c, "DEBUG", "SLEEP", "5");
    clock_advance(5 * SECOND_US);
    fake_client_leave(c);
    fixture_run_ready(c->f);
}

static void say_early(struct request *request)
{
    reply_simple(&request->reply, "early");
}

static void test_it_can_be_woken_before(void **state)
{
    struct fake_client *c = *state;
    struct request *sleeper = BEGIN(c, "DEBUG", "SLEEP", "5");

    assert_true(alarm_wake(sleeper, say_early));
    assert_true(sleeper->finished);
    assert_string_equal(fake_client_take(c, sleeper), "+early\r\n");
    clock_advance(10 * SECOND_US);
}

static void test_it_is_not_woken_twice(void **state)
{
    struct fake_client *c = *state;
    struct request *sleeper = BEGIN(c, "DEBUG", "SLEEP", "5");

    clock_advance(5 * SECOND_US);
    assert_false(alarm_wake(sleeper, say_early));
    assert_string_equal(fake_client_take(c, sleeper), "+OK\r\n");
}

#define alarm_test(name) \
    cmocka_unit_test_setup_teardown(name, set_up, fake_client_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        alarm_test(test_a_request_wakes_when_its_time_has_come),
        alarm_test(test_others_are_served_meanwhile),
        alarm_test(test_who_leaves_sleeps_no_more),
        alarm_test(test_who_leaves_while_it_wakes_is_let_go),
        alarm_test(test_it_can_be_woken_before),
        alarm_test(test_it_is_not_woken_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
