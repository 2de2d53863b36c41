/* SPDX-License-Identifier: MIT */
#include "server/lookup/update.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/task.h"
#include "server/admin/config.h"
#include "server/cache/cache.h"
#include "server/lookup/flight.h"
#include "server/lookup/lookup.h"
#include "server/lookup/record.h"

#include <assert.h>

/* One write on its way to the store: a single allocation that ends in copies
 * of the fields, the key, and the bytes. */
struct pending {
    struct store_write write;
    struct lookup *lookup;
    struct update_caller caller;
    uint64_t hash;
    struct slice key;  /* Whole. */
    bool acknowledged; /* Nobody waits: a dirty copy 'version' does. */
    uint64_t version;
    struct buf row; /* The row after the write, encoded. */
    bool has_row;
    bool row_lost; /* There was no memory to encode it. */
    /* From here: what done() hands to the caller's loop. */
    struct update_result result;
    struct buf detail;
    struct slice fields[];
};

static char *copy_in(char *to, struct slice from, struct slice *copy)
{
    if (from.size > 0) {
        memcpy(to, from.data, from.size);
    }
    *copy = slice_make(to, from.size);
    return to + from.size;
}

/* NULL when memory is exhausted. */
static struct pending *pending_new(struct lookup *lookup,
                                   const struct update *u,
                                   const struct update_caller *caller)
{
    const size_t table_bytes = u->n_fields * sizeof(struct slice);
    size_t bytes = u->key.size + u->value.size;

    for (size_t i = 0; i < u->n_fields; i++) {
        bytes += u->fields[i].size;
    }
    struct pending *p = try_malloc(sizeof *p + table_bytes + bytes);
    if (p == NULL) {
        return NULL;
    }
    *p = (struct pending){.lookup = lookup,
                          .caller = *caller,
                          .hash = hash_bytes(u->key),
                          .write = {.op = u->op,
                                    .n_fields = u->n_fields,
                                    .expires_ms = u->expires_ms}};
    char *end = (char *)p->fields + table_bytes;
    end = copy_in(end, u->key, &p->key);
    end = copy_in(end, u->value, &p->write.value);
    for (size_t i = 0; i < u->n_fields; i++) {
        end = copy_in(end, u->fields[i], &p->fields[i]);
    }
    p->write.fields = p->fields;
    p->write.mapping = mapping_find(store_mappings(lookup_parts(lookup)->store),
                                    p->key, &p->write.key);
    if (p->write.mapping == NULL) {
        p->write.key = p->key;
    }
    return p;
}

static void pending_free(struct pending *p)
{
    buf_destroy(&p->row);
    buf_destroy(&p->detail);
    free(p);
}

/* ---- the cache's side of a committed write ---- */

static void on_row(struct store_write *write, const struct store_row *row)
{
    struct pending *p = container_of(write, struct pending, write);

    if (row->mapping == NULL) {
        return; /* A plain key: its value is what was written. */
    }
    buf_clear(&p->row);
    p->row_lost = record_encode(row, &p->row) != ERR_OK;
    p->has_row = true;
}

/* Makes the cache say what the store now says.  The flight lock is held. */
static void apply_to_cache(struct pending *p)
{
    struct cache *cache = lookup_parts(p->lookup)->cache;
    struct copy copy = {.filled_us = clock_now_us(), .origin = COPY_FROM_WRITE};
    struct slice bytes = SLICE("");
    struct copy there;

    if (cache_get(cache, p->key, p->hash, 0, &there, NULL) && there.dirty) {
        return; /* A younger write, acknowledged from memory. */
    }
    switch (p->write.op) {
    case STORE_PUT_PLAIN:
        copy.kind = COPY_STRING;
        copy.expires_ms = p->write.expires_ms;
        bytes = p->write.value;
        break;
    case STORE_PUT_ROW:
    case STORE_SET_COLUMNS:
        copy.kind = p->has_row ? COPY_RECORD : COPY_NEGATIVE;
        bytes = buf_slice(&p->row);
        break;
    case STORE_DELETE_PLAIN:
    case STORE_DELETE_ROW:
        copy.kind = COPY_NEGATIVE;
        break;
    case STORE_CLEAR_PLAIN:
    case STORE_READ:
    case STORE_GROUP:
    case STORE_BARRIER:
        return;
    }
    if (p->row_lost ||
        cache_put(cache, p->key, p->hash, &copy, bytes) != ERR_OK) {
        (void)cache_remove(cache, p->key, p->hash);
    }
}

