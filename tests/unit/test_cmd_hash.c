/* SPDX-License-Identifier: MIT */
/*
 * Hashes on plain keys: what random commands against Redis do not show.
 */
#include "tests/support/fake_client.h"

#include "common/mem.h"

#include "server/admin/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define N_FIELDS 3000
#define WRONG_TYPE \
    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"

static int set_up(void **state)
{
    static const char *const directives[] = {"plain-writes behind",
                                             "behind-interval 1h", NULL};

    *state = fake_client_new(fixture_new(directives), 2);
    return 0;
}

static int set_up_through(void **state)
{
    static const char *const directives[] = {"plain-writes through", NULL};

    *state = fake_client_new(fixture_new(directives), 2);
    return 0;
}

/* Sets "f<first>" … of the hash 'key', 'n' in one command. */
static void set_fields(struct fake_client *c, const char *key, int first, int n)
{
    struct slice *args = calloc(2 + 2 * (size_t)n, sizeof *args);
    char(*names)[16] = calloc((size_t)n, sizeof *names);

    args[0] = SLICE("HSET");
    args[1] = slice_from_string(key);
    for (int i = 0; i < n; i++) {
        (void)snprintf(names[i], sizeof names[i], "f%d", first + i);
        args[2 + 2 * i] = slice_from_string(names[i]);
        args[3 + 2 * i] = SLICE("value");
    }
    (void)fake_client_take(c,
                           fake_client_begin_args(c, args, 2 + 2 * (size_t)n));
    free(names);
    free(args);
}

/* Counts the names "f<number>" in 'reply' into 'seen'; how many there are. */
static int note_fields(const char *reply, int *seen)
{
    int n = 0;

    for (const char *at = reply; (at = strstr(at, "\r\nf")) != NULL; at += 3) {
        seen[atoi(at + 3)]++;
        n++;
    }
    return n;
}

static void test_a_scan_answers_what_is_there_throughout_once(void **state)
{
    struct fake_client *c = *state;
    static int seen[2 * N_FIELDS];
    char cursor[32] = "0";
    int pages = 0;

    memset(seen, 0, sizeof seen);
    set_fields(c, "h", 0, N_FIELDS);
    do {
        char name[16];
        const char *reply = CALL(c, "HSCAN", "h", cursor, "COUNT", "600");
        assert_int_equal(sscanf(reply, "*2\r\n$%*d\r\n%31[0-9]\r\n", cursor),
                         1);
        assert_true(note_fields(reply, seen) < N_FIELDS / 2);
        /* The second half comes and goes meanwhile. */
        set_fields(c, "h", N_FIELDS + 100 * pages, 100);
        (void)snprintf(name, sizeof name, "f%d", N_FIELDS + pages);
        (void)CALL(c, "HDEL", "h", name);
        pages++;
    } while (strcmp(cursor, "0") != 0 && pages < 20);

    assert_string_equal(cursor, "0");
    assert_true(pages >= 4);
    for (int i = 0; i < N_FIELDS; i++) {
        assert_int_equal(seen[i], 1);
    }
}

static void test_a_scan_of_few_fields_is_one_page(void **state)
{
    struct fake_client *c = *state;
    int seen[512] = {0};

    set_fields(c, "h", 0, 512);
    const char *reply = CALL(c, "HSCAN", "h", "77", "COUNT", "1");
    assert_memory_equal(reply, "*2\r\n$1\r\n0\r\n*1024\r\n", 18);
    assert_int_equal(note_fields(reply, seen), 512);
}

static void test_any_cursor_of_a_scan_is_harmless(void **state)
{
    static const char *const cursors[] = {"1", "9223372036854775807",
                                          "9223372036854775808",
                                          "18446744073709551615", "-1"};
    struct fake_client *c = *state;

    set_fields(c, "h", 0, N_FIELDS);
    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++) {
        assert_memory_equal(CALL(c, "HSCAN", "h", cursors[i]), "*2\r\n", 4);
    }
}

