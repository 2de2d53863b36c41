/* SPDX-License-Identifier: MIT */
/*
 * Writes on behalf of a request: acknowledged at once or later, one key or
 * many, with a client that leaves, and with memory that runs out.
 */
#include "server/command/write.h"

#include "common/mem.h"
#include "tests/support/fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define OLD_BOOK "{\"id\":3,\"title\":\"Old\",\"author\":null,\"year\":null}"
#define NEW_BOOK "{\"id\":3,\"title\":\"New\",\"author\":null,\"year\":null}"

static int set_up_with(void **state, const char *plain_writes)
{
    const char *const directives[] = {plain_writes, "behind-interval 1h", NULL};
    struct fixture *f = fixture_new(directives);

    fake_store_set_book(f->fake, "3", "Old", NULL, NULL);
    fake_store_set_plain(f->fake, "k", "old", 0);
    *state = fake_client_new(f, 2);
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, "plain-writes through");
}

static int set_up_behind(void **state)
{
    return set_up_with(state, "plain-writes behind");
}

static void hold_commits(struct fake_client *c)
{
    fake_store_hold(c->f->fake, FAKE_COMMIT, FAKE_BEFORE);
}

static void release_commits(struct fake_client *c)
{
    fake_store_release(c->f->fake, FAKE_COMMIT, FAKE_BEFORE);
}

/* ---- acknowledgements ---- */

static void test_through_is_acknowledged_by_the_commit(void **state)
{
    struct fake_client *c = *state;

    hold_commits(c);
    struct request *r = BEGIN(c, "SET", "k", "new");
    fake_store_wait_held(c->f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    assert_false(r->finished);
    release_commits(c);

    assert_string_equal(fake_client_take(c, r), "+OK\r\n");
    assert_string_equal(CALL(c, "GET", "k"), "$3\r\nnew\r\n");
}

static void test_behind_is_acknowledged_at_once(void **state)
{
    struct fake_client *c = *state;

    struct request *r = BEGIN(c, "SET", "k", "new");

    assert_true(r->finished);
    assert_string_equal(fake_client_take(c, r), "+OK\r\n");
    assert_string_equal(CALL(c, "GET", "k"), "$3\r\nnew\r\n");
}

static void test_a_record_is_written_through_either_way(void **state)
{
    struct fake_client *c = *state;

    hold_commits(c);
    struct request *r = BEGIN(c, "SET", "book:3", NEW_BOOK);
    assert_false(r->finished);
    release_commits(c);

    assert_string_equal(fake_client_take(c, r), "+OK\r\n");
    assert_string_equal(CALL(c, "HGET", "book:3", "title"), "$3\r\nNew\r\n");
}

static void test_hset_counts_the_fields_that_were_not_there(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(
        CALL(c, "HSET", "book:3", "title", "New", "author", "A"), ":1\r\n");
    assert_string_equal(CALL(c, "HSET", "book:4", "title", "Four"), ":1\r\n");
    assert_string_equal(CALL(c, "HMGET", "book:3", "title", "author"),
                        "*2\r\n$3\r\nNew\r\n$1\r\nA\r\n");
}

static void test_del_counts_the_keys_there_were(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "DEL", "k", "none", "book:3", "book:99"),
                        ":2\r\n");
    assert_string_equal(CALL(c, "DEL", "k", "k"), ":0\r\n");
    assert_string_equal(CALL(c, "EXISTS", "k", "book:3"), ":0\r\n");
}

static void test_a_flush_takes_plain_keys_and_no_row(void **state)
{
    struct fake_client *c = *state;

    (void)CALL(c, "SET", "other", "x");
    (void)CALL(c, "GET", "k");
    assert_string_equal(CALL(c, "FLUSHALL"), "+OK\r\n");

    assert_string_equal(CALL(c, "MGET", "k", "other"), "*2\r\n$-1\r\n$-1\r\n");
    assert_string_equal(CALL(c, "EXISTS", "book:3"), ":1\r\n");
}

/* ---- refusals ---- */

