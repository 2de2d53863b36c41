/* SPDX-License-Identifier: MIT */
/* Records and plain keys in a real SQLite file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "common/attr.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/stats.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/store_calls.h"

#define MS INT64_C(1000)

static struct store_bed bed;

static int set_up(void **state)
{
    (void)state;
    store_bed_init(&bed);
    if (store_bed_open_sqlite(&bed) != ERR_OK) {
        print_error("%s\n", buf_string(&bed.detail));
        return -1;
    }
    return 0;
}

static int set_up_manual(void **state)
{
    clock_set_manual(1000000);
    return set_up(state);
}

static int tear_down(void **state)
{
    (void)state;
    store_bed_destroy(&bed);
    clock_set_real();
    return 0;
}

/* What 'key' reads as: its columns, or "(none)". */
static const char *read_text(const char *key)
{
    static char text[512];
    struct asked a;

    ask(bed.store, &a, key);
    asked_wait(&a);
    assert_int_equal(a.err, ERR_OK);
    snprintf(text, sizeof(text), "%s",
             a.n_rows == 0 ? "(none)" : buf_string(&a.row));
    asked_destroy(&a);
    return text;
}

static void put(const char *key, const char *value)
{
    assert_int_equal(write_now(bed.store, key, value), ERR_OK);
}

/* Another program, in the same file. */
static sqlite3 *outsider_open(void)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(store_bed_path(&bed), &db), SQLITE_OK);
    return db;
}

