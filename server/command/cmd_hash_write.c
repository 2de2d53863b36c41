/* SPDX-License-Identifier: MIT */
/*
 * HSET HMSET HSETNX HDEL HINCRBY HINCRBYFLOAT: columns of records.
 *
 * A field that is deleted is a column that becomes NULL.  A row whose columns
 * are all NULL, but for its key, is still there: DEL deletes it.
 */
#include "common/mem.h"
#include "server/command/args.h"
#include "server/command/decide.h"
#include "server/command/handlers.h"
#include "server/command/number.h"
#include "server/command/parts.h"
#include "server/command/write.h"
#include "server/store/mapping.h"
#include "server/store/store.h"

#include <ctype.h>
#include <math.h>

/* The mapping of argument 1; NULL, which is replied, for a plain key. */
static const struct mapping *mapping_of(struct request *r)
{
    struct slice id;
    const struct mapping *mapping =
        mapping_find(store_mappings(r->client->server->store), r->argv[1], &id);

    if (mapping == NULL) {
        struct buf name = {0};
        for (const char *c = r->command->name; *c != '\0'; c++) {
            buf_append_char(&name, (char)toupper((unsigned char)*c));
        }
        reply_errorf(&r->reply,
                     "ERR %s writes records of mapped tables, like book:3; a "
                     "plain key holds a string",
                     buf_string(&name));
        buf_destroy(&name);
    }
    return mapping;
}

/* The value of column 'index' if there is a row and it is not NULL. */
static bool column(const struct present *now, size_t index, struct slice *value)
{
    enum column_type type = COLUMN_NULL;

    if (now->kind == COPY_RECORD && index < now->mapping->n_columns) {
        *value = record_column(now->bytes, index, &type);
    }
    return type != COLUMN_NULL;
}

/* ---- HSET, HMSET ---- */

static void answer_hset(struct request *r, const struct update_result *result)
{
    reply_integer(&r->reply, result->n_new_fields);
}

static void answer_hmset(struct request *r, const struct update_result *result)
{
    (void)result;
    reply_ok(&r->reply);
}

static enum command_status set_columns(struct request *r,
                                       write_answer_fn *on_answer)
{
    const struct update update = {.op = STORE_SET_COLUMNS,
                                  .key = r->argv[1],
                                  .fields = r->argv + 2,
                                  .n_fields = r->argc - 2,
                                  .event = "hset",
                                  .class = CHANGE_HASH};

    if (r->argc % 2 != 0) {
        return done_wrong_count(r);
    }
    return mapping_of(r) == NULL ? COMMAND_DONE
                                 : write_key(r, &update, on_answer);
}

enum command_status cmd_hset(struct request *r)
{
    return set_columns(r, answer_hset);
}

enum command_status cmd_hmset(struct request *r)
{
    return set_columns(r, answer_hmset);
}

/* ---- one column, as it is ---- */

struct one_column {
    struct decision decision;
    size_t index; /* Of the column; n_columns: there is none. */
    struct slice fields[2];
    int64_t number; /* To add; afterwards the sum. */
    long double real;
    bool done;
};

/* Begins a command on the column that argument 2 names, with its first value
 * argument 3. */
static enum command_status
change(struct request *r, struct one_column *c, const struct mapping *mapping,
       const char *event,
       enum err (*decide)(void *, const struct present *, struct update *,
                          struct buf *, struct buf *),
       write_answer_fn *on_answer)
{
    const struct update update = {.op = STORE_SET_COLUMNS,
                                  .key = r->argv[1],
                                  .fields = r->argv + 2,
                                  .n_fields = 2,
                                  .event = event,
                                  .class = CHANGE_HASH,
                                  .context = c,
                                  .decide = decide};

    c->index = mapping_column(mapping, r->argv[2]);
    return write_key(r, &update, on_answer);
}

static enum err decide_hsetnx(void *context, const struct present *now,
                              struct update *update, struct buf *room,
                              struct buf *detail)
{
    struct one_column *c = context;
    struct slice value;

    (void)room;
    (void)detail;
    c->done = !column(now, c->index, &value);
    return c->done ? ERR_OK : decision_nothing(update);
}

static void answer_hsetnx(struct request *r, const struct update_result *result)
{
    const struct one_column *c = r->state;

    (void)result;
    reply_integer(&r->reply, c->done);
}

enum command_status cmd_hsetnx(struct request *r)
{
    const struct mapping *mapping = mapping_of(r);
    struct one_column *c = mapping != NULL ? decision_new(r, sizeof *c) : NULL;

    return c == NULL
               ? COMMAND_DONE
               : change(r, c, mapping, "hset", decide_hsetnx, answer_hsetnx);
}

/* ---- numbers ---- */

/* The column becomes what is in 'room'. */
static enum err become(struct one_column *c, struct update *update,
                       struct buf *room)
{
    c->fields[0] = update->fields[0];
    c->fields[1] = buf_slice(room);
    update->fields = c->fields;
    return ERR_OK;
}

static enum err decide_hincrby(void *context, const struct present *now,
                               struct update *update, struct buf *room,
                               struct buf *detail)
{
    struct one_column *c = context;
    struct slice text;
    int64_t value = 0;
    int64_t sum;

