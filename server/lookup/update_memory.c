/* SPDX-License-Identifier: MIT */
/*
 * Updates decided in memory: acknowledged as soon as the cache has them, and
 * written by the store afterwards, or never ('none').
 *
 *   [ knows? ─► check ─► decide, one by one ─► store: deferred ─► copies, fence,
 *     touch, tell ] ─► acknowledged
 *
 * All in brackets happens under the flight locks of all keys, so the order of
 * the writes of a key is the same in memory, in the queue of the store, and for
 * who listens.  A group that checks takes all the locks there are: what it
 * checks are other keys than its own, perhaps.
 *
 * Memory knows a key if no write of it is on its way through the store, and its
 * copy is pinned, or fresh and trusted.  What must not be known, as for a plain
 * SET, does not matter.
 */
#include "common/clock.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/lookup/freshness.h"
#include "server/lookup/update_internal.h"

/* A larger group goes through the store, where it holds up no readers: this
 * many copies are put while nobody reads. */
#define GROUP_MAX 1024

/* How members of one kind are written. */
static int64_t mode_of(const struct member *m)
{
    return config_number(lookup_parts(m->batch->lookup)->config,
                         m->write.mapping != NULL ? CONFIG_record_writes
                                                  : CONFIG_plain_writes);
}

static bool in_memory_only(const struct member *m)
{
    return m->write.mapping == NULL && mode_of(m) == WRITES_NONE;
}

static bool may_try(const struct batch *b)
{
    bool store = false;

    for (size_t i = 0; i < b->n; i++) {
        const struct member *m = &b->members[i];
        if (m->skipped) {
            continue;
        }
        if (m->asked.op == STORE_PUT_ROW ||
            (m->asked.op != STORE_READ && mode_of(m) == WRITES_THROUGH)) {
            return false;
        }
        store = store || !in_memory_only(m);
    }
    return !store || b->n <= GROUP_MAX;
}

/* ---- what is there ---- */

static struct present absent(const struct member *m)
{
    return (struct present){
        .mapping = m->write.mapping, .kind = COPY_NEGATIVE, .bytes = SLICE("")};
}

static bool is_good(const struct member *m, const struct copy *copy)
{
    const struct freshness_rules rules =
        lookup_rules(m->batch->lookup, m->write.mapping);

    return freshness_of(&rules, copy, clock_now_us()) == COPY_FRESH;
}

/* A plain value put over whatever there was. */
static bool is_blind(const struct member *m)
{
    return m->asked.op == STORE_PUT_PLAIN && m->asked.decide == NULL;
}

/* What the cache knows of the key: its bytes, if anybody asks for them, go to
 * m->row.  False: it does not know. */
static bool look_up(struct member *m, struct present *now)
{
    struct cache *cache = batch_cache(m->batch);
    struct buf *row = is_blind(m) ? NULL : &m->row;
    struct copy copy;

    *now = absent(m);
    buf_clear(&m->row);
    if (!cache_get(cache, m->asked.key, m->hash, 0, &copy, row)) {
        /* It is not there, or there is no memory to take it into. */
        return in_memory_only(m) &&
               !cache_get(cache, m->asked.key, m->hash, 0, &copy, NULL);
    }
    if (!in_memory_only(m) && !is_good(m, &copy)) {
        return false;
    }
    if (copy.kind == COPY_NEGATIVE ||
        (copy.expires_ms != 0 && copy.expires_ms <= clock_wall_ms())) {
        return true;
    }
    now->kind = copy.kind;
    now->bytes = buf_slice(&m->row);
    now->expires_ms = copy.expires_ms;
    return true;
}

/* What the key is before 'm': after the members before it, or in the cache. */
static bool look(struct member *m, struct present *now)
{
    for (const struct member *p = m->previous; p != NULL; p = p->previous) {
        if (p->is_known) {
            *now = p->after;
            return true;
        }
    }
    return look_up(m, now);
}

/* ---- deciding ---- */

static void count(struct member *m, const struct present *now)
{
    const bool existed = now->kind != COPY_NEGATIVE;

    m->changed = true;
    m->result.n_changed = existed ? 1 : 0;
    m->result.n_created = existed ? 0 : 1;
}

