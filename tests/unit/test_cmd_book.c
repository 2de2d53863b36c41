/* SPDX-License-Identifier: MIT */
/*
 * BOOK.GET within bounds, BOOK.WHY and BOOK.SIMULATE, through a client without
 * a connection.
 */
#include "common/clock.h"
#include "server/admin/config.h"
#include "tests/support/fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000)

#define TALE                                               \
    "{\"id\":3,\"title\":\"A Tale\",\"author\":\"Charles " \
    "Dickens\",\"year\":1859}"
#define TALE_AGAIN                                                \
    "{\"id\":3,\"title\":\"A Tale, again\",\"author\":\"Charles " \
    "Dickens\",\"year\":1859}"

static void set_title(struct fixture *f, const char *title)
{
    fake_store_set_book(f->fake, "3", title, "Charles Dickens", "1859");
}

static int set_up_with(void **state, const char *simulate)
{
    const char *const directives[] = {"max-age 60s",
                                      "stale-while-revalidate 5m",
                                      "stale-if-error 1h",
                                      "negative-max-age 5s",
                                      "store-timeout 2s",
                                      "race stale",
                                      "freshness-jitter 0%",
                                      "breaker-failures 0",
                                      simulate,
                                      NULL};

    clock_set_manual(1000 * SECOND);
    struct fixture *f = fixture_new(directives);
    set_title(f, "A Tale");
    fake_store_set_plain(f->fake, "k", "value", 0);
    *state = fake_client_new(f, 2);
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, "enable-simulate-command yes");
}

static int set_up_serious(void **state)
{
    return set_up_with(state, "enable-simulate-command no");
}

/* The member 'name' of a map, in the form of protocol 2: its text, or its
 * number as text; "(none)" if it is not there.  Valid until the next. */
static const char *member(const char *reply, const char *name)
{
    static char text[256];
    char head[64];

    snprintf(head, sizeof head, "$%zu\r\n%s\r\n", strlen(name), name);
    const char *at = strstr(reply, head);
    if (at == NULL) {
        return "(none)";
    }
    at += strlen(head);
    if (*at == '$') {
        at = strchr(at, '\n');
    }
    const char *end = strstr(++at, "\r\n");
    assert_true(end != NULL && (size_t)(end - at) < sizeof text);
    snprintf(text, sizeof text, "%.*s", (int)(end - at), at);
    return text;
}

static int64_t number(const char *reply, const char *name)
{
    return strtoll(member(reply, name), NULL, 10);
}

static bool begins(const char *reply, const char *with)
{
    return strncmp(reply, with, strlen(with)) == 0;
}

/* Gets book:3 into the cache. */
static void warm(struct fake_client *c)
{
    assert_string_equal(member(CALL(c, "BOOK.GET", "book:3"), "value"), TALE);
}

/* ---- BOOK.GET ---- */

static void test_get_tells_who_answered_and_how_old_it_is(void **state)
{
    struct fake_client *c = *state;
    const char *reply;

    reply = CALL(c, "BOOK.GET", "book:3");
    assert_true(begins(reply, "*8\r\n"));
    assert_string_equal(member(reply, "value"), TALE);
    assert_string_equal(member(reply, "source"), "store");
    assert_int_equal(number(reply, "age-ms"), 0);

    clock_advance(7 * SECOND);
    reply = CALL(c, "book.get", "book:3");
    assert_string_equal(member(reply, "source"), "cache");
    assert_int_equal(number(reply, "age-ms"), 7000);
    assert_int_equal(number(reply, "took-us"), 0);
}

static void test_options_that_make_no_sense_are_errors(void **state)
{
    static const struct {
        const char *words[4];
        const char *error;
    } cases[] = {
        {{"MAXAGE"}, "-ERR syntax error\r\n"},
        {{"WAIT", "10", "STALE"}, "-ERR syntax error\r\n"},
        {{"FIELDS"}, "-ERR syntax error\r\n"},
        {{"NONSENSE", "1"}, "-ERR syntax error\r\n"},
        {{"MAXAGE", "x"},
         "-ERR MAXAGE takes a number of milliseconds, 0 or more\r\n"},
        {{"stale", "-1"},
         "-ERR stale takes a number of milliseconds, 0 or more\r\n"},
        {{"WAIT", "1s"},
         "-ERR WAIT takes a number of milliseconds, 0 or more\r\n"},
        {{"WAIT", "9223372036854775807"},
         "-ERR WAIT takes a number of milliseconds, 0 or more\r\n"},
    };
    struct fake_client *c = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const *w = cases[i].words;
        const char *const words[] = {"BOOK.GET", "book:3", w[0],
                                     w[1],       w[2],     NULL};
        assert_string_equal(fake_client_take(c, fake_client_begin(c, words)),
                            cases[i].error);
    }
    assert_int_equal(fake_store_reads(c->f->fake, "book:3"), 0);
}

