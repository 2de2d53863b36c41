/* SPDX-License-Identifier: MIT */
/* Reals as text, and back. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/attr.h"
#include "server/store/sqlite_internal.h"

static void test_text_is_as_sql_writes_it(void **state)
{
    static const struct {
        double real;
        const char *text;
    } cases[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {3, "3.0"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e100, "1.0e+100"},
        {1.5e-7, "1.5e-07"},
        {123456789012345.0, "123456789012345.0"},
        {1234567890123456.0, "1234567890123456.0"},
        {9007199254740993.0, "9007199254740992.0"},
        {1e15, "1.0e+15"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_TRUE_MIN, "4.94065645841247e-324"},
        {INFINITY, "Inf"},
        {-INFINITY, "-Inf"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[SQLITE_REAL_TEXT];
        sqlite_real_text(cases[i].real, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_what_is_written_is_read_again(void **state)
{
    uint64_t bits = UINT64_C(88172645463325252);

    (void)state;
    for (int i = 0; i < 100000; i++) {
        char text[SQLITE_REAL_TEXT];
        double real;
        double again;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&real, &bits, sizeof(real));
        if (!isfinite(real)) {
            continue;
        }
        sqlite_real_text(real, text);
        assert_true(strlen(text) < sizeof(text));
        assert_true(sqlite_real_parse(slice_from_string(text), &again));
        assert_memory_equal(&again, &real, sizeof(real));
    }
}

static void test_only_decimal_numbers_are_reals(void **state)
{
    static const char *const no[] = {"",     " 1", "1 ",  "0x10",  "inf",
                                     "nan",  "1e", "--1", "1.2.3", "e5",
                                     "1e5x", ".",  "+"};
    static const char *const yes[] = {"1",  "-1",  "+1",   ".5",
                                      "5.", "1e5", "1E-5", "007"};
    double real;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        assert_false(sqlite_real_parse(slice_from_string(no[i]), &real));
    }
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        assert_true(sqlite_real_parse(slice_from_string(yes[i]), &real));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_as_sql_writes_it),
        cmocka_unit_test(test_what_is_written_is_read_again),
        cmocka_unit_test(test_only_decimal_numbers_are_reals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
