/* SPDX-License-Identifier: MIT */
/*
 * Updates: writes, store first and cache second, and the fence between them
 * and the fills.
 *
 *   through   store ─► commit ─► [fence, cache] ─► acknowledged
 *   behind    [queue for the store, fence, dirty copy] ─► acknowledged
 *             … commit within behind-interval ─► the copy is clean
 *   none      cache only (plain keys)
 *
 * What stands in brackets happens under the key's flight lock, so that a fill
 * of the same key comes wholly before (and is replaced) or finds itself
 * fenced.  The store has one writer and commits in the order of submission;
 * a dirty copy that a completed write finds is therefore younger than it, and
 * stays.
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_LOOKUP_UPDATE_H
#define SERVER_LOOKUP_UPDATE_H

#include "common/attr.h"
#include "common/chan.h"
#include "common/err.h"
#include "common/slice.h"
#include "server/store/store.h"

struct lookup;

/* What to write.  Everything is copied by update_start(). */
struct update {
    enum store_op op;
    struct slice key; /* Whole: "book:3", or a plain key. */
    struct slice value;
    const struct slice *fields; /* STORE_SET_COLUMNS: name, value, … */
    size_t n_fields;            /* Names and values together. */
    int64_t expires_ms;         /* STORE_PUT_PLAIN: wall clock; 0: never. */
};

struct update_result {
    enum err err;
    struct slice detail; /* A sentence on failure; valid during the call. */
    int64_t n_changed;   /* As in struct store_write. */
    int64_t n_new_fields;
};

typedef void update_done_fn(void *arg, const struct update_result *result);

struct update_caller {
    struct chan_tx home; /* 'done(arg, …)' runs behind it, once. */
    update_done_fn *done;
    void *arg;
};

/* Begins the write.  Returns true if it was acknowledged (or refused) at once:
 * then '*result' has the outcome and done() is not called.  Otherwise done()
 * will be, whatever becomes of the client.
 * A delete under 'behind' is acknowledged when committed, for only the store
 * knows whether there was something to delete. */
NODISCARD
bool update_start(struct lookup *lookup, const struct update *update,
                  const struct update_caller *caller,
                  struct update_result *result);

#endif
