/* SPDX-License-Identifier: MIT */
#include "server/store/write_code.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static struct buf code;
static struct buf fields;

static int set_up(void **state)
{
    (void)state;
    buf_clear(&code);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_destroy(&code);
    buf_destroy(&fields);
    return 0;
}

/* 'write' under the key "k", there and back. */
static struct store_write round_trip(const struct store_write *write)
{
    struct store_write back;

    write_encode(&code, write, SLICE("k"));
    struct slice left = buf_slice(&code);
    assert_true(write_decode(&left, &back, &fields));
    assert_int_equal(left.size, 0);
    assert_true(slice_equal(back.key, SLICE("k")));
    return back;
}

static void test_a_string_comes_back(void **state)
{
    const struct store_write write = {
        .op = STORE_PUT_PLAIN, .value = SLICE("v"), .expires_ms = 42};

    (void)state;
    const struct store_write back = round_trip(&write);
    assert_int_equal(back.op, STORE_PUT_PLAIN);
    assert_int_equal(back.type, PLAIN_STRING);
    assert_int_equal(back.expires_ms, 42);
    assert_true(slice_equal(back.value, SLICE("v")));
}

static void test_a_hash_comes_back_as_one(void **state)
{
    const struct store_write write = {
        .op = STORE_PUT_PLAIN, .type = PLAIN_HASH, .value = SLICE("h")};

    (void)state;
    const struct store_write back = round_trip(&write);
    assert_int_equal(back.op, STORE_PUT_PLAIN);
    assert_int_equal(back.type, PLAIN_HASH);
    assert_true(slice_equal(back.value, SLICE("h")));
}

static void test_a_null_field_stays_one(void **state)
{
    const struct slice names[] = {SLICE("year"), {0}};
    const struct store_write write = {
        .op = STORE_SET_COLUMNS, .fields = names, .n_fields = 2};

    (void)state;
    const struct store_write back = round_trip(&write);
    assert_int_equal(back.n_fields, 2);
    assert_true(slice_equal(back.fields[0], SLICE("year")));
    assert_null(back.fields[1].data);
}

static void test_what_is_cut_short_is_refused(void **state)
{
    const struct store_write write = {.op = STORE_PUT_PLAIN,
                                      .value = SLICE("value")};
    struct store_write back;

    (void)state;
    write_encode(&code, &write, SLICE("k"));
    for (size_t size = 0; size < code.size; size++) {
        struct slice left = slice_make(buf_data(&code), size);
        assert_false(write_decode(&left, &back, &fields));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_string_comes_back, set_up),
        cmocka_unit_test_setup(test_a_hash_comes_back_as_one, set_up),
        cmocka_unit_test_setup(test_a_null_field_stays_one, set_up),
        cmocka_unit_test_setup(test_what_is_cut_short_is_refused, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
