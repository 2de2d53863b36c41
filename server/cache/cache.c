/* SPDX-License-Identifier: MIT */
/*
 * From a hash to a shard, and how the shards share one limit.
 *
 *     hash:  | tag, 8 bits |   …   | 32 bits for index and policy | shard |
 *            63                                                           0
 *
 * The limit is one for all shards, not a share for each, so a large value finds
 * room in a small cache.  A put adds what it takes to a common budget and then
 * evicts from its own shard; what is still too much goes from the other shards
 * in turn.  The budget is written by puts and removals, never by hits.
 */
#include "server/cache/cache.h"

#include <assert.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/cache/shard.h"

/* So that shard, 32 bits and tag fit into a hash, with some to spare. */
#define SHARD_BITS_MAX 12

struct cache {
    struct budget budget; /* First, for its alignment. */
    unsigned shard_bits;
    size_t n_shards; /* 1 << shard_bits. */
    /* The shards where the next eviction and the next walk for expired entries
     * begin.  Relaxed: each value is as good as another. */
    _Atomic size_t evict_next;
    _Atomic size_t expire_next;
    _Atomic uint64_t version; /* Of the last put; relaxed. */
    struct losses losses;
    struct shard shards[];
};

/* ---- life ---- */

struct cache *cache_new(const struct cache_options *options)
{
    unsigned bits = 0;

    while (bits < SHARD_BITS_MAX && (size_t)1 << bits < options->n_shards) {
        bits++;
    }
    const size_t n_shards = (size_t)1 << bits;
    const size_t size = sizeof(struct cache) + n_shards * sizeof(struct shard);

    /* Both sizes are multiples of the alignment. */
    struct cache *const cache = aligned_alloc(CACHE_LINE, size);
    if (cache == NULL) {
        log_fatal("cache: out of memory size=%zu", size);
    }
    /* Larger than all of the run before, unless that put a copy more often than
     * every microsecond, all its life. */
    *cache = (struct cache){.shard_bits = bits,
                            .n_shards = n_shards,
                            .version = (uint64_t)clock_wall_ms() * 1000};
    cache->budget.max_bytes = options->max_bytes;
    cache->budget.max_entries =
        options->max_entries == 0 ? SIZE_MAX : options->max_entries;
    cache->budget.negative_share = options->negative_share;
    losses_init(&cache->losses);
    for (size_t i = 0; i < n_shards; i++) {
        shard_init(&cache->shards[i], &cache->budget, &cache->version,
                   n_shards);
        cache->shards[i].losses = &cache->losses;
    }
    return cache;
}

void cache_free(struct cache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (size_t i = 0; i < cache->n_shards; i++) {
        shard_destroy(&cache->shards[i]);
    }
    losses_destroy(&cache->losses);
    free(cache);
}

void cache_clear(struct cache *cache)
{
    for (size_t i = 0; i < cache->n_shards; i++) {
        shard_clear(&cache->shards[i], NULL, NULL);
    }
}

void cache_clear_some(struct cache *cache, cache_key_fn *is_meant,
                      void *context)
{
    for (size_t i = 0; i < cache->n_shards; i++) {
        shard_clear(&cache->shards[i], is_meant, context);
    }
}

/* ---- one key ---- */

static struct shard *shard_of(struct cache *cache, uint64_t hash)
{
    return &cache->shards[hash & (cache->n_shards - 1)];
}

static struct key key_of(const struct cache *cache, struct slice key,
                         uint64_t hash)
{
    return (struct key){.bytes = key,
                        .hash = (uint32_t)(hash >> cache->shard_bits),
                        .tag = (uint8_t)(hash >> 56)};
}

bool cache_get(struct cache *cache, struct slice key, uint64_t hash,
               int64_t wall_ms, struct copy *copy, struct buf *out)
{
    const struct key k = key_of(cache, key, hash);

    return shard_get(shard_of(cache, hash), &k, wall_ms, copy, out, true);
}

bool cache_peek(struct cache *cache, struct slice key, uint64_t hash,
                int64_t wall_ms, struct copy *copy, struct buf *out)
{
    const struct key k = key_of(cache, key, hash);

    return shard_get(shard_of(cache, hash), &k, wall_ms, copy, out, false);
}

/* Evicts from all shards in turn while the budget is exceeded, up to 'max'
 * entries, but never 'keep'.  Returns how many went. */
static size_t hold_limit(struct cache *cache, const struct entry *keep,
                         size_t max)
{
    size_t n = 0;
    size_t in_vain = 0;

    while (n < max && in_vain < cache->n_shards &&
           budget_exceeded(&cache->budget)) {
        const size_t next = atomic_fetch_add_explicit(&cache->evict_next, 1,
                                                      memory_order_relaxed);
        const size_t evicted = shard_evict(
            &cache->shards[next & (cache->n_shards - 1)], keep, max - n);

        n += evicted;
        in_vain = evicted > 0 ? 0 : in_vain + 1;
    }
    return n;
}

