/* SPDX-License-Identifier: MIT */
#include "tests/support/table_bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/log.h"
#include "server/admin/config.h"
#include "server/admin/config_tables.h"
#include "server/store/mapping_set.h"

void table_bed_init(struct table_bed *bed, const char *sql)
{
    const char *parent = getenv("TMPDIR");

    *bed = (struct table_bed){.tables = NULL};
    snprintf(bed->directory, sizeof(bed->directory), "%s/tables-XXXXXX",
             parent == NULL || strlen(parent) > 40 ? "/tmp" : parent);
    if (mkdtemp(bed->directory) == NULL) {
        log_fatal("table_bed: no directory %s", bed->directory);
    }
    snprintf(bed->path, sizeof(bed->path), "%s/t.db", bed->directory);
    if (sql != NULL) {
        table_bed_run(bed, "PRAGMA journal_mode = WAL");
        table_bed_run(bed, sql);
    }
}

void table_bed_destroy(struct table_bed *bed)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char path[112];

    table_bed_close(bed);
    sqlite3_close(bed->outside);
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        snprintf(path, sizeof(path), "%s%s", bed->path, suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(bed->directory);
    buf_destroy(&bed->text);
    buf_destroy(&bed->detail);
}

/* ---- the engine ---- */

static enum err make_tables(struct table_bed *bed, const char *tables)
{
    struct table_entries entries = {0};

    buf_clear(&bed->detail);
    enum err err =
        config_tables_apply(&entries, slice_from_string(tables), &bed->detail);
    if (err == ERR_OK) {
        err = mapping_set_new(&bed->tables, &entries, &bed->detail);
    }
    config_tables_clear(&entries);
    return err;
}

static struct engine_options options_of(const struct table_bed *bed)
{
    return (struct engine_options){.location = bed->path,
                                   .tables = bed->tables,
                                   .seed_books = true,
                                   .plain_keys = bed->plain_keys,
                                   .durability = DURABILITY_NORMAL};
}

enum err table_bed_open(struct table_bed *bed, const char *tables)
{
    enum err err = make_tables(bed, tables);

    if (err == ERR_OK) {
        const struct engine_options options = options_of(bed);
        err = engine_sqlite.open(&bed->database, &options, &bed->detail);
    }
    if (err == ERR_OK) {
        bed->mappings = mapping_set_mappings(bed->tables);
        err = engine_sqlite.reader_open(bed->database, &bed->reader,
                                        &bed->detail);
    }
    if (err != ERR_OK) {
        table_bed_close(bed);
    }
    return err;
}

void table_bed_close(struct table_bed *bed)
{
    if (bed->reader != NULL) {
        engine_sqlite.reader_close(bed->reader);
    }
    if (bed->database != NULL) {
        engine_sqlite.close(bed->database);
    }
    mapping_set_free(bed->tables);
    bed->reader = NULL;
    bed->database = NULL;
    bed->tables = NULL;
}

enum err table_bed_maintain(struct table_bed *bed, const char *tables,
                            enum store_task task)
{
    struct mapping_set *open = bed->tables;
    enum err err = make_tables(bed, tables);

    buf_clear(&bed->text);
    if (err == ERR_OK) {
        const struct engine_options options = options_of(bed);
        err = engine_sqlite.maintain(&options, task, &bed->text, &bed->detail);
        mapping_set_free(bed->tables);
    }
    bed->tables = open;
    (void)buf_string(&bed->text);
    return err;
}

/* ---- beside it ---- */

static struct sqlite3 *outside(struct table_bed *bed)
{
    if (bed->outside == NULL &&
        sqlite3_open(bed->path, &bed->outside) != SQLITE_OK) {
        log_fatal("table_bed: %s", sqlite3_errmsg(bed->outside));
    }
    return bed->outside;
}

void table_bed_run(struct table_bed *bed, const char *sql)
{
    struct sqlite3 *db = outside(bed);

    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        log_fatal("table_bed: %s: %s", sql, sqlite3_errmsg(db));
    }
}

static int add_row(void *arg, int n, char **values, char **names)
{
    struct buf *text = arg;

    (void)n;
    (void)names;
    buf_append_string(text, text->size == 0 ? "" : " ");
    buf_append_string(text, values[0] == NULL ? "NULL" : values[0]);
    return 0;
}

const char *table_bed_query(struct table_bed *bed, const char *sql)
{
    struct sqlite3 *db = outside(bed);

    buf_clear(&bed->text);
    if (sqlite3_exec(db, sql, add_row, &bed->text, NULL) != SQLITE_OK) {
        log_fatal("table_bed: %s: %s", sql, sqlite3_errmsg(db));
    }
    return buf_string(&bed->text);
}

/* ---- reading ---- */

struct reading {
    struct store_read read; /* First. */
    struct buf *text;
};

static void on_row(struct store_read *read, const struct store_row *row)
{
    struct buf *text = ((struct reading *)read)->text;
    const size_t n = row->mapping == NULL ? 1 : row->mapping->n_columns;

    buf_clear(text);
    for (size_t i = 0; i < n; i++) {
        buf_append_string(text, i == 0 ? "" : "|");
        if (row->columns[i].type == COLUMN_NULL) {
            buf_append_string(text, "NULL");
        } else {
            buf_append_slice(text, row->columns[i].bytes);
        }
    }
}

const char *table_bed_read(struct table_bed *bed, const char *key)
{
    struct reading r = {.text = &bed->text};

    r.read = (struct store_read){.key = slice_from_string(key), .row = on_row};
    r.read.mapping = mapping_find(bed->mappings, r.read.key, &r.read.key);
    buf_clear(&bed->text);
    buf_clear(&bed->detail);
    buf_append_string(&bed->text, "(none)");
    const enum err err = engine_sqlite.read(bed->reader, &r.read, &bed->detail);
    if (err != ERR_OK) {
        buf_clear(&bed->text);
        buf_append_string(&bed->text, err_str(err));
    }
    return buf_string(&bed->text);
}

struct walking {
    struct store_walk walk; /* First. */
    struct buf *text;
};

static void on_key(struct store_walk *walk, struct slice key)
{
    struct buf *text = ((struct walking *)walk)->text;

    buf_append_string(text, text->size == 0 ? "" : " ");
    buf_append_slice(text, key);
}

static void scan_page(struct table_bed *bed, uint64_t *cursor, size_t count)
{
    struct walking w = {.walk = {.kind = STORE_SCAN,
                                 .cursor = *cursor,
                                 .count = count,
                                 .key = on_key},
                        .text = &bed->text};

    if (engine_sqlite.scan(bed->reader, &w.walk, count, &bed->detail) !=
        ERR_OK) {
        log_fatal("table_bed: scan: %s", buf_string(&bed->detail));
    }
    *cursor = w.walk.cursor;
}

const char *table_bed_scan(struct table_bed *bed, uint64_t *cursor,
                           size_t count)
{
    buf_clear(&bed->text);
    scan_page(bed, cursor, count);
    return buf_string(&bed->text);
}

const char *table_bed_scan_all(struct table_bed *bed, size_t count)
{
    uint64_t cursor = 0;

    buf_clear(&bed->text);
    do {
        scan_page(bed, &cursor, count);
    } while (cursor != 0);
    return buf_string(&bed->text);
}

int64_t table_bed_count(struct table_bed *bed)
{
    struct store_walk walk = {.kind = STORE_COUNT};

    if (engine_sqlite.count(bed->reader, &walk, &bed->detail) != ERR_OK) {
        log_fatal("table_bed: count: %s", buf_string(&bed->detail));
    }
    return walk.n_keys;
}
