/* SPDX-License-Identifier: MIT */
/*
 * Files and command lines: what is read, what is refused, what a reload does,
 * and that everything printed can be read again.
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

static char path[] = "/tmp/test_config_file.XXXXXX";

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

static void write_slice(struct slice text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.size, file), text.size);
    assert_int_equal(fclose(file), 0);
}

/* Loads 'text' as a file; the complaints must be 'detail', where "F" at the
 * beginning of a line stands for the path. */
static void load(struct config *c, const char *text, bool reload, enum err err,
                 const char *detail)
{
    struct buf expected = {0};
    struct buf actual = {0};
    for (const char *p = detail; *p != '\0'; p++) {
        if (*p == 'F' && (p == detail || p[-1] == '\n')) {
            buf_append_string(&expected, path);
        } else {
            buf_append_char(&expected, *p);
        }
    }
    write_slice(slice_from_string(text));
    assert_int_equal(config_load(c, path, reload, &actual), err);
    assert_string_equal(buf_string(&actual), buf_string(&expected));
    buf_destroy(&actual);
    buf_destroy(&expected);
}

static void assert_text(struct config *c, enum config_id id, const char *text)
{
    struct buf out = {0};
    config_format(c, id, &out);
    assert_string_equal(buf_string(&out), text);
    buf_destroy(&out);
}

/* ---- files ---- */

static void test_lines_are_directives_and_comments(void **state)
{
    struct config *c = *state;

    load(c,
         "# a comment\n"
         "\n"
         "  port 7390   # why not\r\n"
         "\tRACE\talways\n"
         "bind 127.0.0.1   \"-::1\"\n"
         "dir \"/a b#\\\"\\\\\\x21\\t\"\n"
         "store sqlite:a#b\n"
         "unixsocket \"\"\n"
         "max-age 5s\n"
         "max-age 7s",
         false, ERR_OK, "");

    assert_text(c, CONFIG_port, "7390");
    assert_text(c, CONFIG_race, "always");
    assert_text(c, CONFIG_bind, "127.0.0.1 -::1");
    assert_text(c, CONFIG_dir, "/a b#\"\\!\t");
    assert_text(c, CONFIG_store, "sqlite:a#b");
    assert_text(c, CONFIG_unixsocket, "");
    assert_text(c, CONFIG_max_age, "7s");
}

static void test_all_errors_are_reported_and_nothing_is_changed(void **state)
{
    struct config *c = *state;

    load(c,
         "port 7390\n"
         "prot 7390\n"
         "nonsense\n"
         "max-age\n"
         "port 1 2\n"
         "race often\n",
         false, ERR_INVALID,
         "F:2: there is no directive \"prot\"; did you mean port?\n"
         "F:3: there is no directive \"nonsense\"\n"
         "F:4: max-age: the value is missing: a duration from 0s to 365d\n"
         "F:5: port: \"1 2\" are 2 values; it takes one, and one that has "
         "spaces belongs in quotes\n"
         "F:6: race: \"often\" is not one of never, stale, always\n");

    assert_text(c, CONFIG_port, "7379");
}

