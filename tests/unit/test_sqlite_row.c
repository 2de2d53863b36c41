/* SPDX-License-Identifier: MIT */
/* Writes of rows of any table, by the engine alone. */
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

static const char schema[] =
    "CREATE TABLE users(name TEXT PRIMARY KEY, age INTEGER, height REAL,"
    "  data BLOB, state TEXT NOT NULL DEFAULT 'new', hidden TEXT DEFAULT 'h',"
    "  upper TEXT GENERATED ALWAYS AS (upper(name) || coalesce(age, '')));"
    "CREATE TABLE orders(region TEXT, no INTEGER, sum NUMERIC, note,"
    "  PRIMARY KEY(region, no)) WITHOUT ROWID;"
    "CREATE TABLE loose(code TEXT COLLATE NOCASE PRIMARY KEY, n NUMERIC);"
    "CREATE TABLE numbers(n NUMERIC PRIMARY KEY, text TEXT);"
    "CREATE TABLE checked(id INTEGER PRIMARY KEY, a INT CHECK(a > 0),"
    "  b TEXT UNIQUE, c INT REFERENCES checked(id)) STRICT;"
    "CREATE TABLE parsed(id INTEGER PRIMARY KEY, n INTEGER, size AS (abs(n)),"
    "  first AS (json_extract('[' || n || ']', '$[0]')));"
    "CREATE TABLE later(id INTEGER PRIMARY KEY,"
    "  other INTEGER REFERENCES later(id) DEFERRABLE INITIALLY DEFERRED);"
    "CREATE VIEW adults AS SELECT name, age FROM users WHERE age >= 18;"
    "INSERT INTO users(name, age) VALUES('anna', 30);"
    "INSERT INTO loose VALUES('Abc', 1);"
    "INSERT INTO numbers VALUES(7, 'seven');"
    "INSERT INTO checked VALUES(1, 1, 'one', NULL);";

/* ---- the mappings ---- */

#define NAMES(...) ((const char *const[]){__VA_ARGS__})
#define KINDS(...) ((const enum column_affinity[]){__VA_ARGS__})
#define KEYS(...) ((const struct mapping_key[]){__VA_ARGS__})

static const bool none_generated[8];
static const bool sixth_generated[8] = {[5] = true};
static const bool third_generated[8] = {[2] = true};

