/* SPDX-License-Identifier: MIT */
/*
 * From a request whose command was found to its handler: everything that may
 * refuse, queue or note a command before and after it runs, in one order.
 *
 *     known? ─► arity ─► may its user? ─► [MULTI: queue] ─► subscribers ─►
 *                                            [MONITOR] ─► handler ─► account
 *
 * Thread-safety: the loop of the request's client.
 */
#ifndef SERVER_COMMAND_DISPATCH_H
#define SERVER_COMMAND_DISPATCH_H

#include "server/command/command.h"

/* Looks the command of request->argv up and sets request->command (NULL if
 * there is none, or no such subcommand) and request->class.  Does not run it.
 * Thread: the loop. */
void command_find(struct request *request);

/* Runs the request: refuses unknown commands and wrong argument counts in
 * Redis' words, and counts it.  A handler that answers COMMAND_PENDING has
 * written nothing yet to request->reply. */
NODISCARD
enum command_status command_run(struct request *request);

/* Does CLIENT PAUSE hold the request, whose command was found?  Not if it would
 * be refused. */
bool command_is_paused(const struct request *request);

#endif
