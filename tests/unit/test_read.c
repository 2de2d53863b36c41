/* SPDX-License-Identifier: MIT */
/*
 * Reads on behalf of a request: at once or later, one key or many, with a
 * client that leaves, and with memory that runs out or is bounded.
 */
#include "server/command/read.h"

#include "common/mem.h"
#include "common/task.h"
#include "server/admin/outcomes.h"
#include "server/admin/stats.h"
#include "tests/support/fake_client.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define TALE "{\"id\":3,\"title\":\"A Tale\",\"author\":null,\"year\":null}"

static int set_up(void **state)
{
    static const char *const directives[] = {"store-threads 1", NULL};
    struct fixture *f = fixture_new(directives);

    fake_store_set_book(f->fake, "3", "A Tale", NULL, NULL);
    fake_store_set_plain(f->fake, "k", "value", 0);
    fake_store_set_plain(f->fake, "empty", "", 0);
    stats_reset();
    *state = fake_client_new(f, 2);
    return 0;
}

static void hold_reads(struct fake_client *c)
{
    fake_store_hold(c->f->fake, FAKE_READ, FAKE_BEFORE);
}

static void release_reads(struct fake_client *c)
{
    fake_store_release(c->f->fake, FAKE_READ, FAKE_BEFORE);
}

/* ---- one key ---- */

static void
test_a_miss_of_the_cache_is_answered_later_and_a_hit_at_once(void **state)
{
    struct fake_client *c = *state;

    hold_reads(c);
    struct request *later = BEGIN(c, "GET", "k");
    assert_false(later->finished);
    release_reads(c);
    assert_string_equal(fake_client_take(c, later), "$5\r\nvalue\r\n");
    struct request *at_once = BEGIN(c, "GET", "k");

    assert_true(at_once->finished);
    assert_string_equal(fake_client_take(c, at_once), "$5\r\nvalue\r\n");
}

static void test_an_error_of_the_store_is_the_reply(void **state)
{
    struct fake_client *c = *state;

    fake_store_fail(c->f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);
    assert_memory_equal(CALL(c, "GET", "k"), "-STOREDOWN ", 11);
    fake_store_fail(c->f->fake, FAKE_READ, NULL, 1, ERR_STORE_DOWN);

    assert_memory_equal(CALL(c, "TTL", "k"), "-STOREDOWN ", 11);
    assert_string_equal(CALL(c, "GET", "k"), "$5\r\nvalue\r\n");
}

static void test_the_arguments_outlive_the_input(void **state)
{
    struct fake_client *c = *state;

    hold_reads(c);
    struct request *later = BEGIN(c, "HMGET", "book:3", "title", "no", "id");
    release_reads(c);

    assert_string_equal(fake_client_take(c, later),
                        "*3\r\n$6\r\nA Tale\r\n$-1\r\n$1\r\n3\r\n");
}

static void test_a_client_that_leaves_is_not_answered(void **state)
{
    struct fake_client *c = *state;

    hold_reads(c);
    (void)BEGIN(c, "GET", "k");
    fake_client_leave(c);
    release_reads(c);

    /* The read went on and filled the cache. */
    assert_string_equal(CALL(c, "GET", "k"), "$5\r\nvalue\r\n");
    assert_int_equal(fake_store_reads(c->f->fake, "k"), 1);
    assert_int_equal(outcomes_sum(OUTCOME_abandoned), 1);
}

static void test_a_client_may_leave_when_the_answer_is_on_its_way(void **state)
{
    struct fake_client *c = *state;
    struct task task;

    (void)BEGIN(c, "GET", "k");
    assert_true(chan_recv(chan_rx(c->f->home), &task)); /* It is decided … */
    fake_client_leave(c);                               /* … and unwanted. */
    task.run(task.arg);

    assert_string_equal(CALL(c, "GET", "k"), "$5\r\nvalue\r\n");
}

/* ---- many keys ---- */

static void test_many_keys_are_answered_in_their_order(void **state)
{
    struct fake_client *c = *state;

    (void)CALL(c, "GET", "book:3"); /* Cached: answered before the others. */
    assert_string_equal(
        CALL(c, "MGET", "k", "book:3", "none", "k", "empty", "book:99"),
        "*6\r\n$5\r\nvalue\r\n$51\r\n" TALE
        "\r\n$-1\r\n$5\r\nvalue\r\n$0\r\n\r\n$-1\r\n");
    assert_string_equal(CALL(c, "EXISTS", "k", "k", "none", "book:3"),
                        ":3\r\n");
}

