/* SPDX-License-Identifier: MIT */
/*
 * The list of all connected clients, for CLIENT LIST and the counters of INFO.
 *
 * Thread-safety: any thread; one lock of rank LOCK_CLIENTS over the list and
 * over the names of the clients.
 */
#ifndef SERVER_COMMAND_CLIENTS_H
#define SERVER_COMMAND_CLIENTS_H

#include "common/buf.h"
#include "common/slice.h"
#include "server/command/client.h"

struct clients;

struct clients *clients_new(void);
void clients_free(struct clients *clients);

/* Enters 'client', giving it its id; fails (false) when 'max' are in already.
 */
NODISCARD
bool clients_add(struct clients *clients, struct client *client, size_t max);
/* Takes 'client' out and frees its names. */
void clients_remove(struct clients *clients, struct client *client);
size_t clients_count(struct clients *clients);

/* The client of this id, or NULL.  It may leave at any time, unless the caller
 * is its loop. */
struct client *clients_find(struct clients *clients, uint64_t id);
/* Where tasks for it are sent; false if there is no such client. */
NODISCARD
bool clients_home(struct clients *clients, uint64_t id, struct chan_tx *home);
/* All clients together, at this moment. */
struct clients_usage {
    size_t count;
    size_t n_subscribers;
    size_t n_waiting;        /* For replies to requests under way. */
    size_t bytes;            /* That they cost: buffers, queued commands. */
    size_t max_input_bytes;  /* The largest input buffer, */
    size_t max_output_bytes; /* and what one is owed at most. */
};
struct clients_usage clients_usage(struct clients *clients);

/* Sets one of the names of 'client' ('which' points at the field); an empty
 * slice removes it. */
void clients_set_name(struct clients *clients, char **which, struct slice name);

/* Appends a line as CLIENT INFO shows it, ending in '\n': of 'client', or of
 * all clients when NULL. */
void clients_describe(struct clients *clients, struct client *client,
                      struct buf *out);

#endif
