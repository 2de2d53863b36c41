/* SPDX-License-Identifier: MIT */
/*
 * The race detector: it reports a data race when the lock is left out, and
 * nothing when it is there.
 *
 * Builds tests/unit/race/counter.c with "$CC -fsanitize=thread" in a directory
 * of its own and runs it.  Skipped only where the compiler cannot link that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"

/* What counter.c needs of ours. */
#define PARTS "lock thread waitgroup log mem slice"

static char directory[256];

static const char *from_env(const char *name, const char *otherwise)
{
    const char *const value = getenv(name);

    return value == NULL || *value == '\0' ? otherwise : value;
}

/* Runs a line of shell; appends what it printed, on both outputs, to 'output'.
 * Returns its exit status, or -1. */
static int shell(const char *line, struct buf *output)
{
    FILE *const pipe = popen(line, "r");
    char chunk[4096];
    size_t size;

    assert_non_null(pipe);
    while ((size = fread(chunk, 1, sizeof(chunk), pipe)) > 0) {
        buf_append(output, chunk, size);
    }
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool compiler_links_tsan(void)
{
    struct buf line = {.size = 0};
    struct buf output = {.size = 0};

    buf_printf(&line,
               "exec 2>&1; echo 'int main(void) { return 0; }' | "
               "%s -fsanitize=thread -x c -o %s/probe -",
               from_env("CC", "cc"), directory);
    const bool links = shell(buf_string(&line), &output) == 0;
    if (!links) {
        print_message("skipped, the compiler cannot link "
                      "-fsanitize=thread: %s\n",
                      buf_string(&output));
    }
    buf_destroy(&output);
    buf_destroy(&line);
    return links;
}

static void build(const char *name, const char *options)
{
    const char *const src = from_env("BOOKD_SRC", ".");
    struct buf line = {.size = 0};
    struct buf output = {.size = 0};

    buf_printf(&line,
               "exec 2>&1; for part in " PARTS "; do "
               "set -- \"$@\" '%s'/common/$part.c; done; "
               "%s -std=c11 -D_GNU_SOURCE -I'%s' -g -O1 -pthread "
               "-fsanitize=thread %s -o %s/%s "
               "'%s'/tests/unit/race/counter.c \"$@\"",
               src, from_env("CC", "cc"), src, options, directory, name, src);
    if (shell(buf_string(&line), &output) != 0) {
        fail_msg("%s\n%s", buf_string(&line), buf_string(&output));
    }
    buf_destroy(&output);
    buf_destroy(&line);
}

static int run(const char *name, struct buf *output)
{
    struct buf line = {.size = 0};

    /* Whatever the tests' own sanitizer was told is not for this one. */
    buf_printf(&line, "exec 2>&1; TSAN_OPTIONS=exitcode=66 exec %s/%s",
               directory, name);
    const int status = shell(buf_string(&line), output);
    buf_destroy(&line);
    return status;
}

static int make_directory(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "%s/bookd-race-XXXXXX",
                   from_env("TMPDIR", "/tmp"));
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int remove_directory(void **state)
{
    static const char *const names[] = {"probe", "locked", "racy"};
    char path[sizeof(directory) + 16];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    return rmdir(directory);
}

static void test_a_race_is_reported_when_the_lock_is_left_out(void **state)
{
    struct buf output = {.size = 0};
    (void)state;

    if (!compiler_links_tsan()) {
        skip();
    }
    build("racy", "-DLEAVE_OUT_THE_LOCK");
    const int status = run("racy", &output);

    if (strstr(buf_string(&output), "WARNING: ThreadSanitizer: data race") ==
            NULL ||
        strstr(buf_string(&output), "count_up") == NULL) {
        fail_msg("no data race in count_up reported: %s", buf_string(&output));
    }
    assert_int_equal(status, 66);
    buf_destroy(&output);
}

static void test_no_race_is_reported_when_the_lock_is_there(void **state)
{
    struct buf output = {.size = 0};
    (void)state;

    if (!compiler_links_tsan()) {
        skip();
    }
    build("locked", "");
    const int status = run("locked", &output);

    assert_string_equal(buf_string(&output), "count=2000\n");
    assert_int_equal(status, 0);
    buf_destroy(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_race_is_reported_when_the_lock_is_left_out),
        cmocka_unit_test(test_no_race_is_reported_when_the_lock_is_there),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
