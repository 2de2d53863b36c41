/* SPDX-License-Identifier: MIT */
/*
 * The eviction policy and the queues under it: who goes, and who does not.
 */
#include "server/cache/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"

static struct entry *make(uint32_t hash, int64_t expires_ms)
{
    const struct key key = {.bytes = SLICE("key"), .hash = hash};
    const struct copy copy = {.kind = COPY_STRING, .expires_ms = expires_ms};
    struct entry *const e = entry_new(&key, &copy, SLICE(""));

    assert_non_null(e);
    return e;
}

static struct entry *add(struct policy *p, uint32_t hash)
{
    struct entry *const e = make(hash, 0);

    assert_true(policy_insert(p, e, false));
    return e;
}

/* Evicts one and returns its hash. */
static uint32_t evict(struct policy *p)
{
    struct entry *const e = policy_victim(p, NULL, 0);

    assert_non_null(e);
    const uint32_t hash = e->hash;
    entry_free(e);
    return hash;
}

static void empty(struct policy *p)
{
    struct entry *e;

    while ((e = policy_victim(p, NULL, 0)) != NULL) {
        entry_free(e);
    }
    policy_destroy(p);
}

static void visit(struct entry *e, int times)
{
    while (times-- > 0) {
        policy_visit(e);
    }
}

static void test_the_first_in_is_the_first_out(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    for (uint32_t i = 1; i <= 1000; i++) {
        (void)add(&p, i);
    }

    for (uint32_t i = 1; i <= 1000; i++) {
        assert_int_equal(evict(&p), i);
    }

    assert_null(policy_victim(&p, NULL, 0));
    empty(&p);
}

static void test_a_scan_of_everything_leaves_the_visited(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    enum { HOT = 50, COLD = 10000 };

    for (uint32_t i = 1; i <= HOT; i++) {
        visit(add(&p, i), 3);
    }
    for (uint32_t i = 0; i < HOT; i++) {
        (void)add(&p, HOT + 1 + i);
    }
    for (uint32_t i = 0; i < COLD; i++) {
        (void)add(&p, 2 * HOT + 1 + i);
        assert_true(evict(&p) > HOT);
    }
    empty(&p);
}

static void test_who_comes_back_soon_goes_into_the_main_queue(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    for (uint32_t i = 1; i <= 100; i++) {
        (void)add(&p, i);
    }

    assert_int_equal(evict(&p), 1);
    const struct entry *const back = add(&p, 1);
    const struct entry *const fresh = add(&p, 1000);

    assert_int_equal(back->queue, QUEUE_MAIN);
    assert_int_equal(fresh->queue, QUEUE_SMALL);
    empty(&p);
}

static void test_the_dirty_and_the_kept_never_go(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    struct entry *const dirty = add(&p, 1);
    struct entry *const keep = add(&p, 2);
    dirty->dirty = true;
    for (uint32_t i = 3; i <= 300; i++) {
        (void)add(&p, i);
    }

    for (uint32_t i = 3; i <= 300; i++) {
        struct entry *const e = policy_victim(&p, keep, 0);
        assert_true(e != NULL && e != dirty && e != keep);
        entry_free(e);
    }

    assert_null(policy_victim(&p, keep, 0));
    dirty->dirty = false;
    empty(&p);
}

static void test_the_expired_go_however_popular(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    struct entry *const expiring = make(1, 500);
    assert_true(policy_insert(&p, expiring, false));
    visit(expiring, 3);
    (void)add(&p, 2);

    assert_ptr_equal(policy_victim(&p, NULL, 500), expiring);
    entry_free(expiring);
    (void)add(&p, 1);
    assert_int_equal(evict(&p), 2);

    empty(&p);
}

static void test_someone_goes_even_if_all_are_popular(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    enum { MANY = 5000 };
    static struct entry *entries[MANY + 1];
    for (uint32_t i = 1; i <= MANY; i++) {
        entries[i] = add(&p, i);
    }

    for (uint32_t n = 0; n < MANY; n++) {
        for (uint32_t i = 1; i <= MANY; i++) {
            if (entries[i] != NULL && n % 100 == 0) {
                visit(entries[i], 3);
            }
        }
        entries[evict(&p)] = NULL;
    }

    assert_null(policy_victim(&p, NULL, 0));
    empty(&p);
}

