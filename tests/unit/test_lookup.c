/* SPDX-License-Identifier: MIT */
/*
 * The table of the lookup, cell by cell: a clock moved by hand and a store
 * with gates.
 */
#include "common/clock.h"
#include "server/admin/outcomes.h"
#include "server/admin/stats.h"
#include "server/lookup/freshness.h"
#include "server/lookup/why.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000)

static const char tale[] = "{\"id\":3,\"title\":\"A Tale of Two Cities\","
                           "\"author\":\"Charles Dickens\",\"year\":1859}";
static const char tale_again[] =
    "{\"id\":3,\"title\":\"A Tale of Two Towns\","
    "\"author\":\"Charles Dickens\",\"year\":1859}";

static void set_tale(struct fixture *f)
{
    fake_store_set_book(f->fake, "3", "A Tale of Two Cities", "Charles Dickens",
                        "1859");
}

/* Another program changes the title. */
static void change_tale(struct fixture *f)
{
    fake_store_set_book(f->fake, "3", "A Tale of Two Towns", "Charles Dickens",
                        "1859");
}

static int set_up(void **state)
{
    static const char *const directives[] = {
        "max-age 60s",         "stale-while-revalidate 5m", "stale-if-error 1h",
        "negative-max-age 5s", "store-timeout 2s",          "race stale",
        "freshness-jitter 0%", "breaker-failures 0",        NULL};

    clock_set_manual(1000 * SECOND);
    struct fixture *f = fixture_new(directives);
    set_tale(f);
    stats_reset();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    clock_set_real();
    return 0;
}

/* Fills the cache with book:3 and forgets what that counted. */
static void warm(struct fixture *f)
{
    struct asked a;

    assert_string_equal(ask_text(f, "book:3", &a), tale);
    asked_free(&a);
    stats_reset();
}

/* Waits until the flight of 'key', if there is one, has ended and filled. */
static void settle(struct fixture *f, const char *key)
{
    struct asked a;
    struct buf race = {0};

    config_format(f->config, CONFIG_race, &race);
    fixture_set(f, "race", "never");
    fixture_ask(f, key, &a);
    fixture_run(f, &a);
    fixture_set(f, "race", buf_string(&race));
    asked_free(&a);
    buf_destroy(&race);
}

/* ---- absent ---- */

static void test_an_absent_key_is_answered_by_the_store(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    assert_string_equal(ask_text(f, "book:3", &a), tale);

    assert_int_equal(a.answer.source, LOOKUP_STORE);
    assert_int_equal(a.answer.age_us, 0);
    assert_int_equal(stats_sum(STATS_lookup_store_answers), 1);
    assert_int_equal(stats_sum(STATS_store_reads), 1);
    asked_free(&a);
}

static void test_a_fresh_copy_is_answered_by_the_cache_at_once(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    warm(f);
    clock_advance(59 * SECOND);
    fixture_ask(f, "book:3", &a);

    assert_true(a.answered);
    assert_string_equal(asked_text(&a), tale);
    assert_int_equal(a.answer.source, LOOKUP_CACHE);
    assert_int_equal(a.answer.age_us, 59 * SECOND);
    assert_int_equal(stats_sum(STATS_store_reads), 0);
    asked_free(&a);
}

static void test_a_missing_row_is_a_miss_and_remembered(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    assert_string_equal(ask_text(f, "book:99", &a), "(none)");
    fixture_ask(f, "book:99", &a);

    assert_true(a.answered);
    assert_string_equal(asked_text(&a), "(none)");
    assert_int_equal(outcomes_sum(OUTCOME_negative_hit), 1);
    assert_int_equal(stats_sum(STATS_store_reads), 1);
    asked_free(&a);
}

static void test_a_negative_copy_ends_with_its_own_age(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    assert_string_equal(ask_text(f, "book:99", &a), "(none)");
    fake_store_set_book(f->fake, "99", "New", NULL, NULL);
    clock_advance(5 * SECOND);

    assert_string_equal(
        ask_text(f, "book:99", &a),
        "{\"id\":99,\"title\":\"New\",\"author\":null,\"year\":null}");
    asked_free(&a);
}

