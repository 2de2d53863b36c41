/* SPDX-License-Identifier: MIT */
/*
 * How SQLite tells that others have committed.
 *
 * PRAGMA data_version changes, on one connection, with every commit of any
 * other: so with those of bookd's own writer too.  What tells them apart is the
 * change table, whose rows about its own writes the writer takes out in the
 * same transaction.  What is there is of others:
 *
 *     bookd_changes(seq INTEGER PRIMARY KEY AUTOINCREMENT, key, op)
 *
 * 'seq' never comes again while the table lives, so rows above the last one
 * seen are new.  If the counter itself has gone back, the table is another, and
 * so perhaps all else.
 */
#include "server/store/sqlite_watch.h"

#include <stdlib.h>

#include <sqlite3.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

/* Rows told by one look: about a millisecond. */
#define ROWS_MAX 1000

/* After so many rows the writer, who may have nothing else to do, is woken to
 * take them out. */
#define TRIM_EVERY 1000

#define OP_DELETED 2

/* ---- reading ---- */

enum err sqlite_watch_number(struct engine_watch *watch,
                             struct sqlite3_stmt *statement, int64_t *number,
                             struct buf *detail)
{
    const int code = sqlite3_step(statement);
    enum err err = ERR_OK;

    *number = 0;
    if (code == SQLITE_ROW) {
        *number = sqlite3_column_int64(statement, 0);
    } else if (code != SQLITE_DONE) {
        err = sqlite_failed(watch->db, detail);
    }
    sqlite3_reset(statement);
    return err;
}

/* ---- the feed ---- */

static enum err prepare_feed(struct engine_watch *watch, struct buf *detail)
{
    static const char rows[] = "SELECT seq, key, op FROM bookd_changes "
                               "WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    static const char last[] =
        "SELECT seq FROM sqlite_sequence WHERE name = 'bookd_changes'";
    enum err err = sqlite_prepare(watch->db, rows, &watch->rows, detail);

    return err == ERR_OK
               ? sqlite_prepare(watch->db, last, &watch->last_seq, detail)
               : err;
}

/* For the writer, who takes out what is seen. */
static void publish_seen(struct engine_watch *watch)
{
    atomic_store_explicit(&watch->database->feed_seen, watch->seen_seq,
                          memory_order_relaxed);
}

/* Finds out, anew, what the feed covers; what it holds now counts as seen. */
static enum err load_feed(struct engine_watch *watch, struct buf *detail)
{
    const struct mappings *mappings = watch->database->mappings;
    struct sqlite3_stmt *exists = NULL;
    int64_t has_table = 0;
    enum err err =
        sqlite_prepare(watch->db,
                       "SELECT count(*) FROM sqlite_schema "
                       "WHERE type = 'table' AND name = 'bookd_changes'",
                       &exists, detail);

    sqlite3_finalize(watch->rows);
    sqlite3_finalize(watch->last_seq);
    watch->rows = NULL;
    watch->last_seq = NULL;
    watch->seen_seq = 0;
    watch->trimmed_seq = 0;
    watch->more = false;
    if (err == ERR_OK) {
        err = sqlite_watch_number(watch, exists, &has_table, detail);
    }
    sqlite3_finalize(exists);
    if (err == ERR_OK && has_table != 0) {
        err = prepare_feed(watch, detail);
    }
    if (err == ERR_OK && has_table != 0) {
        err = sqlite_watch_number(watch, watch->last_seq, &watch->seen_seq,
                                  detail);
    }
    publish_seen(watch);
    watch->all_covered = has_table != 0;
    for (size_t i = 0; i < mappings->count; i++) {
        watch->covered[i] = false;
        if (err == ERR_OK && has_table != 0) {
            enum sqlite_feed state = SQLITE_FEED_ABSENT;
            err = sqlite_feed_state(watch->db, &mappings->list[i], &state,
                                    detail);
            watch->covered[i] = state == SQLITE_FEED_INSTALLED;
        }
        watch->all_covered = watch->all_covered && watch->covered[i];
    }
    return err;
}

