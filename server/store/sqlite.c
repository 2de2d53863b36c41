/* SPDX-License-Identifier: MIT */
/*
 * SQLite as the engine: one connection per thread over one file with a
 * write-ahead log, so that readers and the writer never wait for each other.
 *
 * No connection checkpoints by itself (wal_autocheckpoint is 0): the writer
 * does, between its commits.  SQLite before 3.51.3 can damage a log when a
 * checkpoint on one connection races a commit on another.
 *
 * A reader answers its row while its statement stands on it, then resets it
 * at once: a statement left open would keep the log from being reused.
 */
#include "server/store/sqlite_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/clock.h"
#include "common/mem.h"
#include "server/admin/config.h"

/* How long one call waits for another program's lock.  Readers meet one only
 * while somebody recovers or converts the file; the writer is called again. */
#define BUSY_MS 50

/* The same at start, where another program may be about to let go. */
#define OPEN_BUSY_MS 1000

/* Of a row, and so of each value: room for Redis' 512 MB beside its key, and
 * few enough that a record (lookup/record.h) stays below 4 GB, were every byte
 * one that JSON writes as six. */
#define ROW_BYTES_MAX 600000000

/* Before this version the JSON functions counted as dangerous: a schema that
 * uses one would be refused as a whole, were it not trusted. */
#define JSON_TRUSTED 3041000

/* Pages each connection may keep, in KiB: the upper levels of large tables. */
#define CACHE_KIB "16384"

/* ---- errors ---- */

static enum err translate(int code)
{
    switch (code & 0xff) { /* The primary code. */
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_STORE_LOCKED;
    case SQLITE_CORRUPT:
        return ERR_STORE_CORRUPT;
    case SQLITE_NOTADB:
        return ERR_STORE_FOREIGN;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return ERR_CONSTRAINT;
    case SQLITE_TOOBIG:
        return ERR_TOO_BIG;
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return ERR_PERMISSION;
    default:
        return ERR_STORE_DOWN;
    }
}

enum err sqlite_failed(struct sqlite3 *db, struct buf *detail)
{
    const int code = sqlite3_extended_errcode(db);
    const int system_errno = sqlite3_system_errno(db);
    const int primary = code & 0xff;

    buf_append_string(detail, sqlite3_errmsg(db));
    if (system_errno != 0 &&
        (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN ||
         primary == SQLITE_FULL)) {
        buf_printf(detail, ": %s", strerror(system_errno));
    }
    return translate(code);
}

enum err sqlite_end(struct sqlite3 *db, struct sqlite3_stmt *statement,
                    int code, struct buf *detail)
{
    enum err err = ERR_OK;

    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        err = sqlite_failed(db, detail);
    }
    sqlite3_reset(statement);
    return err;
}

/* ---- connections ---- */

enum err sqlite_run(struct sqlite3 *db, const char *sql, struct buf *detail)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return sqlite_failed(db, detail);
    }
    return ERR_OK;
}

static enum err configure(struct sqlite3 *db, enum sqlite_mode mode,
                          int durability, struct buf *detail)
{
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, mode == CONNECT_OPENER ? OPEN_BUSY_MS : BUSY_MS);
    sqlite3_wal_autocheckpoint(db, 0);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, ROW_BYTES_MAX);
    /* What the file says cannot make us run its code or break it. */
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (sqlite3_libversion_number() >= JSON_TRUSTED) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    }
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    /* "x" is a name, never a string: a typing error is an error. */
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    if (mode == CONNECT_READER) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }

    const char *sql = durability == DURABILITY_FULL
                          ? "PRAGMA synchronous = FULL;"
                            "PRAGMA cache_size = -" CACHE_KIB ";"
                            "PRAGMA secure_delete = FAST;"
                          : "PRAGMA synchronous = NORMAL;"
                            "PRAGMA cache_size = -" CACHE_KIB ";"
                            "PRAGMA secure_delete = FAST;";
    return sqlite_run(db, sql, detail);
}

enum err sqlite_connect(const char *path, enum sqlite_mode mode, int durability,
                        struct sqlite3 **dbp, struct buf *detail)
{
    static const int flags[] = {
        [CONNECT_OPENER] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
        [CONNECT_READER] = SQLITE_OPEN_READONLY,
        [CONNECT_WRITER] = SQLITE_OPEN_READWRITE,
    };
    struct sqlite3 *db = NULL;
    enum err err;

