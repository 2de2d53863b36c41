/* SPDX-License-Identifier: MIT */
/*
 * Mappings held against the schema of a file: which columns a table has, and
 * whether its rows can be found by their keys.
 *
 * A key must be unique, or two rows would answer to it: the rowid, or a UNIQUE
 * index, whole and with the collations of the columns, over columns of the key
 * and no others.  And a row must be found without reading the others: the
 * plan of the very statement that reads a row must be searches alone.  Of a
 * view only the plan can be judged.
 */
#include "server/store/sqlite_table.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

/* ---- what does not fit ---- */

static enum err refuse(const char *table, struct buf *detail, const char *why)
{
    buf_printf(detail, "table %s: %s", table, why);
    return ERR_STORE_MAPPING;
}

static enum err check_kind(const struct sqlite_table *table, struct buf *detail)
{
    switch (table->kind) {
    case KIND_MISSING:
        return refuse(table->name, detail,
                      "the database has no table or view of this name");
    case KIND_OTHER:
        return refuse(table->name, detail,
                      "it is a virtual table, which has no keys; map a view "
                      "or a table");
    default:
        return ERR_OK;
    }
}

/* Do the columns of 'mapping' still exist, as what they were? */
static enum err check_columns(const struct sqlite_table *table,
                              const struct mapping *mapping, struct buf *detail)
{
    struct table_shape shape;
    enum err err = sqlite_table_shape(table, &shape, detail);

    if (err != ERR_OK) {
        return err;
    }
    if (shape.is_view != mapping->is_view) {
        err = refuse(mapping->table, detail,
                     "it has become another kind of table; start bookd again");
    }
    size_t at = 0; /* Mostly in the order of the table. */
    for (size_t i = 0; i < mapping->n_columns && err == ERR_OK; i++) {
        size_t tried = 0;
        while (tried < shape.n_columns &&
               sqlite3_stricmp(shape.columns[at % shape.n_columns].name,
                               mapping->columns[i]) != 0) {
            at++;
            tried++;
        }
        if (tried == shape.n_columns) {
            buf_printf(detail, "table %s: it has no column \"%s\"",
                       mapping->table, mapping->columns[i]);
            err = ERR_STORE_MAPPING;
            continue;
        }
        const struct table_column *is = &shape.columns[at % shape.n_columns];
        if (is->affinity != mapping->affinities[i] ||
            is->generated != mapping->generated[i] ||
            (mapping->integer_key && mapping_is_key(mapping, i) &&
             !is->only_integers)) {
            buf_printf(detail,
                       "table %s: column \"%s\" has become another; start "
                       "bookd again",
                       mapping->table, mapping->columns[i]);
            err = ERR_STORE_MAPPING;
        }
    }
    sqlite_table_free_shape(&shape);
    return err;
}

/* ---- keys ---- */

/* Key values are integers and text. */
static enum err check_key_types(const struct sqlite_table *table,
                                const struct mapping *mapping,
                                struct buf *detail)
{
    for (size_t i = 0; i < mapping->n_keys; i++) {
        const size_t column = mapping->keys[i].column;
        const char *type = NULL;
        const enum column_affinity affinity = mapping->affinities[column];
        if (table->kind != KIND_VIEW) {
            sqlite3_table_column_metadata(table->db, "main", mapping->table,
                                          mapping->columns[column], &type, NULL,
                                          NULL, NULL, NULL);
        }
        if (affinity == AFFINITY_REAL || affinity == AFFINITY_BLOB) {
            buf_printf(detail,
                       "table %s: column \"%s\" is of type %s; the columns of "
                       "a key hold integers or text",
                       mapping->table, mapping->columns[column],
                       type != NULL                ? type
                       : affinity == AFFINITY_REAL ? "REAL"
                                                   : "BLOB");
            return ERR_STORE_MAPPING;
        }
    }
    return ERR_OK;
}

/* The column of 'mapping' called 'name', if it is one of the key's, compared
 * there by 'collation'. */
static bool is_key_column(struct sqlite3 *db, const struct mapping *mapping,
                          const char *name, const char *collation)
{
    const char *own = NULL;

    for (size_t i = 0; i < mapping->n_keys; i++) {
        const char *column = mapping->columns[mapping->keys[i].column];
        if (sqlite3_stricmp(column, name) == 0) {
            return sqlite3_table_column_metadata(db, "main", mapping->table,
                                                 column, NULL, &own, NULL, NULL,
                                                 NULL) == SQLITE_OK &&
                   sqlite3_stricmp(own, collation) == 0;
        }
    }
    return false;
}

enum err sqlite_index_is_of_key(struct sqlite3 *db,
                                const struct mapping *mapping,
                                const char *index, bool *is, struct buf *detail)
{
    const struct sqlite_table table = {.db = db, .name = mapping->table};
    struct sqlite3_stmt *columns = NULL;
    bool more = false;
    enum err err = sqlite_table_query(&table,
                                      "SELECT name, coll "
                                      "FROM pragma_index_xinfo(?1) WHERE key",
                                      index, &columns, detail);

    *is = true;
    while (err == ERR_OK &&
           (err = sqlite_table_step(&table, columns, &more, detail)) ==
               ERR_OK &&
           more) {
        /* An expression has no name. */
        *is = *is && is_key_column(db, mapping, sqlite_table_text(columns, 0),
                                   sqlite_table_text(columns, 1));
    }
    sqlite3_finalize(columns);
    return err;
}

