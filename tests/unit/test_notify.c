/* SPDX-License-Identifier: MIT */
/*
 * What is sent to the socket of a service manager, and when nothing is.
 */
#include "server/notify.h"

#include <setjmp.h>
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

static int manager = -1;

/* Listens on an abstract address, which leaves no file, and names it. */
static int set_up(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char name[64];

    (void)state;
    (void)snprintf(name, sizeof name, "@bookd-test-notify-%ld", (long)getpid());
    memcpy(at.sun_path, name, strlen(name));
    at.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return bind(
        manager, (struct sockaddr *)&at,
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name)));
}

static int tear_down(void **state)
{
    (void)state;
    return close(manager);
}

static const char *heard(void)
{
    static char text[600];
    const ssize_t n = recv(manager, text, sizeof text - 1, MSG_DONTWAIT);

    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void test_what_is_sent_arrives_as_one_message(void **state)
{
    (void)state;
    notify_init();
    notify_send("READY=1\nSTATUS=Serving on port %d", 7379);

    assert_string_equal(heard(), "READY=1\nSTATUS=Serving on port 7379");
    assert_string_equal(heard(), "");
}

static void test_children_do_not_inherit_the_socket(void **state)
{
    (void)state;
    setenv("WATCHDOG_USEC", "1000", 1);
    notify_init();

    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
}

static void test_the_watchdog_is_for_the_process_it_names(void **state)
{
    char pid[32];

    (void)state;
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("WATCHDOG_USEC", "30000000", 1);
    setenv("WATCHDOG_PID", pid, 1);
    notify_init();

    assert_int_equal(notify_watchdog_us(), 30000000);
}

static void test_a_message_too_long_is_not_sent_in_part(void **state)
{
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    notify_init();
    notify_send("STATUS=%s", text);
    notify_send("WATCHDOG=1");

    assert_string_equal(heard(), "WATCHDOG=1");
}

static void test_a_manager_that_has_gone_does_no_harm(void **state)
{
    (void)state;
    notify_init();
    close(manager);
    notify_send("STOPPING=1");

    manager = dup(STDERR_FILENO); /* For tear_down(). */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_sent_arrives_as_one_message),
        TEST(test_children_do_not_inherit_the_socket),
        TEST(test_the_watchdog_is_for_the_process_it_names),
        TEST(test_a_message_too_long_is_not_sent_in_part),
        TEST(test_a_manager_that_has_gone_does_no_harm),
    };

    /* Before anybody is named: nothing happens. */
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    notify_init();
    notify_send("READY=1");
    if (notify_watchdog_us() != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
