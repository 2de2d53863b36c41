/* SPDX-License-Identifier: MIT */
/*
 * A task: a function to be called with an argument, somewhere else.
 *
 * An event loop owns an unbounded channel of tasks and runs them on its
 * thread; other parts hold the send-only side as their way home, without
 * knowing of event loops.
 */
#ifndef COMMON_TASK_H
#define COMMON_TASK_H

#include "common/chan.h"

typedef void task_fn(void *arg);

struct task {
    task_fn *run;
    void *arg;
};

/* Has 'run(arg)' called by the owner of 'home'.  Returns false when the owner
 * has stopped taking tasks: then nothing will be called. */
static inline bool task_post(struct chan_tx home, task_fn *run, void *arg)
{
    const struct task task = {.run = run, .arg = arg};
    return chan_send(home, &task) == ERR_OK;
}

#endif
