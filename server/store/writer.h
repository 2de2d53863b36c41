/* SPDX-License-Identifier: MIT */
/*
 * The writer of the store: one thread, one connection, group commit.
 *
 *   store_writer_start ─► [channel] ─► pending ─► BEGIN, apply …, COMMIT
 *                                                        │
 *                                           done(), done(), done() …
 *
 * Whatever was queued while one transaction committed makes up the next: under
 * load one fsync serves many writes, and alone a write waits for nobody.
 * Deferred writes wait until one that is not comes along, the oldest has
 * waited for half of 'behind-interval', or they are many.
 *
 * The thread makes every checkpoint too, so that none ever meets a commit.
 *
 * Thread-safety: any thread.  No locks but those of the channels.
 */
#ifndef SERVER_STORE_WRITER_H
#define SERVER_STORE_WRITER_H

#include "server/store/engine.h"

struct store_writer;

struct store_writer_options {
    const struct engine *engine;
    struct engine_database *database; /* Borrowed. */
    const struct config *config;      /* Borrowed. */
    struct timers *timers;            /* Borrowed. */
};

/* Opens the connection and starts the thread. */
NODISCARD
enum err store_writer_open(struct store_writer **writerp,
                           const struct store_writer_options *options,
                           struct buf *detail);

/* Refuses new writes, commits those that were accepted, joins the thread.  A
 * database that cannot be written to is tried for 'store-timeout' before the
 * rest is given up, with an error to each. */
void store_writer_stop(struct store_writer *writer);

/* Stops, makes a last checkpoint, closes the connection and frees.  To be
 * called when no reader is open any more: then all of the log can go.  An error
 * says why accepted writes were lost. */
NODISCARD
enum err store_writer_close(struct store_writer *writer);

/* 'foreign(arg)' will be called on the writer's thread whenever it finds that
 * somebody else has committed: at the begin of a transaction, or when it was
 * asked to look.  Call once; any thread. */
typedef void store_foreign_fn(void *arg);
void store_writer_on_foreign(struct store_writer *writer,
                             store_foreign_fn *foreign, void *arg);
/* 'observer' will be told what the writes change beside their rows.  Borrowed
 * until the writer is closed. */
void store_writer_observe(struct store_writer *writer,
                          const struct store_observer *observer);
/* As store_on_ended(). */
void store_writer_on_ended(struct store_writer *writer,
                           void (*ended)(void *arg), void *arg);
/* Has the writer look soon, without waiting. */
void store_writer_look(struct store_writer *writer);

/* As store_write_start(). */
NODISCARD
enum err store_writer_start(struct store_writer *writer,
                            struct store_write *write);

/* As store_dead_letter_drop(). */
NODISCARD
enum err store_writer_drop_letters(struct store_writer *writer,
                                   struct dead_letter_drop *drop);
struct dead_letters *store_writer_letters(struct store_writer *writer);

/* False only if every deferred write that was started before (in an order that
 * the caller can know of) has ended. */
bool store_writer_has_deferred(const struct store_writer *writer);

/* How far the writes are; see store_progress(). */
void store_writer_progress(const struct store_writer *writer,
                           struct store_progress *progress);

/* "name:value\r\n" lines. */
void store_writer_describe(const struct store_writer *writer, struct buf *out);

#endif
