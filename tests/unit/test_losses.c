/* SPDX-License-Identifier: MIT */
#include "server/cache/cache.h"

#include "common/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct cache *cache;
static bool took_all; /* The last time. */

static int setup(void **state)
{
    const struct cache_options options = {.n_shards = 2,
                                          .max_bytes = (size_t)1 << 20};

    (void)state;
    cache = cache_new(&options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cache_free(cache);
    return 0;
}

static void put(const char *name, struct copy copy, size_t size)
{
    static const char bytes[4096];
    const struct slice key = slice_from_string(name);

    assert_int_equal(
        cache_put(cache, key, hash_bytes(key), &copy, slice_make(bytes, size)),
        ERR_OK);
}

/* Counts what was noted, all of it of one kind. */
static size_t taken(enum cache_loss expected)
{
    struct buf list;
    struct slice key;
    enum cache_loss loss;
    size_t n = 0;

    took_all = losses_take(cache_losses(cache), &list);
    struct slice left = buf_slice(&list);
    while (losses_next(&left, &key, &loss)) {
        assert_int_equal(loss, expected);
        assert_int_equal(key.data[0], 'k');
        n++;
    }
    buf_destroy(&list);
    return n;
}

static void test_what_expires_is_noted_while_it_is_wanted(void **state)
{
    const struct copy expiring = {.kind = COPY_STRING, .expires_ms = 10};

    (void)state;
    put("k1", expiring, 1);
    (void)cache_expire_some(cache, 11, 1000);
    assert_int_equal(taken(CACHE_EXPIRED), 0);

    losses_want(cache_losses(cache), LOSSES_FOR_EVENTS, true);
    put("k1", expiring, 1);
    put("k2", expiring, 1);
    put("stays", (struct copy){.kind = COPY_STRING}, 1);
    (void)cache_expire_some(cache, 11, 1000);
    assert_int_equal(taken(CACHE_EXPIRED), 2);
    assert_int_equal(taken(CACHE_EXPIRED), 0);
}

static void test_only_keys_of_memory_alone_are_lost_by_eviction(void **state)
{
    char name[32];

    (void)state;
    losses_want(cache_losses(cache), LOSSES_FOR_EVENTS, true);
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "copy%d", i);
        put(name, (struct copy){.kind = COPY_STRING}, 1000);
    }
    assert_int_equal(taken(CACHE_EVICTED), 0);

    for (int i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "k%d", i);
        put(name, (struct copy){.kind = COPY_STRING, .memory_only = true},
            1000);
    }
    assert_true(taken(CACHE_EVICTED) > 1000);
}

static void test_what_is_dropped_on_purpose_is_not_lost(void **state)
{
    (void)state;
    losses_want(cache_losses(cache), LOSSES_FOR_EVENTS, true);
    put("k", (struct copy){.kind = COPY_STRING}, 1);

    cache_clear(cache);

    assert_int_equal(taken(CACHE_EVICTED), 0);
}

static void test_what_is_noted_is_bounded(void **state)
{
    static const char key[1 << 20] = "k";

    (void)state;
    losses_want(cache_losses(cache), LOSSES_FOR_EVENTS, true);
    for (int i = 0; i < 100; i++) {
        losses_note(cache_losses(cache), slice_make(key, sizeof key),
                    CACHE_EXPIRED);
    }

    const size_t n = taken(CACHE_EXPIRED);
    assert_true(n > 0 && n * sizeof key <= LOSSES_MAX_BYTES);
    assert_false(took_all);
    assert_int_equal(taken(CACHE_EXPIRED), 0);
    assert_true(took_all);
}

static void test_who_wants_no_more_leaves_it_to_others(void **state)
{
    const struct copy expiring = {.kind = COPY_STRING, .expires_ms = 10};

    (void)state;
    losses_want(cache_losses(cache), LOSSES_FOR_EVENTS, true);
    losses_want(cache_losses(cache), LOSSES_FOR_TRACKING, true);
    losses_want(cache_losses(cache), LOSSES_FOR_EVENTS, false);
    put("k1", expiring, 1);
    (void)cache_expire_some(cache, 11, 1000);
    assert_int_equal(taken(CACHE_EXPIRED), 1);

    losses_want(cache_losses(cache), LOSSES_FOR_TRACKING, false);
    put("k1", expiring, 1);
    (void)cache_expire_some(cache, 11, 1000);
    assert_int_equal(taken(CACHE_EXPIRED), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_expires_is_noted_while_it_is_wanted),
        TEST(test_only_keys_of_memory_alone_are_lost_by_eviction),
        TEST(test_what_is_dropped_on_purpose_is_not_lost),
        TEST(test_what_is_noted_is_bounded),
        TEST(test_who_wants_no_more_leaves_it_to_others),
    };
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
