/* SPDX-License-Identifier: MIT */
/*
 * The CSV reader and writer.
 */
#include "client/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/attr.h"
#include "common/mem.h"

static FILE *open_text(const char *text, size_t size)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    rewind(file);
    return file;
}

/* All of 'text' as it was understood: records in lines, each field in <>,
 * and a record that is refused as "!line". */
static void understand(struct slice text, struct buf *out)
{
    FILE *file = open_text(text.data, text.size);
    struct csv *csv = csv_new(file);
    enum csv_result result;

    while ((result = csv_next(csv)) != CSV_END) {
        if (result == CSV_BAD) {
            buf_printf(out, "!%d\n", (int)csv_line(csv));
            continue;
        }
        for (size_t i = 0; i < csv_count(csv); i++) {
            buf_append_char(out, '<');
            buf_append_slice(out, csv_field(csv, i));
            buf_append_char(out, '>');
        }
        buf_append_char(out, '\n');
    }
    csv_free(csv);
    (void)fclose(file);
}

static void test_reading(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"", ""},
        {"\n\r\n\n", ""},
        {"a", "<a>\n"},
        {"a,b\n", "<a><b>\n"},
        {"a,b\r\nc,d\r\n", "<a><b>\n<c><d>\n"},
        {",\n", "<><>\n"},
        {"a,\n", "<a><>\n"},
        {"\"a,b\",c\n", "<a,b><c>\n"},
        {"\"say \"\"so\"\"\"\n", "<say \"so\">\n"},
        {"\"two\nlines\",x\n", "<two\nlines><x>\n"},
        {"\"two\r\nlines\",x\r\n", "<two\r\nlines><x>\n"},
        {"\"\",\"\"\n", "<><>\n"},
        {"5\" disk,x\n", "<5\" disk><x>\n"},
        {"a\rb,c\n", "<a\rb><c>\n"},
        {"\xEF\xBB\xBFid,title\n", "<id><title>\n"},
        {"\xEF\xBB\xBF", ""},
        {"\xEF\xBBid\n", "<\xEF\xBBid>\n"},
        {"\xEF\xBB\xBF\"a\",b\n", "<a><b>\n"},
        {"a\n\xEF\xBB\xBFz\n", "<a>\n<\xEF\xBB\xBFz>\n"},
        {" a , b \n", "< a >< b >\n"},
        {"a\n\"b\"c,d\ne\n", "<a>\n!2\n<e>\n"},
        {"a\n\"b\nc\n", "<a>\n!2\n"},
        {"\"a\n", "!1\n"},
        {"\"", "!1\n"},
        {"\"a\"", "<a>\n"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};

        understand(slice_from_string(cases[i].text), &out);

        assert_string_equal(buf_string(&out), cases[i].expected);
        buf_destroy(&out);
    }
}

static void test_a_nul_byte_is_a_character(void **state)
{
    struct buf out = {0};
    (void)state;

    understand(SLICE("a\0b,c\n"), &out);

    assert_true(slice_equal(buf_slice(&out), SLICE("<a\0b><c>\n")));
    buf_destroy(&out);
}

static void test_lines_are_counted_through_quoted_ends(void **state)
{
    const struct slice text = SLICE("h\n\"1\n2\n3\"\n\nx\n");
    FILE *file = open_text(text.data, text.size);
    struct csv *csv = csv_new(file);
    (void)state;

    assert_int_equal(csv_next(csv), CSV_RECORD);
    assert_int_equal(csv_line(csv), 1);
    assert_int_equal(csv_next(csv), CSV_RECORD);
    assert_int_equal(csv_line(csv), 2);
    assert_int_equal(csv_next(csv), CSV_RECORD);
    assert_int_equal(csv_line(csv), 6);
    assert_int_equal(csv_next(csv), CSV_END);
    assert_int_equal(csv_bytes(csv), text.size);
    csv_free(csv);
    (void)fclose(file);
}

static void
test_a_record_that_is_too_long_is_refused_and_left_behind(void **state)
{
    static const char fillers[] = {'x', ','};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
        struct buf text = {0};
        struct buf out = {0};

        memset(buf_reserve(&text, 2 * CSV_RECORD_MAX), fillers[i],
               2 * CSV_RECORD_MAX);
        buf_commit(&text, 2 * CSV_RECORD_MAX);
        buf_append_string(&text, "\nnext\n");
        understand(buf_slice(&text), &out);

        assert_string_equal(buf_string(&out), "!1\n<next>\n");
        buf_destroy(&text);
        buf_destroy(&out);
    }
}

static void test_what_is_written_reads_back_the_same(void **state)
{
    static const char *const fields[] = {"plain",        "",
                                         "with, comma",  "with \"quotes\"",
                                         "two\nlines",   "two\r\nml",
                                         "only a \r CR", "\"",
                                         " spaces ",     "Les Misérables"};
    struct buf text = {0};
    struct buf expected = {0};
    struct buf out = {0};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        csv_append(&text, slice_from_string(fields[i]), i == 0);
        buf_printf(&expected, "<%s>", fields[i]);
    }
    buf_append_char(&text, '\n');
    buf_append_char(&expected, '\n');
    understand(buf_slice(&text), &out);

    assert_string_equal(buf_string(&out), buf_string(&expected));
    buf_destroy(&text);
    buf_destroy(&expected);
    buf_destroy(&out);
}

static void test_only_what_must_be_quoted_is(void **state)
{
    struct buf text = {0};
    (void)state;

    csv_append(&text, SLICE("a b;c'"), true);
    csv_append(&text, SLICE("x,y"), false);
    csv_append(&text, SLICE("\"z\""), false);

    assert_string_equal(buf_string(&text), "a b;c',\"x,y\",\"\"\"z\"\"\"");
    buf_destroy(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_a_nul_byte_is_a_character),
        cmocka_unit_test(test_lines_are_counted_through_quoted_ends),
        cmocka_unit_test(
            test_a_record_that_is_too_long_is_refused_and_left_behind),
        cmocka_unit_test(test_what_is_written_reads_back_the_same),
        cmocka_unit_test(test_only_what_must_be_quoted_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
