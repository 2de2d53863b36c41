/* SPDX-License-Identifier: MIT */
/*
 * Walks: the tables one after the other, plain keys first, each in an order in
 * which a row keeps its place while it lives.  So each key that is there
 * throughout is met, and met once.
 *
 *     tables with rowids        in the order of these; an INTEGER PRIMARY KEY is
 *                               one, others may change with VACUUM
 *     WITHOUT ROWID and views   in the order of their keys
 *     plain keys                in the order of their ids; if there are some of
 *                               other databases than 0, in the order of the keys
 *                               of the database, so that others cost nothing
 *
 * A cursor is a place: a table and the least rowid to look at there,
 *
 *     cursor = 1 + table + n_tables * zigzag(rowid)
 *
 * with zigzag() folding the negative numbers in between the others: 0, -1, 1,
 * -2 …  Plain keys count as two tables, one for each of their orders; so with
 * one mapping, three tables, all rowids up to 2^60 have a cursor.  A
 * page never ends at one that has none: it goes on to the next that has, or to
 * the end of the table.  Every number is a cursor of some place, so whatever
 * clients send is harmless.
 *
 * In place of a rowid, tables in the order of keys have the number under which
 * the last key is remembered (sqlite_places.c).
 *
 * A row whose columns make no key, or one that does not name it (mapping.h), is
 * not met.
 */
#include "server/store/sqlite_internal.h"

#include <stdlib.h>

#include <sqlite3.h>

#include "common/clock.h"
#include "common/mem.h"
#include "server/store/plain_key.h"

/* A page does not end at a longer key, as we would have to remember it. */
#define KEY_REMEMBERED_MAX 4096

/* ---- cursors ---- */

struct place {
    size_t table; /* 0: plain keys; 1 + index of a mapping; behind the last one
                     plain keys in their order. */
    int64_t at;   /* The first rowid to look at; or where to go on from, in the
                     order of keys. */
};

/* Where a table begins. */
#define AT_FIRST INT64_MIN

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
    const uint64_t folded = zigzag(place.at);

    return folded > ((uint64_t)INT64_MAX - n_tables) / n_tables
               ? 0
               : 1 + place.table + n_tables * folded;
}

