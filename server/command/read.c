/* SPDX-License-Identifier: MIT */
#include "server/command/read.h"

#include "common/mem.h"
#include "server/command/parts.h"
#include "server/command/read_group.h"
#include "server/lookup/freshness.h"
#include "server/command/tracking.h"

/* ---- one key ---- */

/* The reply to an answer of this size takes no time worth to look at the clock
 * again, after the lookup has. */
#define SMALL_BYTES 1024

static void answer_one(struct request *request, const struct answer *answer)
{
    if (answer->outcome == LOOKUP_FAILED) {
        reply_err(&request->reply, answer->err, NULL);
        return;
    }
    tracking_answered(request, 0, answer->expires_ms);
    request->on_answer(request, answer);
}

static void on_done(void *arg, const struct answer *answer)
{
    struct request *request = arg;

    request->state = NULL;
    answer_one(request, answer);
    request_finish(request);
}

static void cancel_one(struct request *request)
{
    lookup_cancel(request->state);
    request_finish(request);
}

/* CLIENT UNBLOCK, of a read that says itself how long it waits. */
static void unblock_one(struct request *request, bool with_error)
{
    lookup_cancel(request->state);
    request->state = NULL;
    if (with_error) {
        reply_error(&request->reply,
                    "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    } else {
        reply_err(&request->reply, ERR_STORE_TIMEOUT, NULL);
    }
    request_finish(request);
}

enum command_status read_key(struct request *request, struct slice key,
                             request_answer_fn *on_answer)
{
    return read_key_within(request, key, NULL, on_answer);
}

enum command_status read_key_within(struct request *request, struct slice key,
                                    const struct lookup_bounds *bounds,
                                    request_answer_fn *on_answer)
{
    struct client *client = request->client;
    const struct lookup_caller caller = {
        .home = client->home,
        .done = on_done,
        .arg = request,
        .start_us = request->start_us,
        .no_touch = client_has_flag(client, CLIENT_NO_TOUCH)};
    struct answer answer;

    if (request->execution != NULL) {
        return read_group_key(request, key, on_answer);
    }
    request->on_answer = on_answer;
    struct pending_lookup *pending = lookup_get(
        client->server->lookup, key, bounds, &caller, client->scratch, &answer);
    if (pending == NULL) {
        if (answer.bytes.size <= SMALL_BYTES) {
            request->ended_us = request->start_us + answer.took_us;
        }
        answer_one(request, &answer);
        return COMMAND_DONE;
    }
    request_keep_args(request);
    request->state = pending;
    request->on_cancel = cancel_one;
    if (bounds != NULL && bounds->wait_us != FRESHNESS_NO_BOUND) {
        request->on_unblock = unblock_one;
    }
    return COMMAND_PENDING;
}

/* ---- many keys ---- */

struct gather;

struct item {
    struct gather *gather;
    struct pending_lookup *pending; /* NULL once it was answered. */
    size_t at;                      /* Of its bytes in gather->bytes. */
};

struct gather {
    struct request *request;
    read_keys_fn *on_answers;
    bool with_bytes;        /* The caller looks at the values. */
    bool too_big;           /* They were too much, and are dropped. */
    struct buf bytes;       /* Of all answers; moves while it grows. */
    struct answer *answers; /* n of them. */
    size_t n;
    size_t n_pending;
    struct item items[];
};

static void gather_free(struct gather *g)
{
    buf_destroy(&g->bytes);
    free(g->answers);
    free(g);
}

static void answer_all(struct gather *g)
{
    struct request *request = g->request;

    if (g->too_big) {
        reply_err(&request->reply, ERR_TOO_BIG, "ask for fewer keys at once");
        return;
    }
    for (size_t i = 0; i < g->n; i++) {
        if (g->answers[i].outcome == LOOKUP_FAILED) {
            reply_err(&request->reply, g->answers[i].err, NULL);
            return;
        }
        tracking_answered(request, i, g->answers[i].expires_ms);
        if (g->answers[i].bytes.size > 0) {
            g->answers[i].bytes.data = buf_data(&g->bytes) + g->items[i].at;
        }
    }
    g->on_answers(request, g->answers, g->n);
}

/* Lets go of values that nobody looks at, or that are too much. */
static void limit_bytes(struct gather *g, struct answer *latest)
{
    if (!g->with_bytes) {
        latest->bytes = SLICE("");
        buf_clear(&g->bytes);
    }
    if (g->too_big || g->bytes.size > READ_BYTES_MAX) {
        g->too_big = true;
        buf_destroy(&g->bytes);
    }
}

static void keep_bytes(struct gather *g, struct item *item, struct slice bytes)
{
    struct answer *answer = &g->answers[item - g->items];

    if (bytes.size == 0) {
        return;
    }
    item->at = g->bytes.size;
    if (!buf_try_append_slice(&g->bytes, bytes)) {
        *answer = (struct answer){.outcome = LOOKUP_FAILED, .err = ERR_NOMEM};
        return;
    }
    limit_bytes(g, answer);
}

static void on_item_done(void *arg, const struct answer *answer)
{
    struct item *item = arg;
    struct gather *g = item->gather;
    struct request *request = g->request;

    g->answers[item - g->items] = *answer;
    item->pending = NULL;
    keep_bytes(g, item, answer->bytes);
    if (--g->n_pending > 0) {
        return;
    }
    answer_all(g);
    gather_free(g);
    request_finish(request);
}

static void cancel_all(struct request *request)
{
    struct gather *g = request->state;

    for (size_t i = 0; i < g->n; i++) {
        if (g->items[i].pending != NULL) {
            lookup_cancel(g->items[i].pending);
        }
    }
    gather_free(g);
    request_finish(request);
}

static struct gather *gather_new(struct request *request, size_t n,
                                 bool with_bytes, read_keys_fn *on_answers)
{
    struct gather *g = try_malloc(sizeof *g + n * sizeof g->items[0]);

    if (g == NULL) {
        return NULL;
    }
    *g = (struct gather){.request = request,
                         .on_answers = on_answers,
                         .with_bytes = with_bytes,
                         .answers = try_malloc(n * sizeof *g->answers),
                         .n = n};
    if (g->answers == NULL) {
        free(g);
        return NULL;
    }
    return g;
}

enum command_status read_keys(struct request *request, const struct slice *keys,
                              size_t n, bool with_bytes,
                              read_keys_fn *on_answers)
{
    struct client *client = request->client;

    if (request->execution != NULL) {
        return read_group_keys(request, keys, n, with_bytes, on_answers);
    }
    struct gather *g = gather_new(request, n, with_bytes, on_answers);

    if (g == NULL) {
        reply_err(&request->reply, ERR_NOMEM, NULL);
        return COMMAND_DONE;
    }
    for (size_t i = 0; i < n; i++) {
        struct item *item = &g->items[i];
        const struct lookup_caller caller = {
            .home = client->home,
            .done = on_item_done,
            .arg = item,
            .start_us = request->start_us,
            .no_touch = client_has_flag(client, CLIENT_NO_TOUCH)};
        *item = (struct item){.gather = g};
        /* Answers of pending ones come by the loop, not before we return. */
        item->pending = lookup_get(client->server->lookup, keys[i], NULL,
                                   &caller, &g->bytes, &g->answers[i]);
        if (item->pending != NULL) {
            g->n_pending++;
        } else if (g->answers[i].bytes.size > 0) {
            item->at = (size_t)(g->answers[i].bytes.data - buf_data(&g->bytes));
            limit_bytes(g, &g->answers[i]);
        }
    }
    if (g->n_pending == 0) {
        answer_all(g);
        gather_free(g);
        return COMMAND_DONE;
    }
    request_keep_args(request);
    request->state = g;
    request->on_cancel = cancel_all;
    return COMMAND_PENDING;
}