static void test_bad_quoting_is_refused(void **state)
{
    static const struct {
        const char *text;
        const char *detail;
    } rows[] = {
        {"dir \"/a", "F:1: a closing quote is missing\n"},
        {"dir \"/a\\", "F:1: a backslash in quotes takes one of "
                       "\" \\ n r t xHH\n"},
        {"dir \"\\q\"", "F:1: a backslash in quotes takes one of "
                        "\" \\ n r t xHH\n"},
        {"dir \"\\x4g\"", "F:1: a backslash in quotes takes one of "
                          "\" \\ n r t xHH\n"},
        {"dir \"/a\"b", "F:1: a space is missing behind a closing quote\n"},
        {"dir /a\"b\"", "F:1: a quote stands inside a word; "
                        "put all of it in quotes\n"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        load(*state, rows[i].text, false, ERR_INVALID, rows[i].detail);
    }
}

static void test_what_is_no_text_is_refused(void **state)
{
    struct config *c = *state;
    struct buf detail = {0};
    write_slice(SLICE("port 7390\nSQLite format 3\0\1\2\n"));

    assert_int_equal(config_load(c, path, false, &detail), ERR_INVALID);
    assert_non_null(strstr(buf_string(&detail), "no configuration file\n"));
    buf_clear(&detail);
    assert_int_equal(config_load(c, "/dev/zero", false, &detail), ERR_INVALID);

    assert_text(c, CONFIG_port, "7379");
    buf_destroy(&detail);
}

static void test_a_file_that_cannot_be_read_says_why(void **state)
{
    struct buf detail = {0};

    assert_int_equal(config_load(*state, "/nowhere/x", false, &detail),
                     ERR_NOT_FOUND);
    assert_int_equal(config_load(*state, "/", false, &detail), ERR_IO);

    assert_string_equal(buf_string(&detail),
                        "/nowhere/x: No such file or directory\n"
                        "/: Is a directory\n");
    buf_destroy(&detail);
}

/* ---- reload ---- */

static void
test_a_reload_changes_what_can_change_and_names_the_rest(void **state)
{
    struct config *c = *state;
    load(c, "port 7390\nmax-age 5s\nrace always\n", false, ERR_OK, "");

    load(c, "dir \"/a b\"\nmax-age 6s\n", true, ERR_OK,
         "F: port stays 7390 until a restart, which makes it 7379\n"
         "F: dir stays . until a restart, which makes it \"/a b\"\n");

    assert_text(c, CONFIG_port, "7390");
    assert_text(c, CONFIG_dir, ".");
    assert_text(c, CONFIG_max_age, "6s");
    assert_text(c, CONFIG_race, "stale");
}

static void test_a_faulty_reload_changes_nothing(void **state)
{
    struct config *c = *state;

    load(c, "max-age 6s\nport x\n", true, ERR_INVALID,
         "F:2: port: \"x\" is not a whole number from 0 to 65535\n");

    assert_text(c, CONFIG_max_age, "60s");
}

/* ---- the command line ---- */

#define LOAD_ARGS(c, detail, ...)                                  \
    config_load_args(c, (int)ARRAY_LEN(((char *[]){__VA_ARGS__})), \
                     (char *[]){__VA_ARGS__}, detail)

static void test_options_are_directives(void **state)
{
    struct config *c = *state;
    struct buf detail = {0};

    assert_int_equal(LOAD_ARGS(c, &detail, "--port", "7390", "--bind", "*",
                               "-::1", "--dir", "/a b", "--race=always",
                               "--store=--odd=name", "--unixsocket", ""),
                     ERR_OK);

    assert_int_equal(detail.size, 0);
    assert_text(c, CONFIG_port, "7390");
    assert_text(c, CONFIG_bind, "* -::1");
    assert_text(c, CONFIG_dir, "/a b");
    assert_text(c, CONFIG_race, "always");
    assert_text(c, CONFIG_store, "--odd=name");
}

static void test_no_options_are_fine(void **state)
{
    struct buf detail = {0};

    assert_int_equal(config_load_args(*state, 0, NULL, &detail), ERR_OK);
}

static void test_bad_options_change_nothing(void **state)
{
    struct config *c = *state;
    struct buf detail = {0};

    assert_int_equal(LOAD_ARGS(c, &detail, "file", "--port", "1", "--prot", "2",
                               "--dir", "--race", "a", "b"),
                     ERR_INVALID);

    assert_string_equal(
        buf_string(&detail),
        "\"file\" is no option; options begin with --\n"
        "there is no option \"prot\"; did you mean --port?\n"
        "dir: the value is missing: a text of 1 to 4095 bytes\n"
        "race: \"a b\" are 2 values; it takes one, and one that has spaces "
        "belongs in quotes\n");
    assert_text(c, CONFIG_port, "7379");
    buf_destroy(&detail);
}

static void test_the_command_line_wins_over_the_file(void **state)
{
    struct config *c = *state;
    struct buf detail = {0};
    assert_int_equal(LOAD_ARGS(c, &detail, "--max-age", "1s", "--port", "1"),
                     ERR_OK);

    load(c, "max-age 2s\nport 2\nrace always\n", false, ERR_OK, "");
    load(c, "max-age 3s\nport 3\nrace never\n", true, ERR_OK, "");

    assert_text(c, CONFIG_max_age, "1s");
    assert_text(c, CONFIG_port, "1");
    assert_text(c, CONFIG_race, "never");
}

/* ---- printing ---- */

static void test_what_is_printed_is_read_back(void **state)
{
    struct config *c = *state;
    struct config *again = config_new();
    struct buf text = {0};
    struct buf second = {0};
    assert_int_equal(LOAD_ARGS(c, &text, "--dir", "/a  b\"\\\n\x01#", "--bind",
                               "#a", "b\"c", "--store", "#", "--unixsocketperm",
                               "7", "--maxmemory", "1000000000",
                               "--store-error-rate", "0.25%", "--timeout",
                               "1500ms", "--seed-books", "no"),
                     ERR_OK);

    config_print(c, &text);
    load(again, buf_string(&text), false, ERR_OK, "");
    config_print(again, &second);

    assert_string_equal(buf_string(&text), buf_string(&second));
    assert_text(again, CONFIG_dir, "/a  b\"\\\n\x01#");
    assert_text(again, CONFIG_bind, "#a b\"c");
    config_free(again);
    buf_destroy(&text);
    buf_destroy(&second);
}

/* Appends 'text' with the '#' gone from the last line of each paragraph that
 * names a directive. */
static void uncomment(const char *text, struct buf *out)
{
    while (*text != '\0') {
        const size_t size = strcspn(text, "\n") + 1;
        const bool is_last = text[size] == '\n' || text[size] == '\0';
        const char *name = text + 2;
        if (is_last && strncmp(text, "# ", 2) == 0 &&
            config_find(slice_make(name, strcspn(name, " "))) < CONFIG_COUNT) {
            buf_append(out, name, size - 2);
        } else {
            buf_append(out, text, size);
        }
        text += size;
    }
}

static void test_the_commented_defaults_are_directives(void **state)
{
    struct config *c = *state;
    struct buf text = {0};
    struct buf all = {0};
    struct buf second = {0};
    config_print(c, &text);
    uncomment(buf_string(&text), &all);
    assert_int_equal(all.size + 2 * CONFIG_COUNT, text.size);

    load(c, buf_string(&all), false, ERR_OK, "");

    config_print(c, &second);
    assert_string_equal(buf_string(&text), buf_string(&second));
    buf_destroy(&text);
    buf_destroy(&all);
    buf_destroy(&second);
}

static void test_no_line_is_wider_than_78_columns(void **state)
{
    struct buf text = {0};
    config_print(*state, &text);
    config_help(&text);

    for (const char *p = buf_string(&text); *p != '\0';) {
        const size_t size = strcspn(p, "\n");
        assert_true(size <= 78);
        assert_true(size == 0 || p[size - 1] != ' ');
        p += size + 1;
    }
    buf_destroy(&text);
}

static void test_every_directive_is_in_every_form(void **state)
{
    struct buf help = {0};
    struct buf man = {0};
    struct buf bash = {0};
    (void)state;

    config_help(&help);
    config_man(&man);
    config_completion(&bash);

    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        char option[64];
        snprintf(option, sizeof(option), "--%s", config_directives[id].name);
        assert_non_null(strstr(buf_string(&help), option));
        assert_non_null(strstr(buf_string(&bash), option));
    }
    assert_non_null(strstr(buf_string(&man), ".It Ic store\\-delay Ar "));
    buf_destroy(&help);
    buf_destroy(&man);
    buf_destroy(&bash);
}

