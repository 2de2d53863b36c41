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
#include "server/lookup/changes.h"
#include "server/lookup/record.h"
#include "server/lookup/update_internal.h"
#include "server/lookup/watch.h"

#include <assert.h>

/* ---- batches ---- */

static size_t bytes_of(const struct update *u)
{
    size_t bytes = u->key.size + u->value.size;

    for (size_t i = 0; i < u->n_fields; i++) {
        bytes += u->fields[i].size;
    }
    return bytes + u->n_fields * sizeof(struct slice);
}

static char *copy_in(char *to, struct slice from, struct slice *copy)
{
    if (from.size > 0) {
        memcpy(to, from.data, from.size);
    }
    /* What has no data (a column to become NULL) keeps none. */
    *copy = slice_make(from.data == NULL ? NULL : to, from.size);
    return to + from.size;
}

/* Copies 'u' to 'm', its bytes to '*bytes' and its table of fields to
 * '*fields', and moves both on. */
static void copy_update(struct member *m, const struct update *u,
                        struct slice **fields, char **bytes)
{
    m->asked = *u;
    m->asked.fields = *fields;
    *bytes = copy_in(*bytes, u->key, &m->asked.key);
    *bytes = copy_in(*bytes, u->value, &m->asked.value);
    for (size_t i = 0; i < u->n_fields; i++) {
        *bytes = copy_in(*bytes, u->fields[i], (*fields)++);
    }
}

static void write_what(struct member *m, const struct update *u)
{
    m->write.op = u->op;
    m->write.value = u->value;
    m->write.fields = u->fields;
    m->write.n_fields = u->n_fields;
    m->write.expires_ms = u->expires_ms;
}

/* NULL when memory is exhausted. */
static struct batch *batch_new(struct lookup *lookup,
                               const struct update *updates, size_t n,
                               const struct update_caller *caller)
{
    const size_t tables_at = sizeof(struct batch) + n * sizeof(struct member);
    const size_t fields_at = tables_at + n * (sizeof(struct update_result) +
                                              sizeof(struct store_write *));
    size_t size = fields_at;

    for (size_t i = 0; i < n; i++) {
        size += bytes_of(&updates[i]);
    }
    struct batch *b = try_malloc(size);
    if (b == NULL) {
        return NULL;
    }
    memset(b, 0, fields_at);
    b->lookup = lookup;
    b->caller = *caller;
    b->n = n;
    b->results = (struct update_result *)((char *)b + tables_at);
    b->writes = (struct store_write **)(b->results + n);
    struct slice *fields = (struct slice *)(b->writes + n);
    char *bytes = (char *)fields;
    for (size_t i = 0; i < n; i++) {
        bytes += updates[i].n_fields * sizeof(struct slice);
    }
    for (size_t i = 0; i < n; i++) {
        struct member *m = &b->members[i];
        m->batch = b;
        copy_update(m, &updates[i], &fields, &bytes);
        m->update = m->asked;
        write_what(m, &m->asked);
        m->hash = hash_bytes(m->asked.key);
        m->write.mapping =
            mapping_find(store_mappings(lookup_parts(lookup)->store),
                         m->asked.key, &m->write.key);
        if (m->write.mapping == NULL) {
            m->write.key = m->asked.key;
        }
    }
    return b;
}

static void batch_free(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        buf_destroy(&b->members[i].room);
        buf_destroy(&b->members[i].row);
        buf_destroy(&b->members[i].detail);
    }
    buf_destroy(&b->detail);
    free(b);
}

/* ---- the outcome ---- */

static void member_fail(struct member *m, enum err err, struct slice detail)
{
    buf_clear(&m->detail);
    buf_append_slice(&m->detail, detail);
    m->result = (struct update_result){.err = err};
}

void batch_fail(struct batch *b, enum err err, struct slice detail)
{
    b->outcome.err = err;
    buf_clear(&b->detail);
    buf_append_slice(&b->detail, detail);
    for (size_t i = 0; i < b->n; i++) {
        member_fail(&b->members[i], err, detail);
    }
}

/* Calls the caller, and frees. */
static void finish(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        m->result.detail = buf_slice(&m->detail);
        b->results[i] = m->result;
    }
    b->outcome.detail = buf_slice(&b->detail);
    b->outcome.results = b->results;
    b->outcome.n = b->n;
    b->caller.done(b->caller.arg, &b->outcome);
    batch_free(b);
}