static void test_a_key_that_can_name_no_row_never_asks_the_store(void **state)
{
    static const char *const keys[] = {"book:03",
                                       "book:",
                                       "book:x",
                                       "book:+3",
                                       "book:3 ",
                                       "book:-0",
                                       "book:9223372036854775808"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct asked a;
        fixture_ask(f, keys[i], &a);
        assert_true(a.answered);
        assert_string_equal(asked_text(&a), "(none)");
    }
    assert_int_equal(stats_sum(STATS_store_reads), 0);
}

/* ---- stale ---- */

static void test_a_stale_copy_answers_while_it_is_refreshed(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    warm(f);
    change_tale(f);
    clock_advance(61 * SECOND);
    fixture_ask(f, "book:3", &a);
    assert_true(a.answered);
    assert_string_equal(asked_text(&a), tale);
    asked_free(&a);

    settle(f, "book:3");
    fixture_ask(f, "book:3", &a);
    assert_true(a.answered);
    assert_string_equal(asked_text(&a), tale_again);
    assert_int_equal(stats_sum(STATS_refreshes), 1);
    assert_int_equal(outcomes_sum(OUTCOME_stale_hit), 1);
    asked_free(&a);
}

static void test_a_stale_copy_does_not_answer_under_race_never(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    fixture_set(f, "race", "never");
    warm(f);
    change_tale(f);
    clock_advance(61 * SECOND);

    assert_string_equal(ask_text(f, "book:3", &a), tale_again);
    assert_int_equal(a.answer.source, LOOKUP_STORE);
    asked_free(&a);
}

static void test_a_copy_past_its_stale_window_waits_for_the_store(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    warm(f);
    change_tale(f);
    clock_advance(361 * SECOND);
    fixture_ask(f, "book:3", &a);
    assert_false(a.answered);
    fixture_run(f, &a);

    assert_string_equal(asked_text(&a), tale_again);
    asked_free(&a);
}

/* ---- race always ---- */

static void test_race_always_asks_both_and_refreshes_a_fresh_copy(void **state)
{
    struct fixture *f = *state;
    struct asked a, joined;

    warm(f);
    change_tale(f);
    fixture_set(f, "race", "always");
    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask(f, "book:3", &a);
    assert_true(a.answered);
    assert_string_equal(asked_text(&a), tale);
    asked_free(&a);

    /* Somebody who must have the store's answer waits on the same flight. */
    fixture_set(f, "race", "never");
    fixture_set(f, "max-age", "0s");
    fixture_ask(f, "book:3", &joined);
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_run(f, &joined);
    asked_free(&joined);
    fixture_set(f, "max-age", "60s");
    fixture_ask(f, "book:3", &a);
    assert_true(a.answered);
    assert_string_equal(asked_text(&a), tale_again);
    assert_int_equal(stats_sum(STATS_lookup_races), 1);
    assert_int_equal(outcomes_sum(OUTCOME_race_cache), 1);
    assert_int_equal(stats_sum(STATS_store_reads), 1);
    asked_free(&a);
}

static void test_the_loser_that_is_still_queued_is_withdrawn(void **state)
{
    struct fixture *f = *state;
    struct asked holder, a;

    warm(f);
    fixture_set(f, "store-concurrency", "1");
    fixture_set(f, "race", "always");
    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask(f, "book:7", &holder);
    const unsigned reads = fake_store_reads(f->fake, "book:3");
    fixture_ask(f, "book:3", &a);
    assert_true(a.answered);

    assert_int_equal(stats_sum(STATS_reads_withdrawn), 1);
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_run(f, &holder);
    assert_int_equal(fake_store_reads(f->fake, "book:3"), reads);
    asked_free(&a);
    asked_free(&holder);
}

/* ---- flights ---- */

#define N_WAITERS 100

static void test_one_flight_serves_all_who_ask_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct asked waiters[N_WAITERS];

    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    for (size_t i = 0; i < N_WAITERS; i++) {
        fixture_ask(f, "book:3", &waiters[i]);
        assert_false(waiters[i].answered);
    }
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_run_one(f); /* All wake in one task. */

    for (size_t i = 0; i < N_WAITERS; i++) {
        assert_true(waiters[i].answered);
        assert_string_equal(asked_text(&waiters[i]), tale);
        asked_free(&waiters[i]);
    }
    assert_int_equal(fake_store_reads(f->fake, "book:3"), 1);
    assert_int_equal(stats_sum(STATS_flights_joined), N_WAITERS - 1);
}

