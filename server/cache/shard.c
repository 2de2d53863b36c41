/* SPDX-License-Identifier: MIT */
/*
 * Each function takes the lock once.  What changes the shard ends with
 * settle(), which tells the budget the difference.
 *
 * The longest time the lock is held for writing: one put with EVICT_MAX
 * evictions, or SWEEP_MAX entries looked at.
 */
#include "server/cache/shard.h"

#include <assert.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"

/* Entries evicted or looked at under one hold of the write lock: some tens of
 * microseconds. */
#define EVICT_MAX 64
#define SWEEP_MAX 128

/* ---- counting ---- */

/* Tells the budget what the shard takes now. */
static void settle(struct shard *s) REQUIRES(s->lock)
{
    const size_t now =
        s->entry_bytes + index_size(&s->index) + policy_size(&s->policy);

    budget_adjust(&s->budget->used_bytes, s->charged_bytes, now);
    s->charged_bytes = now;
}

/* Takes 'e' into the counts ('n' is 1) or out of them ('n' is -1).  Unsigned
 * arithmetic wraps, so adding (size_t)-1 subtracts one. */
static void count(struct shard *s, const struct entry *e, int n)
    REQUIRES(s->lock)
{
    const size_t one = (size_t)n;
    const size_t bytes = one * entry_size(e);

    s->entry_bytes += bytes;
    s->n_negative += e->kind == COPY_NEGATIVE ? one : 0;
    s->n_memory_only += e->memory_only ? one : 0;
    s->n_expiring += e->has_expiry ? one : 0;
    if (policy_stands_apart(e)) {
        s->negative_bytes += bytes;
        budget_adjust(&s->budget->negative_bytes, 0, bytes);
    }
    if (e->dirty) {
        s->n_dirty += one;
        s->pinned_bytes += bytes;
        budget_adjust(&s->budget->pinned_bytes, 0, bytes);
    }
    budget_adjust(&s->budget->n_entries, 0, one);
}

/* ---- life ---- */

void shard_init(struct shard *s, struct budget *budget,
                _Atomic uint64_t *version, size_t n_shards)
{
    *s = (struct shard){
        .n_shards = n_shards, .budget = budget, .version = version};
    rwlock_init(&s->lock, LOCK_SHARD, "cache shard");
    index_init(&s->index);
    rwlock_wrlock(&s->lock);
    settle(s);
    rwlock_wrunlock(&s->lock);
}

void shard_destroy(struct shard *s) NO_THREAD_SAFETY_ANALYSIS
{
    uint32_t at = 0;

    do {
        const uint32_t bin = index_bin_at(&s->index, at);
        struct index_walk walk;
        struct entry *e = index_first(&walk, &s->index, bin);
        for (; e != NULL; e = index_next(&walk)) {
            entry_free(e);
        }
        at = index_after(&s->index, bin);
    } while (at != 0);
    index_destroy(&s->index);
    policy_destroy(&s->policy);
    rwlock_destroy(&s->lock);
}

/* ---- one key ---- */

bool shard_get(struct shard *s, const struct key *key, int64_t wall_ms,
               struct copy *copy, struct buf *out, bool visit)
{
    bool found = false;

    rwlock_rdlock(&s->lock);
    struct entry *const e = index_find(&s->index, key);
    if (e != NULL && !e->hidden && !entry_expired(e, wall_ms)) {
        found = out == NULL || buf_try_append_slice(out, entry_value(e));
        if (found) {
            if (visit) {
                policy_visit(e);
            }
            *copy = entry_copy(e);
        }
    }
    rwlock_rdunlock(&s->lock);
    return found;
}

/* Takes 'e' out of everything but the policy, and frees it. */
static void drop(struct shard *s, struct entry *e) REQUIRES(s->lock)
{
    count(s, e, -1);
    index_remove(&s->index, e);
    entry_free(e);
}

static void note_expired(const struct shard *s, const struct entry *e)
{
    if (e->kind == COPY_STRING || e->kind == COPY_HASH) {
        losses_note(s->losses, entry_key(e), CACHE_EXPIRED);
    }
}

/* Drops 'e', which the policy has chosen. */
static void drop_victim(struct shard *s, struct entry *e, int64_t wall_ms)
    REQUIRES(s->lock)
{
    if (entry_expired(e, wall_ms)) {
        s->n_expired++;
        note_expired(s, e);
    } else {
        s->n_evicted++;
        if (e->memory_only) {
            losses_note(s->losses, entry_key(e), CACHE_EVICTED);
        }
    }
    drop(s, e);
    settle(s);
}

