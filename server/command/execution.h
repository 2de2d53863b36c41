/* SPDX-License-Identifier: MIT */
/*
 * The execution of a transaction: EXEC.
 *
 *     each queued command that touches keys runs; what it would read and write
 *     it hands to execution_add() instead, and stays pending
 *        │
 *        ▼
 *     update_start(): one group; in its turn, if no watched key has changed
 *        │                       all of it is done, or nothing
 *        ▼
 *     on the loop again: each command replies in order, from its part of the
 *     outcome; one that touches no keys (PING, CONFIG …) runs only now
 *
 * A command that finds a key of the wrong type, or no number, changes nothing
 * and replies its error; the others are carried out, as in Redis.  One that the
 * database refuses takes all of them back.
 *
 * When the client leaves, the group goes on.
 *
 * What the group takes counts as EXEC's time; that of its commands is what they
 * take to reply.
 *
 * Thread-safety: the loop of the client.
 */
#ifndef SERVER_COMMAND_EXECUTION_H
#define SERVER_COMMAND_EXECUTION_H

#include "server/command/command.h"
#include "server/command/transaction.h"

/* Takes 'transaction' over and executes it for 'request', EXEC. */
enum command_status execution_start(struct request *request,
                                    struct transaction *transaction);

typedef void execution_done_fn(void *arg, const struct update_outcome *outcome);

/* Makes 'n' updates part of the EXEC that 'request' is part of; what they
 * point to lives as long as 'request'.  'on_outcome(arg, …)' will
 * reply, from the results of just these; it is not called if the group fails.  A command may
 * do this once. */
enum command_status execution_add(struct request *request,
                                  const struct update *updates, size_t n,
                                  execution_done_fn *on_outcome, void *arg);

/* Keeps 'bytes' that a read of the group has found, behind request->found.
 * False: there is no memory, or all its reads found too much together.
 * Thread: that of the group. */
NODISCARD
bool execution_keep(struct request *request, struct slice bytes);

#endif