static void deliver(void *arg)
{
    finish(arg);
}

void batch_deliver(struct batch *b)
{
    if (!task_post(b->caller.home, deliver, b)) {
        batch_free(b); /* The loop has stopped, and the client with it. */
    }
}

/* ---- in the store's transaction ---- */

/* What the cache would hold for 'row'.  A record is encoded into 'room'. */
static enum err present_of(struct member *m, const struct store_row *row,
                           struct present *present)
{
    *present = (struct present){
        .mapping = m->write.mapping, .kind = COPY_NEGATIVE, .bytes = SLICE("")};
    if (row == NULL) {
        return ERR_OK;
    }
    present->expires_ms = row->expires_ms;
    if (row->mapping == NULL) {
        present->kind = COPY_STRING;
        present->bytes = row->columns[0].bytes;
        return ERR_OK;
    }
    buf_clear(&m->row);
    const enum err err = record_encode(row, &m->row);
    present->kind = COPY_RECORD;
    present->bytes = buf_slice(&m->row);
    return err;
}

/* Has the update look at what is there and decide. */
static enum err decide(struct member *m, const struct present *now)
{
    enum err err = ERR_OK;

    m->update = m->asked;
    m->result = (struct update_result){.err = ERR_OK};
    buf_clear(&m->room);
    buf_clear(&m->detail);
    if (m->update.op == STORE_READ && m->update.found != NULL) {
        m->update.found(m->update.context, now);
    }
    if (m->update.decide != NULL) {
        err = m->update.decide(m->update.context, now, &m->update, &m->room,
                               &m->detail);
    }
    m->result.err = err;
    write_what(m, &m->update);
    return err;
}

static enum err on_decide(struct store_write *write,
                          const struct store_row *row, struct buf *detail)
{
    struct member *m = container_of(write, struct member, write);
    const struct update_caller *caller = &m->batch->caller;
    struct present now;

    if (m->batch->n == 1 && caller->check != NULL &&
        !caller->check(caller->arg)) {
        return ERR_CONFLICT;
    }
    enum err err = present_of(m, row, &now);
    if (err == ERR_OK) {
        err = decide(m, &now);
        buf_append_slice(detail, buf_slice(&m->detail));
    }
    return err;
}

static void on_row(struct store_write *write, const struct store_row *row)
{
    struct member *m = container_of(write, struct member, write);

    if (row->mapping == NULL) {
        return; /* A plain key: its value is what was written. */
    }
    buf_clear(&m->row);
    m->row_lost = record_encode(row, &m->row) != ERR_OK;
    m->has_row = true;
}

static void on_applied(struct store_write *write)
{
    struct member *m = container_of(write, struct member, write);
    const struct lookup_parts *parts = lookup_parts(m->batch->lookup);

    m->applied_us = clock_now_us();
    if (parts->watches == NULL || m->batch->acknowledged) {
        return;
    }
    if (write->op == STORE_CLEAR_PLAIN) {
        watches_touch_all(parts->watches, SLICE(""));
    } else {
        watches_touch(parts->watches, m->asked.key);
    }
}

/* ---- the cache's side of a committed write ---- */

/* Tells listeners of a change that the cache has.  The flight lock is held. */
static void tell(struct member *m)
{
    const struct lookup_parts *parts = lookup_parts(m->batch->lookup);
    const struct change change = {.key = m->asked.key,
                                  .event = m->update.event,
                                  .class = m->update.class};

    if (parts->changes != NULL && change.event != NULL && m->applied_us != 0) {
        changes_tell(parts->changes, &change);
    }
}

