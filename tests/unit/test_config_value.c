/* SPDX-License-Identifier: MIT */
/*
 * Values: what is taken, what is refused and in which words, how it is
 * written back.
 */
#include "server/admin/config_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/admin/config_text.h"

#define SECOND INT64_C(1000000)
#define TOO_BIG "99999999999999999999"

/* A row for each kind, free of what the real table may come to say. */
static const struct config_directive count = {
    .name = "count", .kind = CONFIG_INTEGER, .default_text = "7", .max = 100};
static const struct config_directive age = {.name = "age",
                                            .kind = CONFIG_DURATION,
                                            .default_text = "60s",
                                            .max = 30 * 86400 * SECOND};
static const struct config_directive idle = {.name = "idle",
                                             .kind = CONFIG_DURATION,
                                             .default_text = "300s",
                                             .max = 86400 * SECOND,
                                             .bare = SECOND};
static const struct config_directive room = {.name = "room",
                                             .kind = CONFIG_SIZE,
                                             .default_text = "64mb",
                                             .min = 1,
                                             .max = INT64_C(1) << 40};
static const struct config_directive share = {.name = "share",
                                              .kind = CONFIG_PERCENT,
                                              .default_text = "0%",
                                              .max = 1000000};
static const struct config_directive bytes = {.name = "bytes",
                                              .kind = CONFIG_SIZE,
                                              .default_text = "64mb",
                                              .max = INT64_C(1) << 40,
                                              .bare = 1};
static const struct config_directive on = {
    .name = "on", .kind = CONFIG_SWITCH, .default_text = "yes", .max = 1};
static const struct config_directive race = {.name = "race",
                                             .kind = CONFIG_CHOICE,
                                             .default_text = "stale",
                                             .choices = "never stale always"};
static const struct config_directive mode = {
    .name = "mode", .kind = CONFIG_MODE, .default_text = "700", .max = 0777};
static const struct config_directive path = {.name = "path",
                                             .kind = CONFIG_STRING,
                                             .default_text = ".",
                                             .min = 1,
                                             .max = 10,
                                             .choices = "PATH"};
static const struct config_directive list = {.name = "list",
                                             .kind = CONFIG_WORDS,
                                             .default_text = "a b",
                                             .max = 20,
                                             .choices = "WORD..."};

static void test_numbers_are_taken(void **state)
{
    (void)state;
    static const struct {
        const struct config_directive *d;
        const char *text;
        int64_t number;
    } rows[] = {
        {&count, "0", 0},
        {&count, "100", 100},
        {&age, "0", 0},
        {&age, "250us", 250},
        {&age, "100ms", 100000},
        {&age, "5s", 5 * SECOND},
        {&age, "1m", 60 * SECOND},
        {&age, "1H", 3600 * SECOND},
        {&age, "30d", 30 * 86400 * SECOND},
        {&idle, "300", 300 * SECOND},
        {&idle, "1500ms", 1500000},
        {&room, "1b", 1},
        {&room, "64kb", 65536},
        {&room, "1k", 1000},
        {&room, "100m", 100000000},
        {&room, "2GB", INT64_C(2) << 30},
        {&room, "1tb", INT64_C(1) << 40},
        {&bytes, "268435456", 268435456},
        {&share, "0", 0},
        {&share, "5%", 50000},
        {&share, "0.1%", 1000},
        {&share, "0.0001%", 1},
        {&share, "100%", 1000000},
        {&on, "yes", 1},
        {&on, "NO", 0},
        {&race, "never", 0},
        {&race, "Always", 2},
        {&mode, "0", 0},
        {&mode, "0770", 0770},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config_value value = {0};
        struct buf detail = {0};
        assert_int_equal(config_value_parse(rows[i].d,
                                            slice_from_string(rows[i].text),
                                            &value, &detail),
                         ERR_OK);
        assert_int_equal(value.number, rows[i].number);
        assert_int_equal(detail.size, 0);
    }
}

