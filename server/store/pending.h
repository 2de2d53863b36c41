/* SPDX-License-Identifier: MIT */
/*
 * The writes that wait for their transaction, in order of submission.
 *
 * Thread-safety: none; they belong to the writer's thread.
 */
#ifndef SERVER_STORE_PENDING_H
#define SERVER_STORE_PENDING_H

#include "server/store/store.h"

struct pending {
    struct store_write *first;
    struct store_write **end; /* Where the next is linked. */
    size_t count;
    size_t n_urgent; /* Of them: not deferred. */
    size_t n_bytes;  /* write_bytes() of all. */
};

/* Bytes that clients have sent for 'write', and for all of its group. */
size_t write_bytes(const struct store_write *write);

void pending_init(struct pending *pending);
void pending_push(struct pending *pending, struct store_write *write);
/* Takes the write that '*link' points to out of the list. */
struct store_write *pending_unlink(struct pending *pending,
                                   struct store_write **link);

#endif
