/* SPDX-License-Identifier: MIT */
/*
 * Answers of the store's writer, on their way to the loops.
 *
 * A commit ends many writes at once.  Were each sent home by itself, the loop
 * would be woken for each, and find one; so they are collected, and each loop
 * gets a list.
 *
 * Thread-safety: the store's writer, and nobody else.
 */
#ifndef SERVER_LOOKUP_OUTBOX_H
#define SERVER_LOOKUP_OUTBOX_H

#include "common/chan.h"

#include <stddef.h>

struct outbox;

struct outbox_item {
    struct outbox_item *next;
    struct chan_tx home;
    void (*deliver)(struct outbox_item *item); /* On the loop; or … */
    void (*drop)(struct outbox_item *item);    /* … if that takes no more. */
};

struct outbox *outbox_new(void);
/* What is in it is dropped. */
void outbox_free(struct outbox *outbox);

/* Takes 'item', which lives until one of its functions is called. */
void outbox_add(struct outbox *outbox, struct outbox_item *item);
/* Sends what is in it.  'outbox' is a struct outbox. */
void outbox_flush(void *arg);

#endif
