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

/* order:{region}:{no}.json over text and an integer. */
static const char *const order_columns[] = {"note", "region", "no"};
static const enum column_affinity order_affinities[] = {
    AFFINITY_TEXT, AFFINITY_TEXT, AFFINITY_INTEGER};
static const struct mapping_key order_keys[] = {
    {.column = 1, .after = {"::", 2}}, {.column = 2, .after = {".json", 5}}};
static const struct mapping orders = {.table = "orders",
                                      .prefix = {"order:", 6},
                                      .keys = order_keys,
                                      .n_keys = ARRAY_LEN(order_keys),
                                      .columns = order_columns,
                                      .affinities = order_affinities,
                                      .n_columns = 3};

static void test_an_id_is_taken_apart_and_put_together(void **state)
{
    static const struct {
        const char *id;
        const char *region; /* NULL: no id. */
        const char *no;
    } cases[] = {
        {"emea::17.json", "emea", "17"}, {"::17.json", "", "17"},
        {"a:b::1.json", "a:b", "1"},     {"a:::1.json", "a", ":1"},
        {"a::b::1.json", "a", "b::1"},   {"a::.json.json", "a", ".json"},
        {"emea::.json", NULL, NULL},     {"emea::17", NULL, NULL},
        {"emea:17.json", NULL, NULL},    {"", NULL, NULL},
        {".json", NULL, NULL},           {"emea::json", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct slice id = slice_from_string(cases[i].id);
        struct slice parts[MAPPING_KEYS_MAX];
        struct buf joined = {0};

        assert_int_equal(mapping_split(&orders, id, parts),
                         cases[i].region != NULL);
        if (cases[i].region == NULL) {
            continue;
        }
        assert_true(slice_equal(parts[0], slice_from_string(cases[i].region)));
        assert_true(slice_equal(parts[1], slice_from_string(cases[i].no)));
        mapping_join(&orders, parts, &joined);
        assert_true(slice_equal(buf_slice(&joined), id));
        buf_destroy(&joined);
    }
}

static void test_the_columns_of_the_key_are_known(void **state)
{
    (void)state;
    assert_false(mapping_is_key(&orders, 0));
    assert_true(mapping_is_key(&orders, 1));
    assert_true(mapping_is_key(&orders, 2));
    assert_true(mapping_is_key(&mappings_builtin.list[0], 0));
    assert_false(mapping_is_key(&mappings_builtin.list[0], 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_prefix_decides),
        cmocka_unit_test(test_one_row_has_one_key),
        cmocka_unit_test(test_a_column_is_found_by_its_exact_name),
        cmocka_unit_test(test_the_longer_prefix_owns_the_key),
        cmocka_unit_test(test_an_id_is_taken_apart_and_put_together),
        cmocka_unit_test(test_the_columns_of_the_key_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
