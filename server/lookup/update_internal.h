/* SPDX-License-Identifier: MIT */
/*
 * What the files of the update layer share: a batch, the updates that were
 * begun together, and its members.
 *
 *     update.c         in and out: copies of what was asked, the outcome
 *     update_store.c   through the store: its callbacks, and what the cache
 *                      becomes afterwards
 *     update_memory.c  decided over the cached copies, under the flight locks
 *     update_record.c  the row that a record will be
 *
 *     asked ─► memory knows? ─yes─► decided ─► [store, deferred] ─► copies are
 *                  │no                   └► acknowledged             clean
 *                  └─► store: decided, applied, committed ─► settled
 *                             └─ or logged ─► acknowledged      └► acknowledged
 *
 * A batch is one allocation: the struct, its members, and what their slices
 * point to.  It is counted: one reference of who acknowledges it, one of the
 * store, if that goes on with it afterwards.
 *
 * Thread-safety: a batch belongs to who begins it, then to the store's writer;
 * when it was acknowledged, its results belong to the caller's loop, and the
 * rest to the writer.  Until a batch from memory is acknowledged, the flight
 * locks of its keys keep the writer from looking.
 */
#ifndef SERVER_LOOKUP_UPDATE_INTERNAL_H
#define SERVER_LOOKUP_UPDATE_INTERNAL_H

#include "server/lookup/changes.h"
#include "server/lookup/flight.h"
#include "server/lookup/lookup.h"
#include "server/lookup/outbox.h"
#include "server/lookup/update.h"

#include <stdatomic.h>

struct batch;

/* One update on its way. */
struct member {
    struct store_write write; /* As decide() left it. */
    struct batch *batch;
    uint64_t hash;       /* Of the whole key. */
    struct update asked; /* As it was submitted, with copies of its bytes. */
    const char *event;   /* As decide() left it. */
    struct buf room;     /* Bytes of decide(), while it is called. */
    char *kept;          /* What it decided to write; owned. */
    struct buf row;      /* The record before, for decide(), then after. */
    struct flight_mark mark;
    int64_t since_us; /* What it left in the store is as old as this. */
    uint64_t version; /* Of its pinned copy; 0: it has none. */

    bool skipped;  /* Decided without the store: 'result' says how. */
    bool begun;    /* Counted by flights_write_begun(). */
    bool applied;  /* Counted by flights_write_applied(). */
    bool has_row;  /* After the write, in 'row'. */
    bool row_lost; /* There was no memory to encode it. */

    struct flight *held; /* To be landed. */

    /* In memory. */
    struct member *previous, *later; /* The next of the same key. */
    struct present after; /* What the key is after this one, if known. */
    bool is_known;
    bool changed;

    struct update_result result;
    struct buf detail; /* Of the result. */
};

struct batch {
    struct store_write group; /* If there are several members. */
    struct outbox_item item;  /* On its way to the loop. */
    struct lookup *lookup;
    struct update_caller caller;
    _Atomic int refs;  /* Raised relaxed by who has one; dropped acq_rel. */
    bool from_memory;  /* Decided there; constant once the store has it. */
    bool barred;       /* flights_bar() was called. */
    bool acknowledged; /* Guarded by the flight locks of the members. */
    struct update_outcome outcome;
    struct buf detail;             /* Of the outcome. */
    struct update_result *results; /* Room for one for each member, … */
    struct store_write **writes;   /* … likewise … */
    struct member **sorted;        /* … and likewise. */
    size_t n;
    struct member members[];
};

/* ---- update.c ---- */

void batch_ref(struct batch *b);
void batch_unref(struct batch *b);

/* The transaction failed: no member has changed anything. */
void batch_fail(struct batch *b, enum err err, struct slice detail);
/* Tells the caller, on this thread, and drops a reference. */
void batch_finish(struct batch *b);
/* Has that done on the caller's loop.  Thread: the store's writer. */
void batch_deliver(struct batch *b);

/* Makes the member's write what was asked. */
void member_reset(struct member *m);
/* Has the member look at 'now' and decide; the store's write says what, and
 * m->result how, as is returned. */
enum err member_decide(struct member *m, const struct present *now);
void member_fail(struct member *m, enum err err, struct slice detail);
/* Tells listeners of a change that the cache has.  The flight lock is held. */
void member_tell(const struct member *m);
/* Likewise, of a change that was told before: the key is not what they were
 * shown since. */
void member_tell_quietly(const struct member *m);
/* Does 'member', which clears plain keys, clear this one?  For cache_clear(). */
bool member_clears(void *member, struct slice key);
/* Tells those who watch the key. */
void member_touch(const struct member *m);

static inline struct cache *batch_cache(const struct batch *b)
{
    return lookup_parts(b->lookup)->cache;
}

static inline struct flights *batch_flights(const struct batch *b)
{
    return lookup_flights(b->lookup);
}

/* The shards of flights of all members. */
uint32_t batch_shards(const struct batch *b);
/* Puts 'n' items, all or none; the versions go to the 'n' first of b->sorted,
 * whose items they are.  The flight locks are held. */
NODISCARD
enum err batch_put(struct batch *b, struct cache_item *items, size_t n);

/* ---- update_store.c ---- */

/* Begins the batch in the store.  Returns true if it was refused: then it has
 * ended. */
bool store_begin(struct batch *b);
/* Hands the 'n' first of b->writes, decided in memory, to the store. */
NODISCARD
enum err store_defer(struct batch *b, size_t n);

/* ---- update_memory.c ---- */

enum memory {
    MEMORY_THROUGH,   /* Memory does not know: nothing was done. */
    MEMORY_ENDED,     /* Acknowledged or refused: to be finished. */
    MEMORY_SUBMITTED, /* In the store's hands, acknowledged by it. */
};
enum memory memory_begin(struct batch *b);
/* Reads a key that is in memory only, for a batch that goes through the store;
 * false if it is no such read. */
bool memory_read(struct member *m);

/* ---- update_record.c ---- */

/* Appends to 'out' the record that 'now' will be after the 'n_fields' names and
 * values of 'fields' were written, as far as that can be foreseen; false if it
 * cannot, or without memory.  '*n_new' fields were NULL before. */
NODISCARD
bool record_believe(const struct present *now, const struct slice *fields,
                    size_t n_fields, struct buf *out, int64_t *n_new);

#endif
