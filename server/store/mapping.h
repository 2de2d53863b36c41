/* SPDX-License-Identifier: MIT */
/*
 * Mappings: which keys are rows of which table.
 *
 * A mapping gives a table a prefix; a record's key is the prefix plus the
 * primary key: "book:3".  A key outside every prefix is a plain key.
 *
 * One row has one key: "book:03", "book:+3" and "book:x" are inside the
 * mapped prefix and name no row that could exist (for an integer primary key
 * only the canonical decimal form does).
 *
 * Thread-safety: constant after it was built; any thread.
 */
#ifndef SERVER_STORE_MAPPING_H
#define SERVER_STORE_MAPPING_H

#include "common/slice.h"

enum column_type {
    COLUMN_NULL,
    COLUMN_INTEGER,
    COLUMN_REAL,
    COLUMN_TEXT,
    COLUMN_BLOB
};

struct mapping {
    const char *table;      /* "books" */
    struct slice prefix;    /* "book:" */
    const char *key_column; /* "id"; an integer primary key. */
    const char *const
        *columns; /* In the order of the JSON object; with the key. */
    size_t n_columns;
    size_t key_index; /* Of the key column in 'columns'. */
    size_t index;     /* Of this mapping among all. */
};

struct mappings {
    const struct mapping *list;
    size_t count;
};

/* The built-in one: "book:" over books(id, title, author, year). */
extern const struct mappings mappings_builtin;

/* The mapping whose prefix 'key' begins with, and what is behind the prefix in
 * '*id'; NULL for a plain key. */
const struct mapping *mapping_find(const struct mappings *all, struct slice key,
                                   struct slice *id);

/* True if 'id' can name a row of 'mapping' (a canonical integer). */
bool mapping_id_valid(const struct mapping *mapping, struct slice id);

/* Index of the column called 'name' (case matters), or n_columns. */
size_t mapping_column(const struct mapping *mapping, struct slice name);

#endif