static const struct mapping list[] = {
    {.table = "users",
     .prefix = {"user:", 5},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("name", "age", "height", "data", "state", "upper"),
     .affinities = KINDS(AFFINITY_TEXT, AFFINITY_INTEGER, AFFINITY_REAL,
                         AFFINITY_BLOB, AFFINITY_TEXT, AFFINITY_TEXT),
     .generated = sixth_generated,
     .n_columns = 6,
     .index = 0,
     .writable = true},
    {.table = "orders",
     .prefix = {"order:", 6},
     .keys = KEYS({.column = 0, .after = {":", 1}}, {.column = 1}),
     .n_keys = 2,
     .columns = NAMES("region", "no", "sum", "note"),
     .affinities = KINDS(AFFINITY_TEXT, AFFINITY_INTEGER, AFFINITY_NUMERIC,
                         AFFINITY_BLOB),
     .generated = none_generated,
     .n_columns = 4,
     .index = 1,
     .writable = true},
    {.table = "loose",
     .prefix = {"loose:", 6},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("code", "n"),
     .affinities = KINDS(AFFINITY_TEXT, AFFINITY_NUMERIC),
     .generated = none_generated,
     .n_columns = 2,
     .index = 2,
     .writable = true},
    {.table = "numbers",
     .prefix = {"number:", 7},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("n", "text"),
     .affinities = KINDS(AFFINITY_NUMERIC, AFFINITY_TEXT),
     .generated = none_generated,
     .n_columns = 2,
     .index = 3,
     .writable = true},
    {.table = "checked",
     .prefix = {"checked:", 8},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("id", "a", "b", "c"),
     .affinities = KINDS(AFFINITY_INTEGER, AFFINITY_INTEGER, AFFINITY_TEXT,
                         AFFINITY_INTEGER),
     .generated = none_generated,
     .n_columns = 4,
     .index = 4,
     .writable = true,
     .integer_key = true},
    {.table = "parsed",
     .prefix = {"parsed:", 7},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("id", "n", "size"),
     .affinities = KINDS(AFFINITY_INTEGER, AFFINITY_INTEGER, AFFINITY_BLOB),
     .generated = third_generated,
     .n_columns = 3,
     .index = 5,
     .writable = true,
     .integer_key = true},
    {.table = "adults",
     .prefix = {"adult:", 6},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("name", "age"),
     .affinities = KINDS(AFFINITY_TEXT, AFFINITY_INTEGER),
     .generated = none_generated,
     .n_columns = 2,
     .index = 6,
     .is_view = true},
    {.table = "users",
     .prefix = {"reader:", 7},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("name", "age"),
     .affinities = KINDS(AFFINITY_TEXT, AFFINITY_INTEGER),
     .generated = none_generated,
     .n_columns = 2,
     .index = 7},
    {.table = "later",
     .prefix = {"later:", 6},
     .keys = KEYS({.column = 0}),
     .n_keys = 1,
     .columns = NAMES("id", "other"),
     .affinities = KINDS(AFFINITY_INTEGER, AFFINITY_INTEGER),
     .generated = none_generated,
     .n_columns = 2,
     .index = 8,
     .writable = true,
     .integer_key = true},
};
static const struct mappings mappings = {.list = list,
                                         .count = ARRAY_LEN(list)};

static struct engine_bed bed;

static int set_up(void **state)
{
    (void)state;
    engine_bed_open(&bed, &engine_sqlite, &mappings, schema);
    engine_bed_begin(&bed);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bed.engine->rollback(bed.writer);
    engine_bed_close(&bed);
    return 0;
}

/* The transaction that set_up() began ends, so that others see it. */
static void commit(void)
{
    (void)engine_bed_commit(&bed);
    engine_bed_begin(&bed);
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, text);
    }
}

/* ---- keys ---- */

static void test_a_text_key_names_its_row(void **state)
{
    (void)state;
    assert_string_equal(engine_bed_set(&bed, "user:bob", "age", "44", NULL),
                        "+1 new=1 bob|44|NULL|NULL|new|BOB44");
    assert_string_equal(engine_bed_set(&bed, "user:bob", "age", "45", NULL),
                        "~1 bob|45|NULL|NULL|new|BOB45");
    assert_string_equal(engine_bed_put(&bed, "user:bob", NULL), "~1");
    assert_string_equal(engine_bed_put(&bed, "user:bob", NULL), "=");
    assert_string_equal(engine_bed_read(&bed, "user:bob"), "=");
}

static void test_an_odd_text_key_is_only_a_key(void **state)
{
    static const char *const keys[] = {"user:", "user:'; DROP TABLE users --",
                                       "user:Ännä", "user:1", "user: x "};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        assert_has(engine_bed_set(&bed, keys[i], "age", "1", NULL), "+1");
        assert_has(engine_bed_read(&bed, keys[i]), "|1|");
        assert_string_equal(engine_bed_put(&bed, keys[i], NULL), "~1");
    }
    assert_has(engine_bed_read(&bed, "user:anna"), "anna|30");
}

static void test_a_composite_key_names_its_row(void **state)
{
    (void)state;
    assert_string_equal(engine_bed_set(&bed, "order:emea:17", "sum", "12.50",
                                       "note", "x", NULL),
                        "+1 new=2 emea|17|12.5|x");
    assert_string_equal(
        engine_bed_put(&bed, "order:emea:17",
                       "{\"region\":\"emea\",\"no\":17,\"sum\":3}"),
        "~1 emea|17|3|NULL");
    assert_string_equal(engine_bed_set(&bed, "order::17", "sum", "1", NULL),
                        "+1 new=1 |17|1|NULL");
    assert_string_equal(engine_bed_put(&bed, "order:emea:17", NULL), "~1");
    assert_string_equal(engine_bed_read(&bed, "order::17"), "= |17|1|NULL");
}

