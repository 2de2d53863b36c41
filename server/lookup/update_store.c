/* SPDX-License-Identifier: MIT */
/*
 * Updates on their way through the store, and what the cache becomes.
 *
 *   begun ─► [turn of a group: check, mark] ─► decide ─► applied ─► commit
 *                                                                     │
 *          acknowledged ◄── [fence, copy, unmark, tell] ◄── settled ◄─┘
 *
 * What stands in brackets happens under the flight lock of a key.  All of the
 * rest runs on the writer's thread, in the order of the store.
 *
 * What is put when a write is settled is what the store had after its
 * transaction, or nothing: if another write of the key was carried out behind
 * it in the same transaction, if a group has the key, or if somebody else has
 * changed it since, the copy goes instead.  So no reader who saw the store's
 * answer finds an older one in the cache.
 *
 * A dirty copy that is found there is younger, if it was put after this write
 * was carried out: by one behind it that the log has acknowledged.  Any other
 * is older, for while a write is under way memory decides nothing of its key.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/lookup/hash_value.h"
#include "server/lookup/record.h"
#include "server/lookup/update_internal.h"

#include <assert.h>

/* ---- in the store's transaction ---- */

/* What the cache would hold for 'row'.  A record is encoded into m->row. */
static enum err present_of(struct member *m, const struct store_row *row,
                           struct present *present)
{
    *present = (struct present){
        .mapping = m->write.mapping, .kind = COPY_NEGATIVE, .bytes = SLICE("")};
    if (row == NULL) {
        return ERR_OK;
    }
    if (row->mapping == NULL) {
        present->kind = flight_kind_of(row->type);
        present->bytes = row->columns[0].bytes;
        present->expires_ms = row->expires_ms;
        return present->kind != COPY_HASH || hash_value_is_valid(present->bytes)
                   ? ERR_OK
                   : ERR_INVALID;
    }
    buf_clear(&m->row);
    const enum err err = record_encode(row, &m->row);
    present->kind = COPY_RECORD;
    present->bytes = buf_slice(&m->row);
    return err;
}

static bool goes_on(const struct batch *b)
{
    return b->caller.check == NULL || b->caller.check(b->caller.arg);
}

static enum err on_decide(struct store_write *write,
                          const struct store_row *row, struct buf *detail)
{
    struct member *m = container_of(write, struct member, write);
    /* Who does not look can write over anything. */
    const bool looks = m->asked.decide != NULL || m->asked.found != NULL;
    struct present now;

    if (m->batch->n == 1 && !goes_on(m->batch)) {
        return ERR_CONFLICT;
    }
    enum err err = present_of(m, looks ? row : NULL, &now);
    if (err != ERR_OK) {
        const struct slice why = err == ERR_INVALID
                                     ? SLICE("what the key holds is damaged")
                                     : SLICE("");
        member_fail(m, err, why);
        buf_append_slice(detail, why);
        return err;
    }
    err = member_decide(m, &now);
    buf_append_slice(detail, buf_slice(&m->detail));
    return err;
}

static void on_row(struct store_write *write, const struct store_row *row)
{
    struct member *m = container_of(write, struct member, write);
    struct flights *flights = batch_flights(m->batch);

    if (row->mapping == NULL) {
        return; /* A plain key: its value is what was written. */
    }
    if (m->batch->from_memory) { /* Who began it still reads the row before. */
        flights_lock(flights, m->hash);
        flights_unlock(flights, m->hash);
    }
    buf_clear(&m->row);
    m->row_lost = record_encode(row, &m->row) != ERR_OK;
    m->has_row = true;
}

static void on_applied(struct store_write *write)
{
    struct member *m = container_of(write, struct member, write);
    struct flights *flights = batch_flights(m->batch);

    m->since_us = clock_now_us();
    flights_lock(flights, m->hash);
    if (!m->applied && m->write.op == STORE_CLEAR_PLAIN) {
        flights_clear_applied(flights);
    } else if (!m->applied) {
        flights_write_applied(flights, m->hash);
    }
    m->applied = true;
    const bool acknowledged = m->batch->acknowledged;
    flights_unlock(flights, m->hash);
    if (!acknowledged) { /* Else it has touched. */
        member_touch(m);
    }
}

/* Called first of a group: its turn among all writes has come. */
static enum err on_turn(struct store_write *write, const struct store_row *now,
                        struct buf *detail)
{
    struct batch *b = container_of(write, struct batch, group);
    struct flights *flights = batch_flights(b);

    (void)now;
    (void)detail;
    if (!goes_on(b)) {
        return ERR_CONFLICT;
    }
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (!m->skipped) {
            flights_lock(flights, m->hash);
            flights_mark(flights, &m->mark);
            flights_unlock(flights, m->hash);
        }
    }
    return ERR_OK;
}

