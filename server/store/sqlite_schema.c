/* SPDX-License-Identifier: MIT */
/*
 * The database file at start: found, created, or refused with a sentence that
 * says which file, what is wrong and what to do.
 *
 *     nothing there, or empty    created: schema and seeds in one transaction,
 *                                so that a crash leaves all of it or none
 *     ours, of this version      used
 *     ours, of another version   ERR_STORE_VERSION
 *     anybody else's             ERR_STORE_FOREIGN; bookd never adds its tables
 *                                to a database that has others
 *
 * Only the header and the schema are looked at: a damaged page elsewhere shows
 * when it is read, as an error of that read.
 */
#include "server/store/sqlite_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/mem.h"

/* Grows with every change to the tables below. */
#define SCHEMA_VERSION 1

/* Makes file(1) show whose file it is: "book" in ASCII. */
#define APPLICATION_ID "0x626f6f6b"

/* The ids of bookd_plain are what cursors of walks speak of; declared, so that
 * VACUUM leaves them alone.  STRICT: a column holds what it was declared to. */
static const char schema_sql[] =
    "PRAGMA application_id = " APPLICATION_ID ";"
    "CREATE TABLE bookd_meta("
    "    name TEXT PRIMARY KEY,"
    "    value TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE bookd_plain("
    "    id INTEGER PRIMARY KEY,"
    "    key BLOB NOT NULL UNIQUE,"
    "    value BLOB NOT NULL,"
    "    expires_ms INTEGER" /* Wall clock; NULL: never. */
    ") STRICT;"
    "CREATE INDEX bookd_plain_expires ON bookd_plain(expires_ms)"
    "    WHERE expires_ms IS NOT NULL;"
    "CREATE TABLE books("
    "    id INTEGER PRIMARY KEY,"
    "    title TEXT NOT NULL,"
    "    author TEXT,"
    "    year INTEGER"
    ") STRICT;";

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

/* ---- the file ---- */

/* The directory that 'path' is in; to be freed. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    assert(slash != NULL); /* sqlite_open() sees to that. */
    return slash == path ? xstrdup("/")
                         : xslicedup(slice_make(path, (size_t)(slash - path)));
}

/* As access(2), but for the rights the process acts with. */
static bool is_allowed(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

static enum err check_directory(const char *path, struct buf *detail)
{
    char *directory = directory_of(path);
    struct stat status;
    enum err err = ERR_OK;

    if (stat(directory, &status) != 0) {
        err = errno == EACCES ? ERR_PERMISSION : ERR_NOT_FOUND;
        buf_printf(detail,
                   "%s: cannot reach the directory '%s': %s; create it, or "
                   "name another with 'store sqlite:PATH'",
                   path, directory, strerror(errno));
    } else if (!S_ISDIR(status.st_mode)) {
        err = ERR_NOT_FOUND;
        buf_printf(detail, "%s: '%s' is not a directory", path, directory);
    } else if (!is_allowed(directory, W_OK | X_OK)) {
        err = ERR_PERMISSION;
        buf_printf(detail,
                   "%s: cannot write to the directory '%s': %s; the store "
                   "keeps its log beside the file",
                   path, directory, strerror(errno));
    }
    free(directory);
    return err;
}

/* Finds what SQLite would report in too few words, or not at all. */
static enum err check_file(const char *path, struct buf *detail)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        if (errno == ENOENT) {
            return check_directory(path, detail);
        }
        const enum err err = errno == ENOTDIR ? ERR_NOT_FOUND : ERR_PERMISSION;
        buf_printf(detail, "%s: cannot be reached: %s", path, strerror(errno));
        return err;
    }
    if (!S_ISREG(status.st_mode)) {
        buf_printf(detail, "%s: is %s; 'store' has to name a file", path,
                   S_ISDIR(status.st_mode) ? "a directory" : "not a file");
        return ERR_INVALID;
    }
    if (!is_allowed(path, R_OK | W_OK)) {
        buf_printf(detail, "%s: cannot be read and written: %s", path,
                   strerror(errno));
        return ERR_PERMISSION;
    }
    return check_directory(path, detail);
}

/* ---- what is in it ---- */

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

enum contents { NOTHING, OURS, OTHERS };

static enum err look_inside(struct sqlite3 *db, enum contents *contents,
                            int64_t *version, struct buf *detail)
{
    int64_t n_tables = 0;
    int64_t n_meta = 0;
    bool found = false;

    enum err err = query_number(db, "SELECT count(*) FROM sqlite_schema",
                                &found, &n_tables, detail);
    if (err == ERR_OK) {
        err = query_number(db,
                           "SELECT count(*) FROM sqlite_schema "
                           "WHERE type = 'table' AND name = 'bookd_meta'",
                           &found, &n_meta, detail);
    }
    if (err == ERR_OK && n_meta > 0) {
        err = query_number(
            db, "SELECT value FROM bookd_meta WHERE name = 'schema_version'",
            &found, version, detail);
        found = found && err == ERR_OK;
    } else {
        found = false;
    }
    *contents = found ? OURS : n_tables == 0 ? NOTHING : OTHERS;
    return err;
}

/* ---- creating ---- */

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

static enum err insert_version(struct sqlite3 *db, struct buf *detail)
{
    struct buf sql = {0};

    buf_printf(&sql,
               "INSERT INTO bookd_meta(name, value) "
               "VALUES('schema_version', '%d')",
               SCHEMA_VERSION);
    const enum err err = sqlite_run(db, buf_string(&sql), detail);
    buf_destroy(&sql);
    return err;
}

