/* SPDX-License-Identifier: MIT */
/*
 * The index of one shard: a hash table of entries that grows and shrinks by
 * one bin at a time (linear hashing), so that nobody ever waits for a rehash.
 *
 *     segments ─► [ 8 bins ]              bins 0 …
 *                 [ 8 bins ]              bins 8 …
 *                 [ 16 bins ]             bins 16 …      each as large as all
 *                 [ 32 bins ]             bins 32 …      those before it
 *
 *     a bin:      | 7 tags, count | 7 pointers |         one cache line
 *                                       └─► the 7th may lead to another bin
 *
 * A lookup compares a tag of 8 bits before it follows a pointer, so it rarely
 * touches an entry that is not the one asked for.
 *
 * With n bins, and 2^d the smallest power of two that is not below n, a hash
 * belongs into the bin of its low d bits, or, if there is no such bin yet, of
 * its low d - 1 bits.  Growing adds bin n and splits one older bin into it.
 *
 * Walks go in the order of the bits of the hash reversed.  In that order each
 * bin is one interval, and splitting a bin cuts its interval in two.  So a
 * position in that order is a cursor that growing and shrinking do not upset.
 * Source: the idea of reversing is that of Shalev and Shavit, "Split-ordered
 * lists", JACM 2006; linear hashing is Litwin's, VLDB 1980.
 *
 * Thread-safety: none; the shard's lock, for reading in const functions.
 */
#ifndef SERVER_CACHE_INDEX_H
#define SERVER_CACHE_INDEX_H

#include "server/cache/entry.h"

/* Enough for 2^32 bins. */
#define INDEX_SEGMENTS 30

struct index_bin;

struct index {
    struct index_bin *segments[INDEX_SEGMENTS];
    uint32_t n_bins;
    uint32_t mask;  /* The smallest 2^d - 1 that is not below n_bins - 1. */
    size_t n_extra; /* Bins chained behind others. */
    size_t n_entries;
};

void index_init(struct index *ix);
/* Frees the index's memory, not the entries. */
void index_destroy(struct index *ix);

/* The entry of 'key', or NULL. */
struct entry *index_find(const struct index *ix, const struct key *key);

/* Adds 'e', whose key is 'key' and not there yet; false when memory is
 * exhausted. */
NODISCARD
bool index_insert(struct index *ix, const struct key *key, struct entry *e);

/* Puts 'e', of the same key, where 'old' is. */
void index_replace(struct index *ix, const struct entry *old, struct entry *e);

void index_remove(struct index *ix, const struct entry *e);

/* Bytes of the bins in use.  Memory of a segment that no bin has used yet was
 * never touched, so it costs nothing. */
size_t index_size(const struct index *ix);

/* ---- walking ---- */

/* The bin that holds position 'at' of the walk (0 begins). */
uint32_t index_bin_at(const struct index *ix, uint32_t at);

/* Where the walk goes on after 'bin'; 0 at the end. */
uint32_t index_after(const struct index *ix, uint32_t bin);

/* The entries of one bin, one by one:
 *     struct index_walk walk;
 *     for (e = index_first(&walk, ix, bin); e != NULL; e = index_next(&walk))
 * Nothing may be inserted or removed meanwhile. */
struct index_walk {
    const struct index_bin *bin;
    unsigned next;
};
struct entry *index_first(struct index_walk *walk, const struct index *ix,
                          uint32_t bin);
struct entry *index_next(struct index_walk *walk);

#endif
