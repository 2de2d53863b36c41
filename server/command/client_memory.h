/* SPDX-License-Identifier: MIT */
/*
 * maxmemory-clients: what all connections cost together, and who goes when that
 * is too much.
 *
 *     size class    < 16kb   < 32kb   < 64kb   …
 *                   [c][c]…  [c]               [c][c]
 *                                               └──► these go first
 *
 * A loop says what a connection of its own costs whenever that has changed.
 * The sum is one atomic; a client moves to another list only when its size
 * class changes, which is a power of two.  Whoever takes the sum over the limit
 * sends the largest away, by a task to their loops, until the rest is below it.
 *
 * Thread-safety: any thread; one lock of rank LOCK_LEAF over the lists.
 */
#ifndef SERVER_COMMAND_CLIENT_MEMORY_H
#define SERVER_COMMAND_CLIENT_MEMORY_H

#include "server/command/client.h"

struct client_memory;

struct client_memory *client_memory_new(void);
void client_memory_free(struct client_memory *m);

/* 'client' costs 'bytes' from now on.  Thread: its loop. */
void client_memory_charge(struct client_memory *m, struct client *client,
                          size_t bytes);
/* It leaves.  Thread: its loop. */
void client_memory_leave(struct client_memory *m, struct client *client);

/* Sends clients of 'server' away until the rest is within maxmemory-clients.
 */
void client_memory_enforce(const struct server *server);

/* What all clients cost. */
size_t client_memory_total(const struct client_memory *m);

#endif