static void test_a_write_that_makes_no_sense_is_refused(void **state)
{
    static const struct {
        const char *words[6];
        const char *error;
    } cases[] = {
        {{"SET", "k", "v", "EX", "0"},
         "-ERR invalid expire time in 'set' command\r\n"},
        {{"SET", "k", "v", "PX", "9223372036854775807"},
         "-ERR invalid expire time in 'set' command\r\n"},
        {{"SET", "k", "v", "EX", "x"},
         "-ERR value is not an integer or out of range\r\n"},
        {{"SET", "k", "v", "EX"}, "-ERR syntax error\r\n"},
        {{"SET", "k", "v", "nosuch", "1"}, "-ERR syntax error\r\n"},
        {{"HSET", "book:3", "title", "a", "author"},
         "-ERR wrong number of arguments for 'hset' command\r\n"},
    };
    struct fake_client *c = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(
            fake_client_take(c, fake_client_begin(c, cases[i].words)),
            cases[i].error);
    }
    assert_memory_equal(CALL(c, "SET", "book:x", "{}"), "-ERR ", 5);
    assert_memory_equal(CALL(c, "SET", "book:3", OLD_BOOK, "EX", "9"), "-ERR ",
                        5);
    assert_int_equal(fake_store_calls(c->f->fake, FAKE_APPLY), 0);
}

static void test_the_store_says_why_it_refused(void **state)
{
    struct fake_client *c = *state;

    const char *reply = CALL(c, "SET", "book:3", "{\"author\":\"A\"}");

    assert_memory_equal(reply, "-ERR ", 5);
    assert_non_null(strstr(reply, "NOT NULL constraint failed: books.title"));
    assert_string_equal(CALL(c, "GET", "book:3"), "$48\r\n" OLD_BOOK "\r\n");
}

static void
test_a_failed_commit_is_an_error_for_each_of_its_writes(void **state)
{
    struct fake_client *c = *state;

    /* One write keeps the writer busy until the two are queued. */
    fake_store_hold(c->f->fake, FAKE_BEGIN, FAKE_BEFORE);
    struct request *first = BEGIN(c, "SET", "other", "x");
    fake_store_wait_held(c->f->fake, FAKE_BEGIN, FAKE_BEFORE, 1);
    struct request *both = BEGIN(c, "DEL", "k", "book:3");
    fake_store_fail(c->f->fake, FAKE_COMMIT, NULL, 2, ERR_STORE_DOWN);
    fake_store_release(c->f->fake, FAKE_BEGIN, FAKE_BEFORE);

    assert_memory_equal(fake_client_take(c, first), "-STOREDOWN ", 11);
    assert_memory_equal(fake_client_take(c, both), "-STOREDOWN ", 11);
    assert_string_equal(CALL(c, "EXISTS", "k", "book:3"), ":2\r\n");
}

static void test_the_first_error_of_many_keys_is_the_reply(void **state)
{
    struct fake_client *c = *state;

    fake_store_fail(c->f->fake, FAKE_APPLY, "book:3", 1, ERR_CONSTRAINT);
    const char *reply = CALL(c, "DEL", "book:x", "book:3", "k");

    assert_memory_equal(reply, "-ERR ", 5);
    assert_string_equal(CALL(c, "EXISTS", "k", "book:3"), ":2\r\n");
}

/* ---- leaving ---- */

static void test_a_write_goes_on_when_its_client_leaves(void **state)
{
    struct fake_client *c = *state;
    struct written after;

    hold_commits(c);
    (void)BEGIN(c, "SET", "k", "new");
    (void)BEGIN(c, "DEL", "book:3", "none");
    fake_client_leave(c);
    release_commits(c);
    fixture_put(c->f, "other", "x", &after); /* Ends after both. */
    fixture_run_write(c->f, &after);

    assert_string_equal(CALL(c, "MGET", "k", "book:3"),
                        "*2\r\n$3\r\nnew\r\n$-1\r\n");
    written_free(&after);
}

static void test_a_write_that_fails_for_nobody_is_let_go(void **state)
{
    struct fake_client *c = *state;

    fake_store_fail(c->f->fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);
    (void)BEGIN(c, "SET", "k", "new");
    fake_client_leave(c);
    fixture_run_one(c->f);

    assert_string_equal(CALL(c, "GET", "k"), "$3\r\nold\r\n");
}

/* ---- no memory ---- */

/* With the n-th allocation of the handler failing, for every n: an error, or
 * OK and written. */
