/* SPDX-License-Identifier: MIT */
/*
 * What is there before a write: decide(), and reads inside the transaction.
 *
 * The row is shown while its statement stands on it, and the statement is
 * reset before anything is written.
 */
#include "server/store/sqlite_internal.h"

#include <sqlite3.h>

#include "common/clock.h"

/* Tells 'write' of 'now', which is NULL if there is nothing. */
static enum err show(struct store_write *write, const struct store_row *now,
                     struct buf *detail)
{
    if (write->decide != NULL) {
        const enum err err = write->decide(write, now, detail);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (write->op == STORE_READ && write->row != NULL && now != NULL) {
        write->row(write, now);
    }
    return ERR_OK;
}

/* ---- plain keys ---- */

enum err sqlite_plain_decide(struct engine_writer *writer,
                             struct store_write *write, struct buf *detail)
{
    struct sqlite3_stmt *get = writer->plain_get;
    enum err err;

    if (write->decide == NULL && write->op != STORE_READ) {
        return ERR_OK;
    }
    if (write->op == STORE_CLEAR_PLAIN || get == NULL) {
        return show(write, NULL, detail);
    }
    sqlite_bind_blob(get, 1, write->key);
    sqlite3_bind_int64(get, 2, clock_wall_ms());
    const int code = sqlite3_step(get);
    if (code == SQLITE_ROW) {
        struct store_row now = sqlite_row(get, NULL, writer->columns);
        now.expires_ms = sqlite3_column_int64(get, 1);
        now.type = sqlite_plain_type(get, 2);
        err = sqlite_row_failed(writer->db, detail);
        err = err == ERR_OK ? show(write, &now, detail) : err;
    } else if (code == SQLITE_DONE) {
        err = show(write, NULL, detail);
    } else {
        err = sqlite_failed(writer->db, detail);
    }
    sqlite3_reset(get);
    return err;
}

/* ---- rows ---- */

/* Keeps the generated columns: an object may name them as they are. */
static enum err keep_generated(struct engine_writer *writer,
                               const struct store_write *write,
                               struct sqlite3_stmt *get)
{
    const struct mapping *mapping = write->mapping;

    for (size_t i = 0; i < mapping->n_columns; i++) {
        if (mapping->generated[i] && write->op == STORE_PUT_ROW) {
            struct sqlite3_value *value = sqlite3_column_value(get, (int)i);
            writer->cells[i].now = sqlite3_value_dup(value);
            if (writer->cells[i].now == NULL) {
                return ERR_NOMEM;
            }
        }
    }
    return ERR_OK;
}

/* 'get' stands on a row. */
static enum err take_row(struct engine_writer *writer,
                         struct store_write *write, struct sqlite3_stmt *get,
                         enum sqlite_found *found, struct buf *detail)
{
    const struct store_row now =
        sqlite_row(get, write->mapping, writer->columns);
    enum err err = sqlite_row_failed(writer->db, detail);

    if (err != ERR_OK) {
        return err;
    }
    if (!sqlite_row_is(write->mapping, writer->columns, write->key)) {
        *found = FOUND_ANOTHER;
        return show(write, NULL, detail);
    }
    *found = FOUND_ROW;
    err = show(write, &now, detail);
    return err == ERR_OK ? keep_generated(writer, write, get) : err;
}

enum err sqlite_row_decide(struct engine_writer *writer,
                           struct store_write *write, enum sqlite_found *found,
                           struct buf *detail)
{
    struct sqlite3_stmt *get = writer->rows[write->mapping->index].get;
    enum err err;

    *found = FOUND_NOTHING;
    if (!sqlite_bind_id(get, 1, write->mapping, write->key)) {
        *found = FOUND_IMPOSSIBLE;
        return show(write, NULL, detail);
    }
    const int code = sqlite3_step(get);
    if (code == SQLITE_ROW) {
        err = take_row(writer, write, get, found, detail);
    } else if (code == SQLITE_DONE) {
        err = show(write, NULL, detail);
    } else {
        err = sqlite_statement_failed(writer->db, get, detail);
    }
    sqlite3_reset(get);
    return err;
}
