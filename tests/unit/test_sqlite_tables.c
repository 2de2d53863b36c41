/* SPDX-License-Identifier: MIT */
/*
 * Tables and views of all kinds behind keys: which mappings are refused and
 * with which advice, which rows answer, and that walks meet them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/attr.h"
#include "tests/support/table_bed.h"

static const char schema[] =
    "CREATE TABLE users(name TEXT PRIMARY KEY COLLATE NOCASE, age INT,"
    "    photo BLOB);"
    "INSERT INTO users VALUES('anna', 30, x'00ff'), ('Bob', NULL, NULL),"
    "    ('007', 7, x''), ('', 1, NULL), ('a:b', 2, NULL), (x'41', 3, NULL),"
    "    (NULL, 4, NULL), (NULL, 5, NULL);"
    "CREATE TABLE orders(region TEXT, no INTEGER, total REAL,"
    "    PRIMARY KEY(region, no)) WITHOUT ROWID;"
    "INSERT INTO orders VALUES('emea', 1, 1.5), ('emea', 2, 2), ('', 3, 0),"
    "    ('a:b', 4, 0), ('us', 10, 1e300), ('us', 'odd', 0), ('us', 1.5, 0);"
    "CREATE TABLE loose(k PRIMARY KEY, v);"
    "INSERT INTO loose VALUES(17, 'integer'), ('17', 'text'), ('x', 'y'),"
    "    (1.5, 'real'), (x'78', 'blob'), ('017', 'zero');"
    "CREATE TABLE \"two words\"(\"group\" INTEGER PRIMARY KEY, \"a "
    "\"\"b\"\"\");"
    "INSERT INTO \"two words\" VALUES(1, 'one'), (-2, 'two');"
    "CREATE TABLE made(id INTEGER PRIMARY KEY, a INT,"
    "    twice INT GENERATED ALWAYS AS (a * 2) VIRTUAL,"
    "    thrice INT AS (a * 3) STORED);"
    "INSERT INTO made(id, a) VALUES(1, 5);"
    "CREATE TABLE pairs(a TEXT, b TEXT, c TEXT, UNIQUE(a, b));"
    "INSERT INTO pairs VALUES('1', '2', 'x'), ('1', NULL, 'y'),"
    "    ('1', NULL, 'z'), ('1--', '2', 'w'), ('-1', '', 'v');"
    "CREATE TABLE heap(a TEXT, b TEXT COLLATE NOCASE);"
    "CREATE UNIQUE INDEX heap_b ON heap(b COLLATE BINARY);"
    "CREATE UNIQUE INDEX heap_a ON heap(a) WHERE a > 'm';"
    "CREATE UNIQUE INDEX heap_lower ON heap(lower(a));"
    "CREATE TABLE reals(r REAL PRIMARY KEY, t TEXT);"
    "CREATE TABLE blobs(b BLOB PRIMARY KEY);"
    "CREATE TABLE strict_ids(id INT PRIMARY KEY, t ANY) STRICT;"
    "INSERT INTO strict_ids VALUES(1, 2), (3, 'four');"
    "CREATE TABLE rowids(rowid TEXT, _rowid_ TEXT, k TEXT UNIQUE);"
    "INSERT INTO rowids VALUES('r', 's', 'b'), ('t', 'u', 'a');"
    "CREATE VIEW grown AS SELECT name, age + 1 AS next FROM users"
    "    WHERE age > 2;"
    "CREATE VIEW sums AS SELECT region, sum(total) AS total FROM orders"
    "    GROUP BY region;"
    "CREATE VIEW by_age AS SELECT age, name FROM users;"
    "CREATE VIEW broken AS SELECT x FROM nowhere;"
    "CREATE VIRTUAL TABLE words USING fts5(word);";

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

static void open_tables(struct table_bed *bed, const char *tables)
{
    if (table_bed_open(bed, tables) != ERR_OK) {
        fail_msg("%s: %s", tables, buf_string(&bed->detail));
    }
}

static void assert_rows(struct table_bed *bed, const char *const (*rows)[2],
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(table_bed_read(bed, rows[i][0]), rows[i][1]);
    }
}

/* ---- what is refused ---- */