    if (sqlite3_open_v2(path, &db, flags[mode] | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        err = db == NULL ? ERR_NOMEM : sqlite_failed(db, detail);
    } else {
        err = configure(db, mode, durability, detail);
    }
    if (err != ERR_OK) {
        sqlite_disconnect(db);
        db = NULL;
    }
    *dbp = db;
    return err;
}

/* What the text of our statements begins with.  A virtual table has statements
 * of its own in the same connection, and finalizes them itself. */
#define OUR_MARK "/* bookd */ "

/* One that sqlite_prepare() made and nobody has finalized; NULL: none. */
static struct sqlite3_stmt *left_over(struct sqlite3 *db)
{
    struct sqlite3_stmt *statement = sqlite3_next_stmt(db, NULL);

    while (statement != NULL &&
           strncmp(sqlite3_sql(statement), OUR_MARK, strlen(OUR_MARK)) != 0) {
        statement = sqlite3_next_stmt(db, statement);
    }
    return statement;
}

void sqlite_disconnect(struct sqlite3 *db)
{
    struct sqlite3_stmt *statement;

    while (db != NULL && (statement = left_over(db)) != NULL) {
        sqlite3_finalize(statement);
    }
    sqlite3_close_v2(db);
}

/* ---- statements ---- */

enum err sqlite_prepare(struct sqlite3 *db, const char *sql,
                        struct sqlite3_stmt **statement, struct buf *detail)
{
    struct buf text = {0};
    enum err err = ERR_OK;

    buf_append_string(&text, OUR_MARK);
    buf_append_string(&text, sql);
    if (sqlite3_prepare_v3(db, buf_string(&text), -1, SQLITE_PREPARE_PERSISTENT,
                           statement, NULL) != SQLITE_OK) {
        err = sqlite_failed(db, detail);
        /* SQLITE_ERROR: a table or column that is not there. */
        if (err == ERR_STORE_DOWN && sqlite3_errcode(db) == SQLITE_ERROR) {
            err = ERR_STORE_FOREIGN;
        }
    }
    buf_destroy(&text);
    return err;
}

enum err sqlite_execute(struct sqlite3 *db, struct sqlite3_stmt *statement,
                        struct buf *detail)
{
    enum err err = ERR_OK;

    if (statement == NULL) {
        buf_append_string(detail, "there is no connection");
        return ERR_STORE_DOWN;
    }
    if (sqlite3_step(statement) != SQLITE_DONE) {
        err = sqlite_failed(db, detail);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return err;
}

void sqlite_bind_text(struct sqlite3_stmt *statement, int index,
                      struct slice text)
{
    sqlite3_bind_text64(statement, index, text.size == 0 ? "" : text.data,
                        text.size, SQLITE_STATIC, SQLITE_UTF8);
}

void sqlite_bind_blob(struct sqlite3_stmt *statement, int index,
                      struct slice blob)
{
    sqlite3_bind_blob64(statement, index, blob.size == 0 ? "" : blob.data,
                        blob.size, SQLITE_STATIC);
}

void sqlite_append_name(struct buf *sql, const char *name)
{
    buf_append_char(sql, '"');
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '"') {
            buf_append_char(sql, '"');
        }
        buf_append_char(sql, *c);
    }
    buf_append_char(sql, '"');
}

void sqlite_append_select(struct buf *sql, const struct mapping *mapping)
{
    buf_append_string(sql, "SELECT ");
    for (size_t i = 0; i < mapping->n_columns; i++) {
        buf_append_string(sql, i == 0 ? "" : ", ");
        sqlite_append_name(sql, mapping->columns[i]);
    }
    buf_append_string(sql, " FROM ");
    sqlite_append_name(sql, mapping->table);
    sqlite_append_where(sql, mapping, 1);
}

void sqlite_append_where(struct buf *sql, const struct mapping *mapping,
                         int first)
{
    for (size_t i = 0; i < mapping->n_keys; i++) {
        buf_append_string(sql, i == 0 ? " WHERE " : " AND ");
        sqlite_append_name(sql, mapping->columns[mapping->keys[i].column]);
        buf_printf(sql, " = ?%d", first + (int)i);
    }
}

bool sqlite_bind_id(struct sqlite3_stmt *statement, int first,
                    const struct mapping *mapping, struct slice id)
{
    struct slice parts[MAPPING_KEYS_MAX];
    int64_t number;

    if (!mapping_split(mapping, id, parts)) {
        return false;
    }
    for (size_t i = 0; i < mapping->n_keys; i++) {
        const int index = first + (int)i;
        /* A column with another affinity converts what it is compared with. */
        const bool as_it_is =
            mapping->affinities[mapping->keys[i].column] == AFFINITY_ANY;
        if ((mapping->integer_key || as_it_is) &&
            slice_to_int64(parts[i], &number)) {
            sqlite3_bind_int64(statement, index, number);
        } else {
            sqlite_bind_text(statement, index, parts[i]);
        }
    }
    return true;
}

