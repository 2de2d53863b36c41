/* SPDX-License-Identifier: MIT */
/*
 * Threads: what one is started with.
 */
#include "common/thread.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/chan.h"
#include "common/pool.h"
#include "common/timer.h"
#include "common/waitgroup.h"
#include "tests/support/death.h"

/* What a thread finds out about itself. */
struct self {
    char name[64];
    sigset_t blocked;
};

static void look_at_self(void *arg)
{
    struct self *const self = arg;

    (void)pthread_getname_np(pthread_self(), self->name, sizeof(self->name));
    (void)pthread_sigmask(SIG_BLOCK, NULL, &self->blocked);
}

static void run_and_join(const char *name, struct self *self)
{
    struct thread thread;

    assert_int_equal(thread_start(&thread, name, look_at_self, self), ERR_OK);
    thread_join(&thread);
}

static void test_after_join_the_function_has_returned(void **state)
{
    struct self self = {.name = "not run"};
    (void)state;

    run_and_join("store/0", &self);

    assert_string_equal(self.name, "store/0");
}

static void test_a_long_name_is_cut(void **state)
{
    struct self self = {.name = ""};
    (void)state;

    run_and_join("a-name-of-twenty-bytes", &self);

    assert_string_equal(self.name, "a-name-of-twent");
}

static void test_signals_find_only_the_thread_that_asked(void **state)
{
    struct self self;
    sigset_t before;
    sigset_t after;
    (void)state;

    (void)pthread_sigmask(SIG_BLOCK, NULL, &before);
    run_and_join("deaf", &self);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &after);

    assert_true(sigismember(&self.blocked, SIGTERM));
    assert_true(sigismember(&self.blocked, SIGINT));
    assert_true(sigismember(&self.blocked, SIGHUP));
    assert_true(sigismember(&self.blocked, SIGUSR1));
    assert_false(sigismember(&self.blocked, SIGSEGV));
    assert_int_equal(sigismember(&before, SIGTERM),
                     sigismember(&after, SIGTERM));
}

/* ---- when the system has no thread to give ---- */

#define THREADS_MAX 1000

/* Lets the address space grow by 'bytes' more; returns the limit before. */
static rlim_t limit_memory(size_t bytes)
{
    struct rlimit limit;
    size_t pages = 0;
    FILE *const file = fopen("/proc/self/statm", "r");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu", &pages), 1);
    (void)fclose(file);
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + bytes;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    return before;
}

static void unlimit_memory(rlim_t before)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

static void wait_at_gate(void *arg)
{
    int value;

    (void)!chan_recv(chan_rx(arg), &value);
}

/* Everything that starts threads says so and leaves nothing behind. */
static void test_no_thread_to_give_is_an_error(void **state)
{
    static struct thread threads[THREADS_MAX];
    struct chan *const gate = chan_new(sizeof(int), 0);
    struct waitgroup wg;
    struct pool *pool = NULL;
    struct timers *timers = NULL;
    enum err err = ERR_OK;
    size_t n_threads = 0;
    (void)state;

#ifdef WITH_SANITIZER
    chan_free(gate);
    print_message("a sanitizer needs the address space to itself\n");
    skip();
#endif
    wg_init(&wg);
    const rlim_t before = limit_memory((size_t)64 << 20);
    while (n_threads < THREADS_MAX && err == ERR_OK) {
        err = thread_start(&threads[n_threads], "one", wait_at_gate, gate);
        n_threads += err == ERR_OK;
    }
    const enum err wg_err = wg_go(&wg, "one", wait_at_gate, gate);
    const enum err pool_err = pool_start(&pool, "one", 2, 1, NULL);
    const enum err timers_err = timers_start(&timers);
    unlimit_memory(before);
    chan_close(chan_tx(gate));
    while (n_threads > 0) {
        thread_join(&threads[--n_threads]);
    }
    wg_wait(&wg);

    assert_int_equal(err, ERR_SYSTEM);
    assert_int_equal(wg_err, ERR_SYSTEM);
    assert_int_equal(pool_err, ERR_SYSTEM);
    assert_int_equal(timers_err, ERR_SYSTEM);
    assert_null(pool);
    assert_null(timers);
    wg_destroy(&wg);
    chan_free(gate);
}

static void join_self(void *arg)
{
    struct thread self = {.raw = pthread_self()};

    (void)arg;
    thread_join(&self);
}

static void wait_for_oneself(void)
{
    struct thread thread;

    if (thread_start(&thread, "self", join_self, NULL) == ERR_OK) {
        thread_join(&thread);
    }
}

static void test_a_thread_cannot_wait_for_itself(void **state)
{
    (void)state;

    ASSERT_ABORTS(wait_for_oneself, "thread: a thread would wait for itself");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_join_the_function_has_returned),
        cmocka_unit_test(test_a_long_name_is_cut),
        cmocka_unit_test(test_signals_find_only_the_thread_that_asked),
        cmocka_unit_test(test_no_thread_to_give_is_an_error),
        cmocka_unit_test(test_a_thread_cannot_wait_for_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