static enum err has_unique_index(const struct sqlite_table *table,
                                 const struct mapping *mapping, bool *has,
                                 struct buf *detail)
{
    struct sqlite3_stmt *indexes = NULL;
    bool more = false;
    enum err err = sqlite_table_query(table,
                                      "SELECT name FROM pragma_index_list(?1) "
                                      "WHERE \"unique\" AND NOT partial",
                                      table->name, &indexes, detail);

    *has = false;
    while (err == ERR_OK && !*has &&
           (err = sqlite_table_step(table, indexes, &more, detail)) == ERR_OK &&
           more) {
        err = sqlite_index_is_of_key(
            table->db, mapping, sqlite_table_text(indexes, 0), has, detail);
    }
    sqlite3_finalize(indexes);
    return err;
}

/* Is the rowid one of the columns of the key? */
static enum err has_rowid(const struct sqlite_table *table,
                          const struct mapping *mapping, bool *has,
                          struct buf *detail)
{
    struct sqlite3_stmt *pk = NULL;
    bool more = false;
    enum err err = sqlite_table_query(table,
                                      "SELECT name, type "
                                      "FROM pragma_table_xinfo(?1) "
                                      "WHERE pk > 0",
                                      table->name, &pk, detail);

    *has = false;
    if (err == ERR_OK) {
        err = sqlite_table_step(table, pk, &more, detail);
    }
    if (err == ERR_OK && more &&
        sqlite_table_is_rowid(table, sqlite_table_text(pk, 1))) {
        const struct slice name = slice_from_string(sqlite_table_text(pk, 0));
        *has = mapping_is_key(mapping, mapping_column(mapping, name));
    }
    sqlite3_finalize(pk);
    return err;
}

static enum err check_unique(const struct sqlite_table *table,
                             const struct mapping *mapping, struct buf *detail)
{
    bool unique = false;
    enum err err = has_rowid(table, mapping, &unique, detail);

    if (err == ERR_OK && !unique) {
        err = has_unique_index(table, mapping, &unique, detail);
    }
    if (err != ERR_OK || unique) {
        return err;
    }
    buf_printf(detail, "table %s: two rows may have the same ", mapping->table);
    sqlite_append_key(mapping, detail);
    buf_append_string(detail, ", so it cannot be a key; if no two have, run: ");
    sqlite_append_key_index(mapping, "UNIQUE INDEX", mapping->table, detail);
    return ERR_STORE_MAPPING;
}

/* ---- all of it ---- */

static enum err check(const struct sqlite_table *table,
                      const struct mapping *mapping, struct buf *detail)
{
    enum err err = check_key_types(table, mapping, detail);

    if (err == ERR_OK && table->kind != KIND_VIEW) {
        err = check_unique(table, mapping, detail);
    }
    return err == ERR_OK ? sqlite_plan_check(table, mapping, detail) : err;
}

enum err sqlite_mapping_check(struct sqlite3 *db, const struct mapping *mapping,
                              struct buf *detail)
{
    struct sqlite_table table;
    enum err err = sqlite_table_look(db, mapping->table, &table, detail);

    if (err == ERR_OK) {
        err = check_kind(&table, detail);
    }
    if (err == ERR_OK) {
        err = check_columns(&table, mapping, detail);
    }
    return err == ERR_OK ? check(&table, mapping, detail) : err;
}

/* Completes the next draft of 'set'. */
static enum err complete(struct sqlite3 *db, struct mapping_set *set,
                         struct mapping_draft draft, bool may_miss,
                         struct buf *detail)
{
    const struct mappings *all = mapping_set_mappings(set);
    struct sqlite_table table;
    struct table_shape shape = {0};
    enum err err = sqlite_table_look(db, draft.table, &table, detail);

    if (err == ERR_OK && table.kind == KIND_MISSING && may_miss) {
        return mapping_set_complete(set, NULL, detail);
    }
    if (err == ERR_OK) {
        err = check_kind(&table, detail);
    }
    if (err == ERR_OK) {
        err = sqlite_table_shape(&table, &shape, detail);
    }
    if (err == ERR_OK) {
        err = mapping_set_complete(set, &shape, detail);
    }
    sqlite_table_free_shape(&shape);
    return err == ERR_OK ? check(&table, &all->list[all->count - 1], detail)
                         : err;
}

enum err sqlite_mappings_complete(struct sqlite3 *db, struct mapping_set *set,
                                  bool foreign, struct buf *detail)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < mapping_set_count(set) && err == ERR_OK; i++) {
        const struct mapping_draft draft = mapping_set_draft(set, i);
        err = complete(db, set, draft, foreign && draft.is_builtin, detail);
    }
    return err;
}
