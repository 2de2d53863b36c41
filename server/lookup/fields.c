/* SPDX-License-Identifier: MIT */
#include "server/lookup/fields.h"

#include "server/lookup/hash_value.h"
#include "server/lookup/record.h"

#include <assert.h>

struct fields fields_of(enum copy_kind kind, const struct mapping *mapping,
                        struct slice bytes)
{
    assert(kind != COPY_STRING);
    return (struct fields){.kind = kind,
                           .mapping = mapping,
                           .bytes = bytes,
                           .rest = kind == COPY_HASH ? hash_value_fields(bytes)
                                                     : SLICE("")};
}

/* ---- records ---- */

/* False if the column is NULL. */
static bool column(const struct fields *f, size_t index, struct slice *value)
{
    enum column_type type;

    *value = record_column(f->bytes, index, &type);
    return type != COLUMN_NULL;
}

static size_t count_columns(const struct fields *f)
{
    struct slice value;
    size_t n = 0;

    for (size_t i = 0; i < f->mapping->n_columns; i++) {
        n += column(f, i, &value);
    }
    return n;
}

static bool next_column(struct fields *f, struct slice *name,
                        struct slice *value)
{
    bool found = false;

    while (!found && f->column < f->mapping->n_columns) {
        *name = slice_from_string(f->mapping->columns[f->column]);
        found = column(f, f->column++, value);
    }
    return found;
}

/* ---- hashes ---- */

static bool find_field(const struct fields *f, struct slice name,
                       struct slice *value)
{
    struct slice rest = hash_value_fields(f->bytes);
    struct slice other;

    while (hash_value_next(&rest, &other, value)) {
        if (slice_equal(other, name)) {
            return true;
        }
    }
    return false;
}

/* ---- both ---- */

size_t fields_count(const struct fields *fields)
{
    switch (fields->kind) {
    case COPY_HASH:
        return hash_value_count(fields->bytes);
    case COPY_RECORD:
        return count_columns(fields);
    case COPY_STRING:
    case COPY_NEGATIVE:
        break;
    }
    return 0;
}

bool fields_find(const struct fields *fields, struct slice name,
                 struct slice *value)
{
    size_t index;

    switch (fields->kind) {
    case COPY_HASH:
        return find_field(fields, name, value);
    case COPY_RECORD:
        index = mapping_column(fields->mapping, name);
        return index < fields->mapping->n_columns &&
               column(fields, index, value);
    case COPY_STRING:
    case COPY_NEGATIVE:
        break;
    }
    return false;
}

bool fields_next(struct fields *fields, struct slice *name, struct slice *value)
{
    switch (fields->kind) {
    case COPY_HASH:
        return hash_value_next(&fields->rest, name, value);
    case COPY_RECORD:
        return next_column(fields, name, value);
    case COPY_STRING:
    case COPY_NEGATIVE:
        break;
    }
    return false;
}
