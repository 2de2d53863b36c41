/* SPDX-License-Identifier: MIT */
/*
 * The clocks: running by themselves, and in the hand of a test.
 */
#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "tests/support/death.h"

static int let_run(void **state)
{
    (void)state;
    clock_set_real();
    return 0;
}

static void test_the_real_clock_never_goes_back(void **state)
{
    int64_t before = clock_now_us();
    (void)state;

    for (int i = 0; i < 100000; i++) {
        const int64_t now = clock_now_us();

        assert_true(now >= before);
        before = now;
    }
    assert_false(clock_is_manual());
}

static void test_the_wall_clock_agrees_with_the_system(void **state)
{
    const int64_t before_s = (int64_t)time(NULL);
    const int64_t wall_ms = clock_wall_ms();
    const int64_t after_s = (int64_t)time(NULL);
    (void)state;

    /* time() may lag by the length of a tick. */
    assert_true(wall_ms / 1000 >= before_s);
    assert_true(wall_ms / 1000 <= after_s + 1);
}

static void test_a_manual_clock_stands_still_until_moved(void **state)
{
    (void)state;

    clock_set_manual(5000);
    assert_true(clock_is_manual());
    assert_int_equal(clock_now_us(), 5000);
    assert_int_equal(clock_wall_ms(), 1700000000005);

    clock_advance(2500000);
    assert_int_equal(clock_now_us(), 2505000);
    assert_int_equal(clock_wall_ms(), 1700000002505);
}

static void test_real_time_passes_beside_a_manual_clock(void **state)
{
    (void)state;

    clock_set_manual(0);
    const int64_t before = clock_real_us();
    while (clock_real_us() == before) {
    }

    assert_int_equal(clock_now_us(), 0);
}

static void note_time(void *arg)
{
    *(int64_t *)arg = clock_now_us();
}

static void test_wakers_hear_of_each_move_until_they_leave(void **state)
{
    int64_t one = -1;
    int64_t two = -1;
    (void)state;

    clock_set_manual(0);
    clock_on_advance(note_time, &one);
    clock_on_advance(note_time, &two);
    clock_advance(10);
    assert_int_equal(one, 10);
    assert_int_equal(two, 10);

    clock_off_advance(note_time, &one);
    clock_advance(10);
    assert_int_equal(one, 10);
    assert_int_equal(two, 20);

    clock_off_advance(note_time, &two);
    clock_advance(10);
    assert_int_equal(two, 20);
}

static void advance_the_real_clock(void)
{
    clock_advance(1);
}

static void go_back(void)
{
    clock_set_manual(100);
    clock_advance(-1);
}

static void test_only_a_manual_clock_moves_and_only_forward(void **state)
{
    (void)state;

    ASSERT_ABORTS(advance_the_real_clock, "clock: only a manual clock");
    ASSERT_ABORTS(go_back, "clock: only a manual clock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_real_clock_never_goes_back),
        cmocka_unit_test(test_the_wall_clock_agrees_with_the_system),
        cmocka_unit_test_teardown(test_a_manual_clock_stands_still_until_moved,
                                  let_run),
        cmocka_unit_test_teardown(test_real_time_passes_beside_a_manual_clock,
                                  let_run),
        cmocka_unit_test_teardown(
            test_wakers_hear_of_each_move_until_they_leave, let_run),
        cmocka_unit_test(test_only_a_manual_clock_moves_and_only_forward),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
