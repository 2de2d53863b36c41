/* SPDX-License-Identifier: MIT */
/*
 * The channel: a ring of values, two queues of waiters, and an eventfd.
 *
 * Nothing in this file waits.  Each operation is tried under the lock; those
 * that may wait hand over to chan_select() with a single case.
 *
 * The eventfd is written once, when the channel stops being empty, and read
 * once, when a receiver has found it empty.  In between, however many values
 * pass, nobody makes a system call.  The write is made after the lock was
 * given back, so that the loop it wakes does not run into the lock. 'signalled'
 * covers the write that is still on its way:
 *
 *     not signalled ──send: set, then write──► signalled ──empty: read──► not
 *                                               ▲     │
 *                                               └─────┘ the read found nothing:
 *                                                       a write is yet to come
 *
 * So the descriptor is always readable, or about to be, when there is
 * something to receive.  It may be readable a moment when there is not.
 */
#include "common/chan_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

/* Places in a ring at first; a channel that carries few values stays small. */
#define PLACES_MIN ((size_t)16)

struct chan *chan_new(size_t value_size, size_t capacity)
{
    struct chan *const c = xmalloc(sizeof(*c));

    *c = (struct chan){
        .value_size = value_size, .capacity = capacity, .event_fd = -1};
    mutex_init(&c->lock, LOCK_CHAN, "chan");
    return c;
}

/* True if a thread sleeps here that nobody has woken. */
static bool has_sleeper(const struct waiters *list)
{
    bool found = false;

    for (const struct waiter *w = list->first; w != NULL; w = w->next) {
        mutex_lock(&w->sleeper->lock);
        found |= !w->sleeper->settled;
        mutex_unlock(&w->sleeper->lock);
    }
    return found;
}

/* Who has received a value may free the channel at once, while the sender is
 * still on its way out; that takes it a few microseconds. */
static void await_leavers(struct chan *c)
{
    int n_inside;

    do {
        mutex_lock(&c->lock);
        if (has_sleeper(&c->senders) || has_sleeper(&c->receivers)) {
            log_fatal("chan: freed while a thread waits on it");
        }
        n_inside = atomic_load_explicit(&c->n_inside, memory_order_acquire);
        mutex_unlock(&c->lock);
        if (n_inside > 0) {
            (void)sched_yield();
        }
    } while (n_inside > 0);
}

void chan_free(struct chan *c)
{
    if (c == NULL) {
        return;
    }
    await_leavers(c);
    mutex_lock(&c->lock);
    const int fd = c->event_fd;
    char *const values = c->values;
    mutex_unlock(&c->lock);

    if (fd >= 0) {
        (void)close(fd);
    }
    free(values);
    mutex_destroy(&c->lock);
    free(c);
}

/* ---- the ring ---- */

static void copy(const struct chan *c, void *to, const void *from)
{
    if (c->value_size > 0) {
        memcpy(to, from, c->value_size);
    }
}

/* The place 'index' values behind the oldest. */
static char *place(const struct chan *c, size_t index) REQUIRES(c->lock)
{
    const size_t left = c->n_places - c->first; /* Before the ring wraps. */

    return c->values +
           (index < left ? c->first + index : index - left) * c->value_size;
}

static void grow(struct chan *c) REQUIRES(c->lock)
{
    size_t n_places = c->n_places == 0 ? PLACES_MIN : 2 * c->n_places;

    if (n_places > c->capacity) {
        n_places = c->capacity;
    }
    char *const values = xmalloc(n_places * c->value_size);
    for (size_t i = 0; i < c->count; i++) {
        copy(c, values + i * c->value_size, place(c, i));
    }
    free(c->values);
    c->values = values;
    c->n_places = n_places;
    c->first = 0;
}

static void push(struct chan *c, const void *value) REQUIRES(c->lock)
{
    if (c->count == c->n_places) {
        grow(c);
    }
    copy(c, place(c, c->count), value);
    c->count++;
}

static void pop(struct chan *c, void *value) REQUIRES(c->lock)
{
    copy(c, value, place(c, 0));
    c->first = c->first + 1 == c->n_places ? 0 : c->first + 1;
    c->count--;
}

/* ---- waiters ---- */

void waiters_add(struct waiters *list, struct waiter *w)
{
    w->prev = list->last;
    w->next = NULL;
    if (list->last == NULL) {
        list->first = w;
    } else {
        list->last->next = w;
    }
    list->last = w;
    w->queued = true;
}

void waiters_remove(struct waiters *list, struct waiter *w)
{
    if (!w->queued) {
        return;
    }
    if (w->prev == NULL) {
        list->first = w->next;
    } else {
        w->prev->next = w->next;
    }
    if (w->next == NULL) {
        list->last = w->prev;
    } else {
        w->next->prev = w->prev;
    }
    w->queued = false;
}

enum service {
    GIVE, /* Fill the receiver's value. */
    TAKE, /* Take the sender's value. */
    TELL  /* Say that the channel is closed. */
};

/* Serves the one that has waited longest and is not settled elsewhere; returns
 * false if there is none. */