static void test_what_is_no_key_has_no_row(void **state)
{
    static const char *const keys[] = {
        "order:emea",   "order:emea:", "order:emea:017",
        "order:emea:x", "checked:01",  "checked:x"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const bool order = keys[i][0] == 'o';
        assert_string_equal(engine_bed_read(&bed, keys[i]), "=");
        assert_string_equal(engine_bed_put(&bed, keys[i], NULL), "=");
        const char *text =
            engine_bed_set(&bed, keys[i], order ? "sum" : "a", "1", NULL);
        if (strstr(text, "invalid argument") == NULL &&
            strstr(text, "+1") == NULL) {
            fail_msg("%s: %s", keys[i], text);
        }
        /* If it has become a row, that answers to its key. */
        assert_true((strstr(text, "+1") != NULL) ==
                    (strcmp(engine_bed_read(&bed, keys[i]), "=") != 0));
    }
}

static void test_a_row_answers_to_its_own_key_only(void **state)
{
    (void)state;
    assert_string_equal(engine_bed_read(&bed, "loose:ABC"), "=");
    assert_string_equal(engine_bed_put(&bed, "loose:ABC", NULL), "=");
    assert_has(engine_bed_set(&bed, "loose:ABC", "n", "2", NULL),
               "invalid argument");
    assert_has(engine_bed_put(&bed, "loose:ABC", "{}"), "invalid argument");
    assert_has(engine_bed_set(&bed, "number:07", "text", "x", NULL),
               "invalid argument");
    assert_has(engine_bed_set(&bed, "number:7.0", "text", "x", NULL),
               "invalid argument");
    assert_string_equal(engine_bed_read(&bed, "loose:Abc"), "= Abc|1");
    assert_string_equal(engine_bed_read(&bed, "number:7"), "= 7|seven");
}

static void test_a_key_that_would_become_another_is_refused(void **state)
{
    (void)state;
    assert_has(engine_bed_set(&bed, "number:08", "text", "x", NULL),
               "would store this key as another one");
    assert_string_equal(engine_bed_read(&bed, "number:8"), "=");
    assert_string_equal(engine_bed_set(&bed, "number:8", "text", "x", NULL),
                        "+1 new=1 8|x");
}

static void test_the_key_cannot_be_changed(void **state)
{
    (void)state;
    assert_has(engine_bed_set(&bed, "user:anna", "name", "eve", NULL),
               "\"name\" is the key and cannot be changed");
    assert_has(engine_bed_set(&bed, "user:anna", "name", "(null)", NULL),
               "cannot be changed");
    assert_has(engine_bed_set(&bed, "order:e:1", "no", "2", NULL),
               "\"no\" is part of the key");
    assert_has(engine_bed_put(&bed, "order:e:1", "{\"no\":2}"),
               "\"no\" in the object is not the one in the key");
    assert_has(engine_bed_put(&bed, "user:anna", "{\"name\":null}"),
               "is not the one in the key");
    assert_has(engine_bed_set(&bed, "user:anna", "name", "anna", NULL),
               "~1 anna|30");
}

/* ---- columns ---- */

static void test_a_new_row_gets_its_defaults_and_keeps_them(void **state)
{
    (void)state;
    assert_has(engine_bed_put(&bed, "user:a", "{\"age\":1}"), "+1 a|1|");
    assert_has(engine_bed_set(&bed, "user:b", "age", "1", NULL), "|new|");
    assert_has(engine_bed_set(&bed, "user:b", "state", "old", NULL), "|old|");
    assert_has(engine_bed_put(&bed, "user:b", "{\"state\":\"x\"}"), "|x|");
    commit();
    assert_string_equal(
        engine_bed_query(&bed, "SELECT group_concat(hidden) FROM users"),
        "h,h,h");
}

