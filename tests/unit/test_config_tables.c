/* SPDX-License-Identifier: MIT */
/*
 * The directive 'table': what is read and refused, how values add up, and
 * what config_freshness() makes of them.
 */
#include "server/admin/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/thread.h"

#define S INT64_C(1000000)
#define ROUNDS 2000

enum { PLAIN = -1, BOOKS, AUTHORS };
static const char *const names[] = {"books", "authors"};

static char path[] = "/tmp/test_config_tables.XXXXXX";

static int make_file(void **state)
{
    (void)state;
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static int make(void **state)
{
    *state = config_new();
    return 0;
}

static int drop(void **state)
{
    config_free(*state);
    return 0;
}

/* Makes both tables known, which must be right. */
static void know(struct config *c)
{
    struct buf detail = {0};
    assert_int_equal(config_table_check(c, names, ARRAY_LEN(names), &detail),
                     ERR_OK);
    assert_int_equal(detail.size, 0);
}

static void set(struct config *c, const char *text)
{
    struct buf detail = {0};
    assert_int_equal(
        config_set(c, CONFIG_table, slice_from_string(text), &detail), ERR_OK);
    assert_int_equal(detail.size, 0);
}

static void refuse(struct config *c, const char *text, const char *why)
{
    struct buf detail = {0};
    assert_int_not_equal(
        config_set(c, CONFIG_table, slice_from_string(text), &detail), ERR_OK);
    assert_string_equal(buf_string(&detail), why);
    buf_destroy(&detail);
}

static void load(struct config *c, const char *text, bool reload, enum err err)
{
    struct buf detail = {0};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(config_load(c, path, reload, &detail), err);
    buf_destroy(&detail);
}

#define LOAD_ARGS(c, ...)                                                      \
    do {                                                                       \
        char *args[] = {__VA_ARGS__};                                          \
        struct buf detail = {0};                                               \
        assert_int_equal(                                                      \
            config_load_args(c, (int)ARRAY_LEN(args), args, &detail), ERR_OK); \
    } while (0)

static void assert_text(struct config *c, const char *text)
{
    struct buf out = {0};
    config_format(c, CONFIG_table, &out);
    assert_string_equal(buf_string(&out), text);
    buf_destroy(&out);
}

/* ---- what is in force ---- */

static void test_a_table_has_the_global_values_until_it_is_set(void **state)
{
    struct config *c = *state;
    know(c);

    assert_int_equal(config_freshness(c, BOOKS, CONFIG_max_age), 60 * S);
    set(c, "books max-age 10s");

    assert_int_equal(config_freshness(c, BOOKS, CONFIG_max_age), 10 * S);
    assert_int_equal(config_freshness(c, AUTHORS, CONFIG_max_age), 60 * S);
    assert_int_equal(config_freshness(c, PLAIN, CONFIG_max_age), 60 * S);
    assert_int_equal(config_freshness(c, CONFIG_TABLES_MAX, CONFIG_max_age),
                     60 * S);
    assert_int_equal(config_freshness(c, BOOKS, CONFIG_stale_if_error),
                     3600 * S);
}

static void test_each_option_is_one_of_its_own(void **state)
{
    struct config *c = *state;
    know(c);

    set(c, "authors max-age 0s stale-while-revalidate 2s stale-if-error 3s "
           "negative-max-age 4s");

    assert_int_equal(config_freshness(c, AUTHORS, CONFIG_max_age), 0);
    assert_int_equal(
        config_freshness(c, AUTHORS, CONFIG_stale_while_revalidate), 2 * S);
    assert_int_equal(config_freshness(c, AUTHORS, CONFIG_stale_if_error),
                     3 * S);
    assert_int_equal(config_freshness(c, AUTHORS, CONFIG_negative_max_age),
                     4 * S);
}

static void test_default_follows_the_global_value_again(void **state)
{
    struct config *c = *state;
    struct buf detail = {0};
    know(c);
    set(c, "books max-age 10s stale-if-error 1d");

    set(c, "books max-age default");
    assert_int_equal(config_set(c, CONFIG_max_age, SLICE("7s"), &detail),
                     ERR_OK);

    assert_int_equal(config_freshness(c, BOOKS, CONFIG_max_age), 7 * S);
    assert_text(c, "books stale-if-error 1d");
    set(c, "books stale-if-error default");
    assert_text(c, "");
}

static void test_a_value_changes_only_what_it_names(void **state)
{
    struct config *c = *state;
    know(c);

    set(c, "books max-age 10s");
    set(c, "authors max-age 20s");
    set(c, "books stale-if-error 1d");
    set(c, "books");
    set(c, "");

    assert_text(c, "books max-age 10s stale-if-error 1d; authors max-age 20s");
}

static void test_what_is_got_can_be_set(void **state)
{
    struct config *c = *state;
    struct config *other = config_new();
    struct buf text = {0};
    know(c);
    know(other);
    set(c, "books max-age 1500ms;; authors MAX-AGE 20s ;"
           "books negative-max-age 1h");

    config_format_redis(c, CONFIG_table, &text);
    set(other, buf_string(&text));

    assert_string_equal(buf_string(&text), "books max-age 1500ms "
                                           "negative-max-age 1h; authors "
                                           "max-age 20s");
    assert_text(other, buf_string(&text));
    config_free(other);
    buf_destroy(&text);
}

static void count_change(void *arg)
{
    ++*(int *)arg;
}

static void test_a_change_is_told_once_and_none_not_at_all(void **state)
{
    struct config *c = *state;
    int told = 0;
    know(c);
    config_on_change(c, CONFIG_table, count_change, &told);

    set(c, "books max-age 10s");
    set(c, "books max-age 10000ms");
    set(c, "authors max-age default");

    assert_int_equal(told, 1);
}

/* ---- refusals ---- */

static void test_what_is_wrong_is_refused_and_changes_nothing(void **state)
{
    struct config *c = *state;
    know(c);
    set(c, "books max-age 10s");

    refuse(c, "books max-age 5",
           "table books: max-age: \"5\" is not a duration from 0s to 365d, as "
           "in 250us 100ms 5s 1m 1h 1d");
    refuse(c, "books max-age 366d",
           "table books: max-age: \"366d\" is not a duration from 0s to 365d");
    refuse(c, "authors max-age 1s; books max-age",
           "table books: max-age: the value is missing: a duration from 0s to "
           "365d, or default");
    refuse(c, "books ttl 5s",
           "table books: there is no option \"ttl\"; the options are prefix, "
           "key, columns, writable, max-age, stale-while-revalidate, "
           "stale-if-error, negative-max-age");
    refuse(c, "max-age 5s",
           "table: the table's name is missing in front of max-age");
    refuse(c, "prefix books:",
           "table: the table's name is missing in front of "
           "prefix");
    refuse(c, "\"\" max-age 5s", "table: \"\" is no name of a table");
    refuse(c, "\"a\\nb\" max-age 5s",
           "table: \"a\\x0ab\" is no name of a table");
    refuse(c, "\"books max-age 5s", "table: a closing quote is missing");
    refuse(c, "\"books\"max-age 5s",
           "table: a space is missing behind a closing quote");
    refuse(c, "films max-age 5s",
           "table: there is no table \"films\"; there are books, authors");

    assert_text(c, "books max-age 10s");
}

static void
test_unknown_tables_are_named_once_the_tables_are_known(void **state)
{
    struct config *c = *state;
    struct buf detail = {0};
    load(c,
         "table films max-age 1s\ntable books max-age 1s\n"
         "table actors max-age 1s\n",
         false, ERR_OK);

    assert_int_equal(config_table_check(c, names, 1, &detail), ERR_INVALID);

    assert_string_equal(
        buf_string(&detail),
        "table: there is no table \"films\"; there is only books\n"
        "table: there is no table \"actors\"; there is only books\n");
    buf_destroy(&detail);
}

static void test_more_tables_than_fit_are_refused(void **state)
{
    const char *many[CONFIG_TABLES_MAX + 1];
    struct buf detail = {0};
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = "t";
    }

    assert_int_equal(config_table_check(*state, many, ARRAY_LEN(many), &detail),
                     ERR_RANGE);

    assert_string_equal(buf_string(&detail),
                        "there are 65 tables; there can be 64\n");
    buf_destroy(&detail);
}

