/* SPDX-License-Identifier: MIT */
/*
 * The command table: every command in one line of commands.def, looked up by
 * name, checked for arity, run.
 *
 * Thread-safety: the table is constant after command_init(); command_run() is
 * called on the loop of the request's client.
 */
#ifndef SERVER_COMMAND_COMMAND_H
#define SERVER_COMMAND_COMMAND_H

#include "common/attr.h"
#include "server/command/client.h"

enum command_status {
    COMMAND_DONE,   /* The reply is written. */
    COMMAND_PENDING /* request_finish() will be called. */
};

typedef enum command_status command_fn(struct request *request);

/* Looks the command of request->argv up and sets request->command (NULL if
 * there is none) and request->class.  Does not run it.  Thread: the loop. */
void command_find(struct request *request);

/* Runs the request: refuses unknown commands and wrong argument counts in
 * Redis' words, counts and times it.  A handler that answers COMMAND_PENDING
 * has written nothing yet to request->reply.  Thread: the loop. */
NODISCARD enum command_status command_run(struct request *request);

#endif
