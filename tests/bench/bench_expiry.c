/* SPDX-License-Identifier: MIT */
/*
 * 100 000 copies that expire under load, against the same copies that do not:
 * what the store is asked, and what the readers notice of it.
 *
 *     bench_expiry [SECONDS [GETS_PER_SECOND]]
 *
 * The store takes 10 ms for a read and 64 reads at a time, 6400 a second.
 * Refreshes may use half of that.  Without a bound, keys of this many and this
 * max-age would want more.  The processor time is that of bookd for each GET,
 * refreshes included.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/histogram.h"
#include "tests/support/load.h"
#include "tests/support/stress.h"

#define KEYS 100000
#define CONNECTIONS 50
#define BATCH 16
#define CONCURRENCY 64
#define DELAY_MS 10
#define CAPACITY (CONCURRENCY * 1000 / DELAY_MS)
#define TICK_US 2000

static double seconds = 5;
static unsigned per_second = 10000;
static uint64_t random_state = 88172645463325;

static void see(struct load_conn *conn, struct slice reply, int64_t took_us,
                void *latency)
{
    (void)conn;
    CHECK(reply.data[0] == '$');
    histogram_record(latency, took_us);
}

static void fill_cache(struct load_conn *conns)
{
    static struct histogram unused;

    for (unsigned key = 1; key <= KEYS;) {
        for (unsigned i = 0; i < CONNECTIONS && key <= KEYS; i++) {
            for (unsigned k = 0; k < BATCH && key <= KEYS; k++) {
                load_ask(&conns[i], "GET book:%u", key++);
            }
        }
        load_finish(conns, CONNECTIONS, INT64_MAX, see, &unused);
    }
}

static void read_for_a_while(struct load_conn *conns, struct histogram *latency)
{
    const int64_t begin_us = clock_real_us();
    const int64_t end_us = begin_us + (int64_t)(seconds * 1e6);
    const unsigned n_tick =
        (unsigned)((uint64_t)per_second * TICK_US / 1000000);
    unsigned next = 0;

    for (int64_t due_us = begin_us; due_us < end_us; due_us += TICK_US) {
        load_wait(conns, CONNECTIONS, due_us, see, latency);
        for (unsigned k = 0; k < n_tick; k++) {
            load_ask(&conns[next++ % CONNECTIONS], "GET book:%u",
                     1 + stress_random(&random_state, KEYS));
        }
    }
    load_finish(conns, CONNECTIONS, INT64_MAX, see, latency);
}

static void measure(const struct daemon *d, const char *max_age,
                    struct load_conn *conns)
{
    struct histogram *latency = calloc(1, sizeof *latency);
    char command[64];

    CHECK(latency != NULL);
    snprintf(command, sizeof command, "CONFIG SET max-age %s", max_age);
    load_command(d, command);
    const int64_t reads = daemon_info(d, "store_reads");
    const int64_t stale = daemon_info(d, "outcome_stale_hit");
    const int64_t skipped = daemon_info(d, "refreshes_skipped");
    int64_t user_us;
    const int64_t cpu_us = daemon_cpu_us(d->pid, &user_us);
    const int64_t begin_us = clock_real_us();
    read_for_a_while(conns, latency);
    const double took_s = (double)(clock_real_us() - begin_us) / 1e6;
    const double n = (double)histogram_count(latency);
    const double cpu_each =
        (double)(daemon_cpu_us(d->pid, &user_us) - cpu_us) / n;
    const double rate =
        (double)(daemon_info(d, "store_reads") - reads) / took_s;
    printf("%-8s %8.0f %6.0f %% %11.0f %12.0f %8.1f %8lld %8lld %8lld %8lld\n",
           max_age, n / took_s,
           100 * (double)(daemon_info(d, "outcome_stale_hit") - stale) / n,
           rate,
           (double)(daemon_info(d, "refreshes_skipped") - skipped) / took_s,
           cpu_each, (long long)histogram_quantile(latency, 0.5),
           (long long)histogram_quantile(latency, 0.99),
           (long long)histogram_quantile(latency, 0.999),
           (long long)histogram_max(latency));
    fflush(stdout);
    const size_t share = CAPACITY / 2;
    CHECK(rate <= 1.05 * (double)share);
    free(latency);
}

int main(int argc, char **argv)
{
    const char *const args[] = {"--store-concurrency", "64", "--max-age", "1h",
                                NULL};
    struct daemon d = {0};

    seconds = argc > 1 ? atof(argv[1]) : seconds;
    per_second = argc > 2 ? (unsigned)atoi(argv[2]) : per_second;
    load_print_machine();
    load_fill_books(&d, KEYS);
    daemon_start(&d, args);
    struct load_conn *conns = load_open(&d, CONNECTIONS);
    fill_cache(conns);
    load_command(&d, "CONFIG SET store-delay 10ms");
    printf("%d keys, %d connections, store of %d reads/s, of which refreshes "
           "may have %d\n",
           KEYS, CONNECTIONS, CAPACITY, CAPACITY / 2);
    printf("%-8s %8s %8s %11s %12s %8s %8s %8s %8s %8s\n", "max-age", "GETs/s",
           "stale", "reads/s", "put off/s", "us CPU", "p50 us", "p99", "p99.9",
           "max");
    for (int i = 0; i < 2; i++) {
        measure(&d, "1h", conns);
        measure(&d, "2s", conns);
    }
    load_close(conns, CONNECTIONS);
    daemon_stop(&d);
    daemon_remove(&d);
    return EXIT_SUCCESS;
}
