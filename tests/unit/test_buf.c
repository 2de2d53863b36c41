/* SPDX-License-Identifier: MIT */
/*
 * The byte buffer: appending, consuming, growing, and JSON strings.
 */
#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"

static void assert_content(struct buf *b, const char *expected)
{
    assert_int_equal(b->size, strlen(expected));
    assert_string_equal(buf_string(b), expected);
}

static void test_a_zeroed_buffer_is_empty(void **state)
{
    struct buf b = {.size = 0};
    (void)state;

    assert_int_equal(buf_slice(&b).size, 0);
    assert_non_null(buf_slice(&b).data);
    assert_content(&b, "");
    buf_destroy(&b);
    buf_destroy(&b);
}

static void test_appended_bytes_come_out_in_order(void **state)
{
    struct buf b = {.size = 0};
    (void)state;

    buf_append_string(&b, "GET");
    buf_append_char(&b, ' ');
    buf_append_slice(&b, SLICE("book:"));
    buf_append_int64(&b, 3);
    buf_append(&b, NULL, 0);

    assert_content(&b, "GET book:3");
    buf_destroy(&b);
}

static void test_consumed_bytes_leave_from_the_front(void **state)
{
    struct buf b = {.size = 0};
    (void)state;

    buf_append_string(&b, "abcdef");
    buf_consume(&b, 2);
    assert_content(&b, "cdef");
    buf_truncate(&b, 3);
    assert_content(&b, "cde");
    buf_consume(&b, 3);

    assert_int_equal(b.size, 0);
    assert_int_equal(b.start, 0);
    buf_destroy(&b);
}

/* A connection appends and consumes for hours; the storage must not grow. */
static void test_steady_traffic_reuses_the_storage(void **state)
{
    struct buf b = {.size = 0};
    size_t capacity = 0;
    (void)state;

    buf_append_string(&b, "0123456789");
    for (int i = 0; i < 10000; i++) {
        buf_append_string(&b, "0123456789");
        buf_consume(&b, 10);
        if (i == 100) {
            capacity = b.capacity;
        }
    }

    assert_int_equal(b.capacity, capacity);
    assert_content(&b, "0123456789");
    buf_destroy(&b);
}

static void test_growing_keeps_the_content(void **state)
{
    struct buf b = {.size = 0};
    (void)state;

    for (int i = 0; i < 20000; i++) {
        buf_append_char(&b, (char)('a' + i % 26));
        if (i % 3 == 2) {
            buf_consume(&b, 1);
        }
    }

    assert_int_equal(b.size, 20000 - 6666);
    for (size_t i = 0; i < b.size; i++) {
        assert_int_equal(buf_data(&b)[i], 'a' + (int)((i + 6666) % 26));
    }
    buf_destroy(&b);
}

static void test_a_failed_reserve_changes_nothing(void **state)
{
    struct buf b = {.size = 0};
    (void)state;

    buf_append_string(&b, "kept");
    mem_fail_nth(1);
    assert_null(buf_try_reserve(&b, 100000));
    assert_null(buf_try_reserve(&b, SIZE_MAX));
    assert_content(&b, "kept");

    assert_non_null(buf_try_reserve(&b, 100000));
    assert_content(&b, "kept");
    buf_destroy(&b);
}

static void test_a_failed_append_changes_nothing(void **state)
{
    static const char large[100000] = "x";
    struct buf b = {.size = 0};
    (void)state;

    assert_true(buf_try_append_slice(&b, SLICE("kept")));
    assert_true(buf_try_append_slice(&b, SLICE("")));
    mem_fail_nth(1);
    assert_false(buf_try_append_slice(&b, slice_make(large, sizeof(large))));
    assert_content(&b, "kept");

    assert_true(buf_try_append_slice(&b, SLICE(" on")));
    assert_content(&b, "kept on");
    buf_destroy(&b);
}

static void test_reserved_room_is_committed_in_part(void **state)
{
    struct buf b = {.size = 0};
    (void)state;

    char *const room = buf_reserve(&b, 100);
    memcpy(room, "read(2)", 7);
    buf_commit(&b, 4);

    assert_content(&b, "read");
    buf_destroy(&b);
}

static void test_integers_are_written_in_full(void **state)
{
    struct buf b = {.size = 0};
    (void)state;

    buf_append_int64(&b, INT64_MIN);
    buf_append_char(&b, ' ');
    buf_append_int64(&b, INT64_MAX);
    buf_append_char(&b, ' ');
    buf_append_int64(&b, 0);
    buf_append_char(&b, ' ');
    buf_append_int64(&b, -10);

    assert_content(&b, "-9223372036854775808 9223372036854775807 0 -10");
    buf_destroy(&b);
}

