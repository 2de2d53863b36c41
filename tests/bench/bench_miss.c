/* SPDX-License-Identifier: MIT */
/*
 * The store's part of a miss: point reads of random rows,
 *
 *   bare    by as many threads as the store has, each in a loop over one
 *           prepared SELECT on a connection of its own
 *   store   through store_read_start(), from two threads that together keep
 *           800 reads under way, as 50 clients with a pipeline of 16 do
 *
 *     bench_miss [THREADS [SECONDS]]
 *
 * Prints reads per second of both, and the CPU time each read took.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <sqlite3.h>

#include "common/chan.h"
#include "common/mem.h"
#include "tests/support/store_calls.h"
#include "tests/support/stress.h"

#define ROWS 100000
#define ASKERS 2
#define READS_EACH 400

static struct store_bed bed;
static int n_threads = 2;
static double seconds = 2.0;

static _Atomic bool is_over;
static _Atomic long n_done;

/* ---- rows ---- */

static sqlite3 *connect_to(const char *path)
{
    sqlite3 *db;

    CHECK(sqlite3_open_v2(path, &db,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                          NULL) == SQLITE_OK);
    sqlite3_exec(db, "PRAGMA cache_size = -16384", NULL, NULL, NULL);
    return db;
}

static void make_rows(void)
{
    sqlite3 *db = connect_to(store_bed_path(&bed));
    struct buf sql = {0};

    buf_printf(&sql,
               "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 "
               "FROM n WHERE id < %d) INSERT OR REPLACE INTO books "
               "SELECT id, 'The title of book ' || id, 'An author', "
               "1900 + id %% 100 FROM n",
               ROWS);
    CHECK(sqlite3_exec(db, buf_string(&sql), NULL, NULL, NULL) == SQLITE_OK);
    buf_destroy(&sql);
    sqlite3_close(db);
}

/* ---- measuring ---- */

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Runs 'fn' on 'count' threads for the time that was asked for; returns the
 * reads per second. */
static double measure(const char *what, thread_fn *fn, int count)
{
    struct waitgroup working;
    const int64_t start_us = clock_real_us();
    const double start_cpu = cpu_seconds();

    is_over = false;
    n_done = 0;
    wg_init(&working);
    for (int i = 0; i < count; i++) {
        CHECK(wg_go(&working, what, fn, NULL) == ERR_OK);
    }
    while ((double)(clock_real_us() - start_us) < seconds * 1e6) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL);
    }
    is_over = true;
    wg_wait(&working);
    wg_destroy(&working);
    const double passed_s = (double)(clock_real_us() - start_us) / 1e6;
    const double rate = (double)n_done / passed_s;
    printf("%-6s %9.0f reads/s  %6.2f us CPU each\n", what, rate,
           (cpu_seconds() - start_cpu) * 1e6 / (double)n_done);
    return rate;
}

/* ---- bare ---- */

static void read_bare(void *arg)
{
    sqlite3 *db = connect_to(store_bed_path(&bed));
    uint64_t random = (uint64_t)(uintptr_t)db | 1;
    sqlite3_stmt *select;
    long n = 0;

    (void)arg;
    CHECK(sqlite3_prepare_v2(
              db, "SELECT id, title, author, year FROM books WHERE id = ?1", -1,
              &select, NULL) == SQLITE_OK);
    while (!is_over) {
        sqlite3_bind_int64(select, 1, 1 + stress_random(&random, ROWS));
        CHECK(sqlite3_step(select) == SQLITE_ROW);
        for (int i = 0; i < 4; i++) {
            CHECK(sqlite3_column_text(select, i) != NULL);
        }
        sqlite3_reset(select);
        n++;
    }
    n_done += n;
    sqlite3_finalize(select);
    sqlite3_close(db);
}

/* ---- through the store ---- */

struct asker;

struct question {
    struct store_read read;
    struct asker *asker;
    char id[16];
    size_t row_bytes;
};

struct asker {
    struct chan *answered; /* Of struct question *. */
    uint64_t random;
    struct question questions[READS_EACH];
};

static void see_row(struct store_read *read, const struct store_row *row)
{
    struct question *q = container_of(read, struct question, read);

    for (size_t i = 0; i < row->mapping->n_columns; i++) {
        q->row_bytes += row->columns[i].bytes.size;
    }
}

static void see_done(struct store_read *read, enum err err)
{
    struct question *q = container_of(read, struct question, read);

    CHECK(err == ERR_OK);
    CHECK(chan_send(chan_tx(q->asker->answered), &q) == ERR_OK);
}

static void ask_question(struct question *q)
{
    const uint32_t id = 1 + stress_random(&q->asker->random, ROWS);
    const int size = snprintf(q->id, sizeof(q->id), "%u", id);

    q->read = (struct store_read){.mapping = &mappings_builtin.list[0],
                                  .key = slice_make(q->id, (size_t)size),
                                  .row = see_row,
                                  .done = see_done};
    CHECK(store_read_start(bed.store, &q->read) == STORE_STARTED);
}

static void read_store(void *arg)
{
    struct asker *asker = xcalloc(1, sizeof(*asker));
    struct question *q;
    long n = 0;

    (void)arg;
    asker->answered = chan_new(sizeof(q), CHAN_UNBOUNDED);
    asker->random = (uint64_t)(uintptr_t)asker | 1;
    for (int i = 0; i < READS_EACH; i++) {
        asker->questions[i].asker = asker;
        ask_question(&asker->questions[i]);
    }
    struct pollfd ready = {.fd = chan_event_fd(chan_rx(asker->answered)),
                           .events = POLLIN};
    for (int left = READS_EACH; left > 0;) { /* As an event loop does. */
        CHECK(poll(&ready, 1, -1) == 1);
        while (chan_try_recv(chan_rx(asker->answered), &q) == ERR_OK) {
            n++;
            if (is_over) {
                left--;
            } else {
                ask_question(q);
            }
        }
    }
    n_done += n;
    chan_free(asker->answered);
    free(asker);
}

int main(int argc, char **argv)
{
    char threads[16];

    log_init();
    log_set_level(LOG_LEVEL_ERROR);
    n_threads = argc > 1 ? atoi(argv[1]) : n_threads;
    seconds = argc > 2 ? atof(argv[2]) : seconds;
    snprintf(threads, sizeof(threads), "%d", n_threads);

    store_bed_init(&bed);
    store_bed_set(&bed, "store-threads", threads);
    CHECK(store_bed_open_sqlite(&bed) == ERR_OK);
    make_rows();
    const double bare = measure("bare", read_bare, n_threads);
    const double store = measure("store", read_store, ASKERS);
    printf("store  %.0f %% of bare\n", 100.0 * store / bare);
    store_bed_destroy(&bed);
    return 0;
}
