/* SPDX-License-Identifier: MIT */
/* Which keys are rows, and of which table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/attr.h"
#include "server/store/mapping.h"

static void test_the_prefix_decides(void **state)
{
    static const struct {
        const char *key;
        const char *id; /* NULL: a plain key. */
    } cases[] = {
        {"book:3", "3"},     {"book:", ""},  {"book:x", "x"},
        {"book:3:4", "3:4"}, {"book", NULL}, {"books:3", NULL},
        {"Book:3", NULL},    {"", NULL},     {" book:3", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice id = SLICE("untouched");
        const struct mapping *mapping = mapping_find(
            &mappings_builtin, slice_from_string(cases[i].key), &id);

        assert_int_equal(mapping != NULL, cases[i].id != NULL);
        assert_true(slice_equal(id, slice_from_string(cases[i].id == NULL
                                                          ? "untouched"
                                                          : cases[i].id)));
    }
}

static void test_one_row_has_one_key(void **state)
{
    static const struct {
        const char *id;
        bool valid;
    } cases[] = {
        {"0", true},
        {"3", true},
        {"-3", true},
        {"9223372036854775807", true},
        {"-9223372036854775808", true},
        {"", false},
        {"03", false},
        {"+3", false},
        {"-0", false},
        {" 3", false},
        {"3 ", false},
        {"x", false},
        {"3.0", false},
        {"9223372036854775808", false},
    };
    const struct mapping *books = &mappings_builtin.list[0];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(
            mapping_id_valid(books, slice_from_string(cases[i].id)),
            cases[i].valid);
    }
}

static void test_a_column_is_found_by_its_exact_name(void **state)
{
    const struct mapping *books = &mappings_builtin.list[0];

    (void)state;
    assert_int_equal(mapping_column(books, SLICE("id")), 0);
    assert_int_equal(mapping_column(books, SLICE("year")), 3);
    assert_int_equal(mapping_column(books, SLICE("Year")), books->n_columns);
    assert_int_equal(mapping_column(books, SLICE("")), books->n_columns);
}

static void test_the_longer_prefix_owns_the_key(void **state)
{
    static const char *const columns[] = {"id"};
    static const struct mapping list[] = {
        {.table = "orders",
         .prefix = {"order:", 6},
         .columns = columns,
         .n_columns = 1,
         .index = 0},
        {.table = "lines",
         .prefix = {"order:line:", 11},
         .columns = columns,
         .n_columns = 1,
         .index = 1},
    };
    const struct mappings all = {.list = list, .count = ARRAY_LEN(list)};
    struct slice id;

    (void)state;
    assert_ptr_equal(mapping_find(&all, SLICE("order:line:7"), &id), &list[1]);
    assert_true(slice_equal(id, SLICE("7")));
    assert_ptr_equal(mapping_find(&all, SLICE("order:7"), &id), &list[0]);
    assert_true(slice_equal(id, SLICE("7")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_prefix_decides),
        cmocka_unit_test(test_one_row_has_one_key),
        cmocka_unit_test(test_a_column_is_found_by_its_exact_name),
        cmocka_unit_test(test_the_longer_prefix_owns_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
