/* SPDX-License-Identifier: MIT */
/*
 * Allocation: faults on demand, and the end of the program without.
 */
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/waitgroup.h"
#include "tests/support/death.h"

static void test_the_nth_try_fails_once(void **state)
{
    (void)state;

    for (long n = 1; n <= 5; n++) {
        mem_fail_nth(n);
        for (long i = 1; i <= 10; i++) {
            void *const pointer =
                i % 2 == 0 ? try_malloc(8) : try_realloc(NULL, 8);

            assert_int_equal(pointer == NULL, i == n);
            free(pointer);
        }
        assert_int_equal(mem_fail_nth(0), 0);
    }
}

static void test_switching_off_says_how_many_were_left(void **state)
{
    (void)state;

    mem_fail_nth(5);
    free(try_malloc(1));
    free(try_malloc(1));

    assert_int_equal(mem_fail_nth(0), 3);
    assert_int_equal(mem_fail_nth(0), 0);
}

#define THREADS 4
#define TRIES 1000

static _Atomic int n_failed;

static void try_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < TRIES; i++) {
        void *const pointer = try_malloc(1);

        if (pointer == NULL) {
            n_failed++;
        }
        free(pointer);
    }
}

static void test_one_try_fails_among_all_threads(void **state)
{
    struct waitgroup wg;
    (void)state;

    wg_init(&wg);
    mem_fail_nth(THREADS * TRIES);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(wg_go(&wg, "try", try_often, NULL), ERR_OK);
    }
    wg_wait(&wg);

    assert_int_equal(n_failed, 1);
    assert_int_equal(mem_fail_nth(0), 0);
    wg_destroy(&wg);
}

static void test_a_failed_realloc_keeps_the_old(void **state)
{
    char *const old = xstrdup("old");
    (void)state;

    mem_fail_nth(1);
    assert_null(try_realloc(old, 1000));

    assert_string_equal(old, "old");
    free(old);
}

static void test_nothing_can_be_allocated(void **state)
{
    void *const all[] = {xmalloc(0), xcalloc(0, 8), xcalloc(8, 0),
                         try_malloc(0), xrealloc(xmalloc(8), 0)};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_non_null(all[i]);
        free(all[i]);
    }
}

static void test_a_copy_of_a_slice_is_terminated(void **state)
{
    char *const copy = xslicedup(slice_make("abcdef", 3));
    char *const empty = xslicedup(slice_make(NULL, 0));
    (void)state;

    assert_string_equal(copy, "abc");
    assert_string_equal(empty, "");
    free(copy);
    free(empty);
}

/* The compiler would warn of a size it can see. */
static volatile size_t far_too_much = SIZE_MAX / 4;

static void allocate_too_much(void)
{
    free(xmalloc(far_too_much));
}

static void multiply_too_much(void)
{
    free(xcalloc(far_too_much, 8));
}

static void test_exhaustion_ends_the_program(void **state)
{
    (void)state;

#ifdef WITH_SANITIZER
    print_message("the sanitizer reports sizes like that itself\n");
    skip();
#endif
    ASSERT_ABORTS(allocate_too_much, "mem: out of memory");
    ASSERT_ABORTS(multiply_too_much, "mem: out of memory", "size=8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nth_try_fails_once),
        cmocka_unit_test(test_switching_off_says_how_many_were_left),
        cmocka_unit_test(test_one_try_fails_among_all_threads),
        cmocka_unit_test(test_a_failed_realloc_keeps_the_old),
        cmocka_unit_test(test_nothing_can_be_allocated),
        cmocka_unit_test(test_a_copy_of_a_slice_is_terminated),
        cmocka_unit_test(test_exhaustion_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