static enum err tell_row(struct engine_watch *watch,
                         const struct store_observer *observer,
                         struct buf *detail)
{
    struct sqlite3_stmt *row = watch->rows;
    const void *key = sqlite3_column_text(row, 1);
    const int size = sqlite3_column_bytes(row, 1);
    const bool deleted = sqlite3_column_int(row, 2) == OP_DELETED;

    if (key == NULL) { /* A row without a key; or there was no memory. */
        return sqlite_row_failed(watch->db, detail);
    }
    observer->changed(observer->arg, slice_make(key, (size_t)size),
                      deleted ? STORE_ROW_DELETED : STORE_ROW_WRITTEN);
    return ERR_OK;
}

/* Tells the rows that are new, so many at most as one look may. */
static enum err tell_rows(struct engine_watch *watch,
                          const struct store_observer *observer,
                          struct engine_sight *sight, struct buf *detail)
{
    enum err err = ERR_OK;
    int code = SQLITE_DONE;

    sqlite3_bind_int64(watch->rows, 1, watch->seen_seq);
    sqlite3_bind_int(watch->rows, 2, ROWS_MAX);
    while (err == ERR_OK && (code = sqlite3_step(watch->rows)) == SQLITE_ROW) {
        err = tell_row(watch, observer, detail);
        if (err == ERR_OK) {
            watch->seen_seq = sqlite3_column_int64(watch->rows, 0);
            sight->n_told++;
        }
    }
    if (err == ERR_OK && code != SQLITE_DONE) {
        err = sqlite_failed(watch->db, detail);
    }
    sqlite3_reset(watch->rows);
    watch->more = sight->n_told == ROWS_MAX;
    sight->more = watch->more;
    publish_seen(watch);
    return err;
}

/* ---- looking ---- */

static enum err follow_schema(struct engine_watch *watch, int64_t schema,
                              struct engine_sight *sight, struct buf *detail)
{
    enum err err = load_feed(watch, detail);

    sight->anew = true;
    if (err == ERR_OK) {
        const bool has_feed = watch->rows != NULL;
        err = sqlite_exchange_schema(watch, watch->had_feed != has_feed, sight,
                                     detail);
    }
    if (err == ERR_OK) {
        watch->seen_schema = schema;
    }
    return err;
}

/* After a commit of somebody. */
static enum err look_closer(struct engine_watch *watch,
                            const struct store_observer *observer,
                            struct engine_sight *sight, struct buf *detail)
{
    int64_t schema = watch->seen_schema;
    int64_t last_seq = 0;
    enum err err =
        sqlite_watch_number(watch, watch->schema_version, &schema, detail);

    if (err == ERR_OK && schema != watch->seen_schema) {
        return follow_schema(watch, schema, sight, detail);
    }
    if (err != ERR_OK || watch->rows == NULL) {
        return err;
    }
    err = sqlite_watch_number(watch, watch->last_seq, &last_seq, detail);
    if (err == ERR_OK && last_seq < watch->seen_seq) {
        sight->anew = true; /* An older state was put back. */
        watch->seen_seq = last_seq;
        publish_seen(watch);
        return ERR_OK;
    }
    return err == ERR_OK ? tell_rows(watch, observer, sight, detail) : err;
}

/* In a transaction: what it finds is of one moment. */
static enum err look(struct engine_watch *watch,
                     const struct store_observer *observer,
                     struct engine_sight *sight, struct buf *detail)
{
    const uint64_t own_before = watch->own_commits;
    int64_t data = 0;

    watch->own_commits = atomic_load(&watch->database->own_commits);
    enum err err =
        sqlite_watch_number(watch, watch->data_version, &data, detail);
    if (err != ERR_OK || (data == watch->seen_data && !watch->more)) {
        return err;
    }
    sight->changed = data != watch->seen_data;
    if (sight->changed && !watch->all_covered) {
        /* Has the writer committed nothing since the look before? */
        sight->foreign =
            own_before % 2 == 0 &&
            own_before == atomic_load(&watch->database->own_commits);
        sight->ask = !sight->foreign;
    }
    sight->since_us = sqlite_files_written_us(&watch->files);
    err = look_closer(watch, observer, sight, detail);
    if (err == ERR_OK) {
        watch->seen_data = data;
    }
    if (watch->seen_seq - watch->trimmed_seq >= TRIM_EVERY) {
        watch->trimmed_seq = watch->seen_seq;
        sight->ask = true;
    }
    return err;
}

