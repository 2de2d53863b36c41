/* SPDX-License-Identifier: MIT */
/*
 * WaitGroup: waiting without sleeping and without asking again.
 */
#include "common/waitgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/death.h"

#define THREADS 20

static void test_waiting_for_nothing_returns_at_once(void **state)
{
    struct waitgroup wg;
    (void)state;

    wg_init(&wg);
    wg_wait(&wg);
    wg_destroy(&wg);
}

static void finish(void *arg)
{
    atomic_fetch_add((_Atomic int *)arg, 1);
}

/* The exercise's main(): go, go, go, wait. */
static void test_wait_returns_after_every_thread_is_done(void **state)
{
    struct waitgroup wg;
    _Atomic int n_finished = 0;
    (void)state;

    wg_init(&wg);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(wg_go(&wg, "go", finish, (void *)&n_finished), ERR_OK);
    }
    wg_wait(&wg);

    assert_int_equal(n_finished, THREADS);
    wg_destroy(&wg);
}

static void test_a_group_can_be_used_again(void **state)
{
    struct waitgroup wg;
    _Atomic int n_finished = 0;
    (void)state;

    wg_init(&wg);
    for (int round = 1; round <= 100; round++) {
        assert_int_equal(wg_go(&wg, "go", finish, (void *)&n_finished), ERR_OK);
        wg_wait(&wg);
        assert_int_equal(n_finished, round);
    }
    wg_destroy(&wg);
}

struct waiting {
    struct waitgroup *group;
    struct waitgroup *here; /* Done when about to wait. */
    _Atomic int n_through;
};

static void wait_and_note(void *arg)
{
    struct waiting *const w = arg;

    wg_done(w->here);
    wg_wait(w->group);
    w->n_through++;
}

static void test_many_may_wait_and_none_leaves_early(void **state)
{
    struct waitgroup group;
    struct waitgroup here;
    struct waitgroup threads;
    struct waiting w = {.group = &group, .here = &here};
    (void)state;

    wg_init(&group);
    wg_init(&here);
    wg_init(&threads);
    wg_add(&group, 1);
    wg_add(&here, THREADS);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(wg_go(&threads, "wait", wait_and_note, &w), ERR_OK);
    }
    wg_wait(&here);
    assert_int_equal(w.n_through, 0);

    wg_done(&group);
    wg_wait(&threads);
    assert_int_equal(w.n_through, THREADS);
    wg_destroy(&threads);
    wg_destroy(&here);
    wg_destroy(&group);
}

static void be_done_too_often(void)
{
    struct waitgroup wg;

    wg_init(&wg);
    wg_add(&wg, 1);
    wg_done(&wg);
    wg_done(&wg);
}

static void destroy_early(void)
{
    struct waitgroup wg;

    wg_init(&wg);
    wg_add(&wg, 2);
    wg_destroy(&wg);
}

static void test_a_wrong_count_ends_the_program(void **state)
{
    (void)state;

    ASSERT_ABORTS(be_done_too_often, "waitgroup: more done than added",
                  "count=-1");
    ASSERT_ABORTS(destroy_early, "waitgroup: destroyed while not done",
                  "count=2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waiting_for_nothing_returns_at_once),
        cmocka_unit_test(test_wait_returns_after_every_thread_is_done),
        cmocka_unit_test(test_a_group_can_be_used_again),
        cmocka_unit_test(test_many_may_wait_and_none_leaves_early),
        cmocka_unit_test(test_a_wrong_count_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
