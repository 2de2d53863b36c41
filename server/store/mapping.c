/* SPDX-License-Identifier: MIT */
/*
 * The built-in mapping, and the search by prefix.  Where one prefix begins
 * with another, the longer one owns the key.
 */
#include "server/store/mapping.h"

#include "common/attr.h"

static const char *const book_columns[] = {"id", "title", "author", "year"};

static const enum column_affinity book_affinities[] = {
    AFFINITY_INTEGER, AFFINITY_TEXT, AFFINITY_TEXT, AFFINITY_INTEGER};

static const bool book_generated[ARRAY_LEN(book_columns)];

static const struct mapping_key book_keys[] = {{.column = 0}};

static const struct mapping builtin[] = {
    {
        .table = "books",
        .prefix = {.data = "book:", .size = 5},
        .keys = book_keys,
        .n_keys = ARRAY_LEN(book_keys),
        .columns = book_columns,
        .affinities = book_affinities,
        .generated = book_generated,
        .n_columns = ARRAY_LEN(book_columns),
        .key_column = "id",
        .writable = true,
        .integer_key = true,
    },
};

const struct mappings mappings_builtin = {
    .list = builtin,
    .count = ARRAY_LEN(builtin),
};

const struct mapping *mapping_find(const struct mappings *all, struct slice key,
                                   struct slice *id)
{
    const struct mapping *found = NULL;

    for (size_t i = 0; i < all->count; i++) {
        const struct mapping *mapping = &all->list[i];
        if (slice_has_prefix(key, mapping->prefix) &&
            (found == NULL || mapping->prefix.size > found->prefix.size)) {
            found = mapping;
        }
    }
    if (found != NULL) {
        *id = slice_make(key.data + found->prefix.size,
                         key.size - found->prefix.size);
    }
    return found;
}

bool mapping_id_valid(const struct mapping *mapping, struct slice id)
{
    int64_t number;

    (void)mapping; /* All keys are integers, so far. */
    return slice_to_int64(id, &number);
}

size_t mapping_column(const struct mapping *mapping, struct slice name)
{
    size_t i = 0;

    while (i < mapping->n_columns &&
           !slice_equal(slice_from_string(mapping->columns[i]), name)) {
        i++;
    }
    return i;
}
