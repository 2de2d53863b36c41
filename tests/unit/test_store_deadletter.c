/* SPDX-License-Identifier: MIT */
/* Dead letters: what the database refuses is kept, seen, and dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/attr.h"
#include "common/log.h"
#include "server/store/deadletter_internal.h"
#include "tests/support/store_calls.h"

static struct store_bed bed;

static int set_up(void **state)
{
    (void)state;
    store_bed_init(&bed);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_bed_destroy(&bed);
    return 0;
}

/* A deferred write from start to end. */
static void write_behind(struct written *w, const char *key, const char *value)
{
    store_bed_set(&bed, "behind-interval", "1ms");
    written_init(w, key, value);
    w->write.deferred = true;
    assert_int_equal(written_start(bed.store, w), ERR_OK);
    written_wait(w);
}

static void show(void *arg, const struct dead_letter *letter)
{
    buf_printf(arg, "%lld %s %.*s %.*s: %.*s\n", (long long)letter->id,
               dead_letter_op(letter->op), (int)letter->key.size,
               letter->key.data, (int)letter->value.size, letter->value.data,
               (int)letter->detail.size, letter->detail.data);
}

static void assert_letters(const char *all)
{
    struct buf shown = {0};

    (void)store_dead_letters(bed.store, 0, SIZE_MAX, show, &shown);
    assert_string_equal(buf_string(&shown), all);
    buf_destroy(&shown);
}

struct dropped {
    struct dead_letter_drop drop;
    struct waitgroup ended;
    enum err err;
};

static void on_dropped(struct dead_letter_drop *drop, enum err err,
                       struct slice detail)
{
    struct dropped *d = container_of(drop, struct dropped, drop);

    (void)detail;
    d->err = err;
    wg_done(&d->ended);
}

static size_t drop(int64_t id)
{
    struct dropped d = {.drop = {.id = id, .done = on_dropped}};

    wg_init(&d.ended);
    wg_add(&d.ended, 1);
    assert_int_equal(store_dead_letter_drop(bed.store, &d.drop), ERR_OK);
    wg_wait(&d.ended);
    wg_destroy(&d.ended);
    assert_int_equal(d.err, ERR_OK);
    return d.drop.n_dropped;
}

#define REFUSED "NOT NULL constraint failed: books.title"
#define NAMELESS "{\"author\":\"nobody\"}"

static void test_a_refused_deferred_write_becomes_a_letter(void **state)
{
    struct written w;

    (void)state;
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);
    write_behind(&w, "book:77", NAMELESS);

    assert_int_equal(w.err, ERR_CONSTRAINT);
    assert_int_equal(store_dead_letter_count(bed.store), 1);
    assert_letters("1 PUT_ROW book:77 " NAMELESS ": " REFUSED "\n");
    written_destroy(&w);
}

static void test_letters_are_there_after_a_restart(void **state)
{
    struct written w;

    (void)state;
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);
    write_behind(&w, "book:77", NAMELESS);
    written_destroy(&w);
    store_bed_close(&bed);
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);
    write_behind(&w, "book:78", NAMELESS);
    written_destroy(&w);

    assert_letters("1 PUT_ROW book:77 " NAMELESS ": " REFUSED "\n"
                   "2 PUT_ROW book:78 " NAMELESS ": " REFUSED "\n");
}

static void test_a_letter_is_dropped_for_good(void **state)
{
    struct written w;

    (void)state;
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);
    for (int i = 1; i <= 3; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "book:9%d", i);
        write_behind(&w, key, NAMELESS);
        written_destroy(&w);
    }
    assert_int_equal(drop(2), 1);
    assert_int_equal(drop(2), 0);
    store_bed_close(&bed);
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);

    assert_letters("1 PUT_ROW book:91 " NAMELESS ": " REFUSED "\n"
                   "3 PUT_ROW book:93 " NAMELESS ": " REFUSED "\n");
    assert_int_equal(drop(0), 2);
    assert_letters("");
}

