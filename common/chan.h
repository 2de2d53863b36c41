/* SPDX-License-Identifier: MIT */
/*
 * Channels: values of one size passed between threads, in order, as in Go.
 *
 *     capacity 0           a send waits for its receiver (unbuffered)
 *     capacity n           a send waits while n values are buffered
 *     CHAN_UNBOUNDED       a send never waits; the buffer grows (not in Go)
 *
 * Whoever only sends gets a chan_tx, whoever only receives a chan_rx; they
 * are different types, so the compiler refuses the wrong direction.
 *
 * chan_close() is Go's: no more sends; buffered values can still be received,
 * then a receive says "closed".  A send on a closed channel is ERR_CLOSED
 * (Go panics), closing twice aborts.
 *
 * Thread-safety: any thread.  chan_free() only when nobody waits on it or will
 * use it again; a sender whose value was received just now may still be on its
 * way out, so "receive the last value, then free" is right.
 */
#ifndef COMMON_CHAN_H
#define COMMON_CHAN_H

#include "common/attr.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAN_UNBOUNDED SIZE_MAX

struct chan;

struct chan_tx {
    struct chan *chan; /* May be sent to, and closed. */
};

struct chan_rx {
    struct chan *chan; /* May be received from. */
};

/* A channel of values of 'value_size' bytes each, copied in and out; with size
 * 0 the values may be NULL.  The buffer grows by need up to 'capacity' values
 * and keeps its size until chan_free(). */
struct chan *chan_new(size_t value_size, size_t capacity);
void chan_free(struct chan *c);

static inline struct chan_tx chan_tx(struct chan *c)
{
    return (struct chan_tx){.chan = c};
}

static inline struct chan_rx chan_rx(struct chan *c)
{
    return (struct chan_rx){.chan = c};
}

/* Waits for room (or for a receiver), then sends a copy of '*value'.
 * Errors: ERR_CLOSED. */
NODISCARD
enum err chan_send(struct chan_tx tx, const void *value);

/* Sends if that needs no waiting: there is room, or, on an unbuffered channel,
 * a receiver waits.  Errors: ERR_FULL, ERR_CLOSED. */
NODISCARD
enum err chan_try_send(struct chan_tx tx, const void *value);

/* Waits for a value, stores it in '*value' and returns true; returns false,
 * leaving '*value' alone, when the channel is closed and drained.  So
 *     while (chan_recv(rx, &v)) { … }
 * is Go's 'for v := range ch'. */
NODISCARD
bool chan_recv(struct chan_rx rx, void *value);

/* Receives if that needs no waiting.  Errors: ERR_EMPTY, ERR_CLOSED (closed
 * and drained). */
NODISCARD
enum err chan_try_recv(struct chan_rx rx, void *value);

/* As chan_recv(), but gives up when clock_now_us() reaches 'deadline_us'
 * (real clock).  Errors: ERR_TIMEOUT, ERR_CLOSED. */
NODISCARD
enum err chan_recv_until(struct chan_rx rx, void *value, int64_t deadline_us);

/* No more sends; wakes everybody who waits.  Senders that wait get ERR_CLOSED.
 */
void chan_close(struct chan_tx tx);

/* Values buffered now; a hint, old the moment it is read. */
size_t chan_len(struct chan_rx rx);

/* An eventfd that is readable while the channel has a value to receive (an
 * unbuffered one: while a sender waits) or is closed, for poll and event loops.
 * Made at the first call, owned by the channel; the caller only polls it,
 * level-triggered.  After it fired, drain with chan_try_recv() until ERR_EMPTY:
 * that also rearms it, and until then further sends make no system call.  It
 * may be readable when somebody else was faster; then the drain finds nothing.
 * Returns -1 when the system has no descriptor to give. */
int chan_event_fd(struct chan_rx rx);

/* ---- select ---- */

enum select_kind { SELECT_RECV, SELECT_SEND };

struct select_case {
    enum select_kind kind;
    struct chan *chan; /* NULL: never ready, as a nil channel in Go. */
    void *value;       /* RECV: where to put it; SEND: what to send. */
    bool ok;           /* Out, RECV: a value came (false: closed, drained). */
    bool closed;       /* Out, SEND: the channel was closed, nothing sent. */
};

static inline struct select_case select_recv(struct chan_rx rx, void *value)
{
    return (struct select_case){
        .kind = SELECT_RECV, .chan = rx.chan, .value = value};
}

static inline struct select_case select_send(struct chan_tx tx,
                                             const void *value)
{
    return (struct select_case){.kind = SELECT_SEND,
                                .chan = tx.chan,
                                .value = (void *)(uintptr_t)value};
}

#define SELECT_FOREVER INT64_MAX /* Wait until a case is ready. */
#define SELECT_DEFAULT 0         /* Do not wait: Go's 'default'. */
#define SELECT_NONE (-1)         /* Result: default taken, or deadline past. */

/* More in one select abort: all their locks are held at once. */
#define SELECT_CASES_MAX 32

/* Carries out exactly one case that is ready, chosen at random among all that
 * are (so that none starves), and returns its index.  When none is ready,
 * waits until 'deadline_us' on clock_now_us()'s real clock, then returns
 * SELECT_NONE. */
NODISCARD
int chan_select(struct select_case *cases, size_t n_cases, int64_t deadline_us);

#endif
