/* SPDX-License-Identifier: MIT */
/*
 * A pack: strings one behind the other in a buffer, in the order in which they
 * were added, each with a number beside it.
 *
 *     size_t at = 0;
 *     struct pack_item item;
 *     while (pack_next(&pack, &at, &item)) { … item.text, item.tag … }
 *
 * Copying one is copying its bytes, so that what a client had us keep is copied
 * in one step, which may fail.  A zeroed buffer is an empty pack.
 *
 * Thread-safety: that of the buffer: one owner, or nobody changes it.
 */
#ifndef SERVER_COMMAND_PACK_H
#define SERVER_COMMAND_PACK_H

#include "common/attr.h"
#include "common/buf.h"

struct pack_item {
    struct slice text; /* Valid until the pack changes. */
    unsigned tag;
    size_t place; /* For pack_remove() and pack_set_tag(). */
};

/* Adds a string behind the others.  False: out of memory. */
NODISCARD
bool pack_add(struct buf *pack, struct slice text, unsigned tag);

/* Takes the item at '*at' (0 to begin) and moves '*at' behind it; false at the
 * end. */
bool pack_next(const struct buf *pack, size_t *at, struct pack_item *item);

/* Looks for the item of this text; false if there is none. */
bool pack_find(const struct buf *pack, struct slice text,
               struct pack_item *item);

/* Takes 'item' out.  The next one is then at its place. */
void pack_remove(struct buf *pack, const struct pack_item *item);
void pack_set_tag(struct buf *pack, const struct pack_item *item, unsigned tag);

#endif