/* A write that was acknowledged from memory will never be in the store: its
 * copy would stay for ever and answer what a restart forgets.  The flight lock
 * is held. */
static void drop_lost(struct pending *p)
{
    struct cache *cache = lookup_parts(p->lookup)->cache;
    struct copy there;

    if (cache_get(cache, p->key, p->hash, 0, &there, NULL) &&
        there.version == p->version) {
        (void)cache_remove(cache, p->key, p->hash);
    }
}

/* Ends the write in the cache, if it was committed.  Taking the lock also
 * waits for start_behind(), so that 'acknowledged' is final. */
static void settle(struct pending *p, enum err err)
{
    struct flights *flights = lookup_flights(p->lookup);
    struct cache *cache = lookup_parts(p->lookup)->cache;

    if (p->write.op == STORE_CLEAR_PLAIN) {
        if (err == ERR_OK) {
            flights_fence_plain(flights);
            cache_clear(cache);
        }
        return;
    }
    flights_lock(flights, p->hash);
    if (err != ERR_OK && p->acknowledged) {
        drop_lost(p);
    } else if (err != ERR_OK) {
        /* The cache has not changed, and does not. */
    } else if (p->acknowledged) {
        cache_clean(cache, p->key, p->hash, p->version);
    } else {
        flights_fence(flights, p->key, p->hash);
        apply_to_cache(p);
    }
    flights_unlock(flights, p->hash);
}

static void deliver(void *arg)
{
    struct pending *p = arg;

    p->caller.done(p->caller.arg, &p->result);
    pending_free(p);
}

/* On the writer's thread, after the commit or the failure. */
static void on_done(struct store_write *write, enum err err,
                    struct slice detail)
{
    struct pending *p = container_of(write, struct pending, write);

    settle(p, err);
    if (p->acknowledged) {
        /* What a store gives up when it closes, it has counted and logged. */
        if (err != ERR_OK && err != ERR_SHUTTING_DOWN) {
            log_error("update: an acknowledged write was lost err=%s "
                      "detail=\"%.*s\"",
                      err_str(err), (int)detail.size, detail.data);
        }
        pending_free(p);
        return;
    }
    buf_append_slice(&p->detail, detail);
    p->result = (struct update_result){.err = err,
                                       .detail = buf_slice(&p->detail),
                                       .n_changed = write->n_changed,
                                       .n_new_fields = write->n_new_fields};
    if (!task_post(p->caller.home, deliver, p)) {
        pending_free(p); /* The loop has stopped, and the client with it. */
    }
}

/* ---- the ways to write ---- */

static bool refuse(struct update_result *result, enum err err,
                   const char *detail)
{
    *result =
        (struct update_result){.err = err, .detail = slice_from_string(detail)};
    return true;
}

static bool start_through(struct pending *p, struct update_result *result)
{
    p->write.row = on_row;
    p->write.done = on_done;
    /* After a success 'p' may be gone already. */
    const enum err err =
        store_write_start(lookup_parts(p->lookup)->store, &p->write);
    if (err != ERR_OK) {
        pending_free(p);
        return refuse(result, err, "");
    }
    return false;
}

static void free_barrier(struct store_write *barrier, enum err err,
                         struct slice detail)
{
    (void)err;
    (void)detail;
    free(barrier);
}

/* Has everything that was deferred so far committed now. */
static void hurry(struct store *store)
{
    struct store_write *barrier = xcalloc(1, sizeof *barrier);

    barrier->op = STORE_BARRIER;
    barrier->done = free_barrier;
    if (store_write_start(store, barrier) != ERR_OK) {
        free(barrier); /* The queue is full, so the writer is at it. */
    }
}

