/* SPDX-License-Identifier: MIT */
/*
 * One shard: its counts and its budget are true after every change.
 */
#include "server/cache/shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/hash.h"
#include "common/mem.h"

struct fixture {
    struct budget budget;
    _Atomic uint64_t version;
    struct shard shard;
};

static int set_up(void **state)
{
    struct fixture *const f = aligned_alloc(CACHE_LINE, sizeof(*f));

    assert_non_null(f);
    f->version = 0;
    f->budget = (struct budget){.max_bytes = SIZE_MAX, .max_entries = SIZE_MAX};
    shard_init(&f->shard, &f->budget, &f->version, 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *const f = *state;

    shard_destroy(&f->shard);
    free(f);
    return 0;
}

static struct key key_of(const int *i)
{
    const struct slice bytes = slice_make(i, sizeof(*i));
    const uint64_t hash = hash_bytes(bytes);

    return (struct key){
        .bytes = bytes, .hash = (uint32_t)hash, .tag = (uint8_t)(hash >> 56)};
}

static bool try_put(struct shard *s, int i, const struct copy *copy,
                    struct slice bytes)
{
    const struct key key = key_of(&i);
    struct entry *const e = entry_new(&key, copy, bytes);
    uint64_t version;

    if (e == NULL) {
        return false;
    }
    if (!shard_put(s, &key, e, &version)) {
        entry_free(e);
        return false;
    }
    return true;
}

static void put(struct shard *s, int i, struct copy copy)
{
    assert_true(try_put(s, i, &copy, SLICE("some value")));
}

static bool has(struct shard *s, int i, int64_t wall_ms)
{
    const struct key key = key_of(&i);
    struct copy copy;

    return shard_get(s, &key, wall_ms, &copy, NULL, true);
}

static struct cache_usage usage_of(struct shard *s)
{
    struct cache_usage usage = {.entries = 0};

    shard_usage(s, &usage);
    return usage;
}

static void test_a_put_can_be_read_back(void **state)
{
    struct shard *const s = &((struct fixture *)*state)->shard;
    struct copy copy = {.kind = COPY_RECORD,
                        .filled_us = 5,
                        .expires_ms = 100,
                        .origin = COPY_FROM_WRITE,
                        .store_us = UINT32_MAX};
    struct buf out = {.storage = NULL};
    const int i = 1;
    const struct key key = key_of(&i);

    put(s, i, copy);
    buf_append_string(&out, "before ");
    assert_true(shard_get(s, &key, 99, &copy, &out, true));

    assert_true(slice_equal(buf_slice(&out), SLICE("before some value")));
    assert_int_equal(copy.kind, COPY_RECORD);
    assert_int_equal(copy.filled_us, 5);
    assert_int_equal(copy.expires_ms, 100);
    assert_int_equal(copy.origin, COPY_FROM_WRITE);
    assert_true(copy.store_us == UINT32_MAX);
    buf_destroy(&out);
}

static void test_get_after_expiry_is_a_miss(void **state)
{
    struct shard *const s = &((struct fixture *)*state)->shard;

    put(s, 1, (struct copy){.expires_ms = 100});
    put(s, 2, (struct copy){.expires_ms = 0});

    assert_true(has(s, 1, 99));
    assert_false(has(s, 1, 100));
    assert_true(has(s, 2, INT64_MAX));
}

static void test_the_expired_are_dropped_step_by_step(void **state)
{
    struct shard *const s = &((struct fixture *)*state)->shard;
    size_t n_dropped = 0;

    for (int i = 0; i < 3000; i++) {
        put(s, i, (struct copy){.expires_ms = i % 3 == 0 ? 100 : 200});
    }
    assert_in_range(shard_expire(s, 100, 50, &n_dropped), 50, 150);
    for (int i = 0; i < 3000 && n_dropped < 1000; i++) {
        (void)shard_expire(s, 100, 50, &n_dropped);
    }

    assert_int_equal(n_dropped, 1000);
    assert_int_equal(usage_of(s).expirations, 1000);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(has(s, i, 0), i % 3 != 0);
    }
}

static void test_nothing_is_walked_if_nothing_can_expire(void **state)
{
    struct shard *const s = &((struct fixture *)*state)->shard;
    size_t n_dropped = 0;

    put(s, 1, (struct copy){.expires_ms = 0});

    assert_int_equal(shard_expire(s, INT64_MAX, 100, &n_dropped), 0);
    assert_int_equal(n_dropped, 0);
}

