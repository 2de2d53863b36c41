/* SPDX-License-Identifier: MIT */
/*
 * Raw SQLite against the whole miss path of bookd: the same rows, the same
 * processors, no delay.
 *
 *     bench_raw [SECONDS]
 *
 *   bare    a loop of one prepared SELECT of a random row, all columns read
 *   bookd   50 connections with a pipeline of 16 GETs of random rows, none of
 *           which the cache may answer: max-age is 0
 *
 * With 'one' processor, bare and bookd have the first one to themselves and
 * the load comes from the second.  With 'all', bookd and its load share them.
 * The processor time per read holds however busy the machine is.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "tests/support/load.h"
#include "tests/support/stress.h"

#define ROWS 100000
#define CONNECTIONS 50
#define PIPELINE 16

static double seconds = 3;

struct figure {
    double per_second;
    double cpu_us; /* Of each read. */
};

static void use_processors(int first, int last)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (int i = first; i <= last; i++) {
        CPU_SET(i, &set);
    }
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        printf("not so many processors: the figures mean nothing\n");
    }
}

/* ---- bare ---- */

/* In a process of its own.  Returns the number of reads. */
static uint64_t read_bare(const char *path, uint64_t random)
{
    const int64_t end_us = clock_real_us() + (int64_t)(seconds * 1e6);
    sqlite3_stmt *select;
    sqlite3 *db;
    uint64_t n = 0;

    CHECK(sqlite3_open_v2(path, &db,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                          NULL) == SQLITE_OK);
    sqlite3_exec(db, "PRAGMA cache_size = -16384", NULL, NULL, NULL);
    CHECK(sqlite3_prepare_v2(
              db, "SELECT id, title, author, year FROM books WHERE id = ?1", -1,
              &select, NULL) == SQLITE_OK);
    while (clock_real_us() < end_us) {
        for (int k = 0; k < 100; k++, n++) {
            sqlite3_bind_int64(select, 1, 1 + stress_random(&random, ROWS));
            CHECK(sqlite3_step(select) == SQLITE_ROW);
            for (int i = 0; i < 4; i++) {
                CHECK(sqlite3_column_text(select, i) != NULL);
            }
            sqlite3_reset(select);
        }
    }
    sqlite3_finalize(select);
    sqlite3_close(db);
    return n;
}

static struct figure measure_bare(const char *path, int n_processors)
{
    uint64_t total = 0;
    struct rusage before;
    struct rusage after;
    int results[2];

    CHECK(pipe(results) == 0);
    getrusage(RUSAGE_CHILDREN, &before);
    for (int i = 0; i < n_processors; i++) {
        const pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            use_processors(i, i);
            const uint64_t n = read_bare(path, 88172645463325U + (uint64_t)i);
            _exit(write(results[1], &n, sizeof n) == sizeof n ? 0 : 1);
        }
    }
    for (int i = 0; i < n_processors; i++) {
        uint64_t n;
        CHECK(read(results[0], &n, sizeof n) == sizeof n);
        CHECK(wait(NULL) > 0);
        total += n;
    }
    getrusage(RUSAGE_CHILDREN, &after);
    close(results[0]);
    close(results[1]);
    const double cpu_us =
        (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec +
                 after.ru_stime.tv_sec - before.ru_stime.tv_sec) *
            1e6 +
        (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec +
                 after.ru_stime.tv_usec - before.ru_stime.tv_usec);
    return (struct figure){(double)total / seconds, cpu_us / (double)total};
}

/* ---- bookd ---- */

struct misses {
    uint64_t random;
    int64_t end_us;
    uint64_t n;
};

static void ask(struct load_conn *conn, struct misses *m)
{
    char batch[PIPELINE * 64];
    size_t size = 0;

    for (int i = 0; i < PIPELINE; i++) {
        char key[32];
        const int key_size = snprintf(key, sizeof key, "book:%u",
                                      1 + stress_random(&m->random, ROWS));
        size +=
            (size_t)snprintf(batch + size, sizeof batch - size,
                             "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", key_size, key);
    }
    load_send(conn, batch, size, PIPELINE);
}

static void see(struct load_conn *conn, struct slice reply, int64_t took_us,
                void *arg)
{
    struct misses *m = arg;

    (void)took_us;
    CHECK(reply.data[0] == '$' && reply.data[1] != '-');
    m->n++;
    if (conn->n_answered == conn->n_asked && clock_real_us() < m->end_us) {
        ask(conn, m);
    }
}

static struct figure measure_bookd(struct daemon *d, int n_processors)
{
    char threads[16];
    const char *const args[] = {"--io-threads", threads,     "--store-threads",
                                threads,        "--max-age", "0s",
                                "--race",       "never",     NULL};
    int64_t user_us;

    snprintf(threads, sizeof threads, "%d", n_processors);
    use_processors(0, n_processors - 1);
    daemon_start(d, args);
    use_processors(n_processors == 1 ? 1 : 0, 1);
    struct load_conn *conns = load_open(d, CONNECTIONS);
    const int64_t reads = daemon_info(d, "store_reads");
    const int64_t cpu_us = daemon_cpu_us(d->pid, &user_us);
    const int64_t begin_us = clock_real_us();
    struct misses m = {.random = 88172645463325,
                       .end_us = begin_us + (int64_t)(seconds * 1e6)};
    for (int i = 0; i < CONNECTIONS; i++) {
        ask(&conns[i], &m);
    }
    load_finish(conns, CONNECTIONS, INT64_MAX, see, &m);
    const double took_s = (double)(clock_real_us() - begin_us) / 1e6;
    const double cpu = (double)(daemon_cpu_us(d->pid, &user_us) - cpu_us);
    /* A key that is asked for while it is read is not read twice. */
    const double n = (double)(daemon_info(d, "store_reads") - reads);
    CHECK(n > 0.95 * (double)m.n);
    load_close(conns, CONNECTIONS);
    daemon_stop(d);
    return (struct figure){n / took_s, cpu / n};
}

int main(int argc, char **argv)
{
    struct daemon d = {0};
    char path[512];

    seconds = argc > 1 ? atof(argv[1]) : seconds;
    load_print_machine();
    load_fill_books(&d, ROWS);
    snprintf(path, sizeof path, "%s/bookd.db", d.dir);
    printf("%-10s %14s %10s %14s %10s %8s %8s\n", "processors", "bare reads/s",
           "us CPU", "bookd misses/s", "us CPU", "rate", "CPU");
    for (int n = 1; n <= 2; n++) {
        const struct figure bare = measure_bare(path, n);
        const struct figure bookd = measure_bookd(&d, n);
        printf("%-10s %14.0f %10.2f %14.0f %10.2f %6.0f %% %6.0f %%\n",
               n == 1 ? "one" : "all", bare.per_second, bare.cpu_us,
               bookd.per_second, bookd.cpu_us,
               100 * bookd.per_second / bare.per_second,
               100 * bare.cpu_us / bookd.cpu_us);
        fflush(stdout);
    }
    daemon_remove(&d);
    return EXIT_SUCCESS;
}
