/* SPDX-License-Identifier: MIT */
#include "server/net/requests.h"

#include "common/mem.h"

#include <assert.h>

/* A reply of this size is handed over instead of copied. */
#define HAND_OVER_BYTES ((size_t)16 * 1024)

bool requests_allow(const struct requests *list, enum request_class class)
{
    return list->n_unfinished == 0 ||
           (class == list->class && class != REQUEST_ALONE);
}

void requests_append(struct requests *list, struct request *request)
{
    request->next = NULL;
    request->reply.out = &request->own;
    if (list->first == NULL) {
        list->first = request;
    } else {
        list->last->next = request;
    }
    list->last = request;
    list->count++;
    if (request->finished) {
        list->held_bytes += request->own.size;
    } else {
        assert(requests_allow(list, request->class));
        request->pending = true;
        list->class = request->class;
        list->n_unfinished++;
        list->n_blocked += request->on_unblock != NULL;
    }
}

void requests_count_finished(struct requests *list,
                             const struct request *request)
{
    assert(request->finished && list->n_unfinished > 0);
    list->n_unfinished--;
    list->n_blocked -= request->on_unblock != NULL;
    list->held_bytes += request->own.size;
}

/* May a push overtake all of the list? */
static bool push_overtakes(const struct requests *list)
{
    const struct request *first = list->first;

    return first == NULL ||
           (first == list->last && first->pushes_first && !first->finished);
}

struct buf *requests_push(struct requests *list)
{
    if (push_overtakes(list)) {
        return NULL;
    }
    if (!list->last->is_push) {
        struct request *request = xcalloc(1, sizeof(*request));
        request->is_push = true;
        request->finished = true;
        requests_append(list, request);
    }
    return &list->last->own;
}

void requests_drop(struct requests *list, struct request *request)
{
    list->held_bytes -= request->own.size;
    buf_destroy(&request->own);
}

void requests_take(struct requests *list, struct buf *output)
{
    while (list->first != NULL && list->first->finished) {
        struct request *request = list->first;
        list->first = request->next;
        list->count--;
        list->held_bytes -= request->own.size;
        if (output->size == 0 && request->own.size >= HAND_OVER_BYTES) {
            struct buf empty = *output;
            *output = request->own;
            request->own = empty;
        } else {
            buf_append_slice(output, buf_slice(&request->own));
        }
        request_free(request);
    }
}

void requests_detach(struct requests *list)
{
    struct request *request = list->first;
    *list = (struct requests){0};
    while (request != NULL) {
        struct request *next = request->next;
        request->next = NULL;
        if (request->finished) {
            request_free(request);
        } else {
            request->client = NULL;
            if (request->on_cancel != NULL) {
                request->on_cancel(request);
            }
        }
        request = next;
    }
}