/* What the key is after what was decided.  False: the database must say. */
static bool carry_out(struct member *m, const struct present *now)
{
    const bool existed = now->kind != COPY_NEGATIVE;

    m->after = *now;
    switch (m->write.op) {
    case STORE_READ:
        return true;
    case STORE_PUT_PLAIN:
        m->after.kind = flight_kind_of(m->write.type);
        m->after.bytes = m->write.value;
        m->after.expires_ms = m->write.expires_ms;
        count(m, now);
        return true;
    case STORE_DELETE_PLAIN:
    case STORE_DELETE_ROW:
        m->after = absent(m);
        m->changed = existed;
        m->result.n_changed = existed ? 1 : 0;
        return true;
    case STORE_SET_COLUMNS: {
        struct buf after = {0};
        if (!record_believe(now, m->write.fields, m->write.n_fields, &after,
                            &m->result.n_new_fields)) {
            buf_destroy(&after);
            return false;
        }
        buf_destroy(&m->row);
        m->row = after;
        m->after.kind = COPY_RECORD;
        m->after.bytes = buf_slice(&m->row);
        count(m, now);
        return true;
    }
    case STORE_PUT_ROW:
    case STORE_CLEAR_PLAIN:
    case STORE_GROUP:
    case STORE_BARRIER:
        break;
    }
    return false;
}

static bool decide(struct member *m)
{
    struct present now = absent(m);

    m->changed = false;
    m->is_known = false;
    if (m->batch->n == 1 && is_blind(m)) {
        /* A plain SET, the commonest of all: spared the way to its copy. */
    } else if (!look(m, &now) && !is_blind(m)) {
        return false;
    }
    if (member_decide(m, &now) != ERR_OK) {
        m->after = now;
        m->is_known = true;
        return true; /* Fails alone, and changes nothing. */
    }
    m->is_known = true;
    return carry_out(m, &now) && (!m->changed || mode_of(m) != WRITES_THROUGH);
}

static bool decide_all(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (!m->skipped && !decide(m)) {
            return false;
        }
    }
    return true;
}

/* ---- carrying out ---- */

static bool is_last_change(const struct member *m)
{
    const struct member *later = m->later;

    while (later != NULL && !later->changed) {
        later = later->later;
    }
    return m->changed && later == NULL;
}

static struct cache_item item_of(struct member *m, int64_t now_us)
{
    const bool memory_only = in_memory_only(m);

    return (struct cache_item){.key = m->asked.key,
                               .hash = m->hash,
                               .bytes = m->after.bytes,
                               .remove = memory_only &&
                                         m->after.kind == COPY_NEGATIVE,
                               .copy = {.kind = m->after.kind,
                                        .dirty = !memory_only,
                                        .memory_only = memory_only,
                                        .filled_us = now_us,
                                        .origin = COPY_FROM_WRITE,
                                        .expires_ms = m->after.expires_ms}};
}

static enum err put_all(struct batch *b)
{
    struct cache_item one;
    struct cache_item *items =
        b->n == 1 ? &one : try_malloc(b->n * sizeof *items);
    const int64_t now_us = clock_now_us();
    size_t n = 0;

    if (items == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (is_last_change(m)) {
            b->sorted[n] = m;
            items[n++] = item_of(m, now_us);
        }
    }
    const enum err err = batch_put(b, items, n);
    if (items != &one) {
        free(items);
    }
    return err;
}

/* Hands what was decided to the store; '*n' writes. */
static enum err defer_all(struct batch *b, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (m->changed && !in_memory_only(m)) {
            b->writes[(*n)++] = &m->write;
        }
    }
    return *n == 0 ? ERR_OK : store_defer(b, *n);
}

static void fence_and_tell(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (m->changed) {
            flights_fence(batch_flights(b), m->asked.key, m->hash);
            member_touch(m);
            member_tell(m);
        }
    }
}

/* Memory cannot hold what the store already has: acknowledged when committed.
 * Until then the cache does not know; nor does it say of a part of a group what
 * was before, to who has seen the rest in the store. */
