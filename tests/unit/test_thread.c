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

#include <cmocka.h>

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

    ASSERT_ABORTS(wait_for_oneself, "thread: join failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_join_the_function_has_returned),
        cmocka_unit_test(test_a_long_name_is_cut),
        cmocka_unit_test(test_signals_find_only_the_thread_that_asked),
        cmocka_unit_test(test_a_thread_cannot_wait_for_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
