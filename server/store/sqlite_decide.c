/* SPDX-License-Identifier: MIT */
/*
 * What is there before a write, for those that want to know: decide() and
 * reads inside the transaction.
 *
 * The row is shown while its statement stands on it, and the statement is
 * reset before anything is written.
 */
#include "server/store/sqlite_internal.h"

#include <sqlite3.h>

#include "common/clock.h"

/* The statement that finds what 'write' is about, bound; NULL if no row can
 * have that id. */
static struct sqlite3_stmt *bind_get(struct engine_writer *writer,
                                     const struct store_write *write)
{
    struct sqlite3_stmt *get;
    int64_t id;

    if (write->mapping == NULL) {
        sqlite_bind_blob(writer->plain_get, 1, write->key);
        sqlite3_bind_int64(writer->plain_get, 2, clock_wall_ms());
        return writer->plain_get;
    }
    if (!slice_to_int64(write->key, &id)) {
        return NULL;
    }
    get = writer->rows[write->mapping->index].get;
    sqlite3_bind_int64(get, 1, id);
    return get;
}

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

static enum err show_row(struct engine_writer *writer,
                         struct store_write *write,
                         struct sqlite3_stmt *statement, struct buf *detail)
{
    struct store_row now =
        sqlite_row(statement, write->mapping, writer->columns);

    if (write->mapping == NULL) {
        now.expires_ms = sqlite3_column_int64(statement, 1);
    }
    const enum err err = sqlite_row_failed(writer->db, detail);
    return err == ERR_OK ? show(write, &now, detail) : err;
}

enum err sqlite_decide(struct engine_writer *writer, struct store_write *write,
                       struct buf *detail)
{
    enum err err;

    if (write->decide == NULL && write->op != STORE_READ) {
        return ERR_OK;
    }
    struct sqlite3_stmt *get =
        write->op == STORE_CLEAR_PLAIN ? NULL : bind_get(writer, write);
    if (get == NULL) {
        return show(write, NULL, detail);
    }
    const int code = sqlite3_step(get);
    if (code == SQLITE_ROW) {
        err = show_row(writer, write, get, detail);
    } else if (code == SQLITE_DONE) {
        err = show(write, NULL, detail);
    } else {
        err = sqlite_failed(writer->db, detail);
    }
    sqlite3_reset(get);
    return err;
}
