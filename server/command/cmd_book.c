/* SPDX-License-Identifier: MIT */
/*
 * The BOOK commands: what Redis has no words for.
 */
#include "common/mem.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/hash_json.h"
#include "server/command/parts.h"
#include "server/command/read.h"
#include "server/lookup/freshness.h"
#include "server/lookup/fields.h"
#include "server/lookup/record.h"
#include "server/lookup/why.h"
#include "server/store/mapping.h"

/* ---- BOOK.GET ---- */

/* What BOOK.GET asks for behind the key. */
struct get_options {
    struct lookup_bounds bounds;
    size_t fields; /* Index of the first name behind FIELDS; 0: no FIELDS. */
};

/* Reads a number of milliseconds into microseconds; replies on error. */
static bool milliseconds(struct request *r, size_t i, int64_t *us)
{
    int64_t ms;

    if (i == r->argc) {
        reply_error(&r->reply, "ERR syntax error");
        return false;
    }
    if (!slice_to_int64(r->argv[i], &ms) || ms < 0 || ms > INT64_MAX / 1000) {
        reply_errorf(&r->reply,
                     "ERR %.*s takes a number of milliseconds, 0 or more",
                     (int)(r->argv[i - 1].size < 16 ? r->argv[i - 1].size : 16),
                     r->argv[i - 1].data);
        return false;
    }
    *us = ms * 1000;
    return true;
}

/* Reads a version that BOOK.VERSION has told; replies on error. */
static bool version(struct request *r, size_t i, uint64_t *version)
{
    int64_t n;

    if (i == r->argc) {
        reply_error(&r->reply, "ERR syntax error");
        return false;
    }
    if (!slice_to_int64(r->argv[i], &n) || n < 0) {
        reply_error(&r->reply, "ERR MINVERSION takes a number that "
                               "BOOK.VERSION has answered");
        return false;
    }
    *version = (uint64_t)n;
    return true;
}

static bool get_options(struct request *r, struct get_options *options)
{
    struct lookup_bounds *bounds = &options->bounds;

    *options = (struct get_options){.bounds = {.max_age_us = FRESHNESS_NO_BOUND,
                                               .stale_us = FRESHNESS_NO_BOUND,
                                               .wait_us = FRESHNESS_NO_BOUND}};
    for (size_t i = 2; i < r->argc; i += 2) {
        bool good;
        if (arg_is(r, i, "MAXAGE")) {
            good = milliseconds(r, i + 1, &bounds->max_age_us);
        } else if (arg_is(r, i, "STALE")) {
            good = milliseconds(r, i + 1, &bounds->stale_us);
        } else if (arg_is(r, i, "WAIT")) {
            good = milliseconds(r, i + 1, &bounds->wait_us);
        } else if (arg_is(r, i, "MINVERSION")) {
            good = version(r, i + 1, &bounds->min_version);
        } else if (arg_is(r, i, "FIELDS") && i + 1 < r->argc) {
            options->fields = i + 1;
            break;
        } else {
            reply_error(&r->reply, "ERR syntax error");
            return false;
        }
        if (!good) {
            return false;
        }
    }
    /* Who names an age, and no stale window, wants nothing older. */
    if (bounds->max_age_us != FRESHNESS_NO_BOUND &&
        bounds->stale_us == FRESHNESS_NO_BOUND) {
        bounds->stale_us = 0;
    }
    return true;
}

static bool is_among(const size_t *indices, size_t n, size_t index)
{
    for (size_t i = 0; i < n; i++) {
        if (indices[i] == index) {
            return true;
        }
    }
    return false;
}

/* Appends the named columns of a record as a JSON object, each once; replies on
 * error. */
static bool append_columns(struct request *r, const struct answer *a,
                           size_t first, struct buf *json)
{
    size_t n = 0;

    size_t *indices = xmalloc(a->mapping->n_columns * sizeof *indices);
    for (size_t i = first; i < r->argc; i++) {
        const struct slice name = r->argv[i];
        const size_t index = mapping_column(a->mapping, name);
        if (index == a->mapping->n_columns) {
            reply_errorf(&r->reply, "ERR %s has no column \"%.*s\"",
                         a->mapping->table,
                         (int)(name.size < 128 ? name.size : 128), name.data);
            free(indices);
            return false;
        }
        if (!is_among(indices, n, index)) {
            indices[n++] = index;
        }
    }
    record_append_json(a->mapping, a->bytes, indices, n, json);
    free(indices);
    return true;
}

/* Appends a hash as a JSON object, or of it the fields that are named, null
 * where there is none; replies on error. */
static bool append_hash(struct request *r, const struct answer *a, size_t first,
                        struct buf *json)
{
    const struct fields fields = fields_of(a->kind, a->mapping, a->bytes);
    const enum err err = first > 0 ? hash_json_some(fields, r->argv + first,
                                                    r->argc - first, json)
                                   : hash_json_all(fields, json);

    if (err != ERR_OK) {
        reply_err(&r->reply, err, NULL);
    }
    return err == ERR_OK;
}