static void test_a_flight_goes_on_without_its_leader(void **state)
{
    struct fixture *f = *state;
    struct asked leader, follower;

    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask(f, "book:3", &leader);
    fixture_ask(f, "book:3", &follower);
    lookup_cancel(leader.pending);
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_run(f, &follower);

    assert_string_equal(asked_text(&follower), tale);
    assert_false(leader.answered);
    asked_free(&leader);
    asked_free(&follower);
}

static void test_a_flight_that_all_left_still_fills_the_cache(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    fake_store_hold(f->fake, FAKE_READ, FAKE_AFTER);
    fixture_ask(f, "book:3", &a);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 1);
    lookup_cancel(a.pending);
    asked_free(&a);
    fake_store_release(f->fake, FAKE_READ, FAKE_AFTER);
    settle(f, "book:3");

    assert_int_equal(fake_store_reads(f->fake, "book:3"), 1);
}

static void test_each_waiter_has_a_deadline_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct asked early, late;

    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask(f, "book:3", &early);
    clock_advance(1 * SECOND);
    fixture_ask(f, "book:3", &late);
    clock_advance(1 * SECOND);
    fixture_run(f, &early);
    assert_string_equal(asked_text(&early), "the store did not answer in time");
    assert_false(late.answered);

    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_run(f, &late);
    assert_string_equal(asked_text(&late), tale);
    asked_free(&early);
    asked_free(&late);
}

/* ---- failures ---- */

