/* SPDX-License-Identifier: MIT */
/*
 * The log of plain keys: what write_log.h needs of the database.
 *
 * A row of bookd_log has all the plain writes of one commit; its pages are
 * written once, one after the other, where those of bookd_plain would be
 * touched all over the file.  Rows go when the table has what they say.
 *
 * The rows of bookd_plain lie in the order of their ids.  So the log is applied
 * in that order too: what is updated together lies together.
 */
#include "server/store/sqlite_internal.h"

#include <sqlite3.h>

static const char schema_sql[] = "CREATE TABLE IF NOT EXISTS bookd_log("
                                 "    seq INTEGER PRIMARY KEY,"
                                 "    writes BLOB NOT NULL"
                                 ") STRICT";

/* Is the file bookd's own, with plain keys in it? */
static enum err is_ours(struct sqlite3 *db, bool *ours, struct buf *detail)
{
    struct sqlite3_stmt *statement = NULL;
    enum err err = sqlite_prepare(db,
                                  "SELECT count(*) FROM sqlite_schema "
                                  "WHERE type = 'table' "
                                  "AND name IN ('bookd_meta', 'bookd_plain')",
                                  &statement, detail);

    *ours = false;
    if (err == ERR_OK && sqlite3_step(statement) == SQLITE_ROW) {
        *ours = sqlite3_column_int(statement, 0) == 2;
    } else if (err == ERR_OK) {
        err = sqlite_failed(db, detail);
    }
    sqlite3_finalize(statement);
    return err;
}

enum err sqlite_log_prepare(struct engine_writer *w, struct buf *detail)
{
    const struct {
        const char *sql;
        struct sqlite3_stmt **statement;
    } statements[] = {
        {"INSERT INTO bookd_log(seq, writes) VALUES(?1, ?2)", &w->log_append},
        {"DELETE FROM bookd_log WHERE seq <= ?1", &w->log_trim},
        {"SELECT id FROM bookd_plain WHERE key = ?1", &w->log_find},
        {"UPDATE bookd_plain SET value = ?3, expires_ms = ?4, type = ?5 "
         "WHERE id = ?1 AND key = ?2",
         &w->log_put},
    };
    bool ours;

    enum err err = is_ours(w->db, &ours, detail);
    if (err != ERR_OK || !ours) {
        return err;
    }
    err = sqlite_run(w->db, schema_sql, detail);
    for (size_t i = 0; i < ARRAY_LEN(statements) && err == ERR_OK; i++) {
        err = sqlite_prepare(w->db, statements[i].sql, statements[i].statement,
                             detail);
    }
    return err == ERR_OK ? sqlite_letters_prepare(w, detail) : err;
}

bool sqlite_log_ready(const struct engine_writer *writer)
{
    return writer->log_append != NULL;
}

enum err sqlite_log_append(struct engine_writer *writer, int64_t seq,
                           struct slice writes, struct buf *detail)
{
    sqlite3_bind_int64(writer->log_append, 1, seq);
    sqlite_bind_blob(writer->log_append, 2, writes);
    return sqlite_execute(writer->db, writer->log_append, detail);
}

enum err sqlite_log_trim(struct engine_writer *writer, int64_t seq,
                         struct buf *detail)
{
    sqlite3_bind_int64(writer->log_trim, 1, seq);
    return sqlite_execute(writer->db, writer->log_trim, detail);
}

enum err sqlite_log_read(struct engine_writer *writer, engine_log_fn *row,
                         void *arg, struct buf *detail)
{
    struct sqlite3_stmt *statement = NULL;
    int code = SQLITE_DONE;

    enum err err = sqlite_prepare(
        writer->db, "SELECT seq, writes FROM bookd_log ORDER BY seq",
        &statement, detail);
    while (err == ERR_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const void *data = sqlite3_column_blob(statement, 1);
        const int size = sqlite3_column_bytes(statement, 1);
        if (data == NULL && size > 0) {
            err = ERR_NOMEM;
            break;
        }
        err = row(arg, sqlite3_column_int64(statement, 0),
                  data == NULL ? SLICE("") : slice_make(data, (size_t)size));
    }
    if (err == ERR_OK && code != SQLITE_DONE) {
        err = sqlite_failed(writer->db, detail);
    }
    sqlite3_finalize(statement);
    return err;
}

enum err sqlite_log_find(struct engine_writer *writer, struct slice key,
                         int64_t *place, struct buf *detail)
{
    enum err err = ERR_OK;

    sqlite_bind_blob(writer->log_find, 1, key);
    const int code = sqlite3_step(writer->log_find);
    if (code == SQLITE_ROW) {
        *place = sqlite3_column_int64(writer->log_find, 0);
    } else if (code == SQLITE_DONE) {
        *place = 0;
    } else {
        err = sqlite_failed(writer->db, detail);
    }
    sqlite3_reset(writer->log_find);
    return err;
}

enum err sqlite_log_put(struct engine_writer *writer,
                        const struct store_write *write, int64_t place,
                        bool *found, struct buf *detail)
{
    struct sqlite3_stmt *put = writer->log_put;

    sqlite3_bind_int64(put, 1, place);
    sqlite_bind_blob(put, 2, write->key);
    sqlite_bind_blob(put, 3, write->value);
    if (write->expires_ms != 0) {
        sqlite3_bind_int64(put, 4, write->expires_ms);
    }
    sqlite_bind_plain_type(put, 5, write->type);
    const enum err err = sqlite_execute(writer->db, put, detail);
    *found = err == ERR_OK && sqlite3_changes64(writer->db) > 0;
    return err;
}