static struct place cursor_to_place(uint64_t cursor, size_t n_tables)
{
    if (cursor == 0) {
        return (struct place){.table = 0, .at = AT_FIRST};
    }
    return (struct place){
        .table = (cursor - 1) % n_tables,
        .at = unzigzag((cursor - 1) / n_tables),
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

static size_t n_tables_of(const struct engine_reader *reader)
{
    return reader->mappings->count + 2;
}

/* The number of plain keys in their order. */
static size_t plain_by_key(const struct engine_reader *reader)
{
    return n_tables_of(reader) - 1;
}

static void give_plain_key(struct page *page, struct sqlite3_stmt *statement)
{
    const void *data = sqlite3_column_blob(statement, 1);
    const size_t size = (size_t)sqlite3_column_bytes(statement, 1);
    const int64_t expires_ms = sqlite3_column_type(statement, 2) == SQLITE_NULL
                                   ? INT64_MAX
                                   : sqlite3_column_int64(statement, 2);

    const struct slice key = slice_make(size == 0 ? "" : data, size);

    page->walk->type = sqlite_plain_type(statement, 3);
    if (expires_ms > page->now_ms &&
        plain_key_database(key) == page->walk->database) {
        page->walk->key(page->walk, key);
    }
}

bool sqlite_take_row_key(struct engine_reader *reader,
                         const struct mapping *mapping,
                         struct sqlite3_stmt *statement, int first)
{
    struct slice parts[MAPPING_KEYS_MAX];

    for (size_t i = 0; i < mapping->n_keys; i++) {
        const struct store_column column =
            sqlite_column(statement, first + (int)i);
        reader->columns[mapping->keys[i].column] = column;
        parts[i] = column.bytes;
    }
    buf_clear(&reader->key);
    buf_append_slice(&reader->key, mapping->prefix);
    mapping_join(mapping, parts, &reader->key);
    const struct slice key = buf_slice(&reader->key);
    return sqlite_row_is(mapping, reader->columns,
                         slice_make(key.data + mapping->prefix.size,
                                    key.size - mapping->prefix.size));
}

static void give_row_key(struct page *page, const struct mapping *mapping,
                         struct sqlite3_stmt *statement, int first)
{
    if (sqlite_take_row_key(page->reader, mapping, statement, first)) {
        page->walk->key(page->walk, buf_slice(&page->reader->key));
    }
}

/* Looks at the rows of place.table from rowid place.at on. */
static enum err scan_by_rowid(struct page *page, struct place place,
                              struct sqlite3_stmt *statement,
                              struct buf *detail)
{
    int code;

    sqlite3_bind_int64(statement, 1, place.at);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        place.at = sqlite3_column_int64(statement, 0);
        if (page->left == 0) {
            page->cursor = place_to_cursor(place, n_tables_of(page->reader));
            if (page->cursor != 0) {
                break;
            }
        }
        page->left -= page->left > 0 ? 1 : 0;
        if (place.table == 0) {
            give_plain_key(page, statement);
        } else {
            give_row_key(page, &page->reader->mappings->list[place.table - 1],
                         statement, 1);
        }
    }
    return sqlite_end(page->reader->db, statement, code, detail);
}

/* The statement that goes on where place.at says, bound; '*resumed' is false if
 * that is the first key. */
static struct sqlite3_stmt *bind_key_scan(struct engine_reader *reader,
                                          const struct mapping *mapping,
                                          int64_t at, bool *resumed)
{
    const struct sqlite_row_scan *scan = &reader->row_scans[mapping->index];

    buf_clear(&reader->place);
    *resumed =
        at > 0 &&
        sqlite_places_get(reader->database->places, (uint64_t)at,
                          &reader->place) &&
        sqlite_bind_id(scan->next, 1, mapping, buf_slice(&reader->place));
    return *resumed ? scan->next : scan->first;
}

/* A walk in the order of keys. */
struct key_walk {
    uint64_t before; /* The number of the place it went on from, or 0. */
    struct buf last; /* The id that was given last, … */
    bool any;        /* … if there was one. */
};

/* The cursor of the place between the last key and the next; 0 if a page
 * cannot end here. */
static uint64_t end_between(struct page *page, size_t table,
                            const struct key_walk *at)
{
    struct place place = {.table = table};

    if (at->any && at->last.size <= KEY_REMEMBERED_MAX) {
        place.at = (int64_t)sqlite_places_put(page->reader->database->places,
                                              buf_slice(&at->last), at->before);
    } else if (at->any || at->before != 0) {
        return 0;
    }
    return place_to_cursor(place, n_tables_of(page->reader));
}

/* Looks at the rows of place.table behind the key that place.at stands for. */
static enum err scan_by_key(struct page *page, struct place place,
                            struct buf *detail)
{
    struct engine_reader *reader = page->reader;
    const struct mapping *mapping = &reader->mappings->list[place.table - 1];
    struct key_walk at = {.any = false};
    bool resumed;
    int code;
    struct sqlite3_stmt *statement =
        bind_key_scan(reader, mapping, place.at, &resumed);

    at.before = resumed ? (uint64_t)place.at : 0;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!sqlite_take_row_key(reader, mapping, statement, 0)) {
            continue;
        }
        if (page->left == 0) {
            page->cursor = end_between(page, place.table, &at);
            if (page->cursor != 0) {
                break;
            }
        }
        page->left -= page->left > 0 ? 1 : 0;
        const struct slice key = buf_slice(&reader->key);
        buf_clear(&at.last);
        buf_append(&at.last, key.data + mapping->prefix.size,
                   key.size - mapping->prefix.size);
        at.any = true;
        page->walk->key(page->walk, key);
    }
    if (code == SQLITE_DONE) {
        sqlite_places_end(reader->database->places, at.before);
    }
    buf_destroy(&at.last);
    return sqlite_end(page->reader->db, statement, code, detail);
}

