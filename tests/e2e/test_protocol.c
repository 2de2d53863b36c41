/* SPDX-License-Identifier: MIT */
/*
 * The protocol on bare sockets: what redis-cli never sends.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"
#include "tests/support/daemon.h"

static struct daemon served;

static int start(void **state)
{
    const char *const args[] = {"--loglevel", "error", NULL};

    (void)state;
    daemon_start(&served, args);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    daemon_stop(&served);
    daemon_remove(&served);
    return 0;
}

/* ---- talking ---- */

/* Sends all of it, or what bookd takes before it closes. */
static void send_bytes(int fd, struct slice bytes)
{
    while (bytes.size > 0) {
        const ssize_t n = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        bytes = slice_make(bytes.data + n, bytes.size - (size_t)n);
    }
}

/* Receives exactly 'size' bytes into 'to'. */
static void receive(int fd, char *to, size_t size)
{
    while (size > 0) {
        const ssize_t n = recv(fd, to, size, 0);
        assert_true(n > 0);
        to += n;
        size -= (size_t)n;
    }
}

static void assert_receives(int fd, const char *expected)
{
    char text[256];
    const size_t size = strlen(expected);

    assert_true(size < sizeof text);
    receive(fd, text, size);
    text[size] = '\0';
    assert_string_equal(expected, text);
}

/* Receives until bookd closes. */
static void receive_rest(int fd, struct buf *to)
{
    char bytes[65536];
    ssize_t n;

    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        buf_append(to, bytes, (size_t)n);
    }
    assert_int_equal(0, n);
}

/* Sends, says that this was all, and receives until bookd closes. */
static void exchange(struct slice request, struct buf *replies)
{
    const int fd = daemon_connect(&served);

    send_bytes(fd, request);
    shutdown(fd, SHUT_WR);
    receive_rest(fd, replies);
    close(fd);
}

static void assert_replies(struct slice request, const char *expected)
{
    struct buf replies = {0};

    exchange(request, &replies);
    assert_string_equal(expected, buf_string(&replies));
    buf_destroy(&replies);
}

static void configure(const char *name, const char *value)
{
    struct buf request = {0};

    buf_printf(&request, "CONFIG SET %s %s\r\n", name, value);
    assert_replies(buf_slice(&request), "+OK\r\n");
    buf_destroy(&request);
}

static void assert_is_well(void)
{
    assert_replies(SLICE("PING\r\n"), "+PONG\r\n");
}

/* ---- what is a command ---- */

