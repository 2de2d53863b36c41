/* SPDX-License-Identifier: MIT */
/*
 * What can happen to a lookup that waits, in each order of two events.
 *
 * 'main' waits for the store beside an old copy, which may answer if the store
 * fails.  Two of six things happen to it, one after the other; then whatever
 * is still under way ends well.  Each order is played twice: the loop runs
 * between the events ('prompt'), or only after both ('late').
 *
 *     fill      the store answers a read of the key
 *     expire    the copy passes its last permitted moment
 *     evict     the copy is dropped
 *     error     a read of the key fails
 *     timeout   'main' has waited long enough
 *     gone      the client of 'main' leaves
 *
 * 'second' waits on the same flight, and longer.  The others are witnesses:
 * they live behind another loop, and as each is decided after 'main', their
 * answer tells that what 'main' is to hear has been sent.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/task.h"
#include "common/timer.h"
#include "server/lookup/flight.h"
#include "server/lookup/freshness.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define KEY "book:3"

/* In seconds; the first two as in 'directives'. */
#define MAX_AGE 60
#define ON_ERROR 3600
#define LAST_MOMENT (MAX_AGE + ON_ERROR)
#define WAIT 2

static const char *const directives[] = {
    "max-age 60s",        "stale-while-revalidate 5m",
    "stale-if-error 1h",  "freshness-jitter 0%",
    "breaker-failures 0", "store-timeout 20s",
    "race never",         NULL};

enum event { FILL, EXPIRE, EVICT, ERROR, TIMEOUT, GONE };

static const char *const event_names[] = {"fill",  "expire",  "evict",
                                          "error", "timeout", "gone"};

/* What 'main' and 'second' hear; "-" is nothing. */
struct heard {
    const char *main;
    const char *second;
};

struct order {
    enum event first, then;
    struct heard prompt, late;
    const char *copy; /* That is cached in the end. */
};

/* clang-format off */
#define NEW    {"new", "new"}
#define OLD    {"old", "old"}
#define DOWN   {"down", "down"}
#define LEFT   {"-", "new"}

static const struct order orders[] = {
    {FILL, EXPIRE,    NEW,              NEW,                "new"},
    {FILL, EVICT,     NEW,              NEW,                "none"},
    {FILL, ERROR,     NEW,              NEW,                "new"},
    {FILL, TIMEOUT,   NEW,              NEW,                "new"},
    {FILL, GONE,      NEW,              LEFT,               "new"},
    {EXPIRE, FILL,    NEW,              NEW,                "new"},
    {EXPIRE, EVICT,   NEW,              NEW,                "new"},
    {EXPIRE, ERROR,   DOWN,             DOWN,               "old"},
    {EXPIRE, TIMEOUT, {"late", "new"},  {"late", "new"},    "new"},
    {EXPIRE, GONE,    LEFT,             LEFT,               "new"},
    {EVICT, FILL,     NEW,              NEW,                "new"},
    {EVICT, EXPIRE,   NEW,              NEW,                "new"},
    {EVICT, ERROR,    DOWN,             DOWN,               "none"},
    {EVICT, TIMEOUT,  {"late", "new"},  {"late", "new"},    "new"},
    {EVICT, GONE,     LEFT,             LEFT,               "new"},
    /* A copy that got new while the failure was on its way is as good. */
    {ERROR, FILL,     OLD,              NEW,                "new"},
    {ERROR, EXPIRE,   OLD,              DOWN,               "old"},
    {ERROR, EVICT,    OLD,              DOWN,               "none"},
    {ERROR, TIMEOUT,  OLD,              OLD,                "old"},
    {ERROR, GONE,     OLD,              {"-", "old"},       "old"},
    {TIMEOUT, FILL,   {"old", "new"},   NEW,                "new"},
    {TIMEOUT, EXPIRE, {"old", "new"},   {"late", "new"},    "new"},
    {TIMEOUT, EVICT,  {"old", "new"},   {"late", "new"},    "new"},
    {TIMEOUT, ERROR,  OLD,              OLD,                "old"},
    {TIMEOUT, GONE,   {"old", "new"},   LEFT,               "new"},
    {GONE, FILL,      LEFT,             LEFT,               "new"},
    {GONE, EXPIRE,    LEFT,             LEFT,               "new"},
    {GONE, EVICT,     LEFT,             LEFT,               "new"},
    {GONE, ERROR,     {"-", "old"},     {"-", "old"},       "old"},
    {GONE, TIMEOUT,   LEFT,             LEFT,               "new"},
};
/* clang-format on */

