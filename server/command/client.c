/* SPDX-License-Identifier: MIT */
#include "server/command/client.h"

#include "common/mem.h"
#include "server/command/account.h"

#include <assert.h>
#include <stddef.h>

void request_keep_args(struct request *r)
{
    const size_t table_bytes = r->argc * sizeof *r->argv;
    size_t bytes = 0;

    if (r->kept_args != NULL) {
        return;
    }
    for (size_t i = 0; i < r->argc; i++) {
        bytes += r->argv[i].size;
    }
    /* These bytes have arrived and are counted in the connection's input, so
     * their size is bounded by client-query-buffer-limit. */
    r->kept_args = xmalloc(table_bytes + bytes);
    struct slice *argv = (struct slice *)(void *)r->kept_args;
    char *end = r->kept_args + table_bytes;
    for (size_t i = 0; i < r->argc; i++) {
        const struct slice arg = r->argv[i];
        if (arg.size > 0) {
            memcpy(end, arg.data, arg.size);
        }
        argv[i] = slice_make(end, arg.size);
        end += arg.size;
    }
    r->argv = argv;
}

struct room {
    struct room *next;
    max_align_t bytes[];
};

void *request_room(struct request *r, size_t size)
{
    struct room *room = try_malloc(sizeof *room + size);

    if (room == NULL) {
        return NULL;
    }
    room->next = r->rooms;
    r->rooms = room;
    return memset(room->bytes, 0, size);
}

void request_clear(struct request *r)
{
    while (r->rooms != NULL) {
        struct room *room = r->rooms;
        r->rooms = room->next;
        free(room);
    }
    buf_destroy(&r->found);
    free(r->kept_args);
    r->kept_args = NULL;
}

void request_free(struct request *r)
{
    request_clear(r);
    buf_destroy(&r->own);
    free(r);
}

void request_finish(struct request *r)
{
    assert(!r->finished);
    r->finished = true;
    account_end(r);
    if (r->client == NULL) {
        request_free(r); /* The connection has gone, and nobody else knows. */
        return;
    }
    r->client->on_finish(r);
}
