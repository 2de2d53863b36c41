/* SPDX-License-Identifier: MIT */
/*
 * The database file at start: found, created, or refused with a sentence that
 * says which file, what is wrong and what to do.
 *
 *     nothing there, or empty    created: schema, seeds and change feed in one
 *                                transaction
 *     ours, of this version      used
 *     ours, of an older version  brought up to date in one transaction
 *     ours, of a newer version   ERR_STORE_VERSION
 *     anybody else's             used as it is, if that is possible: nothing is
 *                                added to it but on its administrator's request
 *                                (sqlite_maintain.c); what was added so is
 *                                brought up to date
 *
 * And the mappings are completed by what the tables are (sqlite_mapping.c).
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
#include "server/store/mapping_set.h"

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

/* Fails with a sentence if this bookd cannot use the file. */
static enum err check_version(enum sqlite_contents contents, int64_t version,
                              struct buf *detail)
{
    if (contents == CONTENTS_OURS &&
        (version < 1 || version > SQLITE_SCHEMA_VERSION)) {
        buf_printf(detail,
                   "has schema version %lld, this bookd knows version %d; "
                   "start the bookd that wrote it, or name another file",
                   (long long)version, SQLITE_SCHEMA_VERSION);
        return ERR_STORE_VERSION;
    }
    return ERR_OK;
}

static enum err read_journal_mode(struct sqlite3 *db, const char *sql,
                                  bool *has_log, struct buf *detail)
{
    struct sqlite3_stmt *statement = NULL;
    enum err err = sqlite_prepare(db, sql, &statement, detail);

    if (err == ERR_OK) {
        if (sqlite3_step(statement) != SQLITE_ROW) {
            err = sqlite_failed(db, detail);
        } else {
            *has_log = strcmp((const char *)sqlite3_column_text(statement, 0),
                              "wal") == 0;
        }
    }
    sqlite3_finalize(statement);
    return err;
}

static enum err use_log(struct sqlite3 *db, struct buf *detail)
{
    bool has_log = false;
    const enum err err =
        read_journal_mode(db, "PRAGMA journal_mode = WAL", &has_log, detail);

    if (err == ERR_OK && !has_log) {
        buf_append_string(detail, "this file system cannot hold a "
                                  "write-ahead log");
        return ERR_STORE_DOWN;
    }
    return err;
}

/* A file of others has to be as bookd needs it. */
static enum err check_foreign(struct sqlite3 *db, const char *path,
                              const struct engine_options *options,
                              struct buf *detail)
{
    bool has_log = false;
    bool has_plain = false;
    enum err err =
        read_journal_mode(db, "PRAGMA journal_mode", &has_log, detail);

    if (err == ERR_OK && !has_log) {
        buf_printf(detail,
                   "is a database of another program and has no write-ahead "
                   "log, without which its readers and writers would wait for "
                   "each other; if they can live with one, run: "
                   "sqlite3 '%s' 'PRAGMA journal_mode = WAL'",
                   path);
        return ERR_INVALID;
    }
    if (err == ERR_OK) {
        err = sqlite_table_exists(db, "bookd_plain", &has_plain, detail);
    }
    if (err == ERR_OK && options->plain_keys && !has_plain) {
        buf_append_string(detail,
                          "is a database of another program, without a table "
                          "for plain keys; write 'plain-writes none' to keep "
                          "these in memory, or run bookd --install-plain-keys "
                          "with this configuration");
        return ERR_INVALID;
    }
    return err;
}

/* ---- creating ---- */

static enum err complete_mappings(struct sqlite3 *db,
                                  const struct engine_options *options,
                                  bool foreign, struct buf *detail)
{
    return options->tables == NULL
               ? ERR_OK
               : sqlite_mappings_complete(db, options->tables, foreign, detail);
}

static const struct mappings *mappings_of(const struct engine_options *options)
{
    return options->tables != NULL ? mapping_set_mappings(options->tables)
                                   : options->mappings;
}

/* The feed of books, of a file that has just been made or brought up to date.
 */
static enum err install_own_feed(struct sqlite3 *db,
                                 const struct engine_options *options,
                                 struct buf *detail)
{
    const struct mappings *mappings = mappings_of(options);
    struct buf report = {0};
    enum err err = ERR_OK;

    for (size_t i = 0; i < mappings->count && err == ERR_OK; i++) {
        const struct mapping *mapping = &mappings->list[i];
        if (strcmp(mapping->table, "books") == 0) {
            err = sqlite_feed_install(db, &mapping, 1, &report, detail);
        }
    }
    buf_destroy(&report);
    return err;
}

/* With the write lock held: two that start at once do not both create. */
static enum err make_current(struct sqlite3 *db,
                             const struct engine_options *options,
                             struct buf *detail)
{
    enum sqlite_contents contents;
    int64_t version = 0;
    enum err err = sqlite_look_inside(db, &contents, &version, detail);
    const bool is_new = err == ERR_OK && contents == CONTENTS_NOTHING;
    const bool is_old = err == ERR_OK && contents == CONTENTS_OURS &&
                        version < SQLITE_SCHEMA_VERSION;

