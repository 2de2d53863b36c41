/* SPDX-License-Identifier: MIT */
/*
 * Select: the only place where anybody waits on a channel.
 *
 * With the locks of all its channels held (in the order of their addresses,
 * so that two selects cannot wait for each other) it tries every case once, in
 * random order.  If none is ready it leaves a waiter with every channel and
 * only then gives the locks back: nothing can happen between having looked and
 * being in the queue.  Two selects that face each other on unbuffered channels
 * therefore meet, for the second finds the waiter of the first.
 */
#include "common/chan_internal.h"

#include <stdatomic.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"

/* What a select works on. */
struct selection {
    struct select_case *cases; /* Of the caller. */
    size_t n_cases;
    struct chan *chans[SELECT_CASES_MAX]; /* Distinct, ascending addresses. */
    size_t n_chans;
    struct waiter waiters[SELECT_CASES_MAX]; /* One per case. */
};

/* ---- the channels of all cases ---- */

/* Insertion sort, for there are few. */
static void find_chans(struct selection *s)
{
    for (size_t i = 0; i < s->n_cases; i++) {
        struct chan *const c = s->cases[i].chan;
        size_t at = s->n_chans;

        while (at > 0 && (uintptr_t)s->chans[at - 1] > (uintptr_t)c) {
            at--;
        }
        if (c == NULL || (at > 0 && s->chans[at - 1] == c)) {
            continue;
        }
        for (size_t j = s->n_chans; j > at; j--) {
            s->chans[j] = s->chans[j - 1];
        }
        s->chans[at] = c;
        s->n_chans++;
    }
}

/* The checker cannot follow locks through an array. */
static void lock_all(const struct selection *s) NO_THREAD_SAFETY_ANALYSIS
{
    for (size_t i = 0; i < s->n_chans; i++) {
        mutex_lock(&s->chans[i]->lock);
    }
}

static void unlock_all(const struct selection *s) NO_THREAD_SAFETY_ANALYSIS
{
    for (size_t i = s->n_chans; i > 0; i--) {
        chan_unlock(s->chans[i - 1]);
    }
}

/* ---- one try of every case ---- */

/* A random number below 'limit', of a generator per thread. */
static size_t random_below(size_t limit)
{
    static _Thread_local uint64_t state;

    if (state == 0) {
        state = (uint64_t)clock_real_us() ^ (uint64_t)(uintptr_t)&state;
    }
    return (size_t)(random_next(&state) % limit);
}

/* True if 'one' was ready and is carried out; all locks are held. */
static bool try_case(struct select_case *one) NO_THREAD_SAFETY_ANALYSIS
{
    enum err err;

    if (one->chan == NULL) {
        return false;
    }
    if (one->kind == SELECT_SEND) {
        err = chan_send_locked(one->chan, one->value);
        one->closed = err == ERR_CLOSED;
        return err != ERR_FULL;
    }
    err = chan_recv_locked(one->chan, one->value);
    one->ok = err == ERR_OK;
    return err != ERR_EMPTY;
}

/* Tries the cases in random order, which makes each that is ready as likely as
 * any other; returns the index of the one carried out, or SELECT_NONE. */
static int try_all(const struct selection *s)
{
    unsigned char order[SELECT_CASES_MAX];

    for (size_t i = 0; i < s->n_cases; i++) {
        order[i] = (unsigned char)i;
    }
    for (size_t left = s->n_cases; left > 0; left--) {
        const size_t drawn = random_below(left);
        const unsigned char index = order[drawn];

        order[drawn] = order[left - 1];
        if (try_case(&s->cases[index])) {
            return index;
        }
    }
    return SELECT_NONE;
}

/* ---- waiting ---- */

static struct waiters *list_of(const struct select_case *one)
{
    return one->kind == SELECT_SEND ? &one->chan->senders
                                    : &one->chan->receivers;
}

static void leave_waiters(struct selection *s, struct sleeper *sleeper)
{
    for (size_t i = 0; i < s->n_chans; i++) {
        atomic_fetch_add_explicit(&s->chans[i]->n_inside, 1,
                                  memory_order_relaxed);
    }
    for (size_t i = 0; i < s->n_cases; i++) {
        s->waiters[i] =
            (struct waiter){.sleeper = sleeper, .value = s->cases[i].value};
        if (s->cases[i].chan != NULL) {
            waiters_add(list_of(&s->cases[i]), &s->waiters[i]);
        }
    }
}

static void take_waiters_back(struct selection *s)
{
    for (size_t i = 0; i < s->n_cases; i++) {
        if (s->cases[i].chan != NULL) {
            waiters_remove(list_of(&s->cases[i]), &s->waiters[i]);
        }
    }
    for (size_t i = 0; i < s->n_chans; i++) {
        atomic_fetch_sub_explicit(&s->chans[i]->n_inside, 1,
                                  memory_order_release);
    }
}

/* Sleeps until served or until the deadline; returns who was served, or NULL.
 * After that nobody serves this sleeper any more. */
static struct waiter *sleep_until(struct sleeper *sleeper, int64_t deadline_us)
{
    bool in_time = true;

    mutex_lock(&sleeper->lock);
    while (!sleeper->settled && in_time) {
        if (deadline_us == SELECT_FOREVER) {
            cond_wait(&sleeper->woken, &sleeper->lock);
        } else {
            in_time =
                cond_wait_until(&sleeper->woken, &sleeper->lock, deadline_us);
        }
    }
    sleeper->settled = true;
    struct waiter *const served = sleeper->served;
    mutex_unlock(&sleeper->lock);
    return served;
}

/* Called with all locks held; gives them back meanwhile. */
static int wait_for_one(struct selection *s, int64_t deadline_us)
{
    struct sleeper sleeper = {.settled = false};
    int chosen = SELECT_NONE;

    mutex_init(&sleeper.lock, LOCK_WAITER, "select");
    cond_init(&sleeper.woken);
    leave_waiters(s, &sleeper);
    unlock_all(s);

    const struct waiter *const served = sleep_until(&sleeper, deadline_us);

    lock_all(s);
    take_waiters_back(s);
    if (served != NULL) {
        chosen = (int)(served - s->waiters);
        struct select_case *const one = &s->cases[chosen];
        one->ok = one->kind == SELECT_RECV && !served->closed;
        one->closed = one->kind == SELECT_SEND && served->closed;
    }
    cond_destroy(&sleeper.woken);
    mutex_destroy(&sleeper.lock);
    return chosen;
}

int chan_select(struct select_case *cases, size_t n_cases, int64_t deadline_us)
{
    struct selection s;

    if (n_cases > SELECT_CASES_MAX) {
        log_fatal("chan: select over %zu cases, more than %d", n_cases,
                  SELECT_CASES_MAX);
    }
    /* The waiters are filled in only if this has to wait. */
    s.cases = cases;
    s.n_cases = n_cases;
    s.n_chans = 0;
    find_chans(&s);
    for (size_t i = 0; i < n_cases; i++) {
        cases[i].ok = false;
        cases[i].closed = false;
    }

    lock_all(&s);
    int chosen = try_all(&s);
    if (chosen == SELECT_NONE && deadline_us > SELECT_DEFAULT) {
        chosen = wait_for_one(&s, deadline_us);
    }
    unlock_all(&s);
    return chosen;
}
