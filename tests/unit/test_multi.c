/* SPDX-License-Identifier: MIT */
/*
 * Transactions: what may be queued, that EXEC is all or nothing, for whoever
 * reads and whatever fails, and that watched keys stop it.
 */
#include "server/command/transaction.h"

#include "common/mem.h"
#include "server/lookup/watch.h"
#include "tests/support/fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct two {
    struct fixture *f;
    struct fake_client *c;     /* Under test. */
    struct fake_client *other; /* Somebody else. */
};

static int set_up_with(void **state, const char *plain_writes)
{
    const char *const directives[] = {plain_writes, "behind-interval 1h",
                                      "client-query-buffer-limit 1mb", NULL};
    struct two *two = xcalloc(1, sizeof *two);

    two->f = fixture_new(directives);
    fake_store_set_book(two->f->fake, "3", "Old", NULL, "1859");
    two->c = fake_client_new(two->f, 2);
    two->other = fake_client_new(two->f, 2);
    *state = two;
    return 0;
}

static int set_up_through(void **state)
{
    return set_up_with(state, "plain-writes through");
}

static int set_up_behind(void **state)
{
    return set_up_with(state, "plain-writes behind");
}

static int set_up_none(void **state)
{
    return set_up_with(state, "plain-writes none");
}

static int tear_down(void **state)
{
    struct two *two = *state;

    fake_client_free(two->c);
    fake_client_free(two->other);
    fixture_free(two->f);
    free(two);
    return 0;
}

static void queue(struct fake_client *c, const char *const *words)
{
    assert_string_equal(fake_client_take(c, fake_client_begin(c, words)),
                        "+QUEUED\r\n");
}

#define QUEUE(c, ...) queue(c, (const char *const[]){__VA_ARGS__, NULL})

static void multi(struct fake_client *c)
{
    assert_string_equal(CALL(c, "MULTI"), "+OK\r\n");
}

/* ---- queueing ---- */

static void test_each_step_out_of_order_is_an_error(void **state)
{
    struct fake_client *c = ((struct two *)*state)->c;

    assert_string_equal(CALL(c, "EXEC"), "-ERR EXEC without MULTI\r\n");
    assert_string_equal(CALL(c, "DISCARD"), "-ERR DISCARD without MULTI\r\n");
    multi(c);
    assert_string_equal(CALL(c, "MULTI"),
                        "-ERR MULTI calls can not be nested\r\n");
    assert_string_equal(CALL(c, "WATCH", "k"),
                        "-ERR WATCH inside MULTI is not allowed\r\n");
    assert_string_equal(CALL(c, "EXEC"), "*0\r\n");
    assert_string_equal(CALL(c, "EXEC"), "-ERR EXEC without MULTI\r\n");
}

static void test_what_cannot_be_queued_ends_in_execabort(void **state)
{
    static const struct {
        const char *words[4];
        const char *error;
    } cases[] = {
        {{"NOSUCH", "k"},
         "-ERR unknown command 'NOSUCH', with args beginning with: 'k' \r\n"},
        {{"GET"}, "-ERR wrong number of arguments for 'get' command\r\n"},
        {{"CLIENT", "NOSUCH"},
         "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"},
        {{"KEYS", "*"}, "-ERR Command not allowed inside a transaction\r\n"},
        {{"SCAN", "0"}, "-ERR Command not allowed inside a transaction\r\n"},
        {{"DBSIZE"}, "-ERR Command not allowed inside a transaction\r\n"},
    };
    struct fake_client *c = ((struct two *)*state)->c;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        multi(c);
        QUEUE(c, "SET", "k", "v");
        assert_string_equal(
            fake_client_take(c, fake_client_begin(c, cases[i].words)),
            cases[i].error);
        assert_string_equal(
            CALL(c, "EXEC"),
            "-EXECABORT Transaction discarded because of previous errors.\r\n");
    }
    assert_string_equal(CALL(c, "GET", "k"), "$-1\r\n");
}

static void test_exec_with_arguments_ends_the_transaction(void **state)
{
    struct fake_client *c = ((struct two *)*state)->c;

    multi(c);
    assert_string_equal(CALL(c, "EXEC", "x"),
                        "-EXECABORT Transaction discarded because of: wrong "
                        "number of arguments for 'exec' command\r\n");
    assert_string_equal(CALL(c, "EXEC"), "-ERR EXEC without MULTI\r\n");
}

static void test_discard_and_reset_forget_the_queue(void **state)
{
    struct fake_client *c = ((struct two *)*state)->c;

    multi(c);
    QUEUE(c, "SET", "k", "v");
    assert_string_equal(CALL(c, "DISCARD"), "+OK\r\n");
    multi(c);
    QUEUE(c, "SET", "k", "v");
    assert_string_equal(CALL(c, "RESET"), "+RESET\r\n");

    assert_string_equal(CALL(c, "GET", "k"), "$-1\r\n");
    assert_string_equal(CALL(c, "EXEC"), "-ERR EXEC without MULTI\r\n");
}

