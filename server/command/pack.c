/* SPDX-License-Identifier: MIT */
#include "server/command/pack.h"

/* In front of each string; copied in and out, as it may lie anywhere. */
struct head {
    size_t size;
    unsigned tag;
};

bool pack_add(struct buf *pack, struct slice text, unsigned tag)
{
    const struct head head = {.size = text.size, .tag = tag};
    char *room = buf_try_reserve(pack, sizeof head + text.size);

    if (room == NULL) {
        return false;
    }
    memcpy(room, &head, sizeof head);
    if (text.size > 0) {
        memcpy(room + sizeof head, text.data, text.size);
    }
    buf_commit(pack, sizeof head + text.size);
    return true;
}

bool pack_next(const struct buf *pack, size_t *at, struct pack_item *item)
{
    const struct slice all = buf_slice(pack);
    struct head head;

    if (*at >= all.size) {
        return false;
    }
    memcpy(&head, all.data + *at, sizeof head);
    *item = (struct pack_item){
        .text = slice_make(all.data + *at + sizeof head, head.size),
        .tag = head.tag,
        .place = *at};
    *at += sizeof head + head.size;
    return true;
}

bool pack_find(const struct buf *pack, struct slice text,
               struct pack_item *item)
{
    size_t at = 0;

    while (pack_next(pack, &at, item)) {
        if (slice_equal(item->text, text)) {
            return true;
        }
    }
    return false;
}

void pack_remove(struct buf *pack, const struct pack_item *item)
{
    const size_t size = sizeof(struct head) + item->text.size;
    const size_t end = item->place + size;
    char *data = buf_data(pack);

    memmove(data + item->place, data + end, pack->size - end);
    buf_truncate(pack, pack->size - size);
}

void pack_set_tag(struct buf *pack, const struct pack_item *item, unsigned tag)
{
    const struct head head = {.size = item->text.size, .tag = tag};

    memcpy(buf_data(pack) + item->place, &head, sizeof head);
}
