/* SPDX-License-Identifier: MIT */
/*
 * Was it one register?  Checks what clients saw of one key: is there an order
 * of all operations, each within its own time, in which every read answers
 * what was written last?  (Linearizability, Herlihy and Wing 1990.)
 *
 * Who records gives every write a value of its own, so each read names its
 * write.  A write and its reads are a cluster; a cluster is at one place in
 * the order, and that decides the question in the time of a sort (the idea is
 * Gibbons' and Korach's, 1997):
 *
 *     write 7      ├────┤
 *     read 7               ├──┤        certain from the first end
 *     read 7                    ├───┤  to the last beginning:
 *     certain           ╞═══════╡
 *
 * Two clusters must not be certain at the same time, and one that fits into a
 * moment (all its operations overlap) must have a moment that is not inside
 * another's certain time.
 *
 * Deletes are not unique: "no such key" may be due to any of them.  There the
 * check is of what can be said of each single read, which finds every old
 * value and every value that is missing, though not each knot of several.  What
 * it reports is wrong in any case.
 *
 * A write whose outcome nobody knows (an error, a server that died) took
 * effect at some time after it began, or never.  One that was never read
 * proves nothing and is left out.
 *
 * A counter (LINEAR_ADD) shows its order in its values, and is checked by them.
 *
 * Thread-safety: pure functions; a log belongs to one thread.
 */
#ifndef TESTS_SUPPORT_LINEAR_H
#define TESTS_SUPPORT_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum linear_kind {
    LINEAR_READ,   /* Saw 'value'. */
    LINEAR_WRITE,  /* Wrote 'value', whatever was there. */
    LINEAR_CREATE, /* Wrote 'value' because there was nothing (SET NX). */
    LINEAR_DELETE, /* Left nothing, whatever was there. */
    LINEAR_ADD     /* Made 'value' of 'value' - 1; of a key with nothing but
                      these and reads. */
};

#define LINEAR_ABSENT 0 /* The value of a key that is not there. */
#define LINEAR_NEVER INT64_MAX

struct linear_op {
    uint32_t key;    /* For who sorts a log; not looked at here. */
    uint16_t client; /* Likewise, for the report. */
    uint16_t epoch;  /* How often the server had been killed. */
    enum linear_kind kind;
    bool unknown; /* A write that may have happened or not. */
    uint64_t value;
    int64_t begin_ns; /* Before it was sent. */
    int64_t end_ns; /* After it was answered.  Of an unknown one: after this it
                       cannot happen any more, or LINEAR_NEVER. */
    int64_t expires_ns; /* Of a write: when its value ends; 0: never. */
};

struct linear_rules {
    /* A read may show what was there this long before it began: where other
     * programs write, and are noticed only so fast. */
    int64_t stale_ns;
    /* By how much clocks and expiry may be apart. */
    int64_t expiry_slack_ns;
    /* At a kill, writes acknowledged less than this before it may be lost, the
     * last of them first.  0: none. */
    int64_t loss_ns;
    const int64_t *kills_ns; /* When the kill that ended each epoch began. */
};

/* Checks 'ops' of one key, in any order, and may reorder them.  False: there is
 * no such order, and 'why' has a sentence and the operations that show it.
 * With epochs and a loss_ns, each epoch but the first begins with a read that
 * tells what was left, before any other operation. */
bool linear_check(struct linear_op *ops, size_t n,
                  const struct linear_rules *rules, struct buf *why);

/* The same question answered by trying all orders (Wing and Gong 1993): of at
 * most LINEAR_TRY_MAX operations, without expiry, epochs and stale_ns. */
#define LINEAR_TRY_MAX 12
bool linear_try_all(const struct linear_op *ops, size_t n);

/* ---- logs ---- */

struct linear_log {
    struct linear_op *ops;
    size_t n;
    size_t room;
};

/* A place for one more, zeroed; valid until the next. */
struct linear_op *linear_log_add(struct linear_log *log);
void linear_log_append(struct linear_log *log, const struct linear_log *from);
void linear_log_destroy(struct linear_log *log);
/* Checks each key of the log by itself, with the rules that 'rules_of(arg,
 * key)' gives; the number of keys that fail, their reasons in 'why'. */
size_t linear_log_check(struct linear_log *log,
                        const struct linear_rules *(*rules_of)(void *arg,
                                                               uint32_t key),
                        void *arg, struct buf *why);

/* CLOCK_MONOTONIC, as operations are timed. */
int64_t linear_now_ns(void);

#endif
