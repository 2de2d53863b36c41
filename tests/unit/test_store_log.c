/* SPDX-License-Identifier: MIT */
/* The log of plain keys: durable first, in the table later, lost never. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/attr.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/stats.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/store_calls.h"

#include <sqlite3.h>

/* The clock stands still: nothing goes into the table that nobody needs. */
#define SECOND INT64_C(1000000)

static struct store_bed bed;

static int set_up(void **state)
{
    (void)state;
    clock_set_manual(1000000);
    store_bed_init(&bed);
    return store_bed_open_sqlite(&bed) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store_bed_destroy(&bed);
    clock_set_real();
    return 0;
}

/* ---- logged writes ---- */

struct logged {
    struct written w; /* First. */
    struct waitgroup logged;
    _Atomic int n_logged;
    bool refuse; /* logged() says false. */
    /* decide(): what was there, and what to make of it. */
    char seen[64];
    const char *put; /* NULL: as it was submitted. */
    enum err decided;
};

static bool on_logged(struct store_write *write)
{
    struct logged *l = container_of(write, struct logged, w.write);
    const bool keep = !l->refuse;

    l->n_logged++;
    wg_done(&l->logged);
    return keep;
}

static enum err on_decide(struct store_write *write,
                          const struct store_row *now, struct buf *detail)
{
    struct logged *l = container_of(write, struct logged, w.write);

    (void)snprintf(l->seen, sizeof(l->seen), "%.*s",
                   now == NULL ? 7 : (int)now->columns[0].bytes.size,
                   now == NULL ? "nothing" : now->columns[0].bytes.data);
    if (l->put != NULL) {
        write->op = STORE_PUT_PLAIN;
        write->value = slice_from_string(l->put);
    }
    if (l->decided != ERR_OK) {
        buf_append_string(detail, "it was decided");
    }
    return l->decided;
}

static void init(struct logged *l, const char *key, const char *value)
{
    *l = (struct logged){0};
    written_init(&l->w, key, value);
    wg_init(&l->logged);
    wg_add(&l->logged, 1);
    l->w.write.logged = on_logged;
}

static void start(struct logged *l)
{
    assert_int_equal(written_start(bed.store, &l->w), ERR_OK);
}

/* A put (or delete, if 'value' is NULL) that is in the log when this returns.
 */
static void log_now(struct logged *l, const char *key, const char *value)
{
    init(l, key, value);
    start(l);
    wg_wait(&l->logged);
}

/* Lets time pass until the table has it. */
static void settle(struct written *w)
{
    while (w->n_done == 0) {
        clock_advance(SECOND);
        (void)sched_yield();
    }
    written_wait(w);
}

static void destroy(struct logged *l)
{
    settle(&l->w);
    written_destroy(&l->w);
    if (l->n_logged == 0) {
        wg_done(&l->logged); /* It never was. */
    }
    wg_destroy(&l->logged);
}

/* What a reader finds in the table. */
static void assert_table(const char *key, const char *value)
{
    struct asked a;

    ask(bed.store, &a, key);
    asked_wait(&a);
    assert_int_equal(a.err, ERR_OK);
    assert_int_equal(a.n_rows, value == NULL ? 0 : 1);
    if (value != NULL) {
        assert_string_equal(buf_string(&a.row), value);
    }
    asked_destroy(&a);
}

static void reopen(void)
{
    store_bed_close(&bed);
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);
}

