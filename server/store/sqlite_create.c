/* SPDX-License-Identifier: MIT */
/*
 * bookd's own tables: made in a file of its own, brought up to date there, and
 * in a file of somebody else only on request.
 *
 * A file is bookd's own if it has the table bookd_meta with a schema version:
 *
 *     1   bookd_plain, books
 *     2   and the log of plain keys, dead letters, the change feed of books
 *     3   and the type of plain keys, and their database
 *
 * All of this runs in a transaction of the caller's, so that a crash leaves
 * all of it or none.
 */
#include "server/store/sqlite_internal.h"

#include <sqlite3.h>

/* Makes file(1) show whose file it is: "book" in ASCII. */
#define APPLICATION_ID "0x626f6f6b"

/* The ids of bookd_plain are what cursors of walks speak of; declared, so that
 * VACUUM leaves them alone. */
#define PLAIN_TABLE                                          \
    "CREATE TABLE bookd_plain("                              \
    "    id INTEGER PRIMARY KEY,"                            \
    "    key BLOB NOT NULL UNIQUE,"                          \
    "    value BLOB NOT NULL,"                               \
    "    expires_ms INTEGER," /* Wall clock; NULL: never. */ \
    "    type TEXT"           /* 'hash'; NULL: a string. */  \
    ")"

#define PLAIN_INDEX                                               \
    "CREATE INDEX bookd_plain_expires ON bookd_plain(expires_ms)" \
    "    WHERE expires_ms IS NOT NULL;"

/* STRICT: a column holds what it was declared to. */
static const char version_1_sql[] =
    "PRAGMA application_id = " APPLICATION_ID ";"
    "CREATE TABLE bookd_meta("
    "    name TEXT PRIMARY KEY,"
    "    value TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID;" PLAIN_TABLE " STRICT;" PLAIN_INDEX
    "CREATE TABLE books("
    "    id INTEGER PRIMARY KEY,"
    "    title TEXT NOT NULL,"
    "    author TEXT,"
    "    year INTEGER"
    ") STRICT;"
    "INSERT INTO bookd_meta(name, value) VALUES('schema_version', '1');";

static const char version_2_sql[] =
    "CREATE TABLE IF NOT EXISTS bookd_log("
    "    seq INTEGER PRIMARY KEY,"
    "    writes BLOB NOT NULL"
    ") STRICT;"
    "CREATE TABLE IF NOT EXISTS bookd_deadletter("
    "    id INTEGER PRIMARY KEY,"
    "    time_ms INTEGER NOT NULL,"
    "    key BLOB NOT NULL,"
    "    op TEXT NOT NULL,"
    "    write BLOB NOT NULL,"
    "    error TEXT NOT NULL"
    ") STRICT;";

/* And keys that begin with a NUL, which says the database since (plain_key.h).
 * In two steps, as one may become what another is. */
static const char plain_3_sql[] =
    "ALTER TABLE bookd_plain ADD COLUMN type TEXT;"
    "CREATE TEMP TABLE bookd_moved AS"
    "    SELECT CAST(x'0000' || key AS BLOB) AS key, value, expires_ms"
    "    FROM bookd_plain WHERE key >= x'00' AND key < x'01';"
    "DELETE FROM bookd_plain WHERE key >= x'00' AND key < x'01';"
    "INSERT INTO bookd_plain(key, value, expires_ms)"
    "    SELECT key, value, expires_ms FROM bookd_moved;"
    "DROP TABLE bookd_moved;";

static const char version_3_sql[] =
    "UPDATE bookd_meta SET value = '3' WHERE name = 'schema_version';";

static const struct {
    int id;
    const char *title;
    const char *author;
    int year;
} seeds[] = {
#define BOOK(id, title, author, year) {id, title, author, year},
#include "server/store/seed.def"
#undef BOOK
};

/* ---- what is in a file ---- */

/* The integer in the first column of the first row of 'sql'; false if there is
 * no row. */
