/* SPDX-License-Identifier: MIT */
#include "server/lookup/outbox.h"

#include "common/mem.h"
#include "common/task.h"

#include <stdlib.h>

/* Sent when there are so many: the loops shall not wait for the last of a large
 * commit while they could work on the first. */
#define OUTBOX_MAX 64

struct outbox {
    struct outbox_item *first;
    struct outbox_item **end;
    size_t count;
};

struct outbox *outbox_new(void)
{
    struct outbox *outbox = xcalloc(1, sizeof *outbox);

    outbox->end = &outbox->first;
    return outbox;
}

static void drop_list(struct outbox_item *item)
{
    for (struct outbox_item *next; item != NULL; item = next) {
        next = item->next;
        item->drop(item);
    }
}

void outbox_free(struct outbox *outbox)
{
    if (outbox != NULL) {
        drop_list(outbox->first);
        free(outbox);
    }
}

void outbox_add(struct outbox *outbox, struct outbox_item *item)
{
    item->next = NULL;
    *outbox->end = item;
    outbox->end = &item->next;
    if (++outbox->count >= OUTBOX_MAX) {
        outbox_flush(outbox);
    }
}

/* On a loop. */
static void deliver_list(void *arg)
{
    for (struct outbox_item *item = arg, *next; item != NULL; item = next) {
        next = item->next;
        item->deliver(item);
    }
}

/* Takes all items that go where the first does, in order, off the list. */
static struct outbox_item *take_one_home(struct outbox_item **list)
{
    const struct chan *home = (*list)->home.chan;
    struct outbox_item *taken = NULL;
    struct outbox_item **tail = &taken;

    while (*list != NULL) {
        struct outbox_item *item = *list;
        if (item->home.chan != home) {
            list = &item->next;
            continue;
        }
        *list = item->next;
        item->next = NULL;
        *tail = item;
        tail = &item->next;
    }
    return taken;
}

void outbox_flush(void *arg)
{
    struct outbox *outbox = arg;
    struct outbox_item *list = outbox->first;

    outbox->first = NULL;
    outbox->end = &outbox->first;
    outbox->count = 0;
    while (list != NULL) {
        struct outbox_item *items = take_one_home(&list);
        if (!task_post(items->home, deliver_list, items)) {
            drop_list(items);
        }
    }
}
