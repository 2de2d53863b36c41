/* SPDX-License-Identifier: MIT */
/*
 * hiredis on libevent against a bookd on PORT; lib.sh says what is printed.
 *
 * Each check sends its commands, and its last reply ends the loop.
 */
#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "common/attr.h"

enum { COMMANDS = 10000 };

static int port;
static struct event_base *base;
static const char *complaint; /* NULL: all is well. */
static int n_replies;

static redisAsyncContext *dial(void)
{
    redisAsyncContext *c = redisAsyncConnect("127.0.0.1", port);

    if (c == NULL || c->err != 0 || redisLibeventAttach(c, base) != REDIS_OK) {
        printf("FAILED hello no connection\n");
        exit(1);
    }
    return c;
}

static void run_loop(void)
{
    const struct timeval patience = {.tv_sec = 30};

    event_base_loopexit(base, &patience);
    event_base_dispatch(base);
}

static void on_pong(redisAsyncContext *c, void *reply, void *arg)
{
    const redisReply *r = reply;

    (void)arg;
    complaint = r != NULL && r->type == REDIS_REPLY_STATUS &&
                        strcmp(r->str, "PONG") == 0
                    ? NULL
                    : "no PONG";
    redisAsyncFree(c);
    event_base_loopbreak(base);
}

static void try_hello(void)
{
    redisAsyncCommand(dial(), on_pong, NULL, "PING");
    run_loop();
}

static void on_number(redisAsyncContext *c, void *reply, void *arg)
{
    const redisReply *r = reply;
    const int expected = (int)(intptr_t)arg;

    if (r == NULL || r->type != REDIS_REPLY_INTEGER || r->integer != expected ||
        expected != n_replies + 1) {
        complaint = "a reply is wrong, or out of order";
        event_base_loopbreak(base);
        return;
    }
    n_replies++;
    if (n_replies == COMMANDS) {
        complaint = NULL;
        redisAsyncFree(c);
        event_base_loopbreak(base);
    }
}

static void try_pipeline(void)
{
    redisAsyncContext *c = dial();

    n_replies = 0;
    redisAsyncCommand(c, NULL, NULL, "DEL async:n");
    for (int i = 1; i <= COMMANDS; i++) {
        redisAsyncCommand(c, on_number, (void *)(intptr_t)i, "INCR async:n");
    }
    run_loop();
}

static void on_message(redisAsyncContext *c, void *reply, void *arg)
{
    const redisReply *r = reply;
    redisAsyncContext *publisher = arg;

    if (r == NULL) {
        return; /* The subscription ends with its connection. */
    }
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 3) {
        complaint = "no message";
        event_base_loopbreak(base);
    } else if (strcmp(r->element[0]->str, "subscribe") == 0) {
        redisAsyncCommand(publisher, NULL, NULL, "PUBLISH async hi");
    } else {
        complaint =
            strcmp(r->element[2]->str, "hi") == 0 ? NULL : "another message";
        redisAsyncFree(publisher);
        redisAsyncFree(c); /* Behind this call, as c is in it. */
        event_base_loopbreak(base);
    }
}

static void try_pubsub(void)
{
    redisAsyncCommand(dial(), on_message, dial(), "SUBSCRIBE async");
    run_loop();
}

static const struct {
    const char *name;
    void (*run)(void);
} checks[] = {
    {"hello", try_hello},
    {"pipeline", try_pipeline},
    {"pubsub", try_pubsub},
};

int main(void)
{
    bool failed = false;

    port = atoi(getenv("PORT"));
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        complaint = "nothing came";
        base = event_base_new();
        checks[i].run();
        event_base_free(base);
        if (complaint != NULL) {
            printf("FAILED %s %s\n", checks[i].name, complaint);
            failed = true;
        } else {
            printf("ok %s\n", checks[i].name);
        }
    }
    return failed;
}
