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

/* Where 'wanted' first appears in 's', or s.size. */
static size_t find(struct slice s, struct slice wanted)
{
    const char *at =
        s.size == 0 ? NULL : memmem(s.data, s.size, wanted.data, wanted.size);

    return at == NULL ? s.size : (size_t)(at - s.data);
}

/* Can a value of the column, as text, be 'part'? */
static bool part_valid(const struct mapping *mapping, size_t column,
                       struct slice part)
{
    const enum column_affinity affinity = mapping->affinities[column];
    int64_t number;

    if (mapping->integer_key) {
        return slice_to_int64(part, &number);
    }
    return part.size > 0 || affinity == AFFINITY_TEXT ||
           affinity == AFFINITY_ANY;
}

bool mapping_split(const struct mapping *mapping, struct slice id,
                   struct slice parts[MAPPING_KEYS_MAX])
{
    for (size_t i = 0; i < mapping->n_keys; i++) {
        const struct slice after = mapping->keys[i].after;
        size_t size = id.size;

        if (after.size > 0) {
            const bool is_last = i + 1 == mapping->n_keys;
            size = !is_last                ? find(id, after)
                   : id.size >= after.size ? id.size - after.size
                                           : id.size;
            if (!slice_has_prefix(slice_make(id.data + size, id.size - size),
                                  after)) {
                return false;
            }
        }
        parts[i] = slice_make(id.data, size);
        if (!part_valid(mapping, mapping->keys[i].column, parts[i])) {
            return false;
        }
        id = slice_make(id.data + size + after.size,
                        id.size - size - after.size);
    }
    return true;
}

void mapping_join(const struct mapping *mapping, const struct slice *parts,
                  struct buf *out)
{
    for (size_t i = 0; i < mapping->n_keys; i++) {
        buf_append_slice(out, parts[i]);
        buf_append_slice(out, mapping->keys[i].after);
    }
}

bool mapping_id_valid(const struct mapping *mapping, struct slice id)
{
    struct slice parts[MAPPING_KEYS_MAX];

    return mapping_split(mapping, id, parts);
}

bool mapping_is_key(const struct mapping *mapping, size_t index)
{
    for (size_t i = 0; i < mapping->n_keys; i++) {
        if (mapping->keys[i].column == index) {
            return true;
        }
    }
    return false;
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