/* The number that 'sql' asks another connection for. */
static int64_t query(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_open(store_bed_path(&bed), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static void test_a_logged_write_is_in_the_table_later(void **state)
{
    struct logged l;

    (void)state;
    log_now(&l, "greeting", "hello");
    assert_int_equal(l.w.n_done, 0);
    assert_table("greeting", NULL);
    assert_int_equal(query("SELECT count(*) FROM bookd_log"), 1);
    settle(&l.w);

    assert_int_equal(l.w.err, ERR_OK);
    assert_int_equal(l.n_logged, 1);
    assert_table("greeting", "hello");
    destroy(&l);
}

static void test_the_log_is_empty_when_the_table_has_all(void **state)
{
    struct logged l;

    (void)state;
    log_now(&l, "greeting", "hello");
    store_bed_close(&bed);
    destroy(&l);

    assert_int_equal(query("SELECT count(*) FROM bookd_log"), 0);
    assert_int_equal(query("SELECT count(*) FROM bookd_plain"), 1);
}

static void test_the_caller_can_refuse_to_wait_for_the_table(void **state)
{
    struct logged l;

    (void)state;
    init(&l, "greeting", "hello");
    l.refuse = true;
    start(&l);
    written_wait(&l.w);

    assert_table("greeting", "hello");
    destroy(&l);
}

static void test_an_overtaken_write_ends_when_the_newer_is_logged(void **state)
{
    struct logged l[2];

    (void)state;
    log_now(&l[0], "greeting", "hello");
    log_now(&l[1], "greeting", "good day");
    written_wait(&l[0].w);
    assert_int_equal(l[1].w.n_done, 0);
    reopen();

    assert_table("greeting", "good day");
    assert_true(l[0].w.order < l[1].w.order);
    destroy(&l[0]);
    destroy(&l[1]);
}

static void test_a_decision_sees_what_is_only_in_the_log(void **state)
{
    struct logged first, second, third;

    (void)state;
    log_now(&first, "counter", "1");
    init(&second, "counter", "");
    second.w.write.decide = on_decide;
    second.put = "2";
    start(&second);
    wg_wait(&second.logged);
    log_now(&third, "counter", NULL);
    assert_int_equal(third.w.write.n_changed, 1);
    reopen();

    assert_string_equal(second.seen, "1");
    assert_table("counter", NULL);
    destroy(&first);
    destroy(&second);
    destroy(&third);
}

static void test_a_decision_sees_the_table_where_the_log_is_silent(void **state)
{
    struct logged l;

    (void)state;
    assert_int_equal(write_now(bed.store, "counter", "41"), ERR_OK);
    init(&l, "counter", "");
    l.w.write.decide = on_decide;
    l.put = "42";
    start(&l);
    wg_wait(&l.logged);

    assert_string_equal(l.seen, "41");
    reopen();
    destroy(&l);
}

static void test_what_decides_to_fail_is_not_logged(void **state)
{
    struct logged l;

    (void)state;
    init(&l, "counter", "1");
    l.w.write.decide = on_decide;
    l.decided = ERR_WRONG_TYPE;
    start(&l);
    written_wait(&l.w);

    assert_int_equal(l.w.err, ERR_WRONG_TYPE);
    assert_string_equal(buf_string(&l.w.detail), "it was decided");
    assert_int_equal(l.n_logged, 0);
    assert_int_equal(query("SELECT count(*) FROM bookd_log"), 0);
    destroy(&l);
}

static void test_deleting_nothing_is_not_logged(void **state)
{
    struct logged l;

    (void)state;
    init(&l, "nothing", NULL);
    start(&l);
    written_wait(&l.w);

    assert_int_equal(l.w.n_changed, 0);
    assert_int_equal(l.n_logged, 0);
    destroy(&l);
}

static void test_a_walk_sees_what_was_logged(void **state)
{
    struct logged l[2];

    (void)state;
    const int64_t before = count_keys(bed.store);
    log_now(&l[0], "a", "1");
    log_now(&l[1], "b", "2");

    assert_int_equal(count_keys(bed.store), before + 2);
    destroy(&l[0]);
    destroy(&l[1]);
}

static void test_clearing_takes_what_was_logged(void **state)
{
    struct logged l, after;
    struct written clear;

    (void)state;
    log_now(&l, "greeting", "hello");
    written_init(&clear, "", NULL);
    clear.write.op = STORE_CLEAR_PLAIN;
    assert_int_equal(written_start(bed.store, &clear), ERR_OK);
    written_wait(&clear);
    written_wait(&l.w);
    assert_int_equal(l.w.err, ERR_OK);
    log_now(&after, "after", "1");
    reopen();

    assert_table("greeting", NULL);
    assert_table("after", "1");
    written_destroy(&clear);
    destroy(&l);
    destroy(&after);
}

static void test_clearing_a_database_takes_what_was_logged_of_it(void **state)
{
    struct logged own, other, after;
    struct written clear;

    (void)state;
    log_now(&own, "greeting", "hello");
    init(&other, "", "2");
    other.w.write.key = SLICE("\0\1x");
    start(&other);
    wg_wait(&other.logged);
    written_init(&clear, "", NULL);
    clear.write.op = STORE_CLEAR_PLAIN;
    clear.write.key = SLICE("\0\0");
    assert_int_equal(written_start(bed.store, &clear), ERR_OK);
    written_wait(&clear);

    written_wait(&own.w);
    assert_int_equal(own.w.err, ERR_OK);
    assert_int_equal(other.w.n_done, 0);
    log_now(&after, "after", "1");
    reopen();
    assert_table("greeting", NULL);
    assert_table("after", "1");
    assert_int_equal(
        query("SELECT count(*) FROM bookd_plain WHERE key = x'000178'"), 1);
    written_destroy(&clear);
    destroy(&own);
    destroy(&other);
    destroy(&after);
}

static void test_a_write_past_the_log_is_the_newer(void **state)
{
    struct logged l;
    struct written past;

    (void)state;
    log_now(&l, "greeting", "hello");
    written_init(&past, "greeting", "past");
    assert_int_equal(written_start(bed.store, &past), ERR_OK);
    written_wait(&past);
    written_wait(&l.w);

    assert_int_equal(past.n_changed, 1);
    assert_table("greeting", "past");
    reopen();
    assert_table("greeting", "past");
    written_destroy(&past);
    destroy(&l);
}

/* ---- one transaction ---- */

/* Holds the writer, so that what is started meanwhile makes up its next
 * transaction. */
struct gate {
    struct written w; /* First. */
    struct waitgroup entered, open;
};

static enum err on_gate(struct store_write *write, const struct store_row *now,
                        struct buf *detail)
{
    struct gate *g = container_of(write, struct gate, w.write);

    (void)now;
    (void)detail;
    wg_done(&g->entered);
    wg_wait(&g->open);
    return ERR_OK;
}

static void shut(struct gate *g)
{
    written_init(&g->w, "gate", "shut");
    g->w.write.decide = on_gate;
    wg_init(&g->entered);
    wg_init(&g->open);
    wg_add(&g->entered, 1);
    wg_add(&g->open, 1);
    assert_int_equal(written_start(bed.store, &g->w), ERR_OK);
    wg_wait(&g->entered);
}

static void open_gate(struct gate *g)
{
    wg_done(&g->open);
    written_wait(&g->w);
    written_destroy(&g->w);
    wg_destroy(&g->entered);
    wg_destroy(&g->open);
}

static void test_all_that_was_logged_gives_way_to_a_write_past_it(void **state)
{
    struct logged old, new;
    struct written past;
    struct gate gate;

    (void)state;
    log_now(&old, "greeting", "old");
    shut(&gate);
    init(&new, "greeting", "new");
    start(&new);
    written_init(&past, "greeting", "past");
    assert_int_equal(written_start(bed.store, &past), ERR_OK);
    open_gate(&gate);
    written_wait(&past);
    assert_int_equal(old.w.n_done, 1);
    reopen();

    assert_table("greeting", "past");
    written_destroy(&past);
    destroy(&old);
    destroy(&new);
}

static void test_what_follows_a_clear_stays_in_the_log(void **state)
{
    struct logged before, after;
    struct written clear;
    struct gate gate;

    (void)state;
    log_now(&before, "greeting", "hello");
    shut(&gate);
    written_init(&clear, "", NULL);
    clear.write.op = STORE_CLEAR_PLAIN;
    assert_int_equal(written_start(bed.store, &clear), ERR_OK);
    init(&after, "after", "1");
    start(&after);
    open_gate(&gate);
    wg_wait(&after.logged);
    while (query("SELECT count(*) FROM bookd_log") > 1) {
        (void)sched_yield(); /* Rows of before the clear go. */
    }

    assert_int_equal(after.w.n_done, 0);
    assert_int_equal(query("SELECT count(*) FROM bookd_log"), 1);
    written_wait(&clear);
    written_destroy(&clear);
    destroy(&before);
    destroy(&after);
}

static void test_what_is_decided_to_be_large_makes_rows_of_its_own(void **state)
{
    const size_t size = (size_t)9 << 20;
    char *large = xmalloc(size + 1);
    static const char *const keys[] = {"a", "b", "c"};
    struct logged l[ARRAY_LEN(keys)];
    struct gate gate;

    (void)state;
    memset(large, 'x', size);
    large[size] = '\0';
    shut(&gate);
    for (size_t i = 0; i < ARRAY_LEN(l); i++) {
        init(&l[i], keys[i], "");
        l[i].w.write.decide = on_decide;
        l[i].put = large;
        start(&l[i]);
    }
    open_gate(&gate);
    for (size_t i = 0; i < ARRAY_LEN(l); i++) {
        wg_wait(&l[i].logged);
    }

    assert_int_equal(query("SELECT count(*) FROM bookd_log"), 2);
    for (size_t i = 0; i < ARRAY_LEN(l); i++) {
        destroy(&l[i]);
    }
    free(large);
}

/* ---- groups ---- */

struct group {
    struct written w;
    struct waitgroup logged;
    _Atomic int n_logged;
    struct logged member[2];
    struct store_write *members[2];
};

static bool on_group_logged(struct store_write *write)
{
    struct group *g = container_of(write, struct group, w.write);

    g->n_logged++;
    wg_done(&g->logged);
    return true;
}

static void init_group(struct group *g, const char *first, const char *second)
{
    *g = (struct group){0};
    written_init(&g->w, "", NULL);
    wg_init(&g->logged);
    wg_add(&g->logged, 1);
    init(&g->member[0], first, "one");
    init(&g->member[1], second, "two");
    g->members[0] = &g->member[0].w.write;
    g->members[1] = &g->member[1].w.write;
    g->w.write.op = STORE_GROUP;
    g->w.write.group = g->members;
    g->w.write.n_group = 2;
    g->w.write.logged = on_group_logged;
}

static void destroy_group(struct group *g)
{
    settle(&g->w);
    written_destroy(&g->w);
    if (g->n_logged == 0) {
        wg_done(&g->logged);
    }
    wg_destroy(&g->logged);
    for (size_t i = 0; i < 2; i++) {
        wg_done(&g->member[i].logged); /* It never was, by itself. */
        wg_destroy(&g->member[i].logged);
        written_destroy(&g->member[i].w);
    }
}

static void test_a_group_is_logged_as_one(void **state)
{
    struct group g;

    (void)state;
    init_group(&g, "a", "b");
    assert_int_equal(written_start(bed.store, &g.w), ERR_OK);
    wg_wait(&g.logged);
    assert_int_equal(g.w.n_done, 0);
    assert_int_equal(query("SELECT count(*) FROM bookd_log"), 1);
    assert_int_equal(g.member[0].n_logged, 0);
    settle(&g.w);

    assert_int_equal(g.w.err, ERR_OK);
    assert_table("a", "one");
    assert_table("b", "two");
    destroy_group(&g);
}

/* EXEC with FLUSHDB alone in it. */
static void test_clearing_in_a_group_takes_what_was_just_logged(void **state)
{
    struct logged l;
    struct written group;
    struct store_write clear = {.op = STORE_CLEAR_PLAIN, .key = SLICE("\0\1")};
    struct store_write *members[] = {&clear};
    struct gate gate;

    (void)state;
    shut(&gate);
    init(&l, "", "hello");
    l.w.write.key = SLICE("\0\1greeting");
    start(&l);
    written_init(&group, "", NULL);
    group.write.op = STORE_GROUP;
    group.write.group = members;
    group.write.n_group = 1;
    assert_int_equal(written_start(bed.store, &group), ERR_OK);
    open_gate(&gate);
    written_wait(&group);
    assert_int_equal(group.err, ERR_OK);
    settle(&l.w);

    assert_int_equal(query("SELECT count(*) FROM bookd_plain "
                           "WHERE key >= x'0001' AND key < x'0002'"),
                     0);
    written_destroy(&group);
    destroy(&l);
}

/* A write past the log that looks whether a group is in it. */
struct follower {
    struct written w; /* First. */
    struct group *group;
    int n_logged;
};

static enum err on_follow(struct store_write *write,
                          const struct store_row *now, struct buf *detail)
{
    struct follower *follower = container_of(write, struct follower, w.write);

    (void)now;
    (void)detail;
    follower->n_logged = follower->group->n_logged;
    return ERR_OK;
}

static void
test_a_group_is_logged_before_a_part_of_it_is_overtaken(void **state)
{
    struct gate gate;
    struct group g;
    struct follower past = {.group = &g};

    (void)state;
    shut(&gate);
    init_group(&g, "a", "b");
    assert_int_equal(written_start(bed.store, &g.w), ERR_OK);
    written_init(&past.w, "a", "past");
    past.w.write.decide = on_follow;
    assert_int_equal(written_start(bed.store, &past.w), ERR_OK);
    open_gate(&gate);
    written_wait(&past.w);
    assert_int_equal(past.n_logged, 1);
    reopen();

    assert_table("a", "past");
    assert_table("b", "two");
    written_destroy(&past.w);
    destroy_group(&g);
}

static void test_a_group_ends_when_all_of_it_is_overtaken(void **state)
{
    struct group g;
    struct logged a, b;

    (void)state;
    init_group(&g, "a", "b");
    assert_int_equal(written_start(bed.store, &g.w), ERR_OK);
    wg_wait(&g.logged);
    log_now(&a, "a", "1");
    assert_int_equal(g.w.n_done, 0);
    log_now(&b, "b", "2");
    written_wait(&g.w);
    reopen();

    assert_table("a", "1");
    assert_table("b", "2");
    destroy_group(&g);
    destroy(&a);
    destroy(&b);
}

static void test_a_key_twice_in_a_group_has_the_last_value(void **state)
{
    struct group g;

    (void)state;
    init_group(&g, "a", "a");
    assert_int_equal(written_start(bed.store, &g.w), ERR_OK);
    reopen();

    assert_int_equal(g.w.n_done, 1);
    assert_table("a", "two");
    destroy_group(&g);
}

static void test_a_group_with_a_record_goes_past_the_log(void **state)
{
    struct group g;
    struct logged l;

    (void)state;
    log_now(&l, "a", "zero");
    init_group(&g, "a", "book:1");
    written_destroy(&g.member[1].w);
    written_init(&g.member[1].w, "book:1", "{\"author\":\"nobody\"}");
    assert_int_equal(written_start(bed.store, &g.w), ERR_OK);
    written_wait(&g.w);
    assert_int_equal(g.w.err, ERR_CONSTRAINT); /* It has no title. */
    written_wait(&l.w);
    reopen();

    assert_table("a", "zero");
    destroy_group(&g);
    destroy(&l);
}

/* ---- failures ---- */

static void test_a_failed_commit_logs_nothing(void **state)
{
    struct logged l;

    (void)state;
    faulty_vfs_fail(FAULTY_SYNC, 1, SQLITE_IOERR_FSYNC);
    init(&l, "greeting", "hello");
    start(&l);
    written_wait(&l.w);
    assert_int_equal(l.w.err, ERR_STORE_DOWN);
    assert_int_equal(l.n_logged, 0);
    assert_int_equal(write_now(bed.store, "next", "1"), ERR_OK);
    reopen();

    assert_table("greeting", NULL);
    assert_table("next", "1");
    destroy(&l);
}

static void test_the_table_gets_it_when_the_disk_is_well_again(void **state)
{
    struct logged l;

    (void)state;
    log_now(&l, "greeting", "hello");
    faulty_vfs_fail_at(FAULTY_WRITE, 1, true, SQLITE_FULL);
    while (faulty_vfs_calls(FAULTY_WRITE) == 0) {
        clock_advance(SECOND);
        (void)sched_yield();
    }
    assert_int_equal(l.w.n_done, 0);
    faulty_vfs_forgive();
    settle(&l.w);

    assert_int_equal(l.w.err, ERR_OK);
    assert_table("greeting", "hello");
    destroy(&l);
}

static void test_what_cannot_be_applied_at_close_stays_in_the_log(void **state)
{
    struct logged l;

    (void)state;
    log_now(&l, "greeting", "hello");
    faulty_vfs_fail_at(FAULTY_WRITE, 1, true, SQLITE_FULL);
    store_bed_close(&bed);
    assert_int_equal(l.w.n_done, 1);
    faulty_vfs_forgive();
    assert_int_equal(query("SELECT count(*) FROM bookd_log"), 1);
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);

    assert_table("greeting", "hello");
    assert_int_equal(query("SELECT count(*) FROM bookd_log"), 0);
    destroy(&l);
}

/* Another program that holds the lock of the database. */
static sqlite3 *lock_database(void)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(store_bed_path(&bed), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
                     SQLITE_OK);
    return db;
}