/* Where plain keys in their order go on, in page->reader->place; what the walk
 * remembered is the last key that was looked at. */
static uint64_t bind_plain_scan(struct page *page, int64_t at)
{
    struct engine_reader *reader = page->reader;
    const char prefix[] = {'\0', (char)page->walk->database};

    buf_clear(&reader->place);
    if (at > 0 && sqlite_places_get(reader->database->places, (uint64_t)at,
                                    &reader->place)) {
        buf_append_char(&reader->place, '\0'); /* The least key behind it. */
        return (uint64_t)at;
    }
    if (page->walk->database != 0) {
        buf_append(&reader->place, prefix, sizeof prefix);
    }
    return 0;
}

/* Looks at the keys of the database from reader->place on, as far as they stand
 * together.  '*at' goes on with them; '*ended' if no others follow. */
static enum err scan_plain_range(struct page *page, struct slice from,
                                 struct key_walk *at, bool *ended,
                                 struct buf *detail)
{
    struct sqlite3_stmt *statement = page->reader->plain_by_key;
    int code;

    sqlite_bind_blob(statement, 1, from);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const struct slice key = sqlite_column(statement, 1).bytes;
        if (plain_key_database(key) != page->walk->database) {
            break;
        }
        if (page->left == 0) {
            page->cursor = end_between(page, plain_by_key(page->reader), at);
            if (page->cursor != 0) {
                break;
            }
        }
        page->left -= page->left > 0 ? 1 : 0;
        buf_clear(&at->last);
        buf_append_slice(&at->last, key);
        at->any = true;
        give_plain_key(page, statement);
    }
    *ended = code == SQLITE_DONE;
    return sqlite_end(page->reader->db, statement, code, detail);
}

static enum err scan_plain_by_key(struct page *page, struct place place,
                                  struct buf *detail)
{
    struct engine_reader *reader = page->reader;
    struct key_walk at = {.before = bind_plain_scan(page, place.at)};
    struct slice from = buf_slice(&reader->place);
    bool ended;
    enum err err;

    do {
        err = scan_plain_range(page, from, &at, &ended, detail);
    } while (err == ERR_OK && page->cursor == 0 && !ended &&
             sqlite_next_range(page->walk->database, &from));
    if (err == ERR_OK && page->cursor == 0) {
        sqlite_places_end(reader->database->places, at.before);
    }
    buf_destroy(&at.last);
    return err;
}

static enum err scan_plain(struct page *page, struct place place,
                           struct buf *detail)
{
    struct engine_reader *reader = page->reader;
    bool by_key = place.table != 0 || page->walk->database != 0;
    enum err err = ERR_OK;

    if (!reader->has_plain || page->walk->records_only) {
        return ERR_OK;
    }
    if (!by_key && place.at == AT_FIRST) { /* A walk stays as it began. */
        err = sqlite_has_databases(reader, &by_key, detail);
    }
    if (err != ERR_OK) {
        return err;
    }
    return by_key ? scan_plain_by_key(page, place, detail)
                  : scan_by_rowid(page, place, reader->plain_scan, detail);
}

static enum err scan_table(struct page *page, struct place place,
                           struct buf *detail)
{
    struct engine_reader *reader = page->reader;

    if (place.table == 0 || place.table == plain_by_key(reader)) {
        return scan_plain(page, place, detail);
    }
    const struct mapping *mapping = &reader->mappings->list[place.table - 1];
    const enum err err = sqlite_check_fit(reader->database, mapping, detail);
    if (err != ERR_OK) {
        return err;
    }
    struct sqlite3_stmt *by_rowid = reader->row_scans[mapping->index].by_rowid;
    return by_rowid != NULL ? scan_by_rowid(page, place, by_rowid, detail)
                            : scan_by_key(page, place, detail);
}

