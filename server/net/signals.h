/* SPDX-License-Identifier: MIT */
/*
 * Signals as events: a signal becomes a call on a loop, where any function may
 * be used, instead of an interruption, where hardly any may.
 *
 * The signals are blocked and read from a signalfd(2).  Blocking concerns the
 * calling thread and those it starts: call this before others are started
 * (common/thread blocks everything in its own).
 *
 * Thread-safety: the thread that runs the loop, or before the loop runs.
 */
#ifndef SERVER_NET_SIGNALS_H
#define SERVER_NET_SIGNALS_H

#include <stddef.h>

struct loop;
struct signals;

/* Calls 'fn(signo, arg)' on 'loop' for each of the 'n' signals that comes.
 * SIGPIPE is ignored from now on, so that a write to a closed socket or pipe
 * is an error and not the end.  Returns NULL, with errno, when the system
 * refuses.  Ownership: the caller closes it, before the loop is freed. */
struct signals *signals_watch(struct loop *loop, const int *signals, size_t n,
                              void (*fn)(int signo, void *arg), void *arg);

/* Stops watching; the signals do again what they did before.  NULL is fine. */
void signals_close(struct signals *signals);

#endif
