/* SPDX-License-Identifier: MIT */
/*
 * Another program commits to the database 200 times a second while clients
 * read what it writes: for how long after its commit returned is the old value
 * still answered?  And what bookd costs while nothing happens.
 *
 *     bench_feed [SECONDS [COMMITS_PER_SECOND [IDLE_SECONDS]]]
 *
 * Once with the change feed, once without, where every foreign commit makes all
 * copies stale.  The readers ask for the rows written last, 10 000 times a
 * second, so a commit's staleness is known within half a millisecond: it is the
 * time from the return of COMMIT to the last request that was answered with a
 * value from before it, 0 if there was none.
 */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/histogram.h"
#include "common/thread.h"
#include "tests/support/load.h"
#include "tests/support/stress.h"

#define KEYS 1000
#define CONNECTIONS 10
#define TICK_US 1000
#define RECENT 5
#define LIMIT_US 10000

/* Commit 's' sets the title of book 1 + s % KEYS to 's'. */
static _Atomic int64_t *returned_us; /* When commit 's' returned; release. */
static _Atomic int n_committed;
static int64_t *stale_us; /* Per commit. */
static int n_commits;
static int64_t interval_us;
static uint64_t random_state = 88172645463325;

static void run_sql(sqlite3 *db, const char *sql)
{
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, error);
        exit(EXIT_FAILURE);
    }
}

static sqlite3 *open_store(const struct daemon *d)
{
    char path[512];
    sqlite3 *db;

    daemon_path(d, "bookd.db", path, sizeof path);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    return db;
}

/* ---- the other program ---- */

static void write_books(void *arg)
{
    sqlite3 *db = open_store(arg);
    const int64_t begin_us = clock_real_us();

    for (int s = 1; s <= n_commits; s++) {
        char sql[128];
        const int64_t wait_us = begin_us + s * interval_us - clock_real_us();
        if (wait_us > 0) {
            usleep((useconds_t)wait_us);
        }
        snprintf(sql, sizeof sql, "UPDATE books SET title = '%d' WHERE id = %d",
                 s, 1 + s % KEYS);
        run_sql(db, sql);
        atomic_store_explicit(&returned_us[s], clock_real_us(),
                              memory_order_release);
        atomic_store_explicit(&n_committed, s, memory_order_release);
    }
    sqlite3_close(db);
}

/* ---- the readers ---- */

/* The first commit to 'key' after the one that wrote 'title'. */
static int next_commit(int key, int title)
{
    return title > 0 ? title + KEYS : key == 1 ? KEYS : key - 1;
}

static void see(struct load_conn *conn, struct slice reply, int64_t took_us,
                void *n_reads)
{
    const int64_t asked_us = clock_real_us() - took_us;
    int key, title;

    (void)conn;
    const char *json = memchr(reply.data, '{', reply.size);
    CHECK(json != NULL);
    if (sscanf(json, "{\"id\":%d,\"title\":\"%d", &key, &title) != 2) {
        CHECK(sscanf(json, "{\"id\":%d", &key) == 1);
        title = 0; /* Nobody has written it yet. */
    }
    ++*(int64_t *)n_reads;
    const int s = next_commit(key, title);
    if (s > n_commits) {
        return;
    }
    const int64_t returned =
        atomic_load_explicit(&returned_us[s], memory_order_acquire);
    if (returned != 0 && asked_us - returned > stale_us[s]) {
        stale_us[s] = asked_us - returned;
    }
}

static void fill_cache(struct load_conn *conns)
{
    int64_t n_reads = 0;

    for (int key = 1; key <= KEYS; key++) {
        load_ask(&conns[key % CONNECTIONS], "GET book:%d", key);
    }
    load_finish(conns, CONNECTIONS, INT64_MAX, see, &n_reads);
}

static int64_t read_books(struct load_conn *conns)
{
    int64_t n_reads = 0;
    int committed;

    for (int64_t due_us = clock_real_us(); /* */; due_us += TICK_US) {
        load_wait(conns, CONNECTIONS, due_us, see, &n_reads);
        committed = atomic_load_explicit(&n_committed, memory_order_acquire);
        if (committed == n_commits) {
            break;
        }
        for (int i = 0; i < CONNECTIONS; i++) {
            const int s =
                committed + 1 - (int)stress_random(&random_state, RECENT);
            load_ask(&conns[i], "GET book:%d", 1 + (s + KEYS) % KEYS);
        }
    }
    load_finish(conns, CONNECTIONS, INT64_MAX, see, &n_reads);
    return n_reads;
}

