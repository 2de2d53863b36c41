/* SPDX-License-Identifier: MIT */
/*
 * redis-cli on a terminal, as a person uses it: it starts without an error,
 * shows hints from our command table, and speaks both protocols.
 *
 * The terminal is a pty.  redis-cli discards what was typed before it shows
 * its prompt, so each line is typed when the prompt is there.
 */
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "tests/support/daemon.h"

#define PATIENCE_MS 60000

struct terminal {
    struct daemon daemon;
    pid_t pid;
    int fd;
    struct buf shown; /* And not looked at yet. */
    char prompt[64];
};

static struct terminal terminal;

/* Waits until 'text' is shown, and goes on behind it. */
static void see(struct terminal *t, const char *text)
{
    char bytes[4096];
    const char *found;

    while ((found = strstr(buf_string(&t->shown), text)) == NULL) {
        struct pollfd polled = {.fd = t->fd, .events = POLLIN};
        const ssize_t n = poll(&polled, 1, PATIENCE_MS) == 1
                              ? read(t->fd, bytes, sizeof bytes)
                              : 0;
        if (n <= 0) {
            fail_msg("\"%s\" did not come; shown is: %s", text,
                     buf_string(&t->shown));
        }
        buf_append(&t->shown, bytes, (size_t)n);
    }
    buf_consume(&t->shown,
                (size_t)(found - buf_string(&t->shown)) + strlen(text));
}

static void type(struct terminal *t, const char *text)
{
    assert_int_equal(strlen(text), write(t->fd, text, strlen(text)));
}

static void open_terminal(struct terminal *t, const char *option)
{
    /* One without a size would be asked for it, and a pty does not answer. */
    const struct winsize size = {.ws_row = 50, .ws_col = 200};
    const char *const args[] = {NULL};
    char port[16];

    daemon_start(&t->daemon, args);
    snprintf(port, sizeof port, "%d", t->daemon.port);
    t->pid = forkpty(&t->fd, NULL, NULL, &size);
    assert_true(t->pid >= 0);
    if (t->pid == 0) {
        setenv("HOME", t->daemon.dir, 1);
        setenv("REDISCLI_HISTFILE", "/dev/null", 1);
        setenv("TERM", "xterm", 1);
        execlp("redis-cli", "redis-cli", "-p", port, option, NULL);
        _exit(127);
    }
    snprintf(t->prompt, sizeof t->prompt, "127.0.0.1:%s> ", port);
    see(t, t->prompt);
}

/* The prompt must be there, with or without something typed. */
static void close_terminal(struct terminal *t)
{
    int status = -1;

    type(t, "\x15quit\r"); /* ^U: whatever stands there already. */
    assert_int_equal(t->pid, waitpid(t->pid, &status, 0));
    assert_int_equal(0, status);
    close(t->fd);
    buf_destroy(&t->shown);
    daemon_stop(&t->daemon);
    daemon_remove(&t->daemon);
}

static void test_it_starts_without_an_error(void **state)
{
    (void)state;
    open_terminal(&terminal, NULL);
    assert_int_equal(0, daemon_info(&terminal.daemon, "total_error_replies"));
    type(&terminal, "ping\r");
    see(&terminal, "PONG");
    see(&terminal, terminal.prompt);
    close_terminal(&terminal);
}

static void test_a_record_is_shown(void **state)
{
    (void)state;
    open_terminal(&terminal, NULL);
    type(&terminal, "hgetall book:2\r");
    see(&terminal, "3) \"title\"");
    see(&terminal, "4) \"The Hobbit\"");
    see(&terminal, terminal.prompt);
    type(&terminal, "get book:99\r");
    see(&terminal, "(nil)");
    see(&terminal, terminal.prompt);
    close_terminal(&terminal);
}

static void test_hints_come_from_our_commands(void **state)
{
    (void)state;
    open_terminal(&terminal, NULL);
    type(&terminal, "book.evict ");
    see(&terminal, "key [key ...]");
    close_terminal(&terminal);
}

static void test_help_comes_from_our_commands(void **state)
{
    (void)state;
    open_terminal(&terminal, NULL);
    type(&terminal, "help strlen\r");
    see(&terminal, "Answers the size in bytes of what GET would answer.");
    see(&terminal, terminal.prompt);
    close_terminal(&terminal);
}

static void test_resp3_shows_maps(void **state)
{
    (void)state;
    open_terminal(&terminal, "-3");
    type(&terminal, "hgetall book:2\r");
    see(&terminal, "2# \"title\" => \"The Hobbit\"");
    see(&terminal, terminal.prompt);
    close_terminal(&terminal);
}

static bool has_redis_cli(void)
{
    return system("command -v redis-cli >/dev/null") == 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_starts_without_an_error),
        cmocka_unit_test(test_a_record_is_shown),
        cmocka_unit_test(test_hints_come_from_our_commands),
        cmocka_unit_test(test_help_comes_from_our_commands),
        cmocka_unit_test(test_resp3_shows_maps),
    };
    if (!has_redis_cli()) {
        puts("redis-cli is not installed");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
