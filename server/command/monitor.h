/* SPDX-License-Identifier: MIT */
/*
 * MONITOR: every command that runs, as a line to those who asked for it.
 *
 *     +1795474981.933973 [0 127.0.0.1:53612] "SET" "k" "v"
 *
 * The lines travel as messages do (pubsub.h): one task for each loop on which
 * somebody listens, in order, bounded in the same way, and by
 * client-output-buffer-limit pubsub.  A line is sent before its command runs;
 * those of a transaction when EXEC runs it, and then EXEC.  What administrators
 * ask is not shown, and passwords are not.
 *
 * While nobody listens, a command costs one load.
 *
 * Thread-safety: the loop of the request.
 * Source: the lines of Redis 7.0.
 */
#ifndef SERVER_COMMAND_MONITOR_H
#define SERVER_COMMAND_MONITOR_H

#include "server/command/client.h"
#include "server/command/parts.h"
#include "server/command/pubsub.h"

/* Does anybody listen? */
static inline bool monitor_is_on(const struct server *server)
{
    return pubsub_count(server->pubsub, PUBSUB_MONITOR) > 0;
}

/* Is 'request' of a client that listens and may not touch keys meanwhile, as
 * in Redis?  Then it is answered with an error. */
bool monitor_refuses(struct request *request);

/* Shows 'request', if it may be shown. */
void monitor_tell(const struct request *request);

/* The client listens no more. */
void monitor_end(struct client *client);

#endif