static void test_usage_counts_each_sort(void **state)
{
    struct fixture *const f = *state;
    struct shard *const s = &f->shard;

    put(s, 1, (struct copy){.kind = COPY_NEGATIVE});
    put(s, 2, (struct copy){.dirty = true});
    put(s, 3, (struct copy){.memory_only = true});
    put(s, 3, (struct copy){.memory_only = true});
    put(s, 4, (struct copy){.dirty = true, .memory_only = true});

    struct cache_usage usage = usage_of(s);
    assert_int_equal(usage.entries, 4);
    assert_int_equal(usage.negative_entries, 1);
    assert_int_equal(usage.dirty_entries, 2);
    assert_int_equal(usage.memory_only_entries, 2);
    assert_true(f->budget.pinned_bytes > 0);

    for (int i = 1; i <= 4; i++) {
        const struct key key = key_of(&i);
        assert_true(shard_remove(s, &key, REMOVE_ANY));
    }
    usage = usage_of(s);
    assert_int_equal(usage.entries, 0);
    assert_int_equal(usage.negative_entries, 0);
    assert_int_equal(usage.dirty_entries, 0);
    assert_int_equal(usage.memory_only_entries, 0);
    assert_int_equal(f->budget.pinned_bytes, 0);
    assert_int_equal(f->budget.n_entries, 0);
}

static void test_all_memory_is_given_back(void **state)
{
    struct fixture *const f = *state;
    struct shard *const s = &f->shard;
    const size_t before = f->budget.used_bytes;
    f->budget.negative_share = 1000000;

    for (int i = 0; i < 2000; i++) {
        put(s, i,
            (struct copy){.kind = i % 3 == 0 ? COPY_NEGATIVE : COPY_STRING,
                          .dirty = i % 2 == 0,
                          .expires_ms = i % 5});
    }
    assert_int_equal(usage_of(s).negative_bytes, f->budget.negative_bytes);
    assert_true(f->budget.negative_bytes > 300 * sizeof(struct entry));
    assert_int_equal(usage_of(s).used_bytes, f->budget.used_bytes);
    assert_true(f->budget.used_bytes > before + 2000 * sizeof(struct entry));
    for (int i = 0; i < 2000; i += 2) { /* The dirty, which a clear leaves. */
        const struct key key = key_of(&i);
        assert_true(shard_remove(s, &key, REMOVE_ANY));
    }
    shard_clear(s, NULL, NULL);

    assert_int_equal(usage_of(s).used_bytes, before);
    assert_int_equal(f->budget.used_bytes, before);
    assert_int_equal(f->budget.pinned_bytes, 0);
    assert_int_equal(f->budget.negative_bytes, 0);
    assert_int_equal(f->budget.n_entries, 0);
    assert_false(has(s, 1, 0));
    put(s, 1, (struct copy){.kind = COPY_STRING});
    assert_true(has(s, 1, 0));
}

static void test_an_evicted_entry_is_counted_once(void **state)
{
    struct fixture *const f = *state;
    struct shard *const s = &f->shard;
    f->budget.max_entries = 100;
    f->budget.max_bytes = 1 << 30;

    for (int i = 0; i < 1000; i++) {
        put(s, i, (struct copy){.kind = COPY_STRING});
        (void)shard_evict(s, NULL, 10);
    }

    const struct cache_usage usage = usage_of(s);
    assert_int_equal(usage.entries, 100);
    assert_int_equal(usage.evictions, 900);
    assert_int_equal(usage.expirations, 0);
}

/* Fails the n-th allocation of a put, for every n, at many sizes. */
static void test_a_put_without_memory_changes_nothing(void **state)
{
    struct fixture *const f = *state;
    struct shard *const s = &f->shard;
    const struct copy copy = {.kind = COPY_STRING};
    bool there[2000] = {false};

    for (int i = 0; i < 2000; i++) {
        for (long n = 1; !there[i]; n++) {
            const size_t entries = usage_of(s).entries;
            mem_fail_nth(n);
            there[i] = try_put(s, i, &copy, SLICE("x"));
            (void)mem_fail_nth(0);
            assert_int_equal(has(s, i, 0), there[i]);
            assert_int_equal(usage_of(s).entries, entries + there[i]);
            assert_int_equal(usage_of(s).used_bytes, f->budget.used_bytes);
            assert_in_range(n, 1, 10);
        }
    }
    for (int i = 0; i < 2000; i++) {
        assert_true(has(s, i, 0));
    }
}

