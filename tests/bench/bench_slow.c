/* SPDX-License-Identifier: MIT */
/*
 * Connections that send a byte every ten seconds: what others notice of them,
 * and what they cost.
 *
 *     bench_slow [SECONDS [SLOW_CONNECTIONS [HITS_PER_SECOND]]]
 *
 * Hits come at a steady rate over 40 connections; first alone, then while the
 * slow connections are there, each with half a command, to which it adds a byte
 * every ten seconds.  The memory is that of the process, so it has all that
 * libevent and the allocator need as well.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/histogram.h"
#include "common/mem.h"
#include "tests/support/load.h"
#include "tests/support/stress.h"

#define HOT_KEYS 1000
#define NORMAL_CONNECTIONS 40
#define TICK_US 2000
#define BYTE_EVERY_US 10000000

static double seconds = 10;
static unsigned n_slow = 10000;
static unsigned hits_per_second = 5000;

/* Begins a command whose end never comes in the time of a measurement. */
static const char begun[] = "*2\r\n$4\r\nECHO\r\n$1000\r\n";

static struct load_conn *conns;
static int *slow;
static uint64_t random_state = 88172645463325;

static void see(struct load_conn *conn, struct slice reply, int64_t took_us,
                void *arg)
{
    (void)conn;
    CHECK(reply.data[0] == '$');
    histogram_record(arg, took_us);
}

static void send_slowly(unsigned *next, double *owed)
{
    *owed += n_slow * (double)TICK_US / BYTE_EVERY_US;
    while (*owed >= 1) {
        *owed -= 1;
        CHECK(send(slow[*next], "x", 1, MSG_NOSIGNAL) == 1);
        *next = (*next + 1) % n_slow;
    }
}

/* Hits for a while, and the bytes of those slow connections there are. */
static void run(struct histogram *hits, bool with_slow)
{
    const int64_t begin_us = clock_real_us();
    const int64_t end_us = begin_us + (int64_t)(seconds * 1e6);
    const unsigned n_tick =
        (unsigned)((uint64_t)hits_per_second * TICK_US / 1000000);
    unsigned next_slow = 0;
    unsigned next_conn = 0;
    double owed = 0;

    for (int64_t due_us = begin_us; due_us < end_us; due_us += TICK_US) {
        load_wait(conns, NORMAL_CONNECTIONS, due_us, see, hits);
        for (unsigned k = 0; k < n_tick; k++) {
            load_ask(&conns[next_conn++ % NORMAL_CONNECTIONS], "GET book:%u",
                     1 + stress_random(&random_state, HOT_KEYS));
        }
        if (with_slow) {
            send_slowly(&next_slow, &owed);
        }
    }
    load_finish(conns, NORMAL_CONNECTIONS, INT64_MAX, see, hits);
}

static void fill_cache(void)
{
    static struct histogram unused;

    for (unsigned key = 1; key <= HOT_KEYS; key++) {
        load_ask(&conns[key % NORMAL_CONNECTIONS], "GET book:%u", key);
    }
    load_finish(conns, NORMAL_CONNECTIONS, INT64_MAX, see, &unused);
}

/* Returns when bookd has taken all connections that there are. */
static void wait_for_clients(const struct daemon *d)
{
    while (daemon_info(d, "connected_clients") <
           (int64_t)n_slow + NORMAL_CONNECTIONS) {
    }
}

/* Returns when bookd has read everything that was sent. */
static void wait_for_input(const struct daemon *d, int64_t bytes)
{
    while (daemon_info(d, "total_net_input_bytes") < bytes) {
    }
}

static void print(const char *what, const struct histogram *h, int64_t cpu_us)
{
    printf("%-26s %8llu hits  p50 %7.3f  p99 %7.3f  p99.9 %7.3f  max %7.3f ms"
           "  cpu %5.1f %%\n",
           what, (unsigned long long)histogram_count(h),
           (double)histogram_quantile(h, 0.5) / 1000,
           (double)histogram_quantile(h, 0.99) / 1000,
           (double)histogram_quantile(h, 0.999) / 1000,
           (double)histogram_max(h) / 1000,
           (double)cpu_us / (seconds * 1e6) * 100);
    fflush(stdout);
}

static void print_memory(const char *what, int64_t bytes, int64_t base)
{
    printf("%-26s %8.1f MB more, %6.0f bytes a connection\n", what,
           (double)(bytes - base) / 1e6, (double)(bytes - base) / n_slow);
}

int main(int argc, char **argv)
{
    const char *const args[] = {"--max-age", "1h", "--maxclients", "12000",
                                NULL};
    static struct histogram alone, beside;
    struct daemon d = {0};
    int64_t user_us;

    seconds = argc > 1 ? atof(argv[1]) : seconds;
    n_slow = argc > 2 ? (unsigned)atoi(argv[2]) : n_slow;
    hits_per_second = argc > 3 ? (unsigned)atoi(argv[3]) : hits_per_second;
    load_print_machine();
    load_fill_books(&d, HOT_KEYS);
    daemon_raise_files();
    daemon_start(&d, args);
    conns = load_open(&d, NORMAL_CONNECTIONS);
    fill_cache();

    int64_t cpu_us = daemon_cpu_us(d.pid, &user_us);
    run(&alone, false);
    print("alone", &alone, daemon_cpu_us(d.pid, &user_us) - cpu_us);

    const int64_t before = daemon_info(&d, "used_memory_rss");
    slow = xcalloc(n_slow, sizeof(slow[0]));
    for (unsigned i = 0; i < n_slow; i++) {
        slow[i] = daemon_connect(&d);
    }
    wait_for_clients(&d);
    const int64_t idle = daemon_info(&d, "used_memory_rss");
    const int64_t input = daemon_info(&d, "total_net_input_bytes");
    for (unsigned i = 0; i < n_slow; i++) {
        CHECK(send(slow[i], begun, sizeof(begun) - 1, MSG_NOSIGNAL) ==
              sizeof(begun) - 1);
    }
    wait_for_input(&d, input + (int64_t)((sizeof(begun) - 1) * n_slow));
    const int64_t half = daemon_info(&d, "used_memory_rss");

    cpu_us = daemon_cpu_us(d.pid, &user_us);
    run(&beside, true);
    print("beside slow connections", &beside,
          daemon_cpu_us(d.pid, &user_us) - cpu_us);
    print_memory("idle connections", idle, before);
    print_memory("with half a command", half, before);
    print_memory("at the end", daemon_info(&d, "used_memory_rss"), before);
    printf("p99 beside / alone         %8.2f\n",
           (double)histogram_quantile(&beside, 0.99) /
               (double)histogram_quantile(&alone, 0.99));
    for (unsigned i = 0; i < n_slow; i++) {
        close(slow[i]);
    }
    free(slow);
    load_close(conns, NORMAL_CONNECTIONS);
    daemon_stop(&d);
    daemon_remove(&d);
    return EXIT_SUCCESS;
}
