/* SPDX-License-Identifier: MIT */
/*
 * Lists are searched by halves and shifted to insert: quick enough for the
 * thousands of rows a test has.
 */
#include "tests/support/fake_rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* ---- sorted lists ---- */

struct slice fake_copy_slice(struct slice s)
{
    return slice_make(xslicedup(s), s.size);
}

static void free_slice(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

static int compare(struct slice a, struct slice b)
{
    const size_t size = a.size < b.size ? a.size : b.size;
    const int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Where 'key' is, or belongs; '*found' says which. */
static size_t position(const struct fake_list *list, struct slice key,
                       bool *found)
{
    size_t low = 0;
    size_t high = list->count;

    *found = false;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const int order = compare(list->items[middle]->key, key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct fake_item *fake_list_find(const struct fake_list *list, struct slice key)
{
    bool found;
    const size_t i = position(list, key, &found);

    return found ? list->items[i] : NULL;
}

/* Puts 'item' in; returns what was there under its key, or NULL. */
struct fake_item *fake_list_put(struct fake_list *list, struct fake_item *item)
{
    bool found;
    const size_t i = position(list, item->key, &found);

    if (found) {
        struct fake_item *old = list->items[i];
        list->items[i] = item;
        return old;
    }
    if (list->count == list->places) {
        list->places = list->places == 0 ? 64 : list->places * 2;
        list->items =
            xrealloc(list->items, list->places * sizeof(*list->items));
    }
    memmove(&list->items[i + 1], &list->items[i],
            (list->count - i) * sizeof(*list->items));
    list->items[i] = item;
    list->count++;
    return NULL;
}

struct fake_item *fake_list_take(struct fake_list *list, struct slice key)
{
    bool found;
    const size_t i = position(list, key, &found);

    if (!found) {
        return NULL;
    }
    struct fake_item *item = list->items[i];
    list->count--;
    memmove(&list->items[i], &list->items[i + 1],
            (list->count - i) * sizeof(*list->items));
    return item;
}

void fake_list_free(struct fake_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free_slice(list->items[i]->key);
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct fake_list){0};
}

/* ---- rows ---- */

struct fake_row *fake_row_new(const struct mapping *mapping, struct slice key)
{
    struct fake_row *row = xcalloc(1, sizeof(*row));

    row->item.key = fake_copy_slice(key);
    row->mapping = mapping;
    return row;
}

void fake_row_set(struct fake_value *value, enum column_type type,
                  struct slice bytes)
{
    free_slice(value->bytes);
    value->type = type;
    value->bytes =
        type == COLUMN_NULL ? slice_make(NULL, 0) : fake_copy_slice(bytes);
}

void fake_row_free(struct fake_row *row)
{
    if (row != NULL) {
        for (size_t i = 0; i < FAKE_COLUMNS_MAX; i++) {
            free_slice(row->values[i].bytes);
        }
        free_slice(row->item.key);
        free(row);
    }
}

struct fake_row *fake_row_copy(const struct fake_row *row)
{
    struct fake_row *copy = fake_row_new(row->mapping, row->item.key);

    for (size_t i = 0; i < FAKE_COLUMNS_MAX; i++) {
        fake_row_set(&copy->values[i], row->values[i].type,
                     row->values[i].bytes);
    }
    copy->absent = row->absent;
    copy->expires_ms = row->expires_ms;
    copy->type = row->type;
    return copy;
}

bool fake_row_lives(const struct fake_row *row, int64_t now_ms)
{
    return row != NULL && !row->absent &&
           (row->expires_ms == 0 || row->expires_ms > now_ms);
}

/* Hands 'row' out in the store's terms. */
struct store_row fake_row_show(const struct fake_row *row,
                               struct store_column columns[FAKE_COLUMNS_MAX])
{
    for (size_t i = 0; i < FAKE_COLUMNS_MAX; i++) {
        columns[i] = (struct store_column){
            .type = row->values[i].type,
            .bytes = row->values[i].bytes.size == 0 ? SLICE("")
                                                    : row->values[i].bytes,
        };
    }
    return (struct store_row){.mapping = row->mapping,
                              .columns = columns,
                              .expires_ms = row->expires_ms,
                              .type = row->type};
}

/* ---- values from outside ---- */

/* Makes numbers of the text in the columns that hold only those, as SQLite
 * does, which refuses other text there. */
static enum err take_numbers(struct fake_row *row, struct buf *detail)
{
    for (size_t i = 0; i < row->mapping->n_columns; i++) {
        struct fake_value *value = &row->values[i];
        int64_t number;
        if (row->mapping->affinities[i] != AFFINITY_INTEGER ||
            value->type == COLUMN_NULL) {
            continue;
        }
        if (!slice_to_int64(value->bytes, &number)) {
            buf_printf(detail,
                       "cannot store TEXT value in INTEGER column %s.%s",
                       row->mapping->table, row->mapping->columns[i]);
            return ERR_CONSTRAINT;
        }
        value->type = COLUMN_INTEGER;
    }
    return ERR_OK;
}

static enum err set_named(struct fake_row *row, struct slice name,
                          enum column_type type, struct slice bytes,
                          struct buf *detail)
{
    const size_t column = mapping_column(row->mapping, name);

    if (column == row->mapping->n_columns) {
        buf_printf(detail, "%s has no such column", row->mapping->table);
        return ERR_INVALID;
    }
    const struct slice id =
        slice_make(row->item.key.data + row->mapping->prefix.size,
                   row->item.key.size - row->mapping->prefix.size);
    if (mapping_is_key(row->mapping, column) &&
        (type == COLUMN_NULL || !slice_equal(bytes, id))) {
        buf_printf(detail, "\"%s\" is the key and cannot be changed",
                   row->mapping->columns[column]);
        return ERR_INVALID;
    }
    fake_row_set(&row->values[column], type, bytes);
    return ERR_OK;
}

/* Cuts the next token off '*text': a string without its quotes, a word or
 * number, or one character.  False at the end. */
static bool next_token(struct slice *text, struct slice *token, bool *string)
{
    size_t i = 0;

    while (i < text->size && strchr(" \t\r\n", text->data[i]) != NULL) {
        i++;
    }
    *text = slice_make(text->data + i, text->size - i);
    if (text->size == 0) {
        return false;
    }
    *string = text->data[0] == '"';
    i = 1;
    if (*string) {
        while (i < text->size && text->data[i] != '"') {
            i++;
        }
        *token = slice_make(text->data + 1, i - 1);
        i += i < text->size ? 1 : 0;
    } else {
        while (strchr("{}:,", text->data[0]) == NULL && i < text->size &&
               strchr(" \t\r\n{}:,", text->data[i]) == NULL) {
            i++;
        }
        *token = slice_make(text->data, i);
    }
    *text = slice_make(text->data + i, text->size - i);
    return true;
}

enum err fake_row_set_object(struct fake_row *row, struct slice text,
                             struct buf *detail)
{
    struct slice token;
    struct slice name = {0};
    bool string;
    size_t n_tokens = 0;
    enum err err = ERR_OK;

    if (text.size < 2 || text.data[0] != '{' ||
        text.data[text.size - 1] != '}') {
        buf_append_string(detail, "the value of a record is a JSON object");
        return ERR_INVALID;
    }
    text = slice_make(text.data + 1, text.size - 2);
    /* name : value , name : value */
    while (err == ERR_OK && next_token(&text, &token, &string)) {
        if (n_tokens % 4 == 0) {
            name = token;
        } else if (n_tokens % 4 == 2) {
            const bool null = !string && slice_equal(token, SLICE("null"));
            err = set_named(row, name, null ? COLUMN_NULL : COLUMN_TEXT, token,
                            detail);
        }
        n_tokens++;
    }
    return err == ERR_OK ? take_numbers(row, detail) : err;
}

enum err fake_row_set_fields(struct fake_row *row, struct store_write *write,
                             struct buf *detail)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i + 1 < write->n_fields && err == ERR_OK; i += 2) {
        const size_t column = mapping_column(row->mapping, write->fields[i]);
        const struct slice value = write->fields[i + 1];
        if (column < row->mapping->n_columns && value.data != NULL &&
            row->values[column].type == COLUMN_NULL) {
            write->n_new_fields++;
        }
        err = set_named(row, write->fields[i],
                        value.data == NULL ? COLUMN_NULL : COLUMN_TEXT, value,
                        detail);
    }
    return err == ERR_OK ? take_numbers(row, detail) : err;
}
