/* SPDX-License-Identifier: MIT */
/*
 * The writer's connection: transactions, checkpoints, its statements.
 */
#include "server/store/sqlite_internal.h"

#include <stdlib.h>

#include <sqlite3.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

/* Pages of 4 KiB that the log grows by between checkpoints: SQLite's own
 * choice for wal_autocheckpoint. */
#define CHECKPOINT_PAGES 1000

/* How long a file that is to be left is waited for: nothing is read and written
 * meanwhile. */
#define LEAVE_PATIENCE_US 1000000

/* ---- transactions ---- */

enum err sqlite_begin(struct engine_writer *writer, struct buf *detail)
{
    enum err err = sqlite_gate_follow(writer, detail);

    if (err == ERR_OK) {
        err = sqlite_execute(writer->db, writer->begin, detail);
    }
    if (err != ERR_OK) {
        return err;
    }
    writer->in_group = false;
    writer->changes_before = sqlite3_total_changes64(writer->db);
    err = sqlite_effects_begin(writer, detail);
    if (err != ERR_OK) {
        sqlite_rollback(writer);
    }
    return err;
}

/* Has anybody else committed since the last look? */
static bool look_for_others(struct engine_writer *writer)
{
    int64_t seen = writer->seen_data;

    const bool known = sqlite3_step(writer->data_version) == SQLITE_ROW;
    if (known) {
        seen = sqlite3_column_int64(writer->data_version, 0);
    }
    sqlite3_reset(writer->data_version);
    const bool found = seen != writer->seen_data;
    writer->seen_data = seen;
    return found || !known; /* Nobody asks again for the same commit. */
}

bool sqlite_foreign_commit(struct engine_writer *writer)
{
    struct buf ignored = {0};
    enum err err = ERR_OK;

    /* Between transactions there may be a file to leave. */
    if (writer->db == NULL || sqlite3_get_autocommit(writer->db)) {
        err = sqlite_gate_follow(writer, &ignored);
    }
    buf_destroy(&ignored);
    return err == ERR_OK && look_for_others(writer);
}

enum err sqlite_end_transaction(struct engine_writer *writer,
                                struct buf *detail)
{
    _Atomic uint64_t *commits = &writer->database->own_commits;

    atomic_fetch_add(commits, 1);
    const enum err err = sqlite_execute(writer->db, writer->commit, detail);
    atomic_fetch_add(commits, 1);
    return err;
}

bool sqlite_is_gone(const struct engine_writer *writer, struct buf *detail)
{
    const bool gone = sqlite3_get_autocommit(writer->db) != 0;

    if (gone && detail->size == 0) {
        buf_append_string(detail, "the transaction was rolled back");
    }
    return gone;
}

enum err sqlite_commit(struct engine_writer *writer, struct buf *detail)
{
    if (sqlite_is_gone(writer, detail)) {
        return ERR_STORE_DOWN;
    }
    enum err err = sqlite_plain_purge(writer, detail);
    if (err == ERR_OK) {
        err = sqlite_effects_end(writer, detail);
    }
    return err == ERR_OK ? sqlite_end_transaction(writer, detail) : err;
}

void sqlite_rollback(struct engine_writer *writer)
{
    struct buf ignored = {0};

    if (!sqlite3_get_autocommit(writer->db)) {
        /* Fails only if it is rolled back already. */
        (void)!sqlite_execute(writer->db, writer->rollback, &ignored);
    }
    buf_destroy(&ignored);
}

/* ---- checkpoints ---- */

/* Called by SQLite after each commit. */
static int after_commit(void *arg, struct sqlite3 *db, const char *name,
                        int pages)
{
    struct engine_writer *writer = arg;

    (void)db;
    (void)name;
    if (pages < writer->log_pages) {
        writer->checkpointed_pages = 0; /* The log began anew. */
    }
    writer->log_pages = pages;
    return SQLITE_OK;
}

bool sqlite_checkpoint_due(const struct engine_writer *writer)
{
    return writer->log_pages - writer->checkpointed_pages >= CHECKPOINT_PAGES;
}

enum err sqlite_checkpoint(struct engine_writer *writer, struct buf *detail)
{
    if (writer->db == NULL) {
        return ERR_OK; /* There is no file now. */
    }
    /* PASSIVE waits for nobody.  What a reader still needs stays in the log
     * until the next time. */
    const int code = sqlite3_wal_checkpoint_v2(
        writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    /* Not again before the log has grown, whatever came of it. */
    writer->checkpointed_pages = writer->log_pages;
    if (code == SQLITE_OK || code == SQLITE_BUSY) {
        return ERR_OK;
    }
    return sqlite_failed(writer->db, detail);
}

/* ---- statements ---- */

enum err sqlite_table_exists(struct sqlite3 *db, const char *name, bool *exists,
                             struct buf *detail)
{
    struct sqlite3_stmt *statement = NULL;
    enum err err = sqlite_prepare(
        db, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1",
        &statement, detail);