static void test_a_refusal_says_what_is_right(void **state)
{
    (void)state;
    static const struct {
        const struct config_directive *d;
        const char *text;
        enum err err;
        const char *detail;
    } rows[] = {
        {&count, "101", ERR_RANGE,
         "count: \"101\" is not a whole number from 0 to 100"},
        {&count, "-1", ERR_RANGE,
         "count: \"-1\" is not a whole number from 0 to 100"},
        {&count, "ten", ERR_INVALID,
         "count: \"ten\" is not a whole number from 0 to 100"},
        {&count, TOO_BIG, ERR_INVALID,
         "count: \"" TOO_BIG "\" is not a whole number from 0 to 100"},
        {&age, "5", ERR_INVALID,
         "age: \"5\" is not a duration from 0s to 30d, "
         "as in 250us 100ms 5s 1m 1h 1d"},
        {&age, "31d", ERR_RANGE,
         "age: \"31d\" is not a duration from 0s to 30d"},
        {&age, TOO_BIG "d", ERR_RANGE,
         "age: \"" TOO_BIG "d\" is not a duration from 0s to 30d"},
        {&room, "0", ERR_RANGE, "room: \"0\" is not a size from 1b to 1tb"},
        {&room, "5x", ERR_INVALID,
         "room: \"5x\" is not a size from 1b to 1tb, as in 64kb 256mb 2gb"},
        {&share, "101%", ERR_RANGE,
         "share: \"101%\" is not a percentage from 0% to 100%"},
        {&on, "maybe", ERR_INVALID, "on: \"maybe\" is not yes or no"},
        {&race, "often", ERR_INVALID,
         "race: \"often\" is not one of never, stale, always"},
        {&mode, "1000", ERR_RANGE,
         "mode: \"1000\" is not an octal number from 0 to 777"},
        {&path, "", ERR_RANGE, "path: \"\" is not a text of 1 to 10 bytes"},
        {&path, "12345678901", ERR_RANGE,
         "path: \"12345678901\" is not a text of 1 to 10 bytes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config_value value = {.number = -7};
        struct buf detail = {0};
        assert_int_equal(config_value_parse(rows[i].d,
                                            slice_from_string(rows[i].text),
                                            &value, &detail),
                         rows[i].err);
        assert_string_equal(buf_string(&detail), rows[i].detail);
        assert_int_equal(value.number, -7);
        buf_destroy(&detail);
    }
}

static void test_other_forms_are_refused(void **state)
{
    (void)state;
    static const struct {
        const struct config_directive *d;
        const char *text;
    } rows[] = {
        {&count, ""},   {&count, "1.5"}, {&count, "+1"},       {&count, "1 "},
        {&age, ""},     {&age, "s"},     {&age, "-5s"},        {&age, "1.5s"},
        {&age, "5 s"},  {&age, "5sec"},  {&age, "1h30m"},      {&room, "1"},
        {&room, "kb"},  {&share, "5"},   {&share, "5.%"},      {&share, ".5%"},
        {&share, "%"},  {&share, "5%%"}, {&share, "0.12345%"}, {&on, "1"},
        {&on, ""},      {&race, ""},     {&race, "stal"},      {&mode, "8"},
        {&mode, "rwx"}, {&mode, ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config_value value = {0};
        struct buf detail = {0};
        assert_int_equal(config_value_parse(rows[i].d,
                                            slice_from_string(rows[i].text),
                                            &value, &detail),
                         ERR_INVALID);
        buf_destroy(&detail);
    }
}

static void test_a_zero_byte_is_no_text(void **state)
{
    (void)state;
    struct config_value value = {0};
    struct buf detail = {0};

    const enum err err =
        config_value_parse(&path, slice_make("a\0b", 3), &value, &detail);

    assert_int_equal(err, ERR_INVALID);
    assert_non_null(strstr(buf_string(&detail), "\"a\\x00b\""));
    assert_null(value.text);
    buf_destroy(&detail);
}

static void test_a_long_value_is_cut_in_the_refusal(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof(text));
    struct config_value value = {0};
    struct buf detail = {0};

    const enum err err = config_value_parse(
        &path, slice_make(text, sizeof(text)), &value, &detail);

    assert_int_equal(err, ERR_RANGE);
    assert_true(detail.size < 150);
    buf_destroy(&detail);
}

static void test_words_have_one_space_between(void **state)
{
    (void)state;
    struct config_value value = {0};
    struct buf detail = {0};

    assert_int_equal(
        config_value_parse(&list, SLICE("  a \t b\n"), &value, &detail),
        ERR_OK);

    assert_string_equal(value.text, "a b");
    config_value_destroy(&value);
}

static void test_a_number_is_written_in_its_largest_exact_unit(void **state)
{
    (void)state;
    static const struct {
        const struct config_directive *d;
        int64_t number;
        const char *text;
    } rows[] = {
        {&count, 42, "42"},         {&age, 0, "0s"},
        {&age, 1, "1us"},           {&age, 1500, "1500us"},
        {&age, 250000, "250ms"},    {&age, 120 * SECOND, "2m"},
        {&age, 61 * SECOND, "61s"}, {&age, 86400 * SECOND, "1d"},
        {&room, 1, "1b"},           {&room, 1000000, "1000000b"},
        {&room, 3 << 10, "3kb"},    {&room, INT64_C(1) << 40, "1tb"},
        {&share, 1, "0.0001%"},     {&share, 1500, "0.15%"},
        {&share, 1000000, "100%"},  {&on, 0, "no"},
        {&race, 2, "always"},       {&mode, 0660, "660"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct config_value value = {.number = rows[i].number};
        struct config_value again = {0};
        struct buf out = {0};
        config_value_format(rows[i].d, &value, &out);
        assert_string_equal(buf_string(&out), rows[i].text);
        assert_int_equal(
            config_value_parse(rows[i].d, buf_slice(&out), &again, &out),
            ERR_OK);
        assert_true(config_value_equal(&value, &again));
        buf_destroy(&out);
    }
}

static void test_the_default_is_written_as_the_table_has_it(void **state)
{
    (void)state;
    struct buf out = {0};

    config_value_format(&age, &(struct config_value){.number = 60 * SECOND},
                        &out);

    assert_string_equal(buf_string(&out), "60s");
    buf_destroy(&out);
}

static void test_redis_names_are_written_bare(void **state)
{
    (void)state;
    static const struct {
        const struct config_directive *d;
        int64_t number;
        const char *text;
    } rows[] = {
        {&idle, 300 * SECOND, "300"},
        {&idle, 0, "0"},
        {&bytes, 64 << 20, "67108864"},
        {&age, 60 * SECOND, "60s"},
        /* No whole seconds: the truth, with its unit. */
        {&idle, 1500000, "1500ms"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        config_value_format_redis(
            rows[i].d, &(struct config_value){.number = rows[i].number}, &out);
        assert_string_equal(buf_string(&out), rows[i].text);
        buf_destroy(&out);
    }
}

static void test_only_what_has_a_meaning_is_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *quoted;
    } rows[] = {
        {"plain", "plain"},
        {"/a/b#c", "/a/b#c"},
        {"r\xc3\xa9"
         "cit",
         "r\xc3\xa9"
         "cit"},
        {"", "\"\""},
        {"#a", "\"#a\""},
        {"a b", "\"a b\""},
        {"a\"b", "\"a\\\"b\""},
        {"a\\b", "\"a\\\\b\""},
        {"a\nb\x7f", "\"a\\x0ab\\x7f\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        config_text_quote(slice_from_string(rows[i].text), &out);
        assert_string_equal(buf_string(&out), rows[i].quoted);
        buf_destroy(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_taken),
        cmocka_unit_test(test_a_refusal_says_what_is_right),
        cmocka_unit_test(test_other_forms_are_refused),
        cmocka_unit_test(test_a_zero_byte_is_no_text),
        cmocka_unit_test(test_a_long_value_is_cut_in_the_refusal),
        cmocka_unit_test(test_words_have_one_space_between),
        cmocka_unit_test(test_a_number_is_written_in_its_largest_exact_unit),
        cmocka_unit_test(test_the_default_is_written_as_the_table_has_it),
        cmocka_unit_test(test_redis_names_are_written_bare),
        cmocka_unit_test(test_only_what_has_a_meaning_is_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