static void put(struct member *m)
{
    struct cache *cache = lookup_parts(m->batch->lookup)->cache;
    struct copy copy = {.filled_us = m->applied_us, .origin = COPY_FROM_WRITE};
    struct slice bytes = SLICE("");
    struct copy there;

    if (cache_get(cache, m->asked.key, m->hash, 0, &there, NULL) &&
        there.dirty) {
        return; /* A younger write, acknowledged from memory. */
    }
    if (copy.filled_us == 0) {
        copy.filled_us = clock_now_us();
    }
    switch (m->write.op) {
    case STORE_PUT_PLAIN:
        copy.kind = COPY_STRING;
        copy.expires_ms = m->write.expires_ms;
        bytes = m->write.value;
        break;
    case STORE_PUT_ROW:
    case STORE_SET_COLUMNS:
        copy.kind = m->has_row ? COPY_RECORD : COPY_NEGATIVE;
        bytes = buf_slice(&m->row);
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
    if (m->row_lost ||
        cache_put(cache, m->asked.key, m->hash, &copy, bytes) != ERR_OK) {
        (void)cache_remove(cache, m->asked.key, m->hash);
    }
}

void member_settle(struct member *m)
{
    if (m->write.op == STORE_READ) {
        return;
    }
    flights_fence(lookup_flights(m->batch->lookup), m->asked.key, m->hash);
    put(m);
    tell(m);
}

/* A write that was acknowledged from memory will never be in the store: its
 * copy would stay for ever and answer what a restart forgets.  The flight lock
 * is held. */
static void drop_lost(struct member *m)
{
    struct cache *cache = lookup_parts(m->batch->lookup)->cache;
    struct copy there;

    if (cache_get(cache, m->asked.key, m->hash, 0, &there, NULL) &&
        there.version == m->batch->version) {
        (void)cache_remove(cache, m->asked.key, m->hash);
    }
}

static void settle_clear(struct member *m)
{
    const struct lookup_parts *parts = lookup_parts(m->batch->lookup);

    flights_fence_plain(lookup_flights(m->batch->lookup));
    cache_clear(parts->cache);
    tell(m);
}

/* Ends the write in the cache, if it was committed.  Taking the lock also
 * waits for start_behind(), so that 'acknowledged' is final. */
static void settle(struct member *m, enum err err)
{
    struct batch *b = m->batch;
    struct flights *flights = lookup_flights(b->lookup);

    if (m->write.op == STORE_CLEAR_PLAIN) {
        if (err == ERR_OK) {
            settle_clear(m);
        }
        return;
    }
    flights_lock(flights, m->hash);
    if (err != ERR_OK && b->acknowledged) {
        drop_lost(m);
    } else if (err != ERR_OK) {
        /* The cache has not changed, and does not. */
    } else if (b->acknowledged) {
        cache_clean(lookup_parts(b->lookup)->cache, m->asked.key, m->hash,
                    b->version);
    } else {
        member_settle(m);
    }
    flights_unlock(flights, m->hash);
}

/* On the writer's thread, after the commit or the failure. */
static void on_done(struct store_write *write, enum err err,
                    struct slice detail)
{
    struct member *m = container_of(write, struct member, write);
    struct batch *b = m->batch;

    settle(m, err);
    if (b->acknowledged) {
        /* What a store gives up when it closes, it has counted and logged. */
        if (err != ERR_OK && err != ERR_SHUTTING_DOWN) {
            log_error("update: an acknowledged write was lost err=%s "
                      "detail=\"%.*s\"",
                      err_str(err), (int)detail.size, detail.data);
        }
        batch_free(b);
        return;
    }
    if (err != ERR_OK && m->result.err == ERR_OK) {
        batch_fail(b, err, detail);
    } else if (err == ERR_OK) {
        m->result = (struct update_result){.n_changed = write->n_changed,
                                           .n_created = write->n_created,
                                           .n_new_fields = write->n_new_fields};
    }
    batch_deliver(b);
}

/* ---- the ways to write ---- */

static bool finish_now(struct batch *b)
{
    finish(b);
    return true;
}

static bool refuse(struct batch *b, enum err err)
{
    batch_fail(b, err, SLICE(""));
    return finish_now(b);
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

static bool start_through(struct batch *b)
{
    const bool looks = b->caller.check != NULL;
    size_t n = 0;
    enum err err;

    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (m->skipped) {
            continue;
        }
        m->write.row = on_row;
        m->write.applied = on_applied;
        m->write.done = on_done;
        if (m->asked.decide != NULL || m->asked.found != NULL || looks) {
            m->write.decide = on_decide;
        }
        b->writes[n++] = &m->write;
    }
    if (n == 0) {
        return finish_now(b);
    }
    /* After a success 'b' may be gone already. */
    if (b->n == 1) {
        err = store_write_start(lookup_parts(b->lookup)->store, b->writes[0]);
    } else {
        err = group_start(b, n);
    }
    return err == ERR_OK ? false : refuse(b, err);
}

/* One plain key, whatever was there. */
static bool start_behind(struct batch *b)
{
    const struct lookup_parts *parts = lookup_parts(b->lookup);
    struct flights *flights = lookup_flights(b->lookup);
    struct member *m = &b->members[0];
    struct copy copy = {.kind = COPY_STRING,
                        .dirty = true,
                        .filled_us = clock_now_us(),
                        .origin = COPY_FROM_WRITE,
                        .expires_ms = m->write.expires_ms};

    m->write.done = on_done;
    m->write.deferred = true;
    const uint64_t hash = m->hash;
    /* The writer's done() takes this lock, so 'b' stays until it is open. */
    flights_lock(flights, hash);
    const enum err err = store_write_start(parts->store, &m->write);
    if (err == ERR_OK) {
        flights_fence(flights, m->asked.key, hash);
        b->acknowledged = cache_put(parts->cache, m->asked.key, hash, &copy,
                                    m->write.value) == ERR_OK;
        b->version = copy.version;
    }
    const bool acknowledged = b->acknowledged;
    const struct update_caller caller = b->caller;
    flights_unlock(flights, hash);

    if (err == ERR_STORE_BUSY) {
        /* Too many wait already: who writes on waits for the commit. */
        m->write.deferred = false;
        return start_through(b);
    }
    if (err != ERR_OK) {
        return refuse(b, err);
    }
    if (acknowledged) {
        const struct update_result result = {.n_created = 1};
        const struct update_outcome outcome = {.results = &result, .n = 1};
        caller.done(caller.arg, &outcome);
    } else {
        /* Memory cannot hold it: acknowledged when committed, which is soon. */
        hurry(parts->store);
    }
    return acknowledged;
}

/* Plain keys in memory only. */
static bool update_memory(struct batch *b)
{
    struct cache *cache = lookup_parts(b->lookup)->cache;

    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        struct copy copy = {.kind = COPY_STRING,
                            .memory_only = true,
                            .filled_us = clock_now_us(),
                            .origin = COPY_FROM_WRITE,
                            .expires_ms = m->asked.expires_ms};
        if (m->asked.op == STORE_PUT_PLAIN) {
            m->result.err =
                cache_put(cache, m->asked.key, m->hash, &copy, m->asked.value);
        } else if (m->asked.op == STORE_DELETE_PLAIN) {
            const bool there = cache_get(cache, m->asked.key, m->hash,
                                         clock_wall_ms(), &copy, NULL);
            m->result.n_changed =
                cache_remove(cache, m->asked.key, m->hash) && there;
        } else {
            cache_clear(cache);
        }
    }
    return finish_now(b);
}

