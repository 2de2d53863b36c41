/* SPDX-License-Identifier: MIT */
/*
 * Everything at once on one small cache, made for ThreadSanitizer: readers,
 * writers, evictions, walks and a limit that changes.
 *
 * Each value can be checked by itself: it repeats its key's number, and how
 * long it is and what is in it follow from a seed in front.  So a value that is
 * torn, or of another key, is noticed by whoever reads it.
 *
 * STRESS_SECONDS (2) says how long.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/waitgroup.h"
#include "server/cache/cache.h"

#define KEYS 4000u
#define VALUE_MAX 600u
#define LIMIT ((size_t)512 * 1024)

struct stress {
    struct cache *cache;
    struct waitgroup wg;
    _Atomic bool stopping;   /* Relaxed: each thread sees it soon enough. */
    _Atomic uint64_t n_hits; /* Relaxed, as are the next two. */
    _Atomic uint64_t n_puts;
    _Atomic uint64_t n_wrong; /* Values that are not what was put. */
};

struct value {
    uint32_t number; /* Of the key. */
    uint32_t seed;
    uint8_t bytes[VALUE_MAX];
};

/* A generator of numbers, one for each thread. */
static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*seed >> 33) % below;
}

static size_t value_make(struct value *v, uint32_t number, uint32_t seed)
{
    const size_t size = seed % VALUE_MAX;

    v->number = number;
    v->seed = seed;
    for (size_t i = 0; i < size; i++) {
        v->bytes[i] = (uint8_t)(seed + i * 31 + number);
    }
    return offsetof(struct value, bytes) + size;
}

static bool value_is_right(struct slice got, uint32_t number)
{
    struct value expected;
    struct value v;

    if (got.size < offsetof(struct value, bytes) || got.size > sizeof(v)) {
        return false;
    }
    memcpy(&v, got.data, got.size);
    return v.number == number &&
           value_make(&expected, number, v.seed) == got.size &&
           memcmp(&expected, got.data, got.size) == 0;
}

