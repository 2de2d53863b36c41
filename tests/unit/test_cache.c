/* SPDX-License-Identifier: MIT */
/*
 * The cache through its interface: what is kept, what goes, and that the limit
 * is one for all shards.
 */
#include "server/cache/cache.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/hash.h"
#include "common/mem.h"

#define MB ((size_t)1 << 20)

static struct cache *cache_of(size_t n_shards, size_t max_bytes)
{
    const struct cache_options options = {.n_shards = n_shards,
                                          .max_bytes = max_bytes};

    return cache_new(&options);
}

/* With 5 % for negative copies. */
static struct cache *cache_with_share(size_t n_shards, size_t max_bytes)
{
    const struct cache_options options = {
        .n_shards = n_shards, .max_bytes = max_bytes, .negative_share = 50000};

    return cache_new(&options);
}

static enum err try_put(struct cache *c, const char *name, struct copy *copy,
                        struct slice bytes)
{
    const struct slice key = slice_from_string(name);

    return cache_put(c, key, hash_bytes(key), copy, bytes);
}

/* Returns the version. */
static uint64_t put(struct cache *c, const char *name, struct copy copy)
{
    assert_int_equal(try_put(c, name, &copy, slice_from_string(name)), ERR_OK);
    return copy.version;
}

static bool get(struct cache *c, const char *name, struct copy *copy)
{
    const struct slice key = slice_from_string(name);

    return cache_get(c, key, hash_bytes(key), 1000, copy, NULL);
}

static bool has(struct cache *c, const char *name)
{
    struct copy copy;

    return get(c, name, &copy);
}

static void clean(struct cache *c, const char *name, uint64_t version)
{
    const struct slice key = slice_from_string(name);

    cache_clean(c, key, hash_bytes(key), version);
}

static bool evict(struct cache *c, const char *name)
{
    const struct slice key = slice_from_string(name);

    return cache_evict(c, key, hash_bytes(key));
}

static bool remove_key(struct cache *c, const char *name)
{
    const struct slice key = slice_from_string(name);

    return cache_remove(c, key, hash_bytes(key));
}

static struct cache_usage usage_of(struct cache *c)
{
    struct cache_usage usage;

    cache_usage(c, &usage);
    return usage;
}

/* Fills with keys "<prefix>0" … until 'n' were put. */
static void fill(struct cache *c, const char *prefix, int n, struct copy copy)
{
    char name[32];

    for (int i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "%s%d", prefix, i);
        (void)put(c, name, copy);
    }
}

/* ---- one key ---- */

static void test_what_is_put_is_got(void **state)
{
    (void)state;
    struct cache *const c = cache_of(4, MB);
    struct buf out = {.storage = NULL};
    struct copy copy = {.kind = COPY_RECORD, .filled_us = 42};
    const struct slice key = SLICE("book:3");
    const struct slice bytes = SLICE("a\0b");

    assert_int_equal(cache_put(c, key, hash_bytes(key), &copy, bytes), ERR_OK);
    struct copy got;
    assert_true(cache_get(c, key, hash_bytes(key), 0, &got, &out));

    assert_true(slice_equal(buf_slice(&out), bytes));
    assert_int_equal(got.kind, COPY_RECORD);
    assert_int_equal(got.filled_us, 42);
    assert_int_equal(got.version, copy.version);
    assert_false(has(c, "book:4"));
    buf_destroy(&out);
    cache_free(c);
}

static void test_a_put_replaces_kind_bytes_and_expiry(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, MB);
    struct copy copy;

    (void)put(c, "k", (struct copy){.kind = COPY_STRING, .expires_ms = 2000});
    (void)put(c, "k", (struct copy){.kind = COPY_NEGATIVE});

    assert_true(get(c, "k", &copy));
    assert_int_equal(copy.kind, COPY_NEGATIVE);
    assert_int_equal(copy.expires_ms, 0);
    assert_int_equal(usage_of(c).entries, 1);
    cache_free(c);
}