static bool serve(struct chan *c, struct waiters *list, enum service service,
                  void *value) REQUIRES(c->lock)
{
    struct waiter *w;
    bool served = false;

    while (!served && (w = list->first) != NULL) {
        struct sleeper *const sleeper = w->sleeper;

        waiters_remove(list, w);
        mutex_lock(&sleeper->lock);
        if (!sleeper->settled) {
            served = true;
            sleeper->settled = true;
            sleeper->served = w;
            w->closed = service == TELL;
            if (service == GIVE) {
                copy(c, w->value, value);
            } else if (service == TAKE) {
                copy(c, value, w->value);
            }
            cond_signal(&sleeper->woken);
        }
        mutex_unlock(&sleeper->lock);
    }
    return served;
}

/* ---- the eventfd ---- */

static bool has_news(const struct chan *c) REQUIRES(c->lock)
{
    return c->count > 0 || c->closed || c->senders.first != NULL;
}

void chan_unlock(struct chan *c)
{
    const bool ring = c->event_fd >= 0 && !c->signalled && has_news(c);
    const int fd = c->event_fd;

    if (ring) {
        c->signalled = true;
        atomic_fetch_add_explicit(&c->n_inside, 1, memory_order_relaxed);
    }
    mutex_unlock(&c->lock);
    if (ring) {
        const uint64_t one = 1;
        /* Cannot fail: the counter is 0 or 1, far from its limit. */
        if (write(fd, &one, sizeof(one)) != (ssize_t)sizeof(one)) {
            log_fatal("chan: writing to an eventfd failed err=\"%m\"");
        }
        atomic_fetch_sub_explicit(&c->n_inside, 1, memory_order_release);
    }
}

/* There is nothing to receive: the eventfd shall wait for the next value. */
static void rearm(struct chan *c) REQUIRES(c->lock)
{
    uint64_t count;

    if (c->signalled && read(c->event_fd, &count, sizeof(count)) > 0) {
        c->signalled = false;
    }
}

int chan_event_fd(struct chan_rx rx)
{
    struct chan *const c = rx.chan;

    mutex_lock(&c->lock);
    if (c->event_fd < 0) {
        const bool news = has_news(c);

        c->event_fd = eventfd(news ? 1 : 0, EFD_NONBLOCK | EFD_CLOEXEC);
        c->signalled = news && c->event_fd >= 0;
    }
    const int fd = c->event_fd;
    mutex_unlock(&c->lock);
    return fd;
}

/* ---- send and receive ---- */

enum err chan_send_locked(struct chan *c, const void *value)
{
    if (c->closed) {
        return ERR_CLOSED;
    }
    /* GIVE only reads the value. */
    if (serve(c, &c->receivers, GIVE, (void *)(uintptr_t)value)) {
        return ERR_OK;
    }
    if (c->count < c->capacity) {
        push(c, value);
        return ERR_OK;
    }
    return ERR_FULL;
}

enum err chan_recv_locked(struct chan *c, void *value)
{
    if (c->count > 0) {
        pop(c, value);
        /* The place is free for the sender that has waited longest. */
        if (serve(c, &c->senders, TAKE, place(c, c->count))) {
            c->count++;
        }
        return ERR_OK;
    }
    if (serve(c, &c->senders, TAKE, value)) {
        return ERR_OK;
    }
    if (c->closed) {
        return ERR_CLOSED;
    }
    rearm(c);
    return ERR_EMPTY;
}

enum err chan_try_send(struct chan_tx tx, const void *value)
{
    mutex_lock(&tx.chan->lock);
    const enum err err = chan_send_locked(tx.chan, value);
    chan_unlock(tx.chan);
    return err;
}

enum err chan_try_recv(struct chan_rx rx, void *value)
{
    mutex_lock(&rx.chan->lock);
    const enum err err = chan_recv_locked(rx.chan, value);
    chan_unlock(rx.chan);
    return err;
}

enum err chan_send(struct chan_tx tx, const void *value)
{
    const enum err err = chan_try_send(tx, value);

    if (err != ERR_FULL) {
        return err;
    }
    struct select_case only = select_send(tx, value);
    const int chosen = chan_select(&only, 1, SELECT_FOREVER);
    (void)chosen; /* There is one case, and no deadline. */
    return only.closed ? ERR_CLOSED : ERR_OK;
}

bool chan_recv(struct chan_rx rx, void *value)
{
    return chan_recv_until(rx, value, SELECT_FOREVER) == ERR_OK;
}

enum err chan_recv_until(struct chan_rx rx, void *value, int64_t deadline_us)
{
    const enum err err = chan_try_recv(rx, value);

    if (err != ERR_EMPTY) {
        return err;
    }
    struct select_case only = select_recv(rx, value);
    if (chan_select(&only, 1, deadline_us) == SELECT_NONE) {
        return ERR_TIMEOUT;
    }
    return only.ok ? ERR_OK : ERR_CLOSED;
}

void chan_close(struct chan_tx tx)
{
    struct chan *const c = tx.chan;

    mutex_lock(&c->lock);
    if (c->closed) {
        log_fatal("chan: closed twice");
    }
    c->closed = true;
    while (serve(c, &c->receivers, TELL, NULL)) {
    }
    while (serve(c, &c->senders, TELL, NULL)) {
    }
    chan_unlock(c);
}

size_t chan_len(struct chan_rx rx)
{
    mutex_lock(&rx.chan->lock);
    const size_t count = rx.chan->count;
    mutex_unlock(&rx.chan->lock);
    return count;
}