/* ---- beginning ---- */

static bool is_plain(enum store_op op)
{
    return op == STORE_PUT_PLAIN || op == STORE_DELETE_PLAIN ||
           op == STORE_CLEAR_PLAIN;
}

/* Ends members that no store could carry out. */
static void check_keys(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        const struct mapping *mapping = m->write.mapping;
        if (mapping == NULL || mapping_id_valid(mapping, m->write.key)) {
            continue;
        }
        m->skipped = true;
        if (m->asked.op == STORE_READ && m->asked.found != NULL) {
            const struct present nothing = {
                .mapping = mapping, .kind = COPY_NEGATIVE, .bytes = SLICE("")};
            m->asked.found(m->asked.context, &nothing);
        } else if (m->asked.op != STORE_READ &&
                   m->asked.op != STORE_DELETE_ROW) {
            member_fail(m, ERR_INVALID,
                        SLICE("no row can have this key; the key of a record "
                              "is its table's prefix and its id, like "
                              "book:3"));
        }
    }
}

bool update_start(struct lookup *lookup, const struct update *updates, size_t n,
                  const struct update_caller *caller)
{
    const struct lookup_parts *parts = lookup_parts(lookup);
    const int64_t mode = config_number(parts->config, CONFIG_plain_writes);
    bool all_plain = true;

    struct batch *b = batch_new(lookup, updates, n, caller);
    if (b == NULL) {
        const struct update_outcome outcome = {.err = ERR_NOMEM,
                                               .detail = SLICE("")};
        caller->done(caller->arg, &outcome);
        return true;
    }
    check_keys(b);
    for (size_t i = 0; i < n; i++) {
        all_plain = all_plain && is_plain(b->members[i].asked.op);
    }
    if (all_plain && mode == WRITES_NONE) {
        return update_memory(b);
    }
    if (n == 1 && b->members[0].asked.op == STORE_PUT_PLAIN &&
        b->members[0].asked.decide == NULL && caller->check == NULL &&
        mode == WRITES_BEHIND) {
        return start_behind(b);
    }
    return start_through(b);
}