/* With the write lock held: two that start at once do not both create. */
static enum err create_if_empty(struct sqlite3 *db, bool seed,
                                struct buf *detail)
{
    enum contents contents;
    int64_t version;
    enum err err = sqlite_run(db, "BEGIN IMMEDIATE", detail);

    if (err != ERR_OK) {
        return err;
    }
    err = look_inside(db, &contents, &version, detail);
    if (err == ERR_OK && contents == NOTHING) {
        err = sqlite_run(db, schema_sql, detail);
        if (err == ERR_OK) {
            err = insert_version(db, detail);
        }
        if (err == ERR_OK && seed) {
            err = insert_seeds(db, detail);
        }
    }
    if (err == ERR_OK) {
        err = sqlite_run(db, "COMMIT", detail);
    }
    if (err != ERR_OK && !sqlite3_get_autocommit(db)) {
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return err;
}

static enum err use_log(struct sqlite3 *db, struct buf *detail)
{
    struct sqlite3_stmt *statement = NULL;
    enum err err =
        sqlite_prepare(db, "PRAGMA journal_mode = WAL", &statement, detail);

    if (err == ERR_OK) {
        if (sqlite3_step(statement) != SQLITE_ROW) {
            err = sqlite_failed(db, detail);
        } else if (strcmp((const char *)sqlite3_column_text(statement, 0),
                          "wal") != 0) {
            buf_append_string(detail, "this file system cannot hold a "
                                      "write-ahead log");
            err = ERR_STORE_DOWN;
        }
    }
    sqlite3_finalize(statement);
    return err;
}

static enum err check_contents(struct sqlite3 *db, bool seed,
                               struct buf *detail)
{
    enum contents contents;
    int64_t version = 0;
    enum err err = look_inside(db, &contents, &version, detail);

    if (err == ERR_OK && contents == NOTHING) {
        err = create_if_empty(db, seed, detail);
        if (err == ERR_OK) {
            err = look_inside(db, &contents, &version, detail);
        }
    }
    if (err != ERR_OK) {
        return err;
    }
    if (contents != OURS) {
        buf_append_string(detail, "is a database of another program; bookd "
                                  "needs a file of its own");
        return ERR_STORE_FOREIGN;
    }
    if (version != SCHEMA_VERSION) {
        buf_printf(detail,
                   "has schema version %lld, this bookd knows version %d; "
                   "start the bookd that wrote it, or name another file",
                   (long long)version, SCHEMA_VERSION);
        return ERR_STORE_VERSION;
    }
    return use_log(db, detail);
}

/* ---- the engine's open and close ---- */

/* What to do about it, where SQLite's words leave that open. */
static const char *advice(enum err err)
{
    switch (err) {
    case ERR_STORE_LOCKED:
        return "; another program holds it, stop that first";
    case ERR_STORE_CORRUPT:
        return "; restore it from a backup, or try sqlite3's .recover";
    case ERR_STORE_FOREIGN:
        return "; name another file with 'store sqlite:PATH'";
    default:
        return "";
    }
}

void sqlite_explain(const char *path, enum err err, struct buf *reason,
                    struct buf *detail)
{
    buf_printf(detail, "%s: %s%s", path, buf_string(reason), advice(err));
}

static enum err open_file(const char *path,
                          const struct engine_options *options,
                          struct buf *detail)
{
    struct buf reason = {0};
    struct sqlite3 *db = NULL;
    enum err err = check_file(path, detail);

    if (err != ERR_OK) {
        return err;
    }
    err =
        sqlite_connect(path, CONNECT_OPENER, options->durability, &db, &reason);
    if (err == ERR_OK) {
        err = check_contents(db, options->seed_books, &reason);
    }
    if (err != ERR_OK) {
        sqlite_explain(path, err, &reason, detail);
    }
    sqlite_disconnect(db);
    buf_destroy(&reason);
    return err;
}

enum err sqlite_open(struct engine_database **databasep,
                     const struct engine_options *options, struct buf *detail)
{
    struct buf path = {0};

    if (options->location[0] == '\0') {
        buf_append_string(detail, "'store sqlite:' names no file; write "
                                  "'store sqlite:PATH'");
        return ERR_INVALID;
    }
    /* "./" keeps SQLite from seeing more than a path: ":memory:", "file:…". */
    buf_append_string(&path, options->location[0] == '/' ? "" : "./");
    buf_append_string(&path, options->location);

    int claim = -1;
    enum err err = open_file(buf_string(&path), options, detail);
    if (err == ERR_OK) {
        err = sqlite_claim(buf_string(&path), &claim, detail);
    }
    if (err == ERR_OK) {
        struct engine_database *database = xmalloc(sizeof(*database));
        *database = (struct engine_database){
            .path = xslicedup(buf_slice(&path)),
            .claim = claim,
            .index = -1,
            .mappings = options->mappings,
            .durability = options->durability,
            .misfits = xcalloc(options->mappings->count, sizeof(char *)),
        };
        sqlite_gate_init(&database->gate);
        *databasep = database;
    }
    buf_destroy(&path);
    return err;
}

void sqlite_close(struct engine_database *database)
{
    if (database->index >= 0) {
        close(database->index);
    }
    if (database->claim >= 0) {
        close(database->claim);
    }
    for (size_t i = 0; i < database->mappings->count; i++) {
        free(database->misfits[i]);
    }
    free(database->misfits);
    sqlite_gate_destroy(&database->gate);
    free(database->path);
    free(database);
}
