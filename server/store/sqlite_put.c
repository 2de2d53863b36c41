/* SPDX-License-Identifier: MIT */
/*
 * JSON objects and fields on their way into a row.
 *
 * Either way the whole row is assembled first, a cell for each column, and
 * then one statement updates it, or inserts it if there was none.  The text of
 * these statements was fixed when they were prepared: what clients send is
 * bound to them and never becomes SQL.
 *
 *     STORE_PUT_ROW      cells from the object's members with their JSON types;
 *                        NULL for a column it does not name
 *     STORE_SET_COLUMNS  cells from the fields, as text; as they were for the
 *                        others
 *
 * Which value a column takes is the database's to say: text that looks like a
 * number becomes one in a column of numbers, and is refused otherwise.
 */
#include "server/store/sqlite_internal.h"

#include <string.h>

#include <sqlite3.h>

/* ---- cells ---- */

static void clear_cells(struct engine_writer *writer,
                        const struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->n_columns; i++) {
        sqlite3_value_free(writer->cells[i].value);
        writer->cells[i] = (struct sqlite_cell){0};
    }
}

/* Fails when a value cannot be copied for want of memory: what is not bound
 * would be NULL. */
NODISCARD
static enum err bind_cells(struct engine_writer *writer,
                           struct sqlite3_stmt *statement,
                           const struct mapping *mapping, int64_t id,
                           struct buf *detail)
{
    const struct sqlite_cell *cells = writer->cells;

    for (size_t i = 0; i < mapping->n_columns; i++) {
        const int index = (int)i + 1;
        if (i == mapping->key_index) {
            sqlite3_bind_int64(statement, index, id);
        } else if (cells[i].is_text) {
            sqlite_bind_text(statement, index, cells[i].text);
        } else if (cells[i].value == NULL) {
            sqlite3_bind_null(statement, index);
        } else if (sqlite3_bind_value(statement, index, cells[i].value) !=
                   SQLITE_OK) {
            return sqlite_failed(writer->db, detail);
        }
    }
    return ERR_OK;
}

enum err sqlite_row_id(const struct store_write *write, int64_t *id,
                       struct buf *detail)
{
    if (slice_to_int64(write->key, id)) {
        return ERR_OK;
    }
    buf_printf(detail, "%s has whole numbers for keys", write->mapping->table);
    return ERR_INVALID;
}

/* Bytes of a wrong name that an error repeats. */
#define NAME_SHOWN 128

/* The index of the column called 'name', or ERR_INVALID. */
static enum err find_column(const struct mapping *mapping, struct slice name,
                            size_t *index, struct buf *detail)
{
    *index = mapping_column(mapping, name);
    if (*index < mapping->n_columns) {
        return ERR_OK;
    }
    buf_printf(detail, "%s has no column ", mapping->table);
    buf_append_json(
        detail,
        slice_make(name.data, name.size < NAME_SHOWN ? name.size : NAME_SHOWN));
    buf_append_string(detail, "; its columns are ");
    for (size_t i = 0; i < mapping->n_columns; i++) {
        buf_append_string(detail, i == 0 ? "" : ", ");
        buf_append_string(detail, mapping->columns[i]);
    }
    return ERR_INVALID;
}

/* ---- writing the assembled row ---- */

static enum err give_row(struct engine_writer *writer,
                         struct store_write *write, int64_t id,
                         struct buf *detail)
{
    struct sqlite3_stmt *get = writer->rows[write->mapping->index].get;
    enum err err = ERR_OK;

    if (write->row == NULL) {
        return ERR_OK;
    }
    sqlite3_bind_int64(get, 1, id);
    const int code = sqlite3_step(get);
    if (code == SQLITE_ROW) {
        const struct store_row row =
            sqlite_row(get, write->mapping, writer->columns);
        err = sqlite_row_failed(writer->db, detail);
        if (err == ERR_OK) {
            write->row(write, &row);
        }
    } else if (code != SQLITE_DONE) { /* A trigger may have removed it. */
        err = sqlite_failed(writer->db, detail);
    }
    sqlite3_reset(get);
    return err;
}

