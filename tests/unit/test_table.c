/* SPDX-License-Identifier: MIT */
#include "common/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MANY 5000

struct number {
    struct table_node node;
    size_t value;
    bool seen;
};

static struct number numbers[MANY];

/* Every fourth has a hash of its own; so chains have several. */
static uint64_t hash_of(size_t value)
{
    return value / 4 * UINT64_C(0x9e3779b97f4a7c15);
}

static struct number *find(const struct table *t, size_t value)
{
    struct table_node *node = table_first(t, hash_of(value));

    while (node != NULL &&
           container_of(node, struct number, node)->value != value) {
        node = table_next(node);
    }
    return node == NULL ? NULL : container_of(node, struct number, node);
}

static void fill(struct table *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        numbers[i] = (struct number){.value = i};
        table_insert(t, &numbers[i].node, hash_of(i));
    }
}

static void test_an_empty_table_has_nothing(void **state)
{
    struct table t = {0};

    (void)state;
    assert_null(table_first(&t, 1));
    assert_null(table_any(&t));
    table_destroy(&t);
}

static void test_what_was_inserted_is_found_among_equal_hashes(void **state)
{
    struct table t = {0};

    (void)state;
    fill(&t, MANY);

    assert_int_equal(t.count, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_ptr_equal(find(&t, i), &numbers[i]);
    }
    assert_null(find(&t, MANY));
    table_destroy(&t);
}

static void test_what_was_removed_is_gone_and_the_rest_is_there(void **state)
{
    struct table t = {0};

    (void)state;
    fill(&t, MANY);

    for (size_t i = 0; i < MANY; i++) {
        if (i % 10 != 0) {
            table_remove(&t, &numbers[i].node);
        }
    }

    assert_int_equal(t.count, MANY / 10);
    for (size_t i = 0; i < MANY; i++) {
        assert_ptr_equal(find(&t, i), i % 10 != 0 ? NULL : &numbers[i]);
    }
    table_destroy(&t);
}

static void test_a_table_grows_and_shrinks_with_what_is_in_it(void **state)
{
    struct table t = {0};

    (void)state;
    fill(&t, MANY);
    assert_true(t.n_chains >= MANY / 2);

    for (size_t i = 1; i < MANY; i++) {
        table_remove(&t, &numbers[i].node);
    }

    assert_true(t.n_chains <= 64);
    assert_ptr_equal(find(&t, 0), &numbers[0]);
    table_destroy(&t);
}

static void test_a_walk_sees_each_once(void **state)
{
    struct table t = {0};
    size_t n = 0;

    (void)state;
    fill(&t, MANY);

    for (struct table_node *node = table_any(&t); node != NULL;
         node = table_another(&t, node)) {
        struct number *number = container_of(node, struct number, node);
        assert_false(number->seen);
        number->seen = true;
        n++;
    }

    assert_int_equal(n, MANY);
    table_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_table_has_nothing),
        cmocka_unit_test(test_what_was_inserted_is_found_among_equal_hashes),
        cmocka_unit_test(test_what_was_removed_is_gone_and_the_rest_is_there),
        cmocka_unit_test(test_a_table_grows_and_shrinks_with_what_is_in_it),
        cmocka_unit_test(test_a_walk_sees_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
