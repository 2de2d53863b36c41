/* SPDX-License-Identifier: MIT */
/*
 * APPEND SETRANGE INCR DECR INCRBY DECRBY INCRBYFLOAT: a part of a plain key's
 * value, or the number it is.
 */
#include "server/admin/config.h"
#include "server/command/args.h"
#include "server/command/decide.h"
#include "server/command/handlers.h"
#include "server/command/number.h"
#include "server/command/parts.h"
#include "server/command/write.h"

#include <math.h>

#define TOO_LONG "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
#define NO_INTEGER "ERR value is not an integer or out of range"
#define NO_FLOAT "ERR value is not a valid float"

struct change_of_string {
    struct decision decision;
    size_t max_bytes; /* proto-max-bulk-len. */
    int64_t number;   /* SETRANGE: the offset; INCR: what is added … */
    long double real; /* … INCRBYFLOAT; … */
    bool no_number;   /* … which was none. */
    int64_t result;   /* A new number or size. */
};

/* Replies, unless 'key' is a plain key. */
static bool is_plain(struct request *r, struct slice key)
{
    if (write_is_record(r, key)) {
        reply_err(&r->reply, ERR_WRONG_TYPE,
                  "a record is a row of a table; HSET and SET write it");
        return false;
    }
    return true;
}

/* The context of a command on argument 1, or NULL, which is replied. */
static struct change_of_string *begin(struct request *r)
{
    struct change_of_string *c =
        is_plain(r, r->argv[1]) ? decision_new(r, sizeof *c) : NULL;

    if (c != NULL) {
        c->max_bytes = (size_t)config_number(r->client->server->config,
                                             CONFIG_proto_max_bulk_len);
    }
    return c;
}

static void answer_result(struct request *r, const struct update_result *result)
{
    const struct change_of_string *c = r->state;

    (void)result;
    if (!decision_failed(&c->decision)) {
        reply_integer(&r->reply, c->result);
    }
}

static enum command_status
change(struct request *r, struct slice value, const char *event,
       enum err (*decide)(void *, const struct present *, struct update *,
                          struct buf *, struct buf *),
       write_answer_fn *on_answer)
{
    const struct update update = {.op = STORE_PUT_PLAIN,
                                  .key = r->argv[1],
                                  .value = value,
                                  .event = event,
                                  .class = CHANGE_STRING,
                                  .context = r->state,
                                  .decide = decide};

    return write_key(r, &update, on_answer);
}

/* The key's value becomes what is in 'room', and keeps its expiry. */
static enum err become(const struct present *now, struct update *update,
                       struct buf *room)
{
    update->value = buf_slice(room);
    update->expires_ms = now->expires_ms;
    return ERR_OK;
}

/* ---- APPEND and SETRANGE ---- */

static bool fits(const struct change_of_string *c, size_t size, size_t more)
{
    size_t sum;

    return !__builtin_add_overflow(size, more, &sum) && sum <= c->max_bytes;
}

static enum err decide_append(void *context, const struct present *now,
                              struct update *update, struct buf *room,
                              struct buf *detail)
{
    struct change_of_string *c = context;

    (void)detail;
    decision_begin(&c->decision);
    if (decision_is_hash(now)) {
        return decision_refuse(&c->decision, update, DECISION_WRONG_TYPE);
    }
    if (!fits(c, now->bytes.size, update->value.size)) {
        return decision_refuse(&c->decision, update, TOO_LONG);
    }
    if (!buf_try_append_slice(room, now->bytes) ||
        !buf_try_append_slice(room, update->value)) {
        return decision_refuse(&c->decision, update, DECISION_NO_MEMORY);
    }
    c->result = (int64_t)room->size;
    return become(now, update, room);
}

enum command_status cmd_append(struct request *r)
{
    return begin(r) == NULL
               ? COMMAND_DONE
               : change(r, r->argv[2], "append", decide_append, answer_result);
}

static enum err decide_setrange(void *context, const struct present *now,
                                struct update *update, struct buf *room,
                                struct buf *detail)
{
    struct change_of_string *c = context;
    const size_t offset = (size_t)c->number;
    const size_t old_size = now->bytes.size;
    const size_t end = offset + update->value.size;
    const size_t size = end > old_size ? end : old_size;

