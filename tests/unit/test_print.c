/* SPDX-License-Identifier: MIT */
/*
 * Text for terminals and pipes, and rows in their formats.
 */
#include "client/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/output.h"
#include "client/utf8.h"

static int start(void **state)
{
    (void)state;
    print_init(ARGS_COLOR_NEVER);
    return 0;
}

static void test_text_is_made_harmless(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"plain", "plain"},
        {"Les Mis\u00e9rables", "Les Mis\u00e9rables"},
        {"\u65e5\u672c", "\u65e5\u672c"},
        {"a\tb\nc\rd", "a\\tb\\nc\\rd"},
        {"\x1b[31mred", "\\e[31mred"},
        {"\x01\x7f", "\\x01\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\x9b31m"},
        {"cut \xc3", "cut \\xc3"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xc0\xaf", "\\xc0\\xaf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"x\u202ey", "x\\u{202E}y"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {0};

        print_safe(&b, slice_from_string(cases[i].text));

        assert_string_equal(buf_string(&b), cases[i].expected);
        buf_destroy(&b);
    }
}

static void test_lines_stay_lines(void **state)
{
    struct buf b = {0};
    (void)state;

    print_safe_lines(&b, SLICE("# Server\r\nname:\x1b\r\n\r\nlast"));

    assert_string_equal(buf_string(&b), "# Server\nname:\\e\n\nlast");
    buf_destroy(&b);
}

static void test_widths_are_columns_of_the_terminal(void **state)
{
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {{"", 0},
                 {"abc", 3},
                 {"Mis\u00e9rables", 10},
                 {"e\u0301", 1},
                 {"\u65e5\u672c", 4}};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(print_width(slice_from_string(cases[i].text)),
                         cases[i].width);
    }
}

static void test_a_cell_is_exactly_as_wide_as_it_should(void **state)
{
    static const struct {
        const char *text;
        size_t width;
        enum print_align align;
        const char *expected;
    } cases[] = {
        {"abc", 3, ALIGN_LEFT, "abc"},
        {"abc", 5, ALIGN_LEFT, "abc  "},
        {"abc", 5, ALIGN_RIGHT, "  abc"},
        {"abcdef", 4, ALIGN_LEFT, "abc\u2026"},
        {"\u00e9\u00e9\u00e9", 2, ALIGN_LEFT, "\u00e9\u2026"},
        {"\u65e5\u672c\u8a9e", 4, ALIGN_LEFT, "\u65e5\u2026 "},
        {"\u65e5\u672c\u8a9e", 5, ALIGN_LEFT, "\u65e5\u672c\u2026"},
        {"abc", 1, ALIGN_LEFT, "\u2026"},
        {"abc", 0, ALIGN_LEFT, ""},
        {"", 2, ALIGN_LEFT, "  "},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {0};

        print_cell(&b, slice_from_string(cases[i].text), cases[i].width,
                   cases[i].align);

        assert_string_equal(buf_string(&b), cases[i].expected);
        assert_int_equal(print_width(buf_slice(&b)), cases[i].width);
        buf_destroy(&b);
    }
}

static void test_a_duration_has_the_units_that_matter(void **state)
{
    static const struct {
        int64_t ms;
        const char *expected;
    } cases[] = {
        {0, "0 ms"},
        {999, "999 ms"},
        {1000, "1.0 s"},
        {59999, "59.9 s"},
        {60000, "1 min 0 s"},
        {3599999, "59 min 59 s"},
        {3600000, "1 h 0 min"},
        {INT64_C(86400000) * 3 + 7200000, "3 d 2 h"},
    };
    struct buf b = {0};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&b);
        print_duration(&b, cases[i].ms);
        assert_string_equal(buf_string(&b), cases[i].expected);
    }
    buf_destroy(&b);
}

static void test_styles_show_only_where_there_are_colours(void **state)
{
    const struct terminal plain = {.is_terminal = true};
    const struct terminal colored = {.is_terminal = true, .color = true};
    struct buf b = {0};
    (void)state;

    print_styled(&b, &plain, STYLE_GREEN, "a");
    print_styled(&b, &colored, STYLE_GREEN, "b");

    assert_string_equal(buf_string(&b), "a\x1b[32mb\x1b[0m");
    buf_destroy(&b);
}

static void test_utf8_is_told_from_what_is_not(void **state)
{
    (void)state;

    assert_true(utf8_is_valid(SLICE("")));
    assert_true(utf8_is_valid(SLICE("Les Mis\u00e9rables \U0001F4D6")));
    assert_false(utf8_is_valid(SLICE("Mis\xe9rables")));
    assert_false(utf8_is_valid(SLICE("\xf4\x90\x80\x80")));
    assert_false(utf8_is_valid(SLICE("\xe2\x82")));
}

/* ---- rows ---- */

