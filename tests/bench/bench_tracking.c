/* SPDX-License-Identifier: MIT */
/*
 * Another program commits a change of a row that a client keeps a copy of: how
 * long after the return of its COMMIT does the client have the invalidation?
 *
 *     bench_tracking [CHANGES [INTERVAL_MS]]
 *
 * By the three ways to be told: the key that was read, RESP3; a prefix, RESP3;
 * the key that was read, redirected over RESP2.  One change at a time, at
 * random moments of the watcher's rhythm.  An invalidation may come before
 * COMMIT has returned: then it took nothing.
 */
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/histogram.h"
#include "tests/support/daemon.h"
#include "tests/support/load.h"
#include "tests/support/stress.h"

static uint64_t random_state = 88172645463325;

/* What has come on a connection, and was not looked at. */
struct inbox {
    int fd;
    struct buf in;
};

static void say(const struct inbox *box, const char *text)
{
    CHECK(send(box->fd, text, strlen(text), MSG_NOSIGNAL) ==
          (ssize_t)strlen(text));
}

/* Waits until 'text' has come, and forgets all that has. */
static void wait_for(struct inbox *box, const char *text)
{
    while (strstr(buf_string(&box->in), text) == NULL) {
        const ssize_t n = recv(box->fd, buf_reserve(&box->in, 4096), 4096, 0);
        CHECK(n > 0);
        buf_commit(&box->in, (size_t)n);
    }
    buf_clear(&box->in);
}

static void run_sql(sqlite3 *db, const char *sql)
{
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
}

/* One change after the other, each read again by 'reader' before the next. */
static void measure(const char *name, sqlite3 *db, struct inbox *reader,
                    struct inbox *hearer, int n_changes, int interval_ms)
{
    struct histogram *took_us = calloc(1, sizeof *took_us);
    int n_late = 0;

    CHECK(took_us != NULL);
    for (int i = 1; i <= n_changes; i++) {
        char text[128];
        char sql[128];
        snprintf(text, sizeof text, "GET book:3\r\nECHO read%d\r\n", i);
        say(reader, text);
        snprintf(text, sizeof text, "read%d\r\n", i);
        wait_for(reader, text);
        (void)poll(
            NULL, 0,
            1 + (int)stress_random(&random_state, (uint32_t)(2 * interval_ms)));
        snprintf(sql, sizeof sql, "UPDATE books SET title = '%d' WHERE id = 3",
                 i);
        run_sql(db, sql);
        const int64_t returned_us = clock_real_us();
        wait_for(hearer, "book:3\r\n");
        const int64_t us = clock_real_us() - returned_us;
        histogram_record(took_us, us);
        n_late += us > 10000;
    }
    printf("%-24s %8d %8.2f %8.2f %8.2f %8d\n", name, n_changes,
           (double)histogram_quantile(took_us, 0.5) / 1000,
           (double)histogram_quantile(took_us, 0.99) / 1000,
           (double)histogram_max(took_us) / 1000, n_late);
    fflush(stdout);
    free(took_us);
}

static struct inbox open_inbox(const struct daemon *d, const char *begin,
                               const char *until)
{
    struct inbox box = {.fd = daemon_connect(d)};

    say(&box, begin);
    wait_for(&box, until);
    return box;
}

static void close_inbox(struct inbox *box)
{
    close(box->fd);
    buf_destroy(&box->in);
}

/* The id of a connection that has subscribed to invalidations. */
static long subscribe(const struct daemon *d, struct inbox *box)
{
    box->fd = daemon_connect(d);
    say(box, "CLIENT ID\r\n");
    while (strchr(buf_string(&box->in), '\n') == NULL) {
        const ssize_t n = recv(box->fd, buf_reserve(&box->in, 64), 64, 0);
        CHECK(n > 0);
        buf_commit(&box->in, (size_t)n);
    }
    const long id = strtol(buf_string(&box->in) + 1, NULL, 10);
    say(box, "SUBSCRIBE __redis__:invalidate\r\n");
    wait_for(box, ":1\r\n");
    return id;
}

int main(int argc, char **argv)
{
    const int n_changes = argc > 1 ? atoi(argv[1]) : 1000;
    const int interval_ms = argc > 2 ? atoi(argv[2]) : 5;
    const char *const args[] = {"--max-age", "1h", NULL};
    struct daemon d = {0};
    struct inbox hearer = {0};
    char path[512];
    char text[128];
    sqlite3 *db;

    daemon_start(&d, args);
    daemon_path(&d, "bookd.db", path, sizeof path);
    struct inbox reader = open_inbox(
        &d, "HELLO 3\r\nCLIENT TRACKING ON\r\nECHO ready\r\n", "ready\r\n");
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);

    load_print_machine();
    printf("from the return of another program's COMMIT to the invalidation, "
           "in ms:\n%-24s %8s %8s %8s %8s %8s\n",
           "", "changes", "p50", "p99", "max", "> 10 ms");
    measure("key, RESP3", db, &reader, &reader, n_changes, interval_ms);
    close_inbox(&reader);

    reader = open_inbox(&d,
                        "HELLO 3\r\nCLIENT TRACKING ON BCAST PREFIX book:\r\n"
                        "ECHO ready\r\n",
                        "ready\r\n");
    measure("prefix, RESP3", db, &reader, &reader, n_changes, interval_ms);
    close_inbox(&reader);

    const long id = subscribe(&d, &hearer);
    snprintf(text, sizeof text,
             "CLIENT TRACKING ON REDIRECT %ld\r\nECHO ready\r\n", id);
    reader = open_inbox(&d, text, "ready\r\n");
    measure("key, redirected, RESP2", db, &reader, &hearer, n_changes,
            interval_ms);
    close_inbox(&reader);
    close_inbox(&hearer);

    sqlite3_close(db);
    daemon_stop(&d);
    daemon_remove(&d);
    return EXIT_SUCCESS;
}