/* Evicts negative copies, the oldest first, while they exceed their share. */
static size_t evict_negatives(struct shard *s, const struct entry *keep,
                              size_t max) REQUIRES(s->lock)
{
    size_t n = 0;

    while (n < max && n < EVICT_MAX && budget_share_exceeded(s->budget)) {
        struct entry *const e = policy_oldest_apart(&s->policy, keep);
        if (e == NULL) {
            break;
        }
        drop_victim(s, e, INT64_MIN);
        n++;
    }
    return n;
}

/* Values go first when negative copies are within their share, and those only
 * when no value may go. */
static struct entry *victim(struct shard *s, const struct entry *keep,
                            int64_t wall_ms) REQUIRES(s->lock)
{
    struct entry *const e = policy_victim(&s->policy, keep, wall_ms);

    return e != NULL ? e : policy_oldest_apart(&s->policy, keep);
}

/* shard_evict() under the lock. */
static size_t evict(struct shard *s, const struct entry *keep, size_t max)
    REQUIRES(s->lock)
{
    size_t n = evict_negatives(s, keep, max);

    if (!budget_limit_exceeded(s->budget)) {
        return n;
    }
    const int64_t wall_ms = clock_wall_ms();
    while (n < max && n < EVICT_MAX && budget_limit_exceeded(s->budget)) {
        struct entry *const e = victim(s, keep, wall_ms);
        if (e == NULL) {
            break;
        }
        drop_victim(s, e, wall_ms);
        n++;
    }
    return n;
}

size_t shard_evict(struct shard *s, const struct entry *keep, size_t max)
{
    rwlock_wrlock(&s->lock);
    const size_t n = evict(s, keep, max);
    rwlock_wrunlock(&s->lock);
    return n;
}

/* A negative copy that may go has memory of its own; one that is dirty stays
 * among those that memory pressure passes over. */
static bool belongs_apart(const struct shard *s, const struct entry *e)
{
    return e->kind == COPY_NEGATIVE && !e->dirty && budget_has_share(s->budget);
}

/* Adds 'e', whose key is not there. */
static bool add(struct shard *s, const struct key *key, struct entry *e)
    REQUIRES(s->lock)
{
    if (!policy_insert(&s->policy, e, belongs_apart(s, e))) {
        return false;
    }
    if (!index_insert(&s->index, key, e)) {
        policy_remove(&s->policy, e);
        return false;
    }
    return true;
}

/* Puts 'e' in place of 'old', which is the caller's from now on. */
static bool replace(struct shard *s, struct entry *old, struct entry *e)
    REQUIRES(s->lock)
{
    if (!policy_replace(&s->policy, old, e, belongs_apart(s, e))) {
        return false;
    }
    index_replace(&s->index, old, e);
    count(s, old, -1);
    return true;
}

/* Puts 'e' in place of what 'key' had, which goes to '*old', or NULL. */
static bool put(struct shard *s, const struct key *key, struct entry *e,
                struct entry **old) REQUIRES(s->lock)
{
    *old = index_find(&s->index, key);
    const bool done = *old != NULL ? replace(s, *old, e) : add(s, key, e);

    if (done) {
        /* Relaxed: puts of one key are ordered by the lock. */
        e->version =
            1 + atomic_fetch_add_explicit(s->version, 1, memory_order_relaxed);
        count(s, e, 1);
    }
    return done;
}

bool shard_put(struct shard *s, const struct key *key, struct entry *e,
               uint64_t *version)
{
    struct entry *old;

    rwlock_wrlock(&s->lock);
    const bool done = put(s, key, e, &old);
    if (done) {
        *version = e->version;
    }
    settle(s);
    /* A shard that holds less than half of what it might leaves the rest of
     * the evictions to others: one that is only written to a lot, or got a
     * large value, would else be emptied. */
    if (s->charged_bytes >=
        budget_load(&s->budget->max_bytes) / s->n_shards / 2) {
        (void)evict(s, e, EVICT_MAX);
    } else {
        (void)evict_negatives(s, e, EVICT_MAX);
    }
    rwlock_wrunlock(&s->lock);
    if (done) {
        entry_free(old); /* It may be large: not under the lock. */
    }
    return done;
}

/* Takes 'e' out of everything. */
static void take_out(struct shard *s, struct entry *e) REQUIRES(s->lock)
{
    policy_remove(&s->policy, e);
    count(s, e, -1);
    index_remove(&s->index, e);
}

static void discard(struct shard *s, struct entry *e) REQUIRES(s->lock)
{
    take_out(s, e);
    entry_free(e);
    settle(s);
}