/* The same where a negative copy and a value take turns. */
static void test_a_turn_without_memory_changes_nothing(void **state)
{
    struct fixture *const f = *state;
    struct shard *const s = &f->shard;
    f->budget.negative_share = 1000000;

    for (int turn = 0; turn < 4; turn++) {
        const struct copy copy = {.kind = turn % 2 == 0 ? COPY_NEGATIVE
                                                        : COPY_STRING};
        for (int i = 0; i < 200; i++) {
            bool done = false;
            for (long n = 1; !done; n++) {
                const struct cache_usage before = usage_of(s);
                mem_fail_nth(n);
                done = try_put(s, i, &copy, SLICE(""));
                (void)mem_fail_nth(0);
                const struct cache_usage after = usage_of(s);
                assert_true(
                    done ||
                    (after.negative_bytes == before.negative_bytes &&
                     after.negative_entries == before.negative_entries &&
                     after.entries == before.entries));
                assert_in_range(n, 1, 10);
            }
        }
        assert_int_equal(usage_of(s).entries, 200);
        assert_int_equal(usage_of(s).negative_entries, turn % 2 == 0 ? 200 : 0);
        assert_int_equal(f->budget.negative_bytes == 0, turn % 2 != 0);
    }
}

static void test_negatives_beyond_their_share_go_first(void **state)
{
    struct fixture *const f = *state;
    struct shard *const s = &f->shard;
    f->budget.max_bytes = 1 << 20;
    f->budget.negative_share = 500000;
    for (int i = 0; i < 2000; i++) {
        put(s, i,
            (struct copy){.kind = i < 1000 ? COPY_NEGATIVE : COPY_STRING});
    }
    assert_int_equal(usage_of(s).evictions, 0);

    f->budget.max_bytes = usage_of(s).used_bytes - 1;
    f->budget.negative_share = 100000;
    while (shard_evict(s, NULL, SIZE_MAX) > 0) {
    }

    assert_in_range(usage_of(s).negative_bytes, 1,
                    budget_max_negative(&f->budget));
    assert_false(has(s, 0, 0));
    assert_true(has(s, 999, 0));
    for (int i = 1000; i < 2000; i++) {
        assert_true(has(s, i, 0));
    }
}

static void test_when_no_value_may_go_negatives_do(void **state)
{
    struct fixture *const f = *state;
    struct shard *const s = &f->shard;
    f->budget.max_bytes = 1 << 20;
    f->budget.negative_share = 1000000;
    for (int i = 0; i < 100; i++) {
        put(s, i, (struct copy){.kind = COPY_NEGATIVE});
    }
    put(s, 100, (struct copy){.dirty = true});

    f->budget.max_entries = 10;
    (void)shard_evict(s, NULL, SIZE_MAX);
    (void)shard_evict(s, NULL, SIZE_MAX);

    assert_int_equal(usage_of(s).entries, 10);
    assert_true(has(s, 99, 0));
    assert_true(has(s, 100, 0));
}

static void test_a_page_has_all_that_is_known(void **state)
{
    struct shard *const s = &((struct fixture *)*state)->shard;
    struct buf page = {.storage = NULL};
    struct slice key;
    struct copy copy;
    uint32_t at = 0;

    put(s, 77, (struct copy){.kind = COPY_RECORD, .expires_ms = 9, .dirty = 1});
    assert_int_equal(shard_scan(s, &at, 10, &page), 1);
    struct slice left = buf_slice(&page);

    assert_int_equal(at, 0);
    assert_true(shard_next(&left, &key, &copy));
    assert_int_equal(*(const char *)key.data, 77);
    assert_int_equal(copy.kind, COPY_RECORD);
    assert_int_equal(copy.expires_ms, 9);
    assert_true(copy.dirty);
    assert_false(shard_next(&left, &key, &copy));
    buf_destroy(&page);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_put_can_be_read_back),
        TEST(test_get_after_expiry_is_a_miss),
        TEST(test_the_expired_are_dropped_step_by_step),
        TEST(test_nothing_is_walked_if_nothing_can_expire),
        TEST(test_usage_counts_each_sort),
        TEST(test_all_memory_is_given_back),
        TEST(test_an_evicted_entry_is_counted_once),
        TEST(test_a_put_without_memory_changes_nothing),
        TEST(test_a_turn_without_memory_changes_nothing),
        TEST(test_negatives_beyond_their_share_go_first),
        TEST(test_when_no_value_may_go_negatives_do),
        TEST(test_a_page_has_all_that_is_known),
    };

    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