static void test_a_failed_store_is_an_error_not_a_miss(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    fake_store_fail(f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
    assert_string_equal(ask_text(f, "book:3", &a), "the store failed");

    assert_int_equal(a.answer.outcome, LOOKUP_FAILED);
    asked_free(&a);
    assert_string_equal(ask_text(f, "book:3", &a), tale);
    asked_free(&a);
}

static void test_an_old_copy_answers_when_the_store_fails(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    warm(f);
    clock_advance(3600 * SECOND);
    fake_store_fail(f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);

    assert_string_equal(ask_text(f, "book:3", &a), tale);
    assert_int_equal(a.answer.source, LOOKUP_CACHE);
    assert_int_equal(outcomes_sum(OUTCOME_stale_if_error), 1);
    asked_free(&a);
}

static void test_a_copy_past_stale_if_error_does_not_answer(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    warm(f);
    clock_advance(3660 * SECOND);
    fake_store_fail(f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);

    assert_string_equal(ask_text(f, "book:3", &a), "the store failed");
    asked_free(&a);
}

static void test_an_old_negative_copy_never_hides_a_failure(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    assert_string_equal(ask_text(f, "book:99", &a), "(none)");
    clock_advance(6 * SECOND);
    fake_store_fail(f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);

    assert_string_equal(ask_text(f, "book:99", &a), "the store failed");
    asked_free(&a);
}

static void test_a_full_queue_is_busy(void **state)
{
    struct fixture *f = *state;
    struct asked holder, a;

    fixture_set(f, "store-concurrency", "1");
    fixture_set(f, "store-queue", "0");
    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask(f, "book:7", &holder);
    fixture_ask(f, "book:3", &a);

    assert_true(a.answered);
    assert_string_equal(asked_text(&a), "the store has too much to do");
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_run(f, &holder);
    asked_free(&holder);
    asked_free(&a);
}

static void test_a_full_queue_leaves_the_race_to_the_copy(void **state)
{
    struct fixture *f = *state;
    struct asked holder, stale, negative;

    warm(f);
    clock_advance(61 * SECOND);
    assert_string_equal(ask_text(f, "book:99", &negative), "(none)");
    asked_free(&negative);
    fixture_set(f, "race", "always");
    fixture_set(f, "stale-if-error", "0s");
    fixture_set(f, "store-concurrency", "1");
    fixture_set(f, "store-queue", "0");
    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask(f, "book:7", &holder);
    fixture_ask(f, "book:3", &stale);
    fixture_ask(f, "book:99", &negative);

    assert_true(stale.answered);
    assert_string_equal(asked_text(&stale), tale);
    assert_true(negative.answered);
    assert_string_equal(asked_text(&negative), "(none)");
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_run(f, &holder);
    asked_free(&holder);
    asked_free(&stale);
    asked_free(&negative);
}

static void
test_a_copy_that_got_fresh_answers_when_the_store_fails(void **state)
{
    struct fixture *f = *state;
    struct written w;
    struct asked a;

    fake_store_hold_key(f->fake, FAKE_READ, FAKE_BEFORE, "book:3");
    fixture_ask(f, "book:3", &a);
    fixture_put(f, "book:3", NULL, &w); /* Now there is a negative copy. */
    fixture_run_write(f, &w);
    fake_store_fail(f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
    fake_store_release_key(f->fake, FAKE_READ, FAKE_BEFORE, "book:3");
    fixture_run(f, &a);

    assert_int_equal(a.answer.source, LOOKUP_CACHE);
    assert_string_equal(asked_text(&a), "(none)");
    asked_free(&a);
    written_free(&w);
}

/* ---- the bounds of a request ---- */

static struct lookup_bounds no_bounds(void)
{
    return (struct lookup_bounds){.max_age_us = FRESHNESS_NO_BOUND,
                                  .stale_us = FRESHNESS_NO_BOUND,
                                  .wait_us = FRESHNESS_NO_BOUND};
}

static void test_an_age_of_nothing_asks_the_store(void **state)
{
    struct fixture *f = *state;
    struct lookup_bounds bounds = no_bounds();
    struct asked a;

    warm(f);
    change_tale(f);
    bounds.max_age_us = 0;
    bounds.stale_us = 0;
    fixture_ask_within(f, "book:3", &bounds, &a);
    assert_false(a.answered);
    fixture_run(f, &a);

    assert_string_equal(asked_text(&a), tale_again);
    asked_free(&a);
}

static void test_a_stale_bound_lets_an_older_copy_answer_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct lookup_bounds bounds = no_bounds();
    struct asked a;

    warm(f);
    clock_advance(10 * SECOND);
    bounds.max_age_us = 5 * SECOND;
    bounds.stale_us = 20 * SECOND;
    fixture_ask_within(f, "book:3", &bounds, &a);

    assert_true(a.answered);
    assert_int_equal(a.answer.how, OUTCOME_stale_hit);
    asked_free(&a);
    settle(f, "book:3");
}

static void test_a_wait_that_ends_takes_the_copy_that_is_allowed(void **state)
{
    struct fixture *f = *state;
    struct lookup_bounds bounds = no_bounds();
    struct asked a;

    warm(f);
    clock_advance(400 * SECOND); /* Past its stale window. */
    bounds.wait_us = SECOND / 10;
    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask_within(f, "book:3", &bounds, &a);
    assert_false(a.answered);
    clock_advance(SECOND / 10);
    fixture_run(f, &a);

    assert_string_equal(asked_text(&a), tale);
    assert_int_equal(a.answer.how, OUTCOME_stale_if_error);
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    asked_free(&a);
}

static void test_no_wait_takes_what_there_is_now(void **state)
{
    struct fixture *f = *state;
    struct lookup_bounds bounds = no_bounds();
    struct asked a;

    bounds.wait_us = 0;
    fixture_ask_within(f, "book:3", &bounds, &a);
    assert_true(a.answered);
    assert_int_equal(a.answer.how, OUTCOME_timeout);

    settle(f, "book:3"); /* Asked all the same, for the next. */
    fixture_ask_within(f, "book:3", &bounds, &a);
    assert_true(a.answered);
    assert_string_equal(asked_text(&a), tale);
    assert_int_equal(fake_store_reads(f->fake, "book:3"), 1);
    asked_free(&a);
}

static void test_no_wait_is_a_race_that_the_cache_wins(void **state)
{
    struct fixture *f = *state;
    struct lookup_bounds bounds = no_bounds();
    struct asked a;

    warm(f);
    fixture_set(f, "race", "always");
    bounds.wait_us = 0;
    fixture_ask_within(f, "book:3", &bounds, &a);
    assert_true(a.answered);
    assert_int_equal(a.answer.how, OUTCOME_race_cache);
    settle(f, "book:3");
    asked_free(&a);
}

/* ---- flights that hang, a store that is down ---- */

static void test_a_flight_that_hangs_lets_go_of_its_key(void **state)
{
    struct fixture *f = *state;
    struct asked hung, again;

    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask(f, "book:3", &hung);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_BEFORE, 1);
    clock_advance(2 * SECOND);
    fixture_run(f, &hung);
    assert_int_equal(hung.answer.how, OUTCOME_timeout);

    fixture_ask(f, "book:3", &again);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_BEFORE, 2);
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_run(f, &again);
    assert_string_equal(asked_text(&again), tale);
    assert_int_equal(stats_sum(STATS_flights_let_go), 1);
    asked_free(&again);
}