static const struct column columns[] = {{.name = "id", .number = true},
                                        {.name = "title"},
                                        {.name = "year", .number = true}};

/* Two rows, with all that is difficult, in 'format'. */
static void write_rows(enum output_format format, bool single, size_t n_rows,
                       struct buf *out)
{
    const struct cell rows[][3] = {
        {cell_make(SLICE("1")), cell_make(SLICE("a\tb, \"c\"\\\nd")),
         cell_missing()},
        {cell_make(SLICE("22")), cell_make(SLICE("\u65e5\u672c")),
         cell_make(SLICE("-720"))}};
    FILE *file = tmpfile();
    struct output *output =
        output_new(file, format, single, columns, ARRAY_LEN(columns));

    for (size_t i = 0; i < n_rows; i++) {
        output_row(output, rows[i]);
    }
    output_end(output);
    rewind(file);
    buf_commit(out, fread(buf_reserve(out, 4096), 1, 4096, file));
    (void)fclose(file);
}

static void test_rows_in_every_format(void **state)
{
    static const struct {
        enum output_format format;
        bool single;
        size_t n_rows;
        const char *expected;
    } cases[] = {
        {OUTPUT_TABLE, false, 2,
         "id  title          year\n"
         " 1  a\\tb, \"c\"\\\\nd\n"
         "22  \u65e5\u672c           -720\n"},
        {OUTPUT_TABLE, false, 0, ""},
        {OUTPUT_TSV, false, 2,
         "1\ta\\tb, \"c\"\\\\\\nd\t\n22\t\u65e5\u672c\t-720\n"},
        {OUTPUT_TSV, false, 0, ""},
        {OUTPUT_CSV, false, 2,
         "id,title,year\n1,\"a\tb, \"\"c\"\"\\\nd\",\n22,\u65e5\u672c,-720\n"},
        {OUTPUT_CSV, false, 0, "id,title,year\n"},
        {OUTPUT_JSON, false, 2,
         "[\n{\"id\":1,\"title\":\"a\\tb, \\\"c\\\"\\\\\\nd\",\"year\":null},\n"
         "{\"id\":22,\"title\":\"\u65e5\u672c\",\"year\":-720}\n]\n"},
        {OUTPUT_JSON, false, 0, "[]\n"},
        {OUTPUT_JSON, true, 0, ""},
        {OUTPUT_JSON, true, 1,
         "{\"id\":1,\"title\":\"a\\tb, "
         "\\\"c\\\"\\\\\\nd\",\"year\":null}\n"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};

        write_rows(cases[i].format, cases[i].single, cases[i].n_rows, &out);

        assert_string_equal(buf_string(&out), cases[i].expected);
        buf_destroy(&out);
    }
}

static void test_a_number_that_is_none_is_a_json_string(void **state)
{
    const struct cell cells[] = {cell_make(SLICE("1e5")), cell_make(SLICE("5")),
                                 cell_make(SLICE(""))};
    struct buf b = {0};
    (void)state;

    output_json_object(&b, columns, cells, ARRAY_LEN(columns));

    assert_string_equal(buf_string(&b),
                        "{\"id\":\"1e5\",\"title\":\"5\",\"year\":\"\"}");
    buf_destroy(&b);
}

static void
test_a_table_longer_than_its_lookahead_keeps_its_widths(void **state)
{
    FILE *file = tmpfile();
    struct output *output =
        output_new(file, OUTPUT_TABLE, false, columns, ARRAY_LEN(columns));
    char line[128];
    size_t n_lines = 0;
    (void)state;

    for (size_t i = 0; i < OUTPUT_LOOKAHEAD + 10; i++) {
        const struct cell cells[] = {cell_make(SLICE("7")),
                                     cell_make(i < OUTPUT_LOOKAHEAD
                                                   ? SLICE("short")
                                                   : SLICE("much longer")),
                                     cell_make(SLICE("1999"))};
        output_row(output, cells);
    }
    output_end(output);
    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        assert_int_equal(print_width(slice_make(line, strlen(line) - 1)), 15);
        n_lines++;
    }

    assert_int_equal(n_lines, 1 + OUTPUT_LOOKAHEAD + 10);
    (void)fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_made_harmless),
        cmocka_unit_test(test_lines_stay_lines),
        cmocka_unit_test(test_widths_are_columns_of_the_terminal),
        cmocka_unit_test(test_a_cell_is_exactly_as_wide_as_it_should),
        cmocka_unit_test(test_a_duration_has_the_units_that_matter),
        cmocka_unit_test(test_styles_show_only_where_there_are_colours),
        cmocka_unit_test(test_utf8_is_told_from_what_is_not),
        cmocka_unit_test(test_rows_in_every_format),
        cmocka_unit_test(test_a_number_that_is_none_is_a_json_string),
        cmocka_unit_test(
            test_a_table_longer_than_its_lookahead_keeps_its_widths),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
