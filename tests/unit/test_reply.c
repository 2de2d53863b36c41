/* SPDX-License-Identifier: MIT */
/* Replies, byte for byte, in both protocols. */
#include "server/resp/reply.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* One call after another on a reply of each protocol, then both texts. */
#define CHECK(resp2, resp3, ...)                                   \
    do {                                                           \
        static const char *const expected[] = {resp2, resp3};      \
        for (int p = 0; p < 2; p++) {                              \
            struct buf out = {0};                                  \
            struct reply reply = {.out = &out, .protocol = p + 2}; \
            struct reply *r = &reply;                              \
            __VA_ARGS__;                                           \
            assert_string_equal(buf_string(&out), expected[p]);    \
            buf_destroy(&out);                                     \
        }                                                          \
    } while (0)

#define BOTH(text, ...) CHECK(text, text, __VA_ARGS__)

static void test_lines(void **state)
{
    (void)state;
    BOTH("+PONG\r\n", reply_simple(r, "PONG"));
    BOTH("+OK\r\n", reply_ok(r));
    BOTH("-ERR no\r\n", reply_error(r, "ERR no"));
    BOTH("-ERR no 7\r\n", reply_errorf(r, "ERR no %d", 7));
}

static void test_an_error_text_cannot_forge_a_reply(void **state)
{
    (void)state;
    BOTH("-ERR a  +OK b\r\n", reply_error(r, "ERR a\r\n+OK b"));
    BOTH("+OK\r\n-ERR a  +OK\r\n",
         (reply_ok(r), reply_errorf(r, "ERR %s", "a\r\n+OK")));
}

static void test_integers(void **state)
{
    (void)state;
    BOTH(":0\r\n", reply_integer(r, 0));
    BOTH(":-1\r\n", reply_integer(r, -1));
    BOTH(":1234567890\r\n", reply_integer(r, 1234567890));
    BOTH(":9223372036854775807\r\n", reply_integer(r, INT64_MAX));
    BOTH(":-9223372036854775808\r\n", reply_integer(r, INT64_MIN));
}

static void test_bulks(void **state)
{
    (void)state;
    BOTH("$0\r\n\r\n", reply_bulk(r, slice_make(NULL, 0)));
    BOTH("$3\r\na\r\n\r\n", reply_bulk(r, SLICE("a\r\n")));
    BOTH("$5\r\nhello\r\n", reply_bulk_string(r, "hello"));
    BOTH("$3\r\n-12\r\n", reply_bulk_int64(r, -12));
    BOTH("$4\r\na=10\r\n", reply_bulkf(r, "%s=%d", "a", 10));
    CHECK("$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n",
          reply_verbatim(r, "txt", SLICE("hi")));
}

static void test_doubles(void **state)
{
    (void)state;
    CHECK("$3\r\n1.5\r\n", ",1.5\r\n", reply_double(r, 1.5));
    CHECK("$1\r\n3\r\n", ",3\r\n", reply_double(r, 3));
    CHECK("$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n",
          reply_double(r, 0.1));
    CHECK("$3\r\ninf\r\n", ",inf\r\n", reply_double(r, INFINITY));
    CHECK("$4\r\n-inf\r\n", ",-inf\r\n", reply_double(r, -INFINITY));
    CHECK("$3\r\nnan\r\n", ",nan\r\n", reply_double(r, NAN));
}

static void test_what_resp2_lacks(void **state)
{
    (void)state;
    CHECK(":1\r\n", "#t\r\n", reply_bool(r, true));
    CHECK(":0\r\n", "#f\r\n", reply_bool(r, false));
    CHECK("$-1\r\n", "_\r\n", reply_null(r));
    CHECK("*-1\r\n", "_\r\n", reply_null_array(r));
}

static void test_headers(void **state)
{
    (void)state;
    BOTH("*0\r\n", reply_array(r, 0));
    BOTH("*12\r\n", reply_array(r, 12));
    CHECK("*4\r\n", "%2\r\n", reply_map(r, 2));
    CHECK("*2\r\n", "~2\r\n", reply_set(r, 2));
    CHECK("*3\r\n", ">3\r\n", reply_push(r, 3));
}

static void test_errors_say_what_is_wrong(void **state)
{
    (void)state;
    BOTH("-WRONGTYPE Operation against a key holding the wrong kind of "
         "value\r\n",
         reply_err(r, ERR_WRONG_TYPE, NULL));
    BOTH("-ERR syntax error\r\n", reply_err(r, ERR_SYNTAX, ""));
    BOTH("-ERR syntax error: near x\r\n", reply_err(r, ERR_SYNTAX, "near\nx"));
}

static void test_every_error_has_a_code_and_a_text(void **state)
{
    (void)state;
    for (int err = 0; err < ERR_COUNT; err++) {
        struct buf out = {0};
        struct reply reply = {.out = &out, .protocol = 2};
        char code[32];
        char word[64];

        reply_err(&reply, (enum err)err, NULL);

        assert_int_equal(sscanf(buf_string(&out), "-%31[A-Z] %63s", code, word),
                         2);
        buf_destroy(&out);
    }
}

static void test_the_store_has_codes_of_its_own(void **state)
{
    (void)state;
    static const struct {
        enum err err;
        const char *code;
    } codes[] = {
        {ERR_STORE_DOWN, "-STOREDOWN "},
        {ERR_STORE_TIMEOUT, "-STORETIMEOUT "},
        {ERR_STORE_BUSY, "-STOREBUSY "},
        {ERR_READONLY, "-READONLY "},
        {ERR_NOMEM, "-OOM "},
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct buf out = {0};
        struct reply reply = {.out = &out, .protocol = 3};

        reply_err(&reply, codes[i].err, NULL);

        assert_true(slice_has_prefix(buf_slice(&out),
                                     slice_from_string(codes[i].code)));
        buf_destroy(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_an_error_text_cannot_forge_a_reply),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_bulks),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_what_resp2_lacks),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_errors_say_what_is_wrong),
        cmocka_unit_test(test_every_error_has_a_code_and_a_text),
        cmocka_unit_test(test_the_store_has_codes_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
