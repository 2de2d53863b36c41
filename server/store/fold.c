/* SPDX-License-Identifier: MIT */
#include "server/store/fold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define SLOTS_MIN 64

/* The slot of that key, or the free one where it would be. */
static size_t find_slot(const struct fold *fold, struct slice key,
                        uint64_t hash)
{
    const size_t mask = fold->n_slots - 1;
    size_t i = (size_t)hash & mask;

    while (fold->slots[i].write != NULL &&
           (fold->slots[i].hash != hash ||
            !slice_equal(fold->slots[i].write->key, key))) {
        i = (i + 1) & mask;
    }
    return i;
}

static void grow(struct fold *fold)
{
    const struct fold old = *fold;

    fold->n_slots = old.n_slots == 0 ? SLOTS_MIN : old.n_slots * 2;
    fold->slots = xcalloc(fold->n_slots, sizeof(*fold->slots));
    for (size_t i = 0; i < old.n_slots; i++) {
        size_t to = (size_t)old.slots[i].hash & (fold->n_slots - 1);
        if (old.slots[i].write == NULL) {
            continue;
        }
        while (fold->slots[to].write != NULL) {
            to = (to + 1) & (fold->n_slots - 1);
        }
        fold->slots[to] = old.slots[i];
    }
    free(old.slots);
}

struct store_write *fold_find(const struct fold *fold, struct slice key,
                              uint64_t hash)
{
    return fold->count == 0 ? NULL
                            : fold->slots[find_slot(fold, key, hash)].write;
}

struct store_write *fold_put(struct fold *fold, struct store_write *write)
{
    if (fold->count * 2 >= fold->n_slots) {
        grow(fold);
    }
    struct fold_slot *slot =
        &fold->slots[find_slot(fold, write->key, write->hash)];
    struct store_write *const old = slot->write;
    *slot = (struct fold_slot){.hash = write->hash, .write = write};
    fold->count += old == NULL ? 1 : 0;
    return old;
}

void fold_remove(struct fold *fold, const struct store_write *write)
{
    const size_t mask = fold->n_slots - 1;
    size_t hole = find_slot(fold, write->key, write->hash);

    assert(fold->slots[hole].write == write);
    /* What follows moves up, unless it stands where it begins its search. */
    for (size_t i = (hole + 1) & mask; fold->slots[i].write != NULL;
         i = (i + 1) & mask) {
        const size_t home = (size_t)fold->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            fold->slots[hole] = fold->slots[i];
            hole = i;
        }
    }
    fold->slots[hole].write = NULL;
    fold->count--;
}

void fold_clear(struct fold *fold)
{
    if (fold->count > 0) {
        memset(fold->slots, 0, fold->n_slots * sizeof(*fold->slots));
        fold->count = 0;
    }
}

void fold_destroy(struct fold *fold)
{
    free(fold->slots);
    *fold = (struct fold){0};
}
