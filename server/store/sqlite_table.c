/* SPDX-License-Identifier: MIT */
#include "server/store/sqlite_table.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/mem.h"

enum err sqlite_table_query(const struct sqlite_table *table, const char *sql,
                            const char *text, struct sqlite3_stmt **statement,
                            struct buf *detail)
{
    const enum err err = sqlite_prepare(table->db, sql, statement, detail);

    if (err == ERR_OK) {
        sqlite_bind_text(*statement, 1, slice_from_string(text));
    }
    return err;
}

enum err sqlite_table_step(const struct sqlite_table *table,
                           struct sqlite3_stmt *statement, bool *more,
                           struct buf *detail)
{
    const int code = sqlite3_step(statement);

    *more = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        return ERR_OK;
    }
    if (sqlite3_errcode(table->db) == SQLITE_ERROR) {
        buf_printf(detail, "table %s: %s", table->name,
                   sqlite3_errmsg(table->db));
        return ERR_STORE_MAPPING;
    }
    return sqlite_failed(table->db, detail);
}

const char *sqlite_table_text(struct sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text == NULL ? "" : text;
}

/* ---- what it is ---- */

static enum sqlite_kind kind_of(const char *type, bool without_rowid)
{
    if (strcmp(type, "view") == 0) {
        return KIND_VIEW;
    }
    if (strcmp(type, "table") != 0) {
        return KIND_OTHER;
    }
    return without_rowid ? KIND_WITHOUT_ROWID : KIND_ROWID;
}

static enum err look_at_key(struct sqlite_table *table, struct buf *detail)
{
    struct sqlite3_stmt *key = NULL;
    bool more;
    enum err err = sqlite_table_query(
        table,
        "SELECT (SELECT count(*) FROM pragma_index_list(?1) "
        "WHERE origin = 'pk'), "
        "(SELECT count(*) FROM pragma_table_xinfo(?1) WHERE pk > 0)",
        table->name, &key, detail);

    if (err == ERR_OK) {
        err = sqlite_table_step(table, key, &more, detail);
        table->has_pk_index = sqlite3_column_int(key, 0) != 0;
        table->n_pk = (size_t)sqlite3_column_int(key, 1);
    }
    sqlite3_finalize(key);
    return err;
}

enum err sqlite_table_look(struct sqlite3 *db, const char *name,
                           struct sqlite_table *table, struct buf *detail)
{
    struct sqlite3_stmt *list = NULL;
    bool found = false;

    *table = (struct sqlite_table){.db = db, .name = name};
    enum err err =
        sqlite_table_query(table,
                           "SELECT type, wr, strict FROM pragma_table_list "
                           "WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
                           name, &list, detail);
    if (err == ERR_OK) {
        err = sqlite_table_step(table, list, &found, detail);
    }
    if (err == ERR_OK && found) {
        table->kind = kind_of(sqlite_table_text(list, 0),
                              sqlite3_column_int(list, 1) != 0);
        table->strict = sqlite3_column_int(list, 2) != 0;
        err = look_at_key(table, detail);
    }
    sqlite3_finalize(list);
    return err;
}

bool sqlite_table_is_rowid(const struct sqlite_table *table, const char *type)
{
    /* INTEGER PRIMARY KEY DESC is not, by an old accident, and has an index. */
    return table->kind == KIND_ROWID && table->n_pk == 1 &&
           !table->has_pk_index && sqlite3_stricmp(type, "INTEGER") == 0;
}

/* ---- its columns ---- */

/* Source: https://sqlite.org/datatype3.html section 3.1. */
static enum column_affinity affinity_of(const char *type, bool strict)
{
    static const struct {
        const char *part;
        enum column_affinity affinity;
    } rules[] = {
        {"INT", AFFINITY_INTEGER}, {"CHAR", AFFINITY_TEXT},
        {"CLOB", AFFINITY_TEXT},   {"TEXT", AFFINITY_TEXT},
        {"BLOB", AFFINITY_BLOB},   {"REAL", AFFINITY_REAL},
        {"FLOA", AFFINITY_REAL},   {"DOUB", AFFINITY_REAL},
    };

    if (type[0] == '\0' || (strict && sqlite3_stricmp(type, "ANY") == 0)) {
        return AFFINITY_ANY;
    }
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (strcasestr(type, rules[i].part) != NULL) {
            return rules[i].affinity;
        }
    }
    return AFFINITY_NUMERIC;
}

void sqlite_table_free_shape(struct table_shape *shape)
{
    for (size_t i = 0; i < shape->n_columns; i++) {
        free(shape->columns[i].name);
    }
    free(shape->columns);
    *shape = (struct table_shape){0};
}

/* The column that 'info' stands on. */
static struct table_column column_of(const struct sqlite_table *table,
                                     struct sqlite3_stmt *info)
{
    const char *type = sqlite_table_text(info, 1);
    const bool in_pk = sqlite3_column_int(info, 2) > 0;

    return (struct table_column){
        .name = xstrdup(sqlite_table_text(info, 0)),
        .affinity = affinity_of(type, table->strict),
        .generated = sqlite3_column_int(info, 3) != 0,
        .only_integers = (in_pk && sqlite_table_is_rowid(table, type)) ||
                         (table->strict && strcasestr(type, "INT") != NULL),
    };
}

enum err sqlite_table_shape(const struct sqlite_table *table,
                            struct table_shape *shape, struct buf *detail)
{
    struct sqlite3_stmt *info = NULL;
    bool more = false;
    enum err err =
        sqlite_table_query(table,
                           "SELECT name, type, pk, hidden "
                           "FROM pragma_table_xinfo(?1) WHERE hidden <> 1",
                           table->name, &info, detail);

    *shape = (struct table_shape){.is_view = table->kind == KIND_VIEW};
    while (err == ERR_OK &&
           (err = sqlite_table_step(table, info, &more, detail)) == ERR_OK &&
           more) {
        shape->columns = xrealloc(shape->columns, (shape->n_columns + 1) *
                                                      sizeof(*shape->columns));
        shape->columns[shape->n_columns++] = column_of(table, info);
    }
    sqlite3_finalize(info);
    if (err != ERR_OK) {
        sqlite_table_free_shape(shape);
    }
    return err;
}
