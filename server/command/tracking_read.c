/* SPDX-License-Identifier: MIT */
/*
 * What clients who track read.
 */
#include "server/command/tracking.h"

#include "common/hash.h"
#include "server/command/tracking_internal.h"
#include "server/command/transaction.h"
#include "server/store/plain_key.h"

#include <sched.h>

#ifndef NDEBUG
static _Atomic bool is_late; /* Set by a test that has no other threads. */

void tracking_test_late(bool late)
{
    is_late = late;
}
#endif

/* Is what it reads now to be tracked? */
static bool is_wanted(const struct tracker *t)
{
    return !t->options.bcast && (!t->options.optin || t->caching) &&
           (!t->options.optout || !t->caching);
}

/* Without memory it is told of a change that there is none of yet. */
static void enter(struct tracker *t, struct slice key)
{
    if (!hub_enter(t->hub, t, key, hash_bytes(key))) {
        tracker_tell(t, key);
        hub_wake(t->hub);
    }
}

void tracking_remember(struct request *request)
{
    struct tracker *t = request->client->tracker;

    if ((request->command->flags & CMD_READONLY) == 0 || !is_wanted(t)) {
        return;
    }
    const struct key_places places = command_keys(request);
    for (size_t i = places.first; i < places.end; i += places.step) {
        enter(t, request->argv[i]);
    }
}

static bool is_about_clients(const struct command *command)
{
    return strncmp(command->name, "client|", 7) == 0;
}

static enum command_status run(struct request *request)
{
#ifndef NDEBUG
    if (is_late) {
        const enum command_status status = request->command->run(request);
        (void)sched_yield();
        tracking_remember(request);
        return status;
    }
#endif
    tracking_remember(request);
    return request->command->run(request);
}

enum command_status tracking_run(struct request *request)
{
    struct client *client = request->client;
    const struct command *command = request->command;
    const enum command_status status = run(request);

    /* CLIENT CACHING is about one command, or one transaction. */
    if (tracking_caching(client) && !transaction_is_open(client) &&
        !is_about_clients(command)) {
        client->tracker->caching = false;
    }
    return status;
}

/* A client who broadcasts has read nothing as far as the table knows; but that
 * a key has expired, nobody tells, if bookd has no copy of it then. */
static bool is_expiry_wanted(const struct tracker *t, struct slice key)
{
    return t->options.bcast && tracker_has_prefix_of(t, plain_key_shown(key));
}

void tracking_note_expiry(const struct request *request, size_t i,
                          int64_t expires_ms)
{
    struct tracker *t = request->client->tracker;
    const struct key_places places = command_keys(request);
    const size_t at = places.first + i * places.step;

    if (at >= places.end) {
        return; /* DEBUG OBJECT: none of its words counts as a key. */
    }
    const struct slice key = request->argv[at];
    if (is_expiry_wanted(t, key)) {
        enter(t, key);
    }
    struct tracked *k = hub_find(t->hub, t, key, hash_bytes(key));
    if (k != NULL) {
        hub_expires(t->hub, k, expires_ms);
    }
}
