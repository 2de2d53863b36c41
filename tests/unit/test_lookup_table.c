/* SPDX-License-Identifier: MIT */
/*
 * The table of lookup.h as data: for each state of the copy, each race, and
 * each thing the store may say, who answers, whether the store is asked, and
 * what copy is there afterwards.  And the ceiling: how old an answer can get,
 * whatever becomes of the refreshes.
 *
 * The store stands at a gate until the lookup had its chance, so that it is
 * the cache that wins a race.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "server/admin/stats.h"
#include "server/lookup/flight.h"
#include "server/lookup/freshness.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000)

/* In seconds; the same numbers as in 'directives'. */
#define MAX_AGE 60
#define STALE 300
#define ON_ERROR 3600
#define NEGATIVE_AGE 5

static const char *const directives[] = {
    "max-age 60s",           "stale-while-revalidate 5m", "stale-if-error 1h",
    "negative-max-age 5s",   "freshness-jitter 0%",       "breaker-failures 0",
    "behind-interval 3600s", "store-timeout 2s",          NULL};

enum state {
    STATE_FRESH,
    STATE_STALE,
    STATE_OLD,  /* Within stale-if-error. */
    STATE_DEAD, /* Past everything. */
    STATE_ABSENT,
    STATE_NEGATIVE,
    STATE_NEGATIVE_OLD,
    STATE_DIRTY,
    STATE_MEMORY
};

/* What the store says, if it is asked. */
enum says { SAYS_NEWER, SAYS_GONE, SAYS_FAILED, SAYS };

enum after { AFTER_NONE, AFTER_OLD, AFTER_NEWER, AFTER_NEGATIVE };

struct cell {
    enum state state;
    const char *race;
    bool asked;
    enum outcome how[SAYS];
    enum after after[SAYS];
};

#define ALL(outcome)                                            \
    {                                                           \
        OUTCOME_##outcome, OUTCOME_##outcome, OUTCOME_##outcome \
    }
#define STORE(failed)                                \
    {                                                \
        OUTCOME_miss, OUTCOME_miss, OUTCOME_##failed \
    }
#define KEPT                            \
    {                                   \
        AFTER_OLD, AFTER_OLD, AFTER_OLD \
    }
#define FILLED                                 \
    {                                          \
        AFTER_NEWER, AFTER_NEGATIVE, AFTER_OLD \
    }

static const struct cell cells[] = {
    {STATE_FRESH, "never", false, ALL(fresh_hit), KEPT},
    {STATE_FRESH, "stale", false, ALL(fresh_hit), KEPT},
    {STATE_FRESH, "always", true, ALL(race_cache), FILLED},
    {STATE_STALE, "never", true, STORE(stale_if_error), FILLED},
    {STATE_STALE, "stale", true, ALL(stale_hit), FILLED},
    {STATE_STALE, "always", true, ALL(race_cache), FILLED},
    {STATE_OLD, "never", true, STORE(stale_if_error), FILLED},
    {STATE_OLD, "stale", true, STORE(stale_if_error), FILLED},
    {STATE_OLD, "always", true, STORE(stale_if_error), FILLED},
    {STATE_DEAD, "never", true, STORE(down), FILLED},
    {STATE_DEAD, "stale", true, STORE(down), FILLED},
    {STATE_DEAD, "always", true, STORE(down), FILLED},
    {STATE_ABSENT,
     "never",
     true,
     STORE(down),
     {AFTER_NEWER, AFTER_NEGATIVE, AFTER_NONE}},
    {STATE_ABSENT,
     "stale",
     true,
     STORE(down),
     {AFTER_NEWER, AFTER_NEGATIVE, AFTER_NONE}},
    {STATE_ABSENT,
     "always",
     true,
     STORE(down),
     {AFTER_NEWER, AFTER_NEGATIVE, AFTER_NONE}},
    {STATE_NEGATIVE,
     "never",
     false,
     ALL(negative_hit),
     {AFTER_NEGATIVE, AFTER_NEGATIVE, AFTER_NEGATIVE}},
    {STATE_NEGATIVE,
     "stale",
     false,
     ALL(negative_hit),
     {AFTER_NEGATIVE, AFTER_NEGATIVE, AFTER_NEGATIVE}},
    {STATE_NEGATIVE,
     "always",
     true,
     ALL(race_cache),
     {AFTER_NEWER, AFTER_NEGATIVE, AFTER_NEGATIVE}},
    {STATE_NEGATIVE_OLD,
     "never",
     true,
     STORE(down),
     {AFTER_NEWER, AFTER_NEGATIVE, AFTER_NEGATIVE}},
    {STATE_NEGATIVE_OLD,
     "stale",
     true,
     STORE(down),
     {AFTER_NEWER, AFTER_NEGATIVE, AFTER_NEGATIVE}},
    {STATE_NEGATIVE_OLD,
     "always",
     true,
     STORE(down),
     {AFTER_NEWER, AFTER_NEGATIVE, AFTER_NEGATIVE}},
    {STATE_DIRTY, "never", false, ALL(fresh_hit), KEPT},
    {STATE_DIRTY, "stale", false, ALL(fresh_hit), KEPT},
    {STATE_DIRTY, "always", false, ALL(fresh_hit), KEPT},
    {STATE_MEMORY, "never", false, ALL(fresh_hit), KEPT},
    {STATE_MEMORY, "stale", false, ALL(fresh_hit), KEPT},
    {STATE_MEMORY, "always", false, ALL(fresh_hit), KEPT},
};