/* ---- settling; the flight lock of the member's key is held ---- */

/* The copy of what the member left in the store, clean or dirty. */
static struct copy copy_of(const struct member *m, struct slice *bytes)
{
    struct copy copy = {.kind = COPY_NEGATIVE,
                        .filled_us = m->since_us,
                        .origin = COPY_FROM_WRITE};

    *bytes = SLICE("");
    if (m->write.op == STORE_PUT_PLAIN) {
        copy.kind = flight_kind_of(m->write.type);
        copy.expires_ms = m->write.expires_ms;
        *bytes = m->write.value;
    } else if (m->has_row && m->write.op != STORE_DELETE_ROW) {
        copy.kind = COPY_RECORD;
        *bytes = buf_slice(&m->row);
    }
    return copy;
}

/* Is what the member left in the store still what is there? */
static bool is_last(const struct member *m)
{
    struct flights *flights = batch_flights(m->batch);

    return !m->row_lost && !flights_overtaken(flights, m->hash) &&
           !flights_is_marked(flights, m->asked.key, m->hash) &&
           !flights_foreign_since(flights, m->hash, m->since_us);
}

static bool is_change(const struct member *m)
{
    return m->write.n_changed + m->write.n_created > 0;
}

/* Is there a copy that knows better, even if a mark hides it: of a write behind
 * this one that was acknowledged, or of one before it that the table does not
 * have yet, and that this one has left as it was? */
static bool is_outrun(const struct member *m)
{
    int64_t filled_us;

    return cache_dirty(batch_cache(m->batch), m->asked.key, m->hash,
                       &filled_us) &&
           (filled_us >= m->since_us || (!is_change(m) && !m->changed));
}

static void put(struct member *m)
{
    struct cache *cache = batch_cache(m->batch);
    struct slice bytes;
    struct copy copy = copy_of(m, &bytes);

    if (is_outrun(m)) {
        return;
    }
    flights_fence(batch_flights(m->batch), m->asked.key, m->hash);
    if (is_last(m) &&
        cache_put(cache, m->asked.key, m->hash, &copy, bytes) == ERR_OK) {
        return;
    }
    if (is_change(m) || m->changed) {
        (void)cache_remove(cache, m->asked.key, m->hash);
    } else {
        /* It changed nothing: what only memory has stays. */
        (void)cache_evict(cache, m->asked.key, m->hash);
    }
}

/* A delete of nothing may know better than the cache; and what memory has
 * decided may have changed something though a younger write spared the store
 * the trouble. */
static bool changes_copy(const struct member *m)
{
    return is_change(m) || m->changed || m->write.op == STORE_DELETE_PLAIN ||
           m->write.op == STORE_DELETE_ROW;
}

static void settle_through(struct member *m, enum err err)
{
    if (err != ERR_OK || m->result.err != ERR_OK || m->write.op == STORE_READ ||
        m->write.done == NULL) {
        return; /* The cache has not changed, and does not. */
    }
    if (changes_copy(m)) {
        put(m);
    }
    if (is_change(m)) {
        /* Again: who began to watch since it was applied has seen the value
         * from before perhaps, and must not go through with that. */
        member_touch(m);
        member_tell(m);
    }
}

/* The dirty copy of a record is what we believed; now the database has said. */
static void replace_believed(struct member *m)
{
    struct cache *cache = batch_cache(m->batch);
    struct copy there;
    struct slice bytes;
    struct copy copy = copy_of(m, &bytes);

    struct buf believed = {0};

    if (!cache_get(cache, m->asked.key, m->hash, 0, &there, NULL) ||
        there.version != m->version) {
        return;
    }
    const bool was_right =
        !m->row_lost && there.kind == copy.kind &&
        cache_get(cache, m->asked.key, m->hash, 0, &there, &believed) &&
        slice_equal(buf_slice(&believed), bytes);
    buf_destroy(&believed);
    if (m->row_lost ||
        cache_put(cache, m->asked.key, m->hash, &copy, bytes) != ERR_OK) {
        (void)cache_remove(cache, m->asked.key, m->hash);
    }
    if (!was_right) {
        member_tell_quietly(m);
    }
}

/* Its dirty copy becomes an ordinary one, unless a younger one is there.  If
 * the write is lost its copy goes, which would else stay for ever and answer
 * what a restart forgets. */