static void test_a_layout_that_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"t prefix", "prefix: the value is missing"},
        {"t prefix \"\"", "prefix is empty, so that every key would be a row; "
                          "write one such as user:"},
        {"t prefix \"a\\x00b\"", "prefix has a NUL in it"},
        {"t key \"\"", "key \"\" names no column"},
        {"t key x{a}",
         "key \"x{a}\" begins with fixed text, which belongs into "
         "the prefix"},
        {"t key {a", "key \"{a\" lacks a closing brace; write it as "
                     "{column}:{column}"},
        {"t key a}",
         "key \"a}\" begins with fixed text, which belongs into the "
         "prefix"},
        {"t key {}:{a}", "key \"{}:{a}\" has braces without a column in them"},
        {"t key {{a}}", "key \"{{a}}\" has a brace inside braces"},
        {"t key {a}}", "key \"{a}}\" has a closing brace that none opens"},
        {"t key {a}{b}", "key \"{a}{b}\" has two columns with nothing between "
                         "them, so that nobody can tell where the first one "
                         "ends; write {a}:{b}"},
        {"t key {a}:{A}", "key \"{a}:{A}\" names a column twice"},
        {"t key {a}.{b}.{c}.{d}.{e}.{f}.{g}.{h}.{i}",
         "key has more than 8 columns"},
        {"t columns a,,b", "columns \"a,,b\" has an empty name; write columns "
                           "a,b,c without spaces"},
        {"t columns a,b,A", "columns names \"a\" twice"},
        {"t writable maybe", "writable: \"maybe\" is not yes or no"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf why = {0};
        buf_printf(&why, "table t: %s", cases[i].why);
        refuse(*state, cases[i].text, buf_string(&why));
        buf_destroy(&why);
    }
    assert_text(*state, "");
}