static void test_a_broken_store_is_down_at_once_and_copies_answer(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    warm(f);
    clock_advance(400 * SECOND);
    fixture_set(f, "breaker-failures", "1");
    fake_store_fail(f->fake, FAKE_READ, NULL, 1000, ERR_STORE_DOWN);
    assert_string_equal(ask_text(f, "book:7", &a), "the store failed");
    fixture_ask(f, "book:8", &a);
    if (!a.answered) { /* The probe that the open breaker lets through. */
        fixture_run(f, &a);
        fixture_ask(f, "book:9", &a);
    }
    assert_true(a.answered);
    assert_string_equal(asked_text(&a), "the store failed");

    fixture_ask(f, "book:3", &a);
    assert_true(a.answered);
    assert_string_equal(asked_text(&a), tale);
    assert_int_equal(a.answer.how, OUTCOME_stale_if_error);
    asked_free(&a);
    fake_store_fail(f->fake, FAKE_READ, NULL, 0, ERR_STORE_DOWN);
}

/* ---- per table, and the sum of it all ---- */

static void test_a_table_can_have_freshness_of_its_own(void **state)
{
    static const char *const tables[] = {"books"};
    struct fixture *f = *state;
    struct buf detail = {0};
    struct asked a;

    assert_int_equal(config_table_check(f->config, tables, 1, &detail), ERR_OK);
    fixture_set(f, "table", "books max-age 10s");
    warm(f);
    clock_advance(10 * SECOND);
    fixture_ask(f, "book:3", &a);

    assert_int_equal(a.answer.how, OUTCOME_stale_hit);
    asked_free(&a);
    settle(f, "book:3");
    buf_destroy(&detail);
}

static void test_the_outcomes_sum_to_the_lookups(void **state)
{
    struct fixture *f = *state;
    struct asked a;
    struct asked left;

    (void)ask_text(f, "book:3", &a);
    asked_free(&a);
    (void)ask_text(f, "book:3", &a);
    asked_free(&a);
    (void)ask_text(f, "book:99", &a);
    asked_free(&a);
    (void)ask_text(f, "book:99", &a);
    asked_free(&a);
    (void)ask_text(f, "book:x", &a);
    asked_free(&a);
    fake_store_fail(f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
    (void)ask_text(f, "book:4", &a);
    asked_free(&a);
    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask(f, "book:5", &left);
    lookup_cancel(left.pending);
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);

    assert_int_equal(outcomes_total(), 7);
    assert_int_equal(outcomes_sum(OUTCOME_miss), 2);
    assert_int_equal(outcomes_sum(OUTCOME_fresh_hit), 1);
    assert_int_equal(outcomes_sum(OUTCOME_negative_hit), 1);
    assert_int_equal(outcomes_sum(OUTCOME_impossible), 1);
    assert_int_equal(outcomes_sum(OUTCOME_down), 1);
    assert_int_equal(outcomes_sum(OUTCOME_abandoned), 1);
    assert_int_equal(outcomes_table_sum(OUTCOME_miss, 0), 2);
}

/* ---- why ---- */

