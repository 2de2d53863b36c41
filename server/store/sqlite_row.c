/* SPDX-License-Identifier: MIT */
/*
 * Writes of rows: one UPDATE, INSERT or DELETE, whichever fits what is there.
 *
 * A statement names exactly the columns that the write does: others keep what
 * they have, or get the table's default in a new row.  So there is one for each
 * such choice of columns, made when it is first needed and kept while it is in
 * use; its text is made of the mapping's names.  What clients send is bound to
 * it and never becomes SQL.
 *
 *     UPDATE "orders" SET "sum" = ?3 WHERE "region" = ?5 AND "no" = ?6
 *     INSERT INTO "orders"("region", "no", "sum") VALUES(?5, ?6, ?3)
 *
 * The parameters are numbered as the columns are; those of the id follow.
 */
#include "server/store/sqlite_internal.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/mem.h"

/* ---- statements ---- */

static int key_parameter(const struct mapping *mapping, size_t key)
{
    return (int)(mapping->n_columns + key) + 1;
}

static void append_update(struct buf *sql, const struct mapping *mapping,
                          const bool *named)
{
    const char *separator = " SET ";

    buf_append_string(sql, "UPDATE ");
    sqlite_append_name(sql, mapping->table);
    for (size_t i = 0; i < mapping->n_columns; i++) {
        if (named[i]) {
            buf_append_string(sql, separator);
            sqlite_append_name(sql, mapping->columns[i]);
            buf_printf(sql, " = ?%zu", i + 1);
            separator = ", ";
        }
    }
    if (separator[0] == ' ') { /* None: the row is written as it is. */
        const char *key = mapping->columns[mapping->keys[0].column];
        buf_append_string(sql, separator);
        sqlite_append_name(sql, key);
        buf_append_string(sql, " = ");
        sqlite_append_name(sql, key);
    }
    sqlite_append_where(sql, mapping, key_parameter(mapping, 0));
}

static void append_insert(struct buf *sql, const struct mapping *mapping,
                          const bool *named)
{
    struct buf values = {0};

    buf_append_string(sql, "INSERT INTO ");
    sqlite_append_name(sql, mapping->table);
    for (size_t k = 0; k < mapping->n_keys; k++) {
        buf_append_string(sql, k == 0 ? "(" : ", ");
        sqlite_append_name(sql, mapping->columns[mapping->keys[k].column]);
        buf_printf(&values, "%s?%d", k == 0 ? ") VALUES(" : ", ",
                   key_parameter(mapping, k));
    }
    for (size_t i = 0; i < mapping->n_columns; i++) {
        if (named[i]) {
            buf_append_string(sql, ", ");
            sqlite_append_name(sql, mapping->columns[i]);
            buf_printf(&values, ", ?%zu", i + 1);
        }
    }
    buf_append_slice(sql, buf_slice(&values));
    buf_append_char(sql, ')');
    buf_destroy(&values);
}

static void append_delete(struct buf *sql, const struct mapping *mapping)
{
    buf_append_string(sql, "DELETE FROM ");
    sqlite_append_name(sql, mapping->table);
    sqlite_append_where(sql, mapping, 1);
}

enum err sqlite_row_prepare(struct engine_writer *writer,
                            const struct mapping *mapping, struct buf *detail)
{
    struct sqlite_row_writer *row = &writer->rows[mapping->index];
    struct buf sql = {0};

    sqlite_append_select(&sql, mapping);
    enum err err =
        sqlite_prepare(writer->db, buf_string(&sql), &row->get, detail);
    if (err == ERR_OK && mapping->writable && !mapping->is_view) {
        buf_clear(&sql);
        append_delete(&sql, mapping);
        err =
            sqlite_prepare(writer->db, buf_string(&sql), &row->delete, detail);
    }
    buf_destroy(&sql);
    return err;
}

static void forget(struct sqlite_choice *choice)
{
    sqlite3_finalize(choice->statement);
    free(choice->named);
    *choice = (struct sqlite_choice){0};
}