/* ---- the engine's scan and count ---- */

/* Where 'walk' goes on behind a table; false if it does not. */
static bool next_table(const struct engine_reader *reader,
                       const struct store_walk *walk, size_t *table)
{
    const bool was_plain = *table == 0 || *table == plain_by_key(reader);

    if (walk->plain_only || walk->only != NULL) {
        return false;
    }
    *table = was_plain ? 1 : *table + 1;
    return *table < plain_by_key(reader);
}

enum err sqlite_scan(struct engine_reader *reader, struct store_walk *walk,
                     size_t count, struct buf *detail)
{
    struct place place = cursor_to_place(walk->cursor, n_tables_of(reader));
    struct page page = {
        .reader = reader,
        .walk = walk,
        .left = count,
        .now_ms = clock_wall_ms(),
    };
    const bool is_plain =
        place.table == 0 || place.table == plain_by_key(reader);
    enum err err;

    if (walk->only != NULL && place.table != walk->only->index + 1) {
        place = (struct place){.table = walk->only->index + 1, .at = AT_FIRST};
    } else if (walk->plain_only && !is_plain) {
        walk->cursor = 0; /* It cannot come from such a walk. */
        return ERR_OK;
    }
    do {
        err = scan_table(&page, place, detail);
        place.at = AT_FIRST;
    } while (err == ERR_OK && page.cursor == 0 &&
             next_table(reader, walk, &place.table));
    walk->cursor = page.cursor;
    return err;
}

enum err sqlite_count_rows(struct engine_reader *reader,
                           const struct mapping *mapping, int64_t *n_keys,
                           struct buf *detail)
{
    enum err err = sqlite_check_fit(reader->database, mapping, detail);

    if (err != ERR_OK) {
        return err;
    }
    struct sqlite3_stmt *statement = reader->row_scans[mapping->index].count;
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
    const struct mappings *mappings = reader->mappings;
    enum err err = ERR_OK;

    walk->n_keys = 0;
    if (walk->only == NULL && !walk->records_only) {
        err = sqlite_count_plain(reader, walk->database, &walk->n_keys, detail);
    }
    for (size_t i = 0;
         i < mappings->count && err == ERR_OK && !walk->plain_only; i++) {
        if (walk->only == NULL || walk->only->index == i) {
            err = sqlite_count_rows(reader, &mappings->list[i], &walk->n_keys,
                                    detail);
        }
    }
    return err;
}

/* ---- the texts of statements ---- */

static void append_key_columns(struct buf *sql, const struct mapping *mapping,
                               bool by_bytes)
{
    for (size_t i = 0; i < mapping->n_keys; i++) {
        buf_append_string(sql, i == 0 ? "" : ", ");
        sqlite_append_name(sql, mapping->columns[mapping->keys[i].column]);
        buf_append_string(sql, by_bytes ? " COLLATE BINARY" : "");
    }
}

/* "SELECT rowid, "region", "no" FROM "orders" WHERE rowid >= ?1 ORDER BY
 * rowid" */
static void append_rowid_scan(struct buf *sql, const struct mapping *mapping,
                              const char *rowid)
{
    buf_printf(sql, "SELECT %s, ", rowid);
    append_key_columns(sql, mapping, false);
    buf_append_string(sql, " FROM ");
    sqlite_append_name(sql, mapping->table);
    buf_printf(sql, " WHERE %s >= ?1 ORDER BY %s", rowid, rowid);
}

/* "SELECT "region", "no" FROM "orders" WHERE ("region", "no") > (?1, ?2) ORDER
 * BY "region", "no"".  In a view, rows may have keys that a collation takes for
 * the same. */
