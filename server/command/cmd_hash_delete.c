/* SPDX-License-Identifier: MIT */
/*
 * HDEL: of a hash the fields, with the last one the key; of a record the
 * columns become NULL.  A row whose columns are all NULL, but for its key, is
 * still there: DEL deletes it.
 */
#include "server/command/args.h"
#include "server/command/decide.h"
#include "server/command/handlers.h"
#include "server/command/hash_edit.h"
#include "server/command/parts.h"
#include "server/command/write.h"
#include "server/lookup/fields.h"
#include "server/store/mapping.h"
#include "server/store/store.h"

/* ---- hashes ---- */

struct deletion_of_hash {
    struct decision decision;
    int64_t n_gone;
};

static enum err decide_hash(void *context, const struct present *now,
                            struct update *update, struct buf *room,
                            struct buf *detail)
{
    struct deletion_of_hash *c = context;

    (void)detail;
    decision_begin(&c->decision);
    return decision_is_string(now)
               ? decision_refuse(&c->decision, update, DECISION_WRONG_TYPE)
               : hash_edit_delete(&c->decision, now, update, room, &c->n_gone);
}

static void answer_hash(struct request *r, const struct update_result *result)
{
    const struct deletion_of_hash *c = r->state;

    (void)result;
    if (!decision_failed(&c->decision)) {
        reply_integer(&r->reply, c->n_gone);
    }
}

static enum command_status delete_fields(struct request *r)
{
    struct deletion_of_hash *c = decision_new(r, sizeof *c);
    const struct update update = {.op = STORE_PUT_PLAIN,
                                  .key = r->argv[1],
                                  .fields = r->argv + 2,
                                  .n_fields = r->argc - 2,
                                  .event = "hdel",
                                  .class = CHANGE_HASH,
                                  .context = c,
                                  .decide = decide_hash};

    return c == NULL ? COMMAND_DONE : write_key(r, &update, answer_hash);
}

/* ---- records ---- */

struct deletion {
    struct decision decision;
    int64_t n_deleted;
    size_t n;             /* Columns named, each once. */
    struct slice *fields; /* Name and NULL of each that is to become NULL. */
    size_t indices[];     /* Of the columns named. */
};

static enum err decide_record(void *context, const struct present *now,
                              struct update *update, struct buf *room,
                              struct buf *detail)
{
    struct deletion *d = context;
    const struct fields fields = fields_of(now->kind, now->mapping, now->bytes);

    (void)room;
    (void)detail;
    d->n_deleted = 0;
    for (size_t i = 0; i < d->n; i++) {
        const struct slice name =
            slice_from_string(now->mapping->columns[d->indices[i]]);
        struct slice value;
        if (fields_find(&fields, name, &value)) {
            d->fields[2 * d->n_deleted] = name;
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

static void answer_record(struct request *r, const struct update_result *result)
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

static enum command_status delete_columns(struct request *r,
                                          const struct mapping *mapping)
{
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
                                  .decide = decide_record};
    return write_key(r, &update, answer_record);
}

enum command_status cmd_hdel(struct request *r)
{
    struct slice id;
    const struct mapping *mapping =
        mapping_find(store_mappings(r->client->server->store), r->argv[1], &id);

    return mapping != NULL ? delete_columns(r, mapping) : delete_fields(r);
}