static void test_different_fields_are_drawn(void **state)
{
    struct fake_client *c = *state;
    int seen[100] = {0};

    set_fields(c, "h", 0, 100);
    const char *reply = CALL(c, "HRANDFIELD", "h", "50");
    assert_memory_equal(reply, "*50\r\n", 5);
    assert_int_equal(note_fields(reply, seen), 50);
    for (int i = 0; i < 100; i++) {
        assert_true(seen[i] <= 1);
    }
}

static void test_every_field_is_drawn_sooner_or_later(void **state)
{
    struct fake_client *c = *state;
    int seen[5] = {0};

    set_fields(c, "h", 0, 5);
    const char *reply = CALL(c, "HRANDFIELD", "h", "-1000", "WITHVALUES");
    assert_memory_equal(reply, "*2000\r\n", 7);
    assert_int_equal(note_fields(reply, seen), 1000);
    for (int i = 0; i < 5; i++) {
        assert_true(seen[i] > 100);
    }
}

static void test_more_than_can_be_answered_is_not_drawn(void **state)
{
    struct fake_client *c = *state;

    set_fields(c, "h", 0, 5);
    assert_memory_equal(CALL(c, "HRANDFIELD", "h", "-9000000000000000000"),
                        "-ERR", 4);
}

static void test_a_hash_is_bounded(void **state)
{
    struct fake_client *c = *state;
    char *large = calloc(1, 600001);

    memset(large, 'x', 600000);
    (void)CALL(c, "CONFIG", "SET", "proto-max-bulk-len", "1mb");
    assert_string_equal(CALL(c, "HSET", "h", "a", large), ":1\r\n");
    assert_string_equal(CALL(c, "HSET", "h", "b", large),
                        "-ERR hash exceeds maximum allowed size "
                        "(proto-max-bulk-len)\r\n");
    assert_string_equal(CALL(c, "HLEN", "h"), ":1\r\n");
    free(large);
}

static void test_the_expiry_of_a_hash_stays(void **state)
{
    struct fake_client *c = *state;

    (void)CALL(c, "HSET", "h", "f", "1");
    (void)CALL(c, "PEXPIREAT", "h", "4102444800000");
    (void)CALL(c, "HSET", "h", "g", "2");
    (void)CALL(c, "HINCRBY", "h", "f", "1");
    (void)CALL(c, "HDEL", "h", "g");
    (void)CALL(c, "RENAME", "h", "i");
    assert_string_equal(CALL(c, "PEXPIRETIME", "i"), ":4102444800000\r\n");
    assert_string_equal(CALL(c, "HGET", "i", "f"), "$1\r\n2\r\n");
}

static void test_the_last_field_takes_the_key_with_it(void **state)
{
    struct fake_client *c = *state;

    (void)CALL(c, "HSET", "h", "f", "1", "g", "2");
    assert_string_equal(CALL(c, "HDEL", "h", "f", "g", "f"), ":2\r\n");
    assert_string_equal(CALL(c, "EXISTS", "h"), ":0\r\n");
    assert_string_equal(CALL(c, "HDEL", "h", "f"), ":0\r\n");
}

static void test_book_get_shows_an_object(void **state)
{
    struct fake_client *c = *state;

    (void)CALL(c, "HSET", "h", "f", "1", "g", "2");
    assert_non_null(strstr(CALL(c, "BOOK.GET", "h"),
                           "$17\r\n{\"f\":\"1\",\"g\":\"2\"}\r\n"));
    assert_non_null(strstr(CALL(c, "BOOK.GET", "h", "FIELDS", "g", "x"),
                           "$18\r\n{\"g\":\"2\",\"x\":null}\r\n"));
    assert_non_null(
        strstr(CALL(c, "BOOK.WHY", "h"), "$4\r\ntype\r\n$4\r\nhash\r\n"));
}

static void test_bytes_that_are_no_hash_are_an_error(void **state)
{
    struct fake_client *c = *state;

    fake_store_set_hash(c->f->fake, "h", "nonsense");
    assert_memory_equal(CALL(c, "HGET", "h", "f"), "-STOREDOWN", 10);
    assert_memory_equal(CALL(c, "HSET", "h", "f", "v"), "-ERR", 4);
    assert_string_equal(CALL(c, "DEL", "h"), ":1\r\n");
    assert_string_equal(CALL(c, "HSET", "h", "f", "v"), ":1\r\n");
}

