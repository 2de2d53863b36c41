/* SPDX-License-Identifier: MIT */
#include "server/store/fold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define BINS_MIN 64

/* The link to the write of that key, or to the NULL at the end of its chain. */
static struct store_write **find_link(const struct fold *fold, struct slice key,
                                      uint64_t hash)
{
    struct store_write **link = &fold->bins[hash & (fold->n_bins - 1)];

    while (*link != NULL &&
           ((*link)->hash != hash || !slice_equal((*link)->key, key))) {
        link = &(*link)->chain;
    }
    return link;
}

static void grow(struct fold *fold)
{
    const struct fold old = *fold;

    fold->n_bins = old.n_bins == 0 ? BINS_MIN : old.n_bins * 2;
    fold->bins = xcalloc(fold->n_bins, sizeof(struct store_write *));
    for (size_t i = 0; i < old.n_bins; i++) {
        struct store_write *write = old.bins[i];
        while (write != NULL) {
            struct store_write *const next = write->chain;
            struct store_write **bin =
                &fold->bins[write->hash & (fold->n_bins - 1)];
            write->chain = *bin;
            *bin = write;
            write = next;
        }
    }
    free(old.bins);
}

struct store_write *fold_find(const struct fold *fold, struct slice key,
                              uint64_t hash)
{
    return fold->count == 0 ? NULL : *find_link(fold, key, hash);
}

struct store_write *fold_put(struct fold *fold, struct store_write *write)
{
    if (fold->count >= fold->n_bins) {
        grow(fold);
    }
    struct store_write **link = find_link(fold, write->key, write->hash);
    struct store_write *const old = *link;
    write->chain = old == NULL ? NULL : old->chain;
    *link = write;
    fold->count += old == NULL ? 1 : 0;
    return old;
}

void fold_remove(struct fold *fold, const struct store_write *write)
{
    struct store_write **link = find_link(fold, write->key, write->hash);

    assert(*link == write);
    *link = write->chain;
    fold->count--;
}

void fold_clear(struct fold *fold)
{
    if (fold->count > 0) {
        memset(fold->bins, 0, fold->n_bins * sizeof(struct store_write *));
        fold->count = 0;
    }
}

void fold_destroy(struct fold *fold)
{
    free(fold->bins);
    *fold = (struct fold){0};
}
