/* SPDX-License-Identifier: MIT */
/*
 * What SQLite tells of others, and what becomes of the connections when the
 * files change: without threads, each look being the test's.
 *
 * "Others" are a connection that the store knows nothing of.
 */
#include "server/store/engine.h"

#include "common/clock.h"
#include "common/mem.h"
#include "server/admin/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "common/log.h"
#include "tests/support/faulty_vfs.h"

#define LOOKS_MAX 20000

/* What bookd makes in a file of its own. */
static const char no_feed_sql[] = "DROP TRIGGER bookd_feed_books_insert;"
                                  "DROP TRIGGER bookd_feed_books_update;"
                                  "DROP TRIGGER bookd_feed_books_delete;"
                                  "DROP TABLE bookd_changes";

struct bed {
    char directory[64];
    char path[96];
    struct engine_database *database;
    struct engine_reader *reader;
    struct engine_writer *writer;
    struct engine_watch *watch;
    sqlite3 *others;
    struct buf told; /* "+3 -4 " for rows written and deleted. */
    size_t n_told;
    struct engine_sight sight; /* Of the last look. */
    struct buf detail;
};

static const struct engine *const engine = &engine_sqlite;

/* ---- others ---- */

static void others_open(struct bed *bed)
{
    assert_int_equal(sqlite3_open(bed->path, &bed->others), SQLITE_OK);
}

static void others_close(struct bed *bed)
{
    sqlite3_close(bed->others);
    bed->others = NULL;
}

static void others_run(struct bed *bed, const char *sql)
{
    char *error = NULL;

    if (sqlite3_exec(bed->others, sql, NULL, NULL, &error) != SQLITE_OK) {
        fail_msg("%s: %s", sql, error);
    }
}

static void beside(const struct bed *bed, const char *suffix, char path[128])
{
    snprintf(path, 128, "%s%s", bed->path, suffix);
}

static bool exists(const struct bed *bed, const char *suffix)
{
    char path[128];
    struct stat status;

    beside(bed, suffix, path);
    return stat(path, &status) == 0;
}