static void assert_why(struct fixture *f, const char *key, const char *text)
{
    struct why why;
    char got[64];

    lookup_why(f->lookup, slice_from_string(key), &why);
    snprintf(got, sizeof got, "%s %s", why.state, why.answers);
    assert_string_equal(got, text);
}

static void test_why_tells_what_a_get_would_do(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    assert_why(f, "book:3", "absent store");
    assert_why(f, "book:x", "absent nobody");
    warm(f);
    assert_why(f, "book:3", "fresh cache");
    (void)ask_text(f, "book:99", &a);
    assert_why(f, "book:99", "negative cache");
    clock_advance(61 * SECOND);
    assert_why(f, "book:3", "stale cache");
    assert_why(f, "book:99", "negative store");
    fixture_set(f, "race", "always");
    assert_why(f, "book:3", "stale both");
    fixture_set(f, "race", "never");
    assert_why(f, "book:3", "stale store");
    clock_advance(300 * SECOND);
    assert_why(f, "book:3", "old store");
}

static void test_why_shows_the_flight_and_its_waiters(void **state)
{
    struct fixture *f = *state;
    struct asked one, two;
    struct why why;

    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_ask(f, "book:3", &one);
    fixture_ask(f, "book:3", &two);
    lookup_why(f->lookup, SLICE("book:3"), &why);
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    fixture_run(f, &one);
    fixture_run(f, &two);

    assert_true(why.has_flight);
    assert_int_equal(why.flight.n_waiters, 2);
    asked_free(&one);
    asked_free(&two);
}

/* ---- evict ---- */

static void test_evict_drops_the_copy_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct asked a;

    warm(f);
    assert_true(lookup_evict(f->lookup, SLICE("book:3")));
    assert_false(lookup_evict(f->lookup, SLICE("book:3")));

    assert_string_equal(ask_text(f, "book:3", &a), tale);
    assert_int_equal(a.answer.source, LOOKUP_STORE);
    asked_free(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_absent_key_is_answered_by_the_store),
        TEST(test_a_fresh_copy_is_answered_by_the_cache_at_once),
        TEST(test_a_missing_row_is_a_miss_and_remembered),
        TEST(test_a_negative_copy_ends_with_its_own_age),
        TEST(test_a_key_that_can_name_no_row_never_asks_the_store),
        TEST(test_a_stale_copy_answers_while_it_is_refreshed),
        TEST(test_a_stale_copy_does_not_answer_under_race_never),
        TEST(test_a_copy_past_its_stale_window_waits_for_the_store),
        TEST(test_race_always_asks_both_and_refreshes_a_fresh_copy),
        TEST(test_the_loser_that_is_still_queued_is_withdrawn),
        TEST(test_one_flight_serves_all_who_ask_meanwhile),
        TEST(test_a_flight_goes_on_without_its_leader),
        TEST(test_a_flight_that_all_left_still_fills_the_cache),
        TEST(test_each_waiter_has_a_deadline_of_its_own),
        TEST(test_a_failed_store_is_an_error_not_a_miss),
        TEST(test_an_old_copy_answers_when_the_store_fails),
        TEST(test_a_copy_past_stale_if_error_does_not_answer),
        TEST(test_an_old_negative_copy_never_hides_a_failure),
        TEST(test_a_full_queue_is_busy),
        TEST(test_a_full_queue_leaves_the_race_to_the_copy),
        TEST(test_a_copy_that_got_fresh_answers_when_the_store_fails),
        TEST(test_an_age_of_nothing_asks_the_store),
        TEST(test_a_stale_bound_lets_an_older_copy_answer_meanwhile),
        TEST(test_a_wait_that_ends_takes_the_copy_that_is_allowed),
        TEST(test_no_wait_is_a_race_that_the_cache_wins),
        TEST(test_no_wait_takes_what_there_is_now),
        TEST(test_a_flight_that_hangs_lets_go_of_its_key),
        TEST(test_a_broken_store_is_down_at_once_and_copies_answer),
        TEST(test_a_table_can_have_freshness_of_its_own),
        TEST(test_the_outcomes_sum_to_the_lookups),
        TEST(test_why_tells_what_a_get_would_do),
        TEST(test_why_shows_the_flight_and_its_waiters),
        TEST(test_evict_drops_the_copy_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