static void test_printf_takes_short_and_long_text(void **state)
{
    struct buf b = {.size = 0};
    char text[3000];
    (void)state;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int size = 0; size < 200; size++) {
        buf_clear(&b);
        buf_printf(&b, "%.*s", size, text);
        assert_int_equal(b.size, size);
    }
    buf_clear(&b);
    buf_printf(&b, "<%s|%d>", text, 5);

    assert_int_equal(b.size, sizeof(text) - 1 + 4);
    assert_memory_equal(buf_data(&b) + b.size - 4, "x|5>", 4);
    buf_destroy(&b);
}

/* ---- JSON ---- */

#define FFFD "\xEF\xBF\xBD"

static void test_json_strings_are_escaped_and_valid(void **state)
{
    static const struct {
        struct slice in;
        const char *out;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{"Emma", 4}, "\"Emma\""},
        {{"a\"b\\c/", 6}, "\"a\\\"b\\\\c/\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\x01\x1f\x7f", 4}, "\"\\u0000\\u0001\\u001f\x7f\""},
        {{"Bront\xC3\xAB", 7}, "\"Bront\xC3\xAB\""},
        {{"\xE2\x82\xAC\xF0\x9F\x93\x96", 7},
         "\"\xE2\x82\xAC\xF0\x9F\x93\x96\""},
        /* Lone continuation bytes and bytes that never occur. */
        {{"a\x80z", 3}, "\"a" FFFD "z\""},
        {{"\xFE\xFF", 2}, "\"" FFFD FFFD "\""},
        /* Overlong forms of '/'. */
        {{"\xC0\xAF", 2}, "\"" FFFD FFFD "\""},
        {{"\xE0\x80\xAF", 3}, "\"" FFFD FFFD FFFD "\""},
        {{"\xF0\x80\x80\xAF", 4}, "\"" FFFD FFFD FFFD FFFD "\""},
        /* A surrogate, and above U+10FFFF. */
        {{"\xED\xA0\x80", 3}, "\"" FFFD FFFD FFFD "\""},
        {{"\xF4\x90\x80\x80", 4}, "\"" FFFD FFFD FFFD FFFD "\""},
        {{"\xF5\x80", 2}, "\"" FFFD FFFD "\""},
        /* Cut off: one for each maximal beginning, and what follows stays. */
        {{"\xE2\x82", 2}, "\"" FFFD "\""},
        {{"\xE2\x82z", 3}, "\"" FFFD "z\""},
        {{"\xF0\x9F\x93\"", 4}, "\"" FFFD "\\\"\""},
        {{"\xE2\xE2\x82\xAC", 4}, "\"" FFFD "\xE2\x82\xAC\""},
        /* The example of Unicode 15, table 3-8. */
        {{"\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", 13},
         "\"a" FFFD FFFD FFFD "b" FFFD "c" FFFD FFFD "d\""},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {.size = 0};

        buf_append_json(&b, cases[i].in);
        assert_content(&b, cases[i].out);
        buf_destroy(&b);
    }
}

static size_t encode(uint32_t code, char *out)
{
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

static void test_json_keeps_every_character_of_unicode(void **state)
{
    struct buf in = {.size = 0};
    struct buf out = {.size = 0};
    (void)state;

    for (uint32_t code = 0x80; code <= 0x10FFFF; code++) {
        if (code < 0xD800 || code > 0xDFFF) {
            buf_commit(&in, encode(code, buf_reserve(&in, 4)));
        }
    }
    buf_append_json(&out, buf_slice(&in));

    assert_int_equal(out.size, in.size + 2);
    assert_memory_equal(buf_data(&out) + 1, buf_data(&in), in.size);
    buf_destroy(&in);
    buf_destroy(&out);
}

static void test_reserving_nothing_in_an_empty_buffer_succeeds(void **state)
{
    struct buf b = {0};

    (void)state;
    assert_non_null(buf_try_reserve(&b, 0));

    buf_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reserving_nothing_in_an_empty_buffer_succeeds),
        cmocka_unit_test(test_a_zeroed_buffer_is_empty),
        cmocka_unit_test(test_appended_bytes_come_out_in_order),
        cmocka_unit_test(test_consumed_bytes_leave_from_the_front),
        cmocka_unit_test(test_steady_traffic_reuses_the_storage),
        cmocka_unit_test(test_growing_keeps_the_content),
        cmocka_unit_test(test_a_failed_reserve_changes_nothing),
        cmocka_unit_test(test_a_failed_append_changes_nothing),
        cmocka_unit_test(test_reserved_room_is_committed_in_part),
        cmocka_unit_test(test_integers_are_written_in_full),
        cmocka_unit_test(test_printf_takes_short_and_long_text),
        cmocka_unit_test(test_json_strings_are_escaped_and_valid),
        cmocka_unit_test(test_json_keeps_every_character_of_unicode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
