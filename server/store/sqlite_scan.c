/* SPDX-License-Identifier: MIT */
/*
 * Walks: the tables one after the other, plain keys first, each in the order
 * of its rowid.  A row keeps its rowid while it lives, so each key that is
 * there throughout is met, once.
 *
 * A cursor is a place: a table and the least rowid to look at there,
 *
 *     cursor = 1 + table + n_tables * zigzag(rowid)
 *
 * with zigzag() folding the negative numbers in between the others: 0, -1, 1,
 * -2 …  With one mapping, two tables, all rowids up to 2^61 have a cursor.  A
 * page never ends at one that has none: it goes on to the next that has, or to
 * the end of the table.  Every number is a cursor of some place, so whatever
 * clients send is harmless.
 */
#include "server/store/sqlite_internal.h"

#include <stdlib.h>

#include <sqlite3.h>

#include "common/clock.h"
#include "common/mem.h"

/* ---- cursors ---- */

struct place {
    size_t table;  /* 0: plain keys; 1 + index of a mapping. */
    int64_t rowid; /* The first to look at. */
};

static uint64_t zigzag(int64_t n)
{
    return n < 0 ? ~(uint64_t)n * 2 + 1 : (uint64_t)n * 2;
}

static int64_t unzigzag(uint64_t z)
{
    return z % 2 == 0 ? (int64_t)(z / 2) : -(int64_t)(z / 2) - 1;
}

/* The cursor of 'place', or 0 if it has none. */
static uint64_t place_to_cursor(struct place place, size_t n_tables)
{
    const uint64_t folded = zigzag(place.rowid);

    return folded > ((uint64_t)INT64_MAX - n_tables) / n_tables
               ? 0
               : 1 + place.table + n_tables * folded;
}

static struct place cursor_to_place(uint64_t cursor, size_t n_tables)
{
    if (cursor == 0) {
        return (struct place){.table = 0, .rowid = INT64_MIN};
    }
    return (struct place){
        .table = (cursor - 1) % n_tables,
        .rowid = unzigzag((cursor - 1) / n_tables),
    };
}

/* ---- one table ---- */

struct page {
    struct engine_reader *reader;
    struct store_walk *walk;
    size_t left;     /* Keys still to look at. */
    int64_t now_ms;  /* For expired plain keys. */
    uint64_t cursor; /* Where the page ended; 0: not yet. */
};

static void give_row_key(struct page *page, const struct mapping *mapping,
                         int64_t id)
{
    struct buf *key = &page->reader->key;

    buf_clear(key);
    buf_append_slice(key, mapping->prefix);
    buf_append_int64(key, id);
    page->walk->key(page->walk, buf_slice(key));
}

static void give_plain_key(struct page *page, struct sqlite3_stmt *statement)
{
    const void *data = sqlite3_column_blob(statement, 1);
    const size_t size = (size_t)sqlite3_column_bytes(statement, 1);
    const int64_t expires_ms = sqlite3_column_type(statement, 2) == SQLITE_NULL
                                   ? INT64_MAX
                                   : sqlite3_column_int64(statement, 2);

    if (expires_ms > page->now_ms) {
        page->walk->key(page->walk, slice_make(size == 0 ? "" : data, size));
    }
}

/* Looks at the rows of place.table from place.rowid on. */
static enum err scan_table(struct page *page, struct place place,
                           struct buf *detail)
{
    struct engine_reader *reader = page->reader;
    const size_t n_tables = reader->mappings->count + 1;
    struct sqlite3_stmt *statement = place.table == 0
                                         ? reader->plain_scan
                                         : reader->row_scans[place.table - 1];
    enum err err = ERR_OK;
    int code;

    sqlite3_bind_int64(statement, 1, place.rowid);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        place.rowid = sqlite3_column_int64(statement, 0);
        if (page->left == 0) {
            page->cursor = place_to_cursor(place, n_tables);
            if (page->cursor != 0) {
                break;
            }
        }
        page->left -= page->left > 0 ? 1 : 0;
        if (place.table == 0) {
            give_plain_key(page, statement);
        } else {
            give_row_key(page, &reader->mappings->list[place.table - 1],
                         place.rowid);
        }
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        err = sqlite_failed(reader->db, detail);
    }
    sqlite3_reset(statement);
    return err;
}

/* ---- the engine's scan and count ---- */

/* The tables that 'walk' is about: from '*first' up to, not with, '*end'. */
static void tables_of(const struct store_walk *walk, size_t n_tables,
                      size_t *first, size_t *end)
{
    *first = walk->only != NULL ? walk->only->index + 1 : 0;
    *end = walk->only != NULL || walk->plain_only ? *first + 1 : n_tables;
}

