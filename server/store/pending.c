/* SPDX-License-Identifier: MIT */
#include "server/store/pending.h"

size_t write_bytes(const struct store_write *write)
{
    size_t bytes = write->key.size + write->value.size;

    for (size_t i = 0; i < write->n_fields; i++) {
        bytes += write->fields[i].size;
    }
    for (size_t i = 0; i < write->n_group; i++) {
        bytes += write_bytes(write->group[i]);
    }
    return bytes;
}

void pending_init(struct pending *pending)
{
    *pending = (struct pending){.end = &pending->first};
}

void pending_push(struct pending *pending, struct store_write *write)
{
    write->next = NULL;
    *pending->end = write;
    pending->end = &write->next;
    pending->count++;
    pending->n_urgent += write->deferred ? 0 : 1;
    pending->n_bytes += write->n_bytes;
}

struct store_write *pending_unlink(struct pending *pending,
                                   struct store_write **link)
{
    struct store_write *write = *link;

    *link = write->next;
    if (pending->end == &write->next) {
        pending->end = link;
    }
    pending->count--;
    pending->n_urgent -= write->deferred ? 0 : 1;
    pending->n_bytes -= write->n_bytes;
    return write;
}
