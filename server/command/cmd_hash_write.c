/* SPDX-License-Identifier: MIT */
/*
 * HSET HMSET HSETNX HINCRBY HINCRBYFLOAT: fields of hashes and columns of
 * records.
 *
 * Of a hash all is decided here, over the whole of it (hash_edit.h).  Of a
 * record the database has its say: a column that is set is a
 * STORE_SET_COLUMNS.
 */
#include "server/admin/config.h"
#include "server/command/args.h"
#include "server/command/decide.h"
#include "server/command/handlers.h"
#include "server/command/hash_edit.h"
#include "server/command/number.h"
#include "server/command/parts.h"
#include "server/command/write.h"
#include "server/lookup/fields.h"
#include "server/store/mapping.h"
#include "server/store/store.h"

#include <math.h>

struct change_of_hash {
    struct decision decision;
    size_t max_bytes;       /* proto-max-bulk-len. */
    struct slice fields[2]; /* HINCRBY: a field and what it becomes. */
    int64_t number;         /* HINCRBY: to add … */
    long double real;       /* … HINCRBYFLOAT. */
    int64_t n_new;          /* Fields, of a hash. */
    bool done;              /* HSETNX. */
};

/* The mapping of argument 1; NULL for a plain key. */
static const struct mapping *mapping_of(const struct request *r)
{
    struct slice id;

    return mapping_find(store_mappings(r->client->server->store), r->argv[1],
                        &id);
}

/* The context of a command, or NULL, which is replied. */
static struct change_of_hash *begin(struct request *r)
{
    struct change_of_hash *c = decision_new(r, sizeof *c);

    if (c != NULL) {
        c->max_bytes = (size_t)config_number(r->client->server->config,
                                             CONFIG_proto_max_bulk_len);
    }
    return c;
}

/* Writes the 'n_fields' arguments from 2 on as 'decide' says. */
static enum command_status
change(struct request *r, size_t n_fields, const char *event,
       enum err (*decide)(void *, const struct present *, struct update *,
                          struct buf *, struct buf *),
       write_answer_fn *on_answer)
{
    const struct update update = {
        .op = mapping_of(r) != NULL ? STORE_SET_COLUMNS : STORE_PUT_PLAIN,
        .key = r->argv[1],
        .fields = r->argv + 2,
        .n_fields = n_fields,
        .event = event,
        .class = CHANGE_HASH,
        .context = decide == NULL ? NULL : r->state,
        .decide = decide};

    return write_key(r, &update, on_answer);
}

/* The fields are written: a record's by the database, a hash's here. */
static enum err set(struct change_of_hash *c, const struct present *now,
                    struct update *update, struct buf *room)
{
    return now->mapping != NULL ? ERR_OK
                                : hash_edit_set(&c->decision, now, c->max_bytes,
                                                update, room, &c->n_new);
}

static bool find(const struct present *now, struct slice name,
                 struct slice *value)
{
    const struct fields fields = fields_of(now->kind, now->mapping, now->bytes);

    return fields_find(&fields, name, value);
}

/* ---- HSET, HMSET and HSETNX ---- */

static enum err decide_hset(void *context, const struct present *now,
                            struct update *update, struct buf *room,
                            struct buf *detail)
{
    struct change_of_hash *c = context;

    (void)detail;
    decision_begin(&c->decision);
    return decision_is_string(now)
               ? decision_refuse(&c->decision, update, DECISION_WRONG_TYPE)
               : set(c, now, update, room);
}

static void answer_hset(struct request *r, const struct update_result *result)
{
    const struct change_of_hash *c = r->state;

    if (c == NULL) {
        reply_integer(&r->reply, result->n_new_fields);
    } else if (!decision_failed(&c->decision)) {
        reply_integer(&r->reply, c->n_new);
    }
}

static void answer_hmset(struct request *r, const struct update_result *result)
{
    const struct change_of_hash *c = r->state;

    (void)result;
    if (c == NULL || !decision_failed(&c->decision)) {
        reply_ok(&r->reply);
    }
}

static enum command_status set_fields(struct request *r,
                                      write_answer_fn *on_answer)
{
    if (r->argc % 2 != 0) {
        return done_wrong_count(r);
    }
    if (mapping_of(r) != NULL) {
        r->state = NULL; /* Nothing to decide: the database does it all. */
        return change(r, r->argc - 2, "hset", NULL, on_answer);
    }
    return begin(r) == NULL
               ? COMMAND_DONE
               : change(r, r->argc - 2, "hset", decide_hset, on_answer);
}

enum command_status cmd_hset(struct request *r)
{
    return set_fields(r, answer_hset);
}

enum command_status cmd_hmset(struct request *r)
{
    return set_fields(r, answer_hmset);
}

static enum err decide_hsetnx(void *context, const struct present *now,
                              struct update *update, struct buf *room,
                              struct buf *detail)
{
    struct change_of_hash *c = context;
    struct slice value;