static void test_the_queue_is_bounded(void **state)
{
    struct fake_client *c = ((struct two *)*state)->c;
    char *value = xcalloc(1, 600001);

    memset(value, 'x', 600000);
    multi(c);
    QUEUE(c, "SET", "k", value);
    assert_memory_equal(CALL(c, "SET", "k", value), "-ERR ", 5);
    assert_memory_equal(CALL(c, "EXEC"), "-EXECABORT ", 11);

    assert_string_equal(CALL(c, "EXISTS", "k"), ":0\r\n");
    free(value);
}

/* ---- EXEC ---- */

static void test_each_command_sees_those_before_it(void **state)
{
    struct fake_client *c = ((struct two *)*state)->c;

    multi(c);
    QUEUE(c, "SET", "k", "1");
    QUEUE(c, "INCR", "k");
    QUEUE(c, "GET", "k");
    QUEUE(c, "MGET", "k", "none");
    QUEUE(c, "APPEND", "k", "x");
    QUEUE(c, "PING");
    QUEUE(c, "DEL", "k", "none");
    QUEUE(c, "EXISTS", "k");

    assert_string_equal(CALL(c, "EXEC"),
                        "*8\r\n+OK\r\n:2\r\n$1\r\n2\r\n*2\r\n$1\r\n2\r\n$-1\r\n"
                        ":2\r\n+PONG\r\n:1\r\n:0\r\n");
    assert_string_equal(CALL(c, "EXISTS", "k"), ":0\r\n");
}

static void test_a_command_that_fails_leaves_the_others(void **state)
{
    struct fake_client *c = ((struct two *)*state)->c;

    multi(c);
    QUEUE(c, "SET", "a", "x");
    QUEUE(c, "INCR", "a");
    QUEUE(c, "INCRBY", "a", "no-number");
    QUEUE(c, "SET", "b", "y");

    assert_string_equal(
        CALL(c, "EXEC"),
        "*4\r\n+OK\r\n-ERR value is not an integer or out of range\r\n"
        "-ERR value is not an integer or out of range\r\n+OK\r\n");
    assert_string_equal(CALL(c, "MGET", "a", "b"),
                        "*2\r\n$1\r\nx\r\n$1\r\ny\r\n");
}

static void test_what_the_database_refuses_takes_all_back(void **state)
{
    struct two *two = *state;
    struct fake_client *c = two->c;

    multi(c);
    QUEUE(c, "HSET", "book:3", "title", "New");
    QUEUE(c, "HSET", "book:9", "author", "A");
    const char *reply = CALL(c, "EXEC");

    assert_non_null(strstr(reply, "-EXECABORT Transaction rolled back, nothing "
                                  "was changed: NOT NULL constraint"));
    assert_string_equal(CALL(c, "HGET", "book:3", "title"), "$3\r\nOld\r\n");
    assert_string_equal(CALL(c, "EXISTS", "book:9"), ":0\r\n");
}

static void test_memory_alone_and_records_do_not_mix(void **state)
{
    struct fake_client *c = ((struct two *)*state)->c;

    multi(c);
    QUEUE(c, "HSET", "book:3", "title", "New");
    QUEUE(c, "SET", "k", "v");

    assert_non_null(strstr(CALL(c, "EXEC"), "records and plain keys"));
    assert_string_equal(CALL(c, "HGET", "book:3", "title"), "$3\r\nOld\r\n");
    assert_string_equal(CALL(c, "EXISTS", "k"), ":0\r\n");
    assert_memory_equal(CALL(c, "DEL", "k", "book:3"), "-ERR ", 5);
}

static void test_a_failed_commit_changes_nothing(void **state)
{
    struct two *two = *state;
    struct fake_client *c = two->c;

    (void)CALL(c, "GET", "book:3");
    multi(c);
    QUEUE(c, "HSET", "book:3", "title", "New");
    QUEUE(c, "SET", "k", "v");
    fake_store_fail(two->f->fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);

    assert_memory_equal(CALL(c, "EXEC"), "-STOREDOWN ", 11);
    assert_string_equal(CALL(c, "HGET", "book:3", "title"), "$3\r\nOld\r\n");
    assert_string_equal(CALL(c, "EXISTS", "k"), ":0\r\n");
}

static void test_a_transaction_is_one_transaction_of_the_store(void **state)
{
    struct two *two = *state;
    struct fake_client *c = two->c;
    const unsigned commits = fake_store_calls(two->f->fake, FAKE_COMMIT);

    multi(c);
    QUEUE(c, "SET", "a", "1");
    QUEUE(c, "HSET", "book:3", "title", "New");
    QUEUE(c, "SET", "b", "2");
    (void)CALL(c, "EXEC");

    assert_int_equal(fake_store_calls(two->f->fake, FAKE_COMMIT), commits + 1);
    assert_true(fake_store_has(two->f->fake, "a"));
    assert_true(fake_store_has(two->f->fake, "b"));
}

