/* SPDX-License-Identifier: MIT */
/*
 * Cold keys, all at once: 10 000 distinct records over 50 connections from a
 * store that takes 100 ms for each.  If a delayed read cost a thread, or reads
 * of one connection waited for each other, this would take seconds.
 *
 * Prints the time until the last answer and the spread of all of them, both
 * counted from the first request.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "common/clock.h"
#include "tests/support/daemon.h"
#include "tests/support/stress.h"

#define KEYS 10000
#define CONNECTIONS 50
#define KEYS_EACH (KEYS / CONNECTIONS)
#define DELAY_MS 100
#define ROUNDS 3

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

static int64_t ask_all(void)
{
    struct pollfd polled[CONNECTIONS];
    int n_answers = 0;

    for (int i = 0; i < CONNECTIONS; i++) {
        for (int k = 0; k < KEYS_EACH; k++) {
            redisAppendCommand(connections[i].redis, "GET book:%d",
                               1 + i * KEYS_EACH + k);
        }
        connections[i].n_owed = KEYS_EACH;
        polled[i] =
            (struct pollfd){.fd = connections[i].redis->fd, .events = POLLIN};
    }
    const int64_t begin_us = clock_real_us();
    for (int i = 0; i < CONNECTIONS; i++) {
        send_all(connections[i].redis);
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

int main(void)
{
    const char *const fast[] = {"--seed-books", "no", NULL};
    const char *const slow[] = {"--store-delay", "100ms", NULL};
    struct daemon d = {0};

    daemon_start(&d, fast);
    fill_store(&d);
    daemon_stop(&d);

    for (int i = 0; i < ROUNDS; i++) {
        daemon_start(&d, slow);
        connect_all(&d);
        const int64_t wall_us = ask_all();
        print_round(wall_us);
        CHECK(daemon_info(&d, "store_reads") == KEYS);
        disconnect_all();
        daemon_stop(&d);
    }
    daemon_remove(&d);
    return EXIT_SUCCESS;
}