static void test_a_mapping_that_cannot_be_is_refused_with_advice(void **state)
{
    static const struct {
        const char *tables;
        const char *why;
    } cases[] = {
        {"nothing prefix n: key k",
         "table nothing: the database has no table or view of this name"},
        {"users prefix u: key nome",
         "table users: it has no column \"nome\"; its columns are name, age, "
         "photo"},
        {"users prefix u: key name columns name,Nome",
         "table users: it has no column \"Nome\"; its columns are name, age, "
         "photo"},
        {"users prefix u: key age",
         "table users: two rows may have the same \"age\", so it cannot be a "
         "key; if no two have, run: CREATE UNIQUE INDEX \"bookd_key_users\" ON "
         "\"users\"(\"age\");"},
        {"orders prefix o: key region",
         "table orders: two rows may have the same \"region\", so it cannot be "
         "a key; if no two have, run: CREATE UNIQUE INDEX "
         "\"bookd_key_orders\" ON \"orders\"(\"region\");"},
        {"heap prefix h: key a",
         "table heap: two rows may have the same \"a\", so it cannot be a key; "
         "if no two have, run: CREATE UNIQUE INDEX \"bookd_key_heap\" ON "
         "\"heap\"(\"a\");"},
        {"heap prefix h: key b",
         "table heap: two rows may have the same \"b\", so it cannot be a key; "
         "if no two have, run: CREATE UNIQUE INDEX \"bookd_key_heap\" ON "
         "\"heap\"(\"b\");"},
        {"pairs prefix p: key {c}:{b}:{a}", NULL},
        {"pairs prefix p: key {c}:{b}",
         "table pairs: two rows may have the same \"c\" and \"b\", so it "
         "cannot be a key; if no two have, run: CREATE UNIQUE INDEX "
         "\"bookd_key_pairs\" ON \"pairs\"(\"c\", \"b\");"},
        {"reals prefix r: key r",
         "table reals: column \"r\" is of type REAL; the columns of a key hold "
         "integers or text"},
        {"blobs prefix b: key b",
         "table blobs: column \"b\" is of type BLOB; the columns of a key hold "
         "integers or text"},
        {"words prefix w: key word",
         "table words: it is a virtual table, which has no keys; map a view or "
         "a table"},
        {"by_age prefix a: key age",
         "table by_age: finding a row by \"age\" would read all of users; run: "
         "CREATE INDEX \"bookd_key_by_age\" ON \"users\"(\"age\");"},
        {"grown prefix g: key next",
         "table grown: finding a row by \"next\" would read all of users; "
         "create an index on the columns of tables that stand behind it"},
        {"broken prefix b: key x", "table broken: no such table: main.nowhere"},
        {"books prefix x: key id",
         "table books: the database has no table or view of this name"},
    };
    struct table_bed *bed = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const enum err err = table_bed_open(bed, cases[i].tables);
        if (cases[i].why == NULL) {
            assert_int_equal(err, ERR_OK);
            table_bed_close(bed);
            continue;
        }
        if (err != ERR_STORE_MAPPING) {
            fail_msg("%s: %s", cases[i].tables, buf_string(&bed->detail));
        }
        const char *why = strstr(buf_string(&bed->detail), ": ");
        assert_non_null(why);
        assert_string_equal(why + 2, cases[i].why);
    }
}

static void test_the_advice_helps(void **state)
{
    struct table_bed *bed = *state;

    assert_int_equal(table_bed_open(bed, "heap prefix h: key {a}:{b}"),
                     ERR_STORE_MAPPING);
    table_bed_run(bed, strstr(buf_string(&bed->detail), "CREATE UNIQUE"));
    open_tables(bed, "heap prefix h: key {a}:{b}");
    table_bed_close(bed);

    assert_int_equal(table_bed_open(bed, "by_age prefix a: key age"),
                     ERR_STORE_MAPPING);
    table_bed_run(bed, strstr(buf_string(&bed->detail), "CREATE INDEX"));
    open_tables(bed, "by_age prefix a: key age");
    assert_string_equal(table_bed_read(bed, "a:30"), "30|anna");
}

