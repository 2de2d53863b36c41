/* SPDX-License-Identifier: MIT */
#include "server/lookup/update.h"

#include "common/hash.h"
#include "common/mem.h"
#include "server/lookup/hash_value.h"
#include "server/lookup/update_internal.h"
#include "server/lookup/watch.h"
#include "server/store/plain_key.h"

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

/* Copies 'u' to m->asked, its bytes to '*bytes' and its table of fields to
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

static void init_member(struct batch *b, struct member *m)
{
    m->batch = b;
    m->hash = hash_bytes(m->asked.key);
    m->mark.key = m->asked.key;
    m->mark.hash = m->hash;
    m->write.mapping =
        mapping_find(store_mappings(lookup_parts(b->lookup)->store),
                     m->asked.key, &m->write.key);
    if (m->write.mapping == NULL) {
        m->write.key = m->asked.key;
    }
    member_reset(m);
}

/* By hash and key; those of the same key in their order. */
static int by_key(const void *a, const void *b)
{
    const struct member *first = *(struct member *const *)a;
    const struct member *next = *(struct member *const *)b;
    const struct slice k = first->asked.key;
    const struct slice l = next->asked.key;

    if (first->hash != next->hash) {
        return first->hash < next->hash ? -1 : 1;
    }
    if (k.size != l.size) {
        return k.size < l.size ? -1 : 1;
    }
    const int order = k.size == 0 ? 0 : memcmp(k.data, l.data, k.size);
    return order != 0 ? order : (first > next) - (first < next);
}

/* Finds the members of the same key. */
static void chain_keys(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        b->sorted[i] = &b->members[i];
    }
    qsort(b->sorted, b->n, sizeof(b->sorted[0]), by_key);
    for (size_t i = 1; i < b->n; i++) {
        struct member *previous = b->sorted[i - 1];
        struct member *m = b->sorted[i];
        if (previous->hash == m->hash &&
            slice_equal(previous->asked.key, m->asked.key)) {
            previous->later = m;
            m->previous = previous;
        }
    }
}

/* NULL when memory is exhausted. */
static struct batch *batch_new(struct lookup *lookup,
                               const struct update *updates, size_t n,
                               const struct update_caller *caller)
{
    const size_t tables_at = sizeof(struct batch) + n * sizeof(struct member);
    const size_t fields_at = tables_at + n * (sizeof(struct update_result) +
                                              sizeof(struct store_write *) +
                                              sizeof(struct member *));
    size_t size = fields_at;
    size_t n_fields = 0;

    for (size_t i = 0; i < n; i++) {
        size += bytes_of(&updates[i]);
        n_fields += updates[i].n_fields;
    }
    struct batch *b = try_malloc(size);
    if (b == NULL) {
        return NULL;
    }
    memset(b, 0, fields_at);
    b->lookup = lookup;
    b->caller = *caller;
    atomic_init(&b->refs, 1);
    b->n = n;
    b->results = (struct update_result *)&b->members[n];
    b->writes = (struct store_write **)(b->results + n);
    b->sorted = (struct member **)(b->writes + n);
    struct slice *fields = (struct slice *)(b->sorted + n);
    char *bytes = (char *)(fields + n_fields);
    for (size_t i = 0; i < n; i++) {
        copy_update(&b->members[i], &updates[i], &fields, &bytes);
        init_member(b, &b->members[i]);
    }
    if (n > 1) {
        chain_keys(b);
    }
    return b;
}

void batch_ref(struct batch *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void batch_unref(struct batch *b)
{
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < b->n; i++) {
        buf_destroy(&b->members[i].room);
        free(b->members[i].kept);
        buf_destroy(&b->members[i].row);
        buf_destroy(&b->members[i].detail);
    }
    buf_destroy(&b->detail);
    free(b);
}

uint32_t batch_shards(const struct batch *b)
{
    uint32_t shards = 0;

    for (size_t i = 0; i < b->n; i++) {
        shards |= flights_shards_of(b->members[i].hash);
    }
    return shards;
}

enum err batch_put(struct batch *b, struct cache_item *items, size_t n)
{
    struct cache *cache = batch_cache(b);
    enum err err = ERR_OK;

