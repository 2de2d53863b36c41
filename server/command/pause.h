/* SPDX-License-Identifier: MIT */
/*
 * CLIENT PAUSE: for a while, commands of a kind wait in their connections.
 *
 *     conn: command_is_paused()?  ──yes──►  pause_wait(…, resume) once a loop,
 *                                           and a timer for the end
 *     UNPAUSE ──► resume, on each loop that waits
 *
 * A command that is held has not begun: it stays in its connection's input,
 * with all behind it, and costs no thread.  Commands that would be refused
 * anyway are refused meanwhile.
 *
 * Thread-safety: any thread; one lock of rank LOCK_LEAF, taken by whoever must
 * wait.  While nothing is paused, looking costs one load.
 */
#ifndef SERVER_COMMAND_PAUSE_H
#define SERVER_COMMAND_PAUSE_H

#include "common/task.h"

#include <stdint.h>

struct pause;

enum pause_kind {
    PAUSE_NONE,
    PAUSE_WRITES, /* What changes something, or is sent on to others. */
    PAUSE_ALL
};

struct pause *pause_new(void);
void pause_free(struct pause *pause);

/* Pauses 'kind' until 'end_us' (clock_now_us()).  If there is a pause already,
 * the later end counts, and the stricter kind. */
void pause_begin(struct pause *pause, enum pause_kind kind, int64_t end_us);
void pause_end(struct pause *pause);

/* What is paused.  It may be over already: who must wait finds out in
 * pause_wait(). */
enum pause_kind pause_kind(const struct pause *pause);

/* Somebody of loop 'home' waits: 'resume(arg)' is called there when the pause
 * is ended early; once, however often it was asked.  Returns when the pause
 * ends by itself, so that the caller looks again then; in the past if it is
 * over. */
int64_t pause_wait(struct pause *pause, struct chan_tx home, task_fn *resume,
                   void *arg);

#endif
