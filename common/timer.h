/* SPDX-License-Identifier: MIT */
/*
 * Timers: Go's time.AfterFunc.  One thread sleeps until the earliest of any
 * number of timers is due and calls its function.
 *
 * A timer is embedded in what it is about; ten thousand of them cost ten
 * thousand places in a binary heap and no thread.  Functions run on the timer
 * thread one after the other: they must be short, must not block, and may add
 * and cancel timers.
 *
 * With the manual clock (clock.h) timers fire from clock_advance(), which
 * wakes the thread; clock_advance() returns after everything due has run.
 *
 * Thread-safety: any thread may add and cancel.
 */
#ifndef COMMON_TIMER_H
#define COMMON_TIMER_H

#include "common/attr.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timers;
struct timer;

typedef void timer_fn(struct timer *timer);

/* Zeroed means "not waiting".  Owned by the caller. */
struct timer {
    int64_t due_us; /* On clock_now_us(). */
    timer_fn *fire;
    size_t place; /* 1 + index in the heap; 0 while not waiting. */
};

/* Starts the thread.  Errors: ERR_SYSTEM. */
NODISCARD
enum err timers_start(struct timers **timersp);
/* Waits for a function that runs, stops the thread; timers still waiting never
 * fire.  Idempotent; by the owner, not from a timer's function. */
void timers_stop(struct timers *timers);
/* Stops, then frees.  timers_free(NULL) is fine. */
void timers_free(struct timers *timers);

/* 'fire(timer)' will be called once at or after 'due_us'.  The timer must not
 * be waiting already, or this aborts; 'fire' may add it again, or free it. */
void timers_add(struct timers *timers, struct timer *timer, int64_t due_us,
                timer_fn *fire);

/* True if the timer was waiting and now never fires; false if it was not, or
 * if its function runs or has run.  Exactly one of the two happens to a timer
 * that was added: it is cancelled, or its function is called.  Does not wait:
 * after false the function may still be running, so what it uses must live on
 * until it has returned. */
bool timers_cancel(struct timers *timers, struct timer *timer);

/* Timers waiting now. */
size_t timers_count(struct timers *timers);

#endif
