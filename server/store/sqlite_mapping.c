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
#include "server/store/sqlite_internal.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/mem.h"
#include "server/store/mapping_set.h"

/* ---- small queries ---- */

/* Prepares 'sql' with 'text' as its parameter. */
static enum err prepare(struct sqlite3 *db, const char *sql, const char *text,
                        struct sqlite3_stmt **statement, struct buf *detail)
{
    const enum err err = sqlite_prepare(db, sql, statement, detail);

    if (err == ERR_OK) {
        sqlite_bind_text(*statement, 1, slice_from_string(text));
    }
    return err;
}

/* Steps; ERR_OK at a row and at the end, where '*more' is false. */
static enum err step(struct sqlite3 *db, struct sqlite3_stmt *statement,
                     bool *more, struct buf *detail)
{
    const int code = sqlite3_step(statement);

    *more = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE
               ? ERR_OK
               : sqlite_failed(db, detail);
}

static const char *text_of(struct sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text == NULL ? "" : text;
}

/* ---- what a table is ---- */

enum table_kind {
    TABLE_MISSING,
    TABLE_ROWID,
    TABLE_WITHOUT_ROWID,
    TABLE_VIEW,
    TABLE_OTHER
};

struct table_facts {
    enum table_kind kind;
    bool strict;
    bool has_pk_index; /* The primary key is not the rowid. */
    size_t n_pk;       /* Columns of the primary key. */
};

static enum err look_at_table(struct sqlite3 *db, const char *table,
                              struct table_facts *facts, struct buf *detail)
{
    struct sqlite3_stmt *list = NULL;
    struct sqlite3_stmt *pk = NULL;
    bool more = false;
    enum err err = prepare(db,
                           "SELECT type, wr, strict FROM pragma_table_list "
                           "WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
                           table, &list, detail);

    *facts = (struct table_facts){.kind = TABLE_MISSING};
    if (err == ERR_OK) {
        err = step(db, list, &more, detail);
    }
    if (err == ERR_OK && more) {
        const char *type = text_of(list, 0);
        facts->kind = strcmp(type, "view") == 0          ? TABLE_VIEW
                      : strcmp(type, "table") != 0       ? TABLE_OTHER
                      : sqlite3_column_int(list, 1) != 0 ? TABLE_WITHOUT_ROWID
                                                         : TABLE_ROWID;
        facts->strict = sqlite3_column_int(list, 2) != 0;
        err = prepare(db,
                      "SELECT (SELECT count(*) FROM pragma_index_list(?1) "
                      "WHERE origin = 'pk'), "
                      "(SELECT count(*) FROM pragma_table_xinfo(?1) "
                      "WHERE pk > 0)",
                      table, &pk, detail);
    }
    if (err == ERR_OK && pk != NULL) {
        err = step(db, pk, &more, detail);
        facts->has_pk_index = sqlite3_column_int(pk, 0) != 0;
        facts->n_pk = (size_t)sqlite3_column_int(pk, 1);
    }
    sqlite3_finalize(list);
    sqlite3_finalize(pk);
    return err;
}

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
        return AFFINITY_BLOB;
    }
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (strcasestr(type, rules[i].part) != NULL) {
            return rules[i].affinity;
        }
    }
    return AFFINITY_NUMERIC;
}

/* The column that 'info' stands on is the rowid by another name. */
static bool is_rowid(const struct table_facts *facts, const char *type,
                     bool in_pk)
{
    return facts->kind == TABLE_ROWID && in_pk && facts->n_pk == 1 &&
           !facts->has_pk_index && sqlite3_stricmp(type, "INTEGER") == 0;
}

static void free_shape(struct table_shape *shape)
{
    for (size_t i = 0; i < shape->n_columns; i++) {
        free(shape->columns[i].name);
    }
    free(shape->columns);
}

/* The columns of 'table', those that are computed too. */
static enum err read_shape(struct sqlite3 *db, const char *table,
                           const struct table_facts *facts,
                           struct table_shape *shape, struct buf *detail)
{
    struct sqlite3_stmt *info = NULL;
    bool more = false;
    enum err err = prepare(db,
                           "SELECT name, type, pk, hidden "
                           "FROM pragma_table_xinfo(?1) WHERE hidden <> 1",
                           table, &info, detail);

