/* SPDX-License-Identifier: MIT */
/*
 * Databases: which keys are whose inside; and the order
 * that SWAPDB changes.
 */
#include "common/mem.h"
#include "server/command/databases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static const char *text_of(struct databases *databases, const char *before,
                           unsigned a, unsigned b, struct buf *text)
{
    buf_clear(text);
    databases_swap_text(databases, slice_from_string(before), a, b, text);
    return buf_string(text);
}

static void test_nothing_is_swapped_at_first(void **state)
{
    struct databases *d = databases_new(16);

    (void)state;
    assert_false(databases_swapped(d));
    assert_int_equal(databases_stored(d, 15), 15);
    assert_int_equal(databases_selected(d, 3), 3);
    assert_int_equal(databases_selected(d, PLAIN_KEY_OWN), -1);
    databases_free(d);
}

static void test_an_order_is_written_up_to_its_last_change(void **state)
{
    struct databases *d = databases_new(16);
    struct buf text = {0};

    (void)state;
    assert_string_equal(text_of(d, "", 0, 2, &text), "1 2 1 0");
    assert_string_equal(text_of(d, "1 2 1 0", 2, 0, &text), "2");
    assert_string_equal(text_of(d, "2", 1, 2, &text), "3 0 2 1");
    buf_destroy(&text);
    databases_free(d);
}

static void test_the_newer_order_counts(void **state)
{
    struct databases *d = databases_new(16);

    (void)state;
    databases_take(d, SLICE("5 1 0"));
    assert_int_equal(databases_stored(d, 0), 1);
    assert_int_equal(databases_selected(d, 0), 1);
    databases_take(d, SLICE("4 2 1 0"));
    assert_int_equal(databases_stored(d, 0), 1);
    databases_take(d, SLICE("6"));
    assert_false(databases_swapped(d));
    databases_free(d);
}

static void test_what_is_no_order_changes_nothing(void **state)
{
    static const char *const texts[] = {"",      "x",      "1 0 0",   "1 1",
                                        "1 256", "1 -1 0", "1 255 0", "1 1 x"};
    struct databases *d = databases_new(16);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        databases_take(d, slice_from_string(texts[i]));
        assert_false(databases_swapped(d));
    }
    databases_free(d);
}

static void test_a_key_shows_what_its_client_wrote(void **state)
{
    static const struct {
        struct slice inner, shown;
        unsigned database;
    } cases[] = {
        {{.data = "key", .size = 3}, {.data = "key", .size = 3}, 0},
        {{.data = "", .size = 0}, {.data = "", .size = 0}, 0},
        {{.data = "\0\3key", .size = 5}, {.data = "key", .size = 3}, 3},
        {{.data = "\0\3", .size = 2}, {.data = "", .size = 0}, 3},
        {{.data = "\0\0\0x", .size = 4}, {.data = "\0x", .size = 2}, 0},
        {{.data = "\0\377k", .size = 3}, {.data = "k", .size = 1}, 255},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(plain_key_database(cases[i].inner), cases[i].database);
        assert_true(
            slice_equal(plain_key_shown(cases[i].inner), cases[i].shown));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_swapped_at_first),
        cmocka_unit_test(test_an_order_is_written_up_to_its_last_change),
        cmocka_unit_test(test_the_newer_order_counts),
        cmocka_unit_test(test_what_is_no_order_changes_nothing),
        cmocka_unit_test(test_a_key_shows_what_its_client_wrote),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