/* ---- rows ---- */

struct store_column sqlite_column(struct sqlite3_stmt *statement, int index)
{
    struct store_column column = {.type = COLUMN_NULL, .bytes = SLICE("")};
    const void *data = NULL;

    switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER:
        column.type = COLUMN_INTEGER;
        data = sqlite3_column_text(statement, index);
        break;
    case SQLITE_FLOAT:
        column.type = COLUMN_REAL;
        data = sqlite3_column_text(statement, index);
        break;
    case SQLITE_TEXT:
        column.type = COLUMN_TEXT;
        data = sqlite3_column_text(statement, index);
        break;
    case SQLITE_BLOB:
        column.type = COLUMN_BLOB;
        data = sqlite3_column_blob(statement, index);
        break;
    default:
        return column;
    }
    /* After the bytes were asked for, as SQLite wants it. */
    const int size = sqlite3_column_bytes(statement, index);
    if (data != NULL) { /* An empty blob is NULL. */
        column.bytes = slice_make(data, (size_t)size);
    }
    return column;
}

struct store_row sqlite_row(struct sqlite3_stmt *statement,
                            const struct mapping *mapping,
                            struct store_column *columns)
{
    const size_t n_columns = mapping == NULL ? 1 : mapping->n_columns;
    char(*reals)[SQLITE_REAL_TEXT] = (void *)(columns + n_columns);

    for (size_t i = 0; i < n_columns; i++) {
        columns[i] = sqlite_column(statement, (int)i);
        if (columns[i].type == COLUMN_REAL) { /* With all of its digits. */
            sqlite_real_text(sqlite3_column_double(statement, (int)i),
                             reals[i]);
            columns[i].bytes = slice_from_string(reals[i]);
        }
    }
    return (struct store_row){.mapping = mapping, .columns = columns};
}

enum err sqlite_row_failed(struct sqlite3 *db, struct buf *detail)
{
    return sqlite3_errcode(db) == SQLITE_NOMEM ? sqlite_failed(db, detail)
                                               : ERR_OK;
}

/* Is what stands in a column of the key 'part' of an id?  Only integers and
 * text are.  Where a column keeps both apart, digits mean the integer. */
static bool column_is(const struct store_column *column,
                      enum column_affinity affinity, struct slice part)
{
    int64_t number;

    if (!slice_equal(column->bytes, part)) {
        return false;
    }
    return column->type == COLUMN_INTEGER ||
           (column->type == COLUMN_TEXT &&
            (affinity != AFFINITY_ANY || !slice_to_int64(part, &number)));
}

bool sqlite_row_is(const struct mapping *mapping,
                   const struct store_column *columns, struct slice id)
{
    struct slice parts[MAPPING_KEYS_MAX];

    if (!mapping_split(mapping, id, parts)) {
        return false;
    }
    for (size_t i = 0; i < mapping->n_keys; i++) {
        const size_t index = mapping->keys[i].column;
        if (!column_is(&columns[index], mapping->affinities[index], parts[i])) {
            return false;
        }
    }
    return true;
}

struct store_column *sqlite_columns_new(const struct mappings *mappings)
{
    return xcalloc(sqlite_widest(mappings),
                   sizeof(struct store_column) + SQLITE_REAL_TEXT);
}

size_t sqlite_widest(const struct mappings *mappings)
{
    size_t widest = 1; /* A plain key. */

    for (size_t i = 0; i < mappings->count; i++) {
        if (mappings->list[i].n_columns > widest) {
            widest = mappings->list[i].n_columns;
        }
    }
    return widest;
}

/* ---- point reads ---- */

static enum err prepare_reads(struct engine_reader *reader, struct buf *detail)
{
    static const char plain[] =
        "SELECT value, expires_ms, type FROM bookd_plain "
        "WHERE key = ?1 "
        "AND (expires_ms IS NULL OR expires_ms > ?2)";
    struct buf sql = {0};
    enum err err = sqlite_table_exists(reader->db, "bookd_plain",
                                       &reader->has_plain, detail);