static void test_empty_keys_and_large_ones_are_keys(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, 4 * MB);
    char *const large = xmalloc(MB + 1);
    memset(large, 'k', MB);
    large[MB] = '\0';

    (void)put(c, "", (struct copy){.kind = COPY_STRING});
    (void)put(c, large, (struct copy){.kind = COPY_STRING});

    assert_true(has(c, ""));
    assert_true(has(c, large));
    free(large);
    cache_free(c);
}

static void test_versions_of_a_key_grow_and_are_nobody_elses(void **state)
{
    (void)state;
    struct cache *const c = cache_of(4, MB);
    uint64_t last[10] = {0};

    for (int i = 0; i < 1000; i++) {
        char name[2] = {(char)('0' + i % 10), '\0'};
        if (i == 500) {
            cache_clear(c);
        }
        const uint64_t version = put(c, name, (struct copy){.dirty = false});
        assert_true(version > last[i % 10]);
        last[i % 10] = version;
        for (int j = 0; j < 10; j++) {
            assert_true(j == i % 10 || last[j] != version);
        }
        (void)remove_key(c, name);
    }
    cache_free(c);
}

static void test_only_the_dirty_version_itself_becomes_clean(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, MB);
    struct copy copy;

    const uint64_t first = put(c, "k", (struct copy){.dirty = true});
    const uint64_t second = put(c, "k", (struct copy){.dirty = true});

    clean(c, "k", first);
    assert_true(get(c, "k", &copy) && copy.dirty);
    clean(c, "k", second);
    assert_true(get(c, "k", &copy) && !copy.dirty);
    assert_int_equal(usage_of(c).dirty_entries, 0);
    clean(c, "nobody", second);
    cache_free(c);
}

static void test_evict_spares_what_only_the_cache_has(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, MB);
    (void)put(c, "copy", (struct copy){.kind = COPY_RECORD});
    (void)put(c, "dirty", (struct copy){.dirty = true});
    (void)put(c, "memory", (struct copy){.memory_only = true});

    assert_true(evict(c, "copy"));
    assert_false(evict(c, "copy"));
    assert_false(evict(c, "dirty"));
    assert_false(evict(c, "memory"));

    assert_true(has(c, "dirty"));
    assert_true(has(c, "memory"));
    assert_true(remove_key(c, "dirty"));
    assert_true(remove_key(c, "memory"));
    assert_false(remove_key(c, "memory"));
    assert_int_equal(usage_of(c).entries, 0);
    cache_free(c);
}

static void test_a_hit_without_room_for_its_bytes_is_a_miss(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, MB);
    struct buf out = {.storage = NULL};
    struct copy copy;
    const struct slice key = SLICE("k");
    (void)put(c, "k", (struct copy){.kind = COPY_STRING});

    mem_fail_nth(1);
    assert_false(cache_get(c, key, hash_bytes(key), 0, &copy, &out));
    (void)mem_fail_nth(0);

    assert_int_equal(out.size, 0);
    assert_true(cache_get(c, key, hash_bytes(key), 0, &copy, &out));
    buf_destroy(&out);
    cache_free(c);
}

/* ---- the limit ---- */

static void test_the_limit_holds_after_every_put(void **state)
{
    (void)state;
    struct cache *const c = cache_of(16, MB);
    static const char value[3000];
    char name[32];

    for (int i = 0; i < 20000; i++) {
        struct copy copy = {.kind = COPY_STRING};
        (void)snprintf(name, sizeof(name), "%d", i);
        const struct slice bytes = slice_make(value, (size_t)i * 7 % 3000);
        assert_int_equal(try_put(c, name, &copy, bytes), ERR_OK);
        assert_true(has(c, name));
        assert_in_range(usage_of(c).used_bytes, 0, MB);
    }

    assert_in_range(usage_of(c).used_bytes, MB - MB / 50, MB);
    assert_true(usage_of(c).evictions > 10000);
    cache_free(c);
}

static void test_a_large_value_fits_whatever_the_number_of_shards(void **state)
{
    (void)state;
    struct cache *const c = cache_of(64, 2 * MB);
    char *const value = xcalloc(1, MB);
    fill(c, "small", 20000, (struct copy){.kind = COPY_STRING});

    struct copy copy = {.memory_only = true};
    assert_int_equal(try_put(c, "large", &copy, slice_make(value, MB)), ERR_OK);

    assert_true(has(c, "large"));
    assert_in_range(usage_of(c).used_bytes, MB, 2 * MB);
    assert_true(usage_of(c).entries > 4000);
    free(value);
    cache_free(c);
}

