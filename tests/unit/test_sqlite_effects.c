/* SPDX-License-Identifier: MIT */
/* What writes change beside their rows, and what the change feed keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "common/attr.h"
#include "server/store/sqlite_internal.h"
#include "tests/support/engine_bed.h"

/* Authors have books; books have copies in shelves, in a table WITHOUT ROWID;
 * tags are unique, and the newest takes the place of the older. */
static const char schema[] =
    "CREATE TABLE authors(name TEXT PRIMARY KEY, n_works INTEGER);"
    "CREATE TABLE works(id INTEGER PRIMARY KEY, title TEXT,"
    "  author TEXT REFERENCES authors(name)"
    "    ON DELETE CASCADE ON UPDATE CASCADE);"
    "CREATE TABLE copies(shelf TEXT, work INTEGER"
    "  REFERENCES works(id) ON DELETE CASCADE,"
    "  PRIMARY KEY(shelf, work)) WITHOUT ROWID;"
    "CREATE TABLE tags(id INTEGER PRIMARY KEY,"
    "  tag TEXT UNIQUE ON CONFLICT REPLACE);"
    "CREATE TABLE unmapped(x);"
    "CREATE VIEW titles AS SELECT id, title FROM works;"
    "INSERT INTO authors VALUES('a', 2), ('b', 0);"
    "INSERT INTO works VALUES(1, 'one', 'a'), (2, 'two', 'a'), (3, 'x', 'b');"
    "INSERT INTO copies VALUES('s', 1), ('t', 1), ('s', 2);"
    "INSERT INTO tags VALUES(1, 'red'), (2, 'blue');";

#define NAMES(...) ((const char *const[]){__VA_ARGS__})
#define KINDS(...) ((const enum column_affinity[]){__VA_ARGS__})
#define KEYS(...) ((const struct mapping_key[]){__VA_ARGS__})

static const bool none_generated[4];

static const struct mapping list[] = {
    {.table = "authors",
     .prefix = {"author:", 7},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("name", "n_works"),
     .affinities = KINDS(AFFINITY_TEXT, AFFINITY_INTEGER),
     .generated = none_generated,
     .n_columns = 2,
     .index = 0,
     .writable = true},
    {.table = "works",
     .prefix = {"work:", 5},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("id", "title", "author"),
     .affinities = KINDS(AFFINITY_INTEGER, AFFINITY_TEXT, AFFINITY_TEXT),
     .generated = none_generated,
     .n_columns = 3,
     .index = 1,
     .writable = true,
     .integer_key = true},
    {.table = "copies",
     .prefix = {"copy:", 5},
     .keys = KEYS({.column = 0, .after = {"/", 1}}, {.column = 1}),
     .n_keys = 2,
     .columns = NAMES("shelf", "work"),
     .affinities = KINDS(AFFINITY_TEXT, AFFINITY_INTEGER),
     .generated = none_generated,
     .n_columns = 2,
     .index = 2,
     .writable = true},
    {.table = "tags",
     .prefix = {"tag:", 4},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("id", "tag"),
     .affinities = KINDS(AFFINITY_INTEGER, AFFINITY_TEXT),
     .generated = none_generated,
     .n_columns = 2,
     .index = 3,
     .writable = true,
     .integer_key = true},
};
static const struct mappings tables = {.list = list, .count = ARRAY_LEN(list)};

static const struct mapping with_view[] = {
    {.table = "titles",
     .prefix = {"title:", 6},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("id", "title"),
     .affinities = KINDS(AFFINITY_INTEGER, AFFINITY_TEXT),
     .generated = none_generated,
     .n_columns = 2,
     .index = 0,
     .is_view = true,
     .integer_key = true},
    {.table = "works",
     .prefix = {"work:", 5},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("id", "title", "author"),
     .affinities = KINDS(AFFINITY_INTEGER, AFFINITY_TEXT, AFFINITY_TEXT),
     .generated = none_generated,
     .n_columns = 3,
     .index = 1,
     .writable = true,
     .integer_key = true},
};
static const struct mappings a_view = {.list = with_view,
                                       .count = ARRAY_LEN(with_view)};

static struct engine_bed bed;

static int set_up(void **state)
{
    (void)state;
    engine_bed_open(&bed, &engine_sqlite, &tables, schema);
    return 0;
}

static int set_up_view(void **state)
{
    (void)state;
    engine_bed_open(&bed, &engine_sqlite, &a_view, schema);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bed.engine->rollback(bed.writer);
    engine_bed_close(&bed);
    return 0;
}

/* ---- what is told ---- */

static void test_a_write_alone_has_no_effects(void **state)
{
    (void)state;
    engine_bed_begin(&bed);
    engine_bed_set(&bed, "work:9", "title", "nine", NULL);
    engine_bed_set(&bed, "work:9", "title", "ten", NULL);
    engine_bed_put(&bed, "work:3", NULL);
    engine_bed_set(&bed, "author:c", "n_works", "0", NULL);
    engine_bed_put(&bed, "copy:u/9", "{}");
    engine_bed_put(&bed, "plain", "x");
    engine_bed_read(&bed, "work:1");
    assert_string_equal(engine_bed_commit(&bed), "");
}

