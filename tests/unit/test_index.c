/* SPDX-License-Identifier: MIT */
/*
 * The index: nothing is lost while it grows and shrinks, and it does both one
 * bin at a time.
 */
#include "server/cache/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"

#define N 20000u

/* Key 'i' is its four bytes; the hash spreads it as a real one would. */
static struct key key_of(const uint32_t *i)
{
    const uint64_t hash = (*i + 1) * UINT64_C(0x9E3779B97F4A7C15);

    return (struct key){.bytes = slice_make(i, sizeof(*i)),
                        .hash = (uint32_t)(hash >> 20),
                        .tag = (uint8_t)(hash >> 56)};
}

static struct entry *insert(struct index *ix, uint32_t i)
{
    const struct key key = key_of(&i);
    const struct copy copy = {.kind = COPY_STRING};
    struct entry *const e = entry_new(&key, &copy, SLICE(""));

    assert_non_null(e);
    assert_true(index_insert(ix, &key, e));
    return e;
}

static struct entry *find(const struct index *ix, uint32_t i)
{
    const struct key key = key_of(&i);

    return index_find(ix, &key);
}

static void discard(struct index *ix, uint32_t i)
{
    struct entry *const e = find(ix, i);

    assert_non_null(e);
    index_remove(ix, e);
    entry_free(e);
}

static void test_every_key_is_found_at_every_size(void **state)
{
    (void)state;
    struct index ix;
    index_init(&ix);

    for (uint32_t i = 0; i < N; i++) {
        const uint32_t bins_before = ix.n_bins;
        insert(&ix, i);
        assert_in_range(ix.n_bins - bins_before, 0, 1);
        for (uint32_t j = i % 97; j <= i; j += 997) {
            assert_non_null(find(&ix, j));
        }
        assert_null(find(&ix, i + 1));
    }
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t bins_before = ix.n_bins;
        discard(&ix, i);
        assert_in_range(bins_before - ix.n_bins, 0, 1);
        assert_null(find(&ix, i));
        for (uint32_t j = i + 1; j < N; j += 997) {
            assert_non_null(find(&ix, j));
        }
    }

    assert_int_equal(ix.n_entries, 0);
    index_destroy(&ix);
}

static void test_an_empty_index_gives_its_memory_back(void **state)
{
    (void)state;
    struct index ix;
    index_init(&ix);
    const size_t size = index_size(&ix);

    for (uint32_t i = 0; i < N; i++) {
        insert(&ix, i);
    }
    const size_t full = index_size(&ix);
    for (uint32_t i = 0; i < N; i++) {
        discard(&ix, i);
    }

    assert_in_range(full / N, 8, 18);
    assert_int_equal(ix.n_extra, 0);
    assert_int_equal(index_size(&ix), size);
    index_destroy(&ix);
}

static void test_keys_of_one_hash_are_told_apart(void **state)
{
    (void)state;
    struct index ix;
    index_init(&ix);
    enum { SAME = 100 };
    uint32_t names[SAME];
    struct entry *entries[SAME];
    const struct copy copy = {.kind = COPY_STRING};

    for (uint32_t i = 0; i < SAME; i++) {
        names[i] = i;
        const struct key key = {
            .bytes = slice_make(&names[i], 4), .hash = 12345, .tag = 7};
        entries[i] = entry_new(&key, &copy, SLICE(""));
        assert_true(index_insert(&ix, &key, entries[i]));
    }
    for (uint32_t i = 0; i < SAME; i++) {
        const struct key key = {
            .bytes = slice_make(&names[i], 4), .hash = 12345, .tag = 7};
        assert_ptr_equal(index_find(&ix, &key), entries[i]);
        index_remove(&ix, entries[i]);
        entry_free(entries[i]);
        assert_null(index_find(&ix, &key));
    }

    assert_int_equal(ix.n_extra, 0);
    index_destroy(&ix);
}

/* Counts in seen[i] the visits of one bin to key 'i'. */
static uint32_t walk_bin(const struct index *ix, uint32_t at, uint8_t *seen)
{
    const uint32_t bin = index_bin_at(ix, at);
    struct index_walk walk;
    const struct entry *e = index_first(&walk, ix, bin);

    for (; e != NULL; e = index_next(&walk)) {
        uint32_t i;
        memcpy(&i, entry_key(e).data, sizeof(i));
        seen[i]++;
    }
    return index_after(ix, bin);
}

static void test_a_walk_visits_each_key_once(void **state)
{
    (void)state;
    static uint8_t seen[N];

    for (uint32_t n = 1; n <= N; n = n * 3 + 1) {
        struct index ix;
        index_init(&ix);
        memset(seen, 0, sizeof(seen));
        for (uint32_t i = 0; i < n; i++) {
            insert(&ix, i);
        }

        uint32_t at = 0;
        do {
            at = walk_bin(&ix, at, seen);
        } while (at != 0);

        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(seen[i], 1);
            discard(&ix, i);
        }
        index_destroy(&ix);
    }
}

/* Keys 0 … KEPT-1 stay; the others come and go between the steps. */
static void test_a_walk_misses_nothing_while_the_size_changes(void **state)
{
    (void)state;
    enum { KEPT = 300 };
    static uint8_t seen[N];
    struct index ix;
    index_init(&ix);
    for (uint32_t i = 0; i < KEPT; i++) {
        insert(&ix, i);
    }

    for (int round = 0; round < 20; round++) {
        uint32_t n = KEPT;
        bool growing = true;
        uint32_t at = 0;
        memset(seen, 0, sizeof(seen));
        do {
            at = walk_bin(&ix, at, seen);
            for (int i = 0; i < 40 + 7 * round; i++) {
                growing = n == KEPT || (growing && n < 4000);
                if (growing) {
                    insert(&ix, n++);
                } else {
                    discard(&ix, --n);
                }
            }
        } while (at != 0);
        for (uint32_t i = 0; i < KEPT; i++) {
            assert_in_range(seen[i], 1, 255);
        }
        while (n > KEPT) {
            discard(&ix, --n);
        }
    }

    for (uint32_t i = 0; i < KEPT; i++) {
        discard(&ix, i);
    }
    index_destroy(&ix);
}

/* Fails each allocation of the index in turn, while it grows and shrinks. */
static void test_without_memory_nothing_is_lost(void **state)
{
    (void)state;
    enum { FEW = 3000 };
    static bool there[FEW];
    struct index ix;
    index_init(&ix);
    const struct copy copy = {.kind = COPY_STRING};

    for (uint32_t i = 0; i < FEW; i++) {
        const struct key key = key_of(&i);
        struct entry *const e = entry_new(&key, &copy, SLICE(""));
        mem_fail_nth(1);
        there[i] = index_insert(&ix, &key, e);
        (void)mem_fail_nth(0);
        if (!there[i]) {
            entry_free(e);
        }
        assert_int_equal(find(&ix, i) != NULL, there[i]);
    }
    for (uint32_t i = 0; i < FEW; i++) {
        assert_int_equal(find(&ix, i) != NULL, there[i]);
        if (there[i]) {
            mem_fail_nth(1);
            discard(&ix, i);
            (void)mem_fail_nth(0);
        }
    }

    assert_int_equal(ix.n_entries, 0);
    index_destroy(&ix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_found_at_every_size),
        cmocka_unit_test(test_an_empty_index_gives_its_memory_back),
        cmocka_unit_test(test_keys_of_one_hash_are_told_apart),
        cmocka_unit_test(test_a_walk_visits_each_key_once),
        cmocka_unit_test(test_a_walk_misses_nothing_while_the_size_changes),
        cmocka_unit_test(test_without_memory_nothing_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
