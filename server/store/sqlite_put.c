/* SPDX-License-Identifier: MIT */
/*
 * JSON objects and fields on their way into a row: into a cell for each column
 * that they name.
 *
 *     STORE_PUT_ROW      the object's members with their JSON types; where there
 *                        is a row, NULL for the columns it does not name
 *     STORE_SET_COLUMNS  the fields, as text; or as blobs, where a column takes
 *                        bytes as they are
 *
 * Which value a column takes is the database's to say: text that looks like a
 * number becomes one in a column of numbers, and may be refused otherwise.
 */
#include "server/store/sqlite_internal.h"

#include <string.h>

#include <sqlite3.h>

/* ---- cells ---- */

void sqlite_cells_clear(struct engine_writer *writer,
                        const struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->n_columns; i++) {
        sqlite3_value_free(writer->cells[i].value);
        sqlite3_value_free(writer->cells[i].now);
        writer->cells[i] = (struct sqlite_cell){0};
    }
}

/* Text for a column of numbers: SQLite reads integers exactly, but not all
 * reals. */
static void bind_number(struct sqlite3_stmt *statement, int index,
                        struct slice text, enum column_affinity affinity)
{
    double real;
    int64_t integer;

    if (sqlite_real_parse(text, &real) &&
        (affinity == AFFINITY_REAL || !slice_to_int64(text, &integer))) {
        sqlite3_bind_double(statement, index, real);
    } else {
        sqlite_bind_text(statement, index, text);
    }
}

static void bind_text(struct sqlite3_stmt *statement, int index,
                      struct slice text, enum column_affinity affinity)
{
    if (affinity == AFFINITY_BLOB) {
        sqlite_bind_blob(statement, index, text);
    } else if (affinity == AFFINITY_TEXT || affinity == AFFINITY_ANY) {
        sqlite_bind_text(statement, index, text);
    } else {
        bind_number(statement, index, text, affinity);
    }
}

