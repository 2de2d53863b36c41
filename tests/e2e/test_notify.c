/* SPDX-License-Identifier: MIT */
/*
 * What a service manager hears from bookd on NOTIFY_SOCKET.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/daemon.h"

static char path[100];
static int listener;

static int open_socket(void **state)
{
    const char *base = getenv("TMPDIR");
    const struct timeval patience = {.tv_sec = 60};
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    (void)state;
    snprintf(path, sizeof path, "%s/notify-%ld", base == NULL ? "/tmp" : base,
             (long)getpid());
    memcpy(at.sun_path, path, strlen(path));
    listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(listener, (struct sockaddr *)&at, sizeof at));
    return setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience,
                      sizeof patience);
}

static int close_socket(void **state)
{
    (void)state;
    close(listener);
    return unlink(path);
}

/* Waits for a message that has the line 'wanted'. */
static void hear(const char *wanted)
{
    char text[1024];
    const size_t size = strlen(wanted);

    for (;;) {
        const ssize_t n = recv(listener, text, sizeof text - 1, 0);
        if (n <= 0) {
            fail_msg("%s did not come", wanted);
        }
        text[n] = '\0';
        for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
            line += *line == '\n' ? 1 : 0;
            if (strncmp(line, wanted, size) == 0 &&
                (line[size] == '\0' || line[size] == '\n')) {
                return;
            }
        }
    }
}

static void test_ready_is_said_when_it_serves(void **state)
{
    const char *const args[] = {NULL};
    struct daemon d = {.notify = path};

    (void)state;
    daemon_start(&d, args);
    hear("READY=1");
    assert_int_equal(0, daemon_info(&d, "store_reads"));
    daemon_stop(&d);
    hear("STOPPING=1");
    daemon_remove(&d);
}

static void test_the_watchdog_is_fed(void **state)
{
    const char *const args[] = {NULL};
    struct daemon d = {.notify = path};

    (void)state;
    setenv("WATCHDOG_USEC", "20000", 1);
    daemon_start(&d, args);
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    daemon_stop(&d);
    unsetenv("WATCHDOG_USEC");
    daemon_remove(&d);
}

static void test_the_watchdog_of_another_process_is_not_ours(void **state)
{
    const char *const args[] = {NULL};
    struct daemon d = {.notify = path};
    char text[1024];

    (void)state;
    setenv("WATCHDOG_USEC", "1000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    daemon_start(&d, args);
    hear("READY=1");
    daemon_stop(&d);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");

    /* The next that was said is its end. */
    const ssize_t n = recv(listener, text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal("STOPPING=1", text);
    daemon_remove(&d);
}

static void test_a_reload_is_said(void **state)
{
    char file[200];
    const char *const args[] = {NULL};
    struct daemon d = {.notify = path, .config = file};

    (void)state;
    snprintf(file, sizeof file, "%s.conf", path);
    FILE *config = fopen(file, "we");
    assert_non_null(config);
    fputs("max-age 1s\n", config);
    fclose(config);
    daemon_start(&d, args);
    hear("READY=1");

    assert_int_equal(0, kill(d.pid, SIGHUP));
    hear("RELOADING=1");
    hear("READY=1");
    daemon_stop(&d);
    unlink(file);
    daemon_remove(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ready_is_said_when_it_serves,
                                        open_socket, close_socket),
        cmocka_unit_test_setup_teardown(test_the_watchdog_is_fed, open_socket,
                                        close_socket),
        cmocka_unit_test_setup_teardown(
            test_the_watchdog_of_another_process_is_not_ours, open_socket,
            close_socket),
        cmocka_unit_test_setup_teardown(test_a_reload_is_said, open_socket,
                                        close_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
