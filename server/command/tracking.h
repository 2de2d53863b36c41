/* SPDX-License-Identifier: MIT */
/*
 * Tracking: clients who keep copies of their own (CLIENT TRACKING) are told to
 * drop them when they are no longer what a read would answer.
 *
 *     GET k, on the client's loop:
 *         [k is entered in the loop's table] ─► looked up ─► reply
 *     k changes, on whatever thread, by whomever:
 *         the cache has it ─► tracking_hear(): a note for each loop that
 *         has perhaps entered k ─► on that loop: k is taken out of the table,
 *         invalidate k ─► behind the replies of all requests begun
 *
 * Why no client keeps an old value.  A key is entered before it is looked up,
 * and a change is told after the cache has it, so a lookup that still found the
 * value before it had entered its key by then.  And an invalidation leaves
 * behind the replies of all requests that have begun: whatever a reply brought
 * that was looked up before the key was taken out, its invalidation follows.
 *
 * What changes a key: writes of clients, expiry, eviction of what is in memory
 * only, FLUSHALL, rows changed in SQL by other programs; see lookup/changes.h.
 * What is expired is found by the time that the answer said, so that it does
 * not matter whether bookd has a copy still.
 *
 * All of it but the notes belongs to the loops: the clients of a loop, what
 * they have read, what they are to be told.  A writer does no more than look at
 * one counter a loop, and append a note where it is not 0.
 *
 * Bounds: the keys of all loops by tracking-table-max-keys, the notes for a
 * loop by bytes.  Beyond that invalidations are coarser, and never missing: a
 * key that nobody has changed, or everything ("invalidate null").
 *
 * Thread-safety: as said at each function.
 * Source: the modes, their names and the messages are those of Redis,
 * https://redis.io/docs/manual/client-side-caching.
 */
#ifndef SERVER_COMMAND_TRACKING_H
#define SERVER_COMMAND_TRACKING_H

#include "server/command/command.h"
#include "server/lookup/changes.h"

struct tracker; /* A client that tracks. */
struct tracking;

/* 'server' is borrowed; its configuration, store, lookup and clients are used
 * when the first client tracks. */
struct tracking *tracking_new(const struct server *server);
/* No loop runs any more. */
void tracking_free(struct tracking *tracking);

/* ---- a client; on its loop ---- */

struct tracking_options {
    uint64_t redirect; /* The client who is told instead; 0: none. */
    bool bcast;        /* Told of all keys that begin with one of its … */
    bool optin;        /* Only what is read behind CLIENT CACHING YES. */
    bool optout;       /* But for what is read behind CLIENT CACHING NO. */
    bool noloop;       /* Not told of what it has changed itself. */
};

/* Begins, or goes on with other options; adds the prefixes to those there are.
 * The options fit together, and bcast is what it was.  False, and nothing has
 * changed: the client to redirect to has left, or there is no memory. */
NODISCARD
bool tracking_start(struct client *client,
                    const struct tracking_options *options,
                    const struct slice *prefixes, size_t n_prefixes);
/* Ends it, if it was. */
void tracking_stop(struct client *client);

static inline bool tracking_is_on(const struct client *client)
{
    return client->tracker != NULL;
}

/* All 0 if the client does not track. */
struct tracking_options tracking_options(const struct client *client);
/* A message could not be redirected: that client has left. */
bool tracking_is_broken(const struct client *client);
/* The prefixes, in their order: 'visit' is called for each. */
size_t tracking_n_prefixes(const struct client *client);
void tracking_visit_prefixes(const struct client *client,
                             void (*visit)(void *arg, struct slice prefix),
                             void *arg);

/* CLIENT CACHING, for the next command or transaction: what it reads is tracked
 * (optin), or is not (optout). */
void tracking_set_caching(struct client *client);
bool tracking_caching(const struct client *client);
/* That command, or transaction, is over. */
void tracking_end_caching(struct client *client);

/* Runs the request's command for a client that tracks. */
NODISCARD
enum command_status tracking_run(struct request *request);
/* The keys that the request is about to read will be told of, if its command
 * only reads. */
void tracking_remember(struct request *request);

void tracking_note_expiry(const struct request *request, size_t i,
                          int64_t expires_ms);
/* The answer about key 'i' of the request (0: its first) holds until then. */
static inline void tracking_answered(const struct request *request, size_t i,
                                     int64_t expires_ms)
{
    if (expires_ms != 0 && tracking_is_on(request->client)) {
        tracking_note_expiry(request, i, expires_ms);
    }
}

/* ---- any thread ---- */

/* A change_fn for changes_listen(); 'arg' is the struct tracking. */
void tracking_hear(void *arg, const struct change *change);

/* To be called ten times a second: looks after what has expired. */
void tracking_tick(struct tracking *tracking);

struct tracking_figures {
    size_t n_clients;
    size_t n_keys;  /* Once for each loop whose clients have read it. */
    size_t n_items; /* Pairs of a key and a client who has read it. */
    size_t n_prefixes;
};
struct tracking_figures tracking_figures(const struct tracking *tracking);

#ifndef NDEBUG
/* For tests, which must find what goes wrong then: keys are entered after they
 * were looked up. */
void tracking_test_late(bool late);
#endif

#endif