static void settle_pinned(struct member *m, enum err err)
{
    struct flights *flights = batch_flights(m->batch);
    struct cache *cache = batch_cache(m->batch);

    if (m->version == 0) {
        return;
    }
    if (err != ERR_OK || flights_is_marked(flights, m->asked.key, m->hash) ||
        flights_foreign_since(flights, m->hash, m->since_us)) {
        (void)cache_remove_version(cache, m->asked.key, m->hash, m->version);
        member_tell_quietly(m);
    } else if (m->write.mapping != NULL) {
        replace_believed(m);
    } else {
        cache_clean(cache, m->asked.key, m->hash, m->version);
    }
}

static void end_counts(struct member *m)
{
    struct flights *flights = batch_flights(m->batch);

    if (m->applied) {
        flights_write_settled(flights, m->hash);
        m->applied = false;
    }
    if (m->begun) {
        flights_write_ended(flights, m->hash);
        m->begun = false;
    }
}

static void settle(struct member *m, enum err err)
{
    struct flights *flights = batch_flights(m->batch);

    flights_lock(flights, m->hash);
    end_counts(m);
    struct flight *held = flights_unmark(flights, &m->mark);
    if (m->batch->acknowledged) {
        settle_pinned(m, err);
    } else {
        settle_through(m, err);
    }
    flights_unlock(flights, m->hash);
    if (held != NULL) {
        flights_land(flights, held);
    }
}

static void settle_clear(struct member *m, enum err err)
{
    if (m->applied) {
        flights_clear_settled(batch_flights(m->batch));
        m->applied = false;
    }
    if (err != ERR_OK) {
        return;
    }
    flights_fence_plain(batch_flights(m->batch));
    cache_clear_some(batch_cache(m->batch), member_clears, m);
    member_touch(m);
    member_tell(m);
}

/* Ends all members in the cache.  Taking their locks also waits for who began
 * the batch in memory, so that 'acknowledged' is final afterwards. */
static void settle_all(struct batch *b, enum err err)
{
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (m->skipped) {
            continue;
        }
        if (m->asked.op != STORE_CLEAR_PLAIN) {
            settle(m, err);
        } else {
            settle_clear(m, err);
        }
    }
    if (b->barred) {
        flights_unbar(batch_flights(b));
    }
}

/* ---- the ends ---- */

static void take_results(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (!m->skipped && m->result.err == ERR_OK) {
            m->result.n_changed = m->write.n_changed;
            m->result.n_created = m->write.n_created;
            m->result.n_new_fields = m->write.n_new_fields;
        }
    }
}

static void end(struct batch *b, enum err err, struct slice detail)
{
    settle_all(b, err);
    if (b->acknowledged) {
        /* What a store gives up when it closes, and what it sets aside, it has
         * counted and logged. */
        log_debug("update: acknowledged, then written err=%s", err_str(err));
        batch_unref(b);
        return;
    }
    if (err != ERR_OK) {
        batch_fail(b, err, detail);
    } else if (!b->from_memory) {
        take_results(b);
    }
    batch_deliver(b);
}

/* On the writer's thread, after the commit or the failure. */
static void on_done(struct store_write *write, enum err err,
                    struct slice detail)
{
    struct member *m = container_of(write, struct member, write);

    /* What its own decide() refuses does not make the whole fail. */
    end(m->batch, m->result.err == err ? ERR_OK : err, detail);
}

static void on_group_done(struct store_write *write, enum err err,
                          struct slice detail)
{
    end(container_of(write, struct batch, group), err, detail);
}

/* ---- acknowledged by the log ---- */

static bool is_put_or_deleted(const struct member *m)
{
    return !m->skipped && m->result.err == ERR_OK && is_change(m) &&
           (m->write.op == STORE_PUT_PLAIN ||
            m->write.op == STORE_DELETE_PLAIN);
}

/* Is 'm' the last of its batch to change its key? */
static bool is_final(const struct member *m)
{
    const struct member *later = m->later;

    while (later != NULL && !is_put_or_deleted(later)) {
        later = later->later;
    }
    return later == NULL;
}

/* Pins copies of what the log has. */
static bool pin_all(struct batch *b)
{
    struct cache_item one;
    struct cache_item *items =
        b->n == 1 ? &one : try_malloc(b->n * sizeof *items);
    size_t n = 0;

    if (items == NULL) {
        return false;
    }
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (is_put_or_deleted(m) && is_final(m)) {
            struct cache_item *item = &items[n];
            m->since_us = clock_now_us();
            *item = (struct cache_item){.key = m->asked.key, .hash = m->hash};
            item->copy = copy_of(m, &item->bytes);
            item->copy.dirty = true;
            item->copy.hidden =
                flights_is_marked(batch_flights(b), m->asked.key, m->hash);
            b->sorted[n++] = m;
        }
    }
    const bool pinned = batch_put(b, items, n) == ERR_OK;
    if (items != &one) {
        free(items);
    }
    return pinned;
}