static void test_only_named_columns_are_written(void **state)
{
    (void)state;
    engine_bed_outside(&bed, "PRAGMA busy_timeout = 0");
    bed.engine->rollback(bed.writer);
    engine_bed_outside(&bed,
                       "CREATE TRIGGER t BEFORE UPDATE OF height ON users "
                       "BEGIN SELECT RAISE(ABORT, 'height is fixed'); END");
    engine_bed_begin(&bed);
    assert_has(engine_bed_set(&bed, "user:anna", "age", "31", NULL), "~1");
    assert_has(engine_bed_set(&bed, "user:anna", "height", "1", NULL),
               "height is fixed");
    assert_has(
        engine_bed_set(&bed, "user:anna", "age", "32", "data", "x", NULL),
        "~1 new=1 anna|32|NULL|x");
}

static void test_generated_columns_are_the_databases(void **state)
{
    (void)state;
    assert_has(engine_bed_set(&bed, "user:anna", "upper", "X", NULL),
               "\"upper\" is computed by the database");
    assert_has(engine_bed_put(&bed, "user:anna", "{\"upper\":\"X\"}"),
               "\"upper\" is computed by the database");
    assert_has(engine_bed_put(&bed, "user:new", "{\"upper\":\"NEW\"}"),
               "\"upper\" is computed by the database");
    /* As it is read, changed elsewhere, and written back. */
    assert_string_equal(
        engine_bed_put(&bed, "user:anna",
                       "{\"name\":\"anna\",\"age\":31,\"height\":null,"
                       "\"state\":\"new\",\"upper\":\"ANNA30\"}"),
        "~1 anna|31|NULL|NULL|new|ANNA31");
}

static void test_nulls_come_and_go(void **state)
{
    (void)state;
    assert_has(engine_bed_set(&bed, "user:anna", "age", "(null)", NULL),
               "~1 anna|NULL|");
    assert_has(engine_bed_set(&bed, "user:anna", "age", "(null)", NULL),
               "~1 anna|NULL|");
    assert_has(engine_bed_set(&bed, "user:anna", "age", "3", NULL),
               "~1 new=1 anna|3|");
    assert_has(engine_bed_set(&bed, "user:anna", "state", "(null)", NULL),
               "NOT NULL constraint failed: users.state");
    assert_has(engine_bed_put(&bed, "user:anna", "{\"age\":1}"),
               "NOT NULL constraint failed: users.state");
}