void sqlite_row_finalize(struct sqlite_row_writer *row)
{
    for (size_t i = 0; i < SQLITE_CHOICES; i++) {
        forget(&row->choices[i]);
    }
    sqlite3_finalize(row->get);
    sqlite3_finalize(row->delete);
    *row = (struct sqlite_row_writer){0};
}

static bool is_choice(const struct sqlite_choice *choice, bool insert,
                      const bool *named, size_t n_columns)
{
    return choice->statement != NULL && choice->insert == insert &&
           memcmp(choice->named, named, n_columns * sizeof(*named)) == 0;
}

/* The statement that writes the columns of writer->named. */
static enum err choose(struct engine_writer *writer,
                       const struct mapping *mapping, bool insert,
                       struct sqlite3_stmt **statement, struct buf *detail)
{
    struct sqlite_row_writer *row = &writer->rows[mapping->index];
    const size_t bytes = mapping->n_columns * sizeof(*writer->named);
    struct buf sql = {0};

    for (size_t i = 0; i < SQLITE_CHOICES; i++) {
        if (is_choice(&row->choices[i], insert, writer->named,
                      mapping->n_columns)) {
            *statement = row->choices[i].statement;
            return ERR_OK;
        }
    }
    struct sqlite_choice *choice = &row->choices[row->next_choice];
    row->next_choice = (row->next_choice + 1) % SQLITE_CHOICES;
    forget(choice);
    (insert ? append_insert : append_update)(&sql, mapping, writer->named);
    const enum err err = sqlite_prepare(writer->db, buf_string(&sql),
                                        &choice->statement, detail);
    buf_destroy(&sql);
    if (err == ERR_OK) {
        choice->insert = insert;
        choice->named = xmalloc(bytes);
        memcpy(choice->named, writer->named, bytes);
        *statement = choice->statement;
    }
    return err == ERR_STORE_FOREIGN ? ERR_STORE_MAPPING : err;
}

/* ---- running them ---- */

enum err sqlite_statement_failed(struct sqlite3 *db,
                                 struct sqlite3_stmt *statement,
                                 struct buf *detail)
{
    struct sqlite3_stmt *again = NULL;
    struct buf reason = {0};
    enum err err = sqlite_failed(db, detail);

    if (sqlite3_errcode(db) != SQLITE_ERROR) {
        return err;
    }
    /* Does it fail because of what it is, or because of the values?  A function
     * of a trigger or of a generated column may refuse those. */
    err = sqlite_prepare(db, sqlite3_sql(statement), &again, &reason);
    sqlite3_finalize(again);
    buf_destroy(&reason);
    return err == ERR_STORE_FOREIGN ? ERR_STORE_MAPPING
           : err == ERR_OK          ? ERR_CONSTRAINT
                                    : err;
}

static enum err execute(struct engine_writer *writer,
                        struct sqlite3_stmt *statement, int64_t *n_rows,
                        struct buf *detail)
{
    enum err err = ERR_OK;

    if (sqlite3_step(statement) == SQLITE_DONE) {
        *n_rows = sqlite3_changes64(writer->db) > 0 ? 1 : 0;
    } else {
        err = sqlite_statement_failed(writer->db, statement, detail);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return err;
}

/* Updates the row, or inserts one, with what the cells have. */
static enum err store_cells(struct engine_writer *writer,
                            struct store_write *write, bool insert,
                            struct buf *detail)
{
    const struct mapping *mapping = write->mapping;
    struct sqlite3_stmt *statement = NULL;

    for (size_t i = 0; i < mapping->n_columns; i++) {
        writer->named[i] = writer->cells[i].given != NOT_GIVEN &&
                           !mapping->generated[i] &&
                           !mapping_is_key(mapping, i);
    }
    enum err err = choose(writer, mapping, insert, &statement, detail);
    if (err == ERR_OK) {
        err = sqlite_cells_bind(writer, statement, mapping, detail);
    }
    if (err == ERR_OK && !sqlite_bind_id(statement, key_parameter(mapping, 0),
                                         mapping, write->key)) {
        err = ERR_INVALID; /* Cannot be: the row was looked for by it. */
    }
    if (err == ERR_OK) {
        err = execute(writer, statement,
                      insert ? &write->n_created : &write->n_changed, detail);
    }
    return err;
}

/* Tells what the row is now.  The database may have made another one of it: a
 * column converts its value, a trigger does what it likes. */
static enum err read_back(struct engine_writer *writer,
                          struct store_write *write, struct buf *detail)
{
    const struct mapping *mapping = write->mapping;
    struct sqlite3_stmt *get = writer->rows[mapping->index].get;
    enum err err = ERR_OK;

