/* SPDX-License-Identifier: MIT */
/*
 * Whether a row is found by its key: what EXPLAIN QUERY PLAN says of the very
 * statement that reads one.  A line "SCAN name" is a table that is read whole,
 * unless the name is of something that the plan has made on its way, which is
 * as short as what was searched for it.
 */
#include "server/store/sqlite_table.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/mem.h"

/* ---- words ---- */

void sqlite_append_key(const struct mapping *mapping, struct buf *out)
{
    for (size_t i = 0; i < mapping->n_keys; i++) {
        buf_printf(out, "%s\"%s\"",
                   i == 0                    ? ""
                   : i + 1 < mapping->n_keys ? ", "
                                             : " and ",
                   mapping->columns[mapping->keys[i].column]);
    }
}

void sqlite_append_key_index(const struct mapping *mapping, const char *kind,
                             const char *table, struct buf *out)
{
    struct buf name = {0};

    buf_printf(&name, "bookd_key_%s", mapping->table);
    buf_printf(out, "CREATE %s ", kind);
    sqlite_append_name(out, buf_string(&name));
    buf_append_string(out, " ON ");
    sqlite_append_name(out, table);
    for (size_t i = 0; i < mapping->n_keys; i++) {
        buf_append_string(out, i == 0 ? "(" : ", ");
        sqlite_append_name(out, mapping->columns[mapping->keys[i].column]);
    }
    buf_append_string(out, ");");
    buf_destroy(&name);
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
static enum err find_scan(const struct sqlite_table *table,
                          const struct mapping *mapping, char **scanned,
                          struct buf *detail)
{
    struct buf sql = {0};
    struct sqlite3_stmt *plan = NULL;
    struct made made = {.n = 0};
    bool more = false;

    *scanned = NULL;
    buf_append_string(&sql, "EXPLAIN QUERY PLAN ");
    sqlite_append_select(&sql, mapping);
    enum err err = sqlite_prepare(table->db, buf_string(&sql), &plan, detail);
    while (err == ERR_OK && *scanned == NULL &&
           (err = sqlite_table_step(table, plan, &more, detail)) == ERR_OK &&
           more) {
        *scanned = judge(sqlite_table_text(plan, 3), &made);
    }
    sqlite3_finalize(plan);
    buf_destroy(&sql);
    for (size_t i = 0; i < made.n; i++) {
        free(made.names[i]);
    }
    return err;
}

/* What to do about a view whose plan reads all of 'scanned': if that is a table
 * with columns of the same names, they are probably what stands behind it. */
static void advise_view(const struct sqlite_table *table,
                        const struct mapping *mapping, const char *scanned,
                        struct buf *detail)
{
    bool found = true;

    for (size_t i = 0; i < mapping->n_keys && found; i++) {
        const char *column = mapping->columns[mapping->keys[i].column];
        found = sqlite3_table_column_metadata(table->db, "main", scanned,
                                              column, NULL, NULL, NULL, NULL,
                                              NULL) == SQLITE_OK;
    }
    if (found) {
        buf_append_string(detail, "; run: ");
        sqlite_append_key_index(mapping, "INDEX", scanned, detail);
    } else {
        buf_append_string(detail, "; create an index on the columns of tables "
                                  "that stand behind it");
    }
}

enum err sqlite_plan_check(const struct sqlite_table *table,
                           const struct mapping *mapping, struct buf *detail)
{
    char *scanned = NULL;
    struct buf reason = {0};
    enum err err = find_scan(table, mapping, &scanned, &reason);

    if (err == ERR_STORE_FOREIGN) {
        buf_printf(detail, "table %s: %s", mapping->table, buf_string(&reason));
        err = ERR_STORE_MAPPING;
    } else {
        buf_append_slice(detail, buf_slice(&reason));
    }
    if (err == ERR_OK && scanned != NULL) {
        buf_printf(detail, "table %s: finding a row by ", mapping->table);
        sqlite_append_key(mapping, detail);
        buf_printf(detail, " would read all of %s", scanned);
        if (mapping->is_view) {
            advise_view(table, mapping, scanned, detail);
        } else {
            buf_append_string(detail, "; run: ");
            sqlite_append_key_index(mapping, "UNIQUE INDEX", mapping->table,
                                    detail);
        }
        err = ERR_STORE_MAPPING;
    }
    free(scanned);
    buf_destroy(&reason);
    return err;
}