static void test_values_of_many_keys_stay_apart_while_they_grow(void **state)
{
    enum { N = 40 };
    struct fake_client *c = *state;
    struct buf expected = {0};
    const char *words[N + 2] = {"MGET"};
    char keys[N][16];

    buf_printf(&expected, "*%d\r\n", N);
    for (int i = 0; i < N; i++) {
        char value[128];
        (void)snprintf(keys[i], sizeof keys[i], "key%d", i);
        memset(value, 'a' + i % 26, sizeof value);
        value[3 * i] = '\0';
        fake_store_set_plain(c->f->fake, keys[i], value, 0);
        buf_printf(&expected, "$%d\r\n%s\r\n", 3 * i, value);
        words[1 + i] = keys[i];
        if (i % 3 == 0) {
            (void)CALL(c, "GET", keys[i]);
        }
    }

    assert_string_equal(fake_client_take(c, fake_client_begin(c, words)),
                        buf_string(&expected));
    buf_destroy(&expected);
}

static void test_one_failure_is_the_reply_for_all(void **state)
{
    struct fake_client *c = *state;

    fake_store_fail(c->f->fake, FAKE_READ, "k", 1, ERR_STORE_DOWN);

    assert_memory_equal(CALL(c, "MGET", "book:3", "k", "none"), "-STOREDOWN ",
                        11);
}

static void test_a_client_may_leave_with_some_keys_answered(void **state)
{
    struct fake_client *c = *state;

    (void)CALL(c, "GET", "book:3");
    fake_store_hold_key(c->f->fake, FAKE_READ, FAKE_BEFORE, "k");
    (void)BEGIN(c, "MGET", "book:3", "none", "k");
    fixture_run_one(c->f); /* "none" is answered, "k" is held. */
    fake_client_leave(c);
    release_reads(c);

    assert_string_equal(CALL(c, "GET", "k"), "$5\r\nvalue\r\n");
    assert_int_equal(outcomes_sum(OUTCOME_abandoned), 1);
}

/* ---- many large values ---- */

#define LARGE_BYTES ((size_t)16 << 20)
#define TWICE(x) x, x
#define SIXTEEN_TIMES(x) TWICE(TWICE(TWICE(TWICE(x))))

/* A client of a cache that holds the large value of "k". */
static int set_up_large(void **state)
{
    static const char *const directives[] = {"plain-writes none",
                                             "maxmemory 64mb", NULL};
    struct fixture *f = fixture_new(directives);
    struct fake_client *c = fake_client_new(f, 2);
    char *value = xmalloc(LARGE_BYTES + 1);

    memset(value, 'x', LARGE_BYTES);
    value[LARGE_BYTES] = '\0';
    assert_string_equal(CALL(c, "SET", "k", value), "+OK\r\n");
    free(value);
    *state = c;
    return 0;
}

static void test_values_that_are_too_much_are_refused(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "MGET", SIXTEEN_TIMES("k"), "k"),
                        "-ERR the value is larger than the server accepts: ask "
                        "for fewer keys at once\r\n");
    assert_memory_equal(CALL(c, "MGET", "k", "none"), "*2\r\n$16777216\r\nxx",
                        17);
}

static void test_keys_are_counted_however_large_their_values(void **state)
{
    assert_string_equal(CALL(*state, "EXISTS", SIXTEEN_TIMES("k"), "k", "none"),
                        ":17\r\n");
}

/* ---- no memory ---- */

/* An allocation fails … */
enum moment {
    WHILE_ASKING,    /* … before the store is at it, */
    IN_THE_STORE,    /* … when it has found the row, */
    WHILE_ANSWERING, /* … when the answers have come home. */
};

/* Arms the failure and disarms it again around the command's part on this
 * thread, while the only thread of the store stands at a gate. */
static struct request *begin_failing(struct fake_client *c,
                                     const char *const *words, long n,
                                     bool *reached)
{
    struct fake_store *fake = c->f->fake;

    fake_store_hold_key(fake, FAKE_READ, FAKE_AFTER, "gate");
    struct request *gate = BEGIN(c, "GET", "gate");
    fake_store_wait_held(fake, FAKE_READ, FAKE_AFTER, 1);
    (void)mem_fail_nth(n);
    struct request *request = fake_client_begin(c, words);
    *reached = mem_fail_nth(0) == 0;
    fake_store_release(fake, FAKE_READ, FAKE_AFTER);
    (void)fake_client_take(c, gate);
    (void)lookup_evict(c->f->lookup, SLICE("gate"));
    return request;
}

/* Brings a command to 'moment' and arms the failure. */
static struct request *begin_and_arm(struct fake_client *c,
                                     const char *const *words,
                                     enum moment moment, size_t n_reads, long n)
{
    struct fake_store *fake = c->f->fake;
    struct request *request;

    if (moment == IN_THE_STORE) {
        fake_store_hold(fake, FAKE_READ, FAKE_AFTER);
        request = fake_client_begin(c, words);
        fake_store_wait_held(fake, FAKE_READ, FAKE_AFTER, 1);
        (void)mem_fail_nth(n);
        fake_store_release(fake, FAKE_READ, FAKE_AFTER);
        return request;
    }
    request = fake_client_begin(c, words);
    while (chan_len(chan_rx(c->f->home)) < n_reads) {
        (void)sched_yield();
    }
    (void)mem_fail_nth(n);
    return request;
}

