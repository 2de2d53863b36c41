/* SPDX-License-Identifier: MIT */
#include "tests/support/load.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/mem.h"
#include "tests/support/stress.h"

/* ---- connections ---- */

static void ignore(struct load_conn *conn, struct slice reply, int64_t took_us,
                   void *arg)
{
    (void)conn;
    (void)reply;
    (void)took_us;
    (void)arg;
}

struct load_conn *load_open(const struct daemon *d, size_t n)
{
    struct load_conn *conns = xcalloc(n, sizeof *conns);

    for (size_t i = 0; i < n; i++) {
        conns[i].fd = daemon_connect(d);
        load_ask(&conns[i], "PING");
    }
    load_finish(conns, n, INT64_MAX, ignore, NULL);
    return conns;
}

void load_close(struct load_conn *conns, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        close(conns[i].fd);
    }
    free(conns);
}

void load_kill(struct load_conn *conn, const struct daemon *d)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    CHECK(setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once,
                     sizeof at_once) == 0);
    close(conn->fd);
    conn->fd = daemon_connect(d);
    conn->n_answered = conn->n_asked;
    conn->size = 0;
}

/* ---- requests ---- */

void load_send(struct load_conn *conn, const char *bytes, size_t size, size_t n)
{
    const int64_t now_us = clock_real_us();

    CHECK(conn->n_asked - conn->n_answered + n <= LOAD_DEPTH);
    for (size_t i = 0; i < n; i++) {
        conn->asked_us[conn->n_asked++ % LOAD_DEPTH] = now_us;
    }
    while (size > 0) {
        const ssize_t sent = send(conn->fd, bytes, size, MSG_NOSIGNAL);
        CHECK(sent > 0);
        bytes += sent;
        size -= (size_t)sent;
    }
}

void load_ask(struct load_conn *conn, const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    const int size = vsnprintf(line, sizeof line - 2, format, args);
    va_end(args);
    CHECK(size > 0 && (size_t)size < sizeof line - 2);
    memcpy(line + size, "\r\n", 2);
    load_send(conn, line, (size_t)size + 2, 1);
}

/* ---- replies ---- */

static size_t reply_size(const char *bytes, size_t size);

/* Of an array whose first line, of 'size' bytes in all, has 'at' of them. */
static size_t array_size(const char *bytes, size_t size, size_t at)
{
    for (unsigned long n = strtoul(bytes + 1, NULL, 10); n > 0; n--) {
        const size_t element = reply_size(bytes + at, size - at);
        if (element == 0) {
            return 0;
        }
        at += element;
    }
    return at;
}

/* The size of the reply at the head of 'bytes', 0 if it is not whole. */
static size_t reply_size(const char *bytes, size_t size)
{
    const char *end = size > 0 ? memchr(bytes, '\n', size) : NULL;

    if (end == NULL) {
        return 0;
    }
    const size_t line = (size_t)(end - bytes) + 1;
    if (bytes[0] == '*' && bytes[1] != '-') {
        return array_size(bytes, size, line);
    }
    if (bytes[0] != '$' || bytes[1] == '-') {
        CHECK(strchr("+-:$*", bytes[0]) != NULL);
        return line;
    }
    const size_t whole = line + strtoul(bytes + 1, NULL, 10) + 2;
    return whole <= size ? whole : 0;
}

static void take(struct load_conn *conn, load_reply_fn *fn, void *arg)
{
    const ssize_t n = recv(conn->fd, conn->bytes + conn->size,
                           sizeof conn->bytes - conn->size, 0);
    const int64_t now_us = clock_real_us();
    size_t begin = 0;
    size_t size;

    CHECK(n > 0);
    conn->size += (size_t)n;
    while (begin < conn->size &&
           (size = reply_size(conn->bytes + begin, conn->size - begin)) > 0) {
        CHECK(conn->n_answered < conn->n_asked);
        const int64_t asked_us = conn->asked_us[conn->n_answered % LOAD_DEPTH];
        conn->n_answered++;
        fn(conn, slice_make(conn->bytes + begin, size), now_us - asked_us, arg);
        begin += size;
    }
    conn->size -= begin;
    memmove(conn->bytes, conn->bytes + begin, conn->size);
}

/* Takes what comes until 'end_us', at least once what is there. */
static void take_some(struct load_conn *conns, size_t n, int64_t end_us,
                      load_reply_fn *fn, void *arg)
{
    struct pollfd *polled = xcalloc(n, sizeof *polled);
    const int64_t left_us = end_us - clock_real_us();
    const struct timespec left = {
        .tv_sec =
            left_us > 0 ? (left_us > 60000000 ? 60 : left_us / 1000000) : 0,
        .tv_nsec = left_us > 0 ? left_us % 1000000 * 1000 : 0};

    for (size_t i = 0; i < n; i++) {
        polled[i] = (struct pollfd){.fd = conns[i].fd, .events = POLLIN};
    }
    CHECK(ppoll(polled, n, &left, NULL) >= 0 || errno == EINTR);
    for (size_t i = 0; i < n; i++) {
        if (polled[i].revents != 0) {
            take(&conns[i], fn, arg);
        }
    }
    free(polled);
}

void load_wait(struct load_conn *conns, size_t n, int64_t end_us,
               load_reply_fn *fn, void *arg)
{
    do {
        take_some(conns, n, end_us, fn, arg);
    } while (clock_real_us() < end_us);
}

void load_finish(struct load_conn *conns, size_t n, int64_t end_us,
                 load_reply_fn *fn, void *arg)
{
    while (load_owed(conns, n) > 0 && clock_real_us() < end_us) {
        take_some(conns, n, end_us, fn, arg);
    }
}

size_t load_owed(const struct load_conn *conns, size_t n)
{
    size_t owed = 0;

    for (size_t i = 0; i < n; i++) {
        owed += conns[i].n_asked - conns[i].n_answered;
    }
    return owed;
}

/* ---- around it ---- */

void load_fill_books(struct daemon *d, int n)
{
    const char *const args[] = {"--seed-books", "no", NULL};
    char path[512];
    char sql[512];
    sqlite3 *db;

    daemon_start(d, args); /* Makes the schema. */
    load_command(d, "PING");
    daemon_stop(d);
    snprintf(path, sizeof path, "%s/bookd.db", d->dir);
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 "
             "FROM n WHERE id < %d) INSERT INTO books "
             "SELECT id, 'The title of book ' || id, 'An author', "
             "1900 + id %% 100 FROM n",
             n);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

static void must_be_good(struct load_conn *conn, struct slice reply,
                         int64_t took_us, void *arg)
{
    (void)conn;
    (void)took_us;
    if (reply.data[0] == '-') {
        log_fatal("%s: %.*s", (const char *)arg, (int)reply.size, reply.data);
    }
}

void load_command(const struct daemon *d, const char *command)
{
    struct load_conn *conn = load_open(d, 1);
    char name[256];

    snprintf(name, sizeof name, "%s", command);
    load_ask(conn, "%s", command);
    load_finish(conn, 1, INT64_MAX, must_be_good, name);
    load_close(conn, 1);
}

void load_print_machine(void)
{
    double loads[3] = {0};

    CHECK(getloadavg(loads, 3) > 0);
    printf("machine: %ld processors, load average %.1f before this\n",
           sysconf(_SC_NPROCESSORS_ONLN), loads[0]);
}