/* Appends what is there as JSON, if it is to be; replies on error. */
static bool append_value(struct request *r, const struct answer *a,
                         size_t first, struct buf *json)
{
    if (a->outcome != LOOKUP_FOUND) {
        return true;
    }
    if (a->kind == COPY_HASH) {
        return append_hash(r, a, first, json);
    }
    if (first > 0 && a->mapping == NULL) {
        reply_err(&r->reply, ERR_WRONG_TYPE, NULL);
        return false;
    }
    return first == 0 || append_columns(r, a, first, json);
}

static void answer_book_get(struct request *r, const struct answer *a)
{
    struct reply *reply = &r->reply;
    struct get_options options;
    struct buf json = {0};

    if (!get_options(r, &options) ||
        !append_value(r, a, options.fields, &json)) {
        buf_destroy(&json);
        return;
    }
    reply_map(reply, 4);
    reply_bulk_string(reply, "value");
    if (json.size > 0) {
        reply_bulk(reply, buf_slice(&json));
    } else {
        reply_answer_text(reply, a);
    }
    reply_bulk_string(reply, "source");
    reply_bulk_string(reply, a->source == LOOKUP_CACHE ? "cache" : "store");
    reply_bulk_string(reply, "age-ms");
    reply_integer(reply, a->age_us / 1000);
    reply_bulk_string(reply, "took-us");
    reply_integer(reply, a->took_us);
    buf_destroy(&json);
}

enum command_status cmd_book_get(struct request *r)
{
    struct get_options options;

    if (!get_options(r, &options)) {
        return COMMAND_DONE;
    }
    return read_key_within(r, r->argv[1], &options.bounds, answer_book_get);
}

/* ---- BOOK.VERSION ---- */

/* The version of the key's copy; if it has none, the newest of any, which no
 * copy of it that was dropped could have had. */
static void reply_version(struct request *r)
{
    const struct server *server = r->client->server;
    struct why why;

    lookup_why(server->lookup, r->argv[1], &why);
    reply_integer(&r->reply,
                  (int64_t)(why.has_copy ? why.copy.version
                                         : cache_version(server->cache)));
}

static void answer_version(struct request *r, const struct answer *a)
{
    (void)a;
    reply_version(r);
}

enum command_status cmd_book_version(struct request *r)
{
    struct why why;

    if (r->argc > 2) {
        return done_wrong_count(r);
    }
    if (r->argc == 1) {
        reply_integer(&r->reply,
                      (int64_t)cache_version(r->client->server->cache));
        return COMMAND_DONE;
    }
    lookup_why(r->client->server->lookup, r->argv[1], &why);
    if (why.has_copy || r->execution != NULL) {
        reply_version(r);
        return COMMAND_DONE;
    }
    return read_key(r, r->argv[1], answer_version);
}

/* ---- BOOK.EVICT ---- */

enum command_status cmd_book_evict(struct request *r)
{
    int64_t n = 0;

    for (size_t i = 1; i < r->argc; i++) {
        n += lookup_evict(r->client->server->lookup, r->argv[i]);
    }
    reply_integer(&r->reply, n);
    return COMMAND_DONE;
}

/* ---- BOOK.WHY ---- */

static void field_text(struct reply *reply, const char *name, const char *text)
{
    reply_bulk_string(reply, name);
    reply_bulk_string(reply, text);
}

static void field_integer(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_string(reply, name);
    reply_integer(reply, value);
}

static void reply_copy(struct reply *reply, const struct why *why)
{
    static const char *const origins[] = {[COPY_FROM_MISS] = "miss",
                                          [COPY_FROM_REFRESH] = "refresh",
                                          [COPY_FROM_WRITE] = "write"};

    static const char *const types[] = {[COPY_STRING] = "string",
                                        [COPY_HASH] = "hash",
                                        [COPY_RECORD] = "record",
                                        [COPY_NEGATIVE] = "none"};

    field_text(reply, "type", types[why->copy.kind]);
    field_integer(reply, "age-ms", why->age_us / 1000);
    field_integer(reply, "max-age-left-ms", why->left.fresh_us / 1000);
    field_integer(reply, "stale-while-revalidate-left-ms",
                  why->left.stale_us / 1000);
    field_integer(reply, "stale-if-error-left-ms", why->left.error_us / 1000);
    field_text(reply, "origin", origins[why->copy.origin]);
    field_integer(reply, "store-took-us", why->copy.store_us);
    field_integer(reply, "version", (int64_t)why->copy.version);
    field_integer(reply, "bytes", (int64_t)why->bytes);
}

enum command_status cmd_book_why(struct request *r)
{
    struct reply *reply = &r->reply;
    struct why why;

    lookup_why(r->client->server->lookup, r->argv[1], &why);
    reply_map(reply, 6 + (why.has_copy ? 9 : 0) + (why.has_flight ? 2 : 0));
    field_text(reply, "table",
               why.mapping != NULL ? why.mapping->table : "plain");
    field_text(reply, "state", why.state);
    field_text(reply, "answers", why.answers);
    field_text(reply, "reason", why.reason);
    field_text(reply, "race", why.race);
    field_text(reply, "flight", why.has_flight ? "yes" : "no");
    if (why.has_flight) {
        field_integer(reply, "flight-age-ms", why.flight.age_us / 1000);
        field_integer(reply, "flight-waiters", (int64_t)why.flight.n_waiters);
    }
    if (why.has_copy) {
        reply_copy(reply, &why);
    }
    return COMMAND_DONE;
}