enum err sqlite_watch_look(struct engine_watch *watch,
                           const struct store_observer *observer,
                           struct engine_sight *sight, struct buf *detail)
{
    enum err err;

    sqlite_exchange_check(watch, sight);
    if (watch->phase != WATCHING) {
        err = sqlite_exchange_go_on(watch, sight, detail);
    } else {
        err = sqlite_execute(watch->db, watch->begin, detail);
        if (err == ERR_OK) {
            err = look(watch, observer, sight, detail);
            /* Fails if an error has ended it already. */
            sqlite3_step(watch->end);
            sqlite3_reset(watch->end);
        }
    }
    sight->leaving = watch->phase == LEAVING;
    return err;
}

int sqlite_watch_descriptor(const struct engine_watch *watch)
{
    return watch->files.inotify;
}

bool sqlite_watch_covers(const struct engine_watch *watch,
                         const struct mapping *mapping)
{
    /* Nobody else has a reason to touch the plain keys, which are ours. */
    return mapping != NULL ? watch->covered[mapping->index]
                           : watch->rows != NULL;
}

/* ---- life ---- */

enum err sqlite_watch_connect(struct engine_watch *watch, struct buf *detail)
{
    const struct engine_database *database = watch->database;
    enum err err = sqlite_connect(database->path, CONNECT_READER,
                                  database->durability, &watch->db, detail);

    if (err == ERR_OK) {
        err = sqlite_prepare(watch->db, "BEGIN", &watch->begin, detail);
    }
    if (err == ERR_OK) {
        err = sqlite_prepare(watch->db, "COMMIT", &watch->end, detail);
    }
    if (err == ERR_OK) {
        err = sqlite_prepare(watch->db, "PRAGMA data_version",
                             &watch->data_version, detail);
    }
    if (err == ERR_OK) {
        err = sqlite_prepare(watch->db, "PRAGMA schema_version",
                             &watch->schema_version, detail);
    }
    /* In this order: what comes between is seen twice, not never. */
    if (err == ERR_OK) {
        err = sqlite_watch_number(watch, watch->data_version, &watch->seen_data,
                                  detail);
    }
    if (err == ERR_OK) {
        err = sqlite_watch_number(watch, watch->schema_version,
                                  &watch->seen_schema, detail);
    }
    if (err == ERR_OK) {
        err = load_feed(watch, detail);
    }
    if (err == ERR_OK) {
        watch->had_feed = watch->rows != NULL;
        sqlite_exchange_follow(watch);
    }
    return err;
}

void sqlite_watch_close(struct engine_watch *watch)
{
    sqlite_exchange_end(watch);
    sqlite_disconnect(watch->db);
    sqlite_exchange_close_left(watch);
    sqlite_files_destroy(&watch->files);
    free(watch->covered);
    free(watch);
}

enum err sqlite_watch_open(struct engine_database *database,
                           struct engine_watch **watchp, struct buf *detail)
{
    struct engine_watch *watch = xmalloc(sizeof *watch);
    struct buf reason = {0};

    *watch = (struct engine_watch){
        .database = database,
        .left = -1,
        .left_index = -1,
        .covered = xcalloc(database->mappings->count, sizeof(bool))};
    sqlite_files_init(&watch->files, database->path, &reason);
    if (reason.size > 0) {
        log_warn("sqlite: nobody tells of writes to the file detail=\"%s\"",
                 buf_string(&reason));
        buf_clear(&reason);
    }
    const enum err err = sqlite_watch_connect(watch, &reason);
    if (err == ERR_OK) {
        *watchp = watch;
    } else {
        sqlite_explain(database->path, err, &reason, detail);
        sqlite_watch_close(watch);
    }
    buf_destroy(&reason);
    return err;
}
