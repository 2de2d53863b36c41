/* SPDX-License-Identifier: MIT */
/*
 * The newest write of each plain key: a hash table whose chains run through
 * the writes themselves.
 *
 * A write is in one such table at a time, under its 'key' and 'hash'.
 *
 * Thread-safety: none.
 */
#ifndef SERVER_STORE_FOLD_H
#define SERVER_STORE_FOLD_H

#include "server/store/store.h"

/* Zeroed means empty. */
struct fold {
    struct store_write **bins; /* n_bins chains, linked by 'chain'. */
    size_t n_bins;             /* A power of two, or 0. */
    size_t count;
};

/* The write of that key, or NULL. */
struct store_write *fold_find(const struct fold *fold, struct slice key,
                              uint64_t hash);
/* Puts 'write' in the place of another of its key, which is returned; NULL if
 * there was none. */
struct store_write *fold_put(struct fold *fold, struct store_write *write);
/* Takes out 'write', which is in it. */
void fold_remove(struct fold *fold, const struct store_write *write);
/* Empties it; the bins are kept. */
void fold_clear(struct fold *fold);
void fold_destroy(struct fold *fold);

#endif