static void test_a_look_without_trace_does_not_keep_a_copy(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, MB);
    const struct slice key = SLICE("seen");
    struct copy copy;
    (void)put(c, "read", (struct copy){.kind = COPY_STRING});
    (void)put(c, "seen", (struct copy){.kind = COPY_STRING});

    for (int i = 0; i < 3; i++) {
        assert_true(has(c, "read"));
        assert_true(cache_peek(c, key, hash_bytes(key), 0, &copy, NULL));
    }
    fill(c, "other", 20000, (struct copy){.kind = COPY_STRING});

    assert_true(has(c, "read"));
    assert_false(has(c, "seen"));
    cache_free(c);
}

static void test_what_is_larger_than_the_limit_is_not_kept(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, MB);
    char *const value = xcalloc(2, MB);
    const struct slice large = slice_make(value, 2 * MB);
    struct copy clean_copy = {.kind = COPY_RECORD};
    struct copy dirty_copy = {.dirty = true};
    struct copy memory_copy = {.memory_only = true};
    (void)put(c, "a", (struct copy){.kind = COPY_RECORD});
    (void)put(c, "b", (struct copy){.kind = COPY_STRING});

    assert_int_equal(try_put(c, "a", &clean_copy, large), ERR_OK);
    assert_int_equal(try_put(c, "b", &dirty_copy, large), ERR_TOO_BIG);
    assert_int_equal(try_put(c, "b", &memory_copy, large), ERR_TOO_BIG);

    assert_false(has(c, "a"));
    assert_true(has(c, "b"));
    free(value);
    cache_free(c);
}

static void test_the_dirty_stay_and_the_memory_only_go(void **state)
{
    (void)state;
    struct cache *const c = cache_of(4, MB);
    char name[32];

    fill(c, "dirty", 1000, (struct copy){.dirty = true});
    fill(c, "memory", 1000, (struct copy){.memory_only = true});
    fill(c, "other", 20000, (struct copy){.kind = COPY_RECORD});

    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "dirty%d", i);
        assert_true(has(c, name));
    }
    assert_int_equal(usage_of(c).dirty_entries, 1000);
    assert_in_range(usage_of(c).memory_only_entries, 0, 100);
    assert_in_range(usage_of(c).used_bytes, 0, MB);
    cache_free(c);
}

static void test_a_clear_leaves_the_dirty_and_nothing_else(void **state)
{
    (void)state;
    struct cache *const c = cache_of(4, 16 * MB);
    const size_t empty_bytes = usage_of(c).used_bytes;
    char name[32];

    fill(c, "other", 20000, (struct copy){.expires_ms = 2000});
    fill(c, "dirty", 1000, (struct copy){.dirty = true});
    fill(c, "memory", 1000, (struct copy){.memory_only = true});
    cache_clear(c);

    assert_int_equal(usage_of(c).entries, 1000);
    assert_int_equal(usage_of(c).dirty_entries, 1000);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "dirty%d", i);
        assert_true(has(c, name));
        (void)remove_key(c, name);
    }
    cache_clear(c);
    assert_int_equal(usage_of(c).used_bytes, empty_bytes);
    cache_free(c);
}

static void test_the_dirty_take_no_more_than_their_share(void **state)
{
    (void)state;
    struct cache *const c = cache_of(4, MB);
    char name[32];
    enum err err = ERR_OK;
    int n = 0;

    for (; n < 100000 && err == ERR_OK; n++) {
        struct copy copy = {.dirty = true};
        (void)snprintf(name, sizeof(name), "%d", n);
        err = try_put(c, name, &copy, SLICE("value"));
    }

    assert_int_equal(err, ERR_NOMEM);
    assert_false(has(c, name));
    assert_int_equal(usage_of(c).dirty_entries, n - 1);
    assert_in_range(usage_of(c).used_bytes, MB / 2, MB);
    (void)remove_key(c, "0");
    (void)remove_key(c, "1");
    (void)put(c, "again", (struct copy){.dirty = true});
    cache_free(c);
}