    if (err == ERR_OK && reader->has_plain) {
        err = sqlite_prepare(reader->db, plain, &reader->plain, detail);
    }
    if (err == ERR_OK) {
        err = sqlite_prepare(reader->db, "BEGIN", &reader->begin, detail);
    }
    if (err == ERR_OK) {
        err = sqlite_prepare(reader->db, "COMMIT", &reader->end, detail);
    }
    for (size_t i = 0; i < reader->mappings->count && err == ERR_OK; i++) {
        if (reader->database->misfits[i] != NULL) {
            continue;
        }
        buf_clear(&sql);
        sqlite_append_select(&sql, &reader->mappings->list[i]);
        err = sqlite_prepare(reader->db, buf_string(&sql), &reader->rows[i],
                             detail);
    }
    buf_destroy(&sql);
    return err;
}

enum err sqlite_reader_connect(struct engine_reader *reader, struct buf *detail)
{
    const struct engine_database *database = reader->database;
    struct buf reason = {0};
    enum err err = sqlite_connect(database->path, CONNECT_READER,
                                  database->durability, &reader->db, &reason);

    if (err == ERR_OK) {
        err = prepare_reads(reader, &reason);
    }
    if (err == ERR_OK) {
        err = sqlite_scan_prepare(reader, &reason);
    }
    if (err != ERR_OK) {
        sqlite_explain(database->path, err, &reason, detail);
        sqlite_reader_disconnect(reader);
    }
    buf_destroy(&reason);
    return err;
}

void sqlite_reader_disconnect(struct engine_reader *reader)
{
    sqlite_scan_finalize(reader);
    for (size_t i = 0; i < reader->mappings->count; i++) {
        sqlite3_finalize(reader->rows[i]);
        reader->rows[i] = NULL;
    }
    sqlite_disconnect(reader->db); /* With the other statements. */
    reader->db = NULL;
}

static void reader_close(struct engine_reader *reader)
{
    sqlite_gate_part(reader);
    sqlite_reader_disconnect(reader);
    free(reader->rows);
    free(reader->columns);
    buf_destroy(&reader->key);
    buf_destroy(&reader->place);
    free(reader);
}

static enum err reader_open(struct engine_database *database,
                            struct engine_reader **readerp, struct buf *detail)
{
    const struct mappings *mappings = database->mappings;
    struct engine_reader *reader = xmalloc(sizeof(*reader));

    *reader = (struct engine_reader){
        .database = database,
        .mappings = mappings,
        .rows = xcalloc(mappings->count, sizeof(*reader->rows)),
        .columns = sqlite_columns_new(mappings),
    };
    const enum err err = sqlite_reader_connect(reader, detail);
    if (err == ERR_OK) {
        sqlite_gate_join(database, reader);
        *readerp = reader;
    } else {
        reader_close(reader);
    }
    return err;
}

/* SQLite takes the snapshot with the first read that follows. */
static enum err begin_read(struct engine_reader *reader, struct buf *detail)
{
    enum err err = sqlite_gate_enter(reader, detail);

    if (err != ERR_OK) {
        return err;
    }
    err = sqlite_execute(reader->db, reader->begin, detail);
    reader->in_transaction = err == ERR_OK;
    if (err != ERR_OK) {
        sqlite_gate_leave(reader);
    }
    return err;
}

static void end_read(struct engine_reader *reader)
{
    sqlite3_step(reader->end); /* Fails if an error has ended it already. */
    sqlite3_reset(reader->end);
    reader->in_transaction = false;
    sqlite_gate_leave(reader);
}

/* The statement for 'read', bound; NULL if no row can have that id. */
static struct sqlite3_stmt *bind_read(struct engine_reader *reader,
                                      const struct store_read *read)
{
    if (read->mapping == NULL && !reader->has_plain) {
        return NULL;
    }
    if (read->mapping == NULL) {
        sqlite_bind_blob(reader->plain, 1, read->key);
        sqlite3_bind_int64(reader->plain, 2, clock_wall_ms());
        return reader->plain;
    }
    struct sqlite3_stmt *statement = reader->rows[read->mapping->index];
    return sqlite_bind_id(statement, 1, read->mapping, read->key) ? statement
                                                                  : NULL;
}

static enum err read_failed(struct engine_reader *reader, struct buf *detail)
{
    const enum err err = sqlite_failed(reader->db, detail);

    switch (sqlite3_errcode(reader->db) & 0xff) {
    case SQLITE_IOERR: /* Another try may succeed. */
        return ERR_IO;
    case SQLITE_ERROR: /* A table or column that is not there any more. */
        return ERR_STORE_MAPPING;
    default:
        return err;
    }
}

/* The row that 'statement' stands on, to whom it concerns: '*found' is set if
 * it answers to the key. */
static enum err give_row(struct engine_reader *reader, struct store_read *read,
                         struct sqlite3_stmt *statement, bool *found,
                         struct buf *detail)
{
    struct store_row row =
        sqlite_row(statement, read->mapping, reader->columns);
    const enum err err = sqlite_row_failed(reader->db, detail);

