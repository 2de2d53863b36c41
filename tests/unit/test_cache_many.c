/* SPDX-License-Identifier: MIT */
/*
 * Copies that are put together, hidden, or dropped by their version.
 */
#include "common/attr.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "server/cache/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define MB ((size_t)1 << 20)

static struct cache *cache_of(size_t n_shards, size_t max_bytes)
{
    const struct cache_options options = {
        .n_shards = n_shards, .max_bytes = max_bytes, .negative_share = 100000};

    return cache_new(&options);
}

static struct cache_item item(const char *name, const char *text)
{
    const struct slice key = slice_from_string(name);

    return (struct cache_item){.key = key,
                               .hash = hash_bytes(key),
                               .bytes = slice_from_string(text),
                               .copy = {.kind = COPY_STRING, .dirty = true}};
}

static uint64_t put(struct cache *c, const char *name, const char *text,
                    struct copy copy)
{
    const struct slice key = slice_from_string(name);

    assert_int_equal(
        cache_put(c, key, hash_bytes(key), &copy, slice_from_string(text)),
        ERR_OK);
    return copy.version;
}

/* The text of a copy; "-" if there is none. */
static const char *text(struct cache *c, const char *name)
{
    static struct buf bytes;
    const struct slice key = slice_from_string(name);
    struct copy copy;

    buf_clear(&bytes);
    if (!cache_get(c, key, hash_bytes(key), 0, &copy, &bytes)) {
        buf_append_string(&bytes, "-");
    }
    static char result[32];
    strncpy(result, buf_string(&bytes), sizeof result - 1);
    buf_destroy(&bytes);
    return result;
}

static struct cache_usage usage_of(struct cache *c)
{
    struct cache_usage usage;

    cache_usage(c, &usage);
    return usage;
}

static void test_many_are_put_and_removed_together(void **state)
{
    (void)state;
    struct cache *const c = cache_of(4, MB);
    struct cache_item items[] = {item("a", "1"), item("b", "2"), item("c", "")};

    put(c, "a", "old", (struct copy){.kind = COPY_STRING});
    const uint64_t last =
        put(c, "c", "old", (struct copy){.kind = COPY_STRING});
    items[2].remove = true;
    assert_int_equal(cache_put_many(c, items, ARRAY_LEN(items)), ERR_OK);

    assert_string_equal(text(c, "a"), "1");
    assert_string_equal(text(c, "b"), "2");
    assert_string_equal(text(c, "c"), "-");
    assert_true(items[0].copy.version > last);
    assert_true(items[1].copy.version > last);
    assert_int_equal(usage_of(c).entries, 2);
    assert_int_equal(usage_of(c).dirty_entries, 2);
    cache_free(c);
}

static void test_what_is_too_big_is_put_with_nobody(void **state)
{
    (void)state;
    struct cache *const c = cache_of(4, MB);
    static char big[2 * 1024 * 1024];
    struct cache_item items[] = {item("a", "1"), item("b", "2")};

    put(c, "a", "old", (struct copy){.kind = COPY_STRING});
    items[1].bytes = slice_make(big, sizeof big);
    assert_int_equal(cache_put_many(c, items, 2), ERR_TOO_BIG);
    items[1].bytes = slice_make(big, MB * 3 / 4);
    put(c, "pinned", "x", (struct copy){.kind = COPY_STRING, .dirty = true});
    assert_int_equal(cache_put_many(c, items, 2), ERR_NOMEM);

    assert_string_equal(text(c, "a"), "old");
    assert_string_equal(text(c, "b"), "-");
    assert_int_equal(usage_of(c).dirty_entries, 1);
    cache_free(c);
}

/* Whatever allocation fails: all or none, and nothing is lost that the store
 * does not have. */