    *exists = false;
    if (err == ERR_OK) {
        sqlite_bind_text(statement, 1, slice_from_string(name));
        const int code = sqlite3_step(statement);
        *exists = code == SQLITE_ROW;
        if (code != SQLITE_ROW && code != SQLITE_DONE) {
            err = sqlite_failed(db, detail);
        }
    }
    sqlite3_finalize(statement);
    return err;
}

static enum err prepare_own(struct engine_writer *w, struct buf *detail)
{
    const struct {
        const char *sql;
        struct sqlite3_stmt **statement;
    } statements[] = {
        {"PRAGMA data_version", &w->data_version},
        {"BEGIN IMMEDIATE", &w->begin},
        {"COMMIT", &w->commit},
        {"ROLLBACK", &w->rollback},
        {"SAVEPOINT bookd_group", &w->group_begin},
        {"ROLLBACK TO bookd_group", &w->group_undo},
        {"RELEASE bookd_group", &w->group_end},
        {"SAVEPOINT bookd_write", &w->write_begin},
        {"ROLLBACK TO bookd_write", &w->write_undo},
        {"RELEASE bookd_write", &w->write_end},
        {"SELECT CASE WHEN json_valid(?1) THEN json_type(?1) END",
         &w->json_type},
        {"SELECT key, type, atom FROM json_each(?1)", &w->json_each},
    };
    enum err err = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(statements) && err == ERR_OK; i++) {
        err = sqlite_prepare(w->db, statements[i].sql, statements[i].statement,
                             detail);
    }
    return err;
}

/* ---- life ---- */

static enum err prepare(struct engine_writer *writer, struct buf *detail)
{
    const struct mappings *mappings = writer->mappings;
    enum err err = prepare_own(writer, detail);

    if (err == ERR_OK) {
        err = sqlite_plain_prepare(writer, detail);
    }
    if (err == ERR_OK) {
        err = sqlite_effects_open(writer, detail);
    }

    if (err == ERR_OK) {
        err = sqlite_log_prepare(writer, detail);
    }
    for (size_t i = 0; i < mappings->count && err == ERR_OK; i++) {
        if (writer->database->misfits[i] == NULL) {
            err = sqlite_row_prepare(writer, &mappings->list[i], detail);
        }
        if (err == ERR_OK && writer->database->misfits[i] == NULL) {
            err = sqlite_effects_watch(writer, &mappings->list[i], detail);
        }
    }
    return err;
}

enum err sqlite_writer_connect(struct engine_writer *writer, struct buf *detail)
{
    const struct engine_database *database = writer->database;
    struct buf reason = {0};
    enum err err = sqlite_connect(database->path, CONNECT_WRITER,
                                  database->durability, &writer->db, &reason);

    if (err == ERR_OK) {
        sqlite3_wal_hook(writer->db, after_commit, writer);
        err = prepare(writer, &reason);
    }
    if (err == ERR_OK) {
        writer->database->era++;
        (void)look_for_others(writer); /* From here on. */
    } else {
        sqlite_explain(database->path, err, &reason, detail);
        sqlite_writer_disconnect(writer);
    }
    buf_destroy(&reason);
    return err;
}

bool sqlite_writer_move_log(struct engine_writer *writer)
{
    const int64_t now_us = clock_real_us();
    int n_pages = 0;
    int n_moved = 0;
    const int code = sqlite3_wal_checkpoint_v2(
        writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &n_pages, &n_moved);

    if (code == SQLITE_OK && n_moved == n_pages) {
        return true;
    }
    if (writer->leave_by_us == 0) {
        writer->leave_by_us = now_us + LEAVE_PATIENCE_US;
    }
    if (now_us < writer->leave_by_us) {
        return false;
    }
    log_error("store: a part of the log is lost to the file that is left "
              "pages=%d moved=%d detail=\"%s\"",
              n_pages, n_moved,
              code == SQLITE_OK ? "another program reads what was before"
                                : sqlite3_errmsg(writer->db));
    return true;
}

void sqlite_writer_disconnect(struct engine_writer *writer)
{
    for (size_t i = 0; i < writer->mappings->count; i++) {
        sqlite_row_finalize(&writer->rows[i]);
    }
    sqlite_effects_destroy(&writer->effects);
    sqlite_disconnect(writer->db); /* With all other statements. */
    *writer = (struct engine_writer){.database = writer->database,
                                     .mappings = writer->mappings,
                                     .columns = writer->columns,
                                     .cells = writer->cells,
                                     .named = writer->named,
                                     .rows = writer->rows};
}

static void destroy(struct engine_writer *writer)
{
    sqlite_writer_disconnect(writer);
    free(writer->rows);
    free(writer->cells);
    free(writer->named);
    free(writer->columns);
    free(writer);
}

enum err sqlite_writer_open(struct engine_database *database,
                            struct engine_writer **writerp, struct buf *detail)
{
    const struct mappings *mappings = database->mappings;
    const size_t widest = sqlite_widest(mappings);
    struct engine_writer *writer = xmalloc(sizeof(*writer));

    *writer = (struct engine_writer){
        .database = database,
        .mappings = mappings,
        .columns = sqlite_columns_new(mappings),
        .cells = xcalloc(widest, sizeof(*writer->cells)),
        .named = xcalloc(widest, sizeof(*writer->named)),
        .rows = xcalloc(mappings->count, sizeof(*writer->rows)),
    };
    const enum err err = sqlite_writer_connect(writer, detail);
    if (err == ERR_OK) {
        sqlite_gate_join_writer(database);
        *writerp = writer;
    } else {
        destroy(writer);
    }
    return err;
}

void sqlite_writer_close(struct engine_writer *writer)
{
    struct buf ignored = {0};

    if (writer->db != NULL && sqlite_gate_follow(writer, &ignored) == ERR_OK) {
        /* All of the log into the file, if no other program reads it.  If one
         * does, the log stays, and is read at the next start. */
        sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE,
                                  NULL, NULL);
    } else if (writer->db != NULL) { /* It is another's file by now. */
        sqlite3_db_config(writer->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
                          NULL);
    }
    buf_destroy(&ignored);
    destroy(writer);
}