static void test_a_lowered_limit_is_reached_in_small_steps(void **state)
{
    (void)state;
    struct cache *const c = cache_of(4, 8 * MB);
    fill(c, "k", 40000, (struct copy){.kind = COPY_STRING});
    const uint64_t before = usage_of(c).evictions;

    cache_set_max_bytes(c, MB);
    (void)put(c, "one more", (struct copy){.kind = COPY_STRING});
    assert_in_range(usage_of(c).evictions - before, 1, 200);
    size_t n_calls = 0;
    while (usage_of(c).used_bytes > MB) {
        assert_in_range(cache_expire_some(c, 0, 100), 1, 100);
        n_calls++;
    }

    assert_true(n_calls > 100);
    assert_int_equal(cache_expire_some(c, 0, 100), 0);
    assert_int_equal(usage_of(c).max_bytes, MB);
    cache_free(c);
}

static void test_a_count_of_entries_can_be_the_limit(void **state)
{
    (void)state;
    const struct cache_options options = {
        .n_shards = 1, .max_bytes = SIZE_MAX, .max_entries = 10};
    struct cache *const c = cache_new(&options);

    fill(c, "k", 100, (struct copy){.kind = COPY_STRING});

    assert_int_equal(usage_of(c).entries, 10);
    cache_free(c);
}

static void test_the_expired_are_dropped_by_and_by(void **state)
{
    (void)state;
    struct cache *const c = cache_of(8, 64 * MB);
    size_t n_dropped = 0;
    fill(c, "a", 5000, (struct copy){.expires_ms = 500});
    fill(c, "b", 5000, (struct copy){.expires_ms = 2000});
    fill(c, "c", 5000, (struct copy){.kind = COPY_STRING});

    for (int i = 0; i < 1000 && n_dropped < 5000; i++) {
        n_dropped += cache_expire_some(c, 1000, 200);
    }

    assert_int_equal(n_dropped, 5000);
    assert_int_equal(usage_of(c).expirations, 5000);
    assert_int_equal(usage_of(c).evictions, 0);
    assert_int_equal(usage_of(c).entries, 10000);
    cache_free(c);
}

static void test_a_dirty_copy_outlives_its_expiry(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, MB);
    const struct slice key = SLICE("k");
    struct copy copy = {.dirty = true, .expires_ms = 500};

    const uint64_t version = put(c, "k", copy);
    assert_int_equal(cache_expire_some(c, 1000, 100), 0);
    /* It is still there to say that the key has expired. */
    assert_true(cache_get(c, key, hash_bytes(key), 0, &copy, NULL));
    cache_clean(c, key, hash_bytes(key), version);

    assert_int_equal(cache_expire_some(c, 1000, 100), 1);
    cache_free(c);
}

static void test_an_entry_costs_little_beside_its_bytes(void **state)
{
    (void)state;
    struct cache *const c = cache_of(8, 1024 * MB);
    const size_t before = usage_of(c).used_bytes;

    fill(c, "key:12345:", 100000, (struct copy){.kind = COPY_STRING});
    fill(c, "none:1234:", 100000, (struct copy){.kind = COPY_NEGATIVE});

    assert_in_range((usage_of(c).used_bytes - before) / 200000, 60, 110);
    assert_in_range(cache_entry_bytes(c, SLICE("key:12345:7"),
                                      hash_bytes(SLICE("key:12345:7"))),
                    56, 64);
    assert_int_equal(
        cache_entry_bytes(c, SLICE("nobody"), hash_bytes(SLICE("nobody"))), 0);
    cache_free(c);
}

static void test_a_put_without_memory_leaves_all_as_it_was(void **state)
{
    (void)state;
    struct cache *const c = cache_of(2, MB);
    char name[32];

    for (int i = 0; i < 3000; i++) {
        struct copy copy = {.kind = COPY_STRING};
        (void)snprintf(name, sizeof(name), "%d", i);
        const bool before = has(c, name);
        mem_fail_nth(1 + i % 4);
        const enum err err = try_put(c, name, &copy, SLICE("v"));
        (void)mem_fail_nth(0);
        assert_true(err == ERR_OK || err == ERR_NOMEM);
        assert_int_equal(has(c, name), err == ERR_OK || before);
    }
    cache_clear(c);
    assert_int_equal(usage_of(c).entries, 0);
    cache_free(c);
}