static void test_without_memory_all_is_as_before(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        struct cache *const c = cache_of(1, MB);
        struct cache_item items[] = {item("dirty", "1"), item("clean", "2"),
                                     item("negative", "3"), item("new", "4")};
        put(c, "dirty", "old",
            (struct copy){.kind = COPY_STRING, .dirty = true});
        put(c, "clean", "old", (struct copy){.kind = COPY_STRING});
        put(c, "negative", "", (struct copy){.kind = COPY_NEGATIVE});
        (void)mem_fail_nth(n);
        const enum err err = cache_put_many(c, items, ARRAY_LEN(items));
        const bool failed = mem_fail_nth(0) == 0;

        assert_int_equal(err, failed ? ERR_NOMEM : ERR_OK);
        assert_string_equal(text(c, "dirty"), failed ? "old" : "1");
        assert_string_equal(text(c, "clean"), failed ? "old" : "2");
        assert_string_equal(text(c, "new"), failed ? "-" : "4");
        assert_int_equal(usage_of(c).dirty_entries, failed ? 1 : 4);
        cache_free(c);
        if (!failed) {
            assert_true(n > 5); /* The table, and four entries. */
            break;
        }
    }
}

static void test_a_hidden_copy_is_a_miss_until_it_is_shown(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, MB);
    const struct slice key = SLICE("a");
    const uint64_t hash = hash_bytes(key);

    assert_false(cache_hide(c, key, hash, true));
    put(c, "a", "1", (struct copy){.kind = COPY_STRING, .dirty = true});
    assert_true(cache_hide(c, key, hash, true));
    assert_string_equal(text(c, "a"), "-");
    assert_false(cache_evict(c, key, hash)); /* It is dirty all the same. */
    assert_true(cache_hide(c, key, hash, false));
    assert_string_equal(text(c, "a"), "1");
    assert_true(cache_hide(c, key, hash, true));
    put(c, "a", "2", (struct copy){.kind = COPY_STRING});

    assert_string_equal(text(c, "a"), "2");
    cache_free(c);
}

static void test_only_the_version_itself_is_removed(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, MB);
    const struct slice key = SLICE("a");
    const struct copy dirty = {.kind = COPY_STRING, .dirty = true};

    const uint64_t one = put(c, "a", "1", dirty);
    const uint64_t two = put(c, "a", "2", dirty);
    assert_false(cache_remove_version(c, key, hash_bytes(key), one));
    assert_string_equal(text(c, "a"), "2");
    (void)cache_hide(c, key, hash_bytes(key), true);
    assert_true(cache_remove_version(c, key, hash_bytes(key), two));

    assert_int_equal(usage_of(c).entries, 0);
    assert_int_equal(usage_of(c).dirty_entries, 0);
    cache_free(c);
}

static void test_a_dirty_negative_copy_becomes_an_ordinary_one(void **state)
{
    (void)state;
    struct cache *const c = cache_of(1, MB);
    const struct slice key = SLICE("a");

    const uint64_t version =
        put(c, "a", "", (struct copy){.kind = COPY_NEGATIVE, .dirty = true});
    assert_int_equal(usage_of(c).dirty_entries, 1);
    assert_int_equal(usage_of(c).negative_bytes, 0); /* It may not go. */
    cache_clean(c, key, hash_bytes(key), version);

    assert_int_equal(usage_of(c).dirty_entries, 0);
    assert_int_equal(usage_of(c).negative_entries, 1);
    assert_true(usage_of(c).negative_bytes > 0);
    cache_free(c);
}

static void test_versions_grow_from_run_to_run(void **state)
{
    (void)state;
    const struct copy copy = {.kind = COPY_STRING};

    clock_set_manual(0);
    struct cache *c = cache_of(4, MB);
    uint64_t last = 0;
    for (size_t i = 0; i < 1000; i++) {
        const uint64_t version = put(c, i % 2 == 0 ? "a" : "b", "x", copy);
        assert_true(version > last);
        assert_true(cache_version(c) == version);
        last = version;
    }
    cache_free(c);
    clock_advance(1001000);
    c = cache_of(4, MB);

    assert_true(put(c, "a", "x", copy) > last);
    cache_free(c);
    clock_set_real();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_are_put_and_removed_together),
        cmocka_unit_test(test_what_is_too_big_is_put_with_nobody),
        cmocka_unit_test(test_without_memory_all_is_as_before),
        cmocka_unit_test(test_a_hidden_copy_is_a_miss_until_it_is_shown),
        cmocka_unit_test(test_only_the_version_itself_is_removed),
        cmocka_unit_test(test_a_dirty_negative_copy_becomes_an_ordinary_one),
        cmocka_unit_test(test_versions_grow_from_run_to_run),
    };

    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
