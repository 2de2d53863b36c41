/* SPDX-License-Identifier: MIT */
/*
 * Channels under every kind of send and receive at once, in rounds.
 *
 * Several senders and receivers share an unbuffered, a small, and an unbounded
 * channel, and choose at random how to wait.  Claims: every value sent arrives
 * once, nobody hangs, and what one sender sent over one channel reaches each
 * receiver in order.  Beside them, channels that live for one value: whoever
 * received it frees the channel at once, as Go programs do with "done".
 */
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "common/chan.h"
#include "common/thread.h"
#include "common/waitgroup.h"
#include "tests/support/stress.h"

#define SENDERS 3
#define RECEIVERS 3
#define CHANS 3
#define PER_ROUND 300 /* Values of each sender. */

struct value {
    int sender;
    int number; /* 1, 2, … of this sender. */
};

struct round {
    struct chan *chans[CHANS];
    _Atomic int n_arrived[SENDERS][PER_ROUND + 1];
};

struct peer {
    struct round *round;
    int index;
    uint64_t random;
};

/* ---- senders ---- */

static enum err select_send_one(struct peer *p, const struct value *value)
{
    struct select_case cases[CHANS];
    const int64_t deadline_us = stress_random(&p->random, 2) == 0
                                    ? SELECT_FOREVER
                                    : clock_real_us() + 50;

    for (int i = 0; i < CHANS; i++) {
        cases[i] = select_send(chan_tx(p->round->chans[i]), value);
    }
    const int chosen = chan_select(cases, CHANS, deadline_us);
    CHECK(chosen == SELECT_NONE || !cases[chosen].closed);
    return chosen == SELECT_NONE ? ERR_TIMEOUT : ERR_OK;
}

static enum err send_somehow(struct peer *p, const struct value *value)
{
    const struct chan_tx tx =
        chan_tx(p->round->chans[stress_random(&p->random, CHANS)]);

    switch (stress_random(&p->random, 3)) {
    case 0:
        return chan_send(tx, value);
    case 1:
        return chan_try_send(tx, value);
    default:
        return select_send_one(p, value);
    }
}

static void send_all(void *arg)
{
    struct peer *const p = arg;
    struct value value = {.sender = p->index};

    for (value.number = 1; value.number <= PER_ROUND; value.number++) {
        while (send_somehow(p, &value) != ERR_OK) {
        }
    }
}

/* ---- receivers ---- */

static enum err select_recv_one(struct peer *p, struct value *value, int *from)
{
    struct select_case cases[CHANS];

    for (int i = 0; i < CHANS; i++) {
        cases[i] = select_recv(chan_rx(p->round->chans[i]), value);
    }
    *from = chan_select(cases, CHANS, clock_real_us() + 200);
    if (*from == SELECT_NONE) {
        return ERR_TIMEOUT;
    }
    return cases[*from].ok ? ERR_OK : ERR_CLOSED;
}

static enum err receive_somehow(struct peer *p, struct value *value, int *from)
{
    *from = (int)stress_random(&p->random, CHANS);
    const struct chan_rx rx = chan_rx(p->round->chans[*from]);
    struct pollfd poll_fd = {.events = POLLIN};

    switch (stress_random(&p->random, 4)) {
    case 0:
        return chan_recv_until(rx, value, clock_real_us() + 100);
    case 1:
        return chan_try_recv(rx, value);
    case 2:
        poll_fd.fd = chan_event_fd(rx);
        (void)poll(&poll_fd, 1, 1);
        return chan_try_recv(rx, value);
    default:
        return select_recv_one(p, value, from);
    }
}

/* Until all channels are closed and drained. */
static void receive_all(void *arg)
{
    struct peer *const p = arg;
    int last[CHANS][SENDERS] = {{0}};
    bool drained[CHANS] = {false};

    while (!drained[0] || !drained[1] || !drained[2]) {
        struct value value = {.sender = -1};
        int from;
        const enum err err = receive_somehow(p, &value, &from);

        if (err == ERR_OK) {
            CHECK(value.sender >= 0 && value.sender < SENDERS);
            CHECK(value.number > last[from][value.sender]);
            last[from][value.sender] = value.number;
            p->round->n_arrived[value.sender][value.number]++;
        } else if (err == ERR_CLOSED) {
            drained[from] = true;
        }
    }
}

static void run_round(uint64_t seed)
{
    static struct round round;
    struct peer peers[SENDERS + RECEIVERS];
    struct waitgroup senders;
    struct waitgroup receivers;

    round = (struct round){
        .chans = {chan_new(sizeof(struct value), 0),
                  chan_new(sizeof(struct value), 3),
                  chan_new(sizeof(struct value), CHAN_UNBOUNDED)}};
    wg_init(&senders);
    wg_init(&receivers);
    for (int i = 0; i < SENDERS + RECEIVERS; i++) {
        const bool sends = i < SENDERS;

        peers[i] = (struct peer){
            .round = &round, .index = i, .random = seed * 31 + (uint64_t)i + 1};
        CHECK(wg_go(sends ? &senders : &receivers, sends ? "send" : "receive",
                    sends ? send_all : receive_all, &peers[i]) == ERR_OK);
    }
    wg_wait(&senders);
    for (int i = 0; i < CHANS; i++) {
        chan_close(chan_tx(round.chans[i]));
    }
    wg_wait(&receivers);

    for (int i = 0; i < SENDERS; i++) {
        for (int number = 1; number <= PER_ROUND; number++) {
            CHECK(round.n_arrived[i][number] == 1);
        }
    }
    wg_destroy(&receivers);
    wg_destroy(&senders);
    for (int i = 0; i < CHANS; i++) {
        chan_free(round.chans[i]);
    }
}

/* ---- channels that live for one value ---- */

static void answer(void *arg)
{
    struct chan *done;

    while (chan_recv(chan_rx(arg), (void *)&done)) {
        const int value = 7;

        CHECK(chan_send(chan_tx(done), &value) == ERR_OK);
        /* It may be freed already. */
    }
}

static void run_done_channels(int n_rounds)
{
    static const size_t capacities[] = {0, 1, CHAN_UNBOUNDED};
    struct chan *const requests = chan_new(sizeof(struct chan *), 0);
    struct thread thread;

    CHECK(thread_start(&thread, "answer", answer, requests) == ERR_OK);
    for (int i = 0; i < n_rounds; i++) {
        struct chan *const done = chan_new(sizeof(int), capacities[i % 3]);
        struct pollfd poll_fd = {.fd = -1, .events = POLLIN};
        int value = 0;

        if (i % 2 == 0) {
            poll_fd.fd = chan_event_fd(chan_rx(done));
        }
        CHECK(chan_send(chan_tx(requests), (const void *)&done) == ERR_OK);
        if (i % 2 == 0) {
            CHECK(poll(&poll_fd, 1, -1) == 1);
        }
        CHECK(chan_recv(chan_rx(done), &value) && value == 7);
        chan_free(done);
    }
    chan_close(chan_tx(requests));
    thread_join(&thread);
    chan_free(requests);
}

int main(void)
{
    const int64_t end_us = stress_end_us();
    uint64_t n_rounds = 0;

    while (clock_real_us() < end_us) {
        run_round(++n_rounds);
        run_done_channels(100);
    }
    (void)printf("%llu rounds of %d values\n", (unsigned long long)n_rounds,
                 SENDERS * PER_ROUND);
    return 0;
}