/* ---- negative copies ---- */

static void put_negative(struct cache *c, int64_t i)
{
    struct copy copy = {.kind = COPY_NEGATIVE};
    char name[32];

    (void)snprintf(name, sizeof(name), "none:%" PRId64, i);
    assert_int_equal(try_put(c, name, &copy, SLICE("")), ERR_OK);
}

static void assert_all_there(struct cache *c, const char *prefix, int n)
{
    char name[32];

    for (int i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "%s%d", prefix, i);
        assert_true(has(c, name));
    }
}

static void test_a_scan_of_what_does_not_exist_pushes_no_value_out(void **state)
{
    (void)state;
    enum { BOOKS = 100000, MISSING = 300000 };
    struct cache *const c = cache_with_share(64, 16 * MB);
    fill(c, "book:", BOOKS, (struct copy){.kind = COPY_RECORD});
    uint64_t evictions = usage_of(c).evictions;
    assert_int_equal(evictions, 0);

    for (int64_t i = 0; i < MISSING; i++) {
        put_negative(c, i);
        if (i % 1000 == 0) {
            const struct cache_usage usage = usage_of(c);
            assert_in_range(usage.negative_bytes, 1, 16 * MB / 20);
            assert_in_range(usage.used_bytes, 1, 16 * MB);
        }
    }

    const struct cache_usage usage = usage_of(c);
    assert_in_range(usage.negative_bytes, 16 * MB / 20 - 1000, 16 * MB / 20);
    assert_int_equal(usage.evictions, MISSING - usage.negative_entries);
    assert_int_equal(usage.entries, BOOKS + usage.negative_entries);
    assert_all_there(c, "book:", BOOKS);
    assert_true(has(c, "none:299999"));
    assert_false(has(c, "none:0"));
    cache_free(c);
}

static void
test_a_scan_in_a_full_cache_costs_no_more_than_its_share(void **state)
{
    (void)state;
    struct cache *const c = cache_with_share(4, MB);
    fill(c, "book:", 50000, (struct copy){.kind = COPY_RECORD});
    const struct cache_usage full = usage_of(c);

    for (int64_t i = 0; i < 100000; i++) {
        const uint64_t before = usage_of(c).evictions;
        put_negative(c, i);
        assert_in_range(usage_of(c).evictions - before, 0, 100);
    }

    const struct cache_usage usage = usage_of(c);
    assert_in_range(usage.used_bytes, 0, MB);
    assert_in_range(usage.negative_bytes, 1, MB / 20);
    assert_true((usage.entries - usage.negative_entries) * 100 >
                full.entries * 90);
    cache_free(c);
}

static void test_values_leave_negatives_within_their_share_alone(void **state)
{
    (void)state;
    struct cache *const c = cache_with_share(4, MB);
    fill(c, "none:", 100, (struct copy){.kind = COPY_NEGATIVE});

    fill(c, "book:", 50000, (struct copy){.kind = COPY_RECORD});

    assert_all_there(c, "none:", 100);
    assert_in_range(usage_of(c).used_bytes, MB - MB / 20, MB);
    cache_free(c);
}

static void test_a_row_that_appears_counts_no_longer_as_negative(void **state)
{
    (void)state;
    struct cache *const c = cache_with_share(1, MB);
    struct copy copy;

    (void)put(c, "k", (struct copy){.kind = COPY_NEGATIVE});
    assert_true(usage_of(c).negative_bytes > 0);
    (void)put(c, "k", (struct copy){.kind = COPY_RECORD});
    assert_int_equal(usage_of(c).negative_bytes, 0);
    assert_true(get(c, "k", &copy) && copy.kind == COPY_RECORD);
    (void)put(c, "k", (struct copy){.kind = COPY_NEGATIVE});
    assert_true(usage_of(c).negative_bytes > 0);
    assert_true(get(c, "k", &copy) && copy.kind == COPY_NEGATIVE);
    assert_true(evict(c, "k"));

    assert_int_equal(usage_of(c).negative_bytes, 0);
    cache_free(c);
}