/* Entries that a put of 'size' bytes may evict: enough to make room for it
 * whatever their size, and some more to help a limit that was lowered. */
static size_t max_evictions(size_t size)
{
    return 32 + size / 32;
}

/* Handles a copy that cannot be kept. */
static enum err refuse(struct cache *cache, struct slice key, uint64_t hash,
                       const struct copy *copy)
{
    if (copy->dirty || copy->memory_only) {
        return ERR_TOO_BIG;
    }
    (void)cache_remove(cache, key, hash);
    return ERR_OK;
}

/* Dirty copies may take half of the limit, because they cannot be evicted and
 * the rest must do for index, queues and copies to read.  A single one may be
 * larger. */
static bool may_pin(const struct cache *cache, size_t size)
{
    const size_t pinned = budget_load(&cache->budget.pinned_bytes);

    return pinned == 0 ||
           pinned + size <= budget_load(&cache->budget.max_bytes) / 2;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

enum err cache_put(struct cache *cache, struct slice key, uint64_t hash,
                   struct copy *copy, struct slice bytes)
{
    const struct key k = key_of(cache, key, hash);
    size_t max_bytes = budget_load(&cache->budget.max_bytes);

    if (copy->kind == COPY_NEGATIVE && !copy->dirty) {
        max_bytes = least(max_bytes, budget_max_negative(&cache->budget));
    }
    if (key.size > ENTRY_PART_MAX || bytes.size > ENTRY_PART_MAX ||
        entry_request(key, copy, bytes) > max_bytes) {
        return refuse(cache, key, hash, copy);
    }
    const size_t size = entry_request(key, copy, bytes);
    if (copy->dirty && !may_pin(cache, size)) {
        return ERR_NOMEM;
    }
    struct entry *const e = entry_new(&k, copy, bytes);
    if (e == NULL) {
        return ERR_NOMEM;
    }
    if (!shard_put(shard_of(cache, hash), &k, e, &copy->version)) {
        entry_free(e);
        return ERR_NOMEM;
    }
    /* 'e' may be gone by now; as 'keep' it is only compared. */
    (void)hold_limit(cache, e, max_evictions(size));
    return ERR_OK;
}

/* ---- several keys ----
 *
 * The old copies are hidden, the new ones put while hidden, and then shown one
 * by one.  So who finds a new one may miss another, but finds no old one any
 * more; and what fails is taken back unseen. */

/* One key of several. */
struct change {
    struct key key;
    struct shard *shard;
    struct entry *entry; /* NULL: the copy is removed. */
    struct entry *old;
    bool stays_hidden;
    uint64_t *version; /* Where that of the entry goes. */
};

/* Makes the entries of the items that are put. */
static enum err prepare(struct cache *cache, struct cache_item *items,
                        struct change *changes, size_t n, size_t *size)
{
    size_t dirty_size = 0;

    *size = 0;
    for (size_t i = 0; i < n; i++) {
        struct cache_item *item = &items[i];
        changes[i] = (struct change){
            .key = key_of(cache, item->key, item->hash),
            .shard = shard_of(cache, item->hash),
            .stays_hidden = item->copy.hidden,
            .version = &item->copy.version,
        };
        if (item->remove) {
            continue;
        }
        if (item->key.size > ENTRY_PART_MAX ||
            item->bytes.size > ENTRY_PART_MAX) {
            return ERR_TOO_BIG;
        }
        const size_t one = entry_request(item->key, &item->copy, item->bytes);
        *size += one;
        dirty_size += item->copy.dirty ? one : 0;
        changes[i].entry = entry_new(&changes[i].key, &item->copy, item->bytes);
        if (changes[i].entry == NULL) {
            return ERR_NOMEM;
        }
    }
    if (*size > budget_load(&cache->budget.max_bytes)) {
        return ERR_TOO_BIG;
    }
    return dirty_size == 0 || may_pin(cache, dirty_size) ? ERR_OK : ERR_NOMEM;
}

static void hide_all(struct change *changes, size_t n, bool hidden)
{
    for (size_t i = 0; i < n; i++) {
        (void)shard_hide(changes[i].shard, &changes[i].key,
                         hidden || changes[i].stays_hidden);
    }
}

static void take_back(struct change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct change *c = &changes[i];
        if (c->entry != NULL &&
            !shard_restore(c->shard, &c->key, c->entry, c->old)) {
            c->entry = NULL;
        }
    }
}

static enum err put_hidden(struct change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct change *c = &changes[i];
        if (c->entry != NULL &&
            !shard_exchange(c->shard, &c->key, c->entry, &c->old, c->version)) {
            take_back(changes, i);
            return ERR_NOMEM;
        }
    }
    return ERR_OK;
}

/* Removals come last, as they cannot fail, nor be taken back. */
static void show(struct change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct change *c = &changes[i];
        if (c->entry == NULL) {
            (void)shard_remove(c->shard, &c->key, REMOVE_ANY);
        }
        entry_free(c->old);
    }
    hide_all(changes, n, false);
}

