/* SPDX-License-Identifier: MIT */
#include "server/lookup/hash_value.h"

#include <assert.h>

/* ---- numbers ---- */

static uint32_t read_count(const char *from)
{
    uint32_t count = 0;

    for (size_t i = 0; i < HASH_VALUE_HEAD_BYTES; i++) {
        count |= (uint32_t)(unsigned char)from[i] << (8 * i);
    }
    return count;
}

static void write_count(char *to, uint32_t count)
{
    for (size_t i = 0; i < HASH_VALUE_HEAD_BYTES; i++) {
        to[i] = (char)(count >> (8 * i));
    }
}

/* Takes a size, and as many bytes, off '*from'. */
static bool take(struct slice *from, struct slice *taken)
{
    uint64_t size = 0;
    unsigned byte = 0x80;
    size_t n = 0;

    for (; (byte & 0x80) != 0; n++) {
        if (n == from->size || n == 5) {
            return false;
        }
        byte = (unsigned char)from->data[n];
        size |= (uint64_t)(byte & 0x7F) << (7 * n);
    }
    if (size > from->size - n) {
        return false;
    }
    *taken = slice_make(from->data + n, (size_t)size);
    *from = slice_make(from->data + n + size, from->size - n - (size_t)size);
    return true;
}

static void add(struct buf *out, struct slice s)
{
    size_t size = s.size;

    assert(s.size <= HASH_VALUE_MAX);
    for (; size > 0x7F; size >>= 7) {
        buf_append_char(out, (char)(size | 0x80));
    }
    buf_append_char(out, (char)size);
    buf_append_slice(out, s);
}

/* ---- reading ---- */

size_t hash_value_count(struct slice hash)
{
    return hash.size < HASH_VALUE_HEAD_BYTES ? 0 : read_count(hash.data);
}

struct slice hash_value_fields(struct slice hash)
{
    return hash.size < HASH_VALUE_HEAD_BYTES
               ? SLICE("")
               : slice_make(hash.data + HASH_VALUE_HEAD_BYTES,
                            hash.size - HASH_VALUE_HEAD_BYTES);
}

bool hash_value_next(struct slice *fields, struct slice *name,
                     struct slice *value)
{
    return fields->size > 0 && take(fields, name) && take(fields, value);
}

bool hash_value_is_valid(struct slice hash)
{
    struct slice fields = hash_value_fields(hash);
    struct slice name;
    struct slice value;
    size_t n = 0;

    while (hash_value_next(&fields, &name, &value)) {
        n++;
    }
    return n > 0 && n == hash_value_count(hash) && fields.size == 0;
}

/* ---- making ---- */

void hash_value_begin(struct buf *out)
{
    assert(out->size == 0);
    write_count(buf_reserve(out, HASH_VALUE_HEAD_BYTES), 0);
    buf_commit(out, HASH_VALUE_HEAD_BYTES);
}

static void count(struct buf *out, size_t n)
{
    const uint32_t before = read_count(buf_data(out));

    assert(n <= HASH_VALUE_MAX - before);
    write_count(buf_data(out), before + (uint32_t)n);
}

void hash_value_add(struct buf *out, struct slice name, struct slice value)
{
    add(out, name);
    add(out, value);
    count(out, 1);
}

void hash_value_add_run(struct buf *out, struct slice fields, size_t n)
{
    buf_append_slice(out, fields);
    count(out, n);
}