/* A backup of the database as others see it, then changed by 'sql'. */
static void make_copy(struct bed *bed, const char *suffix, const char *sql)
{
    char path[128];
    char into[192];
    sqlite3 *copy;

    beside(bed, suffix, path);
    snprintf(into, sizeof into, "VACUUM INTO '%s'", path);
    others_run(bed, into);
    assert_int_equal(sqlite3_open(path, &copy), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(copy, "PRAGMA journal_mode = WAL", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_exec(copy, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(copy);
}

/* mv FROM to the database. */
static void move_in(struct bed *bed, const char *suffix)
{
    char path[128];

    beside(bed, suffix, path);
    assert_int_equal(rename(path, bed->path), 0);
}

/* cp FROM over the database: the same file, another content. */
static void copy_over(struct bed *bed, const char *suffix)
{
    char path[128];
    char bytes[4096];
    size_t size;

    beside(bed, suffix, path);
    FILE *from = fopen(path, "rb");
    FILE *to = fopen(bed->path, "wb");
    assert_non_null(from);
    assert_non_null(to);
    while ((size = fread(bytes, 1, sizeof bytes, from)) > 0) {
        assert_int_equal(fwrite(bytes, 1, size, to), size);
    }
    fclose(from);
    fclose(to);
}

/* ---- looking ---- */

static void changed(void *arg, struct slice key, enum store_change change)
{
    struct bed *bed = arg;
    const struct slice id = slice_make(key.data + 5, key.size - 5);

    assert_true(slice_has_prefix(key, SLICE("book:")));
    buf_append_char(&bed->told, change == STORE_ROW_DELETED ? '-' : '+');
    buf_append_slice(&bed->told, id);
    buf_append_char(&bed->told, ' ');
    bed->n_told++;
}

static enum err look(struct bed *bed)
{
    const struct store_observer observer = {.arg = bed, .changed = changed};

    buf_clear(&bed->told);
    buf_clear(&bed->detail);
    bed->n_told = 0;
    bed->sight = (struct engine_sight){.since_us = INT64_MIN};
    return engine->watch_look(bed->watch, &observer, &bed->sight, &bed->detail);
}

static void look_well(struct bed *bed)
{
    assert_int_equal(look(bed), ERR_OK);
}

static bool writer_looks(struct bed *bed)
{
    return engine->foreign_commit(bed->writer);
}

/* Looks until all is opened anew, the writer being called when he is asked. */
static void look_until_anew(struct bed *bed)
{
    struct pollfd fd = {.fd = engine->watch_descriptor(bed->watch),
                        .events = POLLIN};
    bool anew = false;

    for (int i = 0; i < LOOKS_MAX; i++) {
        const enum err err = look(bed);
        anew = anew || bed->sight.anew;
        if (bed->sight.ask) {
            (void)writer_looks(bed);
        } else if (anew && err == ERR_OK) {
            return;
        }
        /* A file that was just written to is left in peace for a while. */
        (void)poll(&fd, 1, 1);
    }
    fail_msg("nothing was opened anew: %s", buf_string(&bed->detail));
}

/* ---- the store ---- */

static struct buf row_text;

static void on_row(struct store_read *read, const struct store_row *row)
{
    const size_t n = row->mapping == NULL ? 1 : row->mapping->n_columns;

    (void)read;
    buf_clear(&row_text);
    for (size_t i = 0; i < n; i++) {
        buf_append_slice(&row_text, row->columns[i].bytes);
        buf_append_char(&row_text, '|');
    }
}

/* The title of a book, as a reader has it; "" if there is none. */
static enum err read_book(struct bed *bed, const char *id)
{
    struct store_read read = {.mapping = &mappings_builtin.list[0],
                              .key = slice_from_string(id),
                              .row = on_row};

    buf_clear(&row_text);
    buf_clear(&bed->detail);
    return engine->read(bed->reader, &read, &bed->detail);
}

static void assert_reads(struct bed *bed, const char *id, const char *text)
{
    assert_int_equal(read_book(bed, id), ERR_OK);
    if (strstr(buf_string(&row_text), text) == NULL) {
        fail_msg("'%s' is not in '%s'", text, buf_string(&row_text));
    }
}

static void no_row(struct store_write *write, const struct store_row *row)
{
    (void)write;
    (void)row;
}

static enum err begin(struct bed *bed)
{
    buf_clear(&bed->detail);
    return engine->begin(bed->writer, &bed->detail);
}

static void apply(struct bed *bed, const char *id, const char *title)
{
    const struct slice fields[] = {SLICE("title"), slice_from_string(title)};
    struct store_write write = {.op = STORE_SET_COLUMNS,
                                .mapping = &mappings_builtin.list[0],
                                .key = slice_from_string(id),
                                .fields = fields,
                                .n_fields = 2,
                                .row = no_row};

    assert_int_equal(engine->apply(bed->writer, &write, &bed->detail), ERR_OK);
}

static void commit(struct bed *bed)
{
    assert_int_equal(engine->commit(bed->writer, &bed->detail), ERR_OK);
}

static void write_book(struct bed *bed, const char *id, const char *title)
{
    assert_int_equal(begin(bed), ERR_OK);
    apply(bed, id, title);
    commit(bed);
}

static void watch(struct bed *bed)
{
    assert_int_equal(
        engine->watch_open(bed->database, &bed->watch, &bed->detail), ERR_OK);
}

static void *open_bed(bool feed)
{
    struct bed *bed = xcalloc(1, sizeof *bed);
    const struct engine_options options = {
        .location = bed->path,
        .mappings = &mappings_builtin,
        .seed_books = true,
        .plain_keys = true,
        .durability = DURABILITY_NORMAL,
    };

    snprintf(bed->directory, sizeof bed->directory, "%s/bookd-watch-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(bed->directory));
    snprintf(bed->path, sizeof bed->path, "%s/books.db", bed->directory);
    struct buf *detail = &bed->detail;
    assert_int_equal(engine->open(&bed->database, &options, detail), ERR_OK);
    others_open(bed);
    if (!feed) {
        others_run(bed, no_feed_sql);
    }
    assert_int_equal(engine->writer_open(bed->database, &bed->writer, detail),
                     ERR_OK);
    assert_int_equal(engine->reader_open(bed->database, &bed->reader, detail),
                     ERR_OK);
    return bed;
}

static int set_up_unwatched(void **state)
{
    *state = open_bed(false);
    return 0;
}

static int set_up(void **state)
{
    *state = open_bed(false);
    watch(*state);
    return 0;
}

static int set_up_feed(void **state)
{
    *state = open_bed(true);
    watch(*state);
    return 0;
}

static void close_store(struct bed *bed)
{
    if (bed->database != NULL) {
        engine->watch_close(bed->watch);
        engine->reader_close(bed->reader);
        engine->writer_close(bed->writer);
        engine->close(bed->database);
        bed->database = NULL;
    }
}

static int tear_down(void **state)
{
    struct bed *bed = *state;
    char command[96];

    faulty_vfs_forgive();
    others_close(bed);
    close_store(bed);
    snprintf(command, sizeof command, "rm -rf '%s'", bed->directory);
    assert_int_equal(system(command), 0);
    buf_destroy(&bed->told);
    buf_destroy(&bed->detail);
    buf_destroy(&row_text);
    free(bed);
    return 0;
}

/* ---- commits ---- */

static void test_nothing_is_told_while_nobody_commits(void **state)
{
    struct bed *bed = *state;

    look_well(bed);
    look_well(bed);

    assert_false(bed->sight.changed);
    assert_false(bed->sight.anew);
    assert_false(bed->sight.ask);
    assert_false(writer_looks(bed));
}

static void test_a_foreign_commit_wakes_and_the_writer_knows_it(void **state)
{
    struct bed *bed = *state;
    struct pollfd fd = {.fd = engine->watch_descriptor(bed->watch),
                        .events = POLLIN};

    look_well(bed);
    others_run(bed, "UPDATE books SET year = 1 WHERE id = 3");

    assert_int_equal(poll(&fd, 1, 30000), 1);
    look_well(bed);
    assert_true(bed->sight.stirred);
    assert_true(bed->sight.changed);
    assert_true(bed->sight.foreign); /* The writer has done nothing. */
    assert_int_equal(bed->n_told, 0);
    assert_true(writer_looks(bed));
    assert_false(writer_looks(bed));
    look_well(bed);
    assert_false(bed->sight.changed);
}

static void test_our_own_commit_is_not_foreign(void **state)
{
    struct bed *bed = *state;

    write_book(bed, "3", "ours");
    look_well(bed);

    assert_true(bed->sight.changed);
    assert_false(bed->sight.foreign);
    assert_true(bed->sight.ask);
    assert_false(writer_looks(bed));
}

static void test_a_commit_beside_our_own_is_found_by_the_writer(void **state)
{
    struct bed *bed = *state;

    write_book(bed, "3", "ours");
    others_run(bed, "UPDATE books SET year = 1 WHERE id = 3");
    look_well(bed);

    assert_false(bed->sight.foreign);
    assert_true(bed->sight.ask);
    assert_true(writer_looks(bed));
}

static void test_a_transaction_sees_what_was_committed_before_it(void **state)
{
    struct bed *bed = *state;

    others_run(bed, "UPDATE books SET year = 1 WHERE id = 3");
    assert_int_equal(begin(bed), ERR_OK);
    assert_true(writer_looks(bed));
    apply(bed, "3", "ours");
    commit(bed);

    assert_false(writer_looks(bed));
}

static void test_a_writer_who_cannot_look_takes_it_for_a_commit(void **state)
{
    struct bed *bed = *state;

    others_run(bed, "UPDATE books SET year = 1 WHERE id = 3");
    faulty_vfs_fail(FAULTY_SHM_LOCK, 1, SQLITE_IOERR_SHMLOCK);
    assert_true(writer_looks(bed)); /* He is not asked again for that one. */
    assert_int_equal(faulty_vfs_calls(FAULTY_SHM_LOCK), 1);
    assert_true(writer_looks(bed));

    assert_false(writer_looks(bed));
}

static void test_the_feed_names_the_rows(void **state)
{
    struct bed *bed = *state;

    others_run(bed, "BEGIN; UPDATE books SET year = 1 WHERE id IN (3, 4);"
                    "DELETE FROM books WHERE id = 5;"
                    "INSERT INTO books(id, title) VALUES(77, 'new'); COMMIT");
    look_well(bed);

    assert_string_equal(buf_string(&bed->told), "+3 +4 -5 +77 ");
    assert_int_equal(bed->sight.n_told, 4);
    assert_false(bed->sight.ask);
    assert_false(bed->sight.more);
    look_well(bed);
    assert_int_equal(bed->n_told, 0);
}

static void test_our_own_writes_are_not_in_the_feed(void **state)
{
    struct bed *bed = *state;

    write_book(bed, "3", "ours");
    look_well(bed);

    assert_true(bed->sight.changed);
    assert_int_equal(bed->n_told, 0);
    others_run(bed, "UPDATE books SET year = 1 WHERE id = 4");
    look_well(bed);
    assert_string_equal(buf_string(&bed->told), "+4 ");
}

static void test_many_rows_are_told_in_steps(void **state)
{
    struct bed *bed = *state;
    size_t n = 0;

    others_run(bed, "WITH RECURSIVE n(i) AS (VALUES(1000) UNION ALL "
                    "SELECT i + 1 FROM n LIMIT 2500) "
                    "INSERT INTO books(id, title) SELECT i, 'many' FROM n");
    for (int looks = 1; looks <= 3; looks++) {
        look_well(bed);
        n += bed->n_told;
        assert_int_equal(bed->sight.more, looks < 3);
    }

    assert_int_equal(n, 2500);
}

static void test_a_feed_that_went_back_is_another_database(void **state)
{
    struct bed *bed = *state;

    others_run(bed, "UPDATE books SET year = 1");
    look_well(bed);
    assert_int_equal(bed->n_told, 10);
    others_run(bed, "DELETE FROM bookd_changes;"
                    "UPDATE sqlite_sequence SET seq = 4 "
                    "WHERE name = 'bookd_changes'");
    look_well(bed);
    assert_true(bed->sight.anew);

    others_run(bed, "UPDATE books SET year = 2 WHERE id = 3");
    look_well(bed);
    assert_false(bed->sight.anew);
    assert_string_equal(buf_string(&bed->told), "+3 ");
}

static int64_t count_changes(struct bed *bed)
{
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_prepare_v2(bed->others,
                                        "SELECT count(*) FROM bookd_changes",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

static void tidy(struct bed *bed)
{
    bool more = true;

    while (more) {
        assert_int_equal(engine->tidy(bed->writer, &more, &bed->detail),
                         ERR_OK);
    }
}

static void test_what_was_told_is_taken_out_also_of_a_feed_anew(void **state)
{
    struct bed *bed = *state;

    others_run(bed, "UPDATE books SET year = 1");
    tidy(bed); /* Not yet told. */
    assert_int_equal(count_changes(bed), 10);
    look_well(bed);
    tidy(bed);
    assert_int_equal(count_changes(bed), 0);
    others_run(bed, "UPDATE sqlite_sequence SET seq = 4 "
                    "WHERE name = 'bookd_changes'");
    look_well(bed);
    others_run(bed, "UPDATE books SET year = 2 WHERE id = 3");
    look_well(bed);
    tidy(bed);

    assert_int_equal(count_changes(bed), 0);
}

/* The statements that make the feed, as the file has them. */
static void copy_feed_sql(struct bed *bed, struct buf *sql)
{
    sqlite3_stmt *statement;

    assert_int_equal(
        sqlite3_prepare_v2(bed->others,
                           "SELECT sql FROM sqlite_schema "
                           "WHERE name LIKE 'bookd_feed%' "
                           "OR name = 'bookd_changes' ORDER BY type",
                           -1, &statement, NULL),
        SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        buf_printf(sql, "%s;\n", sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
}

static void test_a_feed_is_used_while_all_of_it_is_there(void **state)
{
    struct bed *bed = *state;
    const struct mapping *books = &mappings_builtin.list[0];
    struct buf sql = {0};

    copy_feed_sql(bed, &sql);
    assert_true(engine->watch_covers(bed->watch, books));
    others_run(bed, "DROP TRIGGER bookd_feed_books_update");
    look_well(bed);
    assert_true(bed->sight.anew);
    assert_false(engine->watch_covers(bed->watch, books));
    others_run(bed, "DROP TRIGGER bookd_feed_books_insert;"
                    "DROP TRIGGER bookd_feed_books_delete;"
                    "DROP TABLE bookd_changes");
    look_until_anew(bed);
    write_book(bed, "3", "ours"); /* Nothing looks for that table now. */
    assert_reads(bed, "3", "ours");

    others_run(bed, buf_string(&sql));
    look_until_anew(bed);
    assert_true(engine->watch_covers(bed->watch, books));
    write_book(bed, "3", "ours");
    others_run(bed, "UPDATE books SET year = 1 WHERE id = 4");
    look_well(bed);
    assert_string_equal(buf_string(&bed->told), "+4 ");
    buf_destroy(&sql);
}

/* So that it is read from more than one page. */
static void make_schema_long(struct bed *bed)
{
    struct buf sql = {0};

    for (int i = 0; i < 30; i++) {
        buf_clear(&sql);
        buf_printf(&sql, "CREATE TABLE t%d(c%0500d)", i, i);
        others_run(bed, buf_string(&sql));
    }
    look_well(bed);
    buf_destroy(&sql);
}

static void test_a_feed_that_goes_while_reads_fail_is_not_used(void **state)
{
    struct bed *bed = *state;
    struct buf sql = {0};

    make_schema_long(bed);
    copy_feed_sql(bed, &sql);
    for (int n = 1; n <= 12; n++) {
        others_run(bed, no_feed_sql);
        faulty_vfs_fail_at(FAULTY_READ, n, false, SQLITE_IOERR_READ);
        (void)look(bed);
        faulty_vfs_forgive();
        look_until_anew(bed);
        look_well(bed);
        write_book(bed, "3", "ours"); /* Nothing looks for that table now. */

        others_run(bed, buf_string(&sql));
        look_until_anew(bed);
        look_well(bed);
        others_run(bed, "UPDATE books SET year = 1 WHERE id = 4");
        look_well(bed);
        assert_string_equal(buf_string(&bed->told), "+4 ");
    }
    buf_destroy(&sql);
}

/* ---- schemas ---- */

static void test_a_mapping_that_fits_no_more_fails_until_it_fits(void **state)
{
    struct bed *bed = *state;

    assert_reads(bed, "3", "A Tale of Two Cities");
    others_run(bed, "ALTER TABLE books RENAME COLUMN title TO name");
    assert_int_equal(read_book(bed, "3"), ERR_STORE_MAPPING); /* At once. */
    look_until_anew(bed);
    assert_int_equal(read_book(bed, "3"), ERR_STORE_MAPPING);
    assert_non_null(strstr(buf_string(&bed->detail), "title"));

    others_run(bed, "ALTER TABLE books RENAME COLUMN name TO title");
    look_until_anew(bed);
    assert_reads(bed, "3", "A Tale of Two Cities");
    write_book(bed, "3", "again");
    assert_reads(bed, "3", "again");
}

static void test_a_table_that_is_dropped_takes_only_itself_away(void **state)
{
    struct bed *bed = *state;
    const struct slice fields[] = {SLICE("title"), SLICE("x")};
    struct store_write write = {.op = STORE_SET_COLUMNS,
                                .mapping = &mappings_builtin.list[0],
                                .key = SLICE("3"),
                                .fields = fields,
                                .n_fields = 2};
    struct store_write plain = {
        .op = STORE_PUT_PLAIN, .key = SLICE("k"), .value = SLICE("v")};

    others_run(bed, "DROP TABLE books");
    look_until_anew(bed);
    assert_int_equal(begin(bed), ERR_OK);
    assert_int_equal(engine->apply(bed->writer, &write, &bed->detail),
                     ERR_STORE_MAPPING);
    buf_clear(&bed->detail);
    assert_int_equal(engine->apply(bed->writer, &plain, &bed->detail), ERR_OK);
    commit(bed);
    struct store_read read = {.key = SLICE("k"), .row = on_row};
    assert_int_equal(engine->read(bed->reader, &read, &bed->detail), ERR_OK);

    assert_string_equal(buf_string(&row_text), "v|");
}

static void test_a_column_or_an_index_more_does_no_harm(void **state)
{
    struct bed *bed = *state;

    others_run(bed, "ALTER TABLE books ADD COLUMN pages INTEGER;"
                    "CREATE INDEX by_year ON books(year)");
    look_well(bed);

    assert_true(bed->sight.anew);
    assert_reads(bed, "3", "A Tale of Two Cities");
    look_well(bed);
    assert_false(bed->sight.anew);
}

/* ---- files ---- */

static void test_a_file_moved_in_is_opened(void **state)
{
    struct bed *bed = *state;

    write_book(bed, "4", "only in the log");
    make_copy(bed, ".new", "UPDATE books SET title = 'new' WHERE id = 3");
    write_book(bed, "5", "lost with the old file");
    others_close(bed);
    move_in(bed, ".new");
    look_until_anew(bed);

    assert_reads(bed, "3", "new");
    assert_reads(bed, "4", "only in the log");
    assert_reads(bed, "5", "Harry Potter");
    write_book(bed, "6", "written there");
    others_open(bed);
    others_run(bed, "UPDATE books SET title = 'seen' WHERE id = 7");
    look_well(bed);
    assert_true(bed->sight.changed);
    assert_reads(bed, "6", "written there");
    assert_reads(bed, "7", "seen");
}

static void test_a_file_that_is_gone_fails_until_there_is_one(void **state)
{
    struct bed *bed = *state;

    make_copy(bed, ".new", "UPDATE books SET title = 'new' WHERE id = 3");
    others_close(bed);
    assert_int_equal(unlink(bed->path), 0);
    while (look(bed) == ERR_OK) {
        (void)writer_looks(bed);
    }
    assert_true(bed->sight.anew);
    assert_int_equal(read_book(bed, "3"), ERR_STORE_DOWN);
    assert_int_equal(begin(bed), ERR_STORE_DOWN);
    assert_non_null(strstr(buf_string(&bed->detail), "books.db"));
    assert_false(writer_looks(bed));

    move_in(bed, ".new");
    look_until_anew(bed);
    assert_reads(bed, "3", "new");
    write_book(bed, "3", "newer");
    others_open(bed);
    assert_reads(bed, "3", "newer");
}

static void test_a_file_that_is_no_database_is_not_used(void **state)
{
    struct bed *bed = *state;
    char path[128];

    make_copy(bed, ".new", "UPDATE books SET title = 'new' WHERE id = 3");
    others_close(bed);
    beside(bed, ".junk", path);
    FILE *junk = fopen(path, "wb");
    assert_non_null(junk);
    for (int i = 0; i < 4096; i++) {
        fputc('x', junk);
    }
    fclose(junk);
    move_in(bed, ".junk");
    while (look(bed) == ERR_OK) {
        (void)writer_looks(bed);
    }
    assert_int_equal(read_book(bed, "3"), ERR_STORE_DOWN);

    move_in(bed, ".new");
    look_until_anew(bed);
    assert_reads(bed, "3", "new");
    others_open(bed);
}

static void test_a_read_under_way_ends_in_the_old_file(void **state)
{
    struct bed *bed = *state;

    make_copy(bed, ".new", "UPDATE books SET title = 'new' WHERE id = 3");
    others_close(bed);
    assert_int_equal(engine->begin_read(bed->reader, &bed->detail), ERR_OK);
    assert_reads(bed, "3", "A Tale of Two Cities");
    move_in(bed, ".new");
    for (int i = 0; i < 3; i++) {
        look_well(bed);
        (void)writer_looks(bed);
        assert_true(bed->sight.stirred); /* Soon again. */
    }
    assert_reads(bed, "3", "A Tale of Two Cities");
    engine->end_read(bed->reader);
    look_until_anew(bed);

    assert_reads(bed, "3", "new");
    others_open(bed);
}

static void test_a_transaction_under_way_ends_in_the_old_file(void **state)
{
    struct bed *bed = *state;

    make_copy(bed, ".new", "UPDATE books SET title = 'new' WHERE id = 3");
    others_close(bed);
    assert_int_equal(begin(bed), ERR_OK);
    apply(bed, "4", "into the old file");
    move_in(bed, ".new");
    look_well(bed);
    assert_true(bed->sight.anew); /* Copies are old from here on … */
    look_well(bed);
    assert_false(bed->sight.anew); /* … and nothing is open yet. */
    (void)writer_looks(bed);       /* Inside: he goes on. */
    /* SQLite itself refuses to commit to a file that is not there any more. */
    if (engine->commit(bed->writer, &bed->detail) != ERR_OK) {
        engine->rollback(bed->writer);
    }
    assert_int_equal(begin(bed), ERR_STORE_LOCKED); /* Tries again, later. */
    look_until_anew(bed);

    write_book(bed, "5", "into the new file");
    assert_reads(bed, "3", "new");
    assert_reads(bed, "4", "Les Mis");
    assert_reads(bed, "5", "into the new file");
    others_open(bed);
}

static void test_a_log_that_is_removed_loses_nothing(void **state)
{
    struct bed *bed = *state;
    char path[128];

    write_book(bed, "3", "only in the log");
    others_close(bed);
    beside(bed, "-wal", path);
    assert_int_equal(unlink(path), 0);
    look_until_anew(bed);

    assert_reads(bed, "3", "only in the log");
    assert_true(exists(bed, "-wal"));
    others_open(bed);
    others_run(bed, "UPDATE books SET title = 'theirs' WHERE id = 3");
    look_well(bed);
    assert_true(bed->sight.changed);
    assert_reads(bed, "3", "theirs");
    write_book(bed, "3", "ours");
    assert_reads(bed, "3", "ours");
}

static void test_a_log_that_is_removed_waits_for_who_reads(void **state)
{
    struct bed *bed = *state;
    char path[128];

    assert_int_equal(engine->begin_read(bed->reader, &bed->detail), ERR_OK);
    assert_reads(bed, "3", "A Tale of Two Cities");
    write_book(bed, "3", "only in the log"); /* Behind that snapshot. */
    others_close(bed);
    beside(bed, "-wal", path);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 3; i++) {
        look_well(bed);
        (void)writer_looks(bed);
    }
    engine->end_read(bed->reader);
    look_until_anew(bed);

    assert_reads(bed, "3", "only in the log");
    others_open(bed);
}

static void test_a_log_that_is_removed_waits_for_others(void **state)
{
    struct bed *bed = *state;
    char path[128];

    others_run(bed, "BEGIN; SELECT count(*) FROM books");
    write_book(bed, "3", "only in the log"); /* Behind their snapshot. */
    beside(bed, "-wal", path);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 3; i++) {
        look_well(bed);
        (void)writer_looks(bed);
        assert_true(bed->sight.leaving);
    }
    others_close(bed);
    look_until_anew(bed);

    assert_reads(bed, "3", "only in the log");
    assert_false(bed->sight.leaving);
    others_open(bed);
}

/* More names come and go than the system keeps events. */
static void overflow(struct bed *bed)
{
    FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    char from[128], to[128];
    int n = 0;

    assert_non_null(limit);
    assert_int_equal(fscanf(limit, "%d", &n), 1);
    fclose(limit);
    beside(bed, ".from", from);
    beside(bed, ".to", to);
    FILE *file = fopen(from, "wb");
    assert_non_null(file);
    fclose(file);
    for (int i = 0; i < n; i += 4) { /* Two events each. */
        assert_int_equal(rename(from, to), 0);
        assert_int_equal(rename(to, from), 0);
    }
}

static void test_lost_events_do_not_cost_the_log(void **state)
{
    struct bed *bed = *state;

    write_book(bed, "3", "only in the log");
    look_well(bed);
    overflow(bed);
    look_well(bed);

    assert_false(bed->sight.leaving);
    assert_reads(bed, "3", "only in the log");
}

static void
test_a_file_is_watched_that_was_replaced_before_the_watch(void **state)
{
    struct bed *bed = *state;

    make_copy(bed, ".new", "UPDATE books SET title = 'new' WHERE id = 3");
    others_close(bed);
    move_in(bed, ".new");
    assert_reads(bed, "3", "A Tale of Two Cities");
    watch(bed);
    look_until_anew(bed);

    assert_reads(bed, "3", "new");
    others_open(bed);
}

static void
test_another_file_with_the_number_of_the_old_is_another(void **state)
{
    struct bed *bed = *state;
    struct stat status;

    make_copy(bed, ".new", "UPDATE books SET title = 'new' WHERE id = 3");
    others_run(bed, "CREATE TABLE more(x); INSERT INTO more "
                    "VALUES(zeroblob(100000))"); /* The log is not empty. */
    look_until_anew(bed);
    assert_int_equal(stat(bed->path, &status), 0);
    others_close(bed);
    assert_int_equal(unlink(bed->path), 0);
    while (look(bed) == ERR_OK) {
        (void)writer_looks(bed);
    }
    const ino_t before = status.st_ino;
    copy_over(bed, ".new"); /* A new file, which may be given that number. */
    assert_int_equal(stat(bed->path, &status), 0);
    assert_true(status.st_ino != before);
    look_until_anew(bed);

    assert_reads(bed, "3", "new");
    others_open(bed);
}

/* cp, only so far. */
static void copy_half(struct bed *bed, const char *suffix)
{
    char path[128];
    struct stat status;

    beside(bed, suffix, path);
    assert_int_equal(stat(path, &status), 0);
    copy_over(bed, suffix);
    assert_int_equal(truncate(bed->path, status.st_size / 2), 0);
}

static void test_a_file_that_is_being_written_is_not_opened(void **state)
{
    struct bed *bed = *state;
    int64_t took_us;
    enum err err;

    make_copy(bed, ".new", "UPDATE books SET title = 'new' WHERE id = 3");
    others_close(bed);
    assert_int_equal(unlink(bed->path), 0);
    while (look(bed) == ERR_OK) {
        (void)writer_looks(bed);
    }
    do { /* Until we are faster than the file grows old. */
        const int64_t began_us = clock_real_us();
        copy_half(bed, ".new");
        err = look(bed);
        took_us = clock_real_us() - began_us;
    } while (took_us >= 40000);
    assert_int_equal(err, ERR_STORE_DOWN);
    assert_non_null(strstr(buf_string(&bed->detail), "is being written"));
    copy_over(bed, ".new");
    look_until_anew(bed);

    assert_reads(bed, "3", "new");
    others_open(bed);
}

static void test_a_store_that_closes_leaves_a_new_content_alone(void **state)
{
    struct bed *bed = *state;

    make_copy(bed, ".save", "SELECT 1");
    write_book(bed, "3", "not in the copy");
    others_run(bed, "CREATE TABLE more(x); INSERT INTO more "
                    "VALUES(zeroblob(100000))"); /* Other pages. */
    look_until_anew(bed);
    others_close(bed);
    copy_over(bed, ".save");
    look_well(bed);
    assert_true(bed->sight.leaving);
    close_store(bed); /* In the middle of it. */

    assert_false(exists(bed, "-wal"));
    others_open(bed);
    others_run(bed, "CREATE TEMP TABLE t AS SELECT 1 / (title = "
                    "'A Tale of Two Cities') AS x FROM books WHERE id = 3;"
                    "CREATE TEMP TABLE found(x CHECK(x = 'ok'));"
                    "CREATE TEMP TABLE sane(x NOT NULL);"
                    "INSERT INTO sane SELECT x FROM t;"
                    "INSERT INTO found SELECT * FROM pragma_integrity_check");
}

static void test_a_file_written_over_is_opened_anew(void **state)
{
    struct bed *bed = *state;

    make_copy(bed, ".save", "SELECT 1");
    write_book(bed, "3", "not in the copy");
    look_well(bed);
    others_close(bed);
    copy_over(bed, ".save");
    look_until_anew(bed);

    assert_reads(bed, "3", "A Tale of Two Cities");
    write_book(bed, "3", "works");
    assert_reads(bed, "3", "works");
    others_open(bed);
}

static void
test_a_file_written_over_as_the_log_begins_anew_is_noticed(void **state)
{
    struct bed *bed = *state;

    make_copy(bed, ".save", "SELECT 1");
    write_book(bed, "3", "in the database");
    others_close(bed);
    assert_int_equal(engine->checkpoint(bed->writer, &bed->detail), ERR_OK);
    look_well(bed);
    write_book(bed, "3", "at the beginning of the log");
    copy_over(bed, ".save");
    look_until_anew(bed);

    assert_reads(bed, "3", "A Tale of Two Cities");
    others_open(bed);
}

static void test_checkpoints_are_no_reason_to_leave(void **state)
{
    struct bed *bed = *state;

    for (int i = 0; i < 10; i++) {
        write_book(bed, "3", "ours");
        others_run(bed, "UPDATE books SET year = year + 1");
        look_well(bed);
        others_run(bed, i % 2 == 0 ? "PRAGMA wal_checkpoint"
                                   : "PRAGMA wal_checkpoint(TRUNCATE)");
        look_well(bed);
        assert_false(bed->sight.anew);
        write_book(bed, "3", "ours");
        assert_int_equal(engine->checkpoint(bed->writer, &bed->detail), ERR_OK);
        look_well(bed);
        assert_false(bed->sight.anew);
    }
}

static void test_the_claim_follows_the_file(void **state)
{
    struct bed *bed = *state;
    const struct engine_options options = {.location = bed->path,
                                           .mappings = &mappings_builtin};
    struct engine_database *second;

    make_copy(bed, ".new", "SELECT 1");
    others_close(bed);
    move_in(bed, ".new");
    look_until_anew(bed);

    buf_clear(&bed->detail);
    assert_int_equal(engine->open(&second, &options, &bed->detail),
                     ERR_STORE_LOCKED);
    others_open(bed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define UNWATCHED(name) \
    cmocka_unit_test_setup_teardown(name, set_up_unwatched, tear_down)
#define FEED(name) cmocka_unit_test_setup_teardown(name, set_up_feed, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_told_while_nobody_commits),
        TEST(test_a_foreign_commit_wakes_and_the_writer_knows_it),
        TEST(test_our_own_commit_is_not_foreign),
        TEST(test_a_commit_beside_our_own_is_found_by_the_writer),
        TEST(test_a_transaction_sees_what_was_committed_before_it),
        TEST(test_a_writer_who_cannot_look_takes_it_for_a_commit),
        FEED(test_the_feed_names_the_rows),
        FEED(test_our_own_writes_are_not_in_the_feed),
        FEED(test_many_rows_are_told_in_steps),
        FEED(test_a_feed_that_went_back_is_another_database),
        FEED(test_what_was_told_is_taken_out_also_of_a_feed_anew),
        FEED(test_a_feed_is_used_while_all_of_it_is_there),
        FEED(test_a_feed_that_goes_while_reads_fail_is_not_used),
        TEST(test_a_mapping_that_fits_no_more_fails_until_it_fits),
        TEST(test_a_table_that_is_dropped_takes_only_itself_away),
        TEST(test_a_column_or_an_index_more_does_no_harm),
        TEST(test_a_file_moved_in_is_opened),
        TEST(test_a_file_that_is_gone_fails_until_there_is_one),
        TEST(test_a_file_that_is_no_database_is_not_used),
        TEST(test_a_read_under_way_ends_in_the_old_file),
        TEST(test_a_transaction_under_way_ends_in_the_old_file),
        TEST(test_a_log_that_is_removed_loses_nothing),
        TEST(test_a_log_that_is_removed_waits_for_who_reads),
        TEST(test_a_log_that_is_removed_waits_for_others),
        TEST(test_lost_events_do_not_cost_the_log),
        UNWATCHED(test_a_file_is_watched_that_was_replaced_before_the_watch),
        TEST(test_another_file_with_the_number_of_the_old_is_another),
        TEST(test_a_file_that_is_being_written_is_not_opened),
        TEST(test_a_store_that_closes_leaves_a_new_content_alone),
        TEST(test_a_file_written_over_is_opened_anew),
        TEST(test_a_file_written_over_as_the_log_begins_anew_is_noticed),
        TEST(test_checkpoints_are_no_reason_to_leave),
        TEST(test_the_claim_follows_the_file),
    };

    log_init();
    log_set_level(LOG_LEVEL_ERROR);
    faulty_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