enum err cache_put_many(struct cache *cache, struct cache_item *items, size_t n)
{
    struct change *changes = try_malloc(n * sizeof(*changes));
    size_t size;

    if (changes == NULL) {
        return ERR_NOMEM;
    }
    memset(changes, 0, n * sizeof(*changes));
    enum err err = prepare(cache, items, changes, n, &size);
    if (err == ERR_OK) {
        hide_all(changes, n, true);
        err = put_hidden(changes, n);
        if (err == ERR_OK) {
            show(changes, n);
        } else {
            hide_all(changes, n, false);
        }
    }
    for (size_t i = 0; i < n && err != ERR_OK; i++) {
        entry_free(changes[i].entry);
    }
    free(changes);
    if (err == ERR_OK) {
        (void)hold_limit(cache, NULL, max_evictions(size));
    }
    return err;
}

bool cache_remove(struct cache *cache, struct slice key, uint64_t hash)
{
    const struct key k = key_of(cache, key, hash);

    return shard_remove(shard_of(cache, hash), &k, REMOVE_ANY);
}

bool cache_evict(struct cache *cache, struct slice key, uint64_t hash)
{
    const struct key k = key_of(cache, key, hash);

    return shard_remove(shard_of(cache, hash), &k, REMOVE_IF_IN_STORE);
}

bool cache_remove_version(struct cache *cache, struct slice key, uint64_t hash,
                          uint64_t version)
{
    const struct key k = key_of(cache, key, hash);

    return shard_remove_version(shard_of(cache, hash), &k, version);
}

bool cache_hide(struct cache *cache, struct slice key, uint64_t hash,
                bool hidden)
{
    const struct key k = key_of(cache, key, hash);

    return shard_hide(shard_of(cache, hash), &k, hidden);
}

bool cache_dirty(struct cache *cache, struct slice key, uint64_t hash,
                 int64_t *filled_us)
{
    const struct key k = key_of(cache, key, hash);

    return shard_dirty(shard_of(cache, hash), &k, filled_us);
}

uint64_t cache_version(const struct cache *cache)
{
    return atomic_load_explicit(&cache->version, memory_order_relaxed);
}

void cache_clean(struct cache *cache, struct slice key, uint64_t hash,
                 uint64_t version)
{
    const struct key k = key_of(cache, key, hash);

    shard_clean(shard_of(cache, hash), &k, version);
}

size_t cache_entry_bytes(struct cache *cache, struct slice key, uint64_t hash)
{
    const struct key k = key_of(cache, key, hash);

    return shard_entry_bytes(shard_of(cache, hash), &k);
}

/* ---- all keys ---- */

/* A cursor is a shard and a position in its index: | shard | 32 bits |. */
void cache_scan(struct cache *cache, uint64_t *cursor, size_t count,
                void (*visit)(void *context, struct slice key,
                              const struct copy *copy),
                void *context)
{
    size_t shard = (size_t)(*cursor >> 32);
    uint32_t at = (uint32_t)*cursor;
    size_t n = 0;
    struct buf page = {.storage = NULL};

    while (shard < cache->n_shards && n < count) {
        buf_clear(&page);
        n += shard_scan(&cache->shards[shard], &at, count - n, &page);
        shard += at == 0;

        struct slice left = buf_slice(&page);
        struct slice key;
        struct copy copy;
        while (shard_next(&left, &key, &copy)) {
            visit(context, key, &copy);
        }
    }
    buf_destroy(&page);
    *cursor = shard < cache->n_shards ? (uint64_t)shard << 32 | at : 0;
}

size_t cache_expire_some(struct cache *cache, int64_t wall_ms, size_t max)
{
    size_t n_dropped = 0;
    size_t n_seen = 0;

    for (size_t i = 0; i < cache->n_shards && n_seen < max; i++) {
        const size_t next = atomic_fetch_add_explicit(&cache->expire_next, 1,
                                                      memory_order_relaxed);

        n_seen += shard_expire(&cache->shards[next & (cache->n_shards - 1)],
                               wall_ms, max - n_seen, &n_dropped);
    }
    return n_dropped + hold_limit(cache, NULL, max);
}

struct losses *cache_losses(struct cache *cache)
{
    return &cache->losses;
}

void cache_set_max_bytes(struct cache *cache, size_t max_bytes)
{
    atomic_store_explicit(&cache->budget.max_bytes, max_bytes,
                          memory_order_relaxed);
}

void cache_set_negative_share(struct cache *cache, int64_t millionths)
{
    atomic_store_explicit(&cache->budget.negative_share, millionths,
                          memory_order_relaxed);
}

void cache_usage(struct cache *cache, struct cache_usage *usage)
{
    *usage = (struct cache_usage){.max_bytes =
                                      budget_load(&cache->budget.max_bytes)};
    for (size_t i = 0; i < cache->n_shards; i++) {
        shard_usage(&cache->shards[i], usage);
    }
}