    (void)detail;
    decision_begin(&c->decision);
    c->done = false;
    if (decision_is_string(now)) {
        return decision_refuse(&c->decision, update, DECISION_WRONG_TYPE);
    }
    c->done = !find(now, update->fields[0], &value);
    return c->done ? set(c, now, update, room) : decision_nothing(update);
}

static void answer_hsetnx(struct request *r, const struct update_result *result)
{
    const struct change_of_hash *c = r->state;

    (void)result;
    if (!decision_failed(&c->decision)) {
        reply_integer(&r->reply, c->done);
    }
}

enum command_status cmd_hsetnx(struct request *r)
{
    return begin(r) == NULL
               ? COMMAND_DONE
               : change(r, 2, "hset", decide_hsetnx, answer_hsetnx);
}

/* ---- numbers ---- */

/* Room for the largest: a long double has up to 4933 digits. */
#define NUMBER_BYTES 5120

/* The field becomes the number that stands in request->found. */
static enum err become(struct change_of_hash *c, const struct present *now,
                       struct update *update, struct buf *room)
{
    c->fields[0] = update->fields[0];
    c->fields[1] = buf_slice(&c->decision.request->found);
    update->fields = c->fields;
    update->n_fields = 2;
    return set(c, now, update, room);
}

static enum err decide_hincrby(void *context, const struct present *now,
                               struct update *update, struct buf *room,
                               struct buf *detail)
{
    struct change_of_hash *c = context;
    struct decision *d = &c->decision;
    struct slice text;
    int64_t value = 0;
    int64_t sum;

    (void)detail;
    decision_begin(d);
    if (decision_is_string(now)) {
        return decision_refuse(d, update, DECISION_WRONG_TYPE);
    }
    if (find(now, update->fields[0], &text) && !slice_to_int64(text, &value)) {
        return decision_refuse(d, update, "ERR hash value is not an integer");
    }
    if (__builtin_add_overflow(value, c->number, &sum)) {
        return decision_refuse(d, update,
                               "ERR increment or decrement would overflow");
    }
    if (buf_try_reserve(&d->request->found, NUMBER_BYTES) == NULL) {
        return decision_refuse(d, update, DECISION_NO_MEMORY);
    }
    buf_append_int64(&d->request->found, sum);
    return become(c, now, update, room);
}

static void answer_hincrby(struct request *r,
                           const struct update_result *result)
{
    const struct change_of_hash *c = r->state;
    int64_t sum = 0;

    (void)result;
    if (!decision_failed(&c->decision)) {
        (void)slice_to_int64(buf_slice(&r->found), &sum);
        reply_integer(&r->reply, sum);
    }
}

enum command_status cmd_hincrby(struct request *r)
{
    struct change_of_hash *c = begin(r);

    if (c == NULL || !arg_integer(r, 3, &c->number)) {
        return COMMAND_DONE;
    }
    return change(r, 2, "hincrby", decide_hincrby, answer_hincrby);
}

static enum err decide_hincrbyfloat(void *context, const struct present *now,
                                    struct update *update, struct buf *room,
                                    struct buf *detail)
{
    struct change_of_hash *c = context;
    struct decision *d = &c->decision;
    struct slice text;
    long double value = 0;

    (void)detail;
    decision_begin(d);
    if (decision_is_string(now)) {
        return decision_refuse(d, update, DECISION_WRONG_TYPE);
    }
    if (find(now, update->fields[0], &text) && !number_parse(text, &value)) {
        return decision_refuse(d, update, "ERR hash value is not a float");
    }
    value += c->real;
    if (isnan(value) || isinf(value)) {
        return decision_refuse(d, update,
                               "ERR increment would produce NaN or Infinity");
    }
    if (buf_try_reserve(&d->request->found, NUMBER_BYTES) == NULL) {
        return decision_refuse(d, update, DECISION_NO_MEMORY);
    }
    number_append(&d->request->found, value);
    return become(c, now, update, room);
}

static void answer_hincrbyfloat(struct request *r,
                                const struct update_result *result)
{
    const struct change_of_hash *c = r->state;

    (void)result;
    if (!decision_failed(&c->decision)) {
        reply_bulk(&r->reply, buf_slice(&r->found));
    }
}

enum command_status cmd_hincrbyfloat(struct request *r)
{
    struct change_of_hash *c = begin(r);

    if (c == NULL) {
        return COMMAND_DONE;
    }
    if (!number_parse(r->argv[3], &c->real)) {
        reply_error(&r->reply, "ERR value is not a valid float");
        return COMMAND_DONE;
    }
    if (isinf(c->real)) {
        reply_error(&r->reply, "ERR value is NaN or Infinity");
        return COMMAND_DONE;
    }
    return change(r, 2, "hincrbyfloat", decide_hincrbyfloat,
                  answer_hincrbyfloat);
}