static void test_tables_that_contradict_each_other_are_refused(void **state)
{
    static const struct {
        const char *tables;
        const char *why;
    } cases[] = {
        {"users prefix x: key name; orders prefix x: key no",
         "table orders: prefix \"x:\" is that of table users too\n"},
        {"users prefix book: key name",
         "table users: prefix \"book:\" is that of table books too\n"},
        {"users prefix u:", "table users: it has no key; write table users "
                            "prefix u: key COLUMN\n"},
        {"users key {a}:{b}", "table users: it has no prefix; write table "
                              "users prefix PREFIX: key {a}:{b}\n"},
        {"\"a b\" max-age 1s", "table a b: it has no prefix and no key; write "
                               "table \"a b\" prefix PREFIX: key COLUMN\n"},
        {"orders prefix o: key {region}:{no} columns no,total",
         "table orders: columns leaves out region, which is of the key; write "
         "columns region,no,total\n"},
    };
    struct table_bed *bed = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(table_bed_open(bed, cases[i].tables), ERR_INVALID);
        assert_string_equal(buf_string(&bed->detail), cases[i].why);
    }
}

/* ---- what answers ---- */

static void test_a_text_key_is_its_exact_text(void **state)
{
    static const char *const rows[][2] = {
        {"user:anna", "anna|30|\x00"}, /* And more, behind the NUL. */
        {"user:Bob", "Bob|NULL|NULL"}, {"user:007", "007|7|"},
        {"user:", "|1|NULL"},          {"user:a:b", "a:b|2|NULL"},
        {"user:ANNA", "(none)"},       {"user:7", "(none)"},
        {"user:A", "(none)"},          {"user:nobody", "(none)"},
    };
    struct table_bed *bed = *state;

    open_tables(bed, "users prefix user: key name");

    assert_rows(bed, rows, ARRAY_LEN(rows));
    assert_string_equal(table_bed_scan_all(bed, 1),
                        "user:anna user:Bob user:007 user: user:a:b");
    assert_int_equal(table_bed_count(bed), 5);
}

static void test_a_key_of_two_columns(void **state)
{
    static const char *const rows[][2] = {
        {"o:emea:1", "emea|1|1.5"}, {"o::3", "|3|0.0"},
        {"o:us:odd", "us|odd|0.0"}, {"o:us:1.5", "(none)"},
        {"o:emea:01", "(none)"},    {"o:emea:1.0", "(none)"},
        {"o:emea:", "(none)"},      {"o:emea", "(none)"},
        {"o:a:b:4", "(none)"},
    };
    struct table_bed *bed = *state;

    open_tables(bed, "orders prefix o: key {region}:{no}");

    assert_rows(bed, rows, ARRAY_LEN(rows));
    assert_string_equal(table_bed_scan_all(bed, 2),
                        "o::3 o:emea:1 o:emea:2 o:us:10 o:us:odd");
    assert_int_equal(table_bed_count(bed), 5);
}

static void test_columns_without_type_keep_numbers_and_text_apart(void **state)
{
    static const char *const rows[][2] = {
        {"l:17", "17|integer"}, {"l:x", "x|y"},     {"l:1.5", "(none)"},
        {"l:017", "017|zero"},  {"l:18", "(none)"},
    };
    struct table_bed *bed = *state;

    open_tables(bed, "loose prefix l: key k");

    assert_rows(bed, rows, ARRAY_LEN(rows));
    assert_string_equal(table_bed_scan_all(bed, 10), "l:17 l:x l:017");
    assert_int_equal(table_bed_count(bed), 3);
}