/* ---- figures ---- */

static void print_staleness(const char *name, int64_t n_reads,
                            const struct daemon *d)
{
    struct histogram *h = calloc(1, sizeof *h);
    int n_late = 0;

    CHECK(h != NULL);
    for (int s = 1; s <= n_commits; s++) {
        histogram_record(h, stale_us[s]);
        n_late += stale_us[s] > LIMIT_US;
    }
    printf("%-10s %8d %8lld %8.1f %8.1f %8.1f %8.1f %8d %9lld\n", name,
           n_commits, (long long)n_reads,
           (double)histogram_quantile(h, 0.5) / 1000,
           (double)histogram_quantile(h, 0.99) / 1000,
           (double)histogram_quantile(h, 0.999) / 1000,
           (double)histogram_max(h) / 1000, n_late,
           (long long)daemon_info(d, "feed_changes"));
    fflush(stdout);
    free(h);
}

static void measure(const char *name, struct daemon *d)
{
    struct load_conn *conns = load_open(d, CONNECTIONS);
    struct thread writer;

    memset(stale_us, 0, (size_t)(n_commits + 1) * sizeof *stale_us);
    for (int s = 0; s <= n_commits; s++) {
        atomic_store(&returned_us[s], 0);
    }
    atomic_store(&n_committed, 0);
    fill_cache(conns);
    CHECK(thread_start(&writer, "writer", write_books, d) == ERR_OK);
    const int64_t n_reads = read_books(conns);
    thread_join(&writer);
    print_staleness(name, n_reads, d);
    load_close(conns, CONNECTIONS);
}

static void measure_idle(const struct daemon *d, unsigned seconds)
{
    int64_t user_us;
    const int64_t before_us = daemon_cpu_us(d->pid, &user_us);

    sleep(seconds);
    const int64_t spent_us = daemon_cpu_us(d->pid, &user_us) - before_us;
    printf("idle for %u s: %.2f %% of a core\n", seconds,
           (double)spent_us / 1e4 / seconds);
}

static void remove_feed(const struct daemon *d)
{
    sqlite3 *db = open_store(d);

    run_sql(db, "DROP TRIGGER bookd_feed_books_insert;"
                "DROP TRIGGER bookd_feed_books_update;"
                "DROP TRIGGER bookd_feed_books_delete;"
                "DROP TABLE bookd_changes");
    sqlite3_close(db);
}

static void run_one(const char *name, bool with_feed, unsigned idle_s)
{
    const char *const args[] = {"--max-age", "1h", NULL};
    struct daemon d = {0};

    load_fill_books(&d, KEYS);
    if (!with_feed) {
        remove_feed(&d);
    }
    daemon_start(&d, args);
    measure(name, &d);
    if (idle_s > 0) {
        measure_idle(&d, idle_s);
    }
    daemon_stop(&d);
    daemon_remove(&d);
}

int main(int argc, char **argv)
{
    const int seconds = argc > 1 ? atoi(argv[1]) : 10;
    const int per_second = argc > 2 ? atoi(argv[2]) : 200;
    const unsigned idle_s = argc > 3 ? (unsigned)atoi(argv[3]) : 20;

    n_commits = seconds * per_second;
    interval_us = 1000000 / per_second;
    returned_us = calloc((size_t)n_commits + 1, sizeof *returned_us);
    stale_us = calloc((size_t)n_commits + 1, sizeof *stale_us);
    CHECK(returned_us != NULL && stale_us != NULL);
    load_print_machine();
    printf("%d commits a second by another program, staleness in ms:\n"
           "           commits    reads      p50      p99    p99.9      max"
           " > 10 ms   changes\n",
           per_second);
    run_one("feed", true, idle_s);
    run_one("no feed", false, 0);
    free(returned_us);
    free(stale_us);
    return EXIT_SUCCESS;
}