static void wait_for_store(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (m->changed) {
            flights_write_begun(batch_flights(b), m->hash);
            m->begun = true;
            if (b->n > 1) {
                flights_mark(batch_flights(b), &m->mark);
            }
        }
    }
}

static bool memory_knows(const struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct member *m = &b->members[i];
        if (!m->skipped && !in_memory_only(m) &&
            !flights_memory_knows(batch_flights(b), m->hash)) {
            return false;
        }
    }
    return true;
}

/* What is in memory only has no other way. */
static enum memory give_up(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct member *m = &b->members[i];
        if (!m->skipped && m->asked.op != STORE_READ && in_memory_only(m)) {
            batch_fail(b, ERR_NOMEM, SLICE(""));
            return MEMORY_ENDED;
        }
    }
    return MEMORY_THROUGH;
}

/* The flight locks of all keys are held. */
static enum memory try(struct batch *b)
{
    size_t n_deferred;

    if (!memory_knows(b)) {
        return MEMORY_THROUGH;
    }
    if (b->caller.check != NULL && !b->caller.check(b->caller.arg)) {
        batch_fail(b, ERR_CONFLICT, SLICE(""));
        return MEMORY_ENDED;
    }
    if (!decide_all(b)) {
        return give_up(b);
    }
    b->from_memory = true;
    batch_ref(b); /* The store's, which may begin at once. */
    enum err err = defer_all(b, &n_deferred);
    if (err != ERR_OK || n_deferred == 0) {
        batch_unref(b);
    }
    if (err == ERR_STORE_BUSY) {
        /* Too many wait already: who writes on waits for the commit. */
        b->from_memory = false;
        return MEMORY_THROUGH;
    }
    if (err == ERR_OK) {
        err = put_all(b);
        if (err != ERR_OK && n_deferred > 0) {
            wait_for_store(b);
            return MEMORY_SUBMITTED;
        }
    }
    if (err != ERR_OK) {
        batch_fail(b, err, SLICE(""));
        return MEMORY_ENDED;
    }
    b->acknowledged = true;
    fence_and_tell(b);
    return MEMORY_ENDED;
}

bool memory_read(struct member *m)
{
    struct present now;

    if (m->asked.op != STORE_READ || !in_memory_only(m)) {
        return false;
    }
    flights_lock(batch_flights(m->batch), m->hash);
    if (!look_up(m, &now)) {
        member_fail(m, ERR_NOMEM, SLICE(""));
    } else {
        (void)member_decide(m, &now);
    }
    flights_unlock(batch_flights(m->batch), m->hash);
    return true;
}

/* ---- around it ---- */

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

/* All plain keys, which are in memory only. */
static enum memory clear(struct batch *b)
{
    struct flights *flights = batch_flights(b);
    struct member *m = &b->members[0];

    flights_lock_shards(flights, FLIGHTS_ALL);
    if (b->caller.check != NULL && !b->caller.check(b->caller.arg)) {
        batch_fail(b, ERR_CONFLICT, SLICE(""));
    } else {
        cache_clear_some(batch_cache(b), member_clears, m);
        member_touch(m);
        member_tell(m);
    }
    flights_unlock_shards(flights, FLIGHTS_ALL);
    return MEMORY_ENDED;
}

enum memory memory_begin(struct batch *b)
{
    struct flights *flights = batch_flights(b);
    struct store *store = lookup_parts(b->lookup)->store;

    if (!may_try(b)) {
        return MEMORY_THROUGH;
    }
    if (b->n == 1 && b->members[0].asked.op == STORE_CLEAR_PLAIN) {
        return in_memory_only(&b->members[0]) ? clear(b) : MEMORY_THROUGH;
    }
    const uint32_t shards =
        b->caller.check != NULL ? FLIGHTS_ALL : batch_shards(b);

    flights_lock_shards(flights, shards);
    const enum memory result = try(b);
    flights_unlock_shards(flights, shards);
    if (result == MEMORY_SUBMITTED) {
        batch_unref(b);
        hurry(store);
    }
    return result;
}
