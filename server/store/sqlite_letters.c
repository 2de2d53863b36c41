/* SPDX-License-Identifier: MIT */
/*
 * Dead letters in a table of their own, in a database that is bookd's.  Whoever
 * opens it with another tool sees which keys they are about, and why; what was
 * to be written is encoded (write_code.h).
 */
#include "server/store/sqlite_internal.h"

#include <sqlite3.h>

#include "server/store/write_code.h"

static const char schema_sql[] = "CREATE TABLE IF NOT EXISTS bookd_deadletter("
                                 "    id INTEGER PRIMARY KEY,"
                                 "    time_ms INTEGER NOT NULL,"
                                 "    key BLOB NOT NULL,"
                                 "    op TEXT NOT NULL,"
                                 "    write BLOB NOT NULL,"
                                 "    error TEXT NOT NULL"
                                 ") STRICT";

enum err sqlite_letters_prepare(struct engine_writer *w, struct buf *detail)
{
    enum err err = sqlite_run(w->db, schema_sql, detail);

    if (err == ERR_OK) {
        err = sqlite_prepare(w->db,
                             "INSERT INTO bookd_deadletter(id, time_ms, key, "
                             "op, write, error) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                             &w->letter_put, detail);
    }
    if (err == ERR_OK) {
        err = sqlite_prepare(
            w->db, "DELETE FROM bookd_deadletter WHERE id BETWEEN ?1 AND ?2",
            &w->letter_drop, detail);
    }
    return err;
}

enum err sqlite_letter_put(struct engine_writer *writer,
                           const struct dead_letter *letter, struct buf *detail)
{
    const struct store_write write = {.op = letter->op,
                                      .value = letter->value,
                                      .fields = letter->fields,
                                      .n_fields = letter->n_fields,
                                      .expires_ms = letter->expires_ms,
                                      .type = letter->type};
    struct buf code = {0};

    if (writer->letter_put == NULL) {
        return ERR_OK; /* Not our file. */
    }
    write_encode(&code, &write, letter->key);
    sqlite3_bind_int64(writer->letter_put, 1, letter->id);
    sqlite3_bind_int64(writer->letter_put, 2, letter->time_ms);
    sqlite_bind_blob(writer->letter_put, 3, letter->key);
    sqlite_bind_text(writer->letter_put, 4,
                     slice_from_string(dead_letter_op(letter->op)));
    sqlite_bind_blob(writer->letter_put, 5, buf_slice(&code));
    sqlite_bind_text(writer->letter_put, 6, letter->detail);
    const enum err err = sqlite_execute(writer->db, writer->letter_put, detail);
    buf_destroy(&code);
    return err;
}

enum err sqlite_letter_drop(struct engine_writer *writer, int64_t first,
                            int64_t last, struct buf *detail)
{
    if (writer->letter_drop == NULL) {
        return ERR_OK;
    }
    sqlite3_bind_int64(writer->letter_drop, 1, first);
    sqlite3_bind_int64(writer->letter_drop, 2, last);
    return sqlite_execute(writer->db, writer->letter_drop, detail);
}

static struct slice bytes_of(struct sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);

    return data == NULL
               ? SLICE("")
               : slice_make(data,
                            (size_t)sqlite3_column_bytes(statement, column));
}

/* The letter that 'statement' stands on; false if it makes no sense. */
static bool take_letter(struct engine_writer *writer,
                        struct sqlite3_stmt *statement,
                        struct dead_letter *letter, struct buf *fields)
{
    struct slice code = bytes_of(statement, 2);
    struct store_write write;
    struct slice id;

    if (!write_decode(&code, &write, fields)) {
        return false;
    }
    *letter = (struct dead_letter){
        .id = sqlite3_column_int64(statement, 0),
        .time_ms = sqlite3_column_int64(statement, 1),
        .op = write.op,
        .key = write.key,
        .value = write.value,
        .fields = write.fields,
        .n_fields = write.n_fields,
        .expires_ms = write.expires_ms,
        .type = write.type,
        .detail = bytes_of(statement, 3),
    };
    if (write.op == STORE_PUT_ROW || write.op == STORE_SET_COLUMNS ||
        write.op == STORE_DELETE_ROW) {
        letter->mapping = mapping_find(writer->mappings, letter->key, &id);
    }
    return true;
}

enum err sqlite_letters_read(struct engine_writer *writer, dead_letter_fn *show,
                             void *arg, struct buf *detail)
{
    struct sqlite3_stmt *statement = NULL;
    struct dead_letter letter;
    struct buf fields = {0};
    int code = SQLITE_DONE;

    if (writer->letter_put == NULL) {
        return ERR_OK;
    }
    enum err err =
        sqlite_prepare(writer->db,
                       "SELECT id, time_ms, write, error FROM bookd_deadletter "
                       "ORDER BY id",
                       &statement, detail);
    while (err == ERR_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (take_letter(writer, statement, &letter, &fields)) {
            show(arg, &letter);
        }
    }
    if (err == ERR_OK && code != SQLITE_DONE) {
        err = sqlite_failed(writer->db, detail);
    }
    sqlite3_finalize(statement);
    buf_destroy(&fields);
    return err;
}
