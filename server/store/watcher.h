/* SPDX-License-Identifier: MIT */
/*
 * The watcher: one thread that notices what others change in the database.
 *
 *     somebody writes ─► the engine's descriptor ─► look, look, look … ─► told
 *
 * A commit can be seen a little after the last thing that wakes us: so the
 * thread looks again and again, at first every millisecond, and ever less
 * often the longer nobody has written.  Where the system cannot wake us, it
 * looks every few milliseconds.
 *
 * Rows that the engine can name are told one by one.  For the others the one
 * question is whether a commit was ours: only the writer knows, so it is asked
 * (store_writer_look()), and answers watcher_foreign_commit().
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_STORE_WATCHER_H
#define SERVER_STORE_WATCHER_H

#include "server/store/engine.h"

struct watcher;

struct watcher_options {
    const struct engine *engine;
    struct engine_database *database; /* Borrowed. */
    const struct mappings *mappings;  /* Borrowed. */
    struct store_observer observer;
    /* Has watcher_foreign_commit() called if others have committed. */
    void (*ask)(void *arg);
    void *arg;
};

/* Starts to watch; later calls find only what changes from here on.  Errors:
 * those of the engine, with a sentence in 'detail'; ERR_SYSTEM. */
NODISCARD
enum err watcher_open(struct watcher **watcherp,
                      const struct watcher_options *options,
                      struct buf *detail);

/* Joins the thread.  Nobody is told anything afterwards. */
void watcher_stop(struct watcher *watcher);

/* Stops and frees; when nobody can call watcher_foreign_commit() any more.
 * watcher_close(NULL) is fine. */
void watcher_close(struct watcher *watcher);

/* Somebody else has committed: what cannot be told by name is out of date.
 * Does not wait. */
void watcher_foreign_commit(struct watcher *watcher);

/* For INFO: "name:value\r\n" lines. */
void watcher_describe(const struct watcher *watcher, struct buf *out);

#endif
