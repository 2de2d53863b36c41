/* SPDX-License-Identifier: MIT */
/*
 * Records: what GET and the H commands read out of them.
 */
#include "server/lookup/record.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_column_keeps_its_exact_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