static void test_the_removed_and_the_replaced_are_never_chosen(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    enum { MANY = 2000 };
    static struct entry *entries[MANY];
    size_t n_left = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        entries[i] = add(&p, i);
    }

    for (uint32_t i = 0; i < MANY; i++) {
        if (i % 3 == 0) {
            policy_remove(&p, entries[i]);
            entry_free(entries[i]);
        } else if (i % 3 == 1) {
            struct entry *const e = make(i, 0);
            assert_true(policy_replace(&p, entries[i], e, false));
            entry_free(entries[i]);
        }
        n_left += i % 3 != 0;
    }

    /* The sanitizers would report a pointer to what was freed. */
    for (; n_left > 0; n_left--) {
        assert_true(evict(&p) % 3 != 0);
    }
    assert_null(policy_victim(&p, NULL, 0));
    empty(&p);
}

static void test_a_replacement_stands_where_the_old_one_stood(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    struct entry *const old = add(&p, 1);
    (void)add(&p, 2);

    struct entry *const e = make(1, 0);
    assert_true(policy_replace(&p, old, e, false));
    entry_free(old);

    assert_int_equal(evict(&p), 1);
    empty(&p);
}

static void test_visits_are_counted_up_to_a_bound(void **state)
{
    (void)state;
    struct entry *const e = make(1, 0);

    visit(e, 1000);

    assert_int_equal(e->visits, VISITS_MAX);
    entry_free(e);
}

static void test_without_memory_nothing_is_lost_or_doubled(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    uint32_t n = 0;

    for (uint32_t i = 0; i < 3000; i++) {
        struct entry *const e = make(i, 0);
        mem_fail_nth(1 + (long)(i % 3));
        if (policy_insert(&p, e, false)) {
            visit(e, (int)(i % 4));
            n++;
        } else {
            entry_free(e);
        }
        if (i % 2 == 0) {
            struct entry *const victim = policy_victim(&p, NULL, 0);
            n -= victim != NULL;
            entry_free(victim);
        }
        (void)mem_fail_nth(0);
    }

    for (; n > 0; n--) {
        (void)evict(&p);
    }
    assert_null(policy_victim(&p, NULL, 0));
    empty(&p);
}

/* ---- apart ---- */

static struct entry *add_apart(struct policy *p, uint32_t hash)
{
    struct entry *const e = make(hash, 0);

    assert_true(policy_insert(p, e, true));
    assert_true(policy_stands_apart(e));
    return e;
}

/* Chooses one of those apart and returns its hash. */
static uint32_t take_apart(struct policy *p)
{
    struct entry *const e = policy_oldest_apart(p, NULL);

    assert_non_null(e);
    const uint32_t hash = e->hash;
    entry_free(e);
    return hash;
}

static void test_of_those_apart_the_oldest_goes_however_popular(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    (void)add(&p, 1000);
    for (uint32_t i = 0; i < 200; i++) {
        visit(add_apart(&p, i), i % 4);
    }

    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(take_apart(&p), i);
    }

    assert_null(policy_oldest_apart(&p, NULL));
    struct entry *const keep = add_apart(&p, 1);
    assert_null(policy_oldest_apart(&p, keep));
    assert_int_equal(take_apart(&p), 1);
    assert_int_equal(evict(&p), 1000);
    empty(&p);
}

static void test_who_stands_apart_is_no_victim(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    struct entry *const apart = add_apart(&p, 1);
    (void)add(&p, 2);

    assert_int_equal(evict(&p), 2);
    assert_null(policy_victim(&p, NULL, 0));

    policy_remove(&p, apart);
    entry_free(apart);
    assert_null(policy_oldest_apart(&p, NULL));
    empty(&p);
}

static void test_a_replacement_can_change_sides(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    struct entry *const value = add(&p, 1);
    struct entry *const negative = add_apart(&p, 2);
    struct entry *const new_negative = make(1, 0);
    struct entry *const new_value = make(2, 0);

    assert_true(policy_replace(&p, value, new_negative, true));
    assert_true(policy_replace(&p, negative, new_value, false));
    entry_free(value);
    entry_free(negative);

    assert_int_equal(evict(&p), 2);
    assert_int_equal(take_apart(&p), 1);
    assert_null(policy_oldest_apart(&p, NULL));
    empty(&p);
}

static void test_without_memory_a_replacement_changes_no_sides(void **state)
{
    (void)state;
    struct policy p = {.small = {.blocks = NULL}};
    struct entry *const value = add(&p, 1);
    struct entry *const negative = make(1, 0);

    mem_fail_nth(1);
    assert_false(policy_replace(&p, value, negative, true));
    (void)mem_fail_nth(0);

    entry_free(negative);
    assert_null(policy_oldest_apart(&p, NULL));
    assert_int_equal(evict(&p), 1);
    empty(&p);
}

