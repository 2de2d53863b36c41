/* SPDX-License-Identifier: MIT */
/*
 * A function called again and again on a loop, at an interval.
 *
 * The interval is real time and counts from call to call; when the loop was
 * busy for longer, calls are left out, not made up for.
 *
 * Thread-safety: the loop's thread, or before the loop runs.
 */
#ifndef SERVER_NET_TICKER_H
#define SERVER_NET_TICKER_H

#include "common/task.h"

#include <stdint.h>

struct loop;
struct ticker;

/* Calls 'fn(arg)' every 'interval_us' microseconds from now on.  Returns NULL
 * when the system refuses.  Ownership: the caller cancels it, before the loop
 * is freed. */
struct ticker *loop_every(struct loop *loop, int64_t interval_us, task_fn *fn,
                          void *arg);

/* No more calls.  May be called by the function itself; NULL is fine. */
void ticker_cancel(struct ticker *ticker);

#endif