static void test_the_group_goes_on_when_its_client_leaves(void **state)
{
    struct two *two = *state;
    struct fake_client *c = two->c;

    multi(c);
    QUEUE(c, "HSET", "book:3", "title", "New");
    QUEUE(c, "GETDEL", "k");
    fake_store_hold(two->f->fake, FAKE_COMMIT, FAKE_BEFORE);
    (void)BEGIN(c, "EXEC");
    fake_store_wait_held(two->f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    fake_client_leave(c);
    fake_store_release(two->f->fake, FAKE_COMMIT, FAKE_BEFORE);
    (void)CALL(two->other, "HSET", "book:3", "author", "A"); /* Comes after. */

    assert_string_equal(CALL(two->other, "HGET", "book:3", "title"),
                        "$3\r\nNew\r\n");
}

static void test_a_queue_dies_with_its_client(void **state)
{
    struct two *two = *state;

    multi(two->c);
    QUEUE(two->c, "SET", "k", "v");
    fake_client_free(two->c);
    two->c = fake_client_new(two->f, 2);

    assert_string_equal(CALL(two->c, "GET", "k"), "$-1\r\n");
}

static void test_resp3_replies_in_resp3(void **state)
{
    struct two *two = *state;
    struct fake_client *c = two->c;

    (void)CALL(c, "HELLO", "3");
    multi(c);
    QUEUE(c, "GET", "none");
    QUEUE(c, "HGETALL", "book:9");

    assert_string_equal(CALL(c, "EXEC"), "*2\r\n_\r\n%0\r\n");
}

/* ---- WATCH ---- */

static void test_an_untouched_watch_lets_exec_through(void **state)
{
    struct two *two = *state;

    (void)CALL(two->c, "SET", "k", "1");
    assert_string_equal(CALL(two->c, "WATCH", "k", "book:3"), "+OK\r\n");
    (void)CALL(two->other, "SET", "other", "2");
    multi(two->c);
    QUEUE(two->c, "INCR", "k");

    assert_string_equal(CALL(two->c, "EXEC"), "*1\r\n:2\r\n");
}

/* What touches key k. */
static const char *const touches[][6] = {
    {"SET", "k", "9"},    {"DEL", "k"},         {"INCR", "k"},
    {"APPEND", "k", "x"}, {"EXPIRE", "k", "9"}, {"MSET", "x", "1", "k", "2"},
    {"FLUSHALL"},
};

static void test_a_change_by_another_stops_exec(void **state)
{
    struct two *two = *state;

    for (size_t i = 0; i < sizeof touches / sizeof touches[0]; i++) {
        (void)CALL(two->other, "SET", "k", "1");
        (void)CALL(two->c, "WATCH", "k");
        (void)fake_client_take(two->other,
                               fake_client_begin(two->other, touches[i]));
        multi(two->c);
        QUEUE(two->c, "SET", "k", "mine");
        QUEUE(two->c, "SET", "l", "mine");
        assert_string_equal(CALL(two->c, "EXEC"), "*-1\r\n");
    }
    assert_string_equal(CALL(two->c, "EXISTS", "l"), ":0\r\n");
}

static void test_a_change_of_ones_own_stops_exec_too(void **state)
{
    struct two *two = *state;

    (void)CALL(two->c, "WATCH", "k");
    (void)CALL(two->c, "SET", "k", "1");
    multi(two->c);
    QUEUE(two->c, "GET", "k");

    assert_string_equal(CALL(two->c, "EXEC"), "*-1\r\n");
}

static void test_a_record_changed_by_others_stops_exec(void **state)
{
    struct two *two = *state;

    (void)CALL(two->c, "WATCH", "book:3");
    (void)CALL(two->other, "HSET", "book:3", "title", "New");
    multi(two->c);
    QUEUE(two->c, "PING");
    assert_string_equal(CALL(two->c, "EXEC"), "*-1\r\n");

    (void)CALL(two->c, "WATCH", "book:3");
    watches_touch(two->f->watches, SLICE("book:3")); /* The change feed. */
    multi(two->c);
    QUEUE(two->c, "PING");
    assert_string_equal(CALL(two->c, "EXEC"), "*-1\r\n");
}

static void test_who_watches_no_more_is_not_stopped(void **state)
{
    static const char *const ends[][2] = {{"UNWATCH"}, {"DISCARD"}, {"EXEC"}};
    struct two *two = *state;

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        (void)CALL(two->c, "WATCH", "k");
        if (i > 0) {
            multi(two->c);
        }
        (void)fake_client_take(two->c, fake_client_begin(two->c, ends[i]));
        (void)CALL(two->other, "SET", "k", "1");
        multi(two->c);
        QUEUE(two->c, "PING");
        assert_string_equal(CALL(two->c, "EXEC"), "*1\r\n+PONG\r\n");
    }
}