static void test_requests_and_their_replies(void **state)
{
    static const struct {
        const char *request;
        const char *replies;
    } cases[] = {
        {"PING\r\n", "+PONG\r\n"},
        {"PING\n", "+PONG\r\n"},
        {"  ping \t\r\n", "+PONG\r\n"},
        {"\r\n\r\n\nPING\r\n", "+PONG\r\n"},
        {"*0\r\nPING\r\n", "+PONG\r\n"},
        {"*-1\r\nPING\r\n", "+PONG\r\n"},
        {"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"},
        {"*1\r\n$4\r\nPING\r\nPING\r\n", "+PONG\r\n+PONG\r\n"},
        {"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "$0\r\n\r\n"},
        {"*2\r\n$4\r\nECHO\r\n$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"},
        {"ECHO \"a b\"\r\n", "$3\r\na b\r\n"},
        {"ECHO 'it\\'s'\r\n", "$4\r\nit's\r\n"},
        {"ECHO \"\\x41\\t\"\r\n", "$2\r\nA\t\r\n"},
        {"ECHO \"\"\r\n", "$0\r\n\r\n"},
        {"QUIT\r\nPING\r\n", "+OK\r\n"},
        {"", ""},
        {"PING", ""},
        {"*1\r\n$4\r\nPI", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_replies(slice_from_string(cases[i].request), cases[i].replies);
    }
}

static void test_errors_of_the_protocol_are_told_and_end_it(void **state)
{
    static const struct {
        const char *request;
        const char *reply;
    } cases[] = {
        {"*x\r\n", "invalid multibulk length"},
        {"*\r\n", "invalid multibulk length"},
        {"*1048577\r\n", "invalid multibulk length"},
        {"*99999999999999999999\r\n", "invalid multibulk length"},
        {"*1\r\n$x\r\n", "invalid bulk length"},
        {"*1\r\n$\r\n", "invalid bulk length"},
        {"*1\r\n$-1\r\n", "invalid bulk length"},
        {"*1\r\n$536870913\r\n", "invalid bulk length"},
        {"*1\r\n$99999999999999999999\r\n", "invalid bulk length"},
        {"*1\r\nPING\r\n", "expected '$', got 'P'"},
        {"*1\r\n:1\r\n", "expected '$', got ':'"},
        {"*1\r\n\r\n", "expected '$', got ' '"},
        {"*2\r\n$4\r\nECHO\r\n+x\r\n", "expected '$', got '+'"},
        {"ECHO \"a\r\n", "unbalanced quotes in request"},
        {"ECHO \"a\"b\r\n", "unbalanced quotes in request"},
        {"ECHO 'a\r\n", "unbalanced quotes in request"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf request = {0};
        struct buf reply = {0};
        /* What comes behind it is not run. */
        buf_printf(&request, "PING\r\n%sPING\r\n", cases[i].request);
        buf_printf(&reply, "+PONG\r\n-ERR Protocol error: %s\r\n",
                   cases[i].reply);
        assert_replies(buf_slice(&request), buf_string(&reply));
        buf_destroy(&request);
        buf_destroy(&reply);
    }
}

static void test_lines_without_an_end_are_refused(void **state)
{
    static const struct {
        const char *begin;
        const char *reply;
    } cases[] = {
        {"", "-ERR Protocol error: too big inline request\r\n"},
        {"*", "-ERR Protocol error: too big mbulk count string\r\n"},
        {"*1\r\n$", "-ERR Protocol error: too big bulk count string\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf request = {0};
        buf_append_string(&request, cases[i].begin);
        for (int n = 0; n < 70000; n++) {
            buf_append_char(&request, '1');
        }
        assert_replies(buf_slice(&request), cases[i].reply);
        buf_destroy(&request);
    }
}

static void test_bytes_that_come_one_by_one_are_a_command(void **state)
{
    const struct slice request =
        SLICE("*2\r\n$4\r\nECHO\r\n$3\r\na\0b\r\nPING\r\n");
    const int fd = daemon_connect(&served);
    char reply[9 + 7];

    (void)state;
    for (size_t i = 0; i < request.size; i++) {
        send_bytes(fd, slice_make(request.data + i, 1));
    }

    receive(fd, reply, sizeof reply);
    assert_memory_equal("$3\r\na\0b\r\n+PONG\r\n", reply, sizeof reply);
    close(fd);
}

static void test_keys_and_values_may_hold_any_byte(void **state)
{
    struct buf request = {0};
    struct buf replies = {0};
    char all[256];

    (void)state;
    for (int i = 0; i < 256; i++) {
        all[i] = (char)i;
    }
    buf_append_string(&request, "*3\r\n$3\r\nSET\r\n$256\r\n");
    buf_append(&request, all, sizeof all);
    buf_append_string(&request, "\r\n$256\r\n");
    buf_append(&request, all, sizeof all);
    buf_append_string(&request, "\r\n*2\r\n$3\r\nGET\r\n$256\r\n");
    buf_append(&request, all, sizeof all);
    buf_append_string(&request, "\r\n");
    exchange(buf_slice(&request), &replies);

    assert_int_equal(5 + 6 + 256 + 2, replies.size);
    assert_memory_equal("+OK\r\n$256\r\n", buf_data(&replies), 11);
    assert_memory_equal(all, buf_data(&replies) + 11, sizeof all);
    buf_destroy(&request);
    buf_destroy(&replies);
}

/* ---- limits ---- */

static void append_bulk(struct buf *to, size_t size)
{
    buf_printf(to, "$%zu\r\n", size);
    memset(buf_reserve(to, size), 'x', size);
    buf_commit(to, size);
    buf_append_string(to, "\r\n");
}

static void test_proto_max_bulk_len_is_the_longest_argument(void **state)
{
    struct buf request = {0};

    (void)state;
    configure("proto-max-bulk-len", "1mb");
    buf_append_string(&request, "*2\r\n$6\r\nSTRLEN\r\n");
    append_bulk(&request, 1 << 20);
    buf_append_string(&request, "*2\r\n$6\r\nSTRLEN\r\n$1048577\r\n");

    assert_replies(buf_slice(&request),
                   ":0\r\n-ERR Protocol error: invalid bulk length\r\n");
    configure("proto-max-bulk-len", "512mb");
    buf_destroy(&request);
}

static void test_client_query_buffer_limit_is_the_longest_command(void **state)
{
    struct buf request = {0};

    (void)state;
    configure("client-query-buffer-limit", "1mb");
    buf_append_string(&request, "*3\r\n$6\r\nEXISTS\r\n");
    append_bulk(&request, 600000);
    append_bulk(&request, 600000);

    assert_replies(buf_slice(&request),
                   "-ERR Protocol error: too big request\r\n");
    configure("client-query-buffer-limit", "1gb");
    buf_destroy(&request);
}

/* The largest figure that CLIENT LIST has behind 'name', as in " obl=". */
static long long largest(const char *name)
{
    struct buf list = {0};
    long long max = -1;

    exchange(SLICE("CLIENT LIST\r\n"), &list);
    for (const char *at = strstr(buf_string(&list), name); at != NULL;
         at = strstr(at, name)) {
        at += strlen(name);
        const long long value = strtoll(at, NULL, 10);
        max = value > max ? value : max;
    }
    buf_destroy(&list);
    return max;
}

static void test_what_is_announced_costs_nothing_until_it_comes(void **state)
{
    int fds[50];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = daemon_connect(&served);
        send_bytes(fds[i], SLICE("PING\r\n*1000000\r\n$536870912\r\nx"));
        assert_receives(fds[i], "+PONG\r\n");
    }

    assert_in_range(largest(" tot-mem="), 1, 100000);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
}

/* ---- order and overlap ---- */

static void test_replies_keep_the_order_of_requests(void **state)
{
    struct buf request = {0};
    struct buf expected = {0};

    (void)state;
    configure("store-delay", "20ms store-jitter 20ms");
    for (int i = 1; i <= 100; i++) {
        buf_printf(&request, "HGET book:%d title\r\nECHO %d\r\n", 1000 + i, i);
        buf_printf(&expected, "$-1\r\n$%d\r\n%d\r\n",
                   snprintf(NULL, 0, "%d", i), i);
    }
    assert_replies(buf_slice(&request), buf_string(&expected));
    configure("store-delay", "0ms store-jitter 0ms");
    buf_destroy(&request);
    buf_destroy(&expected);
}

static void test_a_write_waits_for_the_reads_before_it(void **state)
{
    (void)state;
    configure("store-delay", "20ms");
    assert_replies(SLICE("HGET book:7 year\r\nHSET book:7 year 1\r\n"
                         "HGET book:7 year\r\nDEL book:7\r\n"
                         "HGET book:7 year\r\n"),
                   "$4\r\n1973\r\n:0\r\n$1\r\n1\r\n:1\r\n$-1\r\n");
    configure("store-delay", "0ms");
}

static void
test_a_hundred_thousand_requests_may_go_before_one_is_read(void **state)
{
    const int n = 100000;
    struct buf request = {0};
    struct buf replies = {0};

    (void)state;
    for (int i = 0; i < n; i++) {
        buf_append_string(&request, "*1\r\n$4\r\nPING\r\n");
    }
    exchange(buf_slice(&request), &replies);

    assert_int_equal(n * 7, replies.size);
    buf_destroy(&request);
    buf_destroy(&replies);
}

static void
test_a_client_that_does_not_read_is_not_fed_without_end(void **state)
{
    const size_t value_size = 1 << 20;
    const size_t n = 200;
    struct buf request = {0};
    struct buf replies = {0};
    const int fd = daemon_connect(&served);

    (void)state;
    buf_append_string(&request, "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n");
    append_bulk(&request, value_size);
    assert_replies(buf_slice(&request), "+OK\r\n");
    for (size_t i = 0; i < n; i++) {
        send_bytes(fd, SLICE("GET big\r\n"));
    }
    assert_is_well();
    assert_in_range(largest(" obl="), 1, (64 << 20) + value_size + 16);

    shutdown(fd, SHUT_WR);
    receive_rest(fd, &replies);
    assert_int_equal(n * (10 + value_size + 2), replies.size);
    close(fd);
    assert_replies(SLICE("DEL big\r\n"), ":1\r\n");
    buf_destroy(&request);
    buf_destroy(&replies);
}

/* ---- ends ---- */

static void
test_a_client_that_said_its_last_still_gets_its_replies(void **state)
{
    (void)state;
    configure("store-delay", "50ms");
    assert_replies(SLICE("BOOK.EVICT book:2\r\nHGET book:2 year\r\nPING\r\n"),
                   ":0\r\n$4\r\n1937\r\n+PONG\r\n");
    configure("store-delay", "0ms");
}

static void
test_an_error_of_the_protocol_waits_for_replies_before_it(void **state)
{
    (void)state;
    configure("store-delay", "50ms");
    assert_replies(SLICE("HGET book:6 year\r\n*x\r\nPING\r\n"),
                   "$4\r\n1950\r\n-ERR Protocol error: invalid multibulk "
                   "length\r\n");
    configure("store-delay", "0ms");
}

static void test_clients_that_vanish_do_no_harm(void **state)
{
    const struct linger reset = {.l_onoff = 1};

    (void)state;
    configure("store-delay", "20ms");
    for (int i = 0; i < 100; i++) {
        const int fd = daemon_connect(&served);
        char request[128];
        const int size =
            snprintf(request, sizeof request,
                     "GET book:%d\r\nMGET book:%d book:%d\r\nSET k v\r\n",
                     2000 + i, 3000 + i, 4000 + i);
        send_bytes(fd, slice_make(request, (size_t)size));
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    configure("store-delay", "0ms");
    assert_is_well();
}

/* ---- the corpus of the fuzzer ---- */

static void read_file(const char *path, struct buf *to)
{
    char bytes[4096];
    ssize_t n;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        buf_append(to, bytes, (size_t)n);
    }
    close(fd);
}

static bool mentions_shutdown(struct slice s)
{
    for (size_t i = 0; i + 8 <= s.size; i++) {
        if (slice_equal_nocase(slice_make(s.data + i, 8), SLICE("shutdown"))) {
            return true;
        }
    }
    return false;
}

static void test_bad_input_does_no_harm(void **state)
{
    const char *source = getenv("BOOKD_SRC");
    char path[4096];
    struct dirent *entry;
    size_t n = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/parse",
             source == NULL ? "." : source);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        struct buf request = {0};
        struct buf replies = {0};
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof path, "%s/tests/fuzz/corpus/parse/%s",
                 source == NULL ? "." : source, entry->d_name);
        read_file(path, &request);
        if (!mentions_shutdown(buf_slice(&request))) {
            exchange(buf_slice(&request), &replies);
            n++;
        }
        buf_destroy(&request);
        buf_destroy(&replies);
    }
    closedir(directory);

    assert_true(n > 10);
    assert_is_well();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_and_their_replies),
        cmocka_unit_test(test_errors_of_the_protocol_are_told_and_end_it),
        cmocka_unit_test(test_lines_without_an_end_are_refused),
        cmocka_unit_test(test_bytes_that_come_one_by_one_are_a_command),
        cmocka_unit_test(test_keys_and_values_may_hold_any_byte),
        cmocka_unit_test(test_proto_max_bulk_len_is_the_longest_argument),
        cmocka_unit_test(test_client_query_buffer_limit_is_the_longest_command),
        cmocka_unit_test(test_what_is_announced_costs_nothing_until_it_comes),
        cmocka_unit_test(test_replies_keep_the_order_of_requests),
        cmocka_unit_test(test_a_write_waits_for_the_reads_before_it),
        cmocka_unit_test(
            test_a_hundred_thousand_requests_may_go_before_one_is_read),
        cmocka_unit_test(
            test_a_client_that_does_not_read_is_not_fed_without_end),
        cmocka_unit_test(
            test_a_client_that_said_its_last_still_gets_its_replies),
        cmocka_unit_test(
            test_an_error_of_the_protocol_waits_for_replies_before_it),
        cmocka_unit_test(test_clients_that_vanish_do_no_harm),
        cmocka_unit_test(test_bad_input_does_no_harm),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