/* Until the log could not be applied once more. */
static void wait_failed_step(int64_t before)
{
    while (stats_sum(STATS_store_errors) <= before) {
        (void)sched_yield();
    }
}

static void close_bed(void *arg)
{
    (void)arg;
    store_bed_close(&bed);
}

static void test_the_log_goes_on_while_a_write_waits_at_close(void **state)
{
    struct logged old;
    struct written past;
    struct waitgroup closing;

    (void)state;
    log_now(&old, "greeting", "old");
    sqlite3 *others = lock_database();
    const int64_t errors = stats_sum(STATS_store_errors);
    written_init(&past, "greeting", "past");
    assert_int_equal(written_start(bed.store, &past), ERR_OK);
    wg_init(&closing);
    assert_int_equal(wg_go(&closing, "close", close_bed, NULL), ERR_OK);
    wait_failed_step(errors);
    sqlite3_close(others);
    while (past.n_done == 0) {
        clock_advance(SECOND / 50);
        (void)sched_yield();
    }
    assert_int_equal(past.err, ERR_OK);
    wg_wait(&closing);
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);

    assert_table("greeting", "past"); /* Not what the log said before. */
    wg_destroy(&closing);
    written_destroy(&past);
    destroy(&old);
}

static void count_walk(struct walked *walked)
{
    *walked = (struct walked){.walk = {.kind = STORE_COUNT}};
    assert_int_equal(walked_start(bed.store, walked), ERR_OK);
}