static void append_key_scan(struct buf *sql, const struct mapping *mapping,
                            bool is_first)
{
    buf_append_string(sql, "SELECT ");
    append_key_columns(sql, mapping, false);
    buf_append_string(sql, " FROM ");
    sqlite_append_name(sql, mapping->table);
    for (size_t i = 0; i < mapping->n_keys && !is_first; i++) {
        buf_append_string(sql, i == 0 ? " WHERE (" : "");
        if (i + 1 == mapping->n_keys) {
            append_key_columns(sql, mapping, mapping->is_view);
            buf_append_string(sql, ") > (");
        }
    }
    for (size_t i = 0; i < mapping->n_keys && !is_first; i++) {
        buf_printf(sql, "%s?%zu", i == 0 ? "" : ", ", i + 1);
    }
    buf_append_string(sql, is_first ? " ORDER BY " : ") ORDER BY ");
    append_key_columns(sql, mapping, mapping->is_view);
}

/* What a column of the key must be for the row to have one (mapping_split(),
 * sqlite_row_is()): an integer or text; … */
static void append_has_value(struct buf *sql, const struct mapping *mapping,
                             size_t key)
{
    const size_t column = mapping->keys[key].column;
    struct buf name = {0};

    sqlite_append_name(&name, mapping->columns[column]);
    const char *k = buf_string(&name);
    buf_printf(sql, "typeof(%s) IN ('integer', 'text')", k);
    switch (mapping->affinities[column]) {
    case AFFINITY_TEXT:
        break;
    case AFFINITY_ANY:
        buf_printf(sql,
                   " AND (typeof(%s) = 'integer' OR "
                   "%s <> CAST(CAST(%s AS INTEGER) AS TEXT))",
                   k, k, k);
        break;
    default:
        buf_printf(sql, " AND %s <> ''", k);
        break;
    }
    buf_destroy(&name);
}

/* … and without the text that ends it in the key. */
static void append_ends(struct buf *sql, const struct mapping *mapping,
                        size_t key)
{
    static const char digits[] = "0123456789abcdef";
    const struct slice after = mapping->keys[key].after;
    struct buf name = {0};
    struct buf blob = {0};

    sqlite_append_name(&name, mapping->columns[mapping->keys[key].column]);
    buf_append_string(&blob, "x'");
    for (size_t i = 0; i < after.size; i++) {
        buf_append_char(&blob, digits[(unsigned char)after.data[i] >> 4]);
        buf_append_char(&blob, digits[(unsigned char)after.data[i] & 15]);
    }
    buf_append_char(&blob, '\'');
    buf_printf(sql,
               " AND instr(CAST(%s || CAST(%s AS TEXT) AS BLOB), %s) = "
               "length(CAST(%s AS BLOB)) + 1",
               buf_string(&name), buf_string(&blob), buf_string(&blob),
               buf_string(&name));
    buf_destroy(&name);
    buf_destroy(&blob);
}

static void append_count(struct buf *sql, const struct mapping *mapping,
                         bool all_have_keys)
{
    buf_append_string(sql, "SELECT count(*) FROM ");
    sqlite_append_name(sql, mapping->table);
    for (size_t i = 0; i < mapping->n_keys && !all_have_keys; i++) {
        buf_append_string(sql, i == 0 ? " WHERE " : " AND ");
        append_has_value(sql, mapping, i);
        if (i + 1 < mapping->n_keys) {
            append_ends(sql, mapping, i);
        }
    }
}

/* ---- statements ---- */