bool shard_remove(struct shard *s, const struct key *key,
                  enum shard_remove which)
{
    rwlock_wrlock(&s->lock);
    struct entry *const e = index_find(&s->index, key);
    const bool found =
        e != NULL && (which == REMOVE_ANY || !(e->dirty || e->memory_only));
    if (found) {
        discard(s, e);
    }
    rwlock_wrunlock(&s->lock);
    return found;
}

bool shard_remove_version(struct shard *s, const struct key *key,
                          uint64_t version)
{
    rwlock_wrlock(&s->lock);
    struct entry *const e = index_find(&s->index, key);
    const bool found = e != NULL && e->version == version;
    if (found) {
        discard(s, e);
    }
    rwlock_wrunlock(&s->lock);
    return found;
}

bool shard_hide(struct shard *s, const struct key *key, bool hidden)
{
    rwlock_wrlock(&s->lock);
    struct entry *const e = index_find(&s->index, key);
    if (e != NULL) {
        e->hidden = hidden;
    }
    rwlock_wrunlock(&s->lock);
    return e != NULL;
}

bool shard_dirty(struct shard *s, const struct key *key, int64_t *filled_us)
{
    rwlock_rdlock(&s->lock);
    struct entry *const e = index_find(&s->index, key);
    const bool dirty = e != NULL && e->dirty;
    if (dirty) {
        *filled_us = e->filled_us;
    }
    rwlock_rdunlock(&s->lock);
    return dirty;
}

/* Makes 'e' an ordinary copy.  A negative one joins the others, or goes. */
static void clean(struct shard *s, struct entry *e) REQUIRES(s->lock)
{
    count(s, e, -1);
    e->dirty = false;
    const bool stays = !belongs_apart(s, e) || policy_set_apart(&s->policy, e);
    count(s, e, 1);
    if (!stays) {
        discard(s, e);
    }
}

void shard_clean(struct shard *s, const struct key *key, uint64_t version)
{
    rwlock_wrlock(&s->lock);
    struct entry *const e = index_find(&s->index, key);
    if (e != NULL && e->dirty && e->version == version) {
        clean(s, e);
        settle(s); /* It may stand in another queue now. */
    }
    rwlock_wrunlock(&s->lock);
}

/* ---- one of several keys ---- */

bool shard_exchange(struct shard *s, const struct key *key, struct entry *e,
                    struct entry **old, uint64_t *version)
{
    rwlock_wrlock(&s->lock);
    e->hidden = true;
    const bool done = put(s, key, e, old);
    if (done) {
        *version = e->version;
    }
    settle(s);
    rwlock_wrunlock(&s->lock);
    return done;
}

/* Puts 'old' back where 'e' is.  It can fail for one that stood apart only:
 * that is in the store, and is dropped. */
static void put_back(struct shard *s, struct entry *e, struct entry *old)
    REQUIRES(s->lock)
{
    if (!policy_replace(&s->policy, e, old, policy_stands_apart(old))) {
        assert(!old->dirty);
        take_out(s, e);
        entry_free(old);
        return;
    }
    index_replace(&s->index, e, old);
    count(s, e, -1);
    count(s, old, 1);
}

bool shard_restore(struct shard *s, const struct key *key, struct entry *e,
                   struct entry *old)
{
    rwlock_wrlock(&s->lock);
    const bool there = index_find(&s->index, key) == e;
    if (there && old != NULL) {
        put_back(s, e, old);
    } else if (there) {
        take_out(s, e);
    } else {
        entry_free(old);
    }
    settle(s);
    rwlock_wrunlock(&s->lock);
    return there;
}

size_t shard_entry_bytes(struct shard *s, const struct key *key)
{
    rwlock_rdlock(&s->lock);
    const struct entry *const e = index_find(&s->index, key);
    const size_t size = e == NULL ? 0 : entry_size(e);
    rwlock_rdunlock(&s->lock);
    return size;
}

/* ---- all keys ---- */

/* Which entries a walk drops. */
struct sweep {
    bool (*goes)(const struct entry *e, const struct sweep *what);
    int64_t wall_ms;        /* For those that expire, … */
    cache_key_fn *is_meant; /* … or for those of some keys. */
    void *context;
};

static bool may_expire(const struct entry *e, const struct sweep *what);

/* Drops those who go of the bin at position 'at'.  Returns how many entries it
 * looked at. */
static size_t sweep_bin(struct shard *s, uint32_t at, const struct sweep *what,
                        size_t *n_dropped) REQUIRES(s->lock)
{
    struct entry *found[32];
    size_t n_found;
    size_t n = 0;

    do { /* A removal may merge bins: each round asks for the bin again. */
        struct index_walk walk;
        struct entry *e =
            index_first(&walk, &s->index, index_bin_at(&s->index, at));
        n_found = 0;
        for (; e != NULL && n_found < ARRAY_LEN(found); e = index_next(&walk)) {
            n++;
            if (what->goes(e, what)) {
                found[n_found++] = e;
            }
        }
        for (size_t i = 0; i < n_found; i++) {
            if (what->goes == may_expire) {
                note_expired(s, found[i]);
            }
            policy_remove(&s->policy, found[i]);
            drop(s, found[i]);
        }
        *n_dropped += n_found;
    } while (n_found == ARRAY_LEN(found));
    return n;
}

