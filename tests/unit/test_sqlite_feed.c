/* SPDX-License-Identifier: MIT */
/*
 * The change feed in a file: which keys its triggers write down, and that it is
 * put there and taken away on request; files of an older version.
 */
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
#include "server/admin/config.h"
#include "server/store/sqlite_internal.h"
#include "tests/support/table_bed.h"

static const char schema[] =
    "CREATE TABLE users(name TEXT PRIMARY KEY, age INT, mail TEXT UNIQUE);"
    "CREATE TABLE orders(region TEXT, no INTEGER, sum, \"a b\" TEXT,"
    "    PRIMARY KEY(region, no)) WITHOUT ROWID;"
    "CREATE TABLE \"it's\"(id INTEGER PRIMARY KEY, owner TEXT REFERENCES "
    "    users(name) ON DELETE CASCADE ON UPDATE CASCADE);"
    "CREATE TABLE odd(id INTEGER PRIMARY KEY, x TEXT, y TEXT);"
    "CREATE UNIQUE INDEX odd_lower ON odd(lower(x));"
    "CREATE UNIQUE INDEX odd_pair ON odd(y COLLATE NOCASE, lower(x));"
    "CREATE UNIQUE INDEX odd_some ON odd(x) WHERE y > 'm';"
    "CREATE VIEW seen AS SELECT name FROM users;"
    "CREATE TRIGGER mine AFTER INSERT ON users BEGIN SELECT 1; END;";

static const char tables[] = "users prefix \"user'\" key name; "
                             "orders prefix o: key {region}--{no}; "
                             "\"it's\" prefix \"it's:\" key id; "
                             "odd prefix odd: key id; seen prefix s: key name";

static const char every_name[] =
    "SELECT type || name || coalesce(sql, '') FROM sqlite_schema "
    "WHERE name <> 'sqlite_sequence' ORDER BY 1";

static int make(void **state)
{
    static struct table_bed bed;

    table_bed_init(&bed, schema);
    *state = &bed;
    return 0;
}

static int drop(void **state)
{
    table_bed_destroy(*state);
    return 0;
}

static const char *maintain(struct table_bed *bed, enum store_task task)
{
    if (table_bed_maintain(bed, tables, task) != ERR_OK) {
        fail_msg("%s", buf_string(&bed->detail));
    }
    return buf_string(&bed->text);
}

/* What the feed has, "+key" or "-key" each, and empties it. */
static const char *take_changes(struct table_bed *bed)
{
    char *changes = strdup(table_bed_query(
        bed, "SELECT substr(' +-', op + 1, 1) || coalesce(key, 'NULL') "
             "FROM bookd_changes ORDER BY seq"));

    table_bed_run(bed, "DELETE FROM bookd_changes");
    buf_clear(&bed->text);
    buf_append_string(&bed->text, changes);
    free(changes);
    return buf_string(&bed->text);
}

static void assert_changes(struct table_bed *bed, const char *sql,
                           const char *changes)
{
    table_bed_run(bed, sql);
    assert_string_equal(take_changes(bed), changes);
}

static void assert_state(struct table_bed *bed, size_t index,
                         enum sqlite_feed state)
{
    struct sqlite3 *db = NULL;
    enum sqlite_feed is;

    assert_int_equal(sqlite_connect(bed->path, CONNECT_READER,
                                    DURABILITY_NORMAL, &db, &bed->detail),
                     ERR_OK);
    assert_int_equal(
        sqlite_feed_state(db, &bed->mappings->list[index], &is, &bed->detail),
        ERR_OK);
    sqlite_disconnect(db);
    assert_int_equal(is, state);
}

/* ---- what is written down ---- */

static void test_every_change_has_its_key(void **state)
{
    struct table_bed *bed = *state;
    maintain(bed, STORE_INSTALL_FEED);

    assert_changes(bed, "INSERT INTO users(name) VALUES('anna'), (NULL)",
                   "+user'anna +NULL");
    assert_changes(bed, "UPDATE users SET age = 3 WHERE name = 'anna'",
                   "+user'anna");
    assert_changes(bed, "UPDATE users SET name = 'bob' WHERE age = 3",
                   "-user'anna +user'bob");
    assert_changes(bed, "DELETE FROM users", "-user'bob -NULL");
    assert_changes(bed,
                   "INSERT INTO orders(region, no) VALUES('a', 1), ('a', 2)",
                   "+o:a--1 +o:a--2");
    assert_changes(bed,
                   "UPDATE orders SET no = -no, region = region || '''' "
                   "WHERE no = 2",
                   "-o:a--2 +o:a'---2");
    assert_changes(bed, "DELETE FROM orders WHERE no = 1", "-o:a--1");
    assert_changes(bed, "BEGIN; DELETE FROM orders; ROLLBACK", "");
}