const char *sqlite_name_of_rowid(struct sqlite3 *db,
                                 const struct mapping *mapping)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};

    for (size_t i = 0; i < ARRAY_LEN(names) && !mapping->is_view; i++) {
        struct sqlite3_stmt *statement = NULL;
        struct buf sql = {0};
        const char *type = NULL;
        int pk = 0;
        /* The same for a column of that name, which is only right if it is the
         * rowid, and for the rowid itself. */
        const bool is_column = sqlite3_table_column_metadata(
                                   db, "main", mapping->table, names[i], &type,
                                   NULL, NULL, &pk, NULL) == SQLITE_OK;
        buf_printf(&sql, "SELECT %s FROM ", names[i]);
        sqlite_append_name(&sql, mapping->table);
        const bool usable =
            (!is_column ||
             (pk == 1 && sqlite3_stricmp(type, "INTEGER") == 0)) &&
            sqlite3_prepare_v2(db, buf_string(&sql), -1, &statement, NULL) ==
                SQLITE_OK;
        sqlite3_finalize(statement);
        buf_destroy(&sql);
        if (usable) {
            return names[i];
        }
    }
    return NULL;
}

/* True if no row can be without a key: integers that are never NULL. */
static bool all_have_keys(struct sqlite3 *db, const struct mapping *mapping)
{
    int not_null = 0;
    int in_pk = 0;

    return mapping->integer_key &&
           sqlite3_table_column_metadata(
               db, "main", mapping->table,
               mapping->columns[mapping->keys[0].column], NULL, NULL, &not_null,
               &in_pk, NULL) == SQLITE_OK &&
           (not_null != 0 || in_pk != 0);
}

static enum err prepare_mapping(struct engine_reader *reader,
                                const struct mapping *mapping,
                                struct buf *detail)
{
    struct sqlite_row_scan *scan = &reader->row_scans[mapping->index];
    const char *rowid = sqlite_name_of_rowid(reader->db, mapping);
    struct buf sql = {0};
    enum err err = ERR_OK;

    if (rowid != NULL) {
        append_rowid_scan(&sql, mapping, rowid);
        err = sqlite_prepare(reader->db, buf_string(&sql), &scan->by_rowid,
                             detail);
    } else {
        append_key_scan(&sql, mapping, true);
        err =
            sqlite_prepare(reader->db, buf_string(&sql), &scan->first, detail);
        buf_clear(&sql);
        append_key_scan(&sql, mapping, false);
        if (err == ERR_OK) {
            err = sqlite_prepare(reader->db, buf_string(&sql), &scan->next,
                                 detail);
        }
    }
    buf_clear(&sql);
    append_count(&sql, mapping, all_have_keys(reader->db, mapping));
    if (err == ERR_OK) {
        err =
            sqlite_prepare(reader->db, buf_string(&sql), &scan->count, detail);
    }
    buf_destroy(&sql);
    return err;
}

static enum err prepare_plain(struct engine_reader *reader, struct buf *detail)
{
    const enum err err = sqlite_prepare(reader->db,
                                        "SELECT id, key, expires_ms, type "
                                        "FROM bookd_plain "
                                        "WHERE id >= ?1 ORDER BY id",
                                        &reader->plain_scan, detail);

    return err == ERR_OK ? sqlite_keyspace_prepare(reader, detail) : err;
}

enum err sqlite_scan_prepare(struct engine_reader *reader, struct buf *detail)
{
    const struct mappings *mappings = reader->mappings;
    enum err err = ERR_OK;

    reader->row_scans = xcalloc(mappings->count, sizeof(*reader->row_scans));
    if (reader->has_plain) {
        err = prepare_plain(reader, detail);
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
    for (size_t i = 0; reader->row_scans != NULL && i < reader->mappings->count;
         i++) {
        struct sqlite_row_scan *scan = &reader->row_scans[i];
        sqlite3_finalize(scan->by_rowid);
        sqlite3_finalize(scan->first);
        sqlite3_finalize(scan->next);
        sqlite3_finalize(scan->count);
    }
    sqlite3_finalize(reader->plain_scan);
    sqlite_keyspace_finalize(reader);
    free(reader->row_scans);
    reader->row_scans = NULL;
    reader->plain_scan = NULL;
}