static void test_maxage_tightens_and_never_loosens(void **state)
{
    struct fake_client *c = *state;

    warm(c);
    set_title(c->f, "A Tale, again");
    clock_advance(10 * SECOND);
    assert_string_equal(
        member(CALL(c, "BOOK.GET", "book:3", "MAXAGE", "10001"), "value"),
        TALE);
    assert_string_equal(
        member(CALL(c, "BOOK.GET", "book:3", "MAXAGE", "10000"), "value"),
        TALE_AGAIN);

    set_title(c->f, "A Tale");
    clock_advance(360 * SECOND); /* Past what the configuration allows. */
    assert_string_equal(member(CALL(c, "BOOK.GET", "book:3", "MAXAGE",
                                    "86400000", "STALE", "86400000"),
                               "value"),
                        TALE);
}

static void test_maxage_0_asks_the_store(void **state)
{
    struct fake_client *c = *state;

    warm(c);
    set_title(c->f, "A Tale, again");

    const char *reply = CALL(c, "BOOK.GET", "book:3", "MAXAGE", "0");
    assert_string_equal(member(reply, "source"), "store");
    assert_string_equal(member(reply, "value"), TALE_AGAIN);
}

static void test_stale_allows_a_copy_while_the_store_is_asked(void **state)
{
    struct fake_client *c = *state;

    warm(c);
    clock_advance(10 * SECOND);

    assert_string_equal(
        member(CALL(c, "BOOK.GET", "book:3", "MAXAGE", "5000", "STALE", "5001"),
               "source"),
        "cache");
    assert_string_equal(
        member(CALL(c, "BOOK.GET", "book:3", "MAXAGE", "0"), "source"),
        "store");
    clock_advance(10 * SECOND);
    assert_string_equal(
        member(CALL(c, "BOOK.GET", "book:3", "MAXAGE", "5000", "STALE", "5000"),
               "source"),
        "store");
}

static void test_wait_bounds_the_wait(void **state)
{
    struct fake_client *c = *state;

    fake_store_hold(c->f->fake, FAKE_READ, FAKE_BEFORE);
    struct request *r = BEGIN(c, "BOOK.GET", "book:3", "WAIT", "50");
    assert_false(r->finished);
    clock_advance(SECOND / 20);
    const char *reply = fake_client_take(c, r);
    fake_store_release(c->f->fake, FAKE_READ, FAKE_BEFORE);

    assert_true(begins(reply, "-STORETIMEOUT "));
}

static void test_wait_takes_the_old_copy_that_is_allowed(void **state)
{
    struct fake_client *c = *state;

    warm(c);
    clock_advance(400 * SECOND);
    fake_store_hold(c->f->fake, FAKE_READ, FAKE_BEFORE);
    struct request *r = BEGIN(c, "BOOK.GET", "book:3", "WAIT", "50");
    assert_false(r->finished);
    clock_advance(SECOND / 20);
    const char *reply = fake_client_take(c, r);
    fake_store_release(c->f->fake, FAKE_READ, FAKE_BEFORE);

    assert_string_equal(member(reply, "value"), TALE);
    assert_string_equal(member(reply, "source"), "cache");
    assert_int_equal(number(reply, "age-ms"), 400050);
    assert_int_equal(number(reply, "took-us"), 50000);
}

/* Cold, so that the names are looked at when their words have gone. */
static void test_fields_choose_columns_in_their_order(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(member(CALL(c, "BOOK.GET", "book:3", "WAIT", "1000",
                                    "FIELDS", "year", "title"),
                               "value"),
                        "{\"year\":1859,\"title\":\"A Tale\"}");
    assert_string_equal(
        member(CALL(c, "BOOK.GET", "book:3", "FIELDS", "id", "id"), "value"),
        "{\"id\":3}"); /* JSON has each name once. */
}

static void test_fields_that_are_not_there_are_errors(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(
        CALL(c, "BOOK.GET", "book:3", "FIELDS", "year", "pages"),
        "-ERR books has no column \"pages\"\r\n");
    assert_true(begins(CALL(c, "BOOK.GET", "k", "FIELDS", "x"), "-WRONGTYPE "));
    assert_true(begins(CALL(c, "BOOK.GET", "book:9", "FIELDS", "year"),
                       "*8\r\n$5\r\nvalue\r\n$-1\r\n"));
    assert_string_equal(member(CALL(c, "BOOK.GET", "k"), "value"), "value");
}

/* ---- BOOK.WHY ---- */