/* ---- layouts ---- */

static void test_a_layout_is_kept_as_it_was_written(void **state)
{
    struct config *c = *state;

    load(
        c,
        "table \"my orders\" prefix \"o;\\\"\" key {region}:{no} writable YES\n"
        "table \"my orders\" columns region,no max-age 5s\n",
        false, ERR_OK);

    assert_text(c, "\"my orders\" prefix \"o;\\\"\" key {region}:{no} columns "
                   "region,no writable yes max-age 5s");
}

static void test_a_printed_layout_is_read_back(void **state)
{
    struct config *c = *state;
    struct config *again = config_new();
    struct buf text = {0};
    set(c, "\"a \\\"b\" prefix \"x ;\" key \"the id\" columns \"the id,#b\"; "
           "#c prefix # key {a}\\{b}");

    config_print(c, &text);
    load(again, buf_string(&text), false, ERR_OK);
    buf_clear(&text);
    config_format(c, CONFIG_table, &text);

    assert_text(again, buf_string(&text));
    config_free(again);
    buf_destroy(&text);
}

static void test_arguments_may_be_names_with_spaces(void **state)
{
    LOAD_ARGS(*state, "--table", "my table", "prefix", "t:", "key", "id");
    LOAD_ARGS(*state, "--table", "books max-age 5s; authors max-age 6s");

    assert_text(*state, "\"my table\" prefix t: key id; books max-age 5s; "
                        "authors max-age 6s");
}

static void test_a_layout_stays_as_it_was_at_start(void **state)
{
    struct config *c = *state;
    load(c, "table books prefix b: key id\n", false, ERR_OK);
    know(c);

    refuse(c, "books prefix c: max-age 1s",
           "table books: prefix, key, columns and writable are set only at "
           "start");
    refuse(c, "authors writable no",
           "table authors: prefix, key, columns and writable are set only at "
           "start");
    refuse(c, "films prefix f: key id",
           "table films: prefix, key, columns and writable are set only at "
           "start");
    set(c, "books prefix b: key id max-age 1s");

    assert_text(c, "books prefix b: key id max-age 1s");
}

static void test_a_reload_says_which_layouts_wait_for_a_restart(void **state)
{
    struct config *c = *state;
    struct buf detail = {0};
    load(c, "table books prefix b: key id\ntable authors key id\n", false,
         ERR_OK);
    know(c);

    load(c,
         "table books prefix c: key id max-age 2s\n"
         "table films prefix f: key id max-age 3s\n",
         false, ERR_OK);
    load(c,
         "table books prefix c: key id max-age 2s\n"
         "table films prefix f: key id max-age 3s\n",
         true, ERR_OK);
    assert_int_equal(config_load(c, path, true, &detail), ERR_OK);

    assert_text(c, "books prefix b: key id max-age 2s; authors key id");
    buf_consume(&detail, strlen(path));
    assert_non_null(strstr(buf_string(&detail),
                           ": table books stays prefix b: key id until a "
                           "restart, which makes it prefix c: key id\n"));
    assert_non_null(strstr(buf_string(&detail),
                           ": table authors stays key id until a restart, "
                           "which makes it as if it said nothing of prefix "
                           "and key\n"));
    assert_non_null(strstr(buf_string(&detail), ": table films stays as if"));
    buf_destroy(&detail);
}