static void test_values_take_the_form_of_their_column(void **state)
{
    static const struct {
        const char *key, *column, *value, *type;
    } cases[] = {
        {"user:a", "age", "7", "integer"},
        {"user:a", "age", "7.0", "integer"},
        {"user:a", "age", "1e2", "integer"},
        {"user:a", "age", "7.5", "real"},
        {"user:a", "age", "seven", "text"},
        {"user:a", "age", "", "text"},
        {"user:a", "age", "9223372036854775808", "real"},
        {"user:a", "height", "2", "real"},
        {"user:a", "height", "tall", "text"},
        {"user:a", "data", "12", "blob"},
        {"user:a", "state", "12", "text"},
        {"order:a:1", "sum", "12", "integer"},
        {"order:a:1", "sum", "12.0", "integer"},
        {"order:a:1", "sum", "0x10", "text"},
        {"order:a:1", "note", "12", "blob"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char sql[128];
        assert_has(engine_bed_set(&bed, cases[i].key, cases[i].column,
                                  cases[i].value, NULL),
                   "1");
        commit();
        snprintf(sql, sizeof(sql), "SELECT typeof(%s) FROM %s", cases[i].column,
                 cases[i].key[0] == 'u' ? "users WHERE name = 'a'" : "orders");
        assert_string_equal(engine_bed_query(&bed, sql), cases[i].type);
    }
}

static void test_json_values_keep_their_type(void **state)
{
    static const struct {
        const char *json, *type;
    } cases[] = {{"12", "integer"},   {"12.5", "real"}, {"true", "integer"},
                 {"\"12\"", "text"},  {"null", "null"}, {"\"\"", "text"},
                 {"false", "integer"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char object[64];
        snprintf(object, sizeof(object), "{\"note\":%s}", cases[i].json);
        assert_has(engine_bed_put(&bed, "order:a:1", object), "1 a|1|NULL|");
        commit();
        assert_string_equal(
            engine_bed_query(&bed, "SELECT typeof(note) FROM orders"),
            cases[i].type);
    }
}

static void test_reals_are_stored_exactly(void **state)
{
    uint64_t bits = UINT64_C(88172645463325252);

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[32];
        double real;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&real, &bits, sizeof(real));
        if (real != real || real - real != 0) {
            continue; /* No number. */
        }
        snprintf(text, sizeof(text), "%.17g", real);
        struct slice fields[] = {SLICE("height"), slice_from_string(text)};
        struct store_write write = {.op = STORE_SET_COLUMNS,
                                    .mapping = &list[0],
                                    .key = SLICE("anna"),
                                    .fields = fields,
                                    .n_fields = 2};
        const char *row = engine_bed_apply(&bed, &write);
        assert_true(strtod(strchr(row, '|') + 4, NULL) == real);
        if (i % 200 == 0) {
            sqlite3_stmt *get = NULL;
            commit();
            assert_int_equal(sqlite3_prepare_v2(bed.outside,
                                                "SELECT height FROM users "
                                                "WHERE name = 'anna'",
                                                -1, &get, NULL),
                             SQLITE_OK);
            assert_int_equal(sqlite3_step(get), SQLITE_ROW);
            assert_true(sqlite3_column_double(get, 0) == real);
            sqlite3_finalize(get);
        }
    }
}

/* ---- what is refused ---- */

