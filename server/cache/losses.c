/* SPDX-License-Identifier: MIT */
#include "server/cache/losses.h"

/* Before each key in the list. */
struct header {
    size_t key_size;
    enum cache_loss loss;
};

void losses_init(struct losses *losses)
{
    *losses = (struct losses){.wanted = 0};
    mutex_init(&losses->lock, LOCK_LEAF, "cache losses");
}

void losses_destroy(struct losses *losses)
{
    mutex_lock(&losses->lock);
    buf_destroy(&losses->list);
    mutex_unlock(&losses->lock);
    mutex_destroy(&losses->lock);
}

void losses_note(struct losses *losses, struct slice key, enum cache_loss loss)
{
    const struct header header = {.key_size = key.size, .loss = loss};

    if (losses == NULL ||
        atomic_load_explicit(&losses->wanted, memory_order_relaxed) == 0) {
        return;
    }
    mutex_lock(&losses->lock);
    if (losses->list.size + sizeof(header) + key.size <= LOSSES_MAX_BYTES) {
        buf_append(&losses->list, &header, sizeof(header));
        buf_append_slice(&losses->list, key);
    } else {
        losses->missed = true;
    }
    mutex_unlock(&losses->lock);
}

void losses_want(struct losses *losses, enum losses_for who, bool wanted)
{
    if (wanted) {
        atomic_fetch_or_explicit(&losses->wanted, who, memory_order_relaxed);
    } else {
        atomic_fetch_and_explicit(&losses->wanted, ~(unsigned)who,
                                  memory_order_relaxed);
    }
}

bool losses_take(struct losses *losses, struct buf *list)
{
    mutex_lock(&losses->lock);
    const bool all = !losses->missed;
    losses->missed = false;
    *list = losses->list;
    losses->list = (struct buf){0};
    mutex_unlock(&losses->lock);
    return all;
}

bool losses_next(struct slice *left, struct slice *key, enum cache_loss *loss)
{
    struct header header;

    if (left->size == 0) {
        return false;
    }
    memcpy(&header, left->data, sizeof(header));
    *key = slice_make(left->data + sizeof(header), header.key_size);
    *loss = header.loss;
    const size_t size = sizeof(header) + header.key_size;
    *left = slice_make(left->data + size, left->size - size);
    return true;
}
