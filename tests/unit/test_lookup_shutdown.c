/* SPDX-License-Identifier: MIT */
/*
 * The store closes while lookups wait and writes are pending, in each state
 * that they can be in: whoever waits is answered, whoever left is freed, what
 * was acknowledged is written, and nobody waits for ever.
 *
 * store_close() waits for what runs in the database, so where something does,
 * it is called on a thread of its own.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/task.h"
#include "common/timer.h"
#include "common/waitgroup.h"
#include "server/admin/outcomes.h"
#include "server/admin/stats.h"
#include "server/lookup/flight.h"
#include "server/store/store.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000)

static const char down[] = "shutting down";

static int set_up(void **state)
{
    static const char *const directives[] = {"max-age 60s",
                                             "stale-while-revalidate 5m",
                                             "stale-if-error 1h",
                                             "freshness-jitter 0%",
                                             "store-timeout 2s",
                                             "breaker-failures 0",
                                             "race stale",
                                             "behind-interval 3600s",
                                             NULL};

    clock_set_manual(1000 * SECOND);
    struct fixture *f = fixture_new(directives);
    fake_store_set_book(f->fake, "3", "old", NULL, NULL);
    stats_reset();
    *state = f;
    return 0;
}

/* Nothing is left, whatever the test did. */
static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(flights_count(lookup_flights(f->lookup)), 0);
    assert_int_equal(timers_count(f->timers), 0);
    fixture_free(f);
    clock_set_real();
    return 0;
}

static void close_store(void *arg)
{
    struct fixture *f = arg;

    store_close(f->store);
    f->store = NULL;
}

/* Gets book:3 into the cache. */
static void warm(struct fixture *f)
{
    struct asked a;

    (void)ask_text(f, "book:3", &a);
    asked_free(&a);
    stats_reset();
}

static void assert_down(struct fixture *f, struct asked *a)
{
    fixture_run(f, a);
    assert_string_equal(asked_text(a), down);
    assert_int_equal(a->answer.how, OUTCOME_down);
    asked_free(a);
}

/* ---- reads ---- */

static void test_a_queued_read_is_refused_and_a_running_one_ends(void **state)
{
    struct fixture *f = *state;
    struct waitgroup closing;
    struct asked running, queued, follower;

    fixture_set(f, "store-concurrency", "1");
    fake_store_hold(f->fake, FAKE_READ, FAKE_AFTER);
    fixture_ask(f, "book:3", &running);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 1);
    fixture_ask(f, "book:7", &queued);
    fixture_ask(f, "book:7", &follower);
    wg_init(&closing);
    assert_int_equal(wg_go(&closing, "close", close_store, f), ERR_OK);
    assert_down(f, &queued); /* So the store is closing. */
    assert_down(f, &follower);
    assert_false(running.answered);
    fake_store_release(f->fake, FAKE_READ, FAKE_AFTER);
    wg_wait(&closing);
    wg_destroy(&closing);

    fixture_run(f, &running);
    assert_int_equal(running.answer.outcome, LOOKUP_FOUND);
    assert_int_equal(fake_store_reads(f->fake, "book:7"), 0);
    asked_free(&running);
}

static void test_a_delayed_read_does_not_hold_up_the_close(void **state)
{
    struct fixture *f = *state;
    struct asked a, b;

    fixture_set(f, "store-delay", "1h");
    fixture_ask(f, "book:3", &a);
    fixture_ask(f, "book:3", &b);
    fake_store_wait_calls(f->fake, FAKE_READ, 1);
    close_store(f);

    assert_down(f, &a);
    assert_down(f, &b);
}

static void test_a_read_that_hangs_does_not_hold_up_the_close(void **state)
{
    struct fixture *f = *state;
    struct asked a, late;

    fixture_set(f, "store-hang", "yes");
    fixture_ask(f, "book:3", &late);
    clock_advance(2 * SECOND); /* Its flight is to be let go of. */
    fixture_run(f, &late);
    assert_int_equal(late.answer.how, OUTCOME_timeout);
    fixture_ask(f, "book:3", &a);
    close_store(f);

    assert_down(f, &a);
    asked_free(&late);
}

static void test_a_copy_answers_whom_the_close_lets_down(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    warm(f);
    clock_advance(400 * SECOND);
    fixture_set(f, "store-hang", "yes");
    fixture_ask(f, "book:3", &a);
    assert_false(a.answered);
    close_store(f);
    fixture_run(f, &a);

    assert_int_equal(a.answer.outcome, LOOKUP_FOUND);
    assert_int_equal(a.answer.how, OUTCOME_stale_if_error);
    asked_free(&a);
}

