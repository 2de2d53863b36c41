/* SPDX-License-Identifier: MIT */
/*
 * Writes that look before they decide: what their handlers share.
 *
 *     struct setting { struct decision decision; … };      first in the context
 *     cmd_x()       s = decision_new(r, sizeof *s)         is r->state from then on
 *     decide_x()    decision_begin(); perhaps _nothing(), _refuse(), _keep()
 *     answer_x()    if (!decision_failed(&s->decision)) …
 *
 * Whatever a command objects to (no integer, no such key) is no failed update:
 * it changes nothing, and its reply is the error, so that the rest of its
 * transaction goes on.
 *
 * Thread-safety: decide() runs on any thread, while nobody else uses the
 * request; new and failed belong to the loop.
 */
#ifndef SERVER_COMMAND_DECIDE_H
#define SERVER_COMMAND_DECIDE_H

#include "server/command/command.h"
#include "server/lookup/record.h"
#include "server/lookup/update.h"

struct decision {
    struct request *request;
    const char *error; /* The reply, if there is one; lives with the request. */
};

/* A zeroed context of 'size' bytes that begins with a decision, freed with the
 * request, in r->state.  NULL without memory, which is replied. */
NODISCARD
void *decision_new(struct request *request, size_t size);

/* Forgets what the last call found and objected to. */
static inline void decision_begin(struct decision *d)
{
    d->error = NULL;
    buf_clear(&d->request->found);
}

static inline enum err decision_nothing(struct update *update)
{
    update->op = STORE_READ;
    return ERR_OK;
}

static inline enum err decision_refuse(struct decision *d,
                                       struct update *update, const char *error)
{
    d->error = error;
    return decision_nothing(update);
}

/* Puts 'bytes' behind request->found; false without memory, which is refused. */
bool decision_keep(struct decision *d, struct update *update,
                   struct slice bytes);

/* Gives the value a plain key has another expiry; 0: none.  One that has passed
 * deletes the key. */
enum err decision_expire(struct decision *d, const struct present *now,
                         int64_t expires_ms, struct update *update,
                         struct buf *room);

/* Replies the error, if there is one. */
bool decision_failed(const struct decision *d);

/* What GET would answer. */
static inline struct slice decision_text(const struct present *now)
{
    return now->kind == COPY_RECORD ? record_json(now->bytes) : now->bytes;
}

/* A string, where a hash is asked for; or the other way round. */
static inline bool decision_is_string(const struct present *now)
{
    return now->kind == COPY_STRING;
}

static inline bool decision_is_hash(const struct present *now)
{
    return now->kind == COPY_HASH;
}

/* As what a plain key is put back. */
static inline enum plain_type decision_type(const struct present *now)
{
    return now->kind == COPY_HASH ? PLAIN_HASH : PLAIN_STRING;
}

#define DECISION_WRONG_TYPE \
    "WRONGTYPE Operation against a key holding the wrong kind of value"
#define DECISION_NO_MEMORY "OOM out of memory; ask for less"

#endif
