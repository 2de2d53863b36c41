/* SPDX-License-Identifier: MIT */
/*
 * Updates beside others: readers of keys that are written all the time, copies
 * that go while they are looked at, and what all plain keys being deleted
 * leaves behind.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/thread.h"
#include "server/lookup/flight.h"
#include "tests/support/lookup_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static int set_up_none(void **state)
{
    static const char *const directives[] = {"plain-writes none", NULL};

    *state = fixture_new(directives);
    return 0;
}

static int set_up_through(void **state)
{
    static const char *const directives[] = {"plain-writes through",
                                             "max-age 1h", NULL};

    *state = fixture_new(directives);
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/* ---- others, who do something until they are stopped ---- */

struct other {
    struct fixture *f;
    _Atomic bool stop; /* Relaxed. */
    void (*act)(struct fixture *f);
    struct thread thread;
};

static void run(void *arg)
{
    struct other *other = arg;

    while (!atomic_load_explicit(&other->stop, memory_order_relaxed)) {
        other->act(other->f);
    }
}

static void start(struct other *other, struct fixture *f,
                  void (*act)(struct fixture *f))
{
    other->f = f;
    other->act = act;
    atomic_init(&other->stop, false);
    assert_int_equal(thread_start(&other->thread, "other", run, other), ERR_OK);
}

static void stop(struct other *other)
{
    atomic_store_explicit(&other->stop, true, memory_order_relaxed);
    thread_join(&other->thread);
}

/* ---- readers of what is written all the time ---- */

/* As a group in memory does: hidden, put anew, shown; and all over again. */
static void put_again(struct fixture *f)
{
    struct flights *flights = lookup_flights(f->lookup);
    const struct slice key = SLICE("k");
    const uint64_t hash = hash_bytes(key);
    struct copy copy = {.kind = COPY_STRING, .memory_only = true};

    flights_lock(flights, hash);
    (void)cache_hide(f->cache, key, hash, true);
    for (int64_t end_us = clock_now_us() + 20; clock_now_us() < end_us;) {
    }
    if (cache_put(f->cache, key, hash, &copy, SLICE("value")) != ERR_OK) {
        abort();
    }
    flights_unlock(flights, hash);
}

static void test_a_key_that_groups_write_all_the_time_is_there(void **state)
{
    struct fixture *f = *state;
    struct other others[3];
    struct asked a;
    size_t n_missed = 0;

    put_again(f);
    for (size_t i = 0; i < 3; i++) {
        start(&others[i], f, put_again);
    }
    for (size_t i = 0; i < 20000; i++) {
        fixture_ask(f, "k", &a);
        n_missed += a.answer.outcome != LOOKUP_FOUND;
        asked_free(&a);
    }
    for (size_t i = 0; i < 3; i++) {
        stop(&others[i]);
    }

    assert_int_equal(n_missed, 0);
}

/* ---- copies that go ---- */

static enum err add_one(void *context, const struct present *now,
                        struct update *update, struct buf *room,
                        struct buf *detail)
{
    int64_t number = 0;

    (void)context;
    (void)detail;
    if (now->kind != COPY_NEGATIVE) {
        (void)slice_to_int64(now->bytes, &number);
    }
    buf_append_int64(room, number + 1);
    update->value = buf_slice(room);
    return ERR_OK;
}

static void lose_number(struct fixture *f)
{
    (void)cache_remove(f->cache, SLICE("n"), hash_bytes(SLICE("n")));
}

static void test_what_is_in_memory_only_never_goes_to_the_store(void **state)
{
    struct fixture *f = *state;
    const struct update grow = {
        .op = STORE_PUT_PLAIN, .key = SLICE("n"), .decide = add_one};
    struct other other;
    struct written w;
    size_t n_through = 0;

    start(&other, f, lose_number);
    for (size_t i = 0; i < 100000; i++) {
        fixture_update(f, &grow, &w);
        if (!w.answered) {
            n_through++;
            fixture_run_write(f, &w);
        }
        written_free(&w);
    }
    stop(&other);

    assert_int_equal(n_through, 0);
    assert_false(fake_store_has(f->fake, "n"));
}

static void note(void *context, const struct present *now)
{
    *(enum copy_kind *)context = now->kind;
}

static void test_who_reads_both_finds_what_is_in_memory_only(void **state)
{
    struct fixture *f = *state;
    enum copy_kind plain = COPY_NEGATIVE;
    enum copy_kind record = COPY_NEGATIVE;
    const struct update reads[] = {
        {.op = STORE_READ, .key = SLICE("k"), .context = &plain, .found = note},
        {.op = STORE_READ,
         .key = SLICE("book:3"),
         .context = &record,
         .found = note},
    };
    struct written w;
    struct grouped g;

    fake_store_set_book(f->fake, "3", "old", NULL, NULL);
    fixture_put(f, "k", "value", &w);
    fixture_group(f, reads, 2, NULL, NULL, &g);
    fixture_run_group(f, &g);

    assert_int_equal(plain, COPY_STRING);
    assert_int_equal(record, COPY_RECORD);
}

/* ---- after all plain keys were deleted ---- */

/* Both come to the same place wherever writes under way are counted. */
static bool is_beside(uint64_t a, uint64_t b)
{
    return (a & 0xffff) == (b & 0xffff);
}

static void test_copies_are_kept_after_all_keys_were_deleted(void **state)
{
    struct fixture *f = *state;
    const uint64_t hash = hash_bytes(SLICE(""));
    struct slice key = SLICE("");
    struct copy copy;
    struct written w;
    char name[24];

    for (unsigned i = 0; key.size == 0 || !is_beside(hash_bytes(key), hash);
         i++) {
        (void)snprintf(name, sizeof name, "key:%u", i);
        key = slice_from_string(name);
    }
    fake_store_set_plain(f->fake, "other", "old", 0);
    fixture_update(
        f, &(struct update){.op = STORE_CLEAR_PLAIN, .key = SLICE("")}, &w);
    fixture_run_write(f, &w);
    assert_int_equal(w.result.err, ERR_OK);
    fixture_put(f, name, "value", &w);
    fixture_run_write(f, &w);

    assert_true(cache_get(f->cache, key, hash_bytes(key), 0, &copy, NULL));
}

#define NONE(name) cmocka_unit_test_setup_teardown(name, set_up_none, tear_down)
#define THROUGH(name) \
    cmocka_unit_test_setup_teardown(name, set_up_through, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NONE(test_a_key_that_groups_write_all_the_time_is_there),
        NONE(test_what_is_in_memory_only_never_goes_to_the_store),
        NONE(test_who_reads_both_finds_what_is_in_memory_only),
        THROUGH(test_copies_are_kept_after_all_keys_were_deleted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
