/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets.  Every command is answered "+OK" here: that somebody
 * answers shows that the connection was accepted and arrived at its loop.
 */
#include "server/net/listener.h"

#include "server/admin/config.h"
#include "server/command/acl.h"
#include "server/command/client_memory.h"
#include "server/command/clients.h"
#include "server/command/command.h"
#include "server/command/dispatch.h"
#include "server/command/parts.h"
#include "server/command/pause.h"
#include "server/net/ticker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_S 20

static struct server server;
static struct loop *loop;
static struct listener *listener;
static struct buf detail;
static char directory[64];
static char path[96]; /* Of a unix socket in it. */

void command_find(struct request *request)
{
    request->class = REQUEST_READ;
}

bool command_is_paused(const struct request *request)
{
    (void)request;
    return false;
}

enum command_status command_run(struct request *request)
{
    reply_ok(&request->reply);
    return COMMAND_DONE;
}

static int setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(directory, sizeof(directory), "%.40s/XXXXXX",
             tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/sock", directory);
    server = (struct server){
        .config = config_new(),
        .clients = clients_new(),
        .client_memory = client_memory_new(),
        .pause = pause_new(),
    };
    server.acl = acl_new(server.config);
    return loop_new(&loop, "test") == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    loop_stop(loop);
    listener_close(listener);
    listener = NULL;
    loop_free(loop);
    clients_free(server.clients);
    pause_free(server.pause);
    client_memory_free(server.client_memory);
    acl_free(server.acl);
    config_free(server.config);
    buf_destroy(&detail);
    unlink(path);
    return rmdir(directory);
}

static enum err open_on(const char *bind, int port, const char *unix_path)
{
    const struct listener_options options = {
        .bind = bind,
        .port = port,
        .unix_path = unix_path,
        .unix_mode = 0600,
        .backlog = 16,
        .server = &server,
        .accept_loop = loop,
        .io_loops = &loop,
        .n_io_loops = 1,
    };
    return listener_open(&listener, &options, &detail);
}

static void assert_says(const char *words)
{
    if (strstr(buf_string(&detail), words) == NULL) {
        fail_msg("\"%s\" is missing from: %s", words, buf_string(&detail));
    }
}

static int connect_tcp(int port)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static int connect_unix(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static void assert_served(int fd)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    char got[6] = "";
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(send(fd, "PING\r\n", 6, MSG_NOSIGNAL), 6);
    assert_int_equal(recv(fd, got, 5, MSG_WAITALL), 5);
    assert_string_equal(got, "+OK\r\n");
    close(fd);
}

/* Leaves a socket file behind as a program does that was killed. */
static void leave_socket_file(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    close(fd);
}

/* ---- TCP ---- */

static void test_clients_connect_over_tcp(void **state)
{
    (void)state;
    assert_int_equal(open_on("127.0.0.1", -1, ""), ERR_OK);
    assert_int_equal(loop_start(loop), ERR_OK);

    int port = listener_port(listener);

    assert_true(port > 0);
    assert_served(connect_tcp(port));
    assert_served(connect_tcp(port));
}

static void test_a_missing_optional_address_is_left_out(void **state)
{
    (void)state;
    /* 192.0.2.0/24 is for documentation: no machine has it. */
    assert_int_equal(open_on("-192.0.2.1  127.0.0.1 -::1", -1, ""), ERR_OK);
    assert_int_equal(loop_start(loop), ERR_OK);

    assert_served(connect_tcp(listener_port(listener)));
}

static void test_a_missing_address_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(open_on("127.0.0.1 192.0.2.1", -1, ""), ERR_SYSTEM);

    assert_says("192.0.2.1 is not one of this machine");
}

static void test_only_missing_addresses_are_an_error(void **state)
{
    (void)state;
    assert_int_equal(open_on("-192.0.2.1", -1, ""), ERR_INVALID);

    assert_says("none of the addresses");
}

static void test_nonsense_is_no_address(void **state)
{
    (void)state;
    assert_int_equal(open_on("1.2.3.4.5", -1, ""), ERR_INVALID);

    assert_says("'1.2.3.4.5' of 'bind' is no address");
}