enum err sqlite_cells_bind(struct engine_writer *writer,
                           struct sqlite3_stmt *statement,
                           const struct mapping *mapping, struct buf *detail)
{
    for (size_t i = 0; i < mapping->n_columns; i++) {
        const struct sqlite_cell *cell = &writer->cells[i];
        const int index = (int)i + 1;
        if (!writer->named[i] || cell->given == GIVEN_NULL) {
            continue; /* What is not bound is NULL. */
        }
        if (cell->given == GIVEN_TEXT) {
            bind_text(statement, index, cell->text, mapping->affinities[i]);
        } else if (sqlite3_bind_value(statement, index, cell->value) !=
                   SQLITE_OK) { /* No memory for a copy. */
            return sqlite_failed(writer->db, detail);
        }
    }
    return ERR_OK;
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

/* True if 'text' is what the id has for column 'index' of the key. */
static bool is_in_key(const struct store_write *write, size_t index,
                      struct slice text)
{
    const struct mapping *mapping = write->mapping;
    struct slice parts[MAPPING_KEYS_MAX];

    if (text.data == NULL || !mapping_split(mapping, write->key, parts)) {
        return false;
    }
    for (size_t k = 0; k < mapping->n_keys; k++) {
        if (mapping->keys[k].column == index && slice_equal(parts[k], text)) {
            return true;
        }
    }
    return false;
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

static struct slice value_text(struct sqlite3_value *value)
{
    const void *text = sqlite3_value_text(value);

    return slice_make(text, (size_t)sqlite3_value_bytes(value));
}

/* Do two values read the same?  1 and 1.0 do. */
static bool values_equal(struct sqlite3_value *a, struct sqlite3_value *b)
{
    const int types[] = {sqlite3_value_type(a), sqlite3_value_type(b)};

    if (types[0] == SQLITE_FLOAT || types[1] == SQLITE_FLOAT) {
        return sqlite3_value_numeric_type(a) != SQLITE_TEXT &&
               sqlite3_value_numeric_type(b) != SQLITE_TEXT &&
               sqlite3_value_double(a) == sqlite3_value_double(b);
    }
    return types[0] == types[1] && slice_equal(value_text(a), value_text(b));
}

/* Members that name what the write cannot change must be as it is. */
static enum err check_fixed(struct engine_writer *writer,
                            const struct store_write *write, size_t index,
                            struct sqlite3_value *value, struct buf *detail)
{
    const struct mapping *mapping = write->mapping;
    const char *column = mapping->columns[index];
    struct sqlite3_value *now = writer->cells[index].now;

    if (mapping_is_key(mapping, index)) {
        const int type = sqlite3_value_type(value);
        const bool fits = type == SQLITE_INTEGER ||
                          (type == SQLITE_TEXT && !mapping->integer_key);
        if (!fits || !is_in_key(write, index, value_text(value))) {
            buf_printf(detail, "\"%s\" in the object is not the one in the key",
                       column);
            return ERR_INVALID;
        }
    } else if (mapping->generated[index] &&
               (now == NULL || !values_equal(now, value))) {
        buf_printf(detail, "\"%s\" is computed by the database", column);
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* One member of the object, which 'member' stands on, into its cell. */
static enum err take_member(struct engine_writer *writer,
                            const struct store_write *write,
                            struct sqlite3_stmt *member, struct buf *detail)
{
    const struct mapping *mapping = write->mapping;
    const struct slice name =
        slice_make(sqlite3_column_text(member, 0),
                   (size_t)sqlite3_column_bytes(member, 0));
    const char *type = (const char *)sqlite3_column_text(member, 1);
    size_t index;

    enum err err = find_column(mapping, name, &index, detail);
    if (err != ERR_OK) {
        return err;
    }
    const char *column = mapping->columns[index];
    if (strcmp(type, "object") == 0 || strcmp(type, "array") == 0) {
        buf_printf(detail, "\"%s\" is an %s; a column holds a single value",
                   column, type);
        return ERR_INVALID;
    }
    err = check_fixed(writer, write, index, sqlite3_column_value(member, 2),
                      detail);
    if (err != ERR_OK) {
        return err;
    }
    struct sqlite_cell *cell = &writer->cells[index];
    if (cell->given != NOT_GIVEN) {
        buf_printf(detail, "\"%s\" is there twice", column);
        return ERR_INVALID;
    }
    cell->given = GIVEN_VALUE;
    cell->value = sqlite3_value_dup(sqlite3_column_value(member, 2));
    return cell->value == NULL ? ERR_NOMEM : ERR_OK;
}

enum err sqlite_cells_from_object(struct engine_writer *writer,
                                  struct store_write *write,
                                  enum sqlite_found found, struct buf *detail)
{
    const struct mapping *mapping = write->mapping;
    struct sqlite3_stmt *members = writer->json_each;
    enum err err = check_object(writer, write->value, detail);
    int code = SQLITE_ROW;

    if (err != ERR_OK) {
        return err;
    }
    sqlite_bind_text(members, 1, write->value);
    while (err == ERR_OK && (code = sqlite3_step(members)) == SQLITE_ROW) {
        err = take_member(writer, write, members, detail);
    }
    if (err == ERR_OK && code != SQLITE_DONE) {
        err = sqlite_failed(writer->db, detail);
    }
    sqlite3_reset(members);
    sqlite3_clear_bindings(members);

    /* The object replaces all of a row; a new one gets its defaults. */
    for (size_t i = 0; found == FOUND_ROW && i < mapping->n_columns; i++) {
        if (writer->cells[i].given == NOT_GIVEN) {
            writer->cells[i].given = GIVEN_NULL;
        }
    }
    return err;
}

/* ---- fields ---- */

/* True if the column has nothing yet, neither in the row nor by this write. */
static bool is_new(const struct engine_writer *writer, size_t index,
                   enum sqlite_found found)
{
    const enum sqlite_given given = writer->cells[index].given;

    return given != NOT_GIVEN ? given == GIVEN_NULL
                              : found != FOUND_ROW ||
                                    writer->columns[index].type == COLUMN_NULL;
}

static enum err check_field(const struct store_write *write, size_t index,
                            struct slice value, struct buf *detail)
{
    const struct mapping *mapping = write->mapping;
    const char *column = mapping->columns[index];

    if (mapping->generated[index]) {
        buf_printf(detail, "\"%s\" is computed by the database", column);
        return ERR_INVALID;
    }
    if (mapping_is_key(mapping, index) && !is_in_key(write, index, value)) {
        buf_printf(detail, "\"%s\" is %s and cannot be changed", column,
                   mapping->n_keys == 1 ? "the key" : "part of the key");
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err sqlite_cells_from_fields(struct engine_writer *writer,
                                  struct store_write *write,
                                  enum sqlite_found found, struct buf *detail)
{
    for (size_t i = 0; i + 1 < write->n_fields; i += 2) {
        const struct slice value = write->fields[i + 1];
        size_t index;
        enum err err =
            find_column(write->mapping, write->fields[i], &index, detail);
        if (err == ERR_OK) {
            err = check_field(write, index, value, detail);
        }
        if (err != ERR_OK) {
            return err;
        }
        if (value.data != NULL && is_new(writer, index, found)) {
            write->n_new_fields++;
        }
        struct sqlite_cell *cell = &writer->cells[index];
        cell->given = value.data == NULL ? GIVEN_NULL : GIVEN_TEXT;
        cell->text = value; /* The last of several counts. */
    }
    return ERR_OK;
}