static void test_cascades_are_told_through_any_kind_of_table(void **state)
{
    (void)state;
    engine_bed_begin(&bed);
    assert_string_equal(engine_bed_put(&bed, "author:a", NULL), "~1");
    assert_string_equal(engine_bed_commit(&bed),
                        "copy:s/1 deleted copy:t/1 deleted work:1 deleted "
                        "copy:s/2 deleted work:2 deleted ");
}

static void test_what_triggers_change_is_told(void **state)
{
    (void)state;
    engine_bed_outside(
        &bed, "CREATE TRIGGER t1 AFTER INSERT ON works BEGIN "
              "UPDATE authors SET n_works = n_works + 1"
              "  WHERE name = new.author;"
              "UPDATE works SET title = upper(title) WHERE id = new.id;"
              "INSERT INTO unmapped VALUES(1);"
              "UPDATE copies SET shelf = 'z' WHERE work = 2; END");
    engine_bed_begin(&bed);
    assert_string_equal(
        engine_bed_set(&bed, "work:9", "title", "nine", "author", "b", NULL),
        "+1 new=2 9|NINE|b");
    assert_string_equal(engine_bed_commit(&bed),
                        "author:b written copy:s/2 deleted copy:z/2 written ");
}

static void test_effects_end_with_their_transaction(void **state)
{
    (void)state;
    engine_bed_begin(&bed);
    engine_bed_put(&bed, "author:a", NULL);
    bed.engine->rollback(bed.writer);
    engine_bed_begin(&bed);
    assert_string_equal(engine_bed_commit(&bed), "");

    engine_bed_begin(&bed);
    engine_bed_put(&bed, "author:a", NULL);
    engine_bed_commit(&bed);
    engine_bed_begin(&bed);
    assert_string_equal(engine_bed_commit(&bed), "");
}

static void test_what_is_taken_back_had_no_effects(void **state)
{
    (void)state;
    engine_bed_outside(&bed,
                       "CREATE TRIGGER t2 AFTER DELETE ON works "
                       "WHEN old.id = 2 BEGIN SELECT RAISE(FAIL, 'no'); END");
    engine_bed_begin(&bed);
    assert_true(bed.engine->begin_group(bed.writer, &bed.detail) == ERR_OK);
    engine_bed_put(&bed, "work:1", NULL);
    assert_true(bed.engine->end_group(bed.writer, false, &bed.detail) ==
                ERR_OK);
    engine_bed_put(&bed, "author:a", NULL); /* Fails half-way. */
    engine_bed_put(&bed, "author:b", NULL);
    assert_string_equal(engine_bed_commit(&bed), "work:3 deleted ");
    assert_string_equal(engine_bed_query(&bed, "SELECT count(*) FROM copies"),
                        "3");
}

static void test_rows_that_replace_deletes_make_all_of_them_old(void **state)
{
    (void)state;
    engine_bed_begin(&bed);
    assert_string_equal(engine_bed_set(&bed, "tag:3", "tag", "red", NULL),
                        "+1 new=1 3|red");
    assert_string_equal(engine_bed_read(&bed, "tag:1"), "=");
    assert_string_equal(engine_bed_commit(&bed), "tag:* ");
}

static void test_too_many_effects_are_told_as_a_whole(void **state)
{
    (void)state;
    engine_bed_outside(&bed, "WITH RECURSIVE c(i) AS (SELECT 10 UNION ALL "
                             "SELECT i + 1 FROM c WHERE i < 5000) "
                             "INSERT INTO works SELECT i, 'many', 'b' FROM c");
    engine_bed_begin(&bed);
    engine_bed_put(&bed, "author:b", NULL);
    engine_bed_put(&bed, "work:1", NULL);
    assert_string_equal(engine_bed_commit(&bed), "work:* copy:* ");
}

static void test_a_view_changes_with_every_commit_that_changes(void **state)
{
    (void)state;
    engine_bed_begin(&bed);
    engine_bed_set(&bed, "work:1", "title", "x", NULL);
    assert_string_equal(engine_bed_commit(&bed), "title:* ");
    engine_bed_begin(&bed);
    engine_bed_read(&bed, "work:1");
    engine_bed_put(&bed, "work:77", NULL);
    assert_string_equal(engine_bed_commit(&bed), "");
}

static void test_others_do_not_see_our_triggers(void **state)
{
    (void)state;
    engine_bed_begin(&bed);
    engine_bed_set(&bed, "work:1", "title", "x", NULL);
    engine_bed_commit(&bed);
    assert_string_equal(engine_bed_query(&bed,
                                         "SELECT count(*) FROM sqlite_schema "
                                         "WHERE name LIKE 'bookd_effect%'"),
                        "0");
}

