/* SPDX-License-Identifier: MIT */
/*
 * Writes of plain keys, in the table that bookd owns.
 *
 * Expired plain keys are no keys to anybody; each transaction takes a few out.
 */
#include "server/store/sqlite_internal.h"

#include <sqlite3.h>

#include "common/attr.h"
#include "common/clock.h"
#include "server/store/plain_key.h"

/* Expired keys taken out by one transaction: no more than it wrote itself. */
#define PURGE_KEYS "64"

void sqlite_bind_plain_type(struct sqlite3_stmt *statement, int index,
                            enum plain_type type)
{
    if (type == PLAIN_HASH) {
        sqlite_bind_text(statement, index, SLICE("hash"));
    } else {
        sqlite3_bind_null(statement, index);
    }
}

enum plain_type sqlite_plain_type(struct sqlite3_stmt *statement, int column)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL ? PLAIN_STRING
                                                                 : PLAIN_HASH;
}

enum err sqlite_plain_prepare(struct engine_writer *w, struct buf *detail)
{
    const struct {
        const char *sql;
        struct sqlite3_stmt **statement;
    } statements[] = {
        {"SELECT value, expires_ms, type FROM bookd_plain WHERE key = ?1 "
         "AND (expires_ms IS NULL OR expires_ms > ?2)",
         &w->plain_get},
        {"UPDATE bookd_plain SET value = ?2, expires_ms = ?3, type = ?4 "
         "WHERE key = ?1 AND (expires_ms IS NULL OR expires_ms > ?5)",
         &w->plain_update},
        {"INSERT INTO bookd_plain(key, value, expires_ms, type) "
         "VALUES(?1, ?2, ?3, ?4) ON CONFLICT(key) DO UPDATE SET value = "
         "excluded.value, expires_ms = excluded.expires_ms, type = "
         "excluded.type",
         &w->plain_insert},
        {"DELETE FROM bookd_plain WHERE key = ?1 "
         "AND (expires_ms IS NULL OR expires_ms > ?2)",
         &w->plain_delete},
        {"DELETE FROM bookd_plain", &w->plain_clear},
        {"DELETE FROM bookd_plain WHERE key >= ?1 AND key < ?2",
         &w->plain_clear_range},
        {"DELETE FROM bookd_plain WHERE key < x'0001' OR key >= x'01'",
         &w->plain_clear_rest},
        {"DELETE FROM bookd_plain WHERE id IN (SELECT id FROM bookd_plain "
         "WHERE expires_ms <= ?1 LIMIT " PURGE_KEYS ")",
         &w->plain_purge},
    };
    bool exists;
    enum err err = sqlite_table_exists(w->db, "bookd_plain", &exists, detail);

    if (err == ERR_OK && exists) {
        err = sqlite_upgrade_plain(w->db, detail);
    }
    for (size_t i = 0; exists && i < ARRAY_LEN(statements) && err == ERR_OK;
         i++) {
        err = sqlite_prepare(w->db, statements[i].sql, statements[i].statement,
                             detail);
    }
    return err;
}

enum err sqlite_plain_purge(struct engine_writer *writer, struct buf *detail)
{
    if (writer->plain_purge == NULL) {
        return ERR_OK;
    }
    sqlite3_bind_int64(writer->plain_purge, 1, clock_wall_ms());
    return sqlite_execute(writer->db, writer->plain_purge, detail);
}

static enum err put(struct engine_writer *writer, struct store_write *write,
                    struct buf *detail)
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
        sqlite_bind_plain_type(attempts[i], 4, write->type);
        if (attempts[i] == writer->plain_update) {
            sqlite3_bind_int64(attempts[i], 5, now_ms);
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
                                      .expires_ms = write->expires_ms,
                                      .type = write->type};
        write->row(write, &row);
    }
    return ERR_OK;
}

static enum err delete_key(struct engine_writer *writer,
                           struct store_write *write, struct buf *detail)
{
    sqlite_bind_blob(writer->plain_delete, 1, write->key);
    sqlite3_bind_int64(writer->plain_delete, 2, clock_wall_ms());
    const enum err err =
        sqlite_execute(writer->db, writer->plain_delete, detail);
    write->n_changed = err == ERR_OK ? sqlite3_changes64(writer->db) : 0;
    return err;
}

static enum err clear(struct engine_writer *writer, struct store_write *write,
                      struct buf *detail)
{
    struct sqlite3_stmt *statement = writer->plain_clear;
    const unsigned next = plain_key_database(write->key) + 1;
    const char end[] = {next == PLAIN_KEY_DATABASES ? '\1' : '\0',
                        (char)next}; /* Used until the statement was run. */

    if (write->key.size > 0 && plain_key_database(write->key) == 0) {
        statement = writer->plain_clear_rest; /* What is of no other. */
    } else if (write->key.size > 0) {
        statement = writer->plain_clear_range;
        sqlite_bind_blob(statement, 1, write->key);
        sqlite_bind_blob(statement, 2, slice_make(end, sizeof end));
    }
    const enum err err = sqlite_execute(writer->db, statement, detail);
    write->n_changed = err == ERR_OK ? sqlite3_changes64(writer->db) : 0;
    return err;
}

enum err sqlite_plain_write(struct engine_writer *writer,
                            struct store_write *write, struct buf *detail)
{
    if (writer->plain_get == NULL) {
        if (write->op == STORE_CLEAR_PLAIN || write->op == STORE_DELETE_PLAIN) {
            return ERR_OK; /* There are none. */
        }
        buf_append_string(detail, "this file has no table for plain keys; "
                                  "bookd --install-plain-keys makes it");
        return ERR_READONLY;
    }
    switch (write->op) {
    case STORE_PUT_PLAIN:
        return put(writer, write, detail);
    case STORE_DELETE_PLAIN:
        return delete_key(writer, write, detail);
    default:
        return clear(writer, write, detail);
    }
}
