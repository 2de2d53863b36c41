/* SPDX-License-Identifier: MIT */
/*
 * Watched keys: whose version grows when, from many threads too.
 */
#include "server/lookup/watch.h"

#include "common/hash.h"
#include "common/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static int set_up(void **state)
{
    hash_init();
    *state = watches_new();
    return 0;
}

static int tear_down(void **state)
{
    watches_free(*state);
    return 0;
}

static struct watched *add(struct watches *w, const char *key)
{
    struct watched *watched = watches_add(w, slice_from_string(key));

    assert_non_null(watched);
    return watched;
}

static void test_a_touch_is_for_its_key_alone(void **state)
{
    struct watches *w = *state;
    struct watched *a = add(w, "a");
    struct watched *b = add(w, "b");
    const uint64_t a_before = watched_version(a);
    const uint64_t b_before = watched_version(b);

    watches_touch(w, SLICE("a"));
    watches_touch(w, SLICE("nobody's"));

    assert_true(watched_version(a) > a_before);
    assert_int_equal(watched_version(b), b_before);
    watches_remove(w, a);
    watches_remove(w, b);
}

static void test_those_who_watch_one_key_share_it(void **state)
{
    struct watches *w = *state;
    struct watched *first = add(w, "k");
    struct watched *second = add(w, "k");
    const uint64_t before = watched_version(second);

    watches_remove(w, first);
    watches_touch(w, SLICE("k"));

    assert_true(watched_version(second) > before);
    watches_remove(w, second);
}

static void test_a_prefix_touches_what_begins_with_it(void **state)
{
    struct watches *w = *state;
    struct watched *book = add(w, "book:3");
    struct watched *other = add(w, "other");
    uint64_t book_before = watched_version(book);
    uint64_t other_before = watched_version(other);

    watches_touch_all(w, SLICE("book:"));
    assert_true(watched_version(book) > book_before);
    assert_int_equal(watched_version(other), other_before);

    book_before = watched_version(book);
    watches_touch_all(w, SLICE(""));
    assert_true(watched_version(book) > book_before);
    assert_true(watched_version(other) > other_before);
    watches_remove(w, book);
    watches_remove(w, other);
}

static void test_the_empty_key_is_a_key(void **state)
{
    struct watches *w = *state;
    struct watched *empty = add(w, "");
    const uint64_t before = watched_version(empty);

    watches_touch(w, SLICE(""));

    assert_true(watched_version(empty) > before);
    watches_remove(w, empty);
}

static void test_many_keys_are_told_apart(void **state)
{
    enum { N = 1000 };
    struct watches *w = *state;
    struct watched *all[N];
    char key[16];

    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "key:%d", i);
        all[i] = add(w, key);
    }
    for (int i = 0; i < N; i += 2) {
        snprintf(key, sizeof key, "key:%d", i);
        watches_touch(w, slice_from_string(key));
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(watched_version(all[i]), i % 2 == 0);
        watches_remove(w, all[i]);
    }
}

static void test_without_memory_nothing_is_watched(void **state)
{
    struct watches *w = *state;

    (void)mem_fail_nth(1);
    assert_null(watches_add(w, SLICE("k")));
    assert_int_equal(mem_fail_nth(0), 0);
    watches_touch(w, SLICE("k"));
}

/* ---- many threads ---- */

enum { THREADS = 4, ROUNDS = 2000 };

static void *watch_and_touch(void *arg)
{
    struct watches *w = arg;
    size_t missed = 0;

    for (int i = 0; i < ROUNDS; i++) {
        char key[16];
        snprintf(key, sizeof key, "key:%d", i % 7);
        struct watched *watched = watches_add(w, slice_from_string(key));
        const uint64_t before = watched_version(watched);
        watches_touch(w, slice_from_string(key));
        missed += watched_version(watched) <= before;
        watches_remove(w, watched);
    }
    return (void *)missed;
}

static void test_no_touch_is_missed_among_threads(void **state)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, watch_and_touch, *state), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *missed;
        assert_int_equal(pthread_join(threads[i], &missed), 0);
        assert_null(missed);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_touch_is_for_its_key_alone),
        TEST(test_those_who_watch_one_key_share_it),
        TEST(test_a_prefix_touches_what_begins_with_it),
        TEST(test_the_empty_key_is_a_key),
        TEST(test_many_keys_are_told_apart),
        TEST(test_without_memory_nothing_is_watched),
        TEST(test_no_touch_is_missed_among_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
