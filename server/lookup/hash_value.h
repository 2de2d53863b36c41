/* SPDX-License-Identifier: MIT */
/*
 * A hash as the cache and the store keep it: all its fields in one run of
 * bytes, in the order in which they were made.
 *
 *     ┌──────────┬────────────────────────────────────────────┬───┐
 *     │ count: 4 │ name size, name bytes, value size, value … │ … │
 *     └──────────┴────────────────────────────────────────────┴───┘
 *
 * The count is little-endian.  A size is seven bits a byte, the lowest first;
 * all bytes of it but the last have their highest bit set.
 *
 * A hash is read and written whole, so that it is one value like any other to
 * everything below the commands.  There is none without fields.
 *
 * Thread-safety: pure functions over bytes.
 */
#ifndef SERVER_LOOKUP_HASH_VALUE_H
#define SERVER_LOOKUP_HASH_VALUE_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes that a hash has before its fields, and at most that each field has
 * beside its name and value. */
#define HASH_VALUE_HEAD_BYTES ((size_t)4)
#define HASH_VALUE_FIELD_BYTES ((size_t)10)

/* The largest name or value, and the most fields. */
#define HASH_VALUE_MAX UINT32_MAX

/* How many fields it has. */
size_t hash_value_count(struct slice hash);

/* Its fields, for the next function. */
struct slice hash_value_fields(struct slice hash);

/* Takes the first field off '*fields'; false at the end. */
bool hash_value_next(struct slice *fields, struct slice *name,
                     struct slice *value);

/* False if these bytes are no hash: somebody else has written them.  The
 * functions above are harmless over them. */
NODISCARD
bool hash_value_is_valid(struct slice hash);

/* Makes one in 'out', which is empty, field by field; there is room for it
 * (buf_try_reserve()), and no name comes twice. */
void hash_value_begin(struct buf *out);
void hash_value_add(struct buf *out, struct slice name, struct slice value);
/* Adds 'n' fields of another hash as they stand there, one behind the other. */
void hash_value_add_run(struct buf *out, struct slice fields, size_t n);

#endif
