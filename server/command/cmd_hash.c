/* SPDX-License-Identifier: MIT */
/*
 * The H commands: a record as a hash of its columns.  A column that is NULL
 * is a field that is not there, as Redis has no other word for it.
 */
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/read.h"
#include "server/lookup/record.h"
#include "server/store/mapping.h"

/* True if 'a' is a record.  Otherwise replies: 'empty' for what does not
 * exist, an error for a plain key, which holds a string. */
static bool is_record(struct request *r, const struct answer *a,
                      void (*empty)(struct reply *reply))
{
    if (a->outcome == LOOKUP_MISS) {
        empty(&r->reply);
        return false;
    }
    if (a->mapping == NULL) {
        reply_err(&r->reply, ERR_WRONG_TYPE, NULL);
        return false;
    }
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

/* The column called 'name', if there is one that is not NULL. */
static bool column_named(const struct answer *a, struct slice name,
                         struct slice *value)
{
    const size_t i = mapping_column(a->mapping, name);
    enum column_type type;

    if (i == a->mapping->n_columns) {
        return false;
    }
    *value = record_column(a->bytes, i, &type);
    return type != COLUMN_NULL;
}

static void reply_column(struct reply *reply, const struct answer *a,
                         struct slice name)
{
    struct slice value;

    if (column_named(a, name, &value)) {
        reply_bulk(reply, value);
    } else {
        reply_null(reply);
    }
}

static size_t n_fields(const struct answer *a)
{
    size_t n = 0;

    for (size_t i = 0; i < a->mapping->n_columns; i++) {
        enum column_type type;
        (void)record_column(a->bytes, i, &type);
        n += type != COLUMN_NULL;
    }
    return n;
}

enum fields { NAMES = 1, VALUES = 2 };

static void reply_fields(struct request *r, const struct answer *a,
                         unsigned which)
{
    for (size_t i = 0; i < a->mapping->n_columns; i++) {
        enum column_type type;
        const struct slice value = record_column(a->bytes, i, &type);
        if (type == COLUMN_NULL) {
            continue;
        }
        if ((which & NAMES) != 0) {
            reply_bulk_string(&r->reply, a->mapping->columns[i]);
        }
        if ((which & VALUES) != 0) {
            reply_bulk(&r->reply, value);
        }
    }
}

static void answer_hget(struct request *r, const struct answer *a)
{
    if (is_record(r, a, reply_null)) {
        reply_column(&r->reply, a, r->argv[2]);
    }
}

enum command_status cmd_hget(struct request *r)
{
    return read_key(r, r->argv[1], answer_hget);
}

/* Of the values of all columns named from argument 2 on; each may be named
 * many times. */
static size_t columns_bytes(const struct request *r, const struct answer *a)
{
    size_t bytes = 0;

    for (size_t i = 2; i < r->argc; i++) {
        struct slice value;
        bytes += column_named(a, r->argv[i], &value) ? value.size : 0;
    }
    return bytes;
}

static void answer_hmget(struct request *r, const struct answer *a)
{
    if (a->outcome == LOOKUP_FOUND && a->mapping == NULL) {
        reply_err(&r->reply, ERR_WRONG_TYPE, NULL);
        return;
    }
    if (a->outcome == LOOKUP_FOUND && columns_bytes(r, a) > READ_BYTES_MAX) {
        reply_err(&r->reply, ERR_TOO_BIG, "ask for fewer columns at once");
        return;
    }
    reply_array(&r->reply, r->argc - 2);
    for (size_t i = 2; i < r->argc; i++) {
        if (a->outcome == LOOKUP_FOUND) {
            reply_column(&r->reply, a, r->argv[i]);
        } else {
            reply_null(&r->reply);
        }
    }
}

enum command_status cmd_hmget(struct request *r)
{
    return read_key(r, r->argv[1], answer_hmget);
}

static void answer_hgetall(struct request *r, const struct answer *a)
{
    if (is_record(r, a, empty_map)) {
        reply_map(&r->reply, n_fields(a));
        reply_fields(r, a, NAMES | VALUES);
    }
}

enum command_status cmd_hgetall(struct request *r)
{
    return read_key(r, r->argv[1], answer_hgetall);
}

static void answer_hkeys(struct request *r, const struct answer *a)
{
    if (is_record(r, a, empty_array)) {
        reply_array(&r->reply, n_fields(a));
        reply_fields(r, a, NAMES);
    }
}

enum command_status cmd_hkeys(struct request *r)
{
    return read_key(r, r->argv[1], answer_hkeys);
}

static void answer_hvals(struct request *r, const struct answer *a)
{
    if (is_record(r, a, empty_array)) {
        reply_array(&r->reply, n_fields(a));
        reply_fields(r, a, VALUES);
    }
}

enum command_status cmd_hvals(struct request *r)
{
    return read_key(r, r->argv[1], answer_hvals);
}

static void answer_hlen(struct request *r, const struct answer *a)
{
    if (is_record(r, a, empty_integer)) {
        reply_integer(&r->reply, (int64_t)n_fields(a));
    }
}

enum command_status cmd_hlen(struct request *r)
{
    return read_key(r, r->argv[1], answer_hlen);
}

static void answer_hexists(struct request *r, const struct answer *a)
{
    struct slice value;

    if (is_record(r, a, empty_integer)) {
        reply_integer(&r->reply, column_named(a, r->argv[2], &value));
    }
}

enum command_status cmd_hexists(struct request *r)
{
    return read_key(r, r->argv[1], answer_hexists);
}