static void test_the_store_has_the_type(void **state)
{
    struct fake_client *c = *state;

    (void)CALL(c, "HSET", "h", "f", "v");
    (void)CALL(c, "BOOK.EVICT", "h");
    assert_string_equal(CALL(c, "GET", "h"), WRONG_TYPE);
    assert_string_equal(CALL(c, "HGET", "h", "f"), "$1\r\nv\r\n");
    (void)CALL(c, "SET", "h", "v");
    (void)CALL(c, "BOOK.EVICT", "h");
    assert_string_equal(CALL(c, "HGET", "h", "f"), WRONG_TYPE);
}

/* With the n-th allocation failing, for every n: an error, or what is expected,
 * though perhaps by a longer way; and in the end that. */
static void survive(struct fake_client *c, const char *const *words,
                    const char *expected)
{
    bool reached = true;

    for (long n = 1; reached; n++) {
        (void)mem_fail_nth(n);
        const char *reply = fake_client_take(c, fake_client_begin(c, words));
        reached = mem_fail_nth(0) == 0;
        if (!reached || strncmp(reply, "-OOM ", 5) != 0) {
            assert_string_equal(reply, expected);
        }
        assert_true(n < 50);
    }
}

#define SURVIVE(c, expected, ...) \
    survive(c, (const char *const[]){__VA_ARGS__, NULL}, expected)

static void test_no_memory_is_an_error(void **state)
{
    struct fake_client *c = *state;

    (void)CALL(c, "HSET", "h", "1", "v", "n", "4");
    SURVIVE(c, ":0\r\n", "HSET", "h", "1", "a", "1", "b", "1", "c", "1", "d",
            "1", "e", "1", "f", "1", "g", "1", "h", "1", "w");
    SURVIVE(c, "+OK\r\n", "HMSET", "h", "1", "w");
    SURVIVE(c, ":4\r\n", "HINCRBY", "h", "n", "0");
    SURVIVE(c, "$1\r\n4\r\n", "HINCRBYFLOAT", "h", "n", "0");
    SURVIVE(c, ":0\r\n", "HDEL", "h", "2", "3", "4", "5", "6", "7", "8", "9",
            "0");
    SURVIVE(c,
            "*9\r\n$1\r\nw\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"
            "$-1\r\n$-1\r\n$-1\r\n",
            "HMGET", "h", "1", "a", "b", "c", "d", "e", "f", "g", "i");
    (void)CALL(c, "HDEL", "h", "n");
    SURVIVE(c, "*2\r\n$1\r\n0\r\n*2\r\n$1\r\n1\r\n$1\r\nw\r\n", "HSCAN", "h",
            "0");
    SURVIVE(c, "*1\r\n$1\r\n1\r\n", "HRANDFIELD", "h", "1");
    SURVIVE(c, "$1\r\nw\r\n", "HGET", "h", "1");
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, fake_client_tear_down)
#define THROUGH(name) \
    cmocka_unit_test_setup_teardown(name, set_up_through, fake_client_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_scan_answers_what_is_there_throughout_once),
        TEST(test_a_scan_of_few_fields_is_one_page),
        TEST(test_any_cursor_of_a_scan_is_harmless),
        TEST(test_different_fields_are_drawn),
        TEST(test_every_field_is_drawn_sooner_or_later),
        TEST(test_more_than_can_be_answered_is_not_drawn),
        TEST(test_a_hash_is_bounded),
        TEST(test_the_expiry_of_a_hash_stays),
        THROUGH(test_the_expiry_of_a_hash_stays),
        TEST(test_the_last_field_takes_the_key_with_it),
        THROUGH(test_the_last_field_takes_the_key_with_it),
        TEST(test_no_memory_is_an_error),
        TEST(test_book_get_shows_an_object),
        THROUGH(test_bytes_that_are_no_hash_are_an_error),
        THROUGH(test_the_store_has_the_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