static void test_names_are_quoted(void **state)
{
    struct table_bed *bed = *state;

    open_tables(bed, "\"two words\" prefix \"' \" key group columns "
                     "\"group,a \\\"b\\\"\"");

    assert_string_equal(table_bed_read(bed, "' 1"), "1|one");
    assert_string_equal(table_bed_scan_all(bed, 1), "' -2 ' 1");
    assert_int_equal(table_bed_count(bed), 2);
}

static void test_computed_columns_are_read(void **state)
{
    struct table_bed *bed = *state;

    open_tables(bed, "made prefix m: key id columns twice,ID,thrice");

    assert_string_equal(table_bed_read(bed, "m:1"), "10|1|15");
    assert_string_equal(bed->mappings->list[0].columns[1], "id");
    assert_true(bed->mappings->list[0].generated[0]);
    assert_false(bed->mappings->list[0].generated[1]);
    assert_true(bed->mappings->list[0].generated[2]);
    assert_true(bed->mappings->list[0].integer_key);
}

static void test_rows_whose_key_names_another_are_not_there(void **state)
{
    static const char *const rows[][2] = {
        {"p:1--2", "1|2|x"}, {"p:1----2", "(none)"}, {"p:-1--", "-1||v"},
        {"p:1--", "(none)"}, {"p:--2", "(none)"},
    };
    struct table_bed *bed = *state;

    open_tables(bed, "pairs prefix p: key {a}--{b}");

    assert_rows(bed, rows, ARRAY_LEN(rows));
    assert_string_equal(table_bed_scan_all(bed, 1), "p:1--2 p:-1--");
    assert_int_equal(table_bed_count(bed), 2);
}

static void test_integers_of_a_strict_table(void **state)
{
    struct table_bed *bed = *state;

    open_tables(bed, "strict_ids prefix s: key id; rowids prefix r: key k");

    assert_true(bed->mappings->list[0].integer_key);
    assert_string_equal(table_bed_read(bed, "s:3"), "3|four");
    assert_string_equal(table_bed_read(bed, "s:03"), "(none)");
    assert_string_equal(table_bed_read(bed, "r:b"), "r|s|b");
    assert_string_equal(table_bed_scan_all(bed, 1), "s:1 s:3 r:b r:a");
    assert_int_equal(table_bed_count(bed), 4);
}

static void test_views_are_read_and_never_written(void **state)
{
    struct table_bed *bed = *state;

    open_tables(bed, "grown prefix g: key name writable yes; "
                     "sums prefix s: key region");

    assert_string_equal(table_bed_read(bed, "g:anna"), "anna|31");
    assert_string_equal(table_bed_read(bed, "g:ANNA"), "(none)");
    assert_string_equal(table_bed_read(bed, "g:a:b"), "(none)");
    assert_string_equal(table_bed_read(bed, "s:emea"), "emea|3.5");
    assert_true(bed->mappings->list[0].is_view);
    assert_false(bed->mappings->list[0].writable);
    assert_string_equal(table_bed_scan_all(bed, 1),
                        "g:007 g:anna s: s:a:b s:emea s:us");
    assert_int_equal(table_bed_count(bed), 6);
}

static void test_a_table_of_two_thousand_columns(void **state)
{
    struct table_bed *bed = *state;
    struct buf sql = {0};

    buf_append_string(&sql, "CREATE TABLE wide(id INTEGER PRIMARY KEY");
    for (int i = 1; i < 2000; i++) {
        buf_printf(&sql, ", c%d", i);
    }
    buf_append_string(&sql, "); INSERT INTO wide(id, c1999) VALUES(1, 'last')");
    table_bed_run(bed, buf_string(&sql));
    buf_destroy(&sql);

    open_tables(bed, "wide prefix w: key id");

    assert_int_equal(bed->mappings->list[0].n_columns, 2000);
    const char *row = table_bed_read(bed, "w:1");
    assert_string_equal(row + strlen(row) - 5, "|last");
}

/* ---- whose file it is ---- */

