/* SPDX-License-Identifier: MIT */
/*
 * Several loops whose clients publish, subscribe, unsubscribe and leave, all at
 * once.
 *
 * Claims: what one publisher sends on a channel reaches a subscriber in order
 * and without a gap, from his first message to his last; who has not subscribed
 * gets nothing; and when all have left, nothing is left.
 */
#include <stdio.h>

#include "common/hash.h"
#include "common/mem.h"
#include "common/waitgroup.h"
#include "server/command/client.h"
#include "server/net/loop.h"
#include "tests/support/stress.h"

#define LOOPS 3
#define CLIENTS 20 /* On each loop. */
#define STEPS_AT_ONCE 50

struct actor;

struct listener {
    struct client client;
    struct actor *actor;
    /* Of the channel of each actor: the number of its last message, 0 before
     * the first since it subscribed. */
    uint64_t last[LOOPS];
    bool subscribed[LOOPS];
    bool by_pattern[LOOPS];
};

/* A loop that publishes on a channel of its own, numbered from 1. */
struct actor {
    size_t index;
    struct loop *loop;
    uint64_t random;
    uint64_t sent;
    uint64_t received;
    int64_t end_us;
    struct listener listeners[CLIENTS];
};

static struct pubsub *pubsub;
static struct actor actors[LOOPS];
static struct waitgroup running;

/* "$2\r\nc0\r\n$20\r\n<number, 20 digits>\r\n" */
static void on_push(struct client *client, const struct slice *pieces, size_t n)
{
    struct listener *l = container_of(client, struct listener, client);
    const size_t from = (size_t)(pieces[1].data[5] - '0');
    const uint64_t number = strtoull(pieces[1].data + 13, NULL, 10);
    const bool by_pattern =
        slice_has_prefix(pieces[0], SLICE(">4\r\n$8\r\npmessage\r\n"));

    CHECK(n == 2 && from < LOOPS);
    CHECK(loop_is_current(l->actor->loop));
    CHECK(l->subscribed[from] && l->by_pattern[from] == by_pattern);
    CHECK(l->last[from] == 0 || number == l->last[from] + 1);
    l->last[from] = number;
    l->actor->received++;
}

static void on_overrun(struct client *client)
{
    (void)client;
    log_fatal("a publisher that waits cannot overrun anybody");
}

static struct slice name_of(size_t channel, bool by_pattern, char name[8])
{
    return slice_make(
        name,
        (size_t)snprintf(name, 8, by_pattern ? "[c]%zu" : "c%zu", channel));
}

static void change_subscription(struct actor *a)
{
    struct listener *l = &a->listeners[stress_random(&a->random, CLIENTS)];
    const size_t channel = stress_random(&a->random, LOOPS);
    char name[8];

    if (l->subscribed[channel]) {
        const bool by_pattern = l->by_pattern[channel];
        struct subscription *s = pubsub_find(
            &l->client, by_pattern ? PUBSUB_PATTERN : PUBSUB_CHANNEL,
            name_of(channel, by_pattern, name));
        CHECK(s != NULL);
        pubsub_end(pubsub, s);
        l->subscribed[channel] = false;
        return;
    }
    const bool by_pattern = stress_random(&a->random, 2) == 0;
    CHECK(pubsub_subscribe(pubsub, &l->client,
                           by_pattern ? PUBSUB_PATTERN : PUBSUB_CHANNEL,
                           name_of(channel, by_pattern, name)));
    l->subscribed[channel] = true;
    l->by_pattern[channel] = by_pattern;
    l->last[channel] = 0;
}

static void leave(struct actor *a, struct listener *l)
{
    (void)a;
    pubsub_leave(pubsub, &l->client);
    CHECK(LIST_EMPTY(&l->client.subscriptions));
    memset(l->subscribed, 0, sizeof(l->subscribed));
}

static void step(void *arg);

static void come_back(void *arg)
{
    struct actor *a = arg;

    CHECK(loop_post(a->loop, step, a));
}

/* Once more, after the loop that has most to do if there is one. */
static void go_on(struct actor *a, struct chan_tx crowded)
{
    if (crowded.chan != NULL) {
        CHECK(task_post(crowded, come_back, a));
    } else {
        come_back(a);
    }
}

static void step(void *arg)
{
    struct actor *a = arg;
    struct chan_tx crowded = {0};
    char name[8];
    char number[24];

    for (int i = 0; i < STEPS_AT_ONCE && crowded.chan == NULL; i++) {
        const uint32_t what = stress_random(&a->random, 100);
        if (what < 90) {
            snprintf(number, sizeof(number), "%020llu",
                     (unsigned long long)++a->sent);
            (void)pubsub_publish(pubsub, PUBSUB_CHANNEL,
                                 name_of(a->index, false, name),
                                 slice_make(number, 20), &crowded);
        } else if (what < 99) {
            change_subscription(a);
        } else {
            leave(a, &a->listeners[stress_random(&a->random, CLIENTS)]);
        }
    }
    if (clock_real_us() < a->end_us) {
        go_on(a, crowded);
    } else {
        wg_done(&running);
    }
}

static void leave_all(void *arg)
{
    struct actor *a = arg;

    for (size_t i = 0; i < CLIENTS; i++) {
        leave(a, &a->listeners[i]);
    }
    wg_done(&running);
}

static void run_on_all(task_fn *run)
{
    wg_add(&running, LOOPS);
    for (size_t i = 0; i < LOOPS; i++) {
        CHECK(loop_post(actors[i].loop, run, &actors[i]));
    }
    wg_wait(&running);
}

static void init(size_t index, int64_t end_us)
{
    struct actor *a = &actors[index];

    *a = (struct actor){.index = index, .random = index + 1, .end_us = end_us};
    CHECK(loop_new(&a->loop, "stress") == ERR_OK);
    for (size_t i = 0; i < CLIENTS; i++) {
        a->listeners[i].actor = a;
        a->listeners[i].client = (struct client){.home = loop_home(a->loop),
                                                 .id = 1 + index * CLIENTS + i,
                                                 .protocol = 3,
                                                 .on_push = on_push,
                                                 .on_overrun = on_overrun};
    }
    CHECK(loop_start(a->loop) == ERR_OK);
}

int main(void)
{
    const int64_t end_us = stress_end_us();
    uint64_t sent = 0;
    uint64_t received = 0;

    hash_init();
    wg_init(&running);
    pubsub = pubsub_new();
    for (size_t i = 0; i < LOOPS; i++) {
        init(i, end_us);
    }
    run_on_all(step);
    run_on_all(leave_all);
    for (size_t i = 0; i < LOOPS; i++) {
        loop_close(actors[i].loop);
    }
    for (size_t i = 0; i < LOOPS; i++) {
        loop_free(actors[i].loop);
        sent += actors[i].sent;
        received += actors[i].received;
    }
    for (size_t i = 0; i < PUBSUB_KINDS; i++) {
        CHECK(pubsub_count(pubsub, i) == 0);
    }
    CHECK(received > 0);
    pubsub_free(pubsub);
    wg_destroy(&running);
    printf("%llu messages, received %llu times\n", (unsigned long long)sent,
           (unsigned long long)received);
    return 0;
}