enum err sqlite_scan(struct engine_reader *reader, struct store_walk *walk,
                     size_t count, struct buf *detail)
{
    const size_t n_tables = reader->mappings->count + 1;
    struct place place = cursor_to_place(walk->cursor, n_tables);
    struct page page = {
        .reader = reader,
        .walk = walk,
        .left = count,
        .now_ms = clock_wall_ms(),
    };
    enum err err = ERR_OK;
    size_t first;
    size_t end;

    tables_of(walk, n_tables, &first, &end);
    if (place.table < first) {
        place = (struct place){.table = first, .rowid = INT64_MIN};
    }
    while (place.table < end && page.cursor == 0 && err == ERR_OK) {
        err = scan_table(&page, place, detail);
        place = (struct place){.table = place.table + 1, .rowid = INT64_MIN};
    }
    walk->cursor = page.cursor;
    return err;
}

static enum err count_table(struct engine_reader *reader, size_t table,
                            int64_t *n_keys, struct buf *detail)
{
    struct sqlite3_stmt *statement =
        table == 0 ? reader->plain_count : reader->row_counts[table - 1];
    enum err err = ERR_OK;

    if (table == 0) {
        sqlite3_bind_int64(statement, 1, clock_wall_ms());
    }
    if (sqlite3_step(statement) == SQLITE_ROW) {
        *n_keys += sqlite3_column_int64(statement, 0);
    } else {
        err = sqlite_failed(reader->db, detail);
    }
    sqlite3_reset(statement);
    return err;
}

enum err sqlite_count(struct engine_reader *reader, struct store_walk *walk,
                      struct buf *detail)
{
    enum err err = ERR_OK;
    size_t first;
    size_t end;

    walk->n_keys = 0;
    tables_of(walk, reader->mappings->count + 1, &first, &end);
    for (size_t table = first; table < end && err == ERR_OK; table++) {
        err = count_table(reader, table, &walk->n_keys, detail);
    }
    return err;
}

/* ---- statements ---- */

static enum err prepare_mapping(struct engine_reader *reader,
                                const struct mapping *mapping,
                                struct buf *detail)
{
    const size_t i = mapping->index;
    struct buf sql = {0};

    buf_append_string(&sql, "SELECT ");
    sqlite_append_name(&sql, mapping->columns[mapping->keys[0].column]);
    buf_append_string(&sql, " FROM ");
    sqlite_append_name(&sql, mapping->table);
    buf_append_string(&sql, " WHERE ");
    sqlite_append_name(&sql, mapping->columns[mapping->keys[0].column]);
    buf_append_string(&sql, " >= ?1 ORDER BY ");
    sqlite_append_name(&sql, mapping->columns[mapping->keys[0].column]);
    enum err err = sqlite_prepare(reader->db, buf_string(&sql),
                                  &reader->row_scans[i], detail);
    if (err == ERR_OK) {
        buf_clear(&sql);
        buf_append_string(&sql, "SELECT count(*) FROM ");
        sqlite_append_name(&sql, mapping->table);
        err = sqlite_prepare(reader->db, buf_string(&sql),
                             &reader->row_counts[i], detail);
    }
    buf_destroy(&sql);
    return err;
}

enum err sqlite_scan_prepare(struct engine_reader *reader, struct buf *detail)
{
    const struct mappings *mappings = reader->mappings;

    reader->row_scans = xcalloc(mappings->count, sizeof(*reader->row_scans));
    reader->row_counts = xcalloc(mappings->count, sizeof(*reader->row_counts));
    enum err err = sqlite_prepare(reader->db,
                                  "SELECT id, key, expires_ms "
                                  "FROM bookd_plain "
                                  "WHERE id >= ?1 ORDER BY id",
                                  &reader->plain_scan, detail);
    if (err == ERR_OK) {
        /* The index on expires_ms holds only keys that expire. */
        err = sqlite_prepare(reader->db,
                             "SELECT (SELECT count(*) FROM bookd_plain) - "
                             "(SELECT count(*) FROM bookd_plain "
                             "WHERE expires_ms <= ?1)",
                             &reader->plain_count, detail);
    }
    for (size_t i = 0; i < mappings->count && err == ERR_OK; i++) {
        if (reader->database->misfits[i] == NULL) {
            err = prepare_mapping(reader, &mappings->list[i], detail);
        }
    }
    return err;
}

void sqlite_scan_finalize(struct engine_reader *reader)
{
    for (size_t i = 0; i < reader->mappings->count; i++) {
        if (reader->row_scans != NULL) {
            sqlite3_finalize(reader->row_scans[i]);
            sqlite3_finalize(reader->row_counts[i]);
        }
    }
    sqlite3_finalize(reader->plain_scan);
    sqlite3_finalize(reader->plain_count);
    free(reader->row_scans);
    free(reader->row_counts);
    reader->row_scans = NULL;
    reader->row_counts = NULL;
    reader->plain_scan = NULL;
    reader->plain_count = NULL;
}
