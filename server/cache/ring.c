/* SPDX-License-Identifier: MIT */
/*
 * Block k of a ring holds the places k * SLOTS and following.  It exists while
 * one of its places is at or behind the head and one is before the tail: the
 * push that enters it makes it, the removal that leaves it frees it.
 */
#include "server/cache/ring.h"

#include <assert.h>

#include "common/mem.h"
#include "server/cache/entry.h"

/* Small, as every shard has two rings and may be small itself. */
#define SLOTS 64u

/* The directory of blocks starts with this many places. */
#define BLOCKS_MIN 4u

struct ring_block {
    struct entry *slots[SLOTS];
};

static struct ring_block **block_of(const struct ring *r, uint32_t place)
{
    return &r->blocks[place / SLOTS & (r->n_blocks - 1)];
}

static struct entry **slot_of(const struct ring *r, uint32_t place)
{
    return &(*block_of(r, place))->slots[place % SLOTS];
}

/* Blocks in use. */
static uint32_t used_blocks(const struct ring *r)
{
    const uint32_t first = r->head - r->head % SLOTS;

    return (r->tail - first + SLOTS - 1) / SLOTS;
}

void ring_destroy(struct ring *r)
{
    const uint32_t first = r->head - r->head % SLOTS;
    const uint32_t n = used_blocks(r);

    for (uint32_t i = 0; i < n; i++) {
        free(*block_of(r, first + i * SLOTS));
    }
    free(r->blocks);
    *r = (struct ring){.blocks = NULL};
}

/* Doubles the directory.  Each block keeps its number, so it is found at that
 * number modulo the new size. */
static bool grow(struct ring *r)
{
    struct ring bigger = *r;
    const uint32_t first = r->head - r->head % SLOTS;
    const uint32_t n = used_blocks(r);

    bigger.n_blocks = r->n_blocks == 0 ? BLOCKS_MIN : 2 * r->n_blocks;
    bigger.blocks = try_malloc(bigger.n_blocks * sizeof(struct ring_block *));
    if (bigger.blocks == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        *block_of(&bigger, first + i * SLOTS) = *block_of(r, first + i * SLOTS);
    }
    free(r->blocks);
    *r = bigger;
    return true;
}

bool ring_push(struct ring *r, struct entry *e)
{
    if (r->tail % SLOTS == 0) {
        if (used_blocks(r) == r->n_blocks && !grow(r)) {
            return false;
        }
        struct ring_block *const block = try_malloc(sizeof(*block));
        if (block == NULL) {
            return false;
        }
        *block_of(r, r->tail) = block;
    }
    *slot_of(r, r->tail) = e;
    e->place = r->tail++;
    return true;
}

struct entry *ring_head(const struct ring *r)
{
    assert(ring_count(r) > 0);
    return *slot_of(r, r->head);
}

void ring_remove(struct ring *r, struct entry *e)
{
    struct entry *const oldest = ring_head(r);

    assert(*slot_of(r, e->place) == e);
    *slot_of(r, e->place) = oldest;
    oldest->place = e->place;
    r->head++;
    if (r->head % SLOTS == 0) {
        free(*block_of(r, r->head - 1));
    }
}

void ring_replace(struct ring *r, const struct entry *old, struct entry *e)
{
    assert(*slot_of(r, old->place) == old);
    *slot_of(r, old->place) = e;
    e->place = old->place;
}

size_t ring_size(const struct ring *r)
{
    return used_blocks(r) * sizeof(struct ring_block) +
           r->n_blocks * sizeof(struct ring_block *);
}