/* The flight locks of all members are held. */
static bool acknowledge_logged(struct batch *b)
{
    struct flights *flights = batch_flights(b);

    if (!pin_all(b)) {
        /* The log has it, and nobody can see it before the table does, which
         * will have a group bit by bit.  So who looks waits for that; and who
         * watches and has looked before is told. */
        for (size_t i = 0; i < b->n; i++) {
            struct member *m = &b->members[i];
            if (is_put_or_deleted(m)) {
                flights_mark(flights, &m->mark);
                flights_hold_marked(flights, &m->mark);
                member_touch(m);
            }
        }
        return false;
    }
    b->acknowledged = true;
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (m->skipped) {
            continue;
        }
        end_counts(m);
        flights_fence(flights, m->asked.key, m->hash);
        m->held = flights_unmark(flights, &m->mark);
        flights_hide_marked(flights, m->asked.key, m->hash);
        if (m->result.err == ERR_OK && is_change(m)) {
            member_touch(m);
            member_tell(m);
        }
    }
    return true;
}

static bool end_logged(struct batch *b)
{
    struct flights *flights = batch_flights(b);
    const uint32_t shards = batch_shards(b);

    flights_lock_shards(flights, shards);
    const bool acknowledged = acknowledge_logged(b);
    flights_unlock_shards(flights, shards);
    if (!acknowledged) {
        return false;
    }
    for (size_t i = 0; i < b->n; i++) {
        if (b->members[i].held != NULL) {
            flights_land(flights, b->members[i].held);
        }
    }
    take_results(b);
    batch_ref(b); /* The store goes on with it. */
    batch_deliver(b);
    return true;
}

static bool on_logged(struct store_write *write)
{
    return end_logged(container_of(write, struct member, write)->batch);
}

static bool on_group_logged(struct store_write *write)
{
    return end_logged(container_of(write, struct batch, group));
}

/* ---- beginning ---- */

static void set_calls(struct member *m, bool decides)
{
    m->write.decide = decides ? on_decide : NULL;
    m->write.row = on_row;
    m->write.applied = on_applied;
    m->write.logged = m->write.deferred ? NULL : on_logged;
    m->write.done = on_done;
    m->since_us = clock_now_us();
}

/* Hands the 'n' first of b->writes to the store. */
static enum err submit(struct batch *b, size_t n, bool deferred)
{
    struct store *store = lookup_parts(b->lookup)->store;

    if (b->n == 1) {
        return store_write_start(store, b->writes[0]);
    }
    b->group = (struct store_write){.op = STORE_GROUP,
                                    .group = b->writes,
                                    .n_group = n,
                                    .deferred = deferred,
                                    .decide = deferred ? NULL : on_turn,
                                    .logged = deferred ? NULL : on_group_logged,
                                    .done = on_group_done};
    return store_write_start(store, &b->group);
}

enum err store_defer(struct batch *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        b->writes[i]->deferred = true;
        set_calls(container_of(b->writes[i], struct member, write), false);
    }
    return submit(b, n, true);
}

/* From here on, until it is settled, memory decides nothing of the key. */
static void begin_count(struct member *m)
{
    struct flights *flights = batch_flights(m->batch);

    if (m->asked.op != STORE_CLEAR_PLAIN) {
        flights_lock(flights, m->hash);
        flights_write_begun(flights, m->hash);
        flights_unlock(flights, m->hash);
        m->begun = true;
    }
}

static bool refuse(struct batch *b, enum err err)
{
    settle_all(b, err);
    batch_fail(b, err, SLICE(""));
    batch_finish(b);
    return true;
}

bool store_begin(struct batch *b)
{
    const bool checks = b->caller.check != NULL;
    size_t n = 0;

    b->barred = checks;
    for (size_t i = 0; i < b->n; i++) {
        struct member *m = &b->members[i];
        if (m->skipped) {
            continue;
        }
        if (memory_read(m)) {
            m->skipped = true;
            continue;
        }
        member_reset(m);
        m->changed = false; /* Memory had decided, and then could not. */
        m->write.deferred = false;
        set_calls(m,
                  checks || m->asked.decide != NULL || m->asked.found != NULL);
        b->barred = b->barred || m->asked.op == STORE_CLEAR_PLAIN;
        b->writes[n++] = &m->write;
        begin_count(m);
    }
    if (n == 0) {
        b->barred = false;
        batch_finish(b);
        return true;
    }
    if (b->barred) {
        flights_bar(batch_flights(b));
    }
    /* After a success 'b' may be gone already. */
    const enum err err = submit(b, n, false);
    return err == ERR_OK ? false : refuse(b, err);
}