static void count(_Atomic uint64_t *counter)
{
    (void)atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static bool stopping(struct stress *s)
{
    return atomic_load_explicit(&s->stopping, memory_order_relaxed);
}

static void read_keys(void *arg)
{
    struct stress *const s = arg;
    struct buf out = {.storage = NULL};
    uint64_t seed = 1;

    while (!stopping(s)) {
        /* The product of two draws prefers small numbers. */
        const uint32_t number = draw(&seed, draw(&seed, KEYS) + 1);
        const struct slice key = slice_make(&number, sizeof(number));
        struct copy copy;

        buf_clear(&out);
        if (cache_get(s->cache, key, hash_bytes(key), draw(&seed, 100), &copy,
                      &out)) {
            count(&s->n_hits);
            const bool right = copy.kind == COPY_NEGATIVE
                                   ? out.size == 0
                                   : value_is_right(buf_slice(&out), number);
            if (!right || copy.version == 0) {
                count(&s->n_wrong);
            }
        }
    }
    buf_destroy(&out);
}

static void write_keys(void *arg)
{
    struct stress *const s = arg;
    uint64_t seed = 2;
    struct value v;

    while (!stopping(s)) {
        const uint32_t number = draw(&seed, draw(&seed, KEYS) + 1);
        const struct slice key = slice_make(&number, sizeof(number));
        const uint64_t hash = hash_bytes(key);
        struct copy copy = {.kind = draw(&seed, 4) == 0 ? COPY_NEGATIVE
                                                        : COPY_STRING,
                            .dirty = draw(&seed, 8) == 0,
                            .memory_only = draw(&seed, 8) == 0,
                            .expires_ms = draw(&seed, 4) == 0 ? 50 : 0};
        const size_t size = value_make(&v, number, draw(&seed, UINT32_MAX));
        const struct slice bytes =
            slice_make(&v, copy.kind == COPY_NEGATIVE ? 0 : size);

        if (cache_put(s->cache, key, hash, &copy, bytes) == ERR_OK) {
            count(&s->n_puts);
            if (copy.dirty) {
                cache_clean(s->cache, key, hash, copy.version);
            }
        }
    }
}

static void drop_keys(void *arg)
{
    struct stress *const s = arg;
    uint64_t seed = 3;

    while (!stopping(s)) {
        const uint32_t number = draw(&seed, KEYS);
        const struct slice key = slice_make(&number, sizeof(number));
        const uint64_t hash = hash_bytes(key);

        if (draw(&seed, 2) == 0) {
            (void)cache_evict(s->cache, key, hash);
        } else {
            (void)cache_remove(s->cache, key, hash);
        }
        if (draw(&seed, 100) == 0) {
            (void)cache_expire_some(s->cache, 50, 100);
        }
        if (draw(&seed, 10000) == 0) {
            cache_clear(s->cache);
        }
    }
}

static void check_number(void *context, struct slice key,
                         const struct copy *copy)
{
    struct stress *const s = context;
    uint32_t number = KEYS;

    if (key.size == sizeof(number)) {
        memcpy(&number, key.data, sizeof(number));
    }
    if (number >= KEYS || copy->version == 0) {
        count(&s->n_wrong);
    }
}

static void walk_and_limit(void *arg)
{
    struct stress *const s = arg;
    struct cache_usage usage;
    uint64_t cursor = 0;
    uint64_t seed = 4;

    while (!stopping(s)) {
        cache_scan(s->cache, &cursor, 100, check_number, s);
        cache_usage(s->cache, &usage);
        if (draw(&seed, 10) == 0) {
            cache_set_max_bytes(s->cache, LIMIT / (1 + draw(&seed, 4)));
            cache_set_negative_share(s->cache, 10000 * draw(&seed, 10));
        }
    }
}

/* Lets the limit be reached and tells whether the counts are true: emptied, the
 * cache holds what it held when it was new. */
static bool ends_well(struct stress *s, size_t empty_bytes)
{
    struct cache_usage usage;

    cache_set_max_bytes(s->cache, LIMIT / 4);
    cache_set_negative_share(s->cache, 20000);
    while (cache_expire_some(s->cache, 0, 1000) > 0) {
    }
    cache_usage(s->cache, &usage);
    const bool held =
        usage.used_bytes <= LIMIT / 4 && usage.negative_bytes <= LIMIT / 4 / 50;

    cache_clear(s->cache);
    cache_usage(s->cache, &usage);
    return held && usage.entries == 0 && usage.dirty_entries == 0 &&
           usage.memory_only_entries == 0 && usage.negative_bytes == 0 &&
           usage.used_bytes == empty_bytes;
}

int main(void)
{
    static thread_fn *const parts[] = {read_keys,  read_keys, write_keys,
                                       write_keys, drop_keys, walk_and_limit};
    const char *const seconds = getenv("STRESS_SECONDS");
    const struct cache_options options = {.n_shards = 4, .max_bytes = LIMIT};
    struct stress s = {.stopping = false};
    struct cache_usage usage;
    struct mutex lock;
    struct cond never;

    hash_init();
    s.cache = cache_new(&options);
    cache_usage(s.cache, &usage);
    const size_t empty_bytes = usage.used_bytes;
    wg_init(&s.wg);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (wg_go(&s.wg, "stress", parts[i], &s) != ERR_OK) {
            fprintf(stderr, "stress_shard: no thread\n");
            return 1;
        }
    }

    mutex_init(&lock, LOCK_LEAF, "stress");
    cond_init(&never);
    const int64_t until_us =
        clock_real_us() +
        (seconds == NULL ? 2 : strtoll(seconds, NULL, 10)) * 1000000;
    mutex_lock(&lock);
    while (cond_wait_until(&never, &lock, until_us)) {
    }
    mutex_unlock(&lock);
    atomic_store_explicit(&s.stopping, true, memory_order_relaxed);
    wg_wait(&s.wg);

    const bool well = ends_well(&s, empty_bytes);
    printf("hits=%" PRIu64 " puts=%" PRIu64 " wrong=%" PRIu64 " counts=%s\n",
           s.n_hits, s.n_puts, s.n_wrong, well ? "true" : "false");
    cond_destroy(&never);
    mutex_destroy(&lock);
    wg_destroy(&s.wg);
    cache_free(s.cache);
    return s.n_wrong == 0 && s.n_hits > 0 && s.n_puts > 0 && well ? 0 : 1;
}
