/* SPDX-License-Identifier: MIT */
/*
 * Hashes as bytes, the fields of hashes and records, and names to find them by.
 */
#include "server/lookup/hash_value.h"

#include "common/hash.h"
#include "server/command/hash_json.h"
#include "server/command/names.h"
#include "server/lookup/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define N_MANY 1000

static struct buf hash;

static int tear_down(void **state)
{
    (void)state;
    buf_destroy(&hash);
    return 0;
}

/* Makes 'hash' anew of these fields. */
static struct fields make(const struct slice *words, size_t n)
{
    buf_clear(&hash);
    hash_value_begin(&hash);
    for (size_t i = 0; i < n; i += 2) {
        hash_value_add(&hash, words[i], words[i + 1]);
    }
    return fields_of(COPY_HASH, NULL, buf_slice(&hash));
}

static void test_fields_come_in_the_order_they_were_made(void **state)
{
    const struct slice words[] = {SLICE("b"), SLICE("1"), SLICE("a"),
                                  SLICE("2")};
    struct fields fields = make(words, 4);
    struct slice name;
    struct slice value;

    (void)state;
    for (size_t i = 0; i < 4; i += 2) {
        assert_true(fields_next(&fields, &name, &value));
        assert_true(slice_equal(name, words[i]));
        assert_true(slice_equal(value, words[i + 1]));
    }
    assert_false(fields_next(&fields, &name, &value));
    assert_int_equal(fields_count(&fields), 2);
}

static void test_sizes_of_any_length_come_back(void **state)
{
    static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, 2097152};
    static char bytes[2097152];

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct slice words[] = {SLICE("f"), slice_make(bytes, sizes[i])};
        const struct fields fields = make(words, 2);
        struct slice value;
        assert_true(hash_value_is_valid(buf_slice(&hash)));
        assert_true(fields_find(&fields, SLICE("f"), &value));
        assert_int_equal(value.size, sizes[i]);
    }
}

static void test_a_field_that_is_not_there_is_not_found(void **state)
{
    const struct slice words[] = {SLICE("a"), SLICE("b")};
    const struct fields fields = make(words, 2);
    struct slice value;

    (void)state;
    assert_false(fields_find(&fields, SLICE("b"), &value));
    assert_false(fields_find(&fields, SLICE(""), &value));
}

static void test_bytes_that_are_no_hash_are_known(void **state)
{
    const struct slice words[] = {SLICE("a"), SLICE("1"), SLICE("b"),
                                  SLICE("22")};
    struct slice name;
    struct slice value;

    (void)state;
    (void)make(words, 4);
    assert_true(hash_value_is_valid(buf_slice(&hash)));
    for (size_t size = 0; size < hash.size; size++) {
        const struct slice cut = slice_make(buf_data(&hash), size);
        struct slice rest = hash_value_fields(cut);
        assert_false(hash_value_is_valid(cut));
        while (hash_value_next(&rest, &name, &value)) {
        }
    }
    assert_false(
        hash_value_is_valid(SLICE("\1\0\0\0\377\377\377\377\377\377")));
    assert_false(hash_value_is_valid(SLICE("\2\0\0\0\1a\1b")));
    assert_false(hash_value_is_valid(SLICE("\0\0\0\0")));
}

static void test_names_are_found_where_they_stand_first(void **state)
{
    char texts[N_MANY][16];
    struct slice list[2 * N_MANY];
    struct names names;

    (void)state;
    for (size_t i = 0; i < N_MANY; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%zu", i % (N_MANY / 2));
        list[2 * i] = slice_from_string(texts[i]);
        list[2 * i + 1] = SLICE("no name");
    }
    for (size_t n = 0; n <= N_MANY; n = n < 20 ? n + 1 : n * 2 + 1) {
        assert_true(names_init(&names, list, n, 2));
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(names_find(&names, list[2 * i]), i % (N_MANY / 2));
        }
        assert_int_equal(names_find(&names, SLICE("no name")), n);
        names_destroy(&names);
    }
}

static void test_a_hash_is_an_object_of_strings(void **state)
{
    const struct slice words[] = {SLICE("n"), SLICE("1"), SLICE("\"\xff"),
                                  SLICE("\n")};
    const struct slice some[] = {SLICE("x"), SLICE("n"), SLICE("x")};
    const struct fields fields = make(words, 4);
    struct buf json = {0};

    (void)state;
    assert_int_equal(hash_json_all(fields, &json), ERR_OK);
    assert_string_equal(buf_string(&json),
                        "{\"n\":\"1\",\"\\\"\xef\xbf\xbd\":\"\\n\"}");
    buf_clear(&json);
    assert_int_equal(hash_json_some(fields, some, 3, &json), ERR_OK);
    assert_string_equal(buf_string(&json), "{\"x\":null,\"n\":\"1\"}");
    buf_destroy(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_come_in_the_order_they_were_made),
        cmocka_unit_test(test_sizes_of_any_length_come_back),
        cmocka_unit_test(test_a_field_that_is_not_there_is_not_found),
        cmocka_unit_test(test_bytes_that_are_no_hash_are_known),
        cmocka_unit_test(test_names_are_found_where_they_stand_first),
        cmocka_unit_test(test_a_hash_is_an_object_of_strings),
    };

    hash_init();
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
