/* SPDX-License-Identifier: MIT */
#include "server/command/decide.h"

#include "common/clock.h"

void *decision_new(struct request *request, size_t size)
{
    struct decision *d = request_room(request, size);

    if (d == NULL) {
        reply_err(&request->reply, ERR_NOMEM, NULL);
        return NULL;
    }
    d->request = request;
    request->state = d;
    return d;
}

bool decision_keep(struct decision *d, struct update *update,
                   struct slice bytes)
{
    if (!buf_try_append_slice(&d->request->found, bytes)) {
        (void)decision_refuse(d, update, DECISION_NO_MEMORY);
        return false;
    }
    return true;
}

enum err decision_expire(struct decision *d, const struct present *now,
                         int64_t expires_ms, struct update *update,
                         struct buf *room)
{
    update->class = CHANGE_GENERIC;
    if (expires_ms != 0 && expires_ms <= clock_wall_ms()) {
        update->op = STORE_DELETE_PLAIN;
        update->event = "del";
        return ERR_OK;
    }
    if (!buf_try_append_slice(room, now->bytes)) {
        return decision_refuse(d, update, DECISION_NO_MEMORY);
    }
    update->op = STORE_PUT_PLAIN;
    update->value = buf_slice(room);
    update->type = decision_type(now);
    update->expires_ms = expires_ms;
    update->event = expires_ms == 0 ? "persist" : "expire";
    return ERR_OK;
}

bool decision_failed(const struct decision *d)
{
    if (d->error != NULL) {
        reply_error(&d->request->reply, d->error);
    }
    return d->error != NULL;
}