static void test_a_refused_write_does_not_stop_the_rest(void **state)
{
    struct written bad, good;

    (void)state;
    store_bed_set(&bed, "behind-interval", "1ms");
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);
    written_init(&bad, "book:77", NAMELESS);
    written_init(&good, "book:78", "{\"title\":\"Emma\"}");
    bad.write.deferred = true;
    good.write.deferred = true;
    assert_int_equal(written_start(bed.store, &bad), ERR_OK);
    assert_int_equal(written_start(bed.store, &good), ERR_OK);
    written_wait(&bad);
    written_wait(&good);

    assert_int_equal(bad.err, ERR_CONSTRAINT);
    assert_int_equal(good.err, ERR_OK);
    written_destroy(&bad);
    written_destroy(&good);
}

static void test_an_urgent_write_that_is_refused_is_no_letter(void **state)
{
    (void)state;
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);
    assert_int_equal(write_now(bed.store, "book:77", NAMELESS), ERR_CONSTRAINT);

    assert_int_equal(store_dead_letter_count(bed.store), 0);
}

static void test_what_fails_all_alone_again_and_again_is_set_aside(void **state)
{
    struct written w;

    (void)state;
    assert_int_equal(store_bed_open_fake(&bed), ERR_OK);
    fake_store_fail(bed.fake, FAKE_APPLY, "bad", 100, ERR_STORE_CORRUPT);
    write_behind(&w, "bad", "1");

    assert_int_equal(w.err, ERR_STORE_CORRUPT);
    assert_letters("1 PUT_PLAIN bad 1: as the test wanted\n");
    assert_int_equal(write_now(bed.store, "good", "1"), ERR_OK);
    written_destroy(&w);
}

static void test_the_newer_of_folded_writes_fails_alone(void **state)
{
    struct written older, newer, urgent;

    (void)state;
    store_bed_set(&bed, "behind-interval", "1h");
    assert_int_equal(store_bed_open_fake(&bed), ERR_OK);
    written_init(&older, "key", "older");
    written_init(&newer, "key", "newer");
    older.write.deferred = true;
    newer.write.deferred = true;
    /* The newer one alone, then the older, then the newer again. */
    fake_store_fail(bed.fake, FAKE_APPLY, "key", 1, ERR_TOO_BIG);
    assert_int_equal(written_start(bed.store, &older), ERR_OK);
    assert_int_equal(written_start(bed.store, &newer), ERR_OK);
    written_init(&urgent, "other", "1");
    assert_int_equal(written_start(bed.store, &urgent), ERR_OK);
    written_wait(&urgent);

    assert_int_equal(older.err, ERR_OK);
    assert_int_equal(newer.err, ERR_OK);
    assert_int_equal(fake_store_calls(bed.fake, FAKE_APPLY), 4);
    assert_int_equal(store_dead_letter_count(bed.store), 0);
    written_destroy(&older);
    written_destroy(&newer);
    written_destroy(&urgent);
}

static void test_the_oldest_go_when_there_are_too_many(void **state)
{
    struct dead_letters *letters = dead_letters_new();
    struct dead_letter letter = {.op = STORE_PUT_PLAIN,
                                 .key = SLICE("key"),
                                 .value = SLICE("value"),
                                 .detail = SLICE("why")};

    (void)state;
    for (int i = 0; i < DEAD_LETTERS_MAX + 5; i++) {
        letter.id = dead_letters_next_id(letters);
        dead_letters_add(letters, &letter);
    }

    assert_int_equal(dead_letters_count(letters), DEAD_LETTERS_MAX);
    assert_int_equal(dead_letters_first_id(letters), 6);
    dead_letters_free(letters);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_refused_deferred_write_becomes_a_letter),
        CASE(test_letters_are_there_after_a_restart),
        CASE(test_a_letter_is_dropped_for_good),
        CASE(test_a_refused_write_does_not_stop_the_rest),
        CASE(test_an_urgent_write_that_is_refused_is_no_letter),
        CASE(test_what_fails_all_alone_again_and_again_is_set_aside),
        CASE(test_the_newer_of_folded_writes_fails_alone),
        CASE(test_the_oldest_go_when_there_are_too_many),
    };

    log_init();
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
