/* SPDX-License-Identifier: MIT */
/*
 * Transactions: the commands that a client queues behind MULTI, and the keys
 * that it watches.
 *
 *     WATCH k ─► watches_add()      its version as of now, in the order of writes
 *     MULTI   ─► command_run() hands each command to transaction_queue()
 *     EXEC    ─► execution.h takes both over;  DISCARD: transaction_end()
 *
 * The queue is bounded by client-query-buffer-limit, as if its commands had
 * not been read yet.
 *
 * Thread-safety: the loop of the client, but for watch_set_unchanged().
 */
#ifndef SERVER_COMMAND_TRANSACTION_H
#define SERVER_COMMAND_TRANSACTION_H

#include "server/command/command.h"
#include "server/lookup/update.h"

struct watched;
struct watches;

/* A key that is watched: how it was when its client asked for that. */
struct watch {
    struct watched *watched; /* A reference. */
    uint64_t version;
    int64_t expires_ms; /* Wall clock; 0: never. */
};

struct watch_set {
    struct watches *watches; /* Borrowed; NULL in an empty set. */
    struct watch *list;
    size_t n;
};

/* A command in the queue, and later a part of EXEC. */
struct queued {
    struct queued *next;
    struct request request; /* Owns its arguments; its reply goes to 'own'. */
    /* Of execution.c: its updates in the group, and who looks at theirs. */
    size_t first_update;
    size_t n_updates;
    void (*on_outcome)(void *arg, const struct update_outcome *outcome);
    void *arg;
    bool done; /* It has answered. */
};

struct transaction {
    bool open;   /* Between MULTI and EXEC. */
    bool failed; /* A command could not be queued: EXEC will do nothing. */
    bool writes; /* So does one of the commands; dispatch.c's. */
    struct queued *first, *last;
    size_t n_queued;
    size_t bytes; /* That the queue costs. */
    struct watch_set watched;
};

/* MULTI.  False if there was one already. */
bool transaction_begin(struct client *client);

static inline bool transaction_is_open(const struct client *client)
{
    return client->transaction != NULL && client->transaction->open;
}

/* Puts a copy of 'request' at the end of the queue and replies. */
enum command_status transaction_queue(struct request *request);

/* A command is not in order: if a queue is open, EXEC will refuse it. */
void transaction_fail(struct client *client);

/* Takes the transaction, which the caller then frees, away from its client. */
struct transaction *transaction_take(struct client *client);

/* Queue and watched keys go, as if there had been neither. */
void transaction_end(struct client *client);

void transaction_free(struct transaction *transaction);

/* Gives 'set' to 'client' as more keys to watch. */
void transaction_watch(struct client *client, struct watch_set *set);

/* Nothing is watched any more; the queue stays. */
void transaction_unwatch(struct client *client);

/* True if none of the keys was changed, or has expired, since.
 * Thread: any, while nobody changes the set. */
bool watch_set_unchanged(const struct watch_set *set);

void watch_set_destroy(struct watch_set *set);

#endif
