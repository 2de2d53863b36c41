/* SPDX-License-Identifier: MIT */
/*
 * HGET HMGET HGETALL HKEYS HVALS HLEN HSTRLEN HEXISTS: the fields of a hash,
 * or a record as a hash of its columns (lookup/fields.h).
 */
#include "common/mem.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/hash_read.h"
#include "server/command/names.h"
#include "server/command/read.h"

bool hash_read(struct request *r, const struct answer *a,
               void (*empty)(struct reply *reply), struct fields *fields)
{
    if (a->outcome == LOOKUP_MISS) {
        empty(&r->reply);
        return false;
    }
    if (a->kind == COPY_STRING) {
        reply_err(&r->reply, ERR_WRONG_TYPE, NULL);
        return false;
    }
    *fields = fields_of(a->kind, a->mapping, a->bytes);
    return true;
}

static void empty_integer(struct reply *reply)
{
    reply_integer(reply, 0);
}

static void empty_array(struct reply *reply)
{
    reply_array(reply, 0);
}

static void empty_map(struct reply *reply)
{
    reply_map(reply, 0);
}

/* ---- one field ---- */

static void answer_hget(struct request *r, const struct answer *a)
{
    struct fields fields;
    struct slice value;

    if (!hash_read(r, a, reply_null, &fields)) {
        return;
    }
    if (fields_find(&fields, r->argv[2], &value)) {
        reply_bulk(&r->reply, value);
    } else {
        reply_null(&r->reply);
    }
}

enum command_status cmd_hget(struct request *r)
{
    return read_key(r, r->argv[1], answer_hget);
}

static void answer_hexists(struct request *r, const struct answer *a)
{
    struct fields fields;
    struct slice value;

    if (hash_read(r, a, empty_integer, &fields)) {
        reply_integer(&r->reply, fields_find(&fields, r->argv[2], &value));
    }
}

enum command_status cmd_hexists(struct request *r)
{
    return read_key(r, r->argv[1], answer_hexists);
}

static void answer_hstrlen(struct request *r, const struct answer *a)
{
    struct fields fields;
    struct slice value;

    if (hash_read(r, a, empty_integer, &fields)) {
        reply_integer(&r->reply, fields_find(&fields, r->argv[2], &value)
                                     ? (int64_t)value.size
                                     : 0);
    }
}

enum command_status cmd_hstrlen(struct request *r)
{
    return read_key(r, r->argv[1], answer_hstrlen);
}

/* ---- several ---- */

/* Of all values that are asked for; a field may be named many times. */
static size_t picked_bytes(const struct names *names,
                           const struct slice *values)
{
    size_t bytes = 0;

    for (size_t i = 0; i < names->n; i++) {
        bytes += values[names_find(names, names->list[i])].size;
    }
    return bytes;
}

static void reply_picked(struct request *r, const struct names *names,
                         const struct slice *values)
{
    if (picked_bytes(names, values) > READ_BYTES_MAX) {
        reply_err(&r->reply, ERR_TOO_BIG, "ask for fewer fields at once");
        return;
    }
    reply_array(&r->reply, names->n);
    for (size_t i = 0; i < names->n; i++) {
        const struct slice value = values[names_find(names, names->list[i])];
        if (value.data != NULL) {
            reply_bulk(&r->reply, value);
        } else {
            reply_null(&r->reply);
        }
    }
}

/* An array of nulls for a key that is not there. */
static void answer_hmget(struct request *r, const struct answer *a)
{
    const size_t n = r->argc - 2;
    struct names names;

    if (a->outcome == LOOKUP_FOUND && a->kind == COPY_STRING) {
        reply_err(&r->reply, ERR_WRONG_TYPE, NULL);
        return;
    }
    struct slice *values = try_malloc(n * sizeof *values);
    if (values == NULL || !names_init(&names, r->argv + 2, n, 1)) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        free(values);
        return;
    }
    memset(values, 0, n * sizeof *values);
    if (a->outcome == LOOKUP_FOUND) {
        names_pick(&names, fields_of(a->kind, a->mapping, a->bytes), values);
    }
    reply_picked(r, &names, values);
    names_destroy(&names);
    free(values);
}

enum command_status cmd_hmget(struct request *r)
{
    return read_key(r, r->argv[1], answer_hmget);
}

/* ---- all ---- */

enum which { NAMES = 1, VALUES = 2 };

static void reply_fields(struct request *r, struct fields fields,
                         unsigned which)
{
    struct slice name;
    struct slice value;

    while (fields_next(&fields, &name, &value)) {
        if ((which & NAMES) != 0) {
            reply_bulk(&r->reply, name);
        }
        if ((which & VALUES) != 0) {
            reply_bulk(&r->reply, value);
        }
    }
}

static void answer_hgetall(struct request *r, const struct answer *a)
{
    struct fields fields;

    if (hash_read(r, a, empty_map, &fields)) {
        reply_map(&r->reply, fields_count(&fields));
        reply_fields(r, fields, NAMES | VALUES);
    }
}

enum command_status cmd_hgetall(struct request *r)
{
    return read_key(r, r->argv[1], answer_hgetall);
}

static void answer_hkeys(struct request *r, const struct answer *a)
{
    struct fields fields;

    if (hash_read(r, a, empty_array, &fields)) {
        reply_array(&r->reply, fields_count(&fields));
        reply_fields(r, fields, NAMES);
    }
}

enum command_status cmd_hkeys(struct request *r)
{
    return read_key(r, r->argv[1], answer_hkeys);
}

static void answer_hvals(struct request *r, const struct answer *a)
{
    struct fields fields;

    if (hash_read(r, a, empty_array, &fields)) {
        reply_array(&r->reply, fields_count(&fields));
        reply_fields(r, fields, VALUES);
    }
}

enum command_status cmd_hvals(struct request *r)
{
    return read_key(r, r->argv[1], answer_hvals);
}

static void answer_hlen(struct request *r, const struct answer *a)
{
    struct fields fields;

    if (hash_read(r, a, empty_integer, &fields)) {
        reply_integer(&r->reply, (int64_t)fields_count(&fields));
    }
}

enum command_status cmd_hlen(struct request *r)
{
    return read_key(r, r->argv[1], answer_hlen);
}