static void test_what_follows_from_a_change_is_written_down_too(void **state)
{
    struct table_bed *bed = *state;
    maintain(bed, STORE_INSTALL_FEED);
    table_bed_run(bed, "PRAGMA foreign_keys = ON;"
                       "INSERT INTO users(name) VALUES('anna');"
                       "INSERT INTO \"it's\" VALUES(1, 'anna'), (2, 'anna')");
    take_changes(bed);

    assert_changes(bed, "UPDATE users SET name = 'eva'",
                   "+it's:1 +it's:2 -user'anna +user'eva");
    assert_changes(bed, "DELETE FROM users", "-it's:1 -it's:2 -user'eva");
}

static void test_rows_that_replace_takes_away_are_written_down(void **state)
{
    struct table_bed *bed = *state;
    maintain(bed, STORE_INSTALL_FEED);
    table_bed_run(bed, "INSERT INTO users VALUES('a', 1, 'm'), ('b', 2, 'n')");
    take_changes(bed);

    assert_changes(bed, "INSERT OR REPLACE INTO users VALUES('c', 3, 'm')",
                   "+user'a +user'c");
    assert_changes(bed, "UPDATE OR REPLACE users SET mail = 'm' WHERE age = 2",
                   "+user'c +user'b");
    assert_changes(bed, "INSERT OR REPLACE INTO users VALUES('b', 4, 'm')",
                   "+user'b");
    assert_changes(bed, "UPDATE users SET age = 5", "+user'b");
    assert_string_equal(table_bed_query(bed, "SELECT name FROM users"), "b");
}

static void
test_indexes_of_expressions_are_seen_as_far_as_possible(void **state)
{
    struct table_bed *bed = *state;

    assert_non_null(strstr(maintain(bed, STORE_INSTALL_FEED),
                           "odd: rows that OR REPLACE removes because of "
                           "odd_lower are not seen"));
    table_bed_run(bed, "INSERT INTO odd VALUES(1, 'x', 'z')");
    take_changes(bed);

    assert_changes(bed, "INSERT OR REPLACE INTO odd VALUES(2, 'y', 'Z')",
                   "+odd:1 +odd:2"); /* One too many is harmless. */
    assert_changes(bed, "INSERT OR REPLACE INTO odd VALUES(3, 'x', 'q')",
                   "+odd:1 +odd:3");
}

/* ---- on request ---- */

static void test_it_is_installed_told_and_taken_away_again(void **state)
{
    struct table_bed *bed = *state;
    char *before = strdup(table_bed_query(bed, every_name));

    assert_string_equal(
        maintain(bed, STORE_INSTALL_FEED),
        "created the table bookd_changes\n"
        "users: created the triggers bookd_feed_users_*\n"
        "orders: created the triggers bookd_feed_orders_*\n"
        "it's: created the triggers bookd_feed_it's_*\n"
        "odd: created the triggers bookd_feed_odd_*\n"
        "odd: rows that OR REPLACE removes because of odd_lower are not seen, "
        "as these indexes are over expressions\n"
        "seen: is a view and cannot have triggers; any change by others makes "
        "its copies stale\n");
    assert_non_null(strstr(maintain(bed, STORE_INSTALL_FEED),
                           "users: the triggers are there already\n"));
    assert_string_equal(maintain(bed, STORE_REMOVE_FEED),
                        "dropped 16 triggers and the table bookd_changes; the "
                        "table sqlite_sequence, which SQLite keeps for itself, "
                        "stays\n");
    assert_string_equal(maintain(bed, STORE_REMOVE_FEED),
                        "there was no change feed\n");

    assert_string_equal(table_bed_query(bed, every_name), before);
    free(before);
}

static void test_a_feed_for_another_prefix_is_stale(void **state)
{
    struct table_bed *bed = *state;
    maintain(bed, STORE_INSTALL_FEED);

    assert_int_equal(table_bed_open(bed, "users prefix u: key name; "
                                         "orders prefix o: key {region}--{no}"),
                     ERR_OK);
    assert_state(bed, 0, SQLITE_FEED_STALE);
    assert_state(bed, 1, SQLITE_FEED_INSTALLED);
    assert_int_equal(
        table_bed_maintain(bed, "users prefix u: key name", STORE_INSTALL_FEED),
        ERR_OK);
    assert_string_equal(buf_string(&bed->text),
                        "users: renewed the triggers bookd_feed_users_*\n");

    assert_state(bed, 0, SQLITE_FEED_INSTALLED);
    assert_changes(bed, "INSERT INTO users(name) VALUES('x')", "+u:x");
}