static bool start_behind(struct pending *p, struct update_result *result)
{
    const struct lookup_parts *parts = lookup_parts(p->lookup);
    struct flights *flights = lookup_flights(p->lookup);
    struct copy copy = {.kind = COPY_STRING,
                        .dirty = true,
                        .filled_us = clock_now_us(),
                        .origin = COPY_FROM_WRITE,
                        .expires_ms = p->write.expires_ms};

    p->write.done = on_done;
    p->write.deferred = true;
    const uint64_t hash = p->hash;
    /* The writer's done() takes this lock, so 'p' stays until it is open. */
    flights_lock(flights, hash);
    const enum err err = store_write_start(parts->store, &p->write);
    if (err == ERR_OK) {
        flights_fence(flights, p->key, hash);
        p->acknowledged = cache_put(parts->cache, p->key, hash, &copy,
                                    p->write.value) == ERR_OK;
        p->version = copy.version;
    }
    const bool acknowledged = p->acknowledged;
    flights_unlock(flights, hash);

    if (err == ERR_STORE_BUSY) {
        /* Too many wait already: who writes on waits for the commit. */
        p->write.deferred = false;
        return start_through(p, result);
    }
    if (err != ERR_OK) {
        pending_free(p);
        return refuse(result, err, "");
    }
    if (!acknowledged) {
        /* Memory cannot hold it: acknowledged when committed, which is soon. */
        hurry(parts->store);
    }
    *result = (struct update_result){.err = ERR_OK};
    return acknowledged;
}

/* Plain keys in memory only. */
static bool update_memory(struct lookup *lookup, const struct update *u,
                          struct update_result *result)
{
    struct cache *cache = lookup_parts(lookup)->cache;
    const uint64_t hash = hash_bytes(u->key);
    struct copy copy = {.kind = COPY_STRING,
                        .memory_only = true,
                        .filled_us = clock_now_us(),
                        .origin = COPY_FROM_WRITE,
                        .expires_ms = u->expires_ms};

    *result = (struct update_result){.err = ERR_OK, .detail = SLICE("")};
    if (u->op == STORE_PUT_PLAIN) {
        result->err = cache_put(cache, u->key, hash, &copy, u->value);
    } else if (u->op == STORE_DELETE_PLAIN) {
        const bool there =
            cache_get(cache, u->key, hash, clock_wall_ms(), &copy, NULL);
        result->n_changed = cache_remove(cache, u->key, hash) && there;
    } else {
        cache_clear(cache);
    }
    return true;
}

static bool is_plain(enum store_op op)
{
    return op == STORE_PUT_PLAIN || op == STORE_DELETE_PLAIN ||
           op == STORE_CLEAR_PLAIN;
}

bool update_start(struct lookup *lookup, const struct update *u,
                  const struct update_caller *caller,
                  struct update_result *result)
{
    const struct lookup_parts *parts = lookup_parts(lookup);
    const int64_t mode = config_number(parts->config, CONFIG_plain_writes);

    if (is_plain(u->op) && mode == WRITES_NONE) {
        return update_memory(lookup, u, result);
    }
    struct pending *p = pending_new(lookup, u, caller);
    if (p == NULL) {
        return refuse(result, ERR_NOMEM, "");
    }
    if (p->write.mapping != NULL &&
        !mapping_id_valid(p->write.mapping, p->write.key)) {
        pending_free(p);
        if (u->op == STORE_DELETE_ROW) {
            *result = (struct update_result){.err = ERR_OK};
            return true; /* There is nothing to delete. */
        }
        return refuse(result, ERR_INVALID,
                      "the key of a record is its table's prefix and an "
                      "integer, like book:3");
    }
    if (u->op == STORE_PUT_PLAIN && mode == WRITES_BEHIND) {
        return start_behind(p, result);
    }
    return start_through(p, result);
}