static void test_why_of_what_is_not_there_has_no_copy(void **state)
{
    struct fake_client *c = *state;
    const char *reply = CALL(c, "BOOK.WHY", "book:3");

    assert_true(begins(reply, "*12\r\n"));
    assert_string_equal(member(reply, "table"), "books");
    assert_string_equal(member(reply, "state"), "absent");
    assert_string_equal(member(reply, "answers"), "store");
    assert_string_equal(member(reply, "reason"), "there is no copy");
    assert_string_equal(member(reply, "race"), "stale");
    assert_string_equal(member(reply, "flight"), "no");
    assert_string_equal(member(CALL(c, "BOOK.WHY", "k"), "table"), "plain");
    assert_string_equal(member(CALL(c, "BOOK.WHY", "book:x"), "answers"),
                        "nobody");
    assert_int_equal(fake_store_calls(c->f->fake, FAKE_READ), 0);
}

static void test_why_tells_what_is_left_of_each_window(void **state)
{
    struct fake_client *c = *state;

    warm(c);
    clock_advance(61 * SECOND);
    const char *reply = CALL(c, "BOOK.WHY", "book:3");

    assert_true(begins(reply, "*30\r\n"));
    assert_string_equal(member(reply, "state"), "stale");
    assert_string_equal(member(reply, "answers"), "cache");
    assert_int_equal(number(reply, "age-ms"), 61000);
    assert_int_equal(number(reply, "max-age-left-ms"), -1000);
    assert_int_equal(number(reply, "stale-while-revalidate-left-ms"), 299000);
    assert_int_equal(number(reply, "stale-if-error-left-ms"), 3599000);
    assert_string_equal(member(reply, "origin"), "miss");
    assert_true(number(reply, "version") > 0);
    assert_true(number(reply, "bytes") > 0);
}

static void test_why_knows_where_a_copy_came_from(void **state)
{
    struct fake_client *c = *state;

    warm(c);
    (void)CALL(c, "SET", "book:3", "{\"title\":\"New\"}");
    assert_string_equal(member(CALL(c, "BOOK.WHY", "book:3"), "origin"),
                        "write");

    clock_advance(61 * SECOND);
    fake_store_hold(c->f->fake, FAKE_READ, FAKE_BEFORE);
    (void)CALL(c, "GET", "book:3"); /* Stale: it is refreshed. */
    struct request *r = BEGIN(c, "BOOK.GET", "book:3", "MAXAGE", "0");
    clock_advance(SECOND / 4);
    fake_store_release(c->f->fake, FAKE_READ, FAKE_BEFORE);
    (void)fake_client_take(c, r);
    const char *reply = CALL(c, "BOOK.WHY", "book:3");
    assert_string_equal(member(reply, "origin"), "refresh");
    assert_int_equal(number(reply, "store-took-us"), SECOND / 4);
}

static void test_why_shows_the_flight(void **state)
{
    struct fake_client *c = *state;

    fake_store_hold(c->f->fake, FAKE_READ, FAKE_BEFORE);
    struct request *r = BEGIN(c, "GET", "book:3");
    clock_advance(SECOND);
    const char *reply = CALL(c, "BOOK.WHY", "book:3");

    assert_true(begins(reply, "*16\r\n"));
    assert_string_equal(member(reply, "flight"), "yes");
    assert_int_equal(number(reply, "flight-age-ms"), 1000);
    assert_int_equal(number(reply, "flight-waiters"), 1);
    fake_store_release(c->f->fake, FAKE_READ, FAKE_BEFORE);
    (void)fake_client_take(c, r);
}

static void test_why_knows_what_is_not_in_the_store_yet(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "SET", "new", "x"), "+OK\r\n");

    const char *reply = CALL(c, "BOOK.WHY", "new");
    assert_string_equal(member(reply, "state"), "dirty");
    assert_string_equal(member(reply, "answers"), "cache");
}

/* ---- BOOK.SIMULATE ---- */

static void assert_directive(struct fake_client *c, enum config_id id,
                             const char *value)
{
    struct buf text = {0};

    config_format(c->f->config, id, &text);
    assert_string_equal(buf_string(&text), value);
    buf_destroy(&text);
}

static void test_simulate_is_refused_unless_enabled(void **state)
{
    struct fake_client *c = *state;

    assert_true(begins(CALL(c, "BOOK.SIMULATE", "delay", "1s"),
                       "-ERR BOOK.SIMULATE is not enabled"));
    assert_true(begins(CALL(c, "BOOK.SIMULATE", "off"), "-ERR "));
    assert_directive(c, CONFIG_store_delay, "0ms");
}