static void test_a_feed_that_lacks_a_part_is_stale(void **state)
{
    struct table_bed *bed = *state;
    maintain(bed, STORE_INSTALL_FEED);
    assert_int_equal(table_bed_open(bed, tables), ERR_OK);
    assert_state(bed, 0, SQLITE_FEED_INSTALLED);
    assert_state(bed, 4, SQLITE_FEED_ABSENT);

    table_bed_run(bed, "DROP TRIGGER bookd_feed_users_delete");
    assert_state(bed, 0, SQLITE_FEED_STALE);
    table_bed_run(bed, "CREATE UNIQUE INDEX sums ON orders(sum)");
    assert_state(bed, 1, SQLITE_FEED_STALE);
    maintain(bed, STORE_INSTALL_FEED);

    assert_state(bed, 0, SQLITE_FEED_INSTALLED);
    assert_state(bed, 1, SQLITE_FEED_INSTALLED);
}

static void test_a_request_that_fails_changes_nothing(void **state)
{
    struct table_bed *bed = *state;
    char *before = strdup(table_bed_query(bed, every_name));

    assert_int_equal(table_bed_maintain(bed,
                                        "users prefix u: key name; "
                                        "orders prefix o: key no",
                                        STORE_INSTALL_FEED),
                     ERR_STORE_MAPPING);

    assert_int_equal(bed->text.size, 0);
    assert_string_equal(table_bed_query(bed, every_name), before);
    assert_int_equal(table_bed_maintain(bed, "", STORE_INSTALL_FEED),
                     ERR_INVALID);
    assert_non_null(strstr(buf_string(&bed->detail), "no table"));
    free(before);
}

static void test_plain_keys_are_installed_in_a_file_of_others(void **state)
{
    struct table_bed *bed = *state;
    bed->plain_keys = true;
    assert_int_equal(table_bed_open(bed, ""), ERR_INVALID);

    assert_non_null(strstr(maintain(bed, STORE_INSTALL_PLAIN),
                           "created the table bookd_plain"));
    assert_string_equal(maintain(bed, STORE_INSTALL_PLAIN),
                        "the table bookd_plain is there already\n");
    assert_int_equal(table_bed_open(bed, ""), ERR_OK);
    table_bed_run(bed, "INSERT INTO bookd_plain(key, value) "
                       "VALUES(CAST('k' AS BLOB), CAST('v' AS BLOB))");

    assert_string_equal(table_bed_read(bed, "k"), "v");
    assert_string_equal(table_bed_scan_all(bed, 1), "k");
    assert_int_equal(table_bed_count(bed), 1);
}

static void
test_an_older_table_of_plain_keys_is_brought_up_to_date(void **state)
{
    struct table_bed *bed = *state;
    bed->plain_keys = true;
    (void)maintain(bed, STORE_INSTALL_PLAIN);
    table_bed_run(bed, "ALTER TABLE bookd_plain DROP COLUMN type;"
                       "INSERT INTO bookd_plain(key, value) "
                       "VALUES(CAST('k' AS BLOB), CAST('v' AS BLOB))");

    assert_int_equal(table_bed_open(bed, ""), ERR_OK);

    assert_string_equal(table_bed_read(bed, "k"), "v");
    assert_string_equal(table_bed_query(bed, "SELECT count(*) FROM bookd_plain "
                                             "WHERE type IS NULL"),
                        "1");
}

static void test_a_file_that_is_not_there_is_not_made(void **state)
{
    struct table_bed bed;

    (void)state;
    table_bed_init(&bed, NULL);

    assert_int_equal(table_bed_maintain(&bed, "", STORE_INSTALL_FEED),
                     ERR_NOT_FOUND);
    assert_int_equal(table_bed_maintain(&bed, "", STORE_INSTALL_PLAIN),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(buf_string(&bed.detail), "is not there"));
    table_bed_destroy(&bed);
}

/* ---- files of bookd's own ---- */

static const char version_1[] =
    "CREATE TABLE bookd_meta(name TEXT PRIMARY KEY, value TEXT NOT NULL)"
    "    STRICT, WITHOUT ROWID;"
    "CREATE TABLE bookd_plain(id INTEGER PRIMARY KEY,"
    "    key BLOB NOT NULL UNIQUE, value BLOB NOT NULL, expires_ms INTEGER)"
    "    STRICT;"
    "CREATE INDEX bookd_plain_expires ON bookd_plain(expires_ms)"
    "    WHERE expires_ms IS NOT NULL;"
    "CREATE TABLE books(id INTEGER PRIMARY KEY, title TEXT NOT NULL,"
    "    author TEXT, year INTEGER) STRICT;"
    "INSERT INTO bookd_meta VALUES('schema_version', '1');"
    "INSERT INTO bookd_plain(key, value) VALUES(x'6b', x'76');"
    "INSERT INTO books VALUES(3, 'Dune', 'Herbert', 1965);";

