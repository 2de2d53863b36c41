/* SPDX-License-Identifier: MIT */
/*
 * The fields of what the H commands read, whether it is a hash or a record: a
 * column that is NULL is a field that is not there, as Redis has no other word
 * for it.
 *
 *     struct fields f = fields_of(a->kind, a->mapping, a->bytes);
 *     while (fields_next(&f, &name, &value)) …
 *
 * Thread-safety: pure functions over bytes.
 */
#ifndef SERVER_LOOKUP_FIELDS_H
#define SERVER_LOOKUP_FIELDS_H

#include "common/slice.h"
#include "server/cache/cache.h"
#include "server/store/mapping.h"

struct fields {
    enum copy_kind kind;
    const struct mapping *mapping; /* Of a record. */
    struct slice bytes;            /* Borrowed; as the cache keeps them. */
    /* What fields_next() has not told yet. */
    size_t column;     /* Of a record. */
    struct slice rest; /* Of a hash. */
};

/* 'kind' is not COPY_STRING; of COPY_NEGATIVE there are none. */
struct fields fields_of(enum copy_kind kind, const struct mapping *mapping,
                        struct slice bytes);

/* All of them, whatever fields_next() has told. */
size_t fields_count(const struct fields *fields);
bool fields_find(const struct fields *fields, struct slice name,
                 struct slice *value);

/* The next one; false at the end. */
bool fields_next(struct fields *fields, struct slice *name,
                 struct slice *value);

#endif