    if (err != ERR_OK) {
        return err;
    }
    if (read->mapping == NULL) {
        row.expires_ms = sqlite3_column_int64(statement, 1);
        row.type = sqlite_plain_type(statement, 2);
        *found = true;
    } else {
        *found = sqlite_row_is(read->mapping, row.columns, read->key);
    }
    if (*found) {
        read->row(read, &row);
    }
    return ERR_OK;
}

static enum err read_row(struct engine_reader *reader, struct store_read *read,
                         struct buf *detail)
{
    bool found = false;
    int code = SQLITE_ROW;
    enum err err = sqlite_check_fit(reader->database, read->mapping, detail);

    if (err != ERR_OK) {
        return err;
    }
    struct sqlite3_stmt *statement = bind_read(reader, read);
    if (statement == NULL) {
        return ERR_OK;
    }
    while (err == ERR_OK && !found &&
           (code = sqlite3_step(statement)) == SQLITE_ROW) {
        err = give_row(reader, read, statement, &found, detail);
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        err = read_failed(reader, detail);
    }
    sqlite3_reset(statement);
    return err;
}

/* ---- through the gate ---- */

static enum err read_one(struct engine_reader *reader, struct store_read *read,
                         struct buf *detail)
{
    if (reader->in_transaction) {
        return read_row(reader, read, detail);
    }
    enum err err = sqlite_gate_enter(reader, detail);
    if (err == ERR_OK) {
        err = read_row(reader, read, detail);
        sqlite_gate_leave(reader);
    }
    return err;
}

static enum err scan(struct engine_reader *reader, struct store_walk *walk,
                     size_t count, struct buf *detail)
{
    enum err err = sqlite_gate_enter(reader, detail);

    if (err == ERR_OK) {
        err = sqlite_scan(reader, walk, count, detail);
        sqlite_gate_leave(reader);
    }
    return err;
}

static enum err count(struct engine_reader *reader, struct store_walk *walk,
                      struct buf *detail)
{
    enum err err = sqlite_gate_enter(reader, detail);

    if (err == ERR_OK) {
        err = sqlite_count(reader, walk, detail);
        sqlite_gate_leave(reader);
    }
    return err;
}

static enum err keyspace(struct engine_reader *reader, struct store_walk *walk,
                         struct buf *detail)
{
    enum err err = sqlite_gate_enter(reader, detail);

    if (err == ERR_OK) {
        err = sqlite_keyspace(reader, walk, detail);
        sqlite_gate_leave(reader);
    }
    return err;
}

static enum err random_key(struct engine_reader *reader,
                           struct store_walk *walk, struct buf *detail)
{
    enum err err = sqlite_gate_enter(reader, detail);

    if (err == ERR_OK) {
        err = sqlite_random(reader, walk, detail);
        sqlite_gate_leave(reader);
    }
    return err;
}

static uint64_t era(const struct engine_writer *writer)
{
    return writer->database->era;
}

const struct engine engine_sqlite = {
    .scheme = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .maintain = sqlite_maintain,
    .reader_open = reader_open,
    .reader_close = reader_close,
    .begin_read = begin_read,
    .end_read = end_read,
    .read = read_one,
    .scan = scan,
    .count = count,
    .keyspace = keyspace,
    .random = random_key,
    .writer_open = sqlite_writer_open,
    .writer_close = sqlite_writer_close,
    .begin = sqlite_begin,
    .foreign_commit = sqlite_foreign_commit,
    .era = era,
    .apply = sqlite_apply,
    .begin_group = sqlite_begin_group,
    .end_group = sqlite_end_group,
    .commit = sqlite_commit,
    .effects = sqlite_effects,
    .rollback = sqlite_rollback,
    .checkpoint_due = sqlite_checkpoint_due,
    .tidy = sqlite_tidy,
    .checkpoint = sqlite_checkpoint,
    .log_ready = sqlite_log_ready,
    .log_append = sqlite_log_append,
    .log_trim = sqlite_log_trim,
    .log_read = sqlite_log_read,
    .log_find = sqlite_log_find,
    .log_put = sqlite_log_put,
    .letter_put = sqlite_letter_put,
    .letter_drop = sqlite_letter_drop,
    .letters_read = sqlite_letters_read,
    .describe = sqlite_describe,
    .watch_open = sqlite_watch_open,
    .watch_close = sqlite_watch_close,
    .watch_look = sqlite_watch_look,
    .watch_descriptor = sqlite_watch_descriptor,
    .watch_covers = sqlite_watch_covers,
};