/* ---- what is there ---- */

static bool is_plain(enum state state)
{
    return state == STATE_DIRTY || state == STATE_MEMORY;
}

static const char *key_of(enum state state)
{
    return is_plain(state) ? "k" : "book:3";
}

static void set_book(struct fixture *f, const char *title)
{
    fake_store_set_book(f->fake, "3", title, NULL, NULL);
}

/* The title in a book as JSON, or the plain value, or "-" if there is none. */
static const char *content(struct asked *a)
{
    const char *text = asked_text(a);
    const char *titles[] = {"old", "newer"};

    if (a->answer.outcome != LOOKUP_FOUND) {
        return "-";
    }
    for (size_t i = 0; i < 2; i++) {
        if (strstr(text, titles[i]) != NULL) {
            return titles[i];
        }
    }
    return text;
}

static void put_plain(struct fixture *f, const char *mode)
{
    struct written w;

    fixture_set(f, "plain-writes", mode);
    fixture_put(f, "k", "old", &w);
    assert_true(w.answered);
    assert_int_equal(w.result.err, ERR_OK);
    written_free(&w);
}

static void read_once(struct fixture *f)
{
    struct asked a;

    (void)ask_text(f, "book:3", &a);
    asked_free(&a);
}

/* Brings the copy of the key into 'state'. */
static void arrange(struct fixture *f, enum state state)
{
    static const int64_t ages[] = {[STATE_FRESH] = MAX_AGE - 1,
                                   [STATE_STALE] = MAX_AGE + STALE - 1,
                                   [STATE_OLD] = MAX_AGE + ON_ERROR - 1,
                                   [STATE_DEAD] = MAX_AGE + ON_ERROR,
                                   [STATE_ABSENT] = 0,
                                   [STATE_NEGATIVE] = NEGATIVE_AGE - 1,
                                   [STATE_NEGATIVE_OLD] = NEGATIVE_AGE,
                                   [STATE_DIRTY] = MAX_AGE + ON_ERROR,
                                   [STATE_MEMORY] = MAX_AGE + ON_ERROR};

    if (state == STATE_DIRTY) {
        fake_store_hold(f->fake, FAKE_BEGIN, FAKE_BEFORE);
        put_plain(f, "behind");
    } else if (state == STATE_MEMORY) {
        put_plain(f, "none");
    } else if (state == STATE_NEGATIVE || state == STATE_NEGATIVE_OLD) {
        read_once(f);
    } else if (state != STATE_ABSENT) {
        set_book(f, "old");
        read_once(f);
    }
    clock_advance(ages[state] * SECOND);
}

static void set_store(struct fixture *f, enum says says)
{
    switch (says) {
    case SAYS_NEWER:
        set_book(f, "newer");
        fake_store_set_plain(f->fake, "k", "newer", 0);
        break;
    case SAYS_GONE:
        (void)fake_store_remove(f->fake, "book:3");
        break;
    default:
        fake_store_fail(f->fake, FAKE_READ, NULL, 2, ERR_STORE_DOWN);
        break;
    }
}