static void outsider_run(sqlite3 *db, const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static int64_t outsider_count(const char *table)
{
    sqlite3 *db = outsider_open();
    sqlite3_stmt *statement = NULL;
    char sql[64];

    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

/* ---- reading records ---- */

static void test_a_new_file_has_the_ten_books(void **state)
{
    (void)state;
    assert_int_equal(count_keys(bed.store), 10);
    assert_string_equal(
        read_text("book:1"),
        "1|The Hitchhiker's Guide to the Galaxy|Douglas Adams|1979");
    assert_string_equal(read_text("book:4"),
                        "4|Les Misérables|Victor Hugo|1862");
    assert_string_equal(read_text("book:11"), "(none)");
}

static void test_only_the_canonical_id_names_a_row(void **state)
{
    static const char *const keys[] = {"book:03", "book:+3", "book:3 ",
                                       "book:x",  "book:",   "book:3.0"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        assert_string_equal(read_text(keys[i]), "(none)");
    }
}

/* A table with columns of every type, in the store's file. */
static const char *const thing_columns[] = {"value", "id"};
static const enum column_affinity thing_affinities[] = {AFFINITY_BLOB,
                                                        AFFINITY_INTEGER};
static const bool thing_generated[2];
static const struct mapping_key thing_keys[] = {{.column = 1}};
static const struct mapping things[] = {{.table = "things",
                                         .prefix = {"thing:", 6},
                                         .keys = thing_keys,
                                         .n_keys = 1,
                                         .columns = thing_columns,
                                         .affinities = thing_affinities,
                                         .generated = thing_generated,
                                         .n_columns = 2,
                                         .writable = true,
                                         .integer_key = true}};
static const struct mappings things_only = {.list = things, .count = 1};

struct seen {
    struct store_read read;
    enum column_type type;
    char text[64];
    size_t size;
    struct waitgroup done;
};

static void see_row(struct store_read *read, const struct store_row *row)
{
    struct seen *seen = container_of(read, struct seen, read);

    seen->type = row->columns[0].type;
    seen->size = row->columns[0].bytes.size;
    memcpy(seen->text, row->columns[0].bytes.data, seen->size);
}

static void see_done(struct store_read *read, enum err err)
{
    (void)err;
    wg_done(&container_of(read, struct seen, read)->done);
}

static void
test_values_keep_their_type_and_read_as_sql_prints_them(void **state)
{
    static const struct {
        const char *sql;
        enum column_type type;
        const char *text;
        size_t size;
    } cases[] = {
        {"NULL", COLUMN_NULL, "", 0},
        {"-9223372036854775808", COLUMN_INTEGER, "-9223372036854775808", 20},
        {"1.5", COLUMN_REAL, "1.5", 3},
        {"3.0", COLUMN_REAL, "3.0", 3},
        {"1e100", COLUMN_REAL, "1.0e+100", 8},
        {"0.1", COLUMN_REAL, "0.1", 3},
        {"'é'", COLUMN_TEXT, "é", 2},
        {"''", COLUMN_TEXT, "", 0},
        {"x''", COLUMN_BLOB, "", 0},
        {"x'00ff'", COLUMN_BLOB, "\0\xff", 2},
    };
    sqlite3 *db = outsider_open();

    (void)state;
    store_bed_close(&bed);
    outsider_run(db, "CREATE TABLE things(id INTEGER PRIMARY KEY, value)");
    const struct store_options options = {
        .config = bed.config, .mappings = &things_only, .timers = bed.timers};
    assert_int_equal(store_open(&bed.store, &options, &bed.detail), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char sql[128];
        snprintf(sql, sizeof(sql), "REPLACE INTO things VALUES(1, %s)",
                 cases[i].sql);
        outsider_run(db, sql);
        struct seen seen = {.read = {.mapping = &things[0],
                                     .key = SLICE("1"),
                                     .row = see_row,
                                     .done = see_done}};
        wg_init(&seen.done);
        wg_add(&seen.done, 1);
        assert_int_equal(store_read_start(bed.store, &seen.read),
                         STORE_STARTED);
        wg_wait(&seen.done);
        wg_destroy(&seen.done);
        assert_int_equal(seen.type, cases[i].type);
        assert_int_equal(seen.size, cases[i].size);
        assert_memory_equal(seen.text, cases[i].text, cases[i].size);
    }
    sqlite3_close(db);
}

/* ---- writing records ---- */

static void test_an_object_becomes_a_row(void **state)
{
    struct written w;

    (void)state;
    written_init(&w, "book:42",
                 "{\"year\":1818, \"title\":\"Franken\\u0073tein\"}");
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    written_wait(&w);

    assert_int_equal(w.err, ERR_OK);
    assert_int_equal(w.n_created, 1);
    assert_int_equal(w.n_changed, 0);
    assert_string_equal(buf_string(&w.row), "42|Frankenstein|NULL|1818");
    assert_string_equal(read_text("book:42"), "42|Frankenstein|NULL|1818");
    written_destroy(&w);
}

static void test_an_object_replaces_the_whole_row(void **state)
{
    struct written w;

    (void)state;
    written_init(&w, "book:1", "{\"id\":1,\"title\":\"Short\"}");
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    written_wait(&w);

    assert_int_equal(w.n_created, 0);
    assert_int_equal(w.n_changed, 1);
    assert_string_equal(read_text("book:1"), "1|Short|NULL|NULL");
    written_destroy(&w);
}

static void test_objects_that_fit_no_row_are_refused(void **state)
{
    static const struct {
        const char *key;
        const char *value;
        enum err err;
        const char *detail;
    } cases[] = {
        {"book:1", "", ERR_INVALID, "JSON object"},
        {"book:1", "plain text", ERR_INVALID, "no valid JSON"},
        {"book:1", "{\"title\":\"x\"", ERR_INVALID, "no valid JSON"},
        {"book:1", "[1]", ERR_INVALID, "this is array"},
        {"book:1", "null", ERR_INVALID, "this is null"},
        {"book:1", "{\"x\":1}", ERR_INVALID,
         "books has no column \"x\"; its columns are id, title, author, year"},
        {"book:1", "{\"a\\\"b\":1}", ERR_INVALID, "\"a\\\"b\""},
        {"book:1", "{\"title\":[1]}", ERR_INVALID, "single value"},
        {"book:1", "{\"title\":{}}", ERR_INVALID, "single value"},
        {"book:1", "{\"id\":2,\"title\":\"x\"}", ERR_INVALID, "in the key"},
        {"book:1", "{\"id\":\"1\",\"title\":\"x\"}", ERR_INVALID, "in the key"},
        {"book:1", "{\"title\":\"x\",\"title\":\"y\"}", ERR_INVALID, "twice"},
        {"book:1", "{\"title\":\"a\\u0000b\"}", ERR_INVALID, "NUL"},
        {"book:x", "{\"title\":\"x\"}", ERR_INVALID, "whole numbers"},
        {"book:1", "{\"author\":\"x\"}", ERR_CONSTRAINT,
         "NOT NULL constraint failed: books.title"},
        {"book:1", "{\"title\":null}", ERR_CONSTRAINT,
         "NOT NULL constraint failed: books.title"},
        {"book:1", "{\"title\":\"x\",\"year\":\"abc\"}", ERR_CONSTRAINT,
         "cannot store TEXT value in INTEGER column books.year"},
        {"book:1", "{\"title\":\"x\",\"year\":19.5}", ERR_CONSTRAINT,
         "cannot store REAL value in INTEGER column books.year"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct written w;
        written_init(&w, cases[i].key, cases[i].value);
        assert_int_equal(written_start(bed.store, &w), ERR_OK);
        written_wait(&w);
        assert_int_equal(w.err, cases[i].err);
        if (strstr(buf_string(&w.detail), cases[i].detail) == NULL) {
            fail_msg("%s: %s", cases[i].value, buf_string(&w.detail));
        }
        assert_int_equal(w.n_rows, 0);
        assert_int_equal(w.n_changed + w.n_created, 0);
        written_destroy(&w);
    }
    assert_string_equal(
        read_text("book:1"),
        "1|The Hitchhiker's Guide to the Galaxy|Douglas Adams|1979");
}

static void test_json_values_become_sql_values(void **state)
{
    static const struct {
        const char *year;
        const char *text;
    } cases[] = {
        {"1979.0", "1979"}, {"true", "1"}, {"false", "0"},
        {"null", "NULL"},   {"-5", "-5"},  {"\"1979\"", "1979"},
        {"1e3", "1000"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char value[64];
        char row[64];
        snprintf(value, sizeof(value), "{\"title\":\"\\\\u0000\",\"year\":%s}",
                 cases[i].year);
        snprintf(row, sizeof(row), "1|\\u0000|NULL|%s", cases[i].text);
        put("book:1", value);
        assert_string_equal(read_text("book:1"), row);
    }
}

static void set_fields(struct written *w, const char *key,
                       const struct slice *fields, size_t n_fields)
{
    written_init(w, key, "");
    w->write.op = STORE_SET_COLUMNS;
    w->write.fields = fields;
    w->write.n_fields = n_fields;
    assert_int_equal(written_start(bed.store, w), ERR_OK);
    written_wait(w);
}

static void test_fields_change_only_their_columns(void **state)
{
    const struct slice fields[] = {SLICE("title"), SLICE("Dune"),
                                   SLICE("year"),  SLICE("1965"),
                                   SLICE("year"),  SLICE("1966")};
    struct written w;

    (void)state;
    set_fields(&w, "book:2", fields, ARRAY_LEN(fields));
    assert_int_equal(w.err, ERR_OK);
    assert_int_equal(w.n_changed, 1);
    assert_int_equal(w.n_created, 0);
    assert_int_equal(w.n_new_fields, 0);
    assert_string_equal(buf_string(&w.row), "2|Dune|J.R.R. Tolkien|1966");
    assert_string_equal(read_text("book:2"), "2|Dune|J.R.R. Tolkien|1966");
    written_destroy(&w);
}

static void test_fields_make_a_row_that_is_not_there(void **state)
{
    const struct slice fields[] = {SLICE("title"), SLICE("Dune"), SLICE("year"),
                                   SLICE("1965")};
    const struct slice more[] = {SLICE("author"), SLICE("Frank Herbert"),
                                 SLICE("author"), SLICE("F. Herbert"),
                                 SLICE("id"),     SLICE("77")};
    struct written w;

    (void)state;
    set_fields(&w, "book:77", fields, ARRAY_LEN(fields));
    assert_int_equal(w.n_created, 1);
    assert_int_equal(w.n_new_fields, 2);
    written_destroy(&w);

    set_fields(&w, "book:77", more, ARRAY_LEN(more));
    assert_int_equal(w.n_changed, 1);
    assert_int_equal(w.n_new_fields, 1);
    assert_string_equal(read_text("book:77"), "77|Dune|F. Herbert|1965");
    written_destroy(&w);
}

static void test_fields_that_fit_no_row_are_refused(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        enum err err;
        const char *detail;
    } cases[] = {
        {"x", "1", ERR_INVALID, "books has no column \"x\""},
        {"id", "3", ERR_INVALID, "cannot be changed"},
        {"id", "02", ERR_INVALID, "cannot be changed"},
        {"year", "abc", ERR_CONSTRAINT, "cannot store TEXT value"},
        {"year", "", ERR_CONSTRAINT, "cannot store TEXT value"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct slice fields[] = {SLICE("title"), SLICE("changed"),
                                       slice_from_string(cases[i].name),
                                       slice_from_string(cases[i].value)};
        struct written w;
        set_fields(&w, "book:2", fields, ARRAY_LEN(fields));
        assert_int_equal(w.err, cases[i].err);
        assert_non_null(strstr(buf_string(&w.detail), cases[i].detail));
        written_destroy(&w);
    }
    assert_string_equal(read_text("book:2"),
                        "2|The Hobbit|J.R.R. Tolkien|1937");
}

static void test_a_deleted_row_is_gone(void **state)
{
    struct written w;

    (void)state;
    for (int i = 0; i < 2; i++) {
        written_init(&w, "book:2", NULL);
        assert_int_equal(written_start(bed.store, &w), ERR_OK);
        written_wait(&w);
        assert_int_equal(w.n_changed, i == 0 ? 1 : 0);
        assert_int_equal(w.n_rows, 0);
        written_destroy(&w);
    }
    assert_string_equal(read_text("book:2"), "(none)");
    assert_int_equal(write_now(bed.store, "book:x", NULL), ERR_OK);
}

static void test_writes_survive_a_restart_and_seeds_do_not_return(void **state)
{
    (void)state;
    put("book:1", NULL);
    put("greeting", "hello");
    store_bed_close(&bed);
    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);

    assert_string_equal(read_text("book:1"), "(none)");
    assert_string_equal(read_text("greeting"), "hello");
    assert_int_equal(count_keys(bed.store), 10);
}

/* ---- plain keys ---- */

static void test_a_plain_key_holds_any_bytes(void **state)
{
    static const char bytes[] = "a\0b\xff\r\n";
    const struct slice any = slice_make(bytes, sizeof(bytes) - 1);
    struct written w;
    struct asked a;

    (void)state;
    written_init(&w, "", "");
    w.write.op = STORE_PUT_PLAIN;
    w.write.key = any;
    w.write.value = any;
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    written_wait(&w);
    written_destroy(&w);

    ask(bed.store, &a, "a"); /* As far as the NUL. */
    asked_wait(&a);
    assert_int_equal(a.n_rows, 0);
    asked_destroy(&a);
    struct walked walked = {
        .walk = {.kind = STORE_SCAN, .count = SIZE_MAX, .plain_only = true}};
    assert_int_equal(walked_start(bed.store, &walked), ERR_OK);
    walked_wait(&walked);
    assert_int_equal(walked.keys.size, any.size + 1);
    assert_memory_equal(buf_data(&walked.keys), any.data, any.size);
    walked_destroy(&walked);
}

static void test_plain_puts_tell_new_from_old(void **state)
{
    struct written w;

    (void)state;
    for (int i = 0; i < 2; i++) {
        written_init(&w, "greeting", i == 0 ? "" : "hello");
        assert_int_equal(written_start(bed.store, &w), ERR_OK);
        written_wait(&w);
        assert_int_equal(w.n_created, i == 0 ? 1 : 0);
        assert_int_equal(w.n_changed, i == 0 ? 0 : 1);
        assert_int_equal(w.n_rows, 1);
        assert_string_equal(read_text("greeting"), i == 0 ? "" : "hello");
        written_destroy(&w);
    }
}

/* A put that expires at wall clock 'expires_ms'; its result in '*w'. */
static void put_until(struct written *w, const char *key, int64_t expires_ms)
{
    written_init(w, key, "soon gone");
    w->write.expires_ms = expires_ms;
    assert_int_equal(written_start(bed.store, w), ERR_OK);
    written_wait(w);
    assert_int_equal(w->err, ERR_OK);
}

/* Puts 'key' as 'type' and returns the type that it is read with. */
static enum plain_type put_as(const char *key, enum plain_type type)
{
    struct written w;
    struct asked a;

    written_init(&w, key, "value");
    w.write.type = type;
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    written_wait(&w);
    assert_int_equal(w.err, ERR_OK);
    written_destroy(&w);
    ask(bed.store, &a, key);
    asked_wait(&a);
    assert_int_equal(a.n_rows, 1);
    const enum plain_type read = a.type;
    asked_destroy(&a);
    return read;
}

static void test_the_type_of_a_plain_key_is_the_last_one_put(void **state)
{
    (void)state;
    assert_int_equal(put_as("k", PLAIN_STRING), PLAIN_STRING);
    assert_int_equal(put_as("k", PLAIN_HASH), PLAIN_HASH);
    assert_int_equal(put_as("k", PLAIN_STRING), PLAIN_STRING);
    assert_int_equal(put_as("new", PLAIN_HASH), PLAIN_HASH);
    assert_int_equal(outsider_count("bookd_plain WHERE type = 'hash'"), 1);
    assert_int_equal(outsider_count("bookd_plain WHERE type IS NULL"), 1);
}

static void test_an_expired_key_is_no_key(void **state)
{
    const int64_t expires_ms = clock_wall_ms() + 100;
    struct written w;
    struct asked a;

    (void)state;
    put_until(&w, "k", expires_ms);
    written_destroy(&w);
    ask(bed.store, &a, "k");
    asked_wait(&a);
    assert_int_equal(a.expires_ms, expires_ms);
    asked_destroy(&a);
    clock_advance(99 * MS);
    assert_string_equal(read_text("k"), "soon gone");
    clock_advance(1 * MS);

    assert_string_equal(read_text("k"), "(none)");
    assert_int_equal(count_keys(bed.store), 10);
    written_init(&w, "k", NULL);
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    written_wait(&w);
    assert_int_equal(w.n_changed, 0);
    written_destroy(&w);
    put_until(&w, "k", 0);
    assert_int_equal(w.n_created, 1);
    written_destroy(&w);
    assert_string_equal(read_text("k"), "soon gone");
}

static void test_a_key_written_expired_has_no_row(void **state)
{
    struct written w;

    (void)state;
    put_until(&w, "k", clock_wall_ms() - 1);
    assert_int_equal(w.n_rows, 0);
    written_destroy(&w);
    assert_string_equal(read_text("k"), "(none)");
}

static void test_expired_keys_are_taken_out_by_later_writes(void **state)
{
    char key[32];
    struct written w;

    (void)state;
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        put_until(&w, key, clock_wall_ms() + 10);
        written_destroy(&w);
    }
    assert_int_equal(outsider_count("bookd_plain"), 10);
    clock_advance(10 * MS);
    put("other", "");

    assert_int_equal(outsider_count("bookd_plain"), 1);
}

static void test_clear_deletes_plain_keys_and_no_rows(void **state)
{
    struct written w;

    (void)state;
    put("a", "1");
    put("b", "2");
    written_init(&w, "", NULL);
    w.write.op = STORE_CLEAR_PLAIN;
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    written_wait(&w);

    assert_int_equal(w.n_changed, 2);
    assert_int_equal(count_keys(bed.store), 10);
    written_destroy(&w);
}

static void test_a_value_too_big_for_sqlite_is_refused(void **state)
{
    struct written w;

    (void)state;
    written_init(&w, "k", "small");
    w.write.value.size = (size_t)3 << 30; /* Never looked at. */
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    written_wait(&w);

    assert_int_equal(w.err, ERR_TOO_BIG);
    written_destroy(&w);
}

static void test_an_error_repeats_little_of_a_wrong_name(void **state)
{
    const size_t size = 1000000;
    char *name = malloc(size);
    const struct slice fields[] = {slice_make(name, size), SLICE("x")};
    struct written w;

    (void)state;
    assert_non_null(name);
    memset(name, 'n', size);
    written_init(&w, "book:1", NULL);
    w.write.op = STORE_SET_COLUMNS;
    w.write.fields = fields;
    w.write.n_fields = ARRAY_LEN(fields);
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    written_wait(&w);

    assert_int_equal(w.err, ERR_INVALID);
    assert_true(w.detail.size < 300);
    written_destroy(&w);
    free(name);
}

/* ---- walks ---- */

/* All keys by pages of 'count', each followed by a space. */
static void walk_all(struct buf *keys, size_t count, bool plain_only,
                     const struct mapping *only)
{
    uint64_t cursor = 0;
    int n_pages = 0;

    do {
        struct walked w = {.walk = {.kind = STORE_SCAN,
                                    .cursor = cursor,
                                    .count = count,
                                    .plain_only = plain_only,
                                    .only = only}};
        assert_int_equal(walked_start(bed.store, &w), ERR_OK);
        walked_wait(&w);
        assert_int_equal(w.err, ERR_OK);
        buf_append_slice(keys, buf_slice(&w.keys));
        cursor = w.walk.cursor;
        assert_true(cursor <= INT64_MAX);
        walked_destroy(&w);
        assert_true(++n_pages < 100);
    } while (cursor != 0);
}

static void assert_walk(const char *expected, size_t count, bool plain_only,
                        const struct mapping *only)
{
    struct buf keys = {0};

    walk_all(&keys, count, plain_only, only);
    assert_string_equal(buf_string(&keys), expected);
    buf_destroy(&keys);
}

static void test_pages_of_any_size_bring_each_key_once(void **state)
{
    static const char plain[] = "a b ";
    static const char books[] = "book:1 book:2 book:3 book:4 book:5 "
                                "book:6 book:7 book:8 book:9 book:10 ";
    char all[128];

    (void)state;
    put("a", "1");
    put("b", "2");
    snprintf(all, sizeof(all), "%s%s", plain, books);
    for (size_t count = 1; count < 14; count++) {
        assert_walk(all, count, false, NULL);
        assert_walk(plain, count, true, NULL);
        assert_walk(books, count, false, &mappings_builtin.list[0]);
    }
    assert_walk(all, SIZE_MAX, false, NULL);
}

static void test_ids_at_the_ends_of_the_range_are_walked(void **state)
{
    static const char *const ids[] = {"-9223372036854775808",
                                      "-9223372036854775807",
                                      "-4611686018427387905",
                                      "-4611686018427387904",
                                      "-1",
                                      "0",
                                      "2305843009213693950",
                                      "2305843009213693951",
                                      "2305843009213693952",
                                      "4611686018427387902",
                                      "4611686018427387903",
                                      "4611686018427387904",
                                      "9223372036854775806",
                                      "9223372036854775807"};
    struct buf expected = {0};

    (void)state;
    for (int i = 1; i <= 10; i++) {
        char key[32];
        snprintf(key, sizeof(key), "book:%d", i);
        put(key, NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        char key[64];
        snprintf(key, sizeof(key), "book:%s", ids[i]);
        put(key, "{\"title\":\"x\"}");
        buf_printf(&expected, "%s ", key);
    }
    for (size_t count = 1; count < 16; count++) {
        assert_walk(buf_string(&expected), count, false, NULL);
    }
    buf_destroy(&expected);
}

static void test_any_cursor_is_harmless(void **state)
{
    static const uint64_t cursors[] = {1,
                                       2,
                                       3,
                                       UINT64_MAX,
                                       UINT64_MAX - 1,
                                       UINT64_MAX / 2,
                                       UINT64_MAX / 2 + 1,
                                       UINT64_C(1) << 63};

    (void)state;
    put("a", "1");
    for (size_t i = 0; i < ARRAY_LEN(cursors); i++) {
        struct walked w;
        walk_page(bed.store, &w, cursors[i], 100);
        assert_int_equal(w.err, ERR_OK);
        assert_true(w.n_keys <= 11);
        assert_int_equal(w.walk.cursor, 0);
        walked_destroy(&w);
    }
}

static void test_a_walk_goes_on_behind_deleted_rows(void **state)
{
    struct walked w;

    (void)state;
    walk_page(bed.store, &w, 0, 3);
    const uint64_t cursor = w.walk.cursor;
    walked_destroy(&w);
    put("book:4", NULL);
    put("book:1", NULL);
    walk_page(bed.store, &w, cursor, 2);

    assert_string_equal(buf_string(&w.keys), "book:5 book:6 ");
    walked_destroy(&w);
}

static void test_expired_keys_are_looked_at_and_left_out(void **state)
{
    struct written w;
    struct walked walked;

    (void)state;
    put_until(&w, "gone", clock_wall_ms() + 10);
    written_destroy(&w);
    put("there", "");
    clock_advance(10 * MS);
    walk_page(bed.store, &walked, 0, 2);

    assert_string_equal(buf_string(&walked.keys), "there ");
    assert_int_equal(count_keys(bed.store), 11);
    walked_destroy(&walked);
}

/* ---- with others ---- */

static void test_a_write_waits_for_another_programs_transaction(void **state)
{
    sqlite3 *db = outsider_open();
    struct written w;

    (void)state;
    outsider_run(db, "BEGIN IMMEDIATE; UPDATE books SET year = 1 WHERE id = 2");
    written_init(&w, "k", "v");
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    assert_string_equal(read_text("book:2"), /* Readers do not wait. */
                        "2|The Hobbit|J.R.R. Tolkien|1937");
    outsider_run(db, "COMMIT");
    written_wait(&w);

    assert_int_equal(w.err, ERR_OK);
    assert_string_equal(read_text("book:2"), "2|The Hobbit|J.R.R. Tolkien|1");
    written_destroy(&w);
    sqlite3_close(db);
}

static void test_a_transaction_that_does_not_end_locks_the_store(void **state)
{
    sqlite3 *db = outsider_open();
    struct written w;

    (void)state;
    store_bed_set(&bed, "store-timeout", "20ms");
    outsider_run(db, "BEGIN IMMEDIATE");
    written_init(&w, "k", "v");
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    written_wait(&w);

    assert_int_equal(w.err, ERR_STORE_LOCKED);
    outsider_run(db, "ROLLBACK");
    assert_int_equal(write_now(bed.store, "k", "v"), ERR_OK);
    written_destroy(&w);
    sqlite3_close(db);
}

static void test_a_trigger_may_refuse_a_write_or_a_transaction(void **state)
{
    static const char *const actions[] = {"ABORT", "FAIL", "ROLLBACK"};
    sqlite3 *db = outsider_open();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        char sql[256];
        struct written w;
        snprintf(sql, sizeof(sql),
                 "DROP TRIGGER IF EXISTS t;"
                 "CREATE TRIGGER t BEFORE UPDATE ON books "
                 "BEGIN SELECT RAISE(%s, 'books are closed'); END",
                 actions[i]);
        outsider_run(db, sql);
        written_init(&w, "book:1", "{\"title\":\"x\"}");
        assert_int_equal(written_start(bed.store, &w), ERR_OK);
        written_wait(&w);
        assert_int_equal(w.err, ERR_CONSTRAINT);
        assert_string_equal(buf_string(&w.detail), "books are closed");
        written_destroy(&w);
        assert_int_equal(write_now(bed.store, "k", "v"), ERR_OK);
    }
    sqlite3_close(db);
}

/* ---- a disk that fails ---- */

static void
test_a_commit_that_does_not_reach_the_disk_is_no_success(void **state)
{
    struct written deferred;

    (void)state;
    store_bed_set(&bed, "behind-interval", "1h");
    written_init(&deferred, "deferred", "1");
    deferred.write.deferred = true;
    assert_int_equal(written_start(bed.store, &deferred), ERR_OK);
    faulty_vfs_fail(FAULTY_SYNC, 1, SQLITE_IOERR_FSYNC);
    assert_int_equal(write_now(bed.store, "k", "v"), ERR_STORE_DOWN);

    assert_string_equal(read_text("k"), "(none)");
    assert_int_equal(deferred.n_done, 0);
    assert_int_equal(write_now(bed.store, "other", ""), ERR_OK);
    written_wait(&deferred);
    assert_int_equal(deferred.err, ERR_OK);
    assert_string_equal(read_text("deferred"), "1");
    assert_string_equal(read_text("k"), "(none)");
    written_destroy(&deferred);
}

static void test_a_full_disk_fails_writes_and_not_reads(void **state)
{
    struct written w;

    (void)state;
    faulty_vfs_fail(FAULTY_WRITE, 1, SQLITE_FULL);
    written_init(&w, "book:1", "{\"title\":\"x\"}");
    assert_int_equal(written_start(bed.store, &w), ERR_OK);
    written_wait(&w);
    assert_int_equal(w.err, ERR_STORE_DOWN);
    assert_non_null(strstr(buf_string(&w.detail), "full"));
    written_destroy(&w);

    assert_string_equal(
        read_text("book:1"),
        "1|The Hitchhiker's Guide to the Galaxy|Douglas Adams|1979");
    assert_int_equal(write_now(bed.store, "book:1", "{\"title\":\"x\"}"),
                     ERR_OK);
}

/* ---- the log ---- */

static off_t log_size(void)
{
    char path[128];
    struct stat status;

    snprintf(path, sizeof(path), "%s-wal", store_bed_path(&bed));
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void test_the_log_is_moved_into_the_file(void **state)
{
    const int64_t checkpoints = stats_sum(STATS_store_checkpoints);
    const size_t size = 1 << 20;
    char *value = xmalloc(size + 1);

    (void)state;
    value[size] = '\0';
    for (int i = 0; i < 40; i++) {        /* 40 MiB through a log of 4. */
        memset(value, 'a' + i % 2, size); /* What is equal is not written. */
        put("k", value);
    }

    assert_true(stats_sum(STATS_store_checkpoints) - checkpoints >= 5);
    assert_true(log_size() < 8 << 20);
    store_bed_close(&bed);
    assert_int_equal(log_size(), -1);
    free(value);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define MANUAL(test) \
    cmocka_unit_test_setup_teardown(test, set_up_manual, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_new_file_has_the_ten_books),
        CASE(test_only_the_canonical_id_names_a_row),
        CASE(test_values_keep_their_type_and_read_as_sql_prints_them),
        CASE(test_an_object_becomes_a_row),
        CASE(test_an_object_replaces_the_whole_row),
        CASE(test_objects_that_fit_no_row_are_refused),
        CASE(test_json_values_become_sql_values),
        CASE(test_fields_change_only_their_columns),
        CASE(test_fields_make_a_row_that_is_not_there),
        CASE(test_fields_that_fit_no_row_are_refused),
        CASE(test_a_deleted_row_is_gone),
        CASE(test_writes_survive_a_restart_and_seeds_do_not_return),
        CASE(test_a_plain_key_holds_any_bytes),
        CASE(test_plain_puts_tell_new_from_old),
        CASE(test_the_type_of_a_plain_key_is_the_last_one_put),
        MANUAL(test_an_expired_key_is_no_key),
        MANUAL(test_a_key_written_expired_has_no_row),
        MANUAL(test_expired_keys_are_taken_out_by_later_writes),
        CASE(test_clear_deletes_plain_keys_and_no_rows),
        CASE(test_a_value_too_big_for_sqlite_is_refused),
        CASE(test_an_error_repeats_little_of_a_wrong_name),
        CASE(test_pages_of_any_size_bring_each_key_once),
        CASE(test_ids_at_the_ends_of_the_range_are_walked),
        CASE(test_any_cursor_is_harmless),
        CASE(test_a_walk_goes_on_behind_deleted_rows),
        MANUAL(test_expired_keys_are_looked_at_and_left_out),
        CASE(test_a_write_waits_for_another_programs_transaction),
        CASE(test_a_transaction_that_does_not_end_locks_the_store),
        CASE(test_a_trigger_may_refuse_a_write_or_a_transaction),
        CASE(test_a_commit_that_does_not_reach_the_disk_is_no_success),
        CASE(test_a_full_disk_fails_writes_and_not_reads),
        CASE(test_the_log_is_moved_into_the_file),
    };

    log_set_level(LOG_LEVEL_ERROR);
    faulty_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