static void test_books_are_there_if_the_table_is(void **state)
{
    struct table_bed *bed = *state;

    open_tables(bed, "users prefix u: key name");
    assert_int_equal(bed->mappings->count, 1);
    table_bed_close(bed);
    table_bed_run(bed, "CREATE TABLE books(id INTEGER PRIMARY KEY, isbn)");

    open_tables(bed, "users prefix u: key name; books max-age 1s");

    assert_int_equal(bed->mappings->count, 2);
    assert_string_equal(bed->mappings->list[0].table, "books");
    assert_int_equal(bed->mappings->list[0].n_columns, 2);
    assert_int_equal(bed->mappings->list[1].index, 1);
}

static void test_nothing_is_added_to_a_file_of_others(void **state)
{
    struct table_bed *bed = *state;
    char *before =
        strdup(table_bed_query(bed, "SELECT name || sql FROM sqlite_schema"));

    open_tables(bed, "users prefix u: key name");
    table_bed_close(bed);
    bed->plain_keys = true;
    assert_int_equal(table_bed_open(bed, ""), ERR_INVALID);
    assert_non_null(strstr(buf_string(&bed->detail), "plain-writes none"));
    assert_non_null(strstr(buf_string(&bed->detail), "--install-plain-keys"));

    assert_string_equal(
        table_bed_query(bed, "SELECT name || sql FROM sqlite_schema"), before);
    free(before);
}

static void test_a_file_without_log_is_refused(void **state)
{
    struct table_bed *bed = *state;

    table_bed_run(bed, "PRAGMA journal_mode = DELETE");

    assert_int_equal(table_bed_open(bed, "users prefix u: key name"),
                     ERR_INVALID);
    assert_non_null(
        strstr(buf_string(&bed->detail), "'PRAGMA journal_mode = WAL'"));
    assert_string_equal(table_bed_query(bed, "PRAGMA journal_mode"), "delete");
}

/* ---- walks under writes ---- */

/* Walks in pages of 'count', deleting and inserting between them, and counts
 * the keys of the rows that stay, of which there are 'n'. */
static void walk_under_writes(struct table_bed *bed, const char *table,
                              size_t n, size_t count)
{
    uint64_t cursor = 0;
    bool *met = calloc(n, sizeof(*met));
    size_t n_met = 0;
    struct buf sql = {0};
    unsigned page = 0;

    do {
        char *rest = NULL;
        char *keys = strdup(table_bed_scan(bed, &cursor, count));
        for (char *key = strtok_r(keys, " ", &rest); key != NULL;
             key = strtok_r(NULL, " ", &rest)) {
            const char *stays = strstr(key, "stay");
            if (stays != NULL) {
                const size_t i = strtoul(stays + 4, NULL, 10);
                assert_true(i < n && !met[i]);
                met[i] = true;
                n_met++;
            }
        }
        free(keys);
        buf_clear(&sql);
        buf_printf(&sql,
                   "DELETE FROM %s WHERE k LIKE 'go%%' AND random() %% 2; "
                   "INSERT INTO %s(k) VALUES('go' || random()), "
                   "('a' || %u), ('z' || %u)",
                   table, table, page, page);
        page++;
        table_bed_run(bed, buf_string(&sql));
    } while (cursor != 0 && page < 10000);
    assert_int_equal(n_met, n);
    buf_destroy(&sql);
    free(met);
}

static void test_what_stays_is_met_once_under_writes(void **state)
{
    static const char *const tables[][3] = {
        {"by_rowid", "CREATE TABLE by_rowid(k TEXT UNIQUE)",
         "by_rowid prefix x: key k"},
        {"by_key", "CREATE TABLE by_key(k TEXT PRIMARY KEY) WITHOUT ROWID",
         "by_key prefix x: key k"},
        {"nocase",
         "CREATE TABLE nocase(k TEXT COLLATE NOCASE PRIMARY KEY DESC)"
         " WITHOUT ROWID",
         "nocase prefix x: key k"},
        {"seen",
         "CREATE TABLE seen(k TEXT PRIMARY KEY); "
         "CREATE VIEW seen_all AS SELECT k FROM seen",
         "seen_all prefix x: key k"},
    };
    struct table_bed *bed = *state;
    struct buf sql = {0};

    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        table_bed_run(bed, tables[i][1]);
        buf_clear(&sql);
        buf_printf(&sql,
                   "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL "
                   "SELECT i + 1 FROM n WHERE i < 99) "
                   "INSERT INTO %s(k) SELECT 'stay' || i FROM n "
                   "UNION ALL SELECT 'go' || i FROM n",
                   tables[i][0]);
        table_bed_run(bed, buf_string(&sql));
        open_tables(bed, tables[i][2]);
        walk_under_writes(bed, tables[i][0], 100, 7);
        table_bed_close(bed);
    }
    buf_destroy(&sql);
}

