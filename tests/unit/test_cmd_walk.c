/* SPDX-License-Identifier: MIT */
/*
 * SCAN, KEYS and DBSIZE: pages, filters, failures, and clients that leave.
 */
#include "tests/support/fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static int set_up_with(void **state, const char *plain_writes)
{
    const char *const directives[] = {plain_writes, "behind-interval 1h", NULL};
    struct fixture *f = fixture_new(directives);

    for (int i = 1; i <= 10; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%d", i);
        fake_store_set_book(f->fake, id, "Title", NULL, NULL);
    }
    *state = fake_client_new(f, 2);
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, "plain-writes behind");
}

static int set_up_none(void **state)
{
    return set_up_with(state, "plain-writes none");
}

/* Puts plain keys "p0", "p1", … */
static void put_plain(struct fake_client *c, int n)
{
    for (int i = 0; i < n; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "p%d", i);
        assert_string_equal(CALL(c, "SET", key, "v"), "+OK\r\n");
    }
}

/* Scans to the end in pages of 'count', with one more option; counts the keys
 * that begin with 'prefix'. */
static int scan_all(struct fake_client *c, const char *count,
                    const char *option, const char *value, const char *prefix)
{
    char cursor[32] = "0";
    char wanted[32];
    int n = 0;

    (void)snprintf(wanted, sizeof wanted, "\r\n%s", prefix);
    for (int pages = 0; pages < 100; pages++) {
        const char *reply =
            CALL(c, "SCAN", cursor, "COUNT", count, option, value);
        assert_int_equal(sscanf(reply, "*2\r\n$%*d\r\n%31[0-9]\r\n", cursor),
                         1);
        const char *at = strstr(reply + 4, "*");
        while ((at = strstr(at, wanted)) != NULL) {
            at += strlen(wanted);
            n++;
        }
        if (strcmp(cursor, "0") == 0) {
            return n;
        }
    }
    fail_msg("the scan does not end");
    return -1;
}

static void test_a_scan_sees_each_key_once(void **state)
{
    struct fake_client *c = *state;

    put_plain(c, 7); /* Deferred: the scan has them committed first. */

    assert_int_equal(scan_all(c, "3", "MATCH", "*", "book:"), 10);
    assert_int_equal(scan_all(c, "3", "MATCH", "*", "p"), 7);
    assert_int_equal(scan_all(c, "1000", "MATCH", "*", "p"), 7);
}

static void test_plain_keys_in_memory_only_are_seen_too(void **state)
{
    struct fake_client *c = *state;

    put_plain(c, 7);

    assert_int_equal(scan_all(c, "3", "MATCH", "*", "book:"), 10);
    assert_int_equal(scan_all(c, "3", "MATCH", "*", "p"), 7);
    assert_string_equal(CALL(c, "DBSIZE"), ":17\r\n");
    assert_memory_equal(CALL(c, "KEYS", "p*"), "*7\r\n", 4);
}

static void test_a_pattern_and_a_type_filter(void **state)
{
    struct fake_client *c = *state;

    put_plain(c, 3);
    assert_string_equal(CALL(c, "HSET", "plain hash", "f", "v"), ":1\r\n");

    assert_int_equal(scan_all(c, "4", "TYPE", "hash", "p"), 1);
    assert_int_equal(scan_all(c, "4", "TYPE", "hash", "book:"), 10);
    assert_int_equal(scan_all(c, "4", "TYPE", "string", "p"), 3);
    assert_int_equal(scan_all(c, "4", "TYPE", "list", "book:"), 0);
    assert_int_equal(scan_all(c, "4", "MATCH", "book:1*", "book:"), 2);
    assert_string_equal(CALL(c, "KEYS", "book:1"), "*1\r\n$6\r\nbook:1\r\n");
    assert_string_equal(CALL(c, "KEYS", "none"), "*0\r\n");
}

static void test_the_size_counts_rows_and_plain_keys(void **state)
{
    struct fake_client *c = *state;

    put_plain(c, 3);

    assert_string_equal(CALL(c, "DBSIZE"), ":13\r\n");
}

static void test_a_scan_that_makes_no_sense_is_refused(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "SCAN", "x"), "-ERR invalid cursor\r\n");
    assert_string_equal(CALL(c, "SCAN", "-"), "-ERR invalid cursor\r\n");
    assert_string_equal(CALL(c, "SCAN", " 1"), "-ERR invalid cursor\r\n");
    assert_string_equal(CALL(c, "SCAN", "18446744073709551616"),
                        "-ERR invalid cursor\r\n");
    assert_string_equal(CALL(c, "SCAN", "0", "COUNT", "0"),
                        "-ERR syntax error\r\n");
    assert_string_equal(CALL(c, "SCAN", "0", "COUNT"), "-ERR syntax error\r\n");
    assert_string_equal(CALL(c, "SCAN", "0", "COUNT", "x"),
                        "-ERR value is not an integer or out of range\r\n");
}

static void test_any_cursor_is_harmless(void **state)
{
    static const char *const cursors[] = {"1",
                                          "2",
                                          "3",
                                          "999999999",
                                          "18446744073709551615",
                                          "18446744073709551614",
                                          "-1",
                                          ""};
    struct fake_client *c = *state;

    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++) {
        assert_memory_equal(CALL(c, "SCAN", cursors[i]), "*2\r\n", 4);
    }
}

static void test_a_failed_walk_is_an_error(void **state)
{
    struct fake_client *c = *state;

    fake_store_fail(c->f->fake, FAKE_SCAN, NULL, 2, ERR_STORE_DOWN);
    assert_memory_equal(CALL(c, "SCAN", "0"), "-STOREDOWN ", 11);
    assert_memory_equal(CALL(c, "KEYS", "*"), "-STOREDOWN ", 11);
    fake_store_fail(c->f->fake, FAKE_COUNT, NULL, 1, ERR_STORE_DOWN);

    assert_memory_equal(CALL(c, "DBSIZE"), "-STOREDOWN ", 11);
}

static void test_a_client_may_leave_in_the_middle_of_a_walk(void **state)
{
    struct fake_client *c = *state;

    fake_store_hold(c->f->fake, FAKE_SCAN, FAKE_BEFORE);
    (void)BEGIN(c, "KEYS", "*");
    (void)BEGIN(c, "SCAN", "0");
    fake_store_wait_held(c->f->fake, FAKE_SCAN, FAKE_BEFORE, 2);
    fake_client_leave(c);
    fake_store_release(c->f->fake, FAKE_SCAN, FAKE_BEFORE);
    fixture_run_one(c->f); /* Each ends for nobody. */
    fixture_run_one(c->f);

    assert_string_equal(CALL(c, "DBSIZE"), ":10\r\n");
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, fake_client_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_scan_sees_each_key_once),
        cmocka_unit_test_setup_teardown(
            test_plain_keys_in_memory_only_are_seen_too, set_up_none,
            fake_client_tear_down),
        TEST(test_a_pattern_and_a_type_filter),
        TEST(test_the_size_counts_rows_and_plain_keys),
        TEST(test_a_scan_that_makes_no_sense_is_refused),
        TEST(test_any_cursor_is_harmless),
        TEST(test_a_failed_walk_is_an_error),
        TEST(test_a_client_may_leave_in_the_middle_of_a_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
