/* SPDX-License-Identifier: MIT */
/*
 * A child process whose stderr is a pipe, and how it ended.
 */
#include "tests/support/death.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/death.h"

/* More than any report of ours; a sanitizer's is cut. */
#define REPORT_SIZE ((size_t)4096)

static void die_in_child(void (*fn)(void), int report_fd)
{
    const struct rlimit no_core = {.rlim_cur = 0, .rlim_max = 0};

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)signal(SIGABRT, SIG_DFL);
    (void)dup2(report_fd, STDERR_FILENO);
    fn();
    _exit(0); /* It lived. */
}

/* Reads to the end of the file, so that the child never waits for us. */
static void read_report(int fd, char report[REPORT_SIZE])
{
    char rest[256];
    size_t size = 0;
    ssize_t n;

    while (size < REPORT_SIZE - 1 &&
           (n = read(fd, report + size, REPORT_SIZE - 1 - size)) > 0) {
        size += (size_t)n;
    }
    report[size] = '\0';
    while (read(fd, rest, sizeof(rest)) > 0) {
    }
}

void assert_aborts(void (*fn)(void), const char *const *words)
{
    char report[REPORT_SIZE];
    int ends[2];
    int status;

    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        die_in_child(fn, ends[1]);
    }
    (void)close(ends[1]);
    read_report(ends[0], report);
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
        fail_msg("did not abort: status %#x, stderr: %s", (unsigned)status,
                 report);
    }
    for (; *words != NULL; words++) {
        if (strstr(report, *words) == NULL) {
            fail_msg("\"%s\" is missing from: %s", *words, report);
        }
    }
}