static void test_a_conflict_runs_nothing_at_all(void **state)
{
    struct two *two = *state;

    (void)CALL(two->c, "WATCH", "k");
    (void)CALL(two->other, "SET", "k", "1");
    multi(two->c);
    QUEUE(two->c, "CLIENT", "SETNAME", "me");
    assert_string_equal(CALL(two->c, "EXEC"), "*-1\r\n");

    assert_string_equal(CALL(two->c, "CLIENT", "GETNAME"), "$-1\r\n");
}

static void test_a_change_on_its_way_stops_exec(void **state)
{
    struct two *two = *state;

    (void)CALL(two->c, "WATCH", "book:3");
    fake_store_hold(two->f->fake, FAKE_COMMIT, FAKE_BEFORE);
    struct request *write = BEGIN(two->other, "HSET", "book:3", "title", "New");
    fake_store_wait_held(two->f->fake, FAKE_COMMIT, FAKE_BEFORE, 1);
    multi(two->c);
    QUEUE(two->c, "HSET", "book:3", "author", "Mine");
    struct request *exec = BEGIN(two->c, "EXEC");
    fake_store_release(two->f->fake, FAKE_COMMIT, FAKE_BEFORE);

    assert_string_equal(fake_client_take(two->c, exec), "*-1\r\n");
    assert_string_equal(fake_client_take(two->other, write), ":0\r\n");
}

/* ---- no memory ---- */

static void test_no_memory_is_an_error_and_nothing_is_done(void **state)
{
    struct two *two = *state;
    bool reached = true;

    /* An entry of the slow log may go without saying. */
    fixture_set(two->f, "slowlog-log-slower-than", "-1");
    for (long n = 1; reached; n++) {
        multi(two->c);
        QUEUE(two->c, "SET", "a", "1");
        QUEUE(two->c, "HSET", "book:3", "title", "New");
        QUEUE(two->c, "GET", "a");
        fake_store_hold(two->f->fake, FAKE_BEGIN, FAKE_BEFORE);
        (void)mem_fail_nth(n);
        struct request *exec = BEGIN(two->c, "EXEC");
        reached = mem_fail_nth(0) == 0;
        fake_store_release(two->f->fake, FAKE_BEGIN, FAKE_BEFORE);
        const char *reply = fake_client_take(two->c, exec);
        if (reached) {
            /* All of it, or nothing; a command without memory is like one
             * that fails. */
            assert_true(memcmp(reply, "-OOM ", 5) == 0 ||
                        strstr(reply, "-OOM ") != NULL);
        } else {
            assert_string_equal(reply, "*3\r\n+OK\r\n:0\r\n$1\r\n1\r\n");
        }
        assert_true(n < 100);
    }
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_through, tear_down)
#define BEHIND(name) \
    cmocka_unit_test_setup_teardown(name, set_up_behind, tear_down)
#define NONE(name) cmocka_unit_test_setup_teardown(name, set_up_none, tear_down)
#define EACH(name) TEST(name), BEHIND(name), NONE(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_each_step_out_of_order_is_an_error),
        TEST(test_what_cannot_be_queued_ends_in_execabort),
        TEST(test_exec_with_arguments_ends_the_transaction),
        EACH(test_discard_and_reset_forget_the_queue),
        TEST(test_the_queue_is_bounded),
        EACH(test_each_command_sees_those_before_it),
        EACH(test_a_command_that_fails_leaves_the_others),
        EACH(test_what_the_database_refuses_takes_all_back),
        NONE(test_memory_alone_and_records_do_not_mix),
        TEST(test_a_failed_commit_changes_nothing),
        TEST(test_a_transaction_is_one_transaction_of_the_store),
        TEST(test_the_group_goes_on_when_its_client_leaves),
        BEHIND(test_the_group_goes_on_when_its_client_leaves),
        EACH(test_a_queue_dies_with_its_client),
        TEST(test_resp3_replies_in_resp3),
        BEHIND(test_resp3_replies_in_resp3),
        EACH(test_an_untouched_watch_lets_exec_through),
        EACH(test_a_change_by_another_stops_exec),
        EACH(test_a_change_of_ones_own_stops_exec_too),
        EACH(test_a_record_changed_by_others_stops_exec),
        EACH(test_who_watches_no_more_is_not_stopped),
        EACH(test_a_conflict_runs_nothing_at_all),
        EACH(test_a_change_on_its_way_stops_exec),
        TEST(test_no_memory_is_an_error_and_nothing_is_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