static void test_a_table_made_anew_by_others_is_still_watched(void **state)
{
    (void)state;
    engine_bed_outside(&bed, "DROP TABLE copies;"
                             "CREATE TABLE copies(shelf TEXT, work INTEGER"
                             "  REFERENCES works(id) ON DELETE CASCADE,"
                             "  PRIMARY KEY(shelf, work)) WITHOUT ROWID;"
                             "INSERT INTO copies VALUES('new', 1)");
    engine_bed_begin(&bed);
    assert_string_equal(engine_bed_put(&bed, "work:1", NULL), "~1");
    assert_string_equal(engine_bed_commit(&bed), "copy:new/1 deleted ");
}

/* ---- commits of others ---- */

static void test_only_commits_of_others_are_foreign(void **state)
{
    (void)state;
    assert_false(bed.engine->foreign_commit(bed.writer));
    engine_bed_begin(&bed);
    engine_bed_set(&bed, "work:1", "title", "x", NULL);
    engine_bed_commit(&bed);
    assert_false(bed.engine->foreign_commit(bed.writer));
    engine_bed_outside(&bed, "INSERT INTO unmapped VALUES(1)");
    assert_true(bed.engine->foreign_commit(bed.writer));
    assert_false(bed.engine->foreign_commit(bed.writer));
    engine_bed_outside(&bed, "INSERT INTO unmapped VALUES(1)");
    engine_bed_begin(&bed);
    assert_true(bed.engine->foreign_commit(bed.writer));
    engine_bed_commit(&bed);
}

/* ---- the change feed ---- */

/* As the administrator installs it, for one table. */
static void install_feed(void)
{
    engine_bed_outside(
        &bed,
        "CREATE TABLE IF NOT EXISTS bookd_changes("
        "  seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, op INTEGER);"
        "CREATE TRIGGER feed AFTER UPDATE ON works BEGIN "
        "INSERT INTO bookd_changes(key, op) VALUES('work:' || new.id, 1); END");
    engine_bed_reopen(&bed);
}

static void test_our_own_changes_are_not_left_in_the_feed(void **state)
{
    (void)state;
    install_feed();
    engine_bed_outside(&bed, "UPDATE works SET title = 'y' WHERE id = 2");
    engine_bed_begin(&bed);
    engine_bed_set(&bed, "work:1", "title", "x", NULL);
    engine_bed_set(&bed, "work:1", "title", "z", NULL);
    assert_string_equal(engine_bed_commit(&bed), "");
    assert_string_equal(
        engine_bed_query(&bed, "SELECT group_concat(key) FROM bookd_changes"),
        "work:2");
    assert_string_equal(engine_bed_query(&bed,
                                         "SELECT seq FROM sqlite_sequence "
                                         "WHERE name = 'bookd_changes'"),
                        "3");
}

static void test_the_feed_is_trimmed_as_far_as_it_was_seen(void **state)
{
    bool more = false;

    (void)state;
    install_feed();
    engine_bed_outside(&bed, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL "
                             "SELECT i + 1 FROM c WHERE i < 1200) "
                             "INSERT INTO bookd_changes(key, op) "
                             "SELECT 'work:' || i, 1 FROM c");
    assert_int_equal(bed.engine->tidy(bed.writer, &more, &bed.detail), ERR_OK);
    assert_false(more);
    assert_string_equal(
        engine_bed_query(&bed, "SELECT count(*) FROM bookd_changes"), "1200");

    assert_true(bed.engine->foreign_commit(bed.writer));
    atomic_store(&bed.database->feed_seen, 1100);
    do {
        assert_int_equal(bed.engine->tidy(bed.writer, &more, &bed.detail),
                         ERR_OK);
    } while (more);
    assert_string_equal(
        engine_bed_query(&bed, "SELECT count(*) FROM bookd_changes"), "100");
    assert_false(bed.engine->foreign_commit(bed.writer));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_write_alone_has_no_effects),
        CASE(test_cascades_are_told_through_any_kind_of_table),
        CASE(test_what_triggers_change_is_told),
        CASE(test_effects_end_with_their_transaction),
        CASE(test_what_is_taken_back_had_no_effects),
        CASE(test_rows_that_replace_deletes_make_all_of_them_old),
        CASE(test_too_many_effects_are_told_as_a_whole),
        cmocka_unit_test_setup_teardown(
            test_a_view_changes_with_every_commit_that_changes, set_up_view,
            tear_down),
        CASE(test_others_do_not_see_our_triggers),
        CASE(test_a_table_made_anew_by_others_is_still_watched),
        CASE(test_only_commits_of_others_are_foreign),
        CASE(test_our_own_changes_are_not_left_in_the_feed),
        CASE(test_the_feed_is_trimmed_as_far_as_it_was_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
