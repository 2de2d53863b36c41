/* SPDX-License-Identifier: MIT */
/*
 * Mappings: which keys are rows of which table or view.
 *
 *     table books   prefix book: key id             book:3
 *     table users   prefix user: key name           user:anna
 *     table orders  prefix order: key {region}:{no} order:emea:17
 *
 * A record's key is the prefix and, behind it, the row's id: the text of its
 * key columns with fixed text between.  When an id is taken apart, each column
 * but the last ends where the text behind it first appears.
 *
 * One row has one key, and one key one row: a row answers only to the id that
 * its own columns make.  So "book:03" names nothing, nor does another spelling
 * that a collation would take for the same, nor a row whose columns make an id
 * that is taken apart differently.
 *
 * A key outside every prefix is a plain key.
 *
 * Thread-safety: constant after it was built; any thread.
 */
#ifndef SERVER_STORE_MAPPING_H
#define SERVER_STORE_MAPPING_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/slice.h"

enum column_type {
    COLUMN_NULL,
    COLUMN_INTEGER,
    COLUMN_REAL,
    COLUMN_TEXT,
    COLUMN_BLOB
};

/* What a column makes of a value, by its declared type (SQLite's affinity). */
enum column_affinity {
    AFFINITY_BLOB, /* Leaves it as it is; what clients send are bytes. */
    AFFINITY_ANY,  /* Likewise, having no type; what they send is text. */
    AFFINITY_TEXT,
    AFFINITY_NUMERIC,
    AFFINITY_INTEGER,
    AFFINITY_REAL
};

/* One of the columns that make the id. */
struct mapping_key {
    size_t column;      /* Its index in 'columns'. */
    struct slice after; /* The fixed text behind it; of all but the last it is
                           not empty. */
};

struct mapping {
    const char *table;   /* "books"; or a view. */
    struct slice prefix; /* "book:" */
    const struct mapping_key *keys;
    size_t n_keys;
    const char *const
        *columns; /* In the order of the JSON object; with the key. */
    const enum column_affinity *affinities; /* One per column. */
    const bool *generated; /* One per column: computed by the database. */
    size_t n_columns;
    size_t index;     /* Of this mapping among all. */
    bool writable;    /* Through bookd. */
    bool is_view;     /* Read-only; changes with any commit. */
    bool integer_key; /* One column, whose values are integers. */
};

struct mappings {
    const struct mapping *list;
    size_t count;
};

/* The most columns that an id can have. */
#define MAPPING_KEYS_MAX 8

/* The built-in one: "book:" over books(id, title, author, year). */
extern const struct mappings mappings_builtin;

/* The mapping whose prefix 'key' begins with, and what is behind the prefix in
 * '*id'; NULL for a plain key. */
const struct mapping *mapping_find(const struct mappings *all, struct slice key,
                                   struct slice *id);

/* Takes 'id' apart into mapping->n_keys values, which point into it.  False if
 * no row can have it: a part is missing, or empty and no text, or no canonical
 * integer where the column holds only integers. */
NODISCARD
bool mapping_split(const struct mapping *mapping, struct slice id,
                   struct slice parts[MAPPING_KEYS_MAX]);

/* Appends the id that 'parts' make; the reverse of mapping_split(). */
void mapping_join(const struct mapping *mapping, const struct slice *parts,
                  struct buf *out);

/* True if 'id' can name a row of 'mapping'. */
bool mapping_id_valid(const struct mapping *mapping, struct slice id);

/* True if column 'index' is one of the key's. */
bool mapping_is_key(const struct mapping *mapping, size_t index);

/* Index of the column called 'name' (case matters), or n_columns. */
size_t mapping_column(const struct mapping *mapping, struct slice name);

#endif