static void test_a_page_can_be_asked_for_again(void **state)
{
    struct table_bed *bed = *state;
    uint64_t cursor = 0;
    uint64_t again;

    open_tables(bed, "orders prefix o: key {region}:{no}");
    (void)table_bed_scan(bed, &cursor, 1);
    again = cursor;

    assert_string_equal(table_bed_scan(bed, &cursor, 1), "o:emea:1");
    assert_string_equal(table_bed_scan(bed, &again, 1), "o:emea:1");
    assert_string_equal(table_bed_scan(bed, &again, 1), "o:emea:2");
}

static void test_of_too_many_walks_the_oldest_begins_anew(void **state)
{
    struct table_bed *bed = *state;
    uint64_t first = 0;
    uint64_t other = 0;

    open_tables(bed, "orders prefix o: key {region}:{no}");
    (void)table_bed_scan(bed, &first, 2);
    for (int i = 0; i < 1023; i++) {
        other = 0;
        (void)table_bed_scan(bed, &other, 1);
    }
    uint64_t known = first;
    assert_string_equal(table_bed_scan(bed, &known, 1), "o:emea:2");
    for (int i = 0; i < 1024; i++) {
        other = 0;
        (void)table_bed_scan(bed, &other, 1);
    }

    assert_string_equal(table_bed_scan(bed, &first, 1), "o::3");
}

static void test_one_long_walk_leaves_others_their_places(void **state)
{
    struct table_bed *bed = *state;
    uint64_t resting = 0;
    uint64_t cursor = 0;

    open_tables(bed, "orders prefix o: key {region}:{no}");
    (void)table_bed_scan(bed, &resting, 2);
    for (int i = 0; i < 5000; i++) {
        (void)table_bed_scan(bed, &cursor, 1);
    }

    assert_string_equal(table_bed_scan(bed, &resting, 1), "o:emea:2");
}

static void test_any_cursor_is_harmless(void **state)
{
    struct table_bed *bed = *state;

    open_tables(bed, "orders prefix o: key {region}:{no}; "
                     "users prefix u: key name; sums prefix s: key region");
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t cursor = i < 1000 ? i : UINT64_MAX / 2 - i;
        (void)table_bed_scan(bed, &cursor, 1);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_mapping_that_cannot_be_is_refused_with_advice),
        TEST(test_the_advice_helps),
        TEST(test_tables_that_contradict_each_other_are_refused),
        TEST(test_a_text_key_is_its_exact_text),
        TEST(test_a_key_of_two_columns),
        TEST(test_columns_without_type_keep_numbers_and_text_apart),
        TEST(test_names_are_quoted),
        TEST(test_computed_columns_are_read),
        TEST(test_rows_whose_key_names_another_are_not_there),
        TEST(test_integers_of_a_strict_table),
        TEST(test_views_are_read_and_never_written),
        TEST(test_a_table_of_two_thousand_columns),
        TEST(test_books_are_there_if_the_table_is),
        TEST(test_nothing_is_added_to_a_file_of_others),
        TEST(test_a_file_without_log_is_refused),
        TEST(test_what_stays_is_met_once_under_writes),
        TEST(test_a_page_can_be_asked_for_again),
        TEST(test_of_too_many_walks_the_oldest_begins_anew),
        TEST(test_one_long_walk_leaves_others_their_places),
        TEST(test_any_cursor_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