static void test_explained_choices_become_items(void **state)
{
    struct buf file = {0};
    struct buf man = {0};

    config_print(*state, &file);
    config_man(&man);

    assert_non_null(strstr(buf_string(&file), "\n#   never: only if "));
    assert_non_null(strstr(buf_string(&file), "\n#   always: every time"));
    assert_non_null(strstr(buf_string(&man), "\n.It Cm never\nonly if "));
    buf_destroy(&file);
    buf_destroy(&man);
}

/* The committed file is what bookd --print-config prints. */
static void test_the_shipped_file_is_up_to_date(void **state)
{
    const char *source = getenv("BOOKD_SRC");
    struct buf name = {0};
    struct buf expected = {0};
    struct buf actual = {0};
    buf_printf(&name, "%s/conf/bookd.conf", source == NULL ? "." : source);
    FILE *file = fopen(buf_string(&name), "r");
    assert_non_null(file);
    char *room = buf_reserve(&actual, 1 << 20);
    buf_commit(&actual, fread(room, 1, 1 << 20, file));
    fclose(file);

    config_print(*state, &expected);

    assert_string_equal(buf_string(&actual), buf_string(&expected));
    buf_destroy(&name);
    buf_destroy(&expected);
    buf_destroy(&actual);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines_are_directives_and_comments),
        TEST(test_all_errors_are_reported_and_nothing_is_changed),
        TEST(test_bad_quoting_is_refused),
        TEST(test_what_is_no_text_is_refused),
        TEST(test_a_file_that_cannot_be_read_says_why),
        TEST(test_a_reload_changes_what_can_change_and_names_the_rest),
        TEST(test_a_faulty_reload_changes_nothing),
        TEST(test_options_are_directives),
        TEST(test_no_options_are_fine),
        TEST(test_bad_options_change_nothing),
        TEST(test_the_command_line_wins_over_the_file),
        TEST(test_what_is_printed_is_read_back),
        TEST(test_the_commented_defaults_are_directives),
        TEST(test_no_line_is_wider_than_78_columns),
        TEST(test_every_directive_is_in_every_form),
        TEST(test_explained_choices_become_items),
        TEST(test_the_shipped_file_is_up_to_date),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