/* Goes on from position '*at' until about 'max' entries were looked at, drops
 * those who go, and returns how many it looked at; '*at' is 0 at the end. */
static size_t sweep(struct shard *s, uint32_t *at, const struct sweep *what,
                    size_t max, size_t *n_dropped) REQUIRES(s->lock)
{
    size_t n = 0;

    do {
        const uint32_t here = *at;
        *at = index_after(&s->index, index_bin_at(&s->index, here));
        n += sweep_bin(s, here, what, n_dropped);
    } while (n < max && n < SWEEP_MAX && *at != 0);
    return n;
}

/* A dirty one stays: it says that the key is gone, and the store, which may
 * still have an older value, does not know yet. */
static bool may_expire(const struct entry *e, const struct sweep *what)
{
    return !e->dirty && entry_expired(e, what->wall_ms);
}

size_t shard_expire(struct shard *s, int64_t wall_ms, size_t max,
                    size_t *n_dropped)
{
    const struct sweep expired = {.goes = may_expire, .wall_ms = wall_ms};
    size_t n_expired = 0;
    size_t n = 0;

    rwlock_wrlock(&s->lock);
    if (s->n_expiring > 0) {
        n = sweep(s, &s->expire_at, &expired, max, &n_expired);
        s->n_expired += n_expired;
        settle(s);
    }
    rwlock_wrunlock(&s->lock);
    *n_dropped += n_expired;
    return n;
}

static bool is_meant_and_clean(const struct entry *e, const struct sweep *what)
{
    return !e->dirty && (what->is_meant == NULL ||
                         what->is_meant(what->context, entry_key(e)));
}

void shard_clear(struct shard *s, cache_key_fn *is_meant, void *context)
{
    const struct sweep meant = {
        .goes = is_meant_and_clean, .is_meant = is_meant, .context = context};
    uint32_t at = 0;
    size_t n_dropped = 0;

    do {
        rwlock_wrlock(&s->lock);
        (void)sweep(s, &at, &meant, SIZE_MAX, &n_dropped);
        if (s->index.n_entries == 0) {
            policy_destroy(&s->policy); /* Queues and ghosts of nobody. */
        }
        settle(s);
        rwlock_wrunlock(&s->lock);
    } while (at != 0);
}

/* In front of each key of shard_scan(). */
struct scanned {
    struct copy copy;
    uint32_t key_size;
};

size_t shard_scan(struct shard *s, uint32_t *at, size_t n_wanted,
                  struct buf *out)
{
    size_t n = 0;

    rwlock_rdlock(&s->lock);
    do {
        const uint32_t bin = index_bin_at(&s->index, *at);
        struct index_walk walk;
        const struct entry *e = index_first(&walk, &s->index, bin);
        for (; e != NULL; e = index_next(&walk)) {
            const struct scanned scanned = {.copy = entry_copy(e),
                                            .key_size = e->key_size};
            buf_append(out, &scanned, sizeof(scanned));
            buf_append_slice(out, entry_key(e));
            n++;
        }
        *at = index_after(&s->index, bin);
    } while (*at != 0 && n < n_wanted);
    rwlock_rdunlock(&s->lock);
    return n;
}

bool shard_next(struct slice *page, struct slice *key, struct copy *copy)
{
    struct scanned scanned;

    if (page->size == 0) {
        return false;
    }
    memcpy(&scanned, page->data, sizeof(scanned));
    *copy = scanned.copy;
    *key = slice_make(page->data + sizeof(scanned), scanned.key_size);
    page->data += sizeof(scanned) + scanned.key_size;
    page->size -= sizeof(scanned) + scanned.key_size;
    return true;
}

void shard_usage(struct shard *s, struct cache_usage *usage)
{
    rwlock_rdlock(&s->lock);
    usage->entries += s->index.n_entries;
    usage->negative_entries += s->n_negative;
    usage->negative_bytes += s->negative_bytes;
    usage->dirty_entries += s->n_dirty;
    usage->memory_only_entries += s->n_memory_only;
    usage->used_bytes += s->charged_bytes;
    usage->evictions += s->n_evicted;
    usage->expirations += s->n_expired;
    rwlock_rdunlock(&s->lock);
}
