/* SPDX-License-Identifier: MIT */
/*
 * Ghosts: which keys were evicted not long ago, as 4 bytes each.
 *
 * A key that comes back while its ghost is here was evicted too soon.  The
 * ghosts stand in lines of 16 chosen by hash, newest first; each line forgets
 * its oldest.  The number of ghosts follows the number of entries: lines
 * double when they would have to be longer than they are.
 *
 * An answer may be wrong (two keys, one print): it only costs an eviction that
 * could have been better.
 *
 * Thread-safety: none; the shard's write lock.
 */
#ifndef SERVER_CACHE_GHOST_H
#define SERVER_CACHE_GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ghost_line;

/* Zeroed means none. */
struct ghost {
    struct ghost_line *lines;
    uint32_t n_lines; /* 0, or a power of two. */
};

void ghost_destroy(struct ghost *g);

/* Remembers 'hash' as the newest, and no more than about 'count' in all.
 * Without memory for that it does less. */
void ghost_add(struct ghost *g, uint32_t hash, uint32_t count);

/* True, and forgets it, if 'hash' is remembered. */
bool ghost_take(struct ghost *g, uint32_t hash);

/* Bytes of the lines. */
size_t ghost_size(const struct ghost *g);

#endif