static enum err query_number(struct sqlite3 *db, const char *sql, bool *found,
                             int64_t *number, struct buf *detail)
{
    struct sqlite3_stmt *statement = NULL;
    enum err err = sqlite_prepare(db, sql, &statement, detail);

    if (err == ERR_OK) {
        const int code = sqlite3_step(statement);
        *found = code == SQLITE_ROW;
        if (code == SQLITE_ROW) {
            *number = sqlite3_column_int64(statement, 0);
        } else if (code != SQLITE_DONE) {
            err = sqlite_failed(db, detail);
        }
    }
    sqlite3_finalize(statement);
    return err;
}

enum err sqlite_look_inside(struct sqlite3 *db, enum sqlite_contents *contents,
                            int64_t *version, struct buf *detail)
{
    int64_t n_tables = 0;
    bool has_meta = false;
    bool found = false;

    enum err err = query_number(db, "SELECT count(*) FROM sqlite_schema",
                                &found, &n_tables, detail);
    if (err == ERR_OK) {
        err = sqlite_table_exists(db, "bookd_meta", &has_meta, detail);
    }
    found = false;
    if (err == ERR_OK && has_meta) {
        err = query_number(
            db, "SELECT value FROM bookd_meta WHERE name = 'schema_version'",
            &found, version, detail);
    }
    *contents = err == ERR_OK && found ? CONTENTS_OURS
                : n_tables == 0        ? CONTENTS_NOTHING
                                       : CONTENTS_OTHERS;
    return err;
}

/* ---- making it ---- */

static enum err insert_seeds(struct sqlite3 *db, struct buf *detail)
{
    struct sqlite3_stmt *insert = NULL;
    enum err err = sqlite_prepare(
        db, "INSERT INTO books(id, title, author, year) VALUES(?1, ?2, ?3, ?4)",
        &insert, detail);

    for (size_t i = 0; i < ARRAY_LEN(seeds) && err == ERR_OK; i++) {
        sqlite3_bind_int(insert, 1, seeds[i].id);
        sqlite_bind_text(insert, 2, slice_from_string(seeds[i].title));
        sqlite_bind_text(insert, 3, slice_from_string(seeds[i].author));
        sqlite3_bind_int(insert, 4, seeds[i].year);
        err = sqlite_execute(db, insert, detail);
    }
    sqlite3_finalize(insert);
    return err;
}

enum err sqlite_create(struct sqlite3 *db, bool seed, struct buf *detail)
{
    enum err err = sqlite_run(db, version_1_sql, detail);

    if (err == ERR_OK) {
        err = sqlite_upgrade(db, detail);
    }
    return err == ERR_OK && seed ? insert_seeds(db, detail) : err;
}

enum err sqlite_upgrade(struct sqlite3 *db, struct buf *detail)
{
    enum err err = sqlite_run(db, version_2_sql, detail);

    if (err == ERR_OK) {
        err = sqlite_upgrade_plain(db, detail);
    }
    return err == ERR_OK ? sqlite_run(db, version_3_sql, detail) : err;
}

/* All of it or nothing, in a transaction or not. */
static enum err run_whole(struct sqlite3 *db, const char *sql,
                          struct buf *detail)
{
    enum err err = sqlite_run(db, "SAVEPOINT bookd_upgrade", detail);

    if (err != ERR_OK) {
        return err;
    }
    err = sqlite_run(db, sql, detail);
    if (err == ERR_OK) {
        err = sqlite_run(db, "RELEASE bookd_upgrade", detail);
    }
    if (err != ERR_OK && !sqlite3_get_autocommit(db)) {
        (void)sqlite3_exec(db, "ROLLBACK TO bookd_upgrade", NULL, NULL, NULL);
        (void)sqlite3_exec(db, "RELEASE bookd_upgrade", NULL, NULL, NULL);
    }
    return err;
}

enum err sqlite_upgrade_plain(struct sqlite3 *db, struct buf *detail)
{
    bool found = false;
    int64_t n = 0;
    const enum err err =
        query_number(db,
                     "SELECT count(*) FROM pragma_table_info('bookd_plain') "
                     "WHERE name = 'type'",
                     &found, &n, detail);

    return err != ERR_OK || n > 0 ? err : run_whole(db, plain_3_sql, detail);
}

enum err sqlite_create_plain(struct sqlite3 *db, struct buf *detail)
{
    /* Not STRICT: whoever else uses the file may have an older SQLite. */
    return sqlite_run(db, PLAIN_TABLE ";" PLAIN_INDEX, detail);
}