    if (write->row == NULL && (mapping->integer_key || write->n_created == 0)) {
        return ERR_OK;
    }
    (void)!sqlite_bind_id(get, 1, mapping, write->key); /* It can. */
    const int code = sqlite3_step(get);
    if (code == SQLITE_ROW) {
        const struct store_row row = sqlite_row(get, mapping, writer->columns);
        err = sqlite_row_failed(writer->db, detail);
        if (err == ERR_OK &&
            !sqlite_row_is(mapping, writer->columns, write->key)) {
            buf_printf(detail, "%s would store this key as another one",
                       mapping->table);
            err = ERR_INVALID;
        }
        if (err == ERR_OK && write->row != NULL) {
            write->row(write, &row);
        }
    } else if (code != SQLITE_DONE) { /* A trigger may have removed it. */
        err = sqlite_statement_failed(writer->db, get, detail);
    }
    sqlite3_reset(get);
    return err;
}

static enum err put_row(struct engine_writer *writer, struct store_write *write,
                        enum sqlite_found found, struct buf *detail)
{
    const struct mapping *mapping = write->mapping;

    if (found == FOUND_IMPOSSIBLE || found == FOUND_ANOTHER) {
        buf_printf(detail, "no row of %s can have this key%s", mapping->table,
                   mapping->integer_key ? ": it has whole numbers for keys"
                   : found == FOUND_ANOTHER
                       ? ": its columns take it for the one of another row"
                       : "");
        return ERR_INVALID;
    }
    enum err err = write->op == STORE_PUT_ROW
                       ? sqlite_cells_from_object(writer, write, found, detail)
                       : sqlite_cells_from_fields(writer, write, found, detail);
    if (err == ERR_OK) {
        err = store_cells(writer, write, found == FOUND_NOTHING, detail);
    }
    return err == ERR_OK ? read_back(writer, write, detail) : err;
}

static enum err delete_row(struct engine_writer *writer,
                           struct store_write *write, enum sqlite_found found,
                           struct buf *detail)
{
    struct sqlite3_stmt *delete = writer->rows[write->mapping->index].delete;

    if (found != FOUND_ROW ||
        !sqlite_bind_id(delete, 1, write->mapping, write->key)) {
        return ERR_OK; /* No such row. */
    }
    return execute(writer, delete, &write->n_changed, detail);
}

/* ---- the interface ---- */

/* Can rows of the mapping be written at all? */
static enum err check_writable(const struct store_write *write,
                               struct buf *detail)
{
    const struct mapping *mapping = write->mapping;

    if (mapping->is_view) {
        buf_printf(detail, "%s is a view", mapping->table);
    } else if (!mapping->writable) {
        buf_printf(detail, "%s is mapped with 'writable no'", mapping->table);
    } else {
        return ERR_OK;
    }
    return ERR_READONLY;
}

enum err sqlite_row_write(struct engine_writer *writer,
                          struct store_write *write, struct buf *detail)
{
    enum sqlite_found found;
    enum err err = sqlite_row_decide(writer, write, &found, detail);
    if (err == ERR_OK && write->op != STORE_READ) {
        err = check_writable(write, detail);
        if (err == ERR_OK) {
            err = sqlite_check_sizes(writer, write, detail);
        }
        if (err == ERR_OK) {
            err = write->op == STORE_DELETE_ROW
                      ? delete_row(writer, write, found, detail)
                      : put_row(writer, write, found, detail);
        }
    }
    sqlite_cells_clear(writer, write->mapping);
    return err;
}
