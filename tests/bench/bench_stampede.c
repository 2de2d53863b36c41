/* SPDX-License-Identifier: MIT */
/*
 * A thousand clients ask for one cold key at once, again and again, and some
 * of them are killed while they wait: in every other round the very first,
 * for which the store was asked.
 *
 *     bench_stampede [ROUNDS]
 *
 * Prints store reads per round, which must be exactly 1, and how long the
 * answers took; none may come later than store-timeout.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/histogram.h"
#include "tests/support/load.h"
#include "tests/support/stress.h"

#define CLIENTS 1000
#define DELAY_US 50000
#define TIMEOUT_US 5000000
#define KILLED_MAX 20

static struct histogram latency;
static uint64_t random_state = 88172645463325;
static int n_killed;

static void see(struct load_conn *conn, struct slice reply, int64_t took_us,
                void *arg)
{
    (void)conn;
    (void)arg;
    CHECK(reply.data[0] == '$' && reply.data[1] != '-');
    histogram_record(&latency, took_us);
}

static void kill_some(struct load_conn *clients, const struct daemon *d,
                      int round)
{
    const int n = (int)stress_random(&random_state, KILLED_MAX);

    if (round % 2 == 0) {
        load_kill(&clients[0], d);
        n_killed++;
    }
    for (int i = 0; i < n; i++) {
        load_kill(&clients[stress_random(&random_state, CLIENTS)], d);
        n_killed++;
    }
}

/* Returns the store reads it took. */
static int64_t stampede(struct load_conn *clients, const struct daemon *d,
                        int round)
{
    const int64_t before = daemon_info(d, "store_reads");

    for (int i = 0; i < CLIENTS; i++) {
        load_ask(&clients[i], "GET book:%d", round);
    }
    kill_some(clients, d, round);
    load_finish(clients, CLIENTS, clock_real_us() + 2 * TIMEOUT_US, see, NULL);
    CHECK(load_owed(clients, CLIENTS) == 0);
    return daemon_info(d, "store_reads") - before;
}

int main(int argc, char **argv)
{
    const char *const args[] = {"--store-delay", "50ms", "--store-timeout",
                                "5s", NULL};
    const int rounds = argc > 1 ? atoi(argv[1]) : 100;
    struct daemon d = {0};
    int n_wrong = 0;

    load_print_machine();
    daemon_raise_files();
    load_fill_books(&d, rounds);
    daemon_start(&d, args);
    struct load_conn *clients = load_open(&d, CLIENTS);
    for (int round = 1; round <= rounds; round++) {
        const int64_t reads = stampede(clients, &d, round);
        if (reads != 1) {
            printf("round %d: %lld store reads\n", round, (long long)reads);
            n_wrong++;
        }
    }
    printf("%d rounds of %d GETs of a cold key, delay %d ms, %d clients "
           "killed:\n"
           "  rounds with other than one store read  %d\n"
           "  answers                                %llu\n"
           "  slowest answer                         %.1f ms (p50 %.1f, "
           "deadline %d)\n",
           rounds, CLIENTS, DELAY_US / 1000, n_killed, n_wrong,
           (unsigned long long)histogram_count(&latency),
           (double)histogram_max(&latency) / 1000,
           (double)histogram_quantile(&latency, 0.5) / 1000, TIMEOUT_US / 1000);
    CHECK(n_wrong == 0);
    CHECK(histogram_max(&latency) <= TIMEOUT_US * 11 / 10);
    CHECK(daemon_info(&d, "flights") == 0);
    load_close(clients, CLIENTS);
    daemon_stop(&d);
    daemon_remove(&d);
    return EXIT_SUCCESS;
}