/* ---- ring ---- */

static void test_a_ring_works_where_its_places_wrap_around(void **state)
{
    (void)state;
    struct ring r = {.head = UINT32_MAX - 199, .tail = UINT32_MAX - 199};
    enum { MANY = 1000 };
    static struct entry *entries[MANY];

    /* The places begin where a block does. */
    r.head -= r.head % 64;
    r.tail = r.head;
    for (uint32_t i = 0; i < MANY; i++) {
        entries[i] = make(i, 0);
        assert_true(ring_push(&r, entries[i]));
    }
    assert_int_equal(ring_count(&r), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_ptr_equal(ring_head(&r), entries[i]);
        ring_remove(&r, entries[i]);
        entry_free(entries[i]);
    }

    assert_int_equal(ring_count(&r), 0);
    ring_destroy(&r);
}

static void test_a_ring_that_moves_on_does_not_grow(void **state)
{
    (void)state;
    struct ring r = {.blocks = NULL};
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(ring_push(&r, make(i, 0)));
    }
    const size_t size = ring_size(&r);

    for (uint32_t i = 0; i < 100000; i++) {
        struct entry *const e = ring_head(&r);
        ring_remove(&r, e);
        assert_true(ring_push(&r, e));
    }

    assert_in_range(ring_size(&r), 1, size + 64 * sizeof(void *));
    while (ring_count(&r) > 0) {
        struct entry *const e = ring_head(&r);
        ring_remove(&r, e);
        entry_free(e);
    }
    ring_destroy(&r);
}

/* ---- ghosts ---- */

static uint32_t spread(uint32_t i)
{
    return i * UINT32_C(2654435761) ^ i << 7;
}

static void test_ghosts_are_the_newest_of_about_the_count(void **state)
{
    (void)state;

    for (uint32_t count = 100; count <= 12800; count *= 2) {
        struct ghost g = {.lines = NULL};
        for (uint32_t i = 0; i < 20 * count; i++) {
            ghost_add(&g, spread(i), count);
        }

        uint32_t n_newest = 0;
        uint32_t n_older = 0;
        for (uint32_t i = 0; i < 20 * count; i++) {
            if (ghost_take(&g, spread(i))) {
                *(i < 19 * count ? &n_older : &n_newest) += 1;
            }
        }
        assert_in_range(n_newest, count * 7 / 10, count);
        assert_in_range(n_newest + n_older, count * 7 / 10, count * 5 / 4);
        ghost_destroy(&g);
    }
}

static void test_a_ghost_is_taken_once(void **state)
{
    (void)state;
    struct ghost g = {.lines = NULL};

    ghost_add(&g, 0, 10);
    ghost_add(&g, 7, 10);

    assert_true(ghost_take(&g, 7));
    assert_false(ghost_take(&g, 7));
    assert_false(ghost_take(&g, 8));
    assert_true(ghost_take(&g, 0));
    ghost_destroy(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_in_is_the_first_out),
        cmocka_unit_test(test_a_scan_of_everything_leaves_the_visited),
        cmocka_unit_test(test_who_comes_back_soon_goes_into_the_main_queue),
        cmocka_unit_test(test_the_dirty_and_the_kept_never_go),
        cmocka_unit_test(test_the_expired_go_however_popular),
        cmocka_unit_test(test_someone_goes_even_if_all_are_popular),
        cmocka_unit_test(test_the_removed_and_the_replaced_are_never_chosen),
        cmocka_unit_test(test_a_replacement_stands_where_the_old_one_stood),
        cmocka_unit_test(test_visits_are_counted_up_to_a_bound),
        cmocka_unit_test(test_without_memory_nothing_is_lost_or_doubled),
        cmocka_unit_test(test_of_those_apart_the_oldest_goes_however_popular),
        cmocka_unit_test(test_who_stands_apart_is_no_victim),
        cmocka_unit_test(test_a_replacement_can_change_sides),
        cmocka_unit_test(test_without_memory_a_replacement_changes_no_sides),
        cmocka_unit_test(test_a_ring_works_where_its_places_wrap_around),
        cmocka_unit_test(test_a_ring_that_moves_on_does_not_grow),
        cmocka_unit_test(test_ghosts_are_the_newest_of_about_the_count),
        cmocka_unit_test(test_a_ghost_is_taken_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