static void
test_a_violated_constraint_is_named_and_changes_nothing(void **state)
{
    static const struct {
        const char *key, *column, *value, *text;
    } cases[] = {
        {"checked:1", "a", "0", "CHECK constraint failed: a > 0"},
        {"checked:2", "b", "one", "UNIQUE constraint failed: checked.b"},
        {"checked:1", "c", "99", "FOREIGN KEY constraint failed"},
        {"checked:2", "a", "x",
         "cannot store TEXT value in INT column checked.a"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *text = engine_bed_set(&bed, cases[i].key, cases[i].column,
                                          cases[i].value, NULL);
        assert_has(text, "constraint of the table was violated");
        assert_has(text, cases[i].text);
    }
    assert_string_equal(engine_bed_read(&bed, "checked:1"), "= 1|1|one|NULL");
    assert_string_equal(engine_bed_read(&bed, "checked:2"), "=");
    assert_int_equal(bed.n_applied, 0);
}

static void
test_a_function_that_refuses_a_value_is_no_broken_store(void **state)
{
    (void)state;
    assert_has(engine_bed_set(&bed, "parsed:1", "n", "-2", NULL),
               "+1 new=1 1|-2|2");
    assert_has(
        engine_bed_set(&bed, "parsed:1", "n", "-9223372036854775808", NULL),
        "constraint of the table was violated: integer overflow");
    assert_string_equal(engine_bed_read(&bed, "parsed:1"), "= 1|-2|2");
}

static void test_views_and_tables_that_are_read_only_say_so(void **state)
{
    (void)state;
    assert_string_equal(engine_bed_read(&bed, "adult:anna"), "= anna|30");
    assert_has(engine_bed_set(&bed, "adult:anna", "age", "3", NULL),
               "read only: adults is a view");
    assert_has(engine_bed_put(&bed, "adult:anna", NULL), "read only");
    assert_string_equal(engine_bed_read(&bed, "reader:anna"), "= anna|30");
    assert_has(engine_bed_set(&bed, "reader:anna", "age", "3", NULL),
               "read only: users is mapped with 'writable no'");
    assert_has(engine_bed_put(&bed, "reader:bob", "{}"), "read only");
    assert_has(engine_bed_put(&bed, "reader:anna", NULL), "read only");
    assert_string_equal(engine_bed_read(&bed, "reader:anna"), "= anna|30");
}

static void test_a_column_that_went_away_is_reported(void **state)
{
    (void)state;
    bed.engine->rollback(bed.writer);
    engine_bed_outside(&bed, "ALTER TABLE loose DROP COLUMN n");
    engine_bed_begin(&bed);
    assert_has(engine_bed_read(&bed, "loose:Abc"),
               "the table is no longer what its mapping says: ");
    assert_has(engine_bed_set(&bed, "loose:x", "n", "1", NULL),
               "the table is no longer what its mapping says: ");
    assert_has(engine_bed_set(&bed, "checked:1", "a", "5", NULL), "~1");
}

/* ---- failures inside a transaction ---- */

static void make_trigger(const char *action)
{
    char sql[256];

    bed.engine->rollback(bed.writer);
    snprintf(sql, sizeof(sql),
             "DROP TRIGGER IF EXISTS t;"
             "CREATE TRIGGER t AFTER UPDATE OF b ON checked "
             "WHEN new.b = 'bad' BEGIN "
             "UPDATE loose SET n = n + 1; SELECT RAISE(%s, 'no'); END",
             action);
    engine_bed_outside(&bed, sql);
    engine_bed_begin(&bed);
}

static void test_what_a_failed_write_did_is_taken_back(void **state)
{
    static const char *const actions[] = {"ABORT", "FAIL"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        make_trigger(actions[i]);
        assert_has(engine_bed_set(&bed, "checked:5", "b", "good", NULL), "1");
        assert_has(engine_bed_set(&bed, "checked:1", "b", "bad", NULL), "no");
        assert_has(engine_bed_read(&bed, "checked:1"), "|one|");
        assert_string_equal(engine_bed_read(&bed, "loose:Abc"), "= Abc|1");
        assert_string_equal(engine_bed_commit(&bed), "adult:* ");
        engine_bed_begin(&bed);
        assert_has(engine_bed_read(&bed, "checked:5"), "|good|");
        assert_string_equal(engine_bed_put(&bed, "checked:5", NULL), "~1");
        assert_string_equal(engine_bed_commit(&bed), "adult:* ");
        engine_bed_begin(&bed);
    }
}

static void test_a_rollback_by_the_first_write_is_its_own_fault(void **state)
{
    (void)state;
    make_trigger("ROLLBACK");
    assert_has(engine_bed_set(&bed, "checked:1", "b", "bad", NULL),
               "a constraint of the table was violated: no");
    assert_has(engine_bed_set(&bed, "checked:5", "b", "good", NULL), "+1");
    /* Now it would cost others what they wrote. */
    assert_has(engine_bed_set(&bed, "checked:1", "b", "bad", NULL),
               "the store failed: no");
    bed.engine->rollback(bed.writer);
    engine_bed_begin(&bed);
    assert_string_equal(engine_bed_read(&bed, "checked:5"), "=");
    assert_has(engine_bed_read(&bed, "checked:1"), "|one|");
}

static void test_what_is_not_ours_to_repeat_is_not_lost_quietly(void **state)
{
    (void)state;
    make_trigger("ROLLBACK");
    /* A write that the writer carries out beside apply(). */
    assert_int_equal(sqlite3_exec(bed.writer->db,
                                  "INSERT INTO bookd_plain(key, value) "
                                  "VALUES(x'6b', x'76')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_has(engine_bed_set(&bed, "checked:1", "b", "bad", NULL),
               "the store failed: no");
}

static void test_a_rollback_in_the_first_group_ends_the_group_only(void **state)
{
    (void)state;
    make_trigger("ROLLBACK");
    assert_int_equal(bed.engine->begin_group(bed.writer, &bed.detail), ERR_OK);
    assert_has(engine_bed_set(&bed, "checked:5", "b", "good", NULL), "+1");
    assert_has(engine_bed_set(&bed, "checked:1", "b", "bad", NULL),
               "a constraint of the table was violated: no");
    assert_int_equal(bed.engine->end_group(bed.writer, false, &bed.detail),
                     ERR_OK);
    assert_string_equal(engine_bed_read(&bed, "checked:5"), "=");
    assert_has(engine_bed_set(&bed, "checked:6", "b", "good", NULL), "+1");
    assert_string_equal(engine_bed_commit(&bed), "adult:* ");
    assert_string_equal(engine_bed_query(&bed, "SELECT max(id) FROM checked"),
                        "6");
    engine_bed_begin(&bed);
}

static void test_a_deferred_constraint_fails_its_write_alone(void **state)
{
    (void)state;
    assert_has(engine_bed_set(&bed, "later:1", "other", "1", NULL), "+1");
    assert_has(engine_bed_set(&bed, "later:2", "other", "3", NULL),
               "constraint of the table was violated: FOREIGN KEY");
    assert_string_equal(engine_bed_read(&bed, "later:2"), "=");

    assert_int_equal(bed.engine->begin_group(bed.writer, &bed.detail), ERR_OK);
    assert_has(engine_bed_set(&bed, "later:2", "other", "3", NULL), "+1");
    assert_has(engine_bed_set(&bed, "later:3", "other", "2", NULL), "+1");
    assert_int_equal(bed.engine->end_group(bed.writer, true, &bed.detail),
                     ERR_OK);
    assert_int_equal(bed.engine->begin_group(bed.writer, &bed.detail), ERR_OK);
    assert_string_equal(engine_bed_put(&bed, "later:1", NULL), "~1");
    assert_string_equal(engine_bed_put(&bed, "later:2", NULL), "~1");
    assert_int_equal(bed.engine->end_group(bed.writer, true, &bed.detail),
                     ERR_CONSTRAINT);
    assert_string_equal(engine_bed_commit(&bed), "adult:* ");
    assert_string_equal(
        engine_bed_query(&bed, "SELECT group_concat(id) FROM later"), "1,2,3");
    engine_bed_begin(&bed);
}

/* Writes over one of the pages with rows of 'checked'. */
static void damage_a_page(void)
{
    char garbage[512];
    FILE *file;

    bed.engine->rollback(bed.writer);
    engine_bed_outside(&bed, "WITH RECURSIVE c(i) AS (SELECT 1000 UNION ALL "
                             "SELECT i + 1 FROM c WHERE i < 3000) "
                             "INSERT INTO checked(id, b) SELECT i, 'row ' || i "
                             "FROM c; PRAGMA wal_checkpoint(TRUNCATE)");
    const long offset = strtol(
        engine_bed_query(&bed, "SELECT (pageno - 1) * 4096 FROM dbstat "
                               "WHERE name = 'checked' AND pagetype = 'leaf' "
                               "ORDER BY path LIMIT 1 OFFSET 3"),
        NULL, 10);
    memset(garbage, 0xa5, sizeof(garbage));
    file = fopen(buf_string(&bed.path), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(garbage, 1, sizeof(garbage), file),
                     sizeof(garbage));
    assert_int_equal(fclose(file), 0);
    engine_bed_reopen(&bed);
    engine_bed_begin(&bed);
}

static void test_a_damaged_page_fails_only_what_needs_it(void **state)
{
    unsigned n_damaged = 0;

    (void)state;
    damage_a_page();
    for (int id = 1000; id <= 3000; id += 10) {
        char key[32];
        snprintf(key, sizeof(key), "checked:%d", id);
        const char *text = engine_bed_set(&bed, key, "a", "5", NULL);
        if (strstr(text, "~1") == NULL) {
            assert_has(text, "the store file is damaged: ");
            n_damaged++;
        }
        /* Others of the same transaction. */
        assert_has(engine_bed_set(&bed, "user:anna", "age", "1", NULL), "~1");
        assert_string_equal(engine_bed_commit(&bed),
                            "adult:* reader:anna written ");
        engine_bed_begin(&bed);
    }
    assert_true(n_damaged > 0 && n_damaged < 50);
    bed.engine->rollback(bed.writer);
    assert_string_equal(
        engine_bed_query(&bed, "SELECT a FROM checked WHERE id = 3000"), "5");
    engine_bed_begin(&bed);
}

static void test_a_row_that_is_too_big_fails_alone(void **state)
{
    struct buf big = {0};
    struct slice fields[] = {SLICE("data"), {0}, SLICE("state"), {0}};
    struct store_write write = {.op = STORE_SET_COLUMNS,
                                .mapping = &list[0],
                                .key = SLICE("anna"),
                                .fields = fields,
                                .n_fields = ARRAY_LEN(fields)};

    (void)state;
    memset(buf_reserve(&big, 310000000), 'x', 310000000);
    buf_commit(&big, 310000000);
    fields[1] = buf_slice(&big); /* Each would do, both do not. */
    fields[3] = buf_slice(&big);
    assert_has(engine_bed_apply(&bed, &write), "too big");
    buf_destroy(&big);
    assert_has(engine_bed_set(&bed, "user:anna", "age", "1", NULL), "~1");
}

static void test_many_choices_of_columns_are_written(void **state)
{
    static const char *const columns[] = {"age", "height", "data", "state"};

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (unsigned set = 0; set < 16; set++) {
            const char *f[9] = {0};
            size_t n = 0;
            char value[8];
            snprintf(value, sizeof(value), "%u", set + 100);
            for (size_t c = 0; c < 4; c++) {
                if ((set >> c & 1) != 0) {
                    f[n++] = columns[c];
                    f[n++] = value;
                }
            }
            const char *text =
                engine_bed_set(&bed, "user:anna", f[0], f[1], f[2], f[3], f[4],
                               f[5], f[6], f[7], NULL);
            assert_has(text, "~1");
            assert_true((set & 1) == 0 || strstr(text, value) != NULL);
        }
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_text_key_names_its_row),
        CASE(test_an_odd_text_key_is_only_a_key),
        CASE(test_a_composite_key_names_its_row),
        CASE(test_what_is_no_key_has_no_row),
        CASE(test_a_row_answers_to_its_own_key_only),
        CASE(test_a_key_that_would_become_another_is_refused),
        CASE(test_the_key_cannot_be_changed),
        CASE(test_a_new_row_gets_its_defaults_and_keeps_them),
        CASE(test_only_named_columns_are_written),
        CASE(test_generated_columns_are_the_databases),
        CASE(test_nulls_come_and_go),
        CASE(test_values_take_the_form_of_their_column),
        CASE(test_json_values_keep_their_type),
        CASE(test_reals_are_stored_exactly),
        CASE(test_a_violated_constraint_is_named_and_changes_nothing),
        CASE(test_a_function_that_refuses_a_value_is_no_broken_store),
        CASE(test_views_and_tables_that_are_read_only_say_so),
        CASE(test_a_column_that_went_away_is_reported),
        CASE(test_what_a_failed_write_did_is_taken_back),
        CASE(test_a_rollback_by_the_first_write_is_its_own_fault),
        CASE(test_what_is_not_ours_to_repeat_is_not_lost_quietly),
        CASE(test_a_rollback_in_the_first_group_ends_the_group_only),
        CASE(test_a_deferred_constraint_fails_its_write_alone),
        CASE(test_a_damaged_page_fails_only_what_needs_it),
        CASE(test_a_row_that_is_too_big_fails_alone),
        CASE(test_many_choices_of_columns_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
