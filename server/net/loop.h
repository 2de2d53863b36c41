/* SPDX-License-Identifier: MIT */
/*
 * An event loop: one thread around one libevent base, with a channel of tasks
 * that any thread may send to.
 *
 * Connections belong to the loop that accepted them and are touched by its
 * thread only.  Everybody else hands things over with loop_post().
 *
 * Thread-safety: loop_post() and loop_home() from anywhere; the rest as said.
 */
#ifndef SERVER_NET_LOOP_H
#define SERVER_NET_LOOP_H

#include "common/attr.h"
#include "common/err.h"
#include "common/task.h"

struct event_base;
struct loop;

/* Makes a loop; loop_start() gives it a thread of its own ("io/0" …), while
 * loop_run() runs it on the caller's until loop_break(). */
NODISCARD
enum err loop_new(struct loop **loopp, const char *name);
NODISCARD
enum err loop_start(struct loop *loop);
void loop_run(struct loop *loop);
/* Asks the loop to return soon; if it does not run yet, as soon as it does.
 * Thread: any. */
void loop_break(struct loop *loop);
/* Breaks and joins the thread if there is one: from then on the loop stands
 * still, and tasks wait for loop_free().  Idempotent.
 * Thread: the one that made the loop; not from inside loop_run(). */
void loop_stop(struct loop *loop);
/* Stops, refuses further tasks and runs those still queued, on the calling
 * thread; lets the attached part close.  Where tasks of one loop post to
 * another, all of them are closed before one is freed. */
void loop_close(struct loop *loop);
/* Closes, if that was not done yet, and frees.  loop_free(NULL) is fine. */
void loop_free(struct loop *loop);

/* Runs 'run(arg)' on the loop's thread, once.  False: the loop is being freed.
 */
bool loop_post(struct loop *loop, task_fn *run, void *arg);
/* The send-only side of the loop's channel of tasks. */
struct chan_tx loop_home(struct loop *loop);

/* True on the loop's own thread; for asserts. */
bool loop_is_current(const struct loop *loop);

/* ---- for the other files of server/net/ only ---- */

struct event_base *loop_base(struct loop *loop);

/* One part may hang its per-loop state on the loop (conn.c does);
 * loop_free() hands it to 'close'.  Thread: the loop's. */
void loop_attach(struct loop *loop, void *part, task_fn *close);
/* What was attached, or NULL. */
void *loop_attached(const struct loop *loop);

#endif