static void test_simulate_sets_all_that_is_named(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "BOOK.SIMULATE", "delay", "100ms", "jitter",
                             "10ms", "TAIL", "1%x20", "errors", "5%", "hang",
                             "yes"),
                        "+OK\r\n");
    assert_directive(c, CONFIG_store_delay, "100ms");
    assert_directive(c, CONFIG_store_jitter, "10ms");
    assert_directive(c, CONFIG_store_tail_rate, "1%");
    assert_directive(c, CONFIG_store_tail_factor, "20");
    assert_directive(c, CONFIG_store_error_rate, "5%");
    assert_directive(c, CONFIG_store_hang, "yes");

    assert_string_equal(CALL(c, "BOOK.SIMULATE", "off"), "+OK\r\n");
    assert_directive(c, CONFIG_store_delay, "0ms");
    assert_directive(c, CONFIG_store_tail_rate, "0%");
    assert_directive(c, CONFIG_store_error_rate, "0%");
    assert_directive(c, CONFIG_store_hang, "no");
}

static void test_simulate_sets_all_or_nothing(void **state)
{
    static const char *const wrong[][2] = {
        {"delay", "soon"},    {"errors", "101%"},   {"tail", "1%"},
        {"tail", "x10"},      {"hang", "perhaps"},  {"outage", "5s"},
        {"outage", "5s..1s"}, {"outage", "1s..1s"}, {"wind", "5s"},
        {"jitter", NULL},
    };
    struct fake_client *c = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *const words[] = {"BOOK.SIMULATE", "delay",     "7ms",
                                     wrong[i][0],     wrong[i][1], NULL};
        assert_true(
            begins(fake_client_take(c, fake_client_begin(c, words)), "-ERR "));
        assert_directive(c, CONFIG_store_delay, "0ms");
    }
}

static void test_an_outage_begins_and_ends_when_told(void **state)
{
    struct fake_client *c = *state;

    fixture_set(c->f, "stale-if-error", "0s");
    assert_string_equal(CALL(c, "BOOK.SIMULATE", "outage", "5s..35s"),
                        "+OK\r\n");
    warm(c);
    clock_advance(5 * SECOND);
    /* A copy that the configuration calls fresh answers for the store. */
    assert_true(begins(CALL(c, "BOOK.GET", "book:3", "MAXAGE", "0"), "*8\r\n"));
    assert_true(begins(CALL(c, "GET", "book:4"), "-STOREDOWN "));
    clock_advance(30 * SECOND - 1);
    assert_true(begins(CALL(c, "GET", "book:4"), "-STOREDOWN "));
    clock_advance(1);
    assert_string_equal(CALL(c, "GET", "book:4"), "$-1\r\n");
}

static void test_an_outage_told_again_begins_again(void **state)
{
    struct fake_client *c = *state;

    fixture_set(c->f, "stale-if-error", "0s");
    (void)CALL(c, "BOOK.SIMULATE", "outage", "1s..6s");
    clock_advance(6 * SECOND);
    (void)CALL(c, "BOOK.SIMULATE", "outage", "1s..6s");
    clock_advance(SECOND);
    assert_true(begins(CALL(c, "GET", "book:4"), "-STOREDOWN "));
    (void)CALL(c, "BOOK.SIMULATE", "outage", "10s..15s");
    assert_string_equal(CALL(c, "GET", "book:4"), "$-1\r\n");
    (void)CALL(c, "BOOK.SIMULATE", "outage", "0s..5s");
    assert_true(begins(CALL(c, "GET", "book:5"), "-STOREDOWN "));
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, fake_client_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_get_tells_who_answered_and_how_old_it_is),
        TEST(test_options_that_make_no_sense_are_errors),
        TEST(test_maxage_tightens_and_never_loosens),
        TEST(test_maxage_0_asks_the_store),
        TEST(test_stale_allows_a_copy_while_the_store_is_asked),
        TEST(test_wait_bounds_the_wait),
        TEST(test_wait_takes_the_old_copy_that_is_allowed),
        TEST(test_fields_choose_columns_in_their_order),
        TEST(test_fields_that_are_not_there_are_errors),
        TEST(test_why_of_what_is_not_there_has_no_copy),
        TEST(test_why_tells_what_is_left_of_each_window),
        TEST(test_why_knows_where_a_copy_came_from),
        TEST(test_why_shows_the_flight),
        TEST(test_why_knows_what_is_not_in_the_store_yet),
        cmocka_unit_test_setup_teardown(test_simulate_is_refused_unless_enabled,
                                        set_up_serious, fake_client_tear_down),
        TEST(test_simulate_sets_all_that_is_named),
        TEST(test_simulate_sets_all_or_nothing),
        TEST(test_an_outage_begins_and_ends_when_told),
        TEST(test_an_outage_told_again_begins_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
