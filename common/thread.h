/* SPDX-License-Identifier: MIT */
/*
 * Threads: started with a name, joined exactly once.
 *
 * All signals are blocked in a started thread, so that only the thread that
 * asked for signals sees them (all but the faults of its own instructions).
 *
 * Thread-safety: any thread starts; one thread joins.
 */
#ifndef COMMON_THREAD_H
#define COMMON_THREAD_H

#include "common/attr.h"
#include "common/err.h"

#include <pthread.h>

typedef void thread_fn(void *arg);

struct thread {
    pthread_t raw;
};

/* Starts 'fn(arg)' on a thread that debuggers and top show as 'name' (cut to
 * 15 bytes).  Errors: ERR_SYSTEM when the system has no thread to give. */
NODISCARD
enum err thread_start(struct thread *t, const char *name, thread_fn *fn,
                      void *arg);

/* As thread_start(), but nobody joins: the thread cleans up after itself.  For
 * threads that say in another way that they are done, as wg_go() does. */
NODISCARD
enum err thread_start_detached(const char *name, thread_fn *fn, void *arg);

/* Waits until the thread's function has returned; called by that thread itself
 * it aborts. */
void thread_join(struct thread *t);

#endif