static void test_all_addresses_of_both_families_do_not_collide(void **state)
{
    (void)state;
    assert_int_equal(open_on("* -::*", -1, ""), ERR_OK);
    assert_int_equal(loop_start(loop), ERR_OK);

    assert_served(connect_tcp(listener_port(listener)));
}

static void test_a_port_in_use_is_said(void **state)
{
    (void)state;
    char words[64];
    struct listener *first;
    assert_int_equal(open_on("127.0.0.1", -1, ""), ERR_OK);
    first = listener;
    int port = listener_port(first);
    listener = NULL;

    assert_int_equal(open_on("127.0.0.1", port, ""), ERR_ADDRESS_IN_USE);

    snprintf(words, sizeof(words), "port %d on 127.0.0.1 is in use", port);
    assert_says(words);
    listener_close(first);
}

static void test_nowhere_to_listen_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(open_on("127.0.0.1", 0, ""), ERR_INVALID);

    assert_says("nowhere to listen");
}

/* ---- unix ---- */

static void test_clients_connect_over_a_unix_socket(void **state)
{
    (void)state;
    struct stat file;
    assert_int_equal(open_on("", 0, path), ERR_OK);
    assert_int_equal(loop_start(loop), ERR_OK);

    assert_served(connect_unix());

    assert_int_equal(listener_port(listener), 0);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
}

static void test_the_socket_file_goes_with_its_listener(void **state)
{
    (void)state;
    assert_int_equal(open_on("", 0, path), ERR_OK);

    listener_close(listener);
    listener = NULL;

    assert_int_not_equal(access(path, F_OK), 0);
}

static void test_a_socket_file_of_another_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(open_on("", 0, path), ERR_OK);
    assert_int_equal(unlink(path), 0);
    leave_socket_file();

    listener_close(listener);
    listener = NULL;

    assert_int_equal(access(path, F_OK), 0);
}

static void test_a_socket_file_left_behind_is_replaced(void **state)
{
    (void)state;
    leave_socket_file();

    assert_int_equal(open_on("", 0, path), ERR_OK);
    assert_int_equal(loop_start(loop), ERR_OK);

    assert_served(connect_unix());
}

static void test_a_unix_socket_in_use_is_said(void **state)
{
    (void)state;
    assert_int_equal(open_on("", 0, path), ERR_OK);
    struct listener *first = listener;
    listener = NULL;

    assert_int_equal(open_on("", 0, path), ERR_ADDRESS_IN_USE);

    assert_says("is in use by another program");
    listener_close(first);
}

static void test_a_file_that_is_no_socket_is_kept(void **state)
{
    (void)state;
    fclose(fopen(path, "w"));

    assert_int_equal(open_on("", 0, path), ERR_ADDRESS_IN_USE);

    assert_says("is no socket");
    assert_int_equal(access(path, F_OK), 0);
}

static void test_a_path_too_long_is_said(void **state)
{
    (void)state;
    char long_path[200];
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';

    assert_int_equal(open_on("", 0, long_path), ERR_INVALID);

    assert_says("longer than 107 bytes");
}

/* ---- inherited ---- */

/* What a service manager does before it starts us, with 'fds' in the places of
 * 3, 4 …, then 'look' in that child; its result is the exit status. */
