/* SPDX-License-Identifier: MIT */
/*
 * What a GET that is in memory costs the server, in microseconds of CPU time:
 * bookd, and beside it Redis and memcached where they are installed.
 *
 * The server has the first processor for itself, the load comes from the
 * second: 50 connections, 100 000 keys, values of 100 bytes, in batches of 1,
 * 16 and 64 requests.  All replies of one server have the same size, so the
 * load only counts bytes, and the same load serves both protocols.
 *
 * CPU time comes from /proc/PID/stat; other programs on the machine disturb it
 * little, the rate more.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/support/daemon.h"
#include "tests/support/stress.h"

#define KEYS 100000
#define CONNECTIONS 50
#define VALUE_BYTES 100
#define KEY_BYTES 10 /* "key:000000" */
#define BATCH_MAX 64
#define SECONDS_US 2000000

/* How to speak to a server: requests for key number 'key'. */
typedef int format_fn(char *to, size_t size, unsigned key);

struct dialect {
    format_fn *set;
    format_fn *get;
    size_t set_reply_bytes;
    size_t get_reply_bytes;
};

static int resp_set(char *to, size_t size, unsigned key)
{
    return snprintf(to, size,
                    "*3\r\n$3\r\nSET\r\n$10\r\nkey:%06u\r\n$%d\r\n%0*d\r\n",
                    key, VALUE_BYTES, VALUE_BYTES, 0);
}

static int resp_get(char *to, size_t size, unsigned key)
{
    return snprintf(to, size, "*2\r\n$3\r\nGET\r\n$10\r\nkey:%06u\r\n", key);
}

static int memcache_set(char *to, size_t size, unsigned key)
{
    return snprintf(to, size, "set key:%06u 0 0 %d\r\n%0*d\r\n", key,
                    VALUE_BYTES, VALUE_BYTES, 0);
}

static int memcache_get(char *to, size_t size, unsigned key)
{
    return snprintf(to, size, "get key:%06u\r\n", key);
}

static const struct dialect resp = {
    .set = resp_set,
    .get = resp_get,
    .set_reply_bytes = sizeof "+OK\r\n" - 1,
    .get_reply_bytes = sizeof "$100\r\n" - 1 + VALUE_BYTES + 2,
};

static const struct dialect memcache = {
    .set = memcache_set,
    .get = memcache_get,
    .set_reply_bytes = sizeof "STORED\r\n" - 1,
    .get_reply_bytes = sizeof "VALUE  0 100\r\n" - 1 + KEY_BYTES + VALUE_BYTES +
                       sizeof "\r\nEND\r\n" - 1,
};

struct load {
    const struct dialect *dialect;
    int fds[CONNECTIONS];
    size_t owed[CONNECTIONS]; /* Bytes of replies. */
    unsigned batch;
    uint64_t random;
    uint64_t n_requests;
};

/* ---- processors ---- */

static void use_processor(int n)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(n, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        printf("no processor %d: the figures are too high\n", n);
    }
}

/* ---- the load ---- */

static int connect_to(int port)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        close(fd);
        return -1;
    }
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    return fd;
}

static void send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        CHECK(n > 0);
        bytes += n;
        size -= (size_t)n;
    }
}

static void receive_all(int fd, size_t size)
{
    char bytes[65536];

    while (size > 0) {
        const ssize_t n =
            recv(fd, bytes, size < sizeof bytes ? size : sizeof bytes, 0);
        CHECK(n > 0);
        CHECK(bytes[0] != '-'); /* No error. */
        size -= (size_t)n;
    }
}

static void set_keys(int port, const struct dialect *dialect)
{
    char requests[BATCH_MAX * 256];
    const int fd = connect_to(port);

    CHECK(fd >= 0);
    for (unsigned key = 0; key < KEYS;) {
        size_t size = 0;
        unsigned n = 0;
        for (; n < BATCH_MAX && key < KEYS; n++, key++) {
            size += (size_t)dialect->set(requests + size,
                                         sizeof requests - size, key);
        }
        send_all(fd, requests, size);
        receive_all(fd, n * dialect->set_reply_bytes);
    }
    close(fd);
}

static void send_batch(struct load *load, int i)
{
    char requests[BATCH_MAX * 64];
    size_t size = 0;

    for (unsigned n = 0; n < load->batch; n++) {
        size +=
            (size_t)load->dialect->get(requests + size, sizeof requests - size,
                                       stress_random(&load->random, KEYS));
    }
    send_all(load->fds[i], requests, size);
    load->owed[i] = load->batch * load->dialect->get_reply_bytes;
}