/* One lookup; where 'fixture_ask' has but one loop, these have two. */
struct party {
    struct pending_lookup *pending;
    int n_answers;
    struct answer answer;
    struct buf bytes;
};

struct scene {
    struct fixture *f;
    struct chan *elsewhere; /* The loop of the witnesses. */
    int64_t asked_us;
    struct party main, second;
    struct party at_timeout, at_end; /* Witnesses. */
    bool landed;                     /* The first flight has ended. */
};

static void on_answer(void *arg, const struct answer *answer)
{
    struct party *p = arg;

    p->pending = NULL;
    p->n_answers++;
    p->answer = *answer;
    buf_clear(&p->bytes);
    buf_append_slice(&p->bytes, answer->bytes);
}

static void ask(struct scene *s, struct party *p, struct chan *home,
                int64_t wait_us)
{
    const struct lookup_bounds bounds = {.wait_us = wait_us};
    const struct lookup_caller caller = {.home = chan_tx(home),
                                         .done = on_answer,
                                         .arg = p,
                                         .start_us = clock_now_us()};

    *p = (struct party){0};
    p->pending = lookup_get(s->f->lookup, SLICE(KEY), &bounds, &caller,
                            &p->bytes, &p->answer);
    assert_non_null(p->pending);
}

static const char *heard(const struct party *p)
{
    const struct slice bytes = buf_slice(&p->bytes);

    assert_in_range(p->n_answers, 0, 1);
    if (p->n_answers == 0) {
        return "-";
    }
    if (p->answer.outcome == LOOKUP_FAILED) {
        return p->answer.how == OUTCOME_timeout ? "late" : "down";
    }
    return memmem(bytes.data, bytes.size, "old", 3) != NULL ? "old" : "new";
}

static void run_until(struct chan *home, const struct party *p)
{
    struct task task;

    while (p->n_answers == 0 && chan_recv(chan_rx(home), &task)) {
        task.run(task.arg);
    }
}

/* Runs what has come home, waiting for nothing. */
static void run_home(struct scene *s)
{
    struct task task;

    while (chan_try_recv(chan_rx(s->f->home), &task) == ERR_OK) {
        task.run(task.arg);
    }
}

/* ---- the events ---- */

/* The read under way ends, or, when it has ended, another one. */
static void end_read(struct scene *s)
{
    struct party other;

    if (!s->landed) {
        fake_store_release(s->f->fake, FAKE_READ, FAKE_BEFORE);
        run_until(s->elsewhere, &s->at_end);
        s->landed = true;
        return;
    }
    ask(s, &other, s->elsewhere, FRESHNESS_NO_BOUND);
    run_until(s->elsewhere, &other);
    buf_destroy(&other.bytes);
}

