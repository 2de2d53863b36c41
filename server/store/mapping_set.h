/* SPDX-License-Identifier: MIT */
/*
 * The mappings of a running bookd: what the configuration wants, completed by
 * what the database has.
 *
 *     directives 'table' ─► drafts ─► engine->open() ─► mappings
 *                          checked     columns, types     constant
 *
 * A draft names a table, a prefix, the columns of the key, and perhaps columns.
 * The engine looks each table up and completes its draft, or drops it.  After
 * that the mappings are constant until the set is freed: a schema that changes
 * later fits them, or reads and writes of the table fail.
 *
 * Thread-safety: one thread until all drafts are completed; then any, for
 * reading.
 */
#ifndef SERVER_STORE_MAPPING_SET_H
#define SERVER_STORE_MAPPING_SET_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "server/store/mapping.h"

struct mapping_set;
struct table_entries;

/* What the configuration says of one table. */
struct mapping_draft {
    const char *table;
    const char *key; /* As it is written: "{region}:{no}". */
    bool is_builtin; /* Books that nobody asked for: may be missing. */
};

/* What the database says of it. */
struct table_column {
    char *name; /* Owned by whoever has the shape. */
    enum column_affinity affinity;
    bool generated;
    bool only_integers; /* Holds nothing else. */
};

struct table_shape {
    struct table_column *columns; /* In the order of the table. */
    size_t n_columns;
    bool is_view;
};

/* Makes a set of drafts from the directives 'table', and of books.  Errors:
 * ERR_INVALID, with a line for each thing that is wrong. */
NODISCARD
enum err mapping_set_new(struct mapping_set **setp,
                         const struct table_entries *entries,
                         struct buf *detail);
/* NULL is fine. */
void mapping_set_free(struct mapping_set *set);

size_t mapping_set_count(const struct mapping_set *set);
struct mapping_draft mapping_set_draft(const struct mapping_set *set,
                                       size_t index);

/* Makes the next draft a mapping, or leaves it out if 'shape' is NULL.  To be
 * called once for each, in order.  Errors: ERR_STORE_MAPPING, with a sentence,
 * if there is no such column. */
NODISCARD
enum err mapping_set_complete(struct mapping_set *set,
                              const struct table_shape *shape,
                              struct buf *detail);

/* The mappings; those that were completed so far. */
const struct mappings *mapping_set_mappings(const struct mapping_set *set);

#endif