static enum err write_cells(struct engine_writer *writer,
                            struct store_write *write, int64_t id,
                            struct buf *detail)
{
    const struct mapping *mapping = write->mapping;
    const struct sqlite_row_writer *row = &writer->rows[mapping->index];

    enum err err = bind_cells(writer, row->update, mapping, id, detail);
    if (err == ERR_OK) {
        err = sqlite_execute(writer->db, row->update, detail);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (sqlite3_changes64(writer->db) > 0) {
        write->n_changed = 1;
    } else {
        err = bind_cells(writer, row->insert, mapping, id, detail);
        if (err == ERR_OK) {
            err = sqlite_execute(writer->db, row->insert, detail);
        }
        if (err != ERR_OK) {
            return err;
        }
        write->n_created = 1;
    }
    return give_row(writer, write, id, detail);
}

/* ---- JSON objects ---- */

/* True if a string in the JSON text 'json' has a NUL in it, written \u0000:
 * SQLite 3.40 would cut the string there. */
static bool has_escaped_nul(struct slice json)
{
    for (size_t i = 0; i + 1 < json.size; i++) {
        if (json.data[i] == '\\') {
            i++; /* Whatever is escaped, a backslash included. */
            if (json.data[i] == 'u' && json.size - i > 4 &&
                memcmp(&json.data[i + 1], "0000", 4) == 0) {
                return true;
            }
        }
    }
    return false;
}

static enum err check_object(struct engine_writer *writer, struct slice json,
                             struct buf *detail)
{
    struct sqlite3_stmt *statement = writer->json_type;
    enum err err = ERR_INVALID;

    if (json.size > 0 &&
        (memchr(json.data, '\0', json.size) != NULL || has_escaped_nul(json))) {
        buf_append_string(detail, "text with a NUL in it cannot be stored");
        return ERR_INVALID;
    }
    sqlite_bind_text(statement, 1, json);
    if (sqlite3_step(statement) != SQLITE_ROW) {
        err = sqlite_failed(writer->db, detail);
    } else {
        const unsigned char *type = sqlite3_column_text(statement, 0);
        if (type == NULL) {
            buf_append_string(detail, "the value of a record is a JSON object; "
                                      "this is no valid JSON");
        } else if (strcmp((const char *)type, "object") != 0) {
            buf_printf(detail,
                       "the value of a record is a JSON object; this is %s",
                       (const char *)type);
        } else {
            err = ERR_OK;
        }
    }
    sqlite3_reset(statement);
    return err;
}

/* One member of the object, which 'member' stands on, into its cell. */
static enum err take_member(struct engine_writer *writer,
                            const struct mapping *mapping, int64_t id,
                            struct sqlite3_stmt *member, struct buf *detail)
{
    const struct slice name =
        slice_make(sqlite3_column_text(member, 0),
                   (size_t)sqlite3_column_bytes(member, 0));
    const char *type = (const char *)sqlite3_column_text(member, 1);
    size_t index;

    const enum err err = find_column(mapping, name, &index, detail);
    if (err != ERR_OK) {
        return err;
    }
    const char *column = mapping->columns[index];
    if (strcmp(type, "object") == 0 || strcmp(type, "array") == 0) {
        buf_printf(detail, "\"%s\" is an %s; a column holds a single value",
                   column, type);
        return ERR_INVALID;
    }
    if (index == mapping->key_index &&
        (strcmp(type, "integer") != 0 ||
         sqlite3_column_int64(member, 2) != id)) {
        buf_printf(detail, "\"%s\" in the object is not the one in the key",
                   column);
        return ERR_INVALID;
    }
    if (writer->cells[index].value != NULL) {
        buf_printf(detail, "\"%s\" is there twice", column);
        return ERR_INVALID;
    }
    writer->cells[index].value =
        sqlite3_value_dup(sqlite3_column_value(member, 2));
    return writer->cells[index].value == NULL ? ERR_NOMEM : ERR_OK;
}

static enum err take_object(struct engine_writer *writer,
                            const struct store_write *write, int64_t id,
                            struct buf *detail)
{
    struct sqlite3_stmt *members = writer->json_each;
    enum err err = check_object(writer, write->value, detail);
    int code = SQLITE_ROW;