static void test_a_walk_does_not_wait_for_a_lock_for_ever(void **state)
{
    struct logged l;
    struct walked walked;

    (void)state;
    log_now(&l, "greeting", "hello");
    sqlite3 *others = lock_database();
    int64_t errors = stats_sum(STATS_store_errors);
    count_walk(&walked);
    wait_failed_step(errors);
    errors = stats_sum(STATS_store_errors);
    clock_advance(5 * SECOND); /* 'store-timeout'. */
    wait_failed_step(errors);
    /* After the step that failed a second time. */
    walked_wait(&walked);
    assert_int_equal(walked.err, ERR_STORE_LOCKED);
    assert_int_equal(l.w.n_done, 0);
    sqlite3_close(others);
    settle(&l.w);

    assert_int_equal(l.w.err, ERR_OK);
    walked_destroy(&walked);
    destroy(&l);
}

static void test_a_damaged_row_of_the_log_is_named(void **state)
{
    /* Cut off; and the write of a row, which belongs to no log. */
    static const char *const rows[] = {
        "INSERT INTO bookd_log(seq, writes) VALUES(7, x'00ff')",
        "UPDATE bookd_log SET writes = "
        "x'030000000000000000000000000100000002000000"
        "6b7b7d'"};

    (void)state;
    store_bed_close(&bed);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sqlite3 *db;
        assert_int_equal(sqlite3_open(store_bed_path(&bed), &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, rows[i], NULL, NULL, NULL),
                         SQLITE_OK);
        sqlite3_close(db);

        assert_int_equal(store_bed_open_sqlite(&bed), ERR_STORE_CORRUPT);
        assert_non_null(strstr(buf_string(&bed.detail), "row 7 of bookd_log"));
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_logged_write_is_in_the_table_later),
        CASE(test_the_log_is_empty_when_the_table_has_all),
        CASE(test_the_caller_can_refuse_to_wait_for_the_table),
        CASE(test_an_overtaken_write_ends_when_the_newer_is_logged),
        CASE(test_a_decision_sees_what_is_only_in_the_log),
        CASE(test_a_decision_sees_the_table_where_the_log_is_silent),
        CASE(test_what_decides_to_fail_is_not_logged),
        CASE(test_deleting_nothing_is_not_logged),
        CASE(test_a_walk_sees_what_was_logged),
        CASE(test_clearing_takes_what_was_logged),
        CASE(test_clearing_a_database_takes_what_was_logged_of_it),
        CASE(test_a_write_past_the_log_is_the_newer),
        CASE(test_all_that_was_logged_gives_way_to_a_write_past_it),
        CASE(test_what_follows_a_clear_stays_in_the_log),
        CASE(test_what_is_decided_to_be_large_makes_rows_of_its_own),
        CASE(test_clearing_in_a_group_takes_what_was_just_logged),
        CASE(test_a_group_is_logged_as_one),
        CASE(test_a_group_is_logged_before_a_part_of_it_is_overtaken),
        CASE(test_a_group_ends_when_all_of_it_is_overtaken),
        CASE(test_a_key_twice_in_a_group_has_the_last_value),
        CASE(test_a_group_with_a_record_goes_past_the_log),
        CASE(test_a_failed_commit_logs_nothing),
        CASE(test_the_table_gets_it_when_the_disk_is_well_again),
        CASE(test_what_cannot_be_applied_at_close_stays_in_the_log),
        CASE(test_the_log_goes_on_while_a_write_waits_at_close),
        CASE(test_a_walk_does_not_wait_for_a_lock_for_ever),
        CASE(test_a_damaged_row_of_the_log_is_named),
    };

    log_init();
    log_set_level(LOG_LEVEL_ERROR);
    faulty_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
