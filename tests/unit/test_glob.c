/* SPDX-License-Identifier: MIT */
#include "common/glob.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct {
    const char *pattern;
    const char *text;
    bool matches;
} cases[] = {
    {"*", "", true},
    {"", "", true},
    {"", "a", false},
    {"book:*", "book:3", true},
    {"book:*", "boo", false},
    {"*:3", "book:3", true},
    {"b?ok", "book", true},
    {"b?ok", "bok", false},
    {"b[aeo]ok", "book", true},
    {"b[^o]ok", "book", false},
    {"b[^a]ok", "book", true},
    {"b[a-p]ok", "book", true},
    {"b[p-a]ok", "book", true},
    {"b\\*ok", "b*ok", true},
    {"b\\*ok", "book", false},
    {"a*b*c", "aXbYc", true},
    {"a*b*c", "aXbY", false},
    {"*a*", "bab", true},
    {"[", "[", false},
    {"[a", "a", true},
    {"a\\", "a\\", true},
    {"**", "anything", true},
    {"h*llo*", "heeello", true},
    {"[\\]]", "]", true},
    {"[\\a-c]", "b", false}, /* What is escaped begins no range. */
    {"[\\a-c]", "-", true},
};

static void test_patterns_match_as_in_redis(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const bool matches =
            glob_match(slice_from_string(cases[i].pattern),
                       slice_from_string(cases[i].text), false);
        if (matches != cases[i].matches) {
            fail_msg("pattern %s on %s", cases[i].pattern, cases[i].text);
        }
    }
}

static void test_case_can_be_ignored(void **state)
{
    (void)state;
    assert_true(glob_match(SLICE("MAX*"), SLICE("maxmemory"), true));
    assert_true(glob_match(SLICE("[A-Z]ax"), SLICE("max"), true));
    assert_false(glob_match(SLICE("MAX*"), SLICE("maxmemory"), false));
}

static void test_many_stars_end(void **state)
{
    static char text[20000];
    const struct slice pattern = SLICE("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b");

    (void)state;
    memset(text, 'a', sizeof text);
    assert_false(glob_match(pattern, slice_make(text, sizeof text), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_match_as_in_redis),
        cmocka_unit_test(test_case_can_be_ignored),
        cmocka_unit_test(test_many_stars_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
