/* SPDX-License-Identifier: MIT */
/*
 * A slice is a borrowed run of bytes: a pointer and a size, nothing owned.
 *
 * It may hold any byte, NUL included, and is not terminated by one.  Whoever
 * hands out a slice says how long the bytes stay valid.
 *
 * Thread-safety: a plain value; as safe as the bytes it points to.
 */
#ifndef COMMON_SLICE_H
#define COMMON_SLICE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data; /* Never NULL unless size is 0. */
    size_t size;      /* Bytes. */
};

/* A slice over a string literal. */
#define SLICE(literal) \
    ((struct slice){.data = (literal), .size = sizeof(literal) - 1})

static inline struct slice slice_make(const void *data, size_t size)
{
    return (struct slice){.data = data, .size = size};
}

static inline struct slice slice_from_string(const char *string)
{
    return slice_make(string, strlen(string));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Before, the same, or behind, byte by byte, as memcmp() says. */
static inline int slice_compare(struct slice a, struct slice b)
{
    const size_t size = a.size < b.size ? a.size : b.size;
    const int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Equal but for the case of ASCII letters. */
bool slice_equal_nocase(struct slice a, struct slice b);

static inline bool slice_has_prefix(struct slice s, struct slice prefix)
{
    return s.size >= prefix.size &&
           (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

/* Reads the whole of 's' as a decimal integer in canonical form: an optional
 * '-', no leading zeros, no '+', no spaces, "-0" refused.  Stores it in
 * '*value' and returns true; otherwise returns false.
 * Source: what Redis accepts as an integer argument. */
bool slice_to_int64(struct slice s, int64_t *value);

#endif
