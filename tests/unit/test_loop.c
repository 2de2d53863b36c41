/* SPDX-License-Identifier: MIT */
/* Loops and what else calls functions on them: tasks, tickers, signals. */
#include "server/net/loop.h"

#include "common/waitgroup.h"
#include "server/net/signals.h"
#include "server/net/ticker.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;

/* What a task saw, for the test thread to look at after the loop stopped. */
static int calls;
static bool was_current;

static int setup(void **state)
{
    (void)state;
    calls = 0;
    was_current = false;
    return loop_new(&loop, "test") == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void count(void *arg)
{
    (void)arg;
    calls++;
    was_current = loop_is_current(loop);
}

static void count_and_break(void *arg)
{
    count(arg);
    loop_break(loop);
}

static void done(void *arg)
{
    wg_done(arg);
}

static void test_a_task_runs_on_the_thread_of_the_loop(void **state)
{
    (void)state;
    assert_int_equal(loop_start(loop), ERR_OK);

    assert_true(loop_post(loop, count, NULL));
    loop_stop(loop);

    assert_int_equal(calls, 1);
    assert_true(was_current);
    assert_false(loop_is_current(loop));
}

static void test_tasks_keep_their_order(void **state)
{
    (void)state;
    enum { TASKS = 20000 };
    struct waitgroup wg;
    wg_init(&wg);
    wg_add(&wg, 1);
    for (int i = 0; i < TASKS; i++) {
        assert_true(loop_post(loop, count, NULL));
    }
    assert_true(task_post(loop_home(loop), done, &wg));

    assert_int_equal(loop_start(loop), ERR_OK);
    wg_wait(&wg);

    assert_int_equal(calls, TASKS);
    wg_destroy(&wg);
}

static void test_run_returns_after_break(void **state)
{
    (void)state;
    assert_true(loop_post(loop, count_and_break, NULL));

    loop_run(loop);

    assert_int_equal(calls, 1);
    assert_true(was_current);
}

static void test_a_break_before_run_is_not_lost(void **state)
{
    (void)state;
    loop_break(loop);

    loop_run(loop);
}

static void free_loop(void)
{
    loop_free(loop);
    loop = NULL;
}

static void test_tasks_left_are_run_before_a_loop_is_freed(void **state)
{
    (void)state;
    assert_true(loop_post(loop, count, NULL));

    free_loop();

    assert_int_equal(calls, 1);
    assert_true(was_current);
}

static void test_a_stopped_loop_keeps_tasks_until_it_is_freed(void **state)
{
    (void)state;
    assert_int_equal(loop_start(loop), ERR_OK);
    loop_stop(loop);
    loop_stop(loop);
    loop_break(loop);

    assert_true(loop_post(loop, count, NULL));
    assert_int_equal(calls, 0);
    free_loop();

    assert_int_equal(calls, 1);
    assert_true(was_current);
}

static void post_and_tell(void *arg)
{
    *(bool *)arg = loop_post(loop, count, NULL);
}

static void test_a_loop_that_is_freed_refuses_tasks(void **state)
{
    (void)state;
    bool taken = true;
    assert_true(loop_post(loop, post_and_tell, &taken));

    free_loop();

    assert_false(taken);
    assert_int_equal(calls, 0);
}

static void post_again(void *arg)
{
    (void)arg;
    calls++;
    (void)loop_post(loop, post_again, NULL);
}

static void test_tasks_that_post_tasks_do_not_starve_events(void **state)
{
    (void)state;
    struct ticker *ticker = loop_every(loop, 1000, count_and_break, NULL);
    assert_non_null(ticker);
    assert_true(loop_post(loop, post_again, NULL));

    loop_run(loop);

    ticker_cancel(ticker);
}

static void close_part(void *arg)
{
    *(int *)arg += 1;
}

static void test_the_attached_part_is_closed_with_the_loop(void **state)
{
    (void)state;
    int closed = 0;
    assert_null(loop_attached(loop));
    loop_attach(loop, &closed, close_part);
    assert_ptr_equal(loop_attached(loop), &closed);

    free_loop();

    assert_int_equal(closed, 1);
}

/* ---- tickers ---- */

static struct ticker *ticking;

static void tick_thrice(void *arg)
{
    (void)arg;
    if (++calls == 3) {
        ticker_cancel(ticking); /* From inside its own call. */
        loop_break(loop);
    }
}

static void test_a_ticker_calls_until_it_is_cancelled(void **state)
{
    (void)state;
    ticking = loop_every(loop, 100, tick_thrice, NULL);
    assert_non_null(ticking);

    loop_run(loop);

    assert_int_equal(calls, 3);
    ticker_cancel(NULL);
}

/* ---- signals ---- */

static int seen[8];

static void on_signal(int signo, void *arg)
{
    int *n = arg;
    seen[(*n)++] = signo;
    if (*n == 2) {
        loop_break(loop);
    }
}

static void test_signals_become_calls(void **state)
{
    (void)state;
    static const int watched[] = {SIGUSR1, SIGUSR2};
    int n = 0;
    struct signals *signals = signals_watch(loop, watched, 2, on_signal, &n);
    assert_non_null(signals);

    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    loop_run(loop);

    assert_int_equal(seen[0] + seen[1], SIGUSR1 + SIGUSR2);
    signals_close(signals);
}

static void test_writing_to_a_closed_pipe_is_an_error_only(void **state)
{
    (void)state;
    struct signals *signals = signals_watch(loop, NULL, 0, on_signal, NULL);
    assert_non_null(signals);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);

    assert_int_equal(write(ends[1], "x", 1), -1);

    close(ends[1]);
    signals_close(signals);
}

static void test_closing_gives_the_signals_back(void **state)
{
    (void)state;
    static const int watched[] = {SIGUSR1};
    sigset_t mask;
    signals_close(signals_watch(loop, watched, 1, on_signal, NULL));

    pthread_sigmask(SIG_BLOCK, NULL, &mask);

    assert_false(sigismember(&mask, SIGUSR1));
    signals_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_task_runs_on_the_thread_of_the_loop),
        TEST(test_tasks_keep_their_order),
        TEST(test_run_returns_after_break),
        TEST(test_a_break_before_run_is_not_lost),
        TEST(test_tasks_left_are_run_before_a_loop_is_freed),
        TEST(test_a_stopped_loop_keeps_tasks_until_it_is_freed),
        TEST(test_a_loop_that_is_freed_refuses_tasks),
        TEST(test_tasks_that_post_tasks_do_not_starve_events),
        TEST(test_the_attached_part_is_closed_with_the_loop),
        TEST(test_a_ticker_calls_until_it_is_cancelled),
        TEST(test_signals_become_calls),
        TEST(test_writing_to_a_closed_pipe_is_an_error_only),
        TEST(test_closing_gives_the_signals_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
