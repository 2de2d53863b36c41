/* SPDX-License-Identifier: MIT */
/*
 * What the files of the update layer share: a batch, the updates that were
 * begun together, and its members.
 *
 *     update.c         in and out: copies, the store's callbacks, the outcome
 *     update_group.c   several members in one transaction
 *
 * A batch is one allocation: the struct, its members, and what their slices
 * point to.
 *
 * Thread-safety: a batch belongs to who begins it, then to the store's writer,
 * then to the caller's loop.
 */
#ifndef SERVER_LOOKUP_UPDATE_INTERNAL_H
#define SERVER_LOOKUP_UPDATE_INTERNAL_H

#include "server/lookup/flight.h"
#include "server/lookup/lookup.h"
#include "server/lookup/update.h"

struct batch;

/* One update on its way. */
struct member {
    struct store_write write;
    struct batch *batch;
    uint64_t hash;        /* Of the whole key. */
    struct update asked;  /* As it was submitted, with copies of its bytes. */
    struct update update; /* What decide() made of it. */
    struct buf room;      /* Bytes of decide(). */
    struct buf row;       /* The record before, for decide(), then after. */
    int64_t applied_us;   /* When the store carried it out; 0: it did not. */
    bool has_row;
    bool row_lost; /* There was no memory to encode it. */
    bool skipped;  /* Decided without the store: 'result' says how. */
    struct update_result result;
    struct buf detail; /* Of the result. */
};

struct batch {
    struct store_write group; /* If there are several members for the store. */
    struct lookup *lookup;
    struct update_caller caller;
    bool acknowledged; /* Nobody waits: a dirty copy 'version' does. */
    uint64_t version;
    struct update_outcome outcome;
    struct buf detail;             /* Of the outcome. */
    struct update_result *results; /* One for each member. */
    struct store_write **writes;   /* Room for one for each member. */
    size_t n;
    struct member members[];
};

/* ---- update.c ---- */

/* The transaction failed: no member has changed anything. */
void batch_fail(struct batch *b, enum err err, struct slice detail);
/* Hands the outcome to the caller's loop, and the batch with it. */
void batch_deliver(struct batch *b);

/* Makes the cache say what the store says after member 'm' was committed.  The
 * flight lock of its key is held. */
void member_settle(struct member *m);

/* ---- update_group.c ---- */

/* Begins the 'n' writes of b->writes as one transaction. */
NODISCARD
enum err group_start(struct batch *b, size_t n);

#endif