static int in_child_with(const int *fds, int n, int (*look)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int high[4];
        char text[16];
        for (int i = 0; i < n; i++) {
            high[i] = dup2(fds[i], 100 + i);
        }
        for (int i = 0; i < n; i++) {
            dup2(high[i], 3 + i);
        }
        snprintf(text, sizeof(text), "%d", (int)getpid());
        setenv("LISTEN_PID", text, 1);
        snprintf(text, sizeof(text), "%d", n);
        setenv("LISTEN_FDS", text, 1);
        setenv("LISTEN_FDNAMES", "bookd", 1);
        _exit(look());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int listening_socket(void)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* Makes a loop of its own: the base of the parent's shares its epoll. */
static enum err open_in_child(void)
{
    enum err err = loop_new(&loop, "child");
    return err == ERR_OK ? open_on("192.0.2.1", 7, "/nowhere/x") : err;
}

static int takes_sockets_over(void)
{
    if (open_in_child() != ERR_OK || listener_port(listener) == 0) {
        return 1;
    }
    return getenv("LISTEN_FDS") == NULL && getenv("LISTEN_PID") == NULL &&
                   getenv("LISTEN_FDNAMES") == NULL
               ? 0
               : 2;
}

static int refuses_sockets(void)
{
    return open_in_child() == ERR_INVALID &&
                   strstr(buf_string(&detail), "no listening stream socket")
               ? 0
               : 1;
}

static int minds_its_own(void)
{
    setenv("LISTEN_PID", "1", 1); /* Meant for another process. */
    enum err err = loop_new(&loop, "child");
    return err == ERR_OK && open_on("127.0.0.1", 0, "") == ERR_INVALID &&
                   strstr(buf_string(&detail), "nowhere")
               ? 0
               : 1;
}

static void test_sockets_of_a_service_manager_are_taken_over(void **state)
{
    (void)state;
    int fds[] = {listening_socket(), listening_socket()};

    assert_int_equal(in_child_with(fds, 2, takes_sockets_over), 0);

    close(fds[0]);
    close(fds[1]);
}

static void test_other_descriptors_are_refused(void **state)
{
    (void)state;
    int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    int fds[] = {listening_socket(), datagrams};

    assert_int_equal(in_child_with(fds, 2, refuses_sockets), 0);

    close(fds[0]);
    close(datagrams);
}

static void test_sockets_for_another_process_are_not_ours(void **state)
{
    (void)state;
    int fd = listening_socket();

    assert_int_equal(in_child_with(&fd, 1, minds_its_own), 0);

    close(fd);
}

/* ---- shortage ---- */

static void end_run(void *arg)
{
    (void)arg;
    loop_break(loop);
}

/* Runs the loop on this thread for 'us' with stderr going to 'log'. */
static void run_logged(int64_t us, FILE *log)
{
    int before = dup(STDERR_FILENO);
    assert_int_equal(dup2(fileno(log), STDERR_FILENO), STDERR_FILENO);
    struct ticker *end = loop_every(loop, us, end_run, NULL);
    assert_non_null(end);
    loop_run(loop);
    ticker_cancel(end);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
}

static void
test_a_shortage_is_said_once_and_then_accepting_goes_on(void **state)
{
    (void)state;
    assert_int_equal(open_on("127.0.0.1", -1, ""), ERR_OK);
    FILE *log = tmpfile();
    assert_non_null(log);
    int spare = dup(STDERR_FILENO); /* A place for run_logged(). */
    int fd = connect_tcp(listener_port(listener));
    close(spare);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = limit;
    none.rlim_cur = (rlim_t)fd; /* They are given out from the lowest. */

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run_logged(250000, log); /* Long enough for three attempts. */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(loop_start(loop), ERR_OK);

    assert_served(fd);
    char said[1024];
    rewind(log);
    size_t size = fread(said, 1, sizeof(said) - 1, log);
    said[size] = '\0';
    const char *first = strstr(said, "cannot accept");
    assert_non_null(first);
    assert_null(strstr(first + 1, "cannot accept"));
    fclose(log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_clients_connect_over_tcp),
        TEST(test_a_missing_optional_address_is_left_out),
        TEST(test_a_missing_address_is_an_error),
        TEST(test_only_missing_addresses_are_an_error),
        TEST(test_nonsense_is_no_address),
        TEST(test_all_addresses_of_both_families_do_not_collide),
        TEST(test_a_port_in_use_is_said),
        TEST(test_nowhere_to_listen_is_an_error),
        TEST(test_clients_connect_over_a_unix_socket),
        TEST(test_the_socket_file_goes_with_its_listener),
        TEST(test_a_socket_file_of_another_is_left_alone),
        TEST(test_a_socket_file_left_behind_is_replaced),
        TEST(test_a_unix_socket_in_use_is_said),
        TEST(test_a_file_that_is_no_socket_is_kept),
        TEST(test_a_path_too_long_is_said),
        TEST(test_sockets_of_a_service_manager_are_taken_over),
        TEST(test_other_descriptors_are_refused),
        TEST(test_sockets_for_another_process_are_not_ours),
        TEST(test_a_shortage_is_said_once_and_then_accepting_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
