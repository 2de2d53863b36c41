/* SPDX-License-Identifier: MIT */
/*
 * The readers of the store: slots, the queue for them, the threads that read,
 * and the reads that wait out a simulated delay.
 *
 *   store_pool_read ─► slot free? ──yes─► [common/pool] ─► engine ─► row()
 *                        │no   ▲                                       │
 *                        ▼     │ a slot is free                  delayed by
 *                      queue ──┘                                   a timer
 *                        │                                             │
 *                     withdraw                        done(), slot free ◄┘
 *
 * Walks run on the same threads, in steps, so that a walk over all keys holds
 * up no read for longer than a step takes.
 *
 * Thread-safety: any thread.  One lock, of rank LOCK_STORE, is held for a few
 * instructions, and never while a callback or the engine runs.
 */
#ifndef SERVER_STORE_POOL_H
#define SERVER_STORE_POOL_H

#include "server/store/engine.h"

struct store_pool;

struct store_pool_options {
    const struct engine *engine;
    struct engine_database *database; /* Borrowed. */
    const struct config *config;      /* Borrowed. */
    struct timers *timers;            /* Borrowed. */
};

/* Opens one reader per thread.  Errors: those of the engine, with a sentence
 * in 'detail'; ERR_SYSTEM. */
NODISCARD
enum err store_pool_open(struct store_pool **poolp,
                         const struct store_pool_options *options,
                         struct buf *detail);

/* Refuses new work, and ends with ERR_SHUTTING_DOWN the reads that wait for a
 * slot or on a simulated delay. */
void store_pool_stop(struct store_pool *pool);

/* Stops, waits for what still runs, and frees.  Walks begun must have been
 * run or ended by then, or be so by another thread. */
void store_pool_close(struct store_pool *pool);

/* As store_read_start() and store_read_withdraw(). */
enum store_start store_pool_read(struct store_pool *pool,
                                 struct store_read *read);
NODISCARD
bool store_pool_withdraw(struct store_pool *pool, struct store_read *read);

/* Takes 'walk' in: then it has to be run, or ended.  Errors: ERR_STORE_BUSY,
 * ERR_SHUTTING_DOWN. */
NODISCARD
enum err store_pool_walk_begin(struct store_pool *pool,
                               struct store_walk *walk);
/* Hands 'walk' to the readers; they end it. */
void store_pool_walk_run(struct store_walk *walk);
/* Calls done() of a walk that does not run. */
void store_pool_walk_end(struct store_walk *walk, enum err err);
/* Gives up a walk that was begun, without a word. */
void store_pool_walk_refuse(struct store_walk *walk);

/* "name:value\r\n" lines. */
void store_pool_describe(struct store_pool *pool, struct buf *out);

#endif
