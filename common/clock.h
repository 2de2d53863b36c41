/* SPDX-License-Identifier: MIT */
/*
 * Time: one monotonic clock for ages and deadlines, one wall clock for what
 * is stored or shown.
 *
 * A test may take the clock into its hand with clock_set_manual(): then both
 * stand still until clock_advance(), which wakes everybody who sleeps on a
 * timer (see timer.h).
 *
 * Thread-safety: any thread.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds since some fixed moment; never goes back. */
int64_t clock_now_us(void);

/* The same, also while a test holds the clock: for bounds on real waiting, as
 * in cond_wait_until(). */
int64_t clock_real_us(void);

/* Milliseconds since 1970-01-01 UTC. */
int64_t clock_wall_ms(void);
/* The same in microseconds. */
int64_t clock_wall_us(void);

/* ---- for tests ---- */

/* Stops both clocks at monotonic 'now_us' (the wall clock shows
 * 1 700 000 000 000 ms plus the same). */
void clock_set_manual(int64_t now_us);

/* Moves the stopped clocks on and returns when every timer that is now due has
 * fired; 0 only waits for those due already.  Not from a timer's function,
 * and not with a lock held: it waits for other threads. */
void clock_advance(int64_t delta_us);

/* Lets the clocks run again. */
void clock_set_real(void);

bool clock_is_manual(void);

/* ---- for timer.c ---- */

/* 'wake(arg)' is called, on the thread that moves the clock and with no lock
 * held, after each change; it returns when everything due has been done. */
void clock_on_advance(void (*wake)(void *arg), void *arg);

/* After this returns, 'wake(arg)' is not running and is not called again. */
void clock_off_advance(void (*wake)(void *arg), void *arg);

/* Says that wakers wait for the calling thread: were it to move the clock, it
 * would wait for itself, so that aborts. */
void clock_is_waited_for(void);

#endif
