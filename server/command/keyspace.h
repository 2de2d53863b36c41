/* SPDX-License-Identifier: MIT */
/*
 * How many keys there are, as INFO's section Keyspace shows it.
 *
 * The store has to be asked, which may take long or for ever, so there are two
 * steps: refresh, which may wait a little, and print, which shows the newest
 * figures there are.
 *
 * Thread-safety: the loop of the request's client.
 */
#ifndef SERVER_COMMAND_KEYSPACE_H
#define SERVER_COMMAND_KEYSPACE_H

#include "server/command/client.h"
#include "server/command/parts.h"

struct keyspace;

/* 'server' is borrowed, and need not be complete yet. */
struct keyspace *keyspace_new(const struct server *server);
/* Waits for a count that is under way; nobody waits for one any more. */
void keyspace_free(struct keyspace *keyspace);

typedef void keyspace_ready_fn(struct request *request);

/* Has the figures brought up to date on behalf of 'request', which is not part
 * of an EXEC.  True: they are.  False: 'ready' is called once, on the loop and
 * not before this returns, when they are or when that takes too long; also if
 * the client left meanwhile (request->client is NULL then). */
bool keyspace_refresh(struct request *request, keyspace_ready_fn *ready);

/* Appends a line for each database that has keys:
 * "db0:keys=1,expires=0,avg_ttl=0\r\n". */
void keyspace_print(const struct server *server, struct buf *out);

#endif