static void
test_a_removal_not_yet_in_the_store_is_no_negative_to_drop(void **state)
{
    (void)state;
    struct cache *const c = cache_with_share(1, MB);
    const struct copy removal = {.kind = COPY_NEGATIVE, .dirty = true};
    fill(c, "removed:", 3000, removal);

    for (int64_t i = 0; i < 20000; i++) {
        put_negative(c, i);
    }

    assert_all_there(c, "removed:", 3000);
    cache_free(c);
}

static void test_the_share_changes_in_small_steps(void **state)
{
    (void)state;
    struct cache *const c = cache_with_share(4, 4 * MB);
    cache_set_negative_share(c, 500000);
    fill(c, "none:", 20000, (struct copy){.kind = COPY_NEGATIVE});
    fill(c, "book:", 10000, (struct copy){.kind = COPY_RECORD});
    assert_int_equal(usage_of(c).evictions, 0);

    cache_set_negative_share(c, 10000);
    while (usage_of(c).negative_bytes > 4 * MB / 100) {
        assert_in_range(cache_expire_some(c, 0, 100), 1, 100);
    }
    assert_all_there(c, "book:", 10000);
    cache_set_negative_share(c, 0);
    while (cache_expire_some(c, 0, 100) > 0) {
    }

    assert_int_equal(usage_of(c).negative_bytes, 0);
    assert_all_there(c, "book:", 10000);
    fill(c, "none:", 10000, (struct copy){.kind = COPY_NEGATIVE});
    assert_all_there(c, "none:", 10000);
    assert_int_equal(usage_of(c).negative_bytes, 0);
    cache_free(c);
}

static void test_a_negative_larger_than_the_share_is_not_kept(void **state)
{
    (void)state;
    struct cache *const c = cache_with_share(4, MB);
    (void)put(c, "k", (struct copy){.kind = COPY_RECORD});
    cache_set_negative_share(c, 1);

    (void)put(c, "k", (struct copy){.kind = COPY_NEGATIVE});

    assert_false(has(c, "k"));
    cache_free(c);
}

/* ---- all keys ---- */

struct seen {
    struct cache *cache;
    uint8_t count[5000];
    size_t n;
};

/* Keys are "k<number>"; also adds others, so that the index grows. */
static void see(void *context, struct slice key, const struct copy *copy)
{
    struct seen *const seen = context;
    char name[32];
    int64_t i;

    assert_int_equal(copy->kind, COPY_STRING);
    seen->n++;
    if (key.data[0] == 'k' &&
        slice_to_int64(slice_make(key.data + 1, key.size - 1), &i)) {
        seen->count[i]++;
        (void)snprintf(name, sizeof(name), "other%zu", seen->n);
        (void)put(seen->cache, name, (struct copy){.kind = COPY_STRING});
    }
}

static void test_a_scan_sees_each_key_that_stays(void **state)
{
    (void)state;
    struct seen seen = {.cache = cache_of(8, 64 * MB)};
    uint64_t cursor = 0;
    size_t n_pages = 0;
    fill(seen.cache, "k", 5000, (struct copy){.kind = COPY_STRING});

    do {
        const size_t before = seen.n;
        cache_scan(seen.cache, &cursor, 10, see, &seen);
        assert_true(seen.n - before >= 10 || cursor == 0);
        assert_true(seen.n - before < 60);
        n_pages++;
    } while (cursor != 0);

    for (size_t i = 0; i < 5000; i++) {
        assert_in_range(seen.count[i], 1, 9);
    }
    assert_true(n_pages > 100);
    cache_free(seen.cache);
}

static void test_a_scan_of_nothing_ends_at_once(void **state)
{
    (void)state;
    struct seen seen = {.cache = cache_of(8, MB)};
    uint64_t cursor = 0;

    cache_scan(seen.cache, &cursor, 10, see, &seen);
    assert_int_equal(cursor, 0);
    cursor = UINT64_MAX;
    cache_scan(seen.cache, &cursor, 10, see, &seen);

    assert_int_equal(cursor, 0);
    assert_int_equal(seen.n, 0);
    cache_free(seen.cache);
}