    if (n == 1 && items[0].remove) {
        (void)cache_remove(cache, items[0].key, items[0].hash);
    } else if (n == 1) {
        err = cache_put(cache, items[0].key, items[0].hash, &items[0].copy,
                        items[0].bytes);
    } else if (n > 1) {
        err = cache_put_many(cache, items, n);
    }
    for (size_t i = 0; i < n && err == ERR_OK; i++) {
        b->sorted[i]->version = items[i].copy.version;
    }
    return err;
}

/* ---- the outcome ---- */

void member_fail(struct member *m, enum err err, struct slice detail)
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

void batch_finish(struct batch *b)
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
    batch_unref(b);
}

static void deliver(struct outbox_item *item)
{
    batch_finish(container_of(item, struct batch, item));
}

/* The loop has stopped, and the client with it. */
static void drop(struct outbox_item *item)
{
    batch_unref(container_of(item, struct batch, item));
}

void batch_deliver(struct batch *b)
{
    b->item = (struct outbox_item){
        .home = b->caller.home, .deliver = deliver, .drop = drop};
    outbox_add(lookup_outbox(b->lookup), &b->item);
}

/* ---- members ---- */

static void write_what(struct member *m, const struct update *u)
{
    m->write.op = u->op;
    m->write.value = u->value;
    m->write.fields = u->fields;
    m->write.n_fields = u->n_fields;
    m->write.expires_ms = u->expires_ms;
    m->write.type = u->type;
    m->event = u->event;
}

void member_reset(struct member *m)
{
    write_what(m, &m->asked);
    m->result = (struct update_result){.err = ERR_OK};
    buf_clear(&m->room);
    buf_clear(&m->detail);
}

static char *keep_slice(char *to, struct slice *s)
{
    const struct slice from = *s;

    if (from.data != NULL) { /* Else NULL, for a column. */
        memcpy(to, from.data, from.size);
        s->data = to;
    }
    return to + from.size;
}

/* Copies what decide() has put in place of what was asked: a write that is
 * acknowledged before the store has it outlives the context it may lie in. */
static bool keep(struct member *m, struct update *u)
{
    const bool new_value = u->value.data != m->asked.value.data;
    const bool new_fields = u->fields != m->asked.fields;
    const size_t n = new_fields ? u->n_fields : 0;
    size_t size = n * sizeof(struct slice) + (new_value ? u->value.size : 0);

    for (size_t i = 0; i < n; i++) {
        size += u->fields[i].size;
    }
    free(m->kept);
    m->kept = NULL;
    if (size == 0) {
        return true;
    }
    m->kept = try_malloc(size);
    if (m->kept == NULL) {
        return false;
    }
    struct slice *fields = (struct slice *)(void *)m->kept;
    char *end = (char *)(fields + n);
    for (size_t i = 0; i < n; i++) {
        fields[i] = u->fields[i];
        end = keep_slice(end, &fields[i]);
    }
    if (new_fields) {
        u->fields = fields;
    }
    if (new_value) {
        (void)keep_slice(end, &u->value);
    }
    return true;
}

enum err member_decide(struct member *m, const struct present *now)
{
    struct update update = m->asked;
    enum err err = ERR_OK;

    member_reset(m);
    if (update.op == STORE_READ && update.found != NULL) {
        update.found(update.context, now);
    }
    if (update.decide != NULL) {
        err = update.decide(update.context, now, &update, &m->room, &m->detail);
    }
    if (err == ERR_OK && !keep(m, &update)) {
        err = ERR_NOMEM;
    }
    m->result.err = err;
    write_what(m, &update);
    return err;
}

static void tell(const struct member *m, const char *event,
                 enum change_class class, uint64_t origin)
{
    const struct changes *changes = lookup_parts(m->batch->lookup)->changes;
    const struct change change = {.key = class == CHANGE_FLUSHED ? SLICE("")
                                                                 : m->asked.key,
                                  .event = event,
                                  .class = class,
                                  .origin = origin};

    if (changes != NULL) {
        changes_tell(changes, &change);
    }
}

bool member_clears(void *member, struct slice key)
{
    const struct member *m = member;

    /* With those of database 0 the copies of records go. */
    return m->asked.key.size == 0 ||
           plain_key_database(key) == plain_key_database(m->asked.key);
}