/* Opens the gate; waits until the flight, if there is one, has ended. */
static void land(struct fixture *f, const char *key)
{
    const struct lookup_bounds newest = {.wait_us = FRESHNESS_NO_BOUND};
    struct asked follower;
    const bool flies = flights_count(lookup_flights(f->lookup)) > 0;

    if (flies) {
        fixture_ask_within(f, key, &newest, &follower); /* Joins it. */
    }
    fake_store_release(f->fake, FAKE_READ, FAKE_BEFORE);
    if (flies) {
        fixture_run(f, &follower);
        asked_free(&follower);
    }
    assert_int_equal(flights_count(lookup_flights(f->lookup)), 0);
}

static enum after copy_after(struct fixture *f, const char *key)
{
    const struct slice k = slice_from_string(key);
    struct buf bytes = {0};
    struct copy copy;
    enum after after = AFTER_NONE;

    if (cache_get(f->cache, k, hash_bytes(k), 0, &copy, &bytes)) {
        after = copy.kind == COPY_NEGATIVE ? AFTER_NEGATIVE
                : memmem(bytes.size == 0 ? "" : buf_data(&bytes), bytes.size,
                         "newer", 5) != NULL
                    ? AFTER_NEWER
                    : AFTER_OLD;
    }
    buf_destroy(&bytes);
    return after;
}

/* ---- the table ---- */

static const char *expected_content(const struct cell *cell, enum outcome how,
                                    enum says says)
{
    switch (how) {
    case OUTCOME_miss:
        return says == SAYS_NEWER ? "newer" : "-";
    case OUTCOME_fresh_hit:
    case OUTCOME_stale_hit:
    case OUTCOME_race_cache:
    case OUTCOME_stale_if_error:
        return cell->state == STATE_NEGATIVE ? "-" : "old";
    default:
        return "-";
    }
}

static enum lookup_outcome expected_outcome(const struct cell *cell,
                                            enum outcome how, enum says says)
{
    if (how == OUTCOME_down) {
        return LOOKUP_FAILED;
    }
    return *expected_content(cell, how, says) == '-' ? LOOKUP_MISS
                                                     : LOOKUP_FOUND;
}

static void check_cell(const struct cell *cell, enum says says)
{
    struct fixture *f = fixture_new(directives);
    const char *key = key_of(cell->state);
    const enum outcome how = cell->how[says];
    struct asked a;

    arrange(f, cell->state);
    set_store(f, says);
    fixture_set(f, "race", cell->race);
    fake_store_hold(f->fake, FAKE_READ, FAKE_BEFORE);
    const int64_t reads = stats_sum(STATS_store_reads);
    fixture_ask(f, key, &a);
    /* Whoever does not depend on the store does not wait for it. */
    assert_int_equal(a.answered, how != OUTCOME_miss && cell->how[0] == how);
    land(f, key);
    fixture_run(f, &a);

    assert_int_equal(a.answer.how, how);
    assert_int_equal(a.answer.outcome, expected_outcome(cell, how, says));
    assert_string_equal(content(&a), expected_content(cell, how, says));
    assert_int_equal(a.answer.source, how == OUTCOME_miss || how == OUTCOME_down
                                          ? LOOKUP_STORE
                                          : LOOKUP_CACHE);
    assert_int_equal(stats_sum(STATS_store_reads) - reads, cell->asked);
    assert_int_equal(copy_after(f, key), cell->after[says]);
    fake_store_forgive(f->fake);
    fake_store_release(f->fake, FAKE_BEGIN, FAKE_BEFORE);
    asked_free(&a);
    fixture_free(f);
}

static void test_every_cell_of_the_table_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        for (enum says says = 0; says < SAYS; says++) {
            print_message("state %d, race %s, store %d\n", (int)cells[i].state,
                          cells[i].race, (int)says);
            check_cell(&cells[i], says);
        }
    }
}

/* ---- the ceiling ---- */

#define KEYS 20
#define STEP 7 /* Seconds; no divisor of the windows. */
#define JITTERED (MAX_AGE + MAX_AGE / 10)

