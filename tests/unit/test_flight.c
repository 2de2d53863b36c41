/* SPDX-License-Identifier: MIT */
/*
 * Both outcomes of the race between the cache and the store for one waiter,
 * made to happen by a gate in the store.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "common/task.h"
#include "server/lookup/flight.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct slice key = {.data = "book:3", .size = 6};

/* A waiter that tells who delivered it. */
struct racer {
    struct waiter waiter;
    bool *delivered;
    bool *found;
};

static void deliver(struct waiter *waiter)
{
    struct racer *r = container_of(waiter, struct racer, waiter);
    struct flight_result result;

    waiter_result(waiter, &result);
    *r->delivered = true;
    *r->found = result.found;
    waiter_unref(waiter); /* The caller's and the delivery's. */
    waiter_unref(waiter);
}

static struct racer *join(struct fixture *f, bool *delivered, bool *found)
{
    struct racer *r = xcalloc(1, sizeof *r);

    r->waiter.home = chan_tx(f->home);
    r->waiter.deliver = deliver;
    r->delivered = delivered;
    r->found = found;
    assert_int_equal(flights_join(lookup_flights(f->lookup), key,
                                  hash_bytes(key), 0, &r->waiter,
                                  clock_now_us() + 3600 * INT64_C(1000000)),
                     FLIGHT_STARTED);
    return r;
}

static int set_up(void **state)
{
    struct fixture *f = fixture_new(NULL);

    fake_store_set_book(f->fake, "3", "A Tale of Two Cities", NULL, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

static bool is_cached(struct fixture *f)
{
    struct copy copy;

    return cache_get(f->cache, key, hash_bytes(key), 0, &copy, NULL);
}

static void test_the_cache_wins_when_the_store_is_held(void **state)
{
    struct fixture *f = *state;
    bool delivered = false, found = false;

    fake_store_hold(f->fake, FAKE_READ, FAKE_AFTER);
    struct racer *r = join(f, &delivered, &found);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 1);
    assert_true(waiter_claim(&r->waiter, WINNER_CACHE));
    waiter_leave(&r->waiter);
    fake_store_release(f->fake, FAKE_READ, FAKE_AFTER);
    store_close(f->store); /* Ends the flight, and nothing came home. */
    f->store = NULL;

    assert_false(delivered);
    assert_int_equal(chan_len(chan_rx(f->home)), 0);
    assert_true(is_cached(f)); /* The loser finished into the cache. */
}

static void test_the_store_wins_when_it_came_first(void **state)
{
    struct fixture *f = *state;
    bool delivered = false, found = false;
    struct task task;

    struct racer *r = join(f, &delivered, &found);
    assert_true(chan_recv(chan_rx(f->home), &task)); /* It has been decided. */
    assert_false(waiter_claim(&r->waiter, WINNER_CACHE));
    task.run(task.arg);

    assert_true(delivered);
    assert_true(found);
    assert_true(is_cached(f));
}

static void test_a_fenced_flight_answers_but_fills_nothing(void **state)
{
    struct fixture *f = *state;
    struct flights *flights = lookup_flights(f->lookup);
    bool delivered = false, found = false;

    fake_store_hold(f->fake, FAKE_READ, FAKE_AFTER);
    (void)join(f, &delivered, &found);
    flights_lock(flights, hash_bytes(key));
    flights_fence(flights, key, hash_bytes(key));
    flights_unlock(flights, hash_bytes(key));
    fake_store_release(f->fake, FAKE_READ, FAKE_AFTER);
    fixture_run_one(f);

    assert_true(found);
    assert_false(is_cached(f));
}

static void test_who_overtakes_the_probe_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct flights *flights = lookup_flights(f->lookup);
    struct copy copy = {.kind = COPY_NEGATIVE};
    struct waiter w = {.home = chan_tx(f->home), .deliver = deliver};

    assert_int_equal(
        cache_put(f->cache, key, hash_bytes(key), &copy, SLICE("")), ERR_OK);

    assert_int_equal(flights_join(flights, key, hash_bytes(key), 0, &w, 0),
                     FLIGHT_CHANGED);
    assert_int_equal(flights_count(flights), 0);
}

static void test_memory_that_is_always_too_little_ends_a_lookup(void **state)
{
    struct fixture *f = *state;
    struct buf no_room = {.storage = (char[]){0}, .size = SIZE_MAX - 1};
    struct copy copy = {.kind = COPY_STRING, .dirty = true};
    const struct lookup_caller caller = {.home = chan_tx(f->home)};
    struct answer answer;

    assert_int_equal(
        cache_put(f->cache, key, hash_bytes(key), &copy, SLICE("value")),
        ERR_OK);

    assert_null(lookup_get(f->lookup, key, NULL, &caller, &no_room, &answer));
    assert_int_equal(answer.outcome, LOOKUP_FAILED);
    assert_int_equal(answer.err, ERR_NOMEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_cache_wins_when_the_store_is_held),
        TEST(test_the_store_wins_when_it_came_first),
        TEST(test_a_fenced_flight_answers_but_fills_nothing),
        TEST(test_who_overtakes_the_probe_is_noticed),
        TEST(test_memory_that_is_always_too_little_ends_a_lookup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
