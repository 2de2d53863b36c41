/* SPDX-License-Identifier: MIT */
/*
 * The databases that SELECT chooses from.
 *
 * Inside bookd a key is one string of bytes, which says the database too
 * (store/plain_key.h); only here and in the commands that are about databases
 * (cmd_database.c) there are numbers.
 *
 *     GET user:7 ─► database_enter() ─► handler, cache, store: "\0\3user:7"
 *     in database 3                       SCAN, notifications: plain_key_shown()
 *
 * Records are in database 0 alone: in any other, "book:3" is an ordinary key.
 *
 * SWAPDB moves no key.  It changes under which number the keys of a database
 * are stored, a permutation, which stands in the store as a plain key of
 * bookd's own, so that it is written, logged and recovered like any other.  A
 * command that is under way at that moment goes where its key was when it
 * began.
 *
 * Thread-safety: any thread, after databases_load().
 */
#ifndef SERVER_COMMAND_DATABASES_H
#define SERVER_COMMAND_DATABASES_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/lock.h"
#include "server/command/command.h"
#include "server/command/parts.h"
#include "server/store/plain_key.h"

#include <stdatomic.h>

struct store;

/* Which number each database is stored under, and how often that was changed.
 */
struct database_order {
    uint64_t count;
    unsigned char stored[PLAIN_KEY_DATABASES];
};

struct databases {
    size_t n;             /* How many there are; constant. */
    _Atomic bool swapped; /* 'order' is not that of the numbers.  Stored release
                             under the lock, loaded acquire without it. */
    struct rwlock lock;   /* Rank LOCK_LEAF; held for a few instructions. */
    struct database_order order GUARDED_BY(lock);
};

/* What the permutation is kept under. */
#define DATABASES_KEY SLICE("\0\377databases")

struct databases *databases_new(size_t n);
void databases_free(struct databases *databases);

/* Reads the permutation from the store; waits.  Before there are clients.
 * Errors: those of the store. */
NODISCARD
enum err databases_load(struct databases *databases, struct store *store);

/* True if SWAPDB has changed the order. */
static inline bool databases_swapped(const struct databases *databases)
{
    return atomic_load_explicit(&databases->swapped, memory_order_acquire);
}

/* The number under which keys of database 'selected' are stored. */
unsigned databases_stored(struct databases *databases, unsigned selected);
/* The reverse; -1 if 'stored' is no client's. */
int databases_selected(struct databases *databases, unsigned stored);

/* The permutation as text, after 'a' and 'b' have changed places in what
 * 'before' says, or (if that is empty) in ours. */
void databases_swap_text(struct databases *databases, struct slice before,
                         unsigned a, unsigned b, struct buf *text);
/* Takes what such a text says, unless ours is newer. */
void databases_take(struct databases *databases, struct slice text);

/* The database that the client has selected.  Thread: its loop. */
static inline unsigned client_database(const struct client *client)
{
    return (unsigned)atomic_load_explicit(&client->database,
                                          memory_order_relaxed);
}

/* Reads argument 'i' as the number of a database; replies if it is none. */
NODISCARD
bool database_arg(struct request *request, size_t i, unsigned *database);

/* 'key', as a client writes it, of database 'selected', as it is inside; lives
 * with the request.  False without memory, which is replied. */
NODISCARD
bool database_key(struct request *request, unsigned selected, struct slice key,
                  struct slice *inner);

/* Gives the request inner keys in place of those that the client wrote; false
 * without memory, which is replied. */
NODISCARD
bool database_translate(struct request *request);

/* The same, if it has to be: for most commands it has not. */
NODISCARD
static inline bool database_enter(struct request *request)
{
    const struct client *client = request->client;

    if (request->command->first_key == 0) {
        return true;
    }
    if (client_database(client) != 0 ||
        databases_swapped(client->server->databases)) {
        return database_translate(request);
    }
    const struct key_places keys = command_keys(request);
    for (size_t i = keys.first; i < keys.end; i += keys.step) {
        if (request->argv[i].size > 0 && request->argv[i].data[0] == '\0') {
            return database_translate(request);
        }
    }
    return true;
}

/* Argument 'i' as the client wrote it, also when the request was translated:
 * for who shows commands. */
struct slice database_shown_arg(const struct request *request, size_t i);

#endif
