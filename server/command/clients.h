/* SPDX-License-Identifier: MIT */
/*
 * The list of all connected clients: for CLIENT LIST and CLIENT KILL, for the
 * counters of INFO, and for whoever wants something of a client on another
 * loop.
 *
 *     clients_send(clients, 7, run, arg)  ──►  loop of client 7: run(it, arg)
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
    size_t n_blocked;        /* As CLIENT UNBLOCK or UNPAUSE would end it. */
    size_t bytes;            /* That they cost: buffers, queued commands. */
    size_t max_input_bytes;  /* The largest input buffer, */
    size_t max_output_bytes; /* and what one is owed at most. */
};
struct clients_usage clients_usage(struct clients *clients);

/* Sets one of the names of 'client' ('which' points at the field); an empty
 * slice removes it. */
void clients_set_name(struct clients *clients, char **which, struct slice name);

/* Makes 'user', whose reference it takes, that of 'client', which may not be
 * in yet.  Thread: the loop of the client. */
void clients_set_user(struct clients *clients, struct client *client,
                      struct user *user);

/* ---- which ---- */

enum client_type { /* As CLIENT LIST TYPE has them. */
                   CLIENT_TYPE_ANY,
                   CLIENT_TYPE_NORMAL,
                   CLIENT_TYPE_MASTER, /* There are none of these two. */
                   CLIENT_TYPE_REPLICA,
                   CLIENT_TYPE_PUBSUB
};

/* All of it must be true of a client.  Zeroed: all clients. */
struct client_filter {
    uint64_t id; /* 0: any. */
    enum client_type type;
    struct slice address; /* With no data: any; the next two likewise. */
    struct slice local_address;
    struct slice user;
    int64_t min_age_us;
    const struct client *other_than; /* NULL: none is left out. */
};

/* Appends a line for each, as CLIENT LIST shows them, in the order they came.
 */
void clients_list(struct clients *clients, const struct client_filter *filter,
                  struct buf *out);
/* Appends the line of 'client'. */
void clients_describe(struct clients *clients, struct client *client,
                      struct buf *out);

/* The numbers of those that 'filter' is true of, '*n' of them.
 * Ownership: the caller frees the array; NULL when there are none. */
uint64_t *clients_select(struct clients *clients,
                         const struct client_filter *filter, size_t *n);

/* ---- on its loop ---- */

/* 'client' is NULL if it has gone meanwhile. */
typedef void client_task_fn(struct client *client, void *arg);

/* Has 'run' called on the loop of client 'id', as a task of its own.  False:
 * there is no such client, or its loop has ended; 'run' is not called then. */
NODISCARD
bool clients_send(struct clients *clients, uint64_t id, client_task_fn *run,
                  void *arg);

#endif
