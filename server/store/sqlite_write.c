/* SPDX-License-Identifier: MIT */
/*
 * The writer's connection: transactions, plain keys, checkpoints.
 *
 * Each write is at most one statement that changes something, and SQLite takes
 * a failed statement back by itself; only groups need a savepoint.  What rolls
 * back more than its statement (a full disk, a trigger that says so) ends the
 * transaction, and apply() and commit() notice that it is gone.
 *
 * Expired plain keys are no keys to anybody; each transaction takes a few out.
 */
#include "server/store/sqlite_internal.h"

#include <stdlib.h>

#include <sqlite3.h>

#include "common/clock.h"
#include "common/mem.h"

/* Pages of 4 KiB that the log grows by between checkpoints: SQLite's own
 * choice for wal_autocheckpoint. */
#define CHECKPOINT_PAGES 1000

/* Expired keys taken out by one transaction: no more than it wrote itself. */
#define PURGE_KEYS "64"

/* ---- transactions ---- */

enum err sqlite_begin(struct engine_writer *writer, struct buf *detail)
{
    const enum err err = sqlite_gate_follow(writer, detail);

    return err == ERR_OK ? sqlite_execute(writer->db, writer->begin, detail)
                         : err;
}

/* Has anybody else committed since the last look? */
static bool look_for_others(struct engine_writer *writer)
{
    int64_t seen = writer->seen_data;

    if (sqlite3_step(writer->data_version) == SQLITE_ROW) {
        seen = sqlite3_column_int64(writer->data_version, 0);
    }
    sqlite3_reset(writer->data_version);
    const bool found = seen != writer->seen_data;
    writer->seen_data = seen;
    return found;
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

/* True if SQLite has rolled the transaction back by itself. */
static bool is_gone(const struct engine_writer *writer, struct buf *detail)
{
    const bool gone = sqlite3_get_autocommit(writer->db) != 0;

    if (gone && detail->size == 0) {
        buf_append_string(detail, "the transaction was rolled back");
    }
    return gone;
}

enum err sqlite_commit(struct engine_writer *writer, struct buf *detail)
{
    if (is_gone(writer, detail)) {
        return ERR_STORE_DOWN;
    }
    sqlite3_bind_int64(writer->plain_purge, 1, clock_wall_ms());
    const enum err err =
        sqlite_execute(writer->db, writer->plain_purge, detail);
    if (err != ERR_OK) {
        return err;
    }
    return sqlite_execute(writer->db, writer->commit, detail);
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

/* ---- groups ---- */

enum err sqlite_begin_group(struct engine_writer *writer, struct buf *detail)
{
    return sqlite_execute(writer->db, writer->group_begin, detail);
}

enum err sqlite_end_group(struct engine_writer *writer, bool keep,
                          struct buf *detail)
{
    enum err err = ERR_OK;

    if (is_gone(writer, detail)) {
        return ERR_STORE_DOWN;
    }
    if (!keep) { /* Takes back, and stays in the savepoint. */
        err = sqlite_execute(writer->db, writer->group_undo, detail);
    }
    return err == ERR_OK ? sqlite_execute(writer->db, writer->group_end, detail)
                         : err;
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

/* ---- plain keys ---- */

static enum err put_plain(struct engine_writer *writer,
                          struct store_write *write, struct buf *detail)
{
    struct sqlite3_stmt *const attempts[] = {writer->plain_update,
                                             writer->plain_insert};
    const int64_t now_ms = clock_wall_ms();

    /* Update a key that lives, else insert it or replace an expired one. */
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
        sqlite_bind_blob(attempts[i], 1, write->key);
        sqlite_bind_blob(attempts[i], 2, write->value);
        if (write->expires_ms != 0) {
            sqlite3_bind_int64(attempts[i], 3, write->expires_ms);
        }
        if (attempts[i] == writer->plain_update) {
            sqlite3_bind_int64(attempts[i], 4, now_ms);
        }
        const enum err err = sqlite_execute(writer->db, attempts[i], detail);
        if (err != ERR_OK) {
            return err;
        }
        if (sqlite3_changes64(writer->db) > 0) {
            write->n_changed = i == 0 ? 1 : 0;
            write->n_created = i == 0 ? 0 : 1;
            break;
        }
    }

    if (write->row != NULL &&
        (write->expires_ms == 0 || write->expires_ms > now_ms)) {
        const struct store_column column = {.type = COLUMN_BLOB,
                                            .bytes = write->value};
        const struct store_row row = {.columns = &column,
                                      .expires_ms = write->expires_ms};
        write->row(write, &row);
    }
    return ERR_OK;
}

static enum err delete_plain(struct engine_writer *writer,
                             struct store_write *write, struct buf *detail)
{
    sqlite_bind_blob(writer->plain_delete, 1, write->key);
    sqlite3_bind_int64(writer->plain_delete, 2, clock_wall_ms());
    const enum err err =
        sqlite_execute(writer->db, writer->plain_delete, detail);
    write->n_changed = err == ERR_OK ? sqlite3_changes64(writer->db) : 0;
    return err;
}

static enum err clear_plain(struct engine_writer *writer,
                            struct store_write *write, struct buf *detail)
{
    const enum err err =
        sqlite_execute(writer->db, writer->plain_clear, detail);
    write->n_changed = err == ERR_OK ? sqlite3_changes64(writer->db) : 0;
    return err;
}

static enum err delete_row(struct engine_writer *writer,
                           struct store_write *write, struct buf *detail)
{
    struct sqlite3_stmt *delete = writer->rows[write->mapping->index].delete;
    int64_t id;

    if (!slice_to_int64(write->key, &id)) {
        return ERR_OK; /* No such row. */
    }
    sqlite3_bind_int64(delete, 1, id);
    const enum err err = sqlite_execute(writer->db, delete, detail);
    write->n_changed = err == ERR_OK ? sqlite3_changes64(writer->db) : 0;
    return err;
}

static enum err dispatch(struct engine_writer *writer,
                         struct store_write *write, struct buf *detail)
{
    switch (write->op) {
    case STORE_PUT_PLAIN:
        return put_plain(writer, write, detail);
    case STORE_DELETE_PLAIN:
        return delete_plain(writer, write, detail);
    case STORE_CLEAR_PLAIN:
        return clear_plain(writer, write, detail);
    case STORE_PUT_ROW:
        return sqlite_put_row(writer, write, detail);
    case STORE_SET_COLUMNS:
        return sqlite_set_columns(writer, write, detail);
    case STORE_DELETE_ROW:
        return delete_row(writer, write, detail);
    case STORE_READ: /* sqlite_decide() has told. */
    case STORE_GROUP:
    case STORE_BARRIER:
        break;
    }
    return ERR_OK;
}

/* SQLite would bind NULL in place of bytes that are too many. */
static enum err check_sizes(struct engine_writer *writer,
                            const struct store_write *write, struct buf *detail)
{
    const size_t max =
        (size_t)sqlite3_limit(writer->db, SQLITE_LIMIT_LENGTH, -1);
    bool fits = write->key.size <= max && write->value.size <= max;

    for (size_t i = 0; i < write->n_fields; i++) {
        fits = fits && write->fields[i].size <= max;
    }
    if (!fits) {
        buf_printf(detail, "the store takes values of at most %zu bytes", max);
    }
    return fits ? ERR_OK : ERR_TOO_BIG;
}

enum err sqlite_apply(struct engine_writer *writer, struct store_write *write,
                      struct buf *detail)
{
    write->n_changed = 0;
    write->n_created = 0;
    write->n_new_fields = 0;

    enum err err = sqlite_check_fit(writer->database, write->mapping, detail);
    if (err == ERR_OK) {
        err = sqlite_decide(writer, write, detail);
    }
    if (err == ERR_OK) {
        err = check_sizes(writer, write, detail);
    }
    if (err == ERR_OK) {
        err = dispatch(writer, write, detail);
    }
    if (is_gone(writer, detail)) {
        err = ERR_STORE_DOWN; /* Of all of the transaction. */
    }
    if (err == ERR_OK && write->applied != NULL &&
        write->n_changed + write->n_created > 0) {
        write->applied(write);
    }
    return err;
}

/* ---- statements ---- */

static enum err prepare_plain(struct engine_writer *w, struct buf *detail)
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
        {"SELECT value, expires_ms FROM bookd_plain WHERE key = ?1 "
         "AND (expires_ms IS NULL OR expires_ms > ?2)",
         &w->plain_get},
        {"UPDATE bookd_plain SET value = ?2, expires_ms = ?3 WHERE key = ?1 "
         "AND (expires_ms IS NULL OR expires_ms > ?4)",
         &w->plain_update},
        {"INSERT INTO bookd_plain(key, value, expires_ms) VALUES(?1, ?2, ?3) "
         "ON CONFLICT(key) DO UPDATE "
         "SET value = excluded.value, expires_ms = excluded.expires_ms",
         &w->plain_insert},
        {"DELETE FROM bookd_plain WHERE key = ?1 "
         "AND (expires_ms IS NULL OR expires_ms > ?2)",
         &w->plain_delete},
        {"DELETE FROM bookd_plain", &w->plain_clear},
        {"DELETE FROM bookd_plain WHERE id IN (SELECT id FROM bookd_plain "
         "WHERE expires_ms <= ?1 LIMIT " PURGE_KEYS ")",
         &w->plain_purge},
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

/* "UPDATE books SET "title" = ?2, … WHERE "id" = ?1", the parameters numbered
 * as the columns are; the key is left out of SET. */
static void append_update(struct buf *sql, const struct mapping *mapping)
{
    const char *separator = " SET ";

    buf_append_string(sql, "UPDATE ");
    sqlite_append_name(sql, mapping->table);
    for (size_t i = 0; i < mapping->n_columns; i++) {
        if (i != mapping->key_index || mapping->n_columns == 1) {
            buf_append_string(sql, separator);
            sqlite_append_name(sql, mapping->columns[i]);
            buf_printf(sql, " = ?%zu", i + 1);
            separator = ", ";
        }
    }
    buf_append_string(sql, " WHERE ");
    sqlite_append_name(sql, mapping->key_column);
    buf_printf(sql, " = ?%zu", mapping->key_index + 1);
}

static void append_insert(struct buf *sql, const struct mapping *mapping)
{
    buf_append_string(sql, "INSERT INTO ");
    sqlite_append_name(sql, mapping->table);
    for (size_t i = 0; i < mapping->n_columns; i++) {
        buf_append_string(sql, i == 0 ? "(" : ", ");
        sqlite_append_name(sql, mapping->columns[i]);
    }
    for (size_t i = 0; i < mapping->n_columns; i++) {
        buf_printf(sql, "%s?%zu", i == 0 ? ") VALUES(" : ", ", i + 1);
    }
    buf_append_char(sql, ')');
}

static void append_delete(struct buf *sql, const struct mapping *mapping)
{
    buf_append_string(sql, "DELETE FROM ");
    sqlite_append_name(sql, mapping->table);
    buf_append_string(sql, " WHERE ");
    sqlite_append_name(sql, mapping->key_column);
    buf_append_string(sql, " = ?1");
}

static enum err prepare_mapping(struct engine_writer *writer,
                                const struct mapping *mapping,
                                struct buf *detail)
{
    struct sqlite_row_writer *row = &writer->rows[mapping->index];
    const struct {
        void (*append)(struct buf *sql, const struct mapping *mapping);
        struct sqlite3_stmt **statement;
    } statements[] = {
        {sqlite_append_select, &row->get},
        {append_update, &row->update},
        {append_insert, &row->insert},
        {append_delete, &row->delete},
    };
    struct buf sql = {0};
    enum err err = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(statements) && err == ERR_OK; i++) {
        buf_clear(&sql);
        statements[i].append(&sql, mapping);
        err = sqlite_prepare(writer->db, buf_string(&sql),
                             statements[i].statement, detail);
    }
    buf_destroy(&sql);
    return err;
}

/* ---- life ---- */

static enum err prepare(struct engine_writer *writer, struct buf *detail)
{
    const struct mappings *mappings = writer->mappings;
    enum err err = prepare_plain(writer, detail);

    if (err == ERR_OK) {
        err = sqlite_log_prepare(writer, detail);
    }
    for (size_t i = 0; i < mappings->count && err == ERR_OK; i++) {
        if (writer->database->misfits[i] == NULL) {
            err = prepare_mapping(writer, &mappings->list[i], detail);
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
        (void)look_for_others(writer); /* From here on. */
    } else {
        sqlite_explain(database->path, err, &reason, detail);
        sqlite_writer_disconnect(writer, false);
    }
    buf_destroy(&reason);
    return err;
}

void sqlite_writer_disconnect(struct engine_writer *writer, bool checkpoint)
{
    if (checkpoint) {
        sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                  NULL, NULL);
    }
    sqlite_disconnect(writer->db); /* With all statements. */
    memset(writer->rows, 0, writer->mappings->count * sizeof(*writer->rows));
    *writer = (struct engine_writer){.database = writer->database,
                                     .mappings = writer->mappings,
                                     .columns = writer->columns,
                                     .cells = writer->cells,
                                     .rows = writer->rows};
}

static void destroy(struct engine_writer *writer)
{
    sqlite_writer_disconnect(writer, false);
    free(writer->rows);
    free(writer->cells);
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
        .columns = xcalloc(widest, sizeof(*writer->columns)),
        .cells = xcalloc(widest, sizeof(*writer->cells)),
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
    if (writer->db != NULL) {
        /* All of the log into the file, if no other program reads it.  If one
         * does, the log stays, and is read at the next start. */
        sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE,
                                  NULL, NULL);
    }
    destroy(writer);
}
