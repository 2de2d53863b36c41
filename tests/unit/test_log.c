/* SPDX-License-Identifier: MIT */
/*
 * The log: what one line looks like, here and under the journal.
 *
 * Each test puts a socket in the place of stderr that keeps the borders of
 * writes: what one recv() returns was one write(2).
 */
#include "common/log.h"

#include <errno.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/death.h"

struct capture {
    int saved_stderr;
    int lines; /* Our end of the socket. */
    char line[8192];
};

static int set_up(void **state)
{
    static struct capture capture;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0) {
        return -1;
    }
    capture.saved_stderr = dup(STDERR_FILENO);
    capture.lines = ends[0];
    (void)dup2(ends[1], STDERR_FILENO);
    (void)close(ends[1]);
    (void)unsetenv("JOURNAL_STREAM");
    log_init();
    log_set_level(LOG_LEVEL_INFO);
    *state = &capture;
    return 0;
}

static int tear_down(void **state)
{
    const struct capture *const capture = *state;

    (void)dup2(capture->saved_stderr, STDERR_FILENO);
    (void)close(capture->saved_stderr);
    (void)close(capture->lines);
    return 0;
}

/* What the next write(2) wrote; NULL if there was none. */
static const char *next_line(struct capture *capture)
{
    const ssize_t n = recv(capture->lines, capture->line,
                           sizeof(capture->line) - 1, MSG_DONTWAIT);

    if (n < 0) {
        return NULL;
    }
    capture->line[n] = '\0';
    return capture->line;
}

static void assert_matches(const char *line, const char *pattern)
{
    regex_t regex;

    assert_non_null(line);
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    const int result = regexec(&regex, line, 0, NULL, 0);
    regfree(&regex);
    if (result != 0) {
        fail_msg("\"%s\" does not match %s", line, pattern);
    }
}

/* Says that our stderr is the journal, its inode off by 'error'. */
static void pretend_journal(unsigned error)
{
    struct stat status;
    char stream[64];

    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    (void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev,
                   (uintmax_t)status.st_ino + error);
    (void)setenv("JOURNAL_STREAM", stream, 1);
    log_init();
}

static void test_an_event_is_one_line_in_one_write(void **state)
{
    (void)state;

    log_info("store: opened path=%s threads=%d", "books.db", 4);

    assert_matches(next_line(*state),
                   "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
                   "\\.[0-9]{3}Z info: store: opened path=books\\.db "
                   "threads=4\n$");
    assert_null(next_line(*state));
}

static void test_each_level_has_its_name(void **state)
{
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("x");
    assert_matches(next_line(*state), "Z debug: x\n$");
    log_notice("x");
    assert_matches(next_line(*state), "Z notice: x\n$");
    log_warn("x");
    assert_matches(next_line(*state), "Z warn: x\n$");
    log_error("x");
    assert_matches(next_line(*state), "Z error: x\n$");
}

static int evaluate(int *times)
{
    return ++*times;
}

static void test_below_the_level_nothing_is_even_evaluated(void **state)
{
    int times = 0;

    log_set_level(LOG_LEVEL_WARN);
    log_notice("n=%d", evaluate(&times));
    assert_null(next_line(*state));
    assert_int_equal(times, 0);

    log_warn("n=%d", evaluate(&times));
    assert_non_null(next_line(*state));
    assert_int_equal(times, 1);
}

static void test_under_the_journal_lines_begin_with_the_priority(void **state)
{
    pretend_journal(0);
    log_set_level(LOG_LEVEL_DEBUG);

    log_debug("x");
    assert_string_equal(next_line(*state), "<7>x\n");
    log_info("x");
    assert_string_equal(next_line(*state), "<6>x\n");
    log_notice("x");
    assert_string_equal(next_line(*state), "<5>x\n");
    log_warn("x");
    assert_string_equal(next_line(*state), "<4>x\n");
    log_error("x");
    assert_string_equal(next_line(*state), "<3>x\n");
}

static void test_a_redirected_stderr_is_not_the_journal(void **state)
{
    pretend_journal(1);
    log_info("x");
    assert_matches(next_line(*state), "Z info: x\n$");

    (void)setenv("JOURNAL_STREAM", "nonsense", 1);
    log_init();
    log_info("x");
    assert_matches(next_line(*state), "Z info: x\n$");
}

static void test_control_bytes_are_spelled_out(void **state)
{
    pretend_journal(0);

    log_info("a\nb\rc\td\033[31me\177 Bront\xC3\xAB");

    assert_string_equal(next_line(*state),
                        "<6>a\\nb\\rc\\td\\x1b[31me\\x7f Bront\xC3\xAB\n");
    assert_null(next_line(*state));
}

/* Whatever the character at the cut, the line stays whole UTF-8. */
static void test_a_long_line_is_cut_with_an_ellipsis(void **state)
{
    char text[6000];
    pretend_journal(0);

    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', sizeof(text));
        for (size_t i = shift; i + 3 < sizeof(text); i += 3) {
            memcpy(text + i, "\xE2\x82\xAC", 3);
        }
        text[sizeof(text) - 1] = '\0';
        log_info("%s", text);

        const char *const line = next_line(*state);
        assert_non_null(line);
        assert_in_range(strlen(line), 2030, 2048);
        assert_matches(line, "^<6>x*(\xE2\x82\xAC)*\xE2\x80\xA6\n$");
        assert_null(next_line(*state));
    }
}

static void test_logging_leaves_errno_alone(void **state)
{
    (void)state;

    errno = EXDEV;
    log_info("err=\"%m\"");

    assert_int_equal(errno, EXDEV);
    assert_matches(next_line(*state), "err=\"Invalid cross-device link\"\n$");
}

static void die(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    log_fatal("part: broken n=%d", 7);
}

static void test_a_broken_rule_ends_the_program(void **state)
{
    (void)state;

    ASSERT_ABORTS(die, "error: part: broken n=7\n");
}

/* One entry of the list: the test with stderr captured. */
#define CAPTURED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAPTURED(test_an_event_is_one_line_in_one_write),
        CAPTURED(test_each_level_has_its_name),
        CAPTURED(test_below_the_level_nothing_is_even_evaluated),
        CAPTURED(test_under_the_journal_lines_begin_with_the_priority),
        CAPTURED(test_a_redirected_stderr_is_not_the_journal),
        CAPTURED(test_control_bytes_are_spelled_out),
        CAPTURED(test_a_long_line_is_cut_with_an_ellipsis),
        CAPTURED(test_logging_leaves_errno_alone),
        CAPTURED(test_a_broken_rule_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