static void survive(struct fake_client *c, const char *const *words,
                    const char *key, const char *old, const char *new)
{
    struct fake_store *fake = c->f->fake;
    bool reached = true;

    for (long n = 1; reached; n++) {
        fake_store_hold(fake, FAKE_BEGIN, FAKE_BEFORE);
        (void)mem_fail_nth(n);
        struct request *r = fake_client_begin(c, words);
        reached = mem_fail_nth(0) == 0;
        fake_store_release(fake, FAKE_BEGIN, FAKE_BEFORE);
        const bool ok = strcmp(fake_client_take(c, r), "+OK\r\n") == 0;
        if (!ok) {
            assert_memory_equal(buf_string(&c->text), "-OOM ", 5);
        }
        assert_string_equal(CALL(c, "GET", key), ok ? new : old);
        old = ok ? new : old;
        assert_true(n < 50);
    }
    assert_string_equal(old, new);
}

static void test_no_memory_is_an_error_and_nothing_is_written(void **state)
{
    struct fake_client *c = *state;

    survive(c, (const char *const[]){"SET", "k", "new", NULL}, "k",
            "$3\r\nold\r\n", "$3\r\nnew\r\n");
    survive(c, (const char *const[]){"SET", "book:3", NEW_BOOK, NULL}, "book:3",
            "$48\r\n" OLD_BOOK "\r\n", "$48\r\n" NEW_BOOK "\r\n");
}

static void test_no_memory_for_a_copy_loses_no_write(void **state)
{
    struct fake_client *c = *state;

    (void)CALL(c, "GET", "book:3");
    fake_store_hold(c->f->fake, FAKE_COMMIT, FAKE_AFTER);
    struct request *r = BEGIN(c, "SET", "book:3", NEW_BOOK);
    fake_store_wait_held(c->f->fake, FAKE_COMMIT, FAKE_AFTER, 1);
    (void)mem_fail_nth(1); /* The copy, after the commit. */
    fake_store_release(c->f->fake, FAKE_COMMIT, FAKE_AFTER);

    assert_string_equal(fake_client_take(c, r), "+OK\r\n");
    assert_int_equal(mem_fail_nth(0), 0);
    assert_string_equal(CALL(c, "GET", "book:3"), "$48\r\n" NEW_BOOK "\r\n");
}

static void
test_no_memory_for_the_row_after_a_write_loses_no_write(void **state)
{
    struct fake_client *c = *state;

    (void)CALL(c, "GET", "book:3");
    fake_store_hold(c->f->fake, FAKE_APPLY, FAKE_AFTER);
    struct request *r = BEGIN(c, "SET", "book:3", NEW_BOOK);
    fake_store_wait_held(c->f->fake, FAKE_APPLY, FAKE_AFTER, 1);
    (void)mem_fail_nth(1); /* The row that the store hands over. */
    fake_store_release(c->f->fake, FAKE_APPLY, FAKE_AFTER);

    assert_string_equal(fake_client_take(c, r), "+OK\r\n");
    assert_int_equal(mem_fail_nth(0), 0);
    assert_string_equal(CALL(c, "GET", "book:3"), "$48\r\n" NEW_BOOK "\r\n");
}

#define THROUGH(name) \
    cmocka_unit_test_setup_teardown(name, set_up, fake_client_tear_down)
#define BEHIND(name) \
    cmocka_unit_test_setup_teardown(name, set_up_behind, fake_client_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        THROUGH(test_through_is_acknowledged_by_the_commit),
        BEHIND(test_behind_is_acknowledged_at_once),
        THROUGH(test_a_record_is_written_through_either_way),
        BEHIND(test_a_record_is_written_through_either_way),
        THROUGH(test_hset_counts_the_fields_that_were_not_there),
        THROUGH(test_del_counts_the_keys_there_were),
        BEHIND(test_del_counts_the_keys_there_were),
        THROUGH(test_a_flush_takes_plain_keys_and_no_row),
        BEHIND(test_a_flush_takes_plain_keys_and_no_row),
        THROUGH(test_a_write_that_makes_no_sense_is_refused),
        BEHIND(test_a_write_that_makes_no_sense_is_refused),
        THROUGH(test_the_store_says_why_it_refused),
        THROUGH(test_a_failed_commit_is_an_error_for_each_of_its_writes),
        THROUGH(test_the_first_error_of_many_keys_is_the_reply),
        THROUGH(test_a_write_goes_on_when_its_client_leaves),
        THROUGH(test_a_write_that_fails_for_nobody_is_let_go),
        THROUGH(test_no_memory_is_an_error_and_nothing_is_written),
        THROUGH(test_no_memory_for_a_copy_loses_no_write),
        THROUGH(test_no_memory_for_the_row_after_a_write_loses_no_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
