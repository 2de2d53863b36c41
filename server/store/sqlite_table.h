/* SPDX-License-Identifier: MIT */
/*
 * What the schema of a file says of one table or view: looked up when mappings
 * are completed or checked, and forgotten after that.
 *
 * Thread-safety: that of the connection.
 */
#ifndef SERVER_STORE_SQLITE_TABLE_H
#define SERVER_STORE_SQLITE_TABLE_H

#include "server/store/mapping_set.h"
#include "server/store/sqlite_internal.h"

enum sqlite_kind {
    KIND_MISSING,
    KIND_ROWID,
    KIND_WITHOUT_ROWID,
    KIND_VIEW,
    KIND_OTHER /* A virtual table, or part of one. */
};

struct sqlite_table {
    struct sqlite3 *db;
    const char *name; /* Borrowed. */
    enum sqlite_kind kind;
    bool strict;
    bool has_pk_index; /* The primary key is not the rowid. */
    size_t n_pk;       /* Columns of the primary key. */
};

/* Looks up the table called 'name'; one that is not there is KIND_MISSING.  Here
 * and below, what the schema itself makes impossible, such as a view over what
 * is not there, is ERR_STORE_MAPPING, with a sentence. */
NODISCARD
enum err sqlite_table_look(struct sqlite3 *db, const char *name,
                           struct sqlite_table *table, struct buf *detail);

/* Its columns, those that are computed too. */
NODISCARD
enum err sqlite_table_shape(const struct sqlite_table *table,
                            struct table_shape *shape, struct buf *detail);
void sqlite_table_free_shape(struct table_shape *shape);

/* True if a column of declared type 'type' that is in the primary key is the
 * rowid by another name. */
bool sqlite_table_is_rowid(const struct sqlite_table *table, const char *type);

/* A statement about the table, with 'text' as its parameter. */
NODISCARD
enum err sqlite_table_query(const struct sqlite_table *table, const char *sql,
                            const char *text, struct sqlite3_stmt **statement,
                            struct buf *detail);
/* Steps it: ERR_OK at a row, and at the end, where '*more' is false. */
NODISCARD
enum err sqlite_table_step(const struct sqlite_table *table,
                           struct sqlite3_stmt *statement, bool *more,
                           struct buf *detail);
/* The text in a column of its row; "" for NULL. */
const char *sqlite_table_text(struct sqlite3_stmt *statement, int column);

/* ---- sqlite_plan.c ---- */

/* Is a row of 'mapping' found without reading all others?  ERR_STORE_MAPPING if
 * not, and 'detail' says what to do. */
NODISCARD
enum err sqlite_plan_check(const struct sqlite_table *table,
                           const struct mapping *mapping, struct buf *detail);

/* Appends the columns of the key: ""region" and "no"". */
void sqlite_append_key(const struct mapping *mapping, struct buf *out);

/* Appends a statement that makes an index over the columns of the key: "CREATE
 * UNIQUE INDEX "bookd_key_orders" ON "orders"("region", "no");" */
void sqlite_append_key_index(const struct mapping *mapping, const char *kind,
                             const char *table, struct buf *out);

#endif
