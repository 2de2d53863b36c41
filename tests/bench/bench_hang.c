/* SPDX-License-Identifier: MIT */
/*
 * A store that hangs: what hits notice of it, when misses fail, and how it
 * begins again.
 *
 *     bench_hang [SECONDS [HITS_PER_SECOND]]
 *
 * Hits come at a steady rate over 40 connections, misses of keys never asked
 * before at 100 a second over others; first with a store that works, then for
 * as long with one that hangs.  Then it works again, and for three seconds
 * there are more misses than it can answer.
 *
 * Misses that were asked of the store fail at store-timeout (STORETIMEOUT);
 * once the breaker is open the others fail at once (STOREDOWN).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/histogram.h"
#include "tests/support/load.h"
#include "tests/support/stress.h"

#define HOT_KEYS 1000
#define KEYS 100000
#define HIT_CONNECTIONS 40
#define MISS_CONNECTIONS 400 /* So that no miss waits behind another's reply. */
#define CONNECTIONS (HIT_CONNECTIONS + MISS_CONNECTIONS)
#define TICK_US 2000
#define MISSES_PER_SECOND 100
#define MISSES_PER_SECOND_AFTER 2000
#define TIMEOUT_US 1000000
#define CONCURRENCY 16
#define DELAY_MS 10
#define CAPACITY (CONCURRENCY * 1000 / DELAY_MS)
#define AFTER_US 3000000

static double seconds = 5;
static unsigned hits_per_second = 5000;

struct phase {
    int64_t begin_us;
    double misses_per_tick;
    struct histogram hits;
    struct histogram found;   /* Misses that the store answered. */
    struct histogram timeout; /* … that ended STORETIMEOUT, */
    struct histogram down;    /* STOREDOWN, */
    struct histogram other;   /* or with another error. */
    int64_t
        first_found_us; /* When the first that was asked in this phase was. */
    int64_t first_timeout_us; /* The shortest of 'timeout'. */
};

static struct load_conn *conns;
static uint64_t random_state = 88172645463325;
static unsigned next_conn;
static unsigned next_miss = HOT_KEYS;

static bool begins(struct slice reply, const char *with)
{
    return reply.size >= strlen(with) &&
           memcmp(reply.data, with, strlen(with)) == 0;
}

static void see(struct load_conn *conn, struct slice reply, int64_t took_us,
                void *arg)
{
    struct phase *p = arg;

    if (conn < conns + HIT_CONNECTIONS) {
        CHECK(reply.data[0] == '$');
        histogram_record(&p->hits, took_us);
    } else if (reply.data[0] == '$') {
        histogram_record(&p->found, took_us);
        const int64_t now_us = clock_real_us();
        if (p->first_found_us == 0 && now_us - took_us >= p->begin_us) {
            p->first_found_us = now_us;
        }
    } else if (begins(reply, "-STORETIMEOUT ")) {
        histogram_record(&p->timeout, took_us);
        if (p->first_timeout_us == 0 || took_us < p->first_timeout_us) {
            p->first_timeout_us = took_us;
        }
    } else {
        histogram_record(begins(reply, "-STOREDOWN ") ? &p->down : &p->other,
                         took_us);
    }
}

static void ask_misses(struct phase *p)
{
    static double owed;

    owed += p->misses_per_tick;
    const size_t n = (size_t)owed;
    owed -= (double)n;
    for (size_t i = 0; i < n; i++) {
        CHECK(next_miss < KEYS);
        next_miss++;
        load_ask(&conns[HIT_CONNECTIONS + next_miss % MISS_CONNECTIONS],
                 "GET book:%u", next_miss);
    }
}

static void run(struct phase *p, int64_t for_us, unsigned misses_per_second)
{
    const int64_t begin_us = clock_real_us();
    const unsigned n_tick =
        (unsigned)((uint64_t)hits_per_second * TICK_US / 1000000);

    p->begin_us = p->begin_us == 0 ? begin_us : p->begin_us;
    p->misses_per_tick = misses_per_second * (double)TICK_US / 1e6;
    for (int64_t due_us = begin_us; due_us < begin_us + for_us;
         due_us += TICK_US) {
        load_wait(conns, CONNECTIONS, due_us, see, p);
        for (unsigned k = 0; k < n_tick; k++) {
            load_ask(&conns[next_conn++ % HIT_CONNECTIONS], "GET book:%u",
                     1 + stress_random(&random_state, HOT_KEYS));
        }
        ask_misses(p);
    }
}