static void happen(struct scene *s, enum event event)
{
    switch (event) {
    case FILL:
        end_read(s);
        break;
    case ERROR:
        fake_store_fail(s->f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
        end_read(s);
        break;
    case EXPIRE: /* The copy was filled at 0. */
        clock_advance(LAST_MOMENT * SECOND - clock_now_us());
        break;
    case TIMEOUT:
        clock_advance(s->asked_us + WAIT * SECOND + 1 - clock_now_us());
        run_until(s->elsewhere, &s->at_timeout);
        break;
    case EVICT:
        assert_true(lookup_evict(s->f->lookup, SLICE(KEY)));
        break;
    case GONE:
        if (s->main.pending != NULL) {
            lookup_cancel(s->main.pending);
            s->main.pending = NULL;
        }
        break;
    }
}

/* ---- a scene ---- */

/* So old is the copy when 'main' asks that 'expire' can come when it should. */
static int64_t age_at_start(const struct order *o)
{
    if (o->first == TIMEOUT && o->then == EXPIRE) {
        return LAST_MOMENT - WAIT - 1;
    }
    return o->first == EXPIRE || o->then == EXPIRE ? LAST_MOMENT - 1
                                                   : MAX_AGE + 600;
}

static void open_scene(struct scene *s, const struct order *o)
{
    struct asked a;

    clock_set_manual(0);
    *s = (struct scene){.f = fixture_new(directives),
                        .elsewhere =
                            chan_new(sizeof(struct task), CHAN_UNBOUNDED)};
    fake_store_set_book(s->f->fake, "3", "old", NULL, NULL);
    (void)ask_text(s->f, KEY, &a);
    asked_free(&a);
    fake_store_set_book(s->f->fake, "3", "new", NULL, NULL);
    clock_advance(age_at_start(o) * SECOND);

    s->asked_us = clock_now_us();
    fake_store_hold(s->f->fake, FAKE_READ, FAKE_BEFORE);
    ask(s, &s->main, s->f->home, WAIT * SECOND);
    ask(s, &s->second, s->f->home, FRESHNESS_NO_BOUND);
    ask(s, &s->at_timeout, s->elsewhere, WAIT * SECOND + 1);
    ask(s, &s->at_end, s->elsewhere, FRESHNESS_NO_BOUND);
    fake_store_wait_held(s->f->fake, FAKE_READ, FAKE_BEFORE, 1);
}

/* What is under way ends well; then nothing is. */
static void settle(struct scene *s)
{
    if (!s->landed) {
        end_read(s);
    }
    run_until(s->elsewhere, &s->at_timeout);
    run_until(s->f->home, &s->second);
    run_home(s);
    assert_int_equal(flights_count(lookup_flights(s->f->lookup)), 0);
    /* The store may keep a timer of its own, that looks after its reads. */
    assert_in_range(timers_count(s->f->timers), 0, 1);
}

static void close_scene(struct scene *s)
{
    buf_destroy(&s->main.bytes);
    buf_destroy(&s->second.bytes);
    buf_destroy(&s->at_timeout.bytes);
    buf_destroy(&s->at_end.bytes);
    fixture_free(s->f);
    chan_free(s->elsewhere);
    clock_set_real();
}

static const char *cached(struct fixture *f)
{
    struct buf bytes = {0};
    struct copy copy;
    const char *what = "none";

    if (cache_get(f->cache, SLICE(KEY), hash_bytes(SLICE(KEY)), 0, &copy,
                  &bytes)) {
        what = memmem(buf_data(&bytes), bytes.size, "old", 3) != NULL ? "old"
                                                                      : "new";
    }
    buf_destroy(&bytes);
    return what;
}

static void play(const struct order *o, bool prompt)
{
    const struct heard *expected = prompt ? &o->prompt : &o->late;
    struct scene s;

    print_message("%s, %s, %s\n", event_names[o->first], event_names[o->then],
                  prompt ? "prompt" : "late");
    open_scene(&s, o);
    happen(&s, o->first);
    if (prompt) {
        run_home(&s);
    }
    happen(&s, o->then);
    run_home(&s);
    settle(&s);

    assert_string_equal(heard(&s.main), expected->main);
    assert_string_equal(heard(&s.second), expected->second);
    assert_string_equal(cached(s.f), o->copy);
    close_scene(&s);
}

static void test_each_order_of_two_events_has_one_right_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        play(&orders[i], true);
        play(&orders[i], false);
    }
}

static void test_all_orders_are_there(void **state)
{
    bool seen[GONE + 1][GONE + 1] = {{false}};

    (void)state;
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        assert_int_not_equal(orders[i].first, orders[i].then);
        assert_false(seen[orders[i].first][orders[i].then]);
        seen[orders[i].first][orders[i].then] = true;
    }
    assert_int_equal(sizeof orders / sizeof orders[0], (GONE + 1) * GONE);
}

/* ---- a race that the store ends with a failure ---- */

#define RACES 20000

/* A copy within its stale window answers under 'race always' even if the store
 * is done first: what failed has not won.  When exactly it fails nobody says
 * here; it is before the cache often enough. */
static void test_a_store_that_fails_first_does_not_win(void **state)
{
    struct asked a;

    (void)state;
    clock_set_manual(0);
    struct fixture *f = fixture_new(directives);
    fake_store_set_book(f->fake, "3", "old", NULL, NULL);
    (void)ask_text(f, KEY, &a);
    asked_free(&a);
    fixture_set(f, "stale-if-error", "0s");
    fixture_set(f, "race", "always");
    clock_advance((MAX_AGE + 1) * SECOND);
    fake_store_fail(f->fake, FAKE_READ, NULL, UINT32_MAX, ERR_STORE_DOWN);
    for (int i = 0; i < RACES; i++) {
        fixture_ask(f, KEY, &a);
        fixture_run(f, &a);
        assert_int_equal(a.answer.outcome, LOOKUP_FOUND);
        assert_int_equal(a.answer.source, LOOKUP_CACHE);
        asked_free(&a);
    }
    fixture_free(f);
    clock_set_real();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_orders_are_there),
        cmocka_unit_test(test_each_order_of_two_events_has_one_right_answer),
        cmocka_unit_test(test_a_store_that_fails_first_does_not_win),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