/* ---- against a model ---- */

/* A generator of numbers that every run repeats. */
static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*seed >> 33) % below;
}

static void test_random_changes_agree_with_a_model(void **state)
{
    (void)state;
    enum { KEYS = 2000, STEPS = 200000 };
    struct model {
        bool there;
        bool dirty;
        uint64_t version;
    };
    static struct model model[KEYS];
    struct cache *const c = cache_of(4, 64 * MB);
    uint64_t seed = 1;
    char name[32];

    for (int step = 0; step < STEPS; step++) {
        const uint32_t i = draw(&seed, step % 40000 < 20000 ? KEYS : 50);
        struct model *const m = &model[i];
        struct copy copy = {.version = 0};
        (void)snprintf(name, sizeof(name), "%" PRIu32, i);
        switch (draw(&seed, 5)) {
        case 0:
            m->dirty = draw(&seed, 2) == 0;
            m->version = put(c, name, (struct copy){.dirty = m->dirty});
            m->there = true;
            break;
        case 1:
            assert_int_equal(remove_key(c, name), m->there);
            m->there = false;
            break;
        case 2:
            assert_int_equal(evict(c, name), m->there && !m->dirty);
            m->there = m->there && m->dirty;
            break;
        case 3:
            clean(c, name, m->version);
            m->dirty = false;
            break;
        default:
            assert_int_equal(get(c, name, &copy), m->there);
            assert_true(!m->there ||
                        (copy.version == m->version && copy.dirty == m->dirty));
        }
    }
    cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_put_is_got),
        cmocka_unit_test(test_a_put_replaces_kind_bytes_and_expiry),
        cmocka_unit_test(test_empty_keys_and_large_ones_are_keys),
        cmocka_unit_test(test_versions_of_a_key_grow_and_are_nobody_elses),
        cmocka_unit_test(test_only_the_dirty_version_itself_becomes_clean),
        cmocka_unit_test(test_evict_spares_what_only_the_cache_has),
        cmocka_unit_test(test_a_hit_without_room_for_its_bytes_is_a_miss),
        cmocka_unit_test(test_the_limit_holds_after_every_put),
        cmocka_unit_test(test_a_large_value_fits_whatever_the_number_of_shards),
        cmocka_unit_test(test_a_look_without_trace_does_not_keep_a_copy),
        cmocka_unit_test(test_what_is_larger_than_the_limit_is_not_kept),
        cmocka_unit_test(test_the_dirty_stay_and_the_memory_only_go),
        cmocka_unit_test(test_a_clear_leaves_the_dirty_and_nothing_else),
        cmocka_unit_test(test_the_dirty_take_no_more_than_their_share),
        cmocka_unit_test(test_a_lowered_limit_is_reached_in_small_steps),
        cmocka_unit_test(test_a_count_of_entries_can_be_the_limit),
        cmocka_unit_test(test_the_expired_are_dropped_by_and_by),
        cmocka_unit_test(test_a_dirty_copy_outlives_its_expiry),
        cmocka_unit_test(test_an_entry_costs_little_beside_its_bytes),
        cmocka_unit_test(test_a_put_without_memory_leaves_all_as_it_was),
        cmocka_unit_test(
            test_a_scan_of_what_does_not_exist_pushes_no_value_out),
        cmocka_unit_test(
            test_a_scan_in_a_full_cache_costs_no_more_than_its_share),
        cmocka_unit_test(test_values_leave_negatives_within_their_share_alone),
        cmocka_unit_test(test_a_row_that_appears_counts_no_longer_as_negative),
        cmocka_unit_test(
            test_a_removal_not_yet_in_the_store_is_no_negative_to_drop),
        cmocka_unit_test(test_the_share_changes_in_small_steps),
        cmocka_unit_test(test_a_negative_larger_than_the_share_is_not_kept),
        cmocka_unit_test(test_a_scan_sees_each_key_that_stays),
        cmocka_unit_test(test_a_scan_of_nothing_ends_at_once),
        cmocka_unit_test(test_random_changes_agree_with_a_model),
    };

    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