static void print(const char *what, const struct histogram *h)
{
    printf("  %-24s %8llu  p50 %8.3f  p99 %8.3f  p99.9 %8.3f  max %8.3f ms\n",
           what, (unsigned long long)histogram_count(h),
           (double)histogram_quantile(h, 0.5) / 1000,
           (double)histogram_quantile(h, 0.99) / 1000,
           (double)histogram_quantile(h, 0.999) / 1000,
           (double)histogram_max(h) / 1000);
}

static void print_phase(const char *what, const struct phase *p)
{
    printf("%s\n", what);
    print("hits", &p->hits);
    print("misses answered", &p->found);
    print("misses STORETIMEOUT", &p->timeout);
    print("misses STOREDOWN", &p->down);
    print("misses, other errors", &p->other);
    fflush(stdout);
}

static void fill_cache(void)
{
    static struct phase unused;

    for (unsigned key = 1; key <= HOT_KEYS; key++) {
        load_ask(&conns[key % HIT_CONNECTIONS], "GET book:%u", key);
    }
    load_finish(conns, CONNECTIONS, INT64_MAX, see, &unused);
}

static void print_recovery(const struct phase *p, int64_t begin_us,
                           int64_t reads)
{
    printf("after the hang\n"
           "  first good read after     %8.1f ms\n"
           "  reads answered in 1 s        %8lld  (store-concurrency allows "
           "%d)\n",
           (double)(p->first_found_us - begin_us) / 1000, (long long)reads,
           CAPACITY);
}

int main(int argc, char **argv)
{
    const char *const args[] = {"--store-timeout",
                                "1s",
                                "--store-concurrency",
                                "16",
                                "--store-delay",
                                "10ms",
                                "--enable-simulate-command",
                                "yes",
                                "--max-age",
                                "1h",
                                NULL};
    static struct phase idle, hang, after;
    struct daemon d = {0};

    seconds = argc > 1 ? atof(argv[1]) : seconds;
    hits_per_second = argc > 2 ? (unsigned)atoi(argv[2]) : hits_per_second;
    load_print_machine();
    load_fill_books(&d, KEYS);
    daemon_raise_files();
    daemon_start(&d, args);
    conns = load_open(&d, CONNECTIONS);
    fill_cache();

    run(&idle, (int64_t)(seconds * 1e6), MISSES_PER_SECOND);
    load_finish(conns, CONNECTIONS, INT64_MAX, see, &idle);
    print_phase("the store works", &idle);

    load_command(&d, "BOOK.SIMULATE hang yes");
    run(&hang, (int64_t)(seconds * 1e6), MISSES_PER_SECOND);
    print_phase("the store hangs", &hang);

    const int64_t fills = daemon_info(&d, "fills");
    load_command(&d, "BOOK.SIMULATE hang no");
    const int64_t begin_us = clock_real_us();
    run(&after, 1000000, MISSES_PER_SECOND_AFTER);
    /* What the store answered; what waits for its turn is not a read yet. */
    const int64_t reads_first = daemon_info(&d, "fills") - fills;
    run(&after, AFTER_US - 1000000, MISSES_PER_SECOND_AFTER);
    load_finish(conns, CONNECTIONS, INT64_MAX, see, &after);
    print_phase("the store works again", &after);
    print_recovery(&after, begin_us, reads_first);

    printf("hits, p99 of hang / p99 of idle  %.2f\n"
           "misses at the deadline of 1000 ms: %.1f to %.1f ms\n",
           (double)histogram_quantile(&hang.hits, 0.99) /
               (double)histogram_quantile(&idle.hits, 0.99),
           (double)hang.first_timeout_us / 1000,
           (double)histogram_max(&hang.timeout) / 1000);
    CHECK(hang.first_timeout_us >= TIMEOUT_US * 9 / 10);
    CHECK(histogram_max(&hang.timeout) <= TIMEOUT_US * 11 / 10);
    CHECK(after.first_found_us > 0);
    CHECK(reads_first <= CAPACITY + 2 * CONCURRENCY);
    load_close(conns, CONNECTIONS);
    daemon_stop(&d);
    daemon_remove(&d);
    return EXIT_SUCCESS;
}