void member_tell(const struct member *m)
{
    const uint64_t origin = m->batch->caller.origin;

    if (m->asked.op == STORE_CLEAR_PLAIN) {
        tell(m, NULL, CHANGE_FLUSHED, origin);
    } else if (m->event != NULL) {
        tell(m, m->event, m->asked.class, origin);
        if (m->asked.class == CHANGE_HASH &&
            m->write.op == STORE_DELETE_PLAIN) { /* With its last field. */
            tell(m, "del", CHANGE_GENERIC, origin);
        }
    }
}

/* This is nobody's change: who wrote knows of it as little as others. */
void member_tell_quietly(const struct member *m)
{
    tell(m, NULL, CHANGE_QUIET, 0);
}

void member_touch(const struct member *m)
{
    struct watches *watches = lookup_parts(m->batch->lookup)->watches;

    if (watches == NULL) {
        return;
    }
    if (m->asked.op == STORE_CLEAR_PLAIN && m->asked.key.size > 0) {
        watches_touch_database(watches, plain_key_database(m->asked.key));
    } else if (m->asked.op == STORE_CLEAR_PLAIN) {
        watches_touch_all(watches, SLICE(""));
    } else {
        watches_touch(watches, m->asked.key);
    }
}

/* ---- beginning ---- */

static void skip(struct member *m, enum err err, struct slice detail)
{
    m->skipped = true;
    if (err != ERR_OK) {
        member_fail(m, err, detail);
    }
}

/* No row can have the key. */
static void skip_impossible(struct member *m)
{
    const struct present nothing = {
        .mapping = m->write.mapping, .kind = COPY_NEGATIVE, .bytes = SLICE("")};

    if (m->asked.op == STORE_READ) {
        (void)member_decide(m, &nothing);
        skip(m, ERR_OK, SLICE(""));
    } else if (m->asked.op == STORE_DELETE_ROW) {
        skip(m, ERR_OK, SLICE(""));
    } else {
        skip(m, ERR_INVALID,
             SLICE("no row can have this key; the key of a record is its "
                   "table's prefix and its id, like book:3"));
    }
}

/* Is what was asked a write of what the key is, whole, and of a value that can
 * be?  A dead letter may be damaged, or of a time before its table was mapped.
 * What depends on a decision is seen to by that. */
static bool makes_sense(const struct member *m)
{
    const struct update *asked = &m->asked;
    const bool is_record = m->write.mapping != NULL;

    if (asked->decide != NULL) {
        return true;
    }
    switch (asked->op) {
    case STORE_PUT_PLAIN:
        return !is_record &&
               (asked->type != PLAIN_HASH || hash_value_is_valid(asked->value));
    case STORE_DELETE_PLAIN:
        return !is_record;
    case STORE_PUT_ROW:
    case STORE_DELETE_ROW:
        return is_record;
    case STORE_SET_COLUMNS:
        return is_record && asked->n_fields % 2 == 0;
    default:
        return true;
    }
}

/* Ends members that the store could not carry out, or must not. */
static void check(struct member *m)
{
    const struct mapping *mapping = m->write.mapping;

    if (mapping != NULL && !mapping_id_valid(mapping, m->write.key)) {
        skip_impossible(m);
    } else if (mapping != NULL && m->asked.op != STORE_READ &&
               (mapping->is_view || !mapping->writable)) {
        skip(m, ERR_READONLY,
             mapping->is_view
                 ? SLICE("a view is read only")
                 : SLICE("the table's directive says writable no"));
    } else if (!makes_sense(m)) {
        skip(m, ERR_INVALID, SLICE("this is no write for such a key"));
    } else if (m->asked.op == STORE_CLEAR_PLAIN && m->batch->n > 1) {
        skip(m, ERR_INVALID, SLICE("all keys are deleted at once, and alone"));
    }
}

bool update_start(struct lookup *lookup, const struct update *updates, size_t n,
                  const struct update_caller *caller)
{
    struct batch *b = batch_new(lookup, updates, n, caller);

    if (b == NULL) {
        const struct update_outcome outcome = {.err = ERR_NOMEM,
                                               .detail = SLICE("")};
        caller->done(caller->arg, &outcome);
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        check(&b->members[i]);
    }
    switch (memory_begin(b)) {
    case MEMORY_SUBMITTED:
        return false;
    case MEMORY_ENDED:
        batch_finish(b);
        return true;
    case MEMORY_THROUGH:
        break;
    }
    return store_begin(b);
}
