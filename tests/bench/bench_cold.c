/* SPDX-License-Identifier: MIT */
/*
 * Cold keys, all at once: 10 000 distinct records over 50 connections from a
 * store that takes 100 ms for each.  If a delayed read cost a thread, or reads
 * of one connection waited for each other, this would take seconds.
 *
 * Prints the time until the last answer and the spread of all of them, both
 * counted from the first request; and, with a store that takes longer, what
 * memory each lookup costs while it waits, its share of the buffers of its
 * connection included.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "common/clock.h"
#include "tests/support/daemon.h"
#include "tests/support/load.h"
#include "tests/support/stress.h"

#define KEYS 10000
#define CONNECTIONS 50
#define KEYS_EACH (KEYS / CONNECTIONS)
#define DELAY_MS 100
#define ROUNDS 3
#define TIME_LIMIT_US (DELAY_MS * 1500)
#define BYTES_LIMIT 512

struct connection {
    redisContext *redis;
    int n_owed;
};

static struct connection connections[CONNECTIONS];
static int64_t latency_us[KEYS];

static void connect_all(const struct daemon *d)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        connections[i].redis = redisConnectFd(daemon_connect(d));
        CHECK(connections[i].redis != NULL);
        freeReplyObject(redisCommand(connections[i].redis, "PING"));
    }
}

static void disconnect_all(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        redisFree(connections[i].redis);
    }
}

static void send_all(redisContext *redis)
{
    int done = 0;

    while (!done) {
        CHECK(redisBufferWrite(redis, &done) == REDIS_OK);
    }
}

static void fill_store(const struct daemon *d)
{
    redisContext *redis = redisConnectFd(daemon_connect(d));

    CHECK(redis != NULL);
    for (int id = 1; id <= KEYS; id++) {
        redisAppendCommand(redis, "HSET book:%d title Title-%d author Author",
                           id, id);
    }
    for (int id = 1; id <= KEYS; id++) {
        void *reply = NULL;
        CHECK(redisGetReply(redis, &reply) == REDIS_OK);
        CHECK(((redisReply *)reply)->type == REDIS_REPLY_INTEGER);
        freeReplyObject(reply);
    }
    redisFree(redis);
}

/* Takes what has come on one connection; returns how many answers that was. */
static int take_answers(struct connection *c, int64_t begin_us, int n_before)
{
    int n = 0;
    void *reply = NULL;

    CHECK(redisBufferRead(c->redis) == REDIS_OK);
    for (;;) {
        CHECK(redisGetReplyFromReader(c->redis, &reply) == REDIS_OK);
        if (reply == NULL) {
            return n;
        }
        CHECK(((redisReply *)reply)->type == REDIS_REPLY_STRING);
        freeReplyObject(reply);
        latency_us[n_before + n++] = clock_real_us() - begin_us;
        c->n_owed--;
    }
}

/* Returns when the first was sent. */
static int64_t send_questions(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        for (int k = 0; k < KEYS_EACH; k++) {
            redisAppendCommand(connections[i].redis, "GET book:%d",
                               1 + i * KEYS_EACH + k);
        }
        connections[i].n_owed = KEYS_EACH;
    }
    const int64_t begin_us = clock_real_us();
    for (int i = 0; i < CONNECTIONS; i++) {
        send_all(connections[i].redis);
    }
    return begin_us;
}

/* Returns how long after 'begin_us' the last came. */
static int64_t take_all(int64_t begin_us)
{
    struct pollfd polled[CONNECTIONS];
    int n_answers = 0;

    for (int i = 0; i < CONNECTIONS; i++) {
        polled[i] =
            (struct pollfd){.fd = connections[i].redis->fd, .events = POLLIN};
    }
    while (n_answers < KEYS) {
        CHECK(poll(polled, CONNECTIONS, 60000) > 0);
        for (int i = 0; i < CONNECTIONS; i++) {
            if (polled[i].revents != 0) {
                n_answers += take_answers(&connections[i], begin_us, n_answers);
            }
        }
    }
    return clock_real_us() - begin_us;
}

/* They were noted in the order they came, so they are sorted. */
static double percentile_ms(size_t percent)
{
    const size_t place = (size_t)KEYS * percent / 100;

    return (double)latency_us[place] / 1000;
}

static void print_round(int64_t wall_us)
{
    printf("%d cold keys, %d connections, delay %d ms: all after %.1f ms "
           "(first %.1f, median %.1f, p99 %.1f)\n",
           KEYS, CONNECTIONS, DELAY_MS, (double)wall_us / 1000,
           percentile_ms(0), percentile_ms(50), percentile_ms(99));
}

static int64_t measure_time(struct daemon *d)
{
    const char *const args[] = {"--store-delay", "100ms", NULL};

    daemon_start(d, args);
    connect_all(d);
    const int64_t wall_us = take_all(send_questions());
    print_round(wall_us);
    CHECK(daemon_info(d, "store_reads") == KEYS);
    disconnect_all();
    daemon_stop(d);
    return wall_us;
}

static int64_t resident_bytes(const struct daemon *d)
{
    char path[64];
    long pages = 0;

    snprintf(path, sizeof path, "/proc/%ld/statm", (long)d->pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK(fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static double measure_memory(struct daemon *d)
{
    const char *const args[] = {NULL};

    daemon_start(d, args);
    connect_all(d);
    /* Each connection has done it once, so what comes now is lookups only. */
    for (int i = 0; i < CONNECTIONS; i++) {
        freeReplyObject(
            redisCommand(connections[i].redis, "GET nothing:%d", i));
    }
    load_command(d, "CONFIG SET store-delay 4s");
    const int64_t reads = daemon_info(d, "store_reads");
    const int64_t before = resident_bytes(d);
    const int64_t used = daemon_info(d, "used_memory");
    const int64_t begin_us = send_questions();
    while (daemon_info(d, "store_reads") - reads < KEYS) {
        poll(NULL, 0, 10);
    }
    const double each = (double)(resident_bytes(d) - before) / KEYS;
    const double used_each =
        (double)(daemon_info(d, "used_memory") - used) / KEYS;
    CHECK(daemon_info(d, "flights") == KEYS);
    printf("each waiting lookup: %.0f bytes of resident memory, %.0f "
           "allocated\n",
           each, used_each);
    (void)take_all(begin_us);
    disconnect_all();
    daemon_stop(d);
    return each;
}

int main(void)
{
    const char *const fast[] = {"--seed-books", "no", NULL};
    struct daemon d = {0};
    int64_t slowest_us = 0;

    load_print_machine();
    daemon_start(&d, fast);
    fill_store(&d);
    daemon_stop(&d);

    for (int i = 0; i < ROUNDS; i++) {
        const int64_t wall_us = measure_time(&d);
        slowest_us = wall_us > slowest_us ? wall_us : slowest_us;
    }
    const double bytes = measure_memory(&d);
    printf("limits: %d ms %s, %d bytes %s\n", TIME_LIMIT_US / 1000,
           slowest_us <= TIME_LIMIT_US ? "held" : "not held", BYTES_LIMIT,
           bytes <= BYTES_LIMIT ? "held" : "not held");
    daemon_remove(&d);
    return EXIT_SUCCESS;
}