/* ---- files and the command line ---- */

static void test_lines_and_options_add_up(void **state)
{
    struct config *c = *state;
    LOAD_ARGS(c, "--table", "books", "max-age", "1s", "--port", "1", "--table",
              "books", "stale-if-error", "default");

    load(c,
         "table books max-age 2s stale-if-error 2s negative-max-age 2s\n"
         "table authors max-age 3s  # why not\n",
         false, ERR_OK);
    know(c);

    assert_text(c, "books max-age 1s negative-max-age 2s; authors max-age 3s");
    assert_int_equal(config_freshness(c, BOOKS, CONFIG_max_age), 1 * S);
    assert_int_equal(config_freshness(c, BOOKS, CONFIG_stale_if_error),
                     3600 * S);
}

static void test_a_reload_is_what_a_restart_would_be(void **state)
{
    struct config *c = *state;
    LOAD_ARGS(c, "--table", "books", "max-age", "1s");
    load(c, "table authors max-age 3s\n", false, ERR_OK);
    know(c);
    set(c, "books stale-if-error 5s; authors max-age 5s");

    load(c, "table books max-age 2s negative-max-age 2s\n", true, ERR_OK);
    assert_text(c, "books max-age 1s negative-max-age 2s");
    assert_int_equal(config_freshness(c, AUTHORS, CONFIG_max_age), 60 * S);
    load(c, "table books max-age 9s\ntable films max-age 2s\n", true,
         ERR_INVALID);
    assert_text(c, "books max-age 1s negative-max-age 2s");
    load(c, "", true, ERR_OK);

    assert_text(c, "books max-age 1s");
}

static void test_what_is_printed_is_read_back(void **state)
{
    struct config *c = *state;
    struct config *again = config_new();
    struct buf text = {0};
    set(c, "books max-age 10s stale-if-error 1d; #odd max-age 1s");

    config_print(c, &text);
    load(again, buf_string(&text), false, ERR_OK);

    assert_non_null(strstr(buf_string(&text),
                           "\ntable books max-age 10s stale-if-error 1d\n"
                           "table \"#odd\" max-age 1s\n"));
    assert_text(again, "books max-age 10s stale-if-error 1d; #odd max-age 1s");
    config_free(again);
    buf_destroy(&text);
}

/* ---- threads ---- */

static void set_many(void *arg)
{
    struct buf detail = {0};
    for (int i = 0; i < ROUNDS; i++) {
        if (config_set(arg, CONFIG_table,
                       i % 2 == 0 ? SLICE("books max-age 1s")
                                  : SLICE("books max-age default"),
                       &detail) != ERR_OK) {
            abort();
        }
    }
}

static void test_a_reader_sees_one_value_or_the_other(void **state)
{
    struct config *c = *state;
    struct thread thread;
    know(c);
    assert_int_equal(thread_start(&thread, "setter", set_many, c), ERR_OK);

    for (int i = 0; i < 100 * ROUNDS; i++) {
        const int64_t age = config_freshness(c, BOOKS, CONFIG_max_age);
        assert_true(age == 1 * S || age == 60 * S);
    }

    thread_join(&thread);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_table_has_the_global_values_until_it_is_set),
        TEST(test_each_option_is_one_of_its_own),
        TEST(test_default_follows_the_global_value_again),
        TEST(test_a_value_changes_only_what_it_names),
        TEST(test_what_is_got_can_be_set),
        TEST(test_a_change_is_told_once_and_none_not_at_all),
        TEST(test_what_is_wrong_is_refused_and_changes_nothing),
        TEST(test_unknown_tables_are_named_once_the_tables_are_known),
        TEST(test_more_tables_than_fit_are_refused),
        TEST(test_a_layout_that_cannot_be_is_refused),
        TEST(test_a_layout_is_kept_as_it_was_written),
        TEST(test_a_printed_layout_is_read_back),
        TEST(test_arguments_may_be_names_with_spaces),
        TEST(test_a_layout_stays_as_it_was_at_start),
        TEST(test_a_reload_says_which_layouts_wait_for_a_restart),
        TEST(test_lines_and_options_add_up),
        TEST(test_a_reload_is_what_a_restart_would_be),
        TEST(test_what_is_printed_is_read_back),
        TEST(test_a_reader_sees_one_value_or_the_other),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