static void take_replies(struct load *load, int i)
{
    char bytes[65536];
    const ssize_t n = recv(load->fds[i], bytes, sizeof bytes, 0);

    CHECK(n > 0);
    CHECK((size_t)n <= load->owed[i]);
    load->owed[i] -= (size_t)n;
    if (load->owed[i] == 0) {
        load->n_requests += load->batch;
        send_batch(load, i);
    }
}

static void run_load(struct load *load)
{
    struct epoll_event events[CONNECTIONS];
    const int epoll = epoll_create1(EPOLL_CLOEXEC);

    CHECK(epoll >= 0);
    for (int i = 0; i < CONNECTIONS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = i};
        CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, load->fds[i], &event) == 0);
        send_batch(load, i);
    }
    const int64_t end_us = clock_real_us() + SECONDS_US;
    while (clock_real_us() < end_us) {
        const int n = epoll_wait(epoll, events, CONNECTIONS, 1000);
        for (int i = 0; i < n; i++) {
            take_replies(load, events[i].data.fd);
        }
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        receive_all(load->fds[i], load->owed[i]);
        load->n_requests += load->batch;
    }
    close(epoll);
}

/* ---- a server ---- */

static void measure(const char *name, pid_t pid, int port,
                    const struct dialect *dialect)
{
    static const unsigned batches[] = {1, 16, 64};

    set_keys(port, dialect);
    printf("%-10s", name);
    for (size_t k = 0; k < sizeof batches / sizeof batches[0]; k++) {
        struct load load = {
            .dialect = dialect, .batch = batches[k], .random = 88172645463325};
        int64_t user_us[2];
        int64_t cpu_us[2];
        for (int i = 0; i < CONNECTIONS; i++) {
            load.fds[i] = connect_to(port);
            CHECK(load.fds[i] >= 0);
        }
        cpu_us[0] = daemon_cpu_us(pid, &user_us[0]);
        const int64_t begin_us = clock_real_us();
        run_load(&load);
        const int64_t wall_us = clock_real_us() - begin_us;
        cpu_us[1] = daemon_cpu_us(pid, &user_us[1]);
        for (int i = 0; i < CONNECTIONS; i++) {
            close(load.fds[i]);
        }
        const double n = (double)load.n_requests;
        printf("  %2u: %5.2f us, user %5.2f us, %7.0f/s", batches[k],
               (double)(cpu_us[1] - cpu_us[0]) / n,
               (double)(user_us[1] - user_us[0]) / n,
               n / (double)wall_us * 1e6);
        fflush(stdout);
    }
    printf("\n");
}

static void measure_bookd(void)
{
    const char *const args[] = {"--io-threads", "1",     "--max-age", "1h",
                                "--maxmemory",  "256mb", NULL};
    struct daemon d = {0};

    use_processor(0);
    daemon_start(&d, args);
    use_processor(1);
    measure("bookd", d.pid, d.port, &resp);
    daemon_stop(&d);
    daemon_remove(&d);
}

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* Waits until the server accepts; false if it ended instead. */
static bool await(pid_t pid, int port)
{
    int fd;

    while ((fd = connect_to(port)) < 0) {
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            return false;
        }
        poll(NULL, 0, 1);
    }
    close(fd);
    return true;
}

/* 'argv' has "PORT" where the port goes. */
static void measure_other(const char *name, const char **argv,
                          const struct dialect *dialect)
{
    char port_text[16];
    const int port = free_port();

    snprintf(port_text, sizeof port_text, "%d", port);
    for (size_t i = 0; argv[i] != NULL; i++) {
        argv[i] = strcmp(argv[i], "PORT") == 0 ? port_text : argv[i];
    }
    fflush(stdout);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        use_processor(0);
        if (freopen("/dev/null", "we", stdout) != NULL) {
            execvp(argv[0], (char *const *)(uintptr_t)argv);
        }
        _exit(127);
    }
    if (!await(pid, port)) {
        printf("%-10s  not installed\n", name);
        return;
    }
    measure(name, pid, port, dialect);
    CHECK(kill(pid, SIGTERM) == 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
}

int main(void)
{
    const char *redis[] = {"redis-server", "--port", "PORT", "--bind",
                           "127.0.0.1",    "--save", "",     NULL};
    const char *memcached[] = {"memcached", "-u", "nobody", "-l",
                               "127.0.0.1", "-p", "PORT",   "-t",
                               "1",         "-m", "256",    NULL};

    printf("server CPU per GET, %d connections, batches of:\n", CONNECTIONS);
    measure_bookd();
    measure_other("redis", redis, &resp);
    measure_other("memcached", memcached, &memcache);
    return EXIT_SUCCESS;
}
