/* SPDX-License-Identifier: MIT */
/*
 * Read your writes over two connections: a value is written on the one and,
 * once that is answered, read on the other, which must see it.  Half a million
 * times for plain keys, half a million for records, through and behind.
 *
 *     bench_pairs [PAIRS]       in all, 1 000 000 unless it says otherwise
 *
 * Many such pairs go on at once, each with a key of its own. Beside them, other
 * connections read the same keys and have their copies dropped, so that slow
 * reads are always under way when a write comes.
 *
 * A quarter of the pairs take a version along: BOOK.VERSION on the one
 * connection, BOOK.GET … MINVERSION on the other.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/attr.h"
#include "common/histogram.h"
#include "common/mem.h"
#include "tests/support/load.h"
#include "tests/support/stress.h"

#define PAIRS 50
#define READERS 4
#define CONNS (2 * PAIRS + READERS)

/* Connections in this order: writer, reader, writer, reader, … others. */
enum step { STEP_WRITE, STEP_VERSION, STEP_READ };

struct pair {
    enum step step;
    uint64_t number; /* Of the last write. */
    bool versioned;
    int64_t began_us;
};

static struct {
    struct load_conn *conns;
    struct pair pairs[PAIRS];
    bool records;
    uint64_t n_begun, n_ended, n_all, n_old;
    uint64_t random;
    struct histogram took;
} bench;

static void key_of(size_t pair, char key[32])
{
    snprintf(key, 32, bench.records ? "book:%zu" : "pair:%zu", pair + 1000);
}

static void write_next(size_t i)
{
    struct pair *p = &bench.pairs[i];
    char key[32];

    if (bench.n_begun == bench.n_all) {
        return;
    }
    bench.n_begun++;
    key_of(i, key);
    p->step = STEP_WRITE;
    p->number++;
    p->versioned = p->number % 4 == 0;
    p->began_us = clock_real_us();
    load_ask(&bench.conns[2 * i],
             bench.records ? "HSET %s title %" PRIu64 : "SET %s %" PRIu64, key,
             p->number);
}

static void ask_version(size_t i)
{
    char key[32];

    key_of(i, key);
    bench.pairs[i].step = STEP_VERSION;
    load_ask(&bench.conns[2 * i], "BOOK.VERSION %s", key);
}

/* 'version' is NULL or ":17…". */
static void read_back(size_t i, const char *version)
{
    struct load_conn *conn = &bench.conns[2 * i + 1];
    char key[32];

    key_of(i, key);
    bench.pairs[i].step = STEP_READ;
    if (version != NULL) {
        load_ask(conn, "BOOK.GET %s MINVERSION %llu", key,
                 strtoull(version + 1, NULL, 10));
    } else {
        load_ask(conn, bench.records ? "HGET %s title" : "GET %s", key);
    }
}

/* The number in "$2\r\n17\r\n", or in the value of BOOK.GET. */
static uint64_t number_of(struct slice reply)
{
    char text[4096];
    const char *at = text;

    CHECK(reply.size < sizeof text);
    memcpy(text, reply.data, reply.size);
    text[reply.size] = '\0';
    if (reply.data[0] == '*') {
        at = strstr(text, "value\r\n");
        CHECK(at != NULL);
        at += strlen("value\r\n");
    }
    if (at[0] != '$' || at[1] == '-') {
        log_fatal("no value: %s", text);
    }
    const char *title = strstr(at, "\"title\":\"");
    return strtoull(title != NULL ? title + 9 : strchr(at, '\n') + 1, NULL, 10);
}

static void end_pair(size_t i, struct slice reply)
{
    const struct pair *p = &bench.pairs[i];

    if (number_of(reply) != p->number) {
        fprintf(stderr, "old: %.*s after %" PRIu64 "\n", (int)reply.size,
                reply.data, p->number);
        bench.n_old++;
    }
    histogram_record(&bench.took, clock_real_us() - p->began_us);
    bench.n_ended++;
    write_next(i);
}

/* Reads, or has copies dropped, for as long as there are pairs. */
static void disturb(struct load_conn *conn)
{
    const size_t i = stress_random(&bench.random, PAIRS);
    char key[32];

    if (bench.n_ended < bench.n_all) {
        key_of(i, key);
        load_ask(conn,
                 stress_random(&bench.random, 2) == 0 ? "BOOK.EVICT %s"
                                                      : "GET %s",
                 key);
    }
}

static void see(struct load_conn *conn, struct slice reply, int64_t took_us,
                void *arg)
{
    const size_t n = (size_t)(conn - bench.conns);
    const size_t i = n / 2;

    (void)took_us;
    (void)arg;
    if (reply.data[0] == '-') {
        log_fatal("%.*s", (int)reply.size, reply.data);
    }
    if (n >= 2 * PAIRS) {
        disturb(conn);
        return;
    }
    switch (bench.pairs[i].step) {
    case STEP_WRITE:
        if (bench.pairs[i].versioned) {
            ask_version(i);
        } else {
            read_back(i, NULL);
        }
        break;
    case STEP_VERSION:
        read_back(i, reply.data);
        break;
    case STEP_READ:
        end_pair(i, reply);
        break;
    }
}

static void run(const char *mode, bool records, uint64_t n_pairs)
{
    const char *const args[] = {"--plain-writes", mode, "--record-writes", mode,
                                NULL};
    struct daemon d = {0};

    bench.records = records;
    bench.n_all = n_pairs;
    bench.n_begun = bench.n_ended = 0;
    bench.random = 1;
    memset(bench.pairs, 0, sizeof bench.pairs);
    memset(&bench.took, 0, sizeof bench.took);
    daemon_start(&d, args);
    bench.conns = load_open(&d, CONNS);
    const int64_t start_us = clock_real_us();
    for (size_t i = 0; i < PAIRS; i++) {
        write_next(i);
    }
    for (size_t i = 2 * PAIRS; i < CONNS; i++) {
        disturb(&bench.conns[i]);
    }
    load_finish(bench.conns, CONNS, INT64_MAX, see, NULL);
    const double seconds = (double)(clock_real_us() - start_us) / 1e6;
    CHECK(bench.n_ended == n_pairs);
    printf("%-8s %-7s %9" PRIu64 " pairs %9.0f/s   p50 %.2f ms p99 %.2f ms   "
           "fills fenced %" PRId64 "   old reads %" PRIu64 "\n",
           records ? "records" : "plain", mode, n_pairs,
           (double)n_pairs / seconds,
           (double)histogram_quantile(&bench.took, 0.5) / 1000,
           (double)histogram_quantile(&bench.took, 0.99) / 1000,
           daemon_info(&d, "fills_fenced"), bench.n_old);
    fflush(stdout);
    load_close(bench.conns, CONNS);
    daemon_stop(&d);
    daemon_remove(&d);
}

int main(int argc, char **argv)
{
    const uint64_t n_pairs = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;

    load_print_machine();
    run("through", false, n_pairs / 4);
    run("behind", false, n_pairs / 4);
    run("through", true, n_pairs / 4);
    run("behind", true, n_pairs / 4);
    return bench.n_old == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
