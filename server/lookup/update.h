/* SPDX-License-Identifier: MIT */
/*
 * Updates: writes, store first and cache second, and the fence between them
 * and the fills.
 *
 *   through   store ─► commit ─► [fence, cache] ─► acknowledged
 *     logged  store ─► log ─► [fence, dirty copy] ─► acknowledged
 *             … in its table later ─► the copy is clean (plain keys)
 *   behind    [decide, queue for the store, fence, dirty copy] ─► acknowledged
 *             … commit within behind-interval ─► the copy is clean
 *   none      [decide, cache] (plain keys)
 *
 * What stands in brackets happens under the flight locks of the keys, so that
 * a fill of the same key comes wholly before (and is replaced) or finds itself
 * fenced.
 *
 * An update may depend on what is there (INCR, SET NX): decide() then says
 * what to write.  It runs wherever the order of writes is known: in the store's
 * transaction, or, if the cache holds the present state of all keys and no
 * write of them is on its way to the store, under their flight locks.
 *
 * Several updates make a group (MULTI, MSET): one transaction, all or nothing,
 * in the store and for whoever reads through the cache.
 *
 * Of a group nobody sees a part: in memory its copies change at once for who
 * reads, and while it is in the store's hands its keys are marked (flight.h).
 *
 * The store has one writer and commits in the order of submission.
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_LOOKUP_UPDATE_H
#define SERVER_LOOKUP_UPDATE_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/chan.h"
#include "common/err.h"
#include "common/slice.h"
#include "server/cache/cache.h"
#include "server/lookup/changes.h"
#include "server/store/store.h"

struct lookup;

/* A key as it is: what the cache would hold for it. */
struct present {
    const struct mapping *mapping; /* NULL: a plain key. */
    enum copy_kind kind;           /* COPY_NEGATIVE: there is nothing. */
    struct slice bytes;            /* As the cache keeps them; a record as
                                      record.h encodes it. */
    int64_t expires_ms;
};

/* What to write.  update_start() copies what the slices point to; 'context'
 * must live until the outcome is known. */
struct update {
    enum store_op op; /* All but STORE_GROUP and STORE_BARRIER. */
    struct slice key; /* Whole: "book:3", or a plain key. */
    struct slice value;
    const struct slice *fields; /* STORE_SET_COLUMNS: name, value, … */
    size_t n_fields;            /* Names and values together. */
    int64_t expires_ms;         /* STORE_PUT_PLAIN: wall clock; 0: never. */
    enum plain_type type;       /* STORE_PUT_PLAIN: what 'value' is. */

    /* What listeners are told if it changed something: "set", "hset". */
    const char *event;
    enum change_class class;

    void *context; /* Of the two functions; both may be NULL. */
    /* Looks at what is there and may change what will be done, which
     * '*update' says: a copy that is his until he returns: 'op' to another
     * one or to STORE_READ for nothing, 'value', 'type', 'fields',
     * 'expires_ms', 'event'.  New bytes go to 'room' or lie in the context.  An error (of
     * those of engine_is_own_fault()) fails this update with the sentence in
     * 'detail'.  Any thread; perhaps several times, of which the last counts;
     * it takes no locks and does not wait. */
    enum err (*decide)(void *context, const struct present *now,
                       struct update *update, struct buf *room,
                       struct buf *detail);
    /* STORE_READ: what is there.  As decide(). */
    void (*found)(void *context, const struct present *now);
};

struct update_result {
    enum err err;
    struct slice detail; /* A sentence on failure; valid during the call. */
    int64_t n_changed;   /* As in struct store_write; but a plain value that was
                            put in memory over who knows what counts … */
    int64_t n_created;   /* … as created. */
    int64_t n_new_fields;
};

/* 'results' has one for each update of the group, in order.  'err' is how the
 * whole ended; if it is not ERR_OK nothing was changed at all, and 'detail'
 * says why.  An update whose decide() failed does not make it fail. */
struct update_outcome {
    enum err err;
    struct slice detail;
    const struct update_result *results;
    size_t n;
};

typedef void update_done_fn(void *arg, const struct update_outcome *outcome);

struct update_caller {
    struct chan_tx home;  /* 'done(arg, …)' runs behind it, once. */
    update_done_fn *done; /* Valid during the call: all of the outcome. */
    void *arg;
    /* May be NULL.  Asked once the order of this group among all writes is
     * fixed: false, and nothing is done, the error is ERR_CONFLICT.  Any
     * thread, as decide(). */
    bool (*check)(void *arg);
    uint64_t origin; /* What listeners are told of who wrote: the id of a
                        client; 0: nobody's. */
};

/* Begins 'n' updates, as a group if there is more than one.  Returns true if
 * they were acknowledged (or refused) at once: done() was called then, before
 * this returned.  Otherwise it will be called behind 'home', whatever becomes
 * of the client; never before this has returned. */
bool update_start(struct lookup *lookup, const struct update *updates, size_t n,
                  const struct update_caller *caller);

#endif