    *shape = (struct table_shape){.is_view = facts->kind == TABLE_VIEW};
    while (err == ERR_OK && (err = step(db, info, &more, detail)) == ERR_OK &&
           more) {
        const char *type = text_of(info, 1);
        const bool in_pk = sqlite3_column_int(info, 2) > 0;
        shape->columns = xrealloc(shape->columns, (shape->n_columns + 1) *
                                                      sizeof(*shape->columns));
        shape->columns[shape->n_columns++] = (struct table_column){
            .name = xstrdup(text_of(info, 0)),
            .affinity = affinity_of(type, facts->strict),
            .generated = sqlite3_column_int(info, 3) != 0,
            .only_integers = is_rowid(facts, type, in_pk) ||
                             (facts->strict && strcasestr(type, "INT") != NULL),
        };
    }
    if (err != ERR_OK && sqlite3_errcode(db) == SQLITE_ERROR) {
        struct buf words = {0}; /* A view over what is not there. */
        buf_printf(&words, "table %s: %s", table, sqlite3_errmsg(db));
        buf_clear(detail);
        buf_append_slice(detail, buf_slice(&words));
        buf_destroy(&words);
        err = ERR_STORE_MAPPING;
    }
    sqlite3_finalize(info);
    if (err != ERR_OK) {
        free_shape(shape);
    }
    return err;
}

/* ---- what does not fit ---- */

static enum err refuse(const char *table, struct buf *detail, const char *why)
{
    buf_printf(detail, "table %s: %s", table, why);
    return ERR_STORE_MAPPING;
}

static enum err check_kind(const char *table, const struct table_facts *facts,
                           struct buf *detail)
{
    switch (facts->kind) {
    case TABLE_MISSING:
        return refuse(table, detail,
                      "the database has no table or view of this name");
    case TABLE_OTHER:
        return refuse(table, detail,
                      "it is a virtual table, which has no keys; map a view "
                      "or a table");
    default:
        return ERR_OK;
    }
}

/* Do the columns of 'mapping' still exist, as what they were? */
static enum err check_columns(struct sqlite3 *db, const struct mapping *mapping,
                              const struct table_facts *facts,
                              struct buf *detail)
{
    struct table_shape shape;
    enum err err = read_shape(db, mapping->table, facts, &shape, detail);

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
    free_shape(&shape);
    return err;
}

/* ---- keys ---- */

/* "CREATE UNIQUE INDEX "bookd_key_orders" ON "orders"("region", "no")" */
static void append_index(const struct mapping *mapping, struct buf *out)
{
    struct buf name = {0};

    buf_printf(&name, "bookd_key_%s", mapping->table);
    buf_append_string(out, "CREATE UNIQUE INDEX ");
    sqlite_append_name(out, buf_string(&name));
    buf_append_string(out, " ON ");
    sqlite_append_name(out, mapping->table);
    for (size_t i = 0; i < mapping->n_keys; i++) {
        buf_append_string(out, i == 0 ? "(" : ", ");
        sqlite_append_name(out, mapping->columns[mapping->keys[i].column]);
    }
    buf_append_string(out, ");");
    buf_destroy(&name);
}

static void append_key_columns(const struct mapping *mapping, struct buf *out)
{
    for (size_t i = 0; i < mapping->n_keys; i++) {
        buf_printf(out, "%s\"%s\"",
                   i == 0                    ? ""
                   : i + 1 < mapping->n_keys ? ", "
                                             : " and ",
                   mapping->columns[mapping->keys[i].column]);
    }
}

