/* SPDX-License-Identifier: MIT */
/*
 * The newest write of each plain key: a hash table of writes, under their 'key'
 * and 'hash'.
 *
 * The hashes stand in the table, so that a look at a key that is not there
 * touches no write: they lie all over the memory.
 *
 * Thread-safety: none.
 */
#ifndef SERVER_STORE_FOLD_H
#define SERVER_STORE_FOLD_H

#include "server/store/store.h"

struct fold_slot {
    uint64_t hash;
    struct store_write *write; /* NULL: free. */
};

/* Zeroed means empty. */
struct fold {
    struct fold_slot *slots; /* Open addressing, linear. */
    size_t n_slots;          /* A power of two, or 0. */
    size_t count;            /* At most half of them are taken. */
};

/* The write of that key, or NULL. */
struct store_write *fold_find(const struct fold *fold, struct slice key,
                              uint64_t hash);
/* Puts 'write' in the place of another of its key, which is returned; NULL if
 * there was none. */
struct store_write *fold_put(struct fold *fold, struct store_write *write);
/* Takes out 'write', which is in it. */
void fold_remove(struct fold *fold, const struct store_write *write);
/* Empties it; the slots are kept. */
void fold_clear(struct fold *fold);
void fold_destroy(struct fold *fold);

#endif
