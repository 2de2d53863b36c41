/* SPDX-License-Identifier: MIT */
/*
 * The rows of the fake store: sorted lists, rows of text, and the plainest of
 * JSON.
 *
 * Rows in a list never change; who wants another replaces them.
 *
 * Thread-safety: none; the fake store's lock is held around all of it.
 */
#ifndef TESTS_SUPPORT_FAKE_ROWS_H
#define TESTS_SUPPORT_FAKE_ROWS_H

#include "server/store/store.h"

#define FAKE_COLUMNS_MAX 8

/* What a sorted list holds: something that begins with its key. */
struct fake_item {
    struct slice key; /* Owned. */
};

struct fake_list {
    struct fake_item **items; /* By key. */
    size_t count;
    size_t places;
};

struct fake_value {
    enum column_type type;
    struct slice bytes; /* Owned. */
};

struct fake_row {
    struct fake_item item;
    bool absent;                   /* In a transaction: to be removed. */
    const struct mapping *mapping; /* NULL: a plain key, one value. */
    struct fake_value values[FAKE_COLUMNS_MAX];
    int64_t expires_ms;
    enum plain_type type; /* Plain keys. */
};

/* A copy of the bytes, with a NUL behind them; of the caller. */
struct slice fake_copy_slice(struct slice s);

/* ---- lists ---- */

struct fake_item *fake_list_find(const struct fake_list *list,
                                 struct slice key);
/* Puts 'item' in; returns what was there under its key, or NULL. */
struct fake_item *fake_list_put(struct fake_list *list, struct fake_item *item);
/* Takes an item out; NULL if it was not there. */
struct fake_item *fake_list_take(struct fake_list *list, struct slice key);
/* Frees a list of items that are allocated in one piece, but for the key. */
void fake_list_free(struct fake_list *list);

/* ---- rows ---- */

struct fake_row *fake_row_new(const struct mapping *mapping, struct slice key);
void fake_row_free(struct fake_row *row);
struct fake_row *fake_row_copy(const struct fake_row *row);
void fake_row_set(struct fake_value *value, enum column_type type,
                  struct slice bytes);
/* True if there is a row, not to be removed, and not expired. */
bool fake_row_lives(const struct fake_row *row, int64_t now_ms);
/* The row in the store's terms, as long as 'columns' and 'row' live. */
struct store_row fake_row_show(const struct fake_row *row,
                               struct store_column columns[FAKE_COLUMNS_MAX]);

/* Sets the columns that the JSON object 'text' names. */
enum err fake_row_set_object(struct fake_row *row, struct slice text,
                             struct buf *detail);
/* Sets the columns of 'write', counting those that were NULL. */
enum err fake_row_set_fields(struct fake_row *row, struct store_write *write,
                             struct buf *detail);

#endif