static void test_a_probe_of_an_open_breaker_is_let_down_too(void **state)
{
    struct fixture *f = *state;
    struct asked a, probe, refused;

    fixture_set(f, "breaker-failures", "1");
    fixture_set(f, "breaker-probe-interval", "1s");
    fake_store_fail(f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
    (void)ask_text(f, "book:3", &a);
    asked_free(&a);
    clock_advance(1 * SECOND);
    fixture_set(f, "store-hang", "yes");
    fixture_ask(f, "book:3", &probe);
    assert_false(probe.answered);
    fixture_ask(f, "book:7", &refused);
    assert_true(refused.answered);
    assert_int_equal(refused.answer.how, OUTCOME_down);
    asked_free(&refused);
    close_store(f);

    assert_down(f, &probe);
}

static void test_an_open_breaker_closes_at_once(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    fixture_set(f, "breaker-failures", "1");
    fake_store_fail(f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
    (void)ask_text(f, "book:3", &a);
    asked_free(&a);

    close_store(f);
}

static void test_a_waiter_that_left_hears_nothing_of_the_close(void **state)
{
    struct fixture *f = *state;
    struct asked gone, stays;

    fixture_set(f, "store-hang", "yes");
    fixture_ask(f, "book:3", &gone);
    fixture_ask(f, "book:3", &stays);
    lookup_cancel(gone.pending);
    close_store(f);

    assert_down(f, &stays);
    assert_false(gone.answered);
    asked_free(&gone);
}

static void test_whoever_leaves_after_the_close_hears_nothing(void **state)
{
    struct fixture *f = *state;
    struct asked gone;

    fixture_set(f, "store-hang", "yes");
    fixture_ask(f, "book:3", &gone);
    close_store(f); /* The answer is on its way home. */
    lookup_cancel(gone.pending);
    fixture_run_one(f);

    assert_false(gone.answered);
    assert_int_equal(outcomes_sum(OUTCOME_abandoned), 1);
    asked_free(&gone);
}

static void count_answer(void *arg, const struct answer *answer)
{
    (void)answer;
    ++*(int *)arg;
}

/* The answer finds nobody, and then the caller leaves. */
static void test_answers_to_a_loop_that_stopped_are_freed(void **state)
{
    struct fixture *f = *state;
    struct chan *home = chan_new(sizeof(struct task), CHAN_UNBOUNDED);
    int n_answers = 0;
    const struct lookup_caller caller = {.home = chan_tx(home),
                                         .done = count_answer,
                                         .arg = &n_answers,
                                         .start_us = clock_now_us()};
    struct buf scratch = {0};
    struct answer answer;

    fixture_set(f, "store-hang", "yes");
    struct pending_lookup *left = lookup_get(f->lookup, SLICE("book:3"), NULL,
                                             &caller, &scratch, &answer);
    assert_non_null(left);
    chan_close(chan_tx(home));
    close_store(f);
    lookup_cancel(left);

    assert_int_equal(n_answers, 0);
    buf_destroy(&scratch);
    chan_free(home);
}

static void test_a_refresh_under_way_leaves_the_copy_alone(void **state)
{
    struct fixture *f = *state;
    struct copy before, after;
    struct asked a;
    const struct slice key = SLICE("book:3");

    warm(f);
    assert_true(cache_get(f->cache, key, hash_bytes(key), 0, &before, NULL));
    clock_advance(61 * SECOND);
    fixture_set(f, "store-hang", "yes");
    fixture_ask(f, "book:3", &a);
    assert_int_equal(a.answer.how, OUTCOME_stale_hit);
    assert_int_equal(flights_count(lookup_flights(f->lookup)), 1);
    close_store(f);

    assert_true(cache_get(f->cache, key, hash_bytes(key), 0, &after, NULL));
    assert_int_equal(after.version, before.version);
    asked_free(&a);
}

/* ---- writes ---- */

static void test_what_was_acknowledged_is_written_at_the_close(void **state)
{
    struct fixture *f = *state;
    struct buf value = {0};
    struct copy copy;
    struct written w;

    fixture_set(f, "plain-writes", "behind");
    fixture_put(f, "k", "v", &w);
    assert_true(w.answered);
    assert_false(fake_store_has(f->fake, "k"));
    close_store(f);

    assert_true(fake_store_get(f->fake, "k", NULL, &value));
    assert_string_equal(buf_string(&value), "v");
    assert_true(cache_get(f->cache, SLICE("k"), hash_bytes(SLICE("k")), 0,
                          &copy, NULL));
    assert_false(copy.dirty);
    buf_destroy(&value);
    written_free(&w);
}

static void test_writes_and_lookups_end_together(void **state)
{
    struct fixture *f = *state;
    struct waitgroup closing;
    struct written behind, through;
    struct asked a;

    fixture_set(f, "plain-writes", "behind");
    fixture_set(f, "store-hang", "yes");
    fake_store_hold(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    fixture_put(f, "k", "v", &behind);
    fixture_put(f, "book:9", "{\"title\":\"t\"}", &through);
    fake_store_wait_held(f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fixture_ask(f, "book:3", &a);
    wg_init(&closing);
    assert_int_equal(wg_go(&closing, "close", close_store, f), ERR_OK);
    fake_store_release(f->fake, FAKE_COMMIT, FAKE_BEFORE);
    wg_wait(&closing);
    wg_destroy(&closing);

    assert_down(f, &a);
    fixture_run_write(f, &through);
    assert_int_equal(through.result.err, ERR_OK);
    assert_true(fake_store_has(f->fake, "k"));
    assert_true(fake_store_has(f->fake, "book:9"));
    written_free(&behind);
    written_free(&through);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_queued_read_is_refused_and_a_running_one_ends),
        TEST(test_a_delayed_read_does_not_hold_up_the_close),
        TEST(test_a_read_that_hangs_does_not_hold_up_the_close),
        TEST(test_a_copy_answers_whom_the_close_lets_down),
        TEST(test_a_probe_of_an_open_breaker_is_let_down_too),
        TEST(test_an_open_breaker_closes_at_once),
        TEST(test_a_waiter_that_left_hears_nothing_of_the_close),
        TEST(test_whoever_leaves_after_the_close_hears_nothing),
        TEST(test_answers_to_a_loop_that_stopped_are_freed),
        TEST(test_a_refresh_under_way_leaves_the_copy_alone),
        TEST(test_what_was_acknowledged_is_written_at_the_close),
        TEST(test_writes_and_lookups_end_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
