/* SPDX-License-Identifier: MIT */
/*
 * Records: what GET and the H commands read out of them.
 */
#include "server/lookup/record.h"

#include "common/mem.h"
#include "tests/support/stress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Encodes a book whose title is 'title'. */
static void encode(struct store_column title, struct buf *record)
{
    const struct store_column columns[] = {
        {.type = COLUMN_INTEGER, .bytes = SLICE("3")},
        title,
        {.type = COLUMN_NULL, .bytes = SLICE("")},
        {.type = COLUMN_NULL, .bytes = SLICE("")},
    };
    const struct store_row row = {.mapping = &mappings_builtin.list[0],
                                  .columns = columns};

    assert_int_equal(record_encode(&row, record), ERR_OK);
}

static void test_a_column_keeps_its_exact_bytes(void **state)
{
    static const struct {
        struct store_column title;
        const char *json;
    } cases[] = {
        {{COLUMN_TEXT, SLICE("Ulysses")}, "\"Ulysses\""},
        {{COLUMN_TEXT, SLICE("")}, "\"\""},
        {{COLUMN_TEXT, SLICE("a\"b\n")}, "\"a\\\"b\\n\""},
        /* The head of a character of four bytes: no UTF-8, and as long as the
         * U+FFFD that JSON has instead. */
        {{COLUMN_TEXT, SLICE("\xF0\x90\x80")}, "\"\xEF\xBF\xBD\""},
        {{COLUMN_REAL, SLICE("1.5")}, "1.5"},
        {{COLUMN_REAL, SLICE("Inf")}, "null"},
        {{COLUMN_REAL, SLICE("-Inf")}, "null"}, /* As long as null. */
        {{COLUMN_BLOB, SLICE("\x01\x02")}, "\"AQI=\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf record = {0};
        struct buf json = {0};
        enum column_type type;

        encode(cases[i].title, &record);
        buf_printf(&json,
                   "{\"id\":3,\"title\":%s,\"author\":null,\"year\":null}",
                   cases[i].json);

        assert_true(slice_equal(record_column(buf_slice(&record), 1, &type),
                                cases[i].title.bytes));
        assert_int_equal(type, cases[i].title.type);
        assert_true(
            slice_equal(record_json(buf_slice(&record)), buf_slice(&json)));
        buf_destroy(&record);
        buf_destroy(&json);
    }
}

static void test_every_column_is_read_by_its_place(void **state)
{
    static const struct store_column columns[] = {
        {COLUMN_INTEGER, SLICE("-9223372036854775808")},
        {COLUMN_TEXT, SLICE("caf\xC3\xA9 \x01 \\ \"x\"")},
        {COLUMN_NULL, SLICE("")},
        {COLUMN_REAL, SLICE("1.7976931348623157e+308")},
    };
    const struct store_row row = {.mapping = &mappings_builtin.list[0],
                                  .columns = columns};
    struct buf record = {0};

    (void)state;
    assert_int_equal(record_encode(&row, &record), ERR_OK);

    for (size_t i = 0; i < 4; i++) {
        enum column_type type;
        assert_true(slice_equal(record_column(buf_slice(&record), i, &type),
                                columns[i].bytes));
        assert_int_equal(type, columns[i].type);
    }
    assert_true(slice_equal(
        record_json(buf_slice(&record)),
        SLICE("{\"id\":-9223372036854775808,"
              "\"title\":\"caf\xC3\xA9 \\u0001 \\\\ \\\"x\\\"\","
              "\"author\":null,\"year\":1.7976931348623157e+308}")));
    buf_destroy(&record);
}

/* Source: RFC 4648 section 10. */
static void test_a_blob_is_base64_in_json_only(void **state)
{
    static const struct {
        struct slice bytes;
        const char *base64;
    } cases[] = {
        {SLICE(""), ""},
        {SLICE("f"), "Zg=="},
        {SLICE("fo"), "Zm8="},
        {SLICE("foo"), "Zm9v"},
        {SLICE("foob"), "Zm9vYg=="},
        {SLICE("fooba"), "Zm9vYmE="},
        {SLICE("foobar"), "Zm9vYmFy"},
        {SLICE("\xFB\xFF\x00"), "+/8A"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf record = {0};
        struct buf json = {0};
        enum column_type type;

        encode((struct store_column){COLUMN_BLOB, cases[i].bytes}, &record);
        buf_printf(&json,
                   "{\"id\":3,\"title\":\"%s\",\"author\":null,\"year\":null}",
                   cases[i].base64);

        assert_true(
            slice_equal(record_json(buf_slice(&record)), buf_slice(&json)));
        assert_true(slice_equal(record_column(buf_slice(&record), 1, &type),
                                cases[i].bytes));
        assert_int_equal(type, COLUMN_BLOB);
        buf_destroy(&record);
        buf_destroy(&json);
    }
}

/* Random bytes of random sizes, most of them no UTF-8: record_encode() asserts
 * that it took as much room as it had said. */
static void test_any_bytes_come_back_whole(void **state)
{
    static const enum column_type types[] = {COLUMN_TEXT, COLUMN_BLOB};
    uint64_t random = 1;
    char bytes[64];

    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        struct buf record = {0};
        enum column_type type;
        const size_t size = stress_random(&random, sizeof bytes);
        const uint32_t range = i % 3 == 0 ? 256 : i % 3 == 1 ? 64 : 4;
        for (size_t k = 0; k < size; k++) {
            bytes[k] = (char)(256 - range + stress_random(&random, range));
        }
        const struct store_column title = {types[i % 2],
                                           slice_make(bytes, size)};

        encode(title, &record);

        assert_true(slice_equal(record_column(buf_slice(&record), 1, &type),
                                title.bytes));
        buf_destroy(&record);
    }
}

static void test_a_record_is_appended_to_what_is_there(void **state)
{
    struct buf out = {0};
    enum column_type type;

    (void)state;
    buf_append_string(&out, "before");
    encode((struct store_column){COLUMN_TEXT, SLICE("a\"b")}, &out);
    const struct slice record = slice_make(buf_data(&out) + 6, out.size - 6);

    assert_memory_equal(buf_data(&out), "before", 6);
    assert_true(slice_equal(record_column(record, 1, &type), SLICE("a\"b")));
    buf_destroy(&out);
}

static void test_no_memory_leaves_the_buffer_alone(void **state)
{
    static const struct store_column columns[] = {
        {COLUMN_INTEGER, SLICE("3")},
        {COLUMN_TEXT, SLICE("Ulysses")},
        {COLUMN_NULL, SLICE("")},
        {COLUMN_NULL, SLICE("")},
    };
    const struct store_row row = {.mapping = &mappings_builtin.list[0],
                                  .columns = columns};
    struct buf out = {0};

    (void)state;
    buf_append_string(&out, "before");
    (void)mem_fail_nth(1);

    assert_int_equal(record_encode(&row, &out), ERR_NOMEM);
    assert_int_equal(mem_fail_nth(0), 0);
    assert_string_equal(buf_string(&out), "before");
    buf_destroy(&out);
}

/* Appends the columns 'indices' of a record of 'title' after "json: ". */
static void chosen_json(struct store_column title, const size_t *indices,
                        size_t n, struct buf *json)
{
    struct buf record = {0};

    encode(title, &record);
    buf_append_string(json, "json: ");
    record_append_json(&mappings_builtin.list[0], buf_slice(&record), indices,
                       n, json);
    buf_destroy(&record);
}

static void test_chosen_columns_are_an_object_in_the_order_asked(void **state)
{
    static const struct {
        size_t indices[4];
        size_t n;
        const char *json;
    } cases[] = {
        {{0}, 0, "json: {}"},
        {{1}, 1, "json: {\"title\":\"a\\\"b\"}"},
        {{3, 0}, 2, "json: {\"year\":null,\"id\":3}"},
        {{1, 1}, 2, "json: {\"title\":\"a\\\"b\",\"title\":\"a\\\"b\"}"},
        {{0, 1, 2, 3},
         4,
         "json: {\"id\":3,\"title\":\"a\\\"b\",\"author\":null,\"year\":null}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf json = {0};

        chosen_json((struct store_column){COLUMN_TEXT, SLICE("a\"b")},
                    cases[i].indices, cases[i].n, &json);

        assert_string_equal(buf_string(&json), cases[i].json);
        buf_destroy(&json);
    }
}

/* Whatever its type: what is chosen reads as it does in the whole object. */
static void test_a_chosen_column_reads_as_in_the_whole_record(void **state)
{
    static const struct {
        struct store_column title;
        const char *json;
    } cases[] = {
        {{COLUMN_NULL, SLICE("")}, "null"},
        {{COLUMN_TEXT, SLICE("")}, "\"\""},
        {{COLUMN_TEXT, SLICE("\xF0\x90\x80")}, "\"\xEF\xBF\xBD\""},
        {{COLUMN_INTEGER, SLICE("-7")}, "-7"},
        {{COLUMN_REAL, SLICE("1.5")}, "1.5"},
        {{COLUMN_REAL, SLICE("-Inf")}, "null"},
        {{COLUMN_BLOB, SLICE("\x01\x02")}, "\"AQI=\""},
        {{COLUMN_BLOB, SLICE("")}, "\"\""},
    };
    const size_t title = 1;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf json = {0};
        struct buf expected = {0};

        chosen_json(cases[i].title, &title, 1, &json);
        buf_printf(&expected, "json: {\"title\":%s}", cases[i].json);

        assert_string_equal(buf_string(&json), buf_string(&expected));
        buf_destroy(&json);
        buf_destroy(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_column_keeps_its_exact_bytes),
        cmocka_unit_test(test_every_column_is_read_by_its_place),
        cmocka_unit_test(test_a_blob_is_base64_in_json_only),
        cmocka_unit_test(test_any_bytes_come_back_whole),
        cmocka_unit_test(test_a_record_is_appended_to_what_is_there),
        cmocka_unit_test(test_no_memory_leaves_the_buffer_alone),
        cmocka_unit_test(test_chosen_columns_are_an_object_in_the_order_asked),
        cmocka_unit_test(test_a_chosen_column_reads_as_in_the_whole_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