/* Runs the command, which makes 'n_reads' reads of the store, with the n-th
 * allocation of a moment failing, for every n until none fails; each reply is
 * 'expected' or an error. */
static void survive(struct fake_client *c, const char *const *words,
                    enum moment moment, size_t n_reads, const char *expected)
{
    bool reached = true;

    for (long n = 1; reached; n++) {
        struct request *r;
        const char *reply;
        (void)lookup_evict(c->f->lookup, SLICE("k"));
        (void)lookup_evict(c->f->lookup, SLICE("book:3"));
        if (moment == WHILE_ASKING) {
            r = begin_failing(c, words, n, &reached);
            reply = fake_client_take(c, r);
        } else {
            r = begin_and_arm(c, words, moment, n_reads, n);
            reply = fake_client_take(c, r);
            reached = mem_fail_nth(0) == 0;
        }
        if (strcmp(reply, expected) != 0) {
            assert_true(strncmp(reply, "-OOM ", 5) == 0 ||
                        strncmp(reply, "-STOREBUSY ", 11) == 0);
        }
        assert_true(n < 50);
    }
    assert_string_equal(fake_client_take(c, fake_client_begin(c, words)),
                        expected);
}

static void survive_always(struct fake_client *c, const char *const *words,
                           size_t n_reads, const char *expected)
{
    survive(c, words, WHILE_ASKING, n_reads, expected);
    survive(c, words, WHILE_ANSWERING, n_reads, expected);
    if (n_reads == 1) { /* The store uses memory of its own between two. */
        survive(c, words, IN_THE_STORE, n_reads, expected);
    }
}

static void test_a_large_column_is_not_answered_without_limit(void **state)
{
    enum { NAMES = 300 };
    struct fake_client *c = *state;
    const char *words[NAMES + 3] = {"HMGET", "book:8"};
    char *title = xmalloc(1 << 20);

    memset(title, 'x', (1 << 20) - 1);
    title[(1 << 20) - 1] = '\0';
    fake_store_set_book(c->f->fake, "8", title, NULL, NULL);
    for (size_t i = 0; i < NAMES; i++) {
        words[i + 2] = "title"; /* 300 MB of it. */
    }

    assert_string_equal(
        fake_client_take(c, fake_client_begin(c, words)),
        "-ERR the value is larger than the server accepts: ask for fewer "
        "fields at once\r\n");
    free(title);
}

static void test_no_memory_is_an_error_for_one_key(void **state)
{
    struct fake_client *c = *state;

    survive_always(c, (const char *const[]){"GET", "k", NULL}, 1,
                   "$5\r\nvalue\r\n");
    survive_always(c, (const char *const[]){"HGET", "book:3", "title", NULL}, 1,
                   "$6\r\nA Tale\r\n");
}

static void test_no_memory_is_an_error_for_many_keys(void **state)
{
    struct fake_client *c = *state;

    survive_always(c, (const char *const[]){"MGET", "k", "book:3", "k", NULL},
                   2,
                   "*3\r\n$5\r\nvalue\r\n$51\r\n" TALE "\r\n$5\r\nvalue\r\n");
}

static void test_no_memory_for_a_row_is_an_error_and_not_cached(void **state)
{
    struct fake_client *c = *state;

    fake_store_hold(c->f->fake, FAKE_READ, FAKE_AFTER);
    struct request *r = BEGIN(c, "GET", "book:3");
    fake_store_wait_held(c->f->fake, FAKE_READ, FAKE_AFTER, 1);
    (void)mem_fail_nth(1);
    fake_store_release(c->f->fake, FAKE_READ, FAKE_AFTER);

    assert_memory_equal(fake_client_take(c, r), "-OOM ", 5);
    assert_string_equal(CALL(c, "GET", "book:3"), "$51\r\n" TALE "\r\n");
}

#define LARGE(name) \
    cmocka_unit_test_setup_teardown(name, set_up_large, fake_client_tear_down)
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, fake_client_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_miss_of_the_cache_is_answered_later_and_a_hit_at_once),
        TEST(test_an_error_of_the_store_is_the_reply),
        TEST(test_the_arguments_outlive_the_input),
        TEST(test_a_client_that_leaves_is_not_answered),
        TEST(test_a_client_may_leave_when_the_answer_is_on_its_way),
        TEST(test_many_keys_are_answered_in_their_order),
        TEST(test_values_of_many_keys_stay_apart_while_they_grow),
        TEST(test_one_failure_is_the_reply_for_all),
        TEST(test_a_client_may_leave_with_some_keys_answered),
        LARGE(test_values_that_are_too_much_are_refused),
        LARGE(test_keys_are_counted_however_large_their_values),
        TEST(test_no_memory_is_an_error_for_one_key),
        TEST(test_a_large_column_is_not_answered_without_limit),
        TEST(test_no_memory_is_an_error_for_many_keys),
        TEST(test_no_memory_for_a_row_is_an_error_and_not_cached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