/* Key values are integers and text. */
static enum err check_key_types(const struct mapping *mapping,
                                const struct table_facts *facts,
                                struct sqlite3 *db, struct buf *detail)
{
    for (size_t i = 0; i < mapping->n_keys; i++) {
        const size_t column = mapping->keys[i].column;
        const char *type = NULL;
        const enum column_affinity affinity = mapping->affinities[column];
        if (facts->kind != TABLE_VIEW) {
            sqlite3_table_column_metadata(db, "main", mapping->table,
                                          mapping->columns[column], &type, NULL,
                                          NULL, NULL, NULL);
        }
        if (affinity == AFFINITY_REAL ||
            (affinity == AFFINITY_BLOB && type != NULL && type[0] != '\0' &&
             sqlite3_stricmp(type, "ANY") != 0)) {
            buf_printf(detail,
                       "table %s: column \"%s\" is of type %s; the columns of "
                       "a key hold integers or text",
                       mapping->table, mapping->columns[column],
                       type == NULL ? "REAL" : type);
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
    struct sqlite3_stmt *columns = NULL;
    bool more = false;
    enum err err = prepare(db,
                           "SELECT name, coll FROM pragma_index_xinfo(?1) "
                           "WHERE key",
                           index, &columns, detail);

    *is = true;
    while (err == ERR_OK &&
           (err = step(db, columns, &more, detail)) == ERR_OK && more) {
        /* An expression has no name. */
        *is = *is && is_key_column(db, mapping, text_of(columns, 0),
                                   text_of(columns, 1));
    }
    sqlite3_finalize(columns);
    return err;
}

static enum err has_unique_index(struct sqlite3 *db,
                                 const struct mapping *mapping, bool *has,
                                 struct buf *detail)
{
    struct sqlite3_stmt *indexes = NULL;
    bool more = false;
    enum err err = prepare(db,
                           "SELECT name FROM pragma_index_list(?1) "
                           "WHERE \"unique\" AND NOT partial",
                           mapping->table, &indexes, detail);

    *has = false;
    while (err == ERR_OK && !*has &&
           (err = step(db, indexes, &more, detail)) == ERR_OK && more) {
        err = sqlite_index_is_of_key(db, mapping, text_of(indexes, 0), has,
                                     detail);
    }
    sqlite3_finalize(indexes);
    return err;
}

/* Is the rowid one of the columns of the key? */
static enum err has_rowid(struct sqlite3 *db, const struct mapping *mapping,
                          const struct table_facts *facts, bool *has,
                          struct buf *detail)
{
    struct sqlite3_stmt *pk = NULL;
    bool more = false;

    *has = false;
    if (facts->kind != TABLE_ROWID || facts->n_pk != 1 || facts->has_pk_index) {
        return ERR_OK;
    }
    enum err err = prepare(db,
                           "SELECT name, type FROM pragma_table_xinfo(?1) "
                           "WHERE pk > 0",
                           mapping->table, &pk, detail);
    if (err == ERR_OK) {
        err = step(db, pk, &more, detail);
    }
    if (err == ERR_OK && more && is_rowid(facts, text_of(pk, 1), true)) {
        *has = mapping_is_key(
            mapping,
            mapping_column(mapping, slice_from_string(text_of(pk, 0))));
    }
    sqlite3_finalize(pk);
    return err;
}

static enum err check_unique(struct sqlite3 *db, const struct mapping *mapping,
                             const struct table_facts *facts,
                             struct buf *detail)
{
    bool unique = false;
    enum err err = has_rowid(db, mapping, facts, &unique, detail);

    if (err == ERR_OK && !unique) {
        err = has_unique_index(db, mapping, &unique, detail);
    }
    if (err != ERR_OK || unique) {
        return err;
    }
    buf_printf(detail, "table %s: two rows may have the same ", mapping->table);
    append_key_columns(mapping, detail);
    buf_append_string(detail, ", so it cannot be a key; if no two have, run: ");
    append_index(mapping, detail);
    return ERR_STORE_MAPPING;
}

/* ---- plans ---- */

/* The name behind 'word' in a line of a plan, to be freed; NULL if the line
 * begins differently. */
static char *name_behind(const char *line, const char *word)
{
    const size_t size = strlen(word);

    if (strncmp(line, word, size) != 0) {
        return NULL;
    }
    const char *name = line + size;
    const char *end = strstr(name, " USING ");
    return xslicedup(
        slice_make(name, end == NULL ? strlen(name) : (size_t)(end - name)));
}

/* Names of what a plan makes on its way, such as the rows of a view. */
struct made {
    char *names[64]; /* Owned. */
    size_t n;
};

static bool is_made(const struct made *made, const char *name)
{
    for (size_t i = 0; i < made->n; i++) {
        if (strcmp(made->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* One line of a plan: returns what it reads all of, to be freed, or NULL. */
static char *judge(const char *line, struct made *made)
{
    static const char *const makes[] = {"CO-ROUTINE ", "MATERIALIZE "};

    for (size_t i = 0; i < ARRAY_LEN(makes); i++) {
        char *name = name_behind(line, makes[i]);
        if (name != NULL && made->n < ARRAY_LEN(made->names)) {
            made->names[made->n++] = name;
            return NULL;
        }
        free(name);
    }
    char *name = name_behind(line, "SCAN ");
    if (name != NULL && (strcmp(name, "CONSTANT ROW") == 0 || name[0] == '(' ||
                         is_made(made, name))) {
        free(name); /* Short: what a search has found. */
        return NULL;
    }
    return name;
}

/* The first table that the plan of the statement for one row reads all of, to
 * be freed; NULL if there is none. */
static enum err find_scan(struct sqlite3 *db, const struct mapping *mapping,
                          char **scanned, struct buf *detail)
{
    struct buf sql = {0};
    struct sqlite3_stmt *plan = NULL;
    struct made made = {.n = 0};
    bool more = false;

    *scanned = NULL;
    buf_append_string(&sql, "EXPLAIN QUERY PLAN ");
    sqlite_append_select(&sql, mapping);
    enum err err = sqlite_prepare(db, buf_string(&sql), &plan, detail);
    while (err == ERR_OK && *scanned == NULL &&
           (err = step(db, plan, &more, detail)) == ERR_OK && more) {
        *scanned = judge(text_of(plan, 3), &made);
    }
    sqlite3_finalize(plan);
    buf_destroy(&sql);
    for (size_t i = 0; i < made.n; i++) {
        free(made.names[i]);
    }
    return err;
}

/* What to do about a view whose plan reads all of 'scanned'. */
static void advise_view(struct sqlite3 *db, const struct mapping *mapping,
                        const char *scanned, struct buf *detail)
{
    bool found = true;

    for (size_t i = 0; i < mapping->n_keys; i++) {
        found = found && sqlite3_table_column_metadata(
                             db, "main", scanned,
                             mapping->columns[mapping->keys[i].column], NULL,
                             NULL, NULL, NULL, NULL) == SQLITE_OK;
    }
    if (!found) {
        buf_append_string(detail, "; create an index on the columns of tables "
                                  "that stand behind it");
        return;
    }
    struct buf name = {0};
    buf_printf(&name, "bookd_key_%s", mapping->table);
    buf_append_string(detail, "; run: CREATE INDEX ");
    sqlite_append_name(detail, buf_string(&name));
    buf_append_string(detail, " ON ");
    sqlite_append_name(detail, scanned);
    for (size_t i = 0; i < mapping->n_keys; i++) {
        buf_append_string(detail, i == 0 ? "(" : ", ");
        sqlite_append_name(detail, mapping->columns[mapping->keys[i].column]);
    }
    buf_append_string(detail, ");");
    buf_destroy(&name);
}

static enum err check_plan(struct sqlite3 *db, const struct mapping *mapping,
                           struct buf *detail)
{
    char *scanned = NULL;
    enum err err = find_scan(db, mapping, &scanned, detail);

    if (err == ERR_STORE_FOREIGN) { /* A view over what is not there. */
        struct buf words = {0};
        buf_printf(&words, "table %s: %s", mapping->table, buf_string(detail));
        buf_clear(detail);
        buf_append_slice(detail, buf_slice(&words));
        buf_destroy(&words);
        return ERR_STORE_MAPPING;
    }
    if (err == ERR_OK && scanned != NULL) {
        buf_printf(detail, "table %s: finding a row by ", mapping->table);
        append_key_columns(mapping, detail);
        buf_printf(detail, " would read all of %s", scanned);
        if (mapping->is_view) {
            advise_view(db, mapping, scanned, detail);
        } else {
            buf_append_string(detail, "; run: ");
            append_index(mapping, detail);
        }
        err = ERR_STORE_MAPPING;
    }
    free(scanned);
    return err;
}

/* ---- all of it ---- */

static enum err check(struct sqlite3 *db, const struct mapping *mapping,
                      const struct table_facts *facts, struct buf *detail)
{
    enum err err = check_key_types(mapping, facts, db, detail);

    if (err == ERR_OK && facts->kind != TABLE_VIEW) {
        err = check_unique(db, mapping, facts, detail);
    }
    return err == ERR_OK ? check_plan(db, mapping, detail) : err;
}

enum err sqlite_mapping_check(struct sqlite3 *db, const struct mapping *mapping,
                              struct buf *detail)
{
    struct table_facts facts;
    enum err err = look_at_table(db, mapping->table, &facts, detail);

    if (err == ERR_OK) {
        err = check_kind(mapping->table, &facts, detail);
    }
    if (err == ERR_OK) {
        err = check_columns(db, mapping, &facts, detail);
    }
    return err == ERR_OK ? check(db, mapping, &facts, detail) : err;
}

/* Completes the next draft of 'set'. */
static enum err complete(struct sqlite3 *db, struct mapping_set *set,
                         struct mapping_draft draft, bool may_miss,
                         struct buf *detail)
{
    struct table_facts facts;
    struct table_shape shape = {0};
    const struct mappings *all = mapping_set_mappings(set);
    enum err err = look_at_table(db, draft.table, &facts, detail);

    if (err == ERR_OK && facts.kind == TABLE_MISSING && may_miss) {
        return mapping_set_complete(set, NULL, detail);
    }
    if (err == ERR_OK) {
        err = check_kind(draft.table, &facts, detail);
    }
    if (err == ERR_OK) {
        err = read_shape(db, draft.table, &facts, &shape, detail);
    }
    if (err != ERR_OK) {
        return err;
    }
    err = mapping_set_complete(set, &shape, detail);
    free_shape(&shape);
    return err == ERR_OK ? check(db, &all->list[all->count - 1], &facts, detail)
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
