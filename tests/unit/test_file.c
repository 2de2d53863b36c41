/* SPDX-License-Identifier: MIT */
/*
 * A file is replaced as a whole, or is what it was.
 */
#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/test_file.XXXXXX";

static int enter(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL ? -1 : chdir(directory);
}

static int leave(void **state)
{
    (void)state;
    (void)unlink("file");
    return chdir("/") == 0 ? rmdir(directory) : -1;
}

static void expect_text(const char *text)
{
    char found[64] = "";
    FILE *file = fopen("file", "r");

    assert_non_null(file);
    const size_t size = fread(found, 1, sizeof found - 1, file);
    fclose(file);
    assert_int_equal(size, strlen(text));
    assert_string_equal(found, text);
}

static void replace(const char *text)
{
    struct buf detail = {0};

    assert_int_equal(
        file_replace("file", slice_from_string(text), 0640, &detail), ERR_OK);
    assert_int_equal(detail.size, 0);
    buf_destroy(&detail);
}

static void test_a_file_is_made_with_the_mode_that_is_given(void **state)
{
    struct stat now;

    (void)state;
    replace("first\n");
    expect_text("first\n");
    assert_int_equal(stat("file", &now), 0);
    assert_int_equal(now.st_mode & 07777, 0640);
}

static void test_a_file_that_is_there_keeps_its_mode(void **state)
{
    struct stat now;

    (void)state;
    replace("first\n");
    assert_int_equal(chmod("file", 0604), 0);
    replace("2\n");
    expect_text("2\n");
    assert_int_equal(stat("file", &now), 0);
    assert_int_equal(now.st_mode & 07777, 0604);
}

static void test_a_reader_of_the_old_file_keeps_it(void **state)
{
    char found[16] = "";

    (void)state;
    replace("old\n");
    FILE *file = fopen("file", "r");
    assert_non_null(file);
    replace("new\n");
    assert_non_null(fgets(found, sizeof found, file));
    assert_string_equal(found, "old\n");
    fclose(file);
}

static void test_a_directory_that_is_not_there_is_told(void **state)
{
    struct buf detail = {0};

    (void)state;
    assert_int_equal(file_replace("no/file", SLICE("x"), 0644, &detail),
                     ERR_NOT_FOUND);
    assert_string_equal(buf_string(&detail), "No such file or directory");
    buf_destroy(&detail);
}

static void test_a_name_that_cannot_be_taken_leaves_nothing_behind(void **state)
{
    struct buf detail = {0};

    (void)state;
    (void)unlink("file");
    assert_int_equal(mkdir("file", 0700), 0);
    assert_int_equal(file_replace("file", SLICE("x"), 0644, &detail),
                     ERR_SYSTEM);
    buf_destroy(&detail);
    assert_int_equal(rmdir("file"), 0);
    /* leave() removes the directory, which must be empty. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_made_with_the_mode_that_is_given),
        cmocka_unit_test(test_a_file_that_is_there_keeps_its_mode),
        cmocka_unit_test(test_a_reader_of_the_old_file_keeps_it),
        cmocka_unit_test(test_a_directory_that_is_not_there_is_told),
        cmocka_unit_test(
            test_a_name_that_cannot_be_taken_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