    (void)detail;
    decision_begin(&c->decision);
    if (column(now, c->index, &text) && !slice_to_int64(text, &value)) {
        return decision_refuse(&c->decision, update,
                               "ERR hash value is not an integer");
    }
    if (__builtin_add_overflow(value, c->number, &sum)) {
        return decision_refuse(&c->decision, update,
                               "ERR increment or decrement would overflow");
    }
    buf_append_int64(room, sum);
    if (!decision_keep(&c->decision, update, buf_slice(room))) {
        return ERR_OK;
    }
    return become(c, update, room);
}

static void answer_hincrby(struct request *r,
                           const struct update_result *result)
{
    const struct one_column *c = r->state;
    int64_t sum = 0;

    (void)result;
    if (!decision_failed(&c->decision)) {
        (void)slice_to_int64(buf_slice(&r->found), &sum);
        reply_integer(&r->reply, sum);
    }
}

enum command_status cmd_hincrby(struct request *r)
{
    const struct mapping *mapping = mapping_of(r);
    struct one_column *c = mapping != NULL ? decision_new(r, sizeof *c) : NULL;

    if (c == NULL || !arg_integer(r, 3, &c->number)) {
        return COMMAND_DONE;
    }
    return change(r, c, mapping, "hincrby", decide_hincrby, answer_hincrby);
}

static enum err decide_hincrbyfloat(void *context, const struct present *now,
                                    struct update *update, struct buf *room,
                                    struct buf *detail)
{
    struct one_column *c = context;
    struct slice text;
    long double value = 0;

    (void)detail;
    decision_begin(&c->decision);
    if (column(now, c->index, &text) && !number_parse(text, &value)) {
        return decision_refuse(&c->decision, update,
                               "ERR hash value is not a float");
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
    return become(c, update, room);
}

static void answer_hincrbyfloat(struct request *r,
                                const struct update_result *result)
{
    const struct one_column *c = r->state;

    (void)result;
    if (!decision_failed(&c->decision)) {
        reply_bulk(&r->reply, buf_slice(&r->found));
    }
}

enum command_status cmd_hincrbyfloat(struct request *r)
{
    const struct mapping *mapping = mapping_of(r);
    struct one_column *c = mapping != NULL ? decision_new(r, sizeof *c) : NULL;

    if (c == NULL) {
        return COMMAND_DONE;
    }
    if (!number_parse(r->argv[3], &c->real)) {
        reply_error(&r->reply, "ERR value is not a valid float");
        return COMMAND_DONE;
    }
    return change(r, c, mapping, "hincrbyfloat", decide_hincrbyfloat,
                  answer_hincrbyfloat);
}

/* ---- HDEL ---- */

struct deletion {
    struct decision decision;
    int64_t n_deleted;
    size_t n;             /* Columns named, each once. */
    struct slice *fields; /* Name and NULL of each that is to become NULL. */
    size_t indices[];     /* Of the columns named. */
};

static enum err decide_hdel(void *context, const struct present *now,
                            struct update *update, struct buf *room,
                            struct buf *detail)
{
    struct deletion *d = context;

    (void)room;
    (void)detail;
    d->n_deleted = 0;
    for (size_t i = 0; i < d->n; i++) {
        struct slice value;
        if (column(now, d->indices[i], &value)) {
            const char *name = now->mapping->columns[d->indices[i]];
            d->fields[2 * d->n_deleted] = slice_from_string(name);
            d->fields[2 * d->n_deleted + 1] = (struct slice){0};
            d->n_deleted++;
        }
    }
    if (d->n_deleted == 0) {
        return decision_nothing(update);
    }
    update->fields = d->fields;
    update->n_fields = 2 * (size_t)d->n_deleted;
    return ERR_OK;
}

static void answer_hdel(struct request *r, const struct update_result *result)
{
    const struct deletion *d = r->state;

    (void)result;
    reply_integer(&r->reply, d->n_deleted);
}

/* Notes the columns that are named, each once; replies on error. */
static bool name_columns(struct request *r, const struct mapping *mapping,
                         struct deletion *d)
{
    for (size_t index = 0; index < mapping->n_columns; index++) {
        const struct slice name = slice_from_string(mapping->columns[index]);
        bool named = false;
        for (size_t i = 2; i < r->argc && !named; i++) {
            named = slice_equal(r->argv[i], name);
        }
        if (named && mapping_is_key(mapping, index)) {
            reply_errorf(&r->reply,
                         "ERR %s is part of the record's key and cannot be "
                         "deleted; DEL deletes the record",
                         mapping->columns[index]);
            return false;
        }
        if (named) {
            d->indices[d->n++] = index;
        }
    }
    return true;
}

enum command_status cmd_hdel(struct request *r)
{
    const struct mapping *mapping = mapping_of(r);

    if (mapping == NULL) {
        return COMMAND_DONE;
    }
    struct deletion *d =
        decision_new(r, sizeof *d + mapping->n_columns * sizeof d->indices[0]);
    if (d == NULL || !name_columns(r, mapping, d)) {
        return COMMAND_DONE;
    }
    d->fields = request_room(r, 2 * mapping->n_columns * sizeof d->fields[0]);
    if (d->fields == NULL) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return COMMAND_DONE;
    }
    const struct update update = {.op = STORE_SET_COLUMNS,
                                  .key = r->argv[1],
                                  .event = "hdel",
                                  .class = CHANGE_HASH,
                                  .context = d,
                                  .decide = decide_hdel};
    return write_key(r, &update, answer_hdel);
}