static void test_a_file_of_version_1_is_brought_up_to_date(void **state)
{
    struct table_bed old;
    struct table_bed new;

    (void)state;
    table_bed_init(&old, version_1);
    table_bed_init(&new, NULL);
    assert_int_equal(table_bed_open(&old, ""), ERR_OK);
    assert_int_equal(table_bed_open(&new, ""), ERR_OK);

    assert_string_equal(table_bed_read(&old, "book:3"), "3|Dune|Herbert|1965");
    assert_string_equal(table_bed_read(&old, "k"), "v");
    assert_state(&old, 0, SQLITE_FEED_INSTALLED);
    static const char names[] = "SELECT name FROM sqlite_schema ORDER BY 1";
    char *made = strdup(table_bed_query(&new, names));
    assert_string_equal(table_bed_query(&old, names), made);
    assert_string_equal(table_bed_query(&old, "SELECT value FROM bookd_meta"),
                        "3");
    assert_changes(&old, "UPDATE books SET year = 1 WHERE id = 3", "+book:3");
    free(made);
    table_bed_destroy(&old);
    table_bed_destroy(&new);
}

static void test_an_upgrade_leaves_a_removed_feed_removed(void **state)
{
    struct table_bed bed;

    (void)state;
    table_bed_init(&bed, version_1);
    assert_int_equal(table_bed_open(&bed, ""), ERR_OK);
    table_bed_close(&bed);
    assert_int_equal(table_bed_maintain(&bed, "", STORE_REMOVE_FEED), ERR_OK);
    assert_string_equal(
        table_bed_query(&bed, "SELECT count(type) FROM bookd_plain"), "0");
    table_bed_run(&bed, "ALTER TABLE bookd_plain DROP COLUMN type;"
                        "UPDATE bookd_meta SET value = '2'");

    assert_int_equal(table_bed_open(&bed, ""), ERR_OK);
    assert_state(&bed, 0, SQLITE_FEED_ABSENT);
    assert_string_equal(table_bed_query(&bed, "SELECT value FROM bookd_meta"),
                        "3");
    table_bed_destroy(&bed);
}

static void test_a_failed_upgrade_leaves_version_1(void **state)
{
    struct table_bed bed;

    (void)state;
    table_bed_init(&bed, version_1);
    char *before = strdup(table_bed_query(&bed, every_name));

    assert_int_equal(table_bed_open(&bed, "users prefix u: key name"),
                     ERR_STORE_MAPPING);

    assert_string_equal(table_bed_query(&bed, every_name), before);
    assert_string_equal(table_bed_query(&bed, "SELECT value FROM bookd_meta"),
                        "1");
    free(before);
    table_bed_destroy(&bed);
}

static void test_a_new_file_has_the_feed_of_its_books(void **state)
{
    struct table_bed bed;

    (void)state;
    table_bed_init(&bed, NULL);
    assert_int_equal(table_bed_open(&bed, "books prefix b: key id"), ERR_OK);

    assert_state(&bed, 0, SQLITE_FEED_INSTALLED);
    assert_changes(&bed, "DELETE FROM books WHERE id < 3", "-b:1 -b:2");
    table_bed_destroy(&bed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_change_has_its_key),
        TEST(test_what_follows_from_a_change_is_written_down_too),
        TEST(test_rows_that_replace_takes_away_are_written_down),
        TEST(test_indexes_of_expressions_are_seen_as_far_as_possible),
        TEST(test_it_is_installed_told_and_taken_away_again),
        TEST(test_a_feed_for_another_prefix_is_stale),
        TEST(test_a_feed_that_lacks_a_part_is_stale),
        TEST(test_a_request_that_fails_changes_nothing),
        TEST(test_plain_keys_are_installed_in_a_file_of_others),
        TEST(test_an_older_table_of_plain_keys_is_brought_up_to_date),
        cmocka_unit_test(test_a_file_that_is_not_there_is_not_made),
        cmocka_unit_test(test_a_file_of_version_1_is_brought_up_to_date),
        cmocka_unit_test(test_an_upgrade_leaves_a_removed_feed_removed),
        cmocka_unit_test(test_a_failed_upgrade_leaves_version_1),
        cmocka_unit_test(test_a_new_file_has_the_feed_of_its_books),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
