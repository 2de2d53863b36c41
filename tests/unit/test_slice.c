/* SPDX-License-Identifier: MIT */
/*
 * Slices: comparing bytes, and reading a whole slice as an integer.
 */
#include "common/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/attr.h"

static void test_canonical_integers_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        {"0", 0},
        {"7", 7},
        {"-1", -1},
        {"10000", 10000},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775807", INT64_MIN + 1},
        {"-9223372036854775808", INT64_MIN},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t value = 42;

        assert_true(slice_to_int64(slice_from_string(cases[i].text), &value));
        assert_int_equal(value, cases[i].value);
    }
}

static void test_anything_else_is_no_integer(void **state)
{
    static const char *const cases[] = {
        "",
        "-",
        "+1",
        "01",
        "-0",
        "-01",
        "00",
        " 1",
        "1 ",
        "1x",
        "x",
        "0x10",
        "1.0",
        "--1",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999999999",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t value = 42;

        assert_false(slice_to_int64(slice_from_string(cases[i]), &value));
        assert_int_equal(value, 42);
    }
}

static void test_an_integer_needs_no_terminator(void **state)
{
    int64_t value;
    (void)state;

    assert_true(slice_to_int64(slice_make("12345", 3), &value));
    assert_int_equal(value, 123);
    assert_false(slice_to_int64(slice_make("12\0", 3), &value));
}

static void test_equality_sees_every_byte(void **state)
{
    (void)state;

    assert_true(slice_equal(SLICE("a\0b"), slice_make("a\0b", 3)));
    assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c")));
    assert_false(slice_equal(SLICE("ab"), SLICE("abc")));
    assert_true(slice_equal(SLICE(""), slice_make(NULL, 0)));
    assert_true(slice_equal_nocase(SLICE("GeT"), SLICE("gEt")));
    assert_false(slice_equal_nocase(SLICE("get"), SLICE("set")));
    assert_true(slice_equal_nocase(slice_make(NULL, 0), SLICE("")));
    assert_true(slice_equal_nocase(SLICE("a\0B"), SLICE("A\0b")));
    assert_false(slice_equal_nocase(SLICE("a\0b"), SLICE("a\0c")));
    assert_false(slice_equal_nocase(SLICE("@["), SLICE("`{")));
}

static void test_a_prefix_is_at_the_front(void **state)
{
    (void)state;

    assert_true(slice_has_prefix(SLICE("book:3"), SLICE("book:")));
    assert_true(slice_has_prefix(SLICE("book:"), SLICE("book:")));
    assert_true(slice_has_prefix(SLICE("x"), slice_make(NULL, 0)));
    assert_false(slice_has_prefix(SLICE("book"), SLICE("book:")));
    assert_false(slice_has_prefix(SLICE("abook:"), SLICE("book:")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_integers_are_read),
        cmocka_unit_test(test_anything_else_is_no_integer),
        cmocka_unit_test(test_an_integer_needs_no_terminator),
        cmocka_unit_test(test_equality_sees_every_byte),
        cmocka_unit_test(test_a_prefix_is_at_the_front),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
