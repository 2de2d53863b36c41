/* SPDX-License-Identifier: MIT */
/*
 * A first-in-first-out queue of entries without a link in each: a ring of
 * pointers.  The entry knows its place in the ring.
 *
 *     blocks ─► [ 64 pointers ] [ 64 pointers ] … [ 64 pointers ]
 *                      ▲ head: the oldest                ▲ tail: next free
 *
 * The ring grows and shrinks by one block at a time, so no push waits for a
 * copy of all the rest.  There are no holes: when an entry in the middle is
 * removed, the oldest one takes its place.  That disturbs the order a little
 * in favour of the oldest, and saves two links in every entry.
 *
 * Thread-safety: none; the shard's write lock.
 */
#ifndef SERVER_CACHE_RING_H
#define SERVER_CACHE_RING_H

#include "common/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct entry;
struct ring_block;

/* Zeroed means empty. */
struct ring {
    struct ring_block **blocks; /* Block k stands at k modulo n_blocks. */
    uint32_t n_blocks;          /* 0, or a power of two. */
    uint32_t head;              /* Places only grow, and wrap around: */
    uint32_t tail;              /* [head, tail) are taken. */
};

/* Frees the ring's memory, not the entries. */
void ring_destroy(struct ring *r);

static inline uint32_t ring_count(const struct ring *r)
{
    return r->tail - r->head;
}

/* Puts 'e' at the tail; false when memory is exhausted. */
NODISCARD
bool ring_push(struct ring *r, struct entry *e);

/* The oldest; the ring must not be empty. */
struct entry *ring_head(const struct ring *r);

/* Takes 'e' out, wherever it stands. */
void ring_remove(struct ring *r, struct entry *e);

/* Gives the place of 'old' to 'e'. */
void ring_replace(struct ring *r, const struct entry *old, struct entry *e);

/* Bytes of the blocks. */
size_t ring_size(const struct ring *r);

#endif