    if (err != ERR_OK) {
        return err;
    }
    sqlite_bind_text(members, 1, write->value);
    while (err == ERR_OK && (code = sqlite3_step(members)) == SQLITE_ROW) {
        err = take_member(writer, write->mapping, id, members, detail);
    }
    if (err == ERR_OK && code != SQLITE_DONE) {
        err = sqlite_failed(writer->db, detail);
    }
    sqlite3_reset(members);
    sqlite3_clear_bindings(members);
    return err;
}

enum err sqlite_put_row(struct engine_writer *writer, struct store_write *write,
                        struct buf *detail)
{
    int64_t id;
    enum err err = sqlite_row_id(write, &id, detail);

    if (err == ERR_OK) {
        err = take_object(writer, write, id, detail);
    }
    if (err == ERR_OK) {
        err = write_cells(writer, write, id, detail);
    }
    clear_cells(writer, write->mapping);
    return err;
}

/* ---- fields ---- */

/* The row as it is, into the cells; all NULL if there is none. */
static enum err load_cells(struct engine_writer *writer,
                           const struct mapping *mapping, int64_t id,
                           struct buf *detail)
{
    struct sqlite3_stmt *get = writer->rows[mapping->index].get;
    enum err err = ERR_OK;

    sqlite3_bind_int64(get, 1, id);
    const int code = sqlite3_step(get);
    if (code == SQLITE_ROW) {
        for (size_t i = 0; i < mapping->n_columns && err == ERR_OK; i++) {
            writer->cells[i].value =
                sqlite3_value_dup(sqlite3_column_value(get, (int)i));
            err = writer->cells[i].value == NULL ? ERR_NOMEM : ERR_OK;
        }
    } else if (code != SQLITE_DONE) {
        err = sqlite_failed(writer->db, detail);
    }
    sqlite3_reset(get);
    return err;
}

static bool is_null(const struct sqlite_cell *cell)
{
    return !cell->is_text && (cell->value == NULL ||
                              sqlite3_value_type(cell->value) == SQLITE_NULL);
}

/* Puts 'value' in, or NULL if it has no data.  Of several the last counts. */
static void set_cell(struct sqlite_cell *cell, struct slice value,
                     int64_t *n_new_fields)
{
    if (value.data != NULL) {
        *n_new_fields += is_null(cell) ? 1 : 0;
        cell->is_text = true;
        cell->text = value;
    } else {
        sqlite3_value_free(cell->value);
        *cell = (struct sqlite_cell){0};
    }
}

static enum err take_fields(struct engine_writer *writer,
                            struct store_write *write, int64_t id,
                            struct buf *detail)
{
    const struct mapping *mapping = write->mapping;

    for (size_t i = 0; i + 1 < write->n_fields; i += 2) {
        const struct slice value = write->fields[i + 1];
        int64_t number;
        size_t index;
        const enum err err =
            find_column(mapping, write->fields[i], &index, detail);
        if (err != ERR_OK) {
            return err;
        }
        if (index == mapping->key_index &&
            (value.data == NULL || !slice_to_int64(value, &number) ||
             number != id)) {
            buf_printf(detail, "\"%s\" is the key and cannot be changed",
                       mapping->key_column);
            return ERR_INVALID;
        }
        set_cell(&writer->cells[index], value, &write->n_new_fields);
    }
    return ERR_OK;
}

enum err sqlite_set_columns(struct engine_writer *writer,
                            struct store_write *write, struct buf *detail)
{
    int64_t id;
    enum err err = sqlite_row_id(write, &id, detail);

    if (err == ERR_OK) {
        err = load_cells(writer, write->mapping, id, detail);
    }
    if (err == ERR_OK) {
        err = take_fields(writer, write, id, detail);
    }
    if (err == ERR_OK) {
        err = write_cells(writer, write, id, detail);
    }
    clear_cells(writer, write->mapping);
    return err;
}