    (void)detail;
    decision_begin(&c->decision);
    if (decision_is_hash(now)) {
        return decision_refuse(&c->decision, update, DECISION_WRONG_TYPE);
    }
    c->result = (int64_t)old_size;
    if (update->value.size == 0) {
        return decision_nothing(update);
    }
    if (!fits(c, offset, update->value.size)) {
        return decision_refuse(&c->decision, update, TOO_LONG);
    }
    char *to = buf_try_reserve(room, size);
    if (to == NULL) {
        return decision_refuse(&c->decision, update, DECISION_NO_MEMORY);
    }
    memset(to, 0, size);
    if (old_size > 0) {
        memcpy(to, now->bytes.data, old_size);
    }
    memcpy(to + offset, update->value.data, update->value.size);
    buf_commit(room, size);
    c->result = (int64_t)size;
    return become(now, update, room);
}

enum command_status cmd_setrange(struct request *r)
{
    struct change_of_string *c = begin(r);

    if (c == NULL || !arg_integer(r, 2, &c->number)) {
        return COMMAND_DONE;
    }
    if (c->number < 0) {
        reply_error(&r->reply, "ERR offset is out of range");
        return COMMAND_DONE;
    }
    return change(r, r->argv[3], "setrange", decide_setrange, answer_result);
}

/* ---- numbers ---- */

static enum err decide_incrby(void *context, const struct present *now,
                              struct update *update, struct buf *room,
                              struct buf *detail)
{
    struct change_of_string *c = context;
    int64_t value = 0;

    (void)detail;
    decision_begin(&c->decision);
    if (decision_is_hash(now)) {
        return decision_refuse(&c->decision, update, DECISION_WRONG_TYPE);
    }
    if (now->kind != COPY_NEGATIVE && !slice_to_int64(now->bytes, &value)) {
        return decision_refuse(&c->decision, update, NO_INTEGER);
    }
    if (__builtin_add_overflow(value, c->number, &c->result)) {
        return decision_refuse(&c->decision, update,
                               "ERR increment or decrement would overflow");
    }
    buf_append_int64(room, c->result);
    return become(now, update, room);
}

static enum command_status add(struct request *r, struct change_of_string *c,
                               int64_t number)
{
    c->number = number;
    return change(r, SLICE(""), "incrby", decide_incrby, answer_result);
}

enum command_status cmd_incr(struct request *r)
{
    struct change_of_string *c = begin(r);

    return c == NULL ? COMMAND_DONE : add(r, c, 1);
}

enum command_status cmd_decr(struct request *r)
{
    struct change_of_string *c = begin(r);

    return c == NULL ? COMMAND_DONE : add(r, c, -1);
}

enum command_status cmd_incrby(struct request *r)
{
    struct change_of_string *c = begin(r);
    int64_t number;

    return c == NULL || !arg_integer(r, 2, &number) ? COMMAND_DONE
                                                    : add(r, c, number);
}

enum command_status cmd_decrby(struct request *r)
{
    struct change_of_string *c = begin(r);
    int64_t number;

    if (c == NULL || !arg_integer(r, 2, &number)) {
        return COMMAND_DONE;
    }
    if (number == INT64_MIN) {
        reply_error(&r->reply, "ERR decrement would overflow");
        return COMMAND_DONE;
    }
    return add(r, c, -number);
}

static enum err decide_incrbyfloat(void *context, const struct present *now,
                                   struct update *update, struct buf *room,
                                   struct buf *detail)
{
    struct change_of_string *c = context;
    long double value = 0;

    (void)detail;
    decision_begin(&c->decision);
    if (decision_is_hash(now)) {
        return decision_refuse(&c->decision, update, DECISION_WRONG_TYPE);
    }
    if (c->no_number ||
        (now->kind != COPY_NEGATIVE && !number_parse(now->bytes, &value))) {
        return decision_refuse(&c->decision, update, NO_FLOAT);
    }
    value += c->real;
    if (isnan(value) || isinf(value)) {
        return decision_refuse(&c->decision, update,
                               "ERR increment would produce NaN or Infinity");
    }
    number_append(room, value);
    if (!decision_keep(&c->decision, update, buf_slice(room))) {
        return ERR_OK;
    }
    return become(now, update, room);
}

static void answer_number(struct request *r, const struct update_result *result)
{
    const struct change_of_string *c = r->state;

    (void)result;
    if (!decision_failed(&c->decision)) {
        reply_bulk(&r->reply, buf_slice(&r->found));
    }
}

enum command_status cmd_incrbyfloat(struct request *r)
{
    struct change_of_string *c = begin(r);

    if (c == NULL) {
        return COMMAND_DONE;
    }
    /* As in Redis, what the key holds is looked at first. */
    c->no_number = !number_parse(r->argv[2], &c->real);
    return change(r, SLICE(""), "incrbyfloat", decide_incrbyfloat,
                  answer_number);
}