static void fill_all(struct fixture *f)
{
    for (int i = 0; i < KEYS; i++) {
        struct asked a;
        char key[32];
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        snprintf(key, sizeof key, "book:%d", i);
        fake_store_set_book(f->fake, id, "old", NULL, NULL);
        (void)ask_text(f, key, &a);
        asked_free(&a);
    }
}

/* Asks for every key at every step; each refresh fails.  Returns the age, in
 * seconds, of the oldest answer. */
static int64_t oldest_answer(struct fixture *f, int64_t until)
{
    int64_t oldest_us = 0;

    fake_store_fail(f->fake, FAKE_READ, NULL, UINT32_MAX, ERR_STORE_DOWN);
    for (int64_t age = 0; age <= until; age += STEP) {
        for (int i = 0; i < KEYS; i++) {
            struct asked a;
            char key[32];
            snprintf(key, sizeof key, "book:%d", i);
            (void)ask_text(f, key, &a);
            if (a.answer.outcome == LOOKUP_FOUND &&
                a.answer.age_us > oldest_us) {
                oldest_us = a.answer.age_us;
            }
            asked_free(&a);
        }
        clock_advance(STEP * SECOND);
    }
    fake_store_forgive(f->fake);
    return oldest_us / SECOND;
}

static void test_failing_refreshes_do_not_prolong_a_copy(void **state)
{
    static const struct {
        const char *race;
        const char *on_error;
        int64_t ceiling; /* Seconds, jitter included. */
    } cases[] = {
        {"never", "0s", JITTERED},
        {"stale", "0s", JITTERED + STALE},
        {"always", "0s", JITTERED + STALE},
        {"never", "1h", JITTERED + ON_ERROR},
        {"stale", "1h", JITTERED + ON_ERROR},
        {"always", "1h", JITTERED + ON_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = fixture_new(directives);

        fixture_set(f, "freshness-jitter", "10%");
        fixture_set(f, "race", cases[i].race);
        fixture_set(f, "stale-if-error", cases[i].on_error);
        fill_all(f);
        const int64_t oldest = oldest_answer(f, cases[i].ceiling + 2 * STEP);

        assert_true(oldest < cases[i].ceiling);
        /* And the window is used: less 2/10 of jitter, and a step. */
        assert_true(oldest > cases[i].ceiling - MAX_AGE / 5 - STEP - 1);
        fixture_free(f);
    }
}

/* The row was read when the read began to be asked for, so it counts from
 * there, however late it comes. */
static void
test_a_refresh_that_took_long_is_as_old_as_its_question(void **state)
{
    struct fixture *f = fixture_new(directives);
    struct asked a, late;

    (void)state;
    fixture_set(f, "store-timeout", "3600s");
    fixture_set(f, "stale-if-error", "0s");
    set_book(f, "old");
    read_once(f);
    clock_advance((MAX_AGE + 1) * SECOND);
    fake_store_hold(f->fake, FAKE_READ, FAKE_AFTER);
    fixture_ask(f, "book:3", &a); /* Stale: answered, and refreshed. */
    assert_int_equal(a.answer.how, OUTCOME_stale_hit);
    asked_free(&a);
    fake_store_wait_held(f->fake, FAKE_READ, FAKE_AFTER, 1);
    set_book(f, "newer");
    clock_advance((MAX_AGE + STALE) * SECOND);
    fixture_ask(f, "book:3", &late);
    fake_store_release(f->fake, FAKE_READ, FAKE_AFTER);
    fixture_run(f, &late);
    asked_free(&late);

    fixture_ask(f, "book:3", &a);
    assert_false(a.answered); /* The copy is past its last moment already. */
    fixture_run(f, &a);
    assert_string_equal(content(&a), "newer");
    asked_free(&a);
    fixture_free(f);
}

static int take_clock(void **state)
{
    (void)state;
    clock_set_manual(1000 * SECOND);
    return 0;
}

static int give_clock(void **state)
{
    (void)state;
    clock_set_real();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, take_clock, give_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_cell_of_the_table_holds),
        TEST(test_failing_refreshes_do_not_prolong_a_copy),
        TEST(test_a_refresh_that_took_long_is_as_old_as_its_question),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