    if (is_new) {
        err = sqlite_create(db, options->seed_books, detail);
    } else if (is_old) {
        err = sqlite_upgrade(db, detail);
    }
    if (err == ERR_OK) {
        err =
            complete_mappings(db, options, contents == CONTENTS_OTHERS, detail);
    }
    return err == ERR_OK && (is_new || (is_old && version < 2))
               ? install_own_feed(db, options, detail)
               : err;
}

/* Runs 'make' in a transaction, all or nothing. */
static enum err in_transaction(struct sqlite3 *db,
                               const struct engine_options *options,
                               enum err (*make)(struct sqlite3 *db,
                                                const struct engine_options *o,
                                                struct buf *detail),
                               struct buf *detail)
{
    enum err err = sqlite_run(db, "BEGIN IMMEDIATE", detail);

    if (err != ERR_OK) {
        return err;
    }
    err = make(db, options, detail);
    if (err == ERR_OK) {
        err = sqlite_run(db, "COMMIT", detail);
    }
    if (err != ERR_OK && !sqlite3_get_autocommit(db)) {
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return err;
}

/* The table of plain keys, which an older bookd has made at its
 * administrator's request. */
static enum err upgrade_foreign(struct sqlite3 *db, struct buf *detail)
{
    bool has_plain = false;
    const enum err err =
        sqlite_table_exists(db, "bookd_plain", &has_plain, detail);

    return err == ERR_OK && has_plain ? sqlite_upgrade_plain(db, detail) : err;
}

static enum err check_contents(struct sqlite3 *db, const char *path,
                               const struct engine_options *options,
                               struct buf *detail)
{
    enum sqlite_contents contents;
    int64_t version = 0;
    enum err err = sqlite_look_inside(db, &contents, &version, detail);

    if (err == ERR_OK) {
        err = check_version(contents, version, detail);
    }
    if (err == ERR_OK && contents == CONTENTS_OTHERS) {
        err = check_foreign(db, path, options, detail);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (contents == CONTENTS_OTHERS || version == SQLITE_SCHEMA_VERSION) {
        err =
            complete_mappings(db, options, contents == CONTENTS_OTHERS, detail);
    } else {
        err = in_transaction(db, options, make_current, detail);
    }
    if (err == ERR_OK && contents != CONTENTS_OTHERS) {
        err = use_log(db, detail);
    }
    if (err == ERR_OK && contents == CONTENTS_OTHERS) {
        err = upgrade_foreign(db, detail);
    }
    if (err == ERR_OK) {
        sqlite_feed_complain(db, mappings_of(options));
    }
    return err;
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

/* Opens the file once, to see to its contents.  A file that is there is
 * claimed before anything in it is changed. */
static enum err open_file(const char *path,
                          const struct engine_options *options, int *claim,
                          struct buf *detail)
{
    struct buf reason = {0};
    struct sqlite3 *db = NULL;
    enum err err = check_file(path, detail);

    if (err == ERR_OK && access(path, F_OK) == 0) {
        err = sqlite_claim(path, claim, detail);
    }
    if (err != ERR_OK) {
        return err;
    }
    err =
        sqlite_connect(path, CONNECT_OPENER, options->durability, &db, &reason);
    if (err == ERR_OK) {
        err = check_contents(db, path, options, &reason);
    }
    if (err != ERR_OK) {
        sqlite_explain(path, err, &reason, detail);
    }
    sqlite_disconnect(db);
    buf_destroy(&reason);
    return err == ERR_OK && *claim < 0 ? sqlite_claim(path, claim, detail)
                                       : err;
}

enum err sqlite_path(const struct engine_options *options, struct buf *path,
                     struct buf *detail)
{
    if (options->location[0] == '\0') {
        buf_append_string(detail, "'store sqlite:' names no file; write "
                                  "'store sqlite:PATH'");
        return ERR_INVALID;
    }
    /* "./" keeps SQLite from seeing more than a path: ":memory:", "file:…". */
    buf_append_string(path, options->location[0] == '/' ? "" : "./");
    buf_append_string(path, options->location);
    return ERR_OK;
}

enum err sqlite_open(struct engine_database **databasep,
                     const struct engine_options *options, struct buf *detail)
{
    struct buf path = {0};
    int claim = -1;
    enum err err = sqlite_path(options, &path, detail);

    if (err == ERR_OK) {
        err = open_file(buf_string(&path), options, &claim, detail);
    }
    if (err == ERR_OK) {
        const struct mappings *mappings = mappings_of(options);
        struct engine_database *database = xmalloc(sizeof(*database));
        *database = (struct engine_database){
            .path = xslicedup(buf_slice(&path)),
            .claim = claim,
            .index = -1,
            .mappings = mappings,
            .durability = options->durability,
            .misfits = xcalloc(mappings->count, sizeof(char *)),
            .places = sqlite_places_new(),
        };
        sqlite_gate_init(&database->gate);
        *databasep = database;
    } else if (claim >= 0) {
        close(claim);
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
    sqlite_places_free(database->places);
    sqlite_gate_destroy(&database->gate);
    free(database->path);
    free(database);
}
