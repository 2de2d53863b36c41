/* SPDX-License-Identifier: MIT */
/*
 * GET MGET STRLEN GETRANGE SUBSTR: plain keys as bytes, records as JSON
 * objects.
 */
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/read.h"
#include "server/lookup/record.h"

/* What GET answers: the bytes of a plain key, the JSON object of a record. */
static struct slice text_of(const struct answer *a)
{
    return a->mapping != NULL ? record_json(a->bytes) : a->bytes;
}

/* True, and replied, if 'a' is a hash: these commands read strings. */
static bool is_hash(struct request *r, const struct answer *a)
{
    if (a->outcome == LOOKUP_FOUND && a->kind == COPY_HASH) {
        reply_err(&r->reply, ERR_WRONG_TYPE, NULL);
        return true;
    }
    return false;
}

/* A hash reads as nothing, as MGET has it. */
void reply_answer_text(struct reply *reply, const struct answer *a)
{
    if (a->outcome == LOOKUP_FOUND && a->kind != COPY_HASH) {
        reply_bulk(reply, text_of(a));
    } else {
        reply_null(reply);
    }
}

static void answer_get(struct request *r, const struct answer *a)
{
    if (!is_hash(r, a)) {
        reply_answer_text(&r->reply, a);
    }
}

enum command_status cmd_get(struct request *r)
{
    return read_key(r, r->argv[1], answer_get);
}

static void answer_mget(struct request *r, const struct answer *answers,
                        size_t n)
{
    reply_array(&r->reply, n);
    for (size_t i = 0; i < n; i++) {
        reply_answer_text(&r->reply, &answers[i]);
    }
}

enum command_status cmd_mget(struct request *r)
{
    return read_keys(r, r->argv + 1, r->argc - 1, true, answer_mget);
}

static void answer_strlen(struct request *r, const struct answer *a)
{
    if (is_hash(r, a)) {
        return;
    }
    reply_integer(&r->reply,
                  a->outcome == LOOKUP_FOUND ? (int64_t)text_of(a).size : 0);
}

enum command_status cmd_strlen(struct request *r)
{
    return read_key(r, r->argv[1], answer_strlen);
}

/* ---- GETRANGE ---- */

/* Source: Redis: from and to count from 0, or from -1 at the end; both are part
 * of the answer. */
static struct slice range(struct slice text, int64_t from, int64_t to)
{
    const int64_t size = (int64_t)text.size;

    if (from < 0 && to < 0 && from > to) {
        return SLICE("");
    }
    from = from < 0 ? from + size : from;
    to = to < 0 ? to + size : to;
    from = from < 0 ? 0 : from;
    to = to < 0 ? 0 : to;
    to = to >= size ? size - 1 : to;
    return from > to || size == 0
               ? SLICE("")
               : slice_make(text.data + from, (size_t)(to - from + 1));
}

static void answer_getrange(struct request *r, const struct answer *a)
{
    int64_t from = 0;
    int64_t to = 0;

    if (is_hash(r, a)) {
        return;
    }
    (void)slice_to_int64(r->argv[2], &from);
    (void)slice_to_int64(r->argv[3], &to);
    reply_bulk(&r->reply, a->outcome == LOOKUP_FOUND
                              ? range(text_of(a), from, to)
                              : SLICE(""));
}

enum command_status cmd_getrange(struct request *r)
{
    int64_t n;

    if (!arg_integer(r, 2, &n) || !arg_integer(r, 3, &n)) {
        return COMMAND_DONE;
    }
    return read_key(r, r->argv[1], answer_getrange);
}
