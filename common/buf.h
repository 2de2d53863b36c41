/* SPDX-License-Identifier: MIT */
/*
 * A growing byte buffer: append at the back, consume from the front.
 *
 * A zeroed struct is an empty buffer.  Bytes live in data[start .. start+size).
 * Consuming moves 'start'; the room in front is reclaimed when the buffer
 * becomes empty or needs to grow.
 *
 * Thread-safety: none; one owner at a time.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/attr.h"
#include "common/slice.h"

#include <stdarg.h>

struct buf {
    char *storage;   /* Owned; NULL while capacity is 0. */
    size_t start;    /* Bytes consumed at the front of 'storage'. */
    size_t size;     /* Bytes of content. */
    size_t capacity; /* Bytes allocated. */
};

/* The content; valid until the next call that changes 'b'. */
static inline char *buf_data(const struct buf *b)
{
    return b->storage == NULL ? NULL : b->storage + b->start;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_make(b->size == 0 ? "" : buf_data(b), b->size);
}

/* Frees the storage and leaves an empty buffer, ready for use again. */
void buf_destroy(struct buf *b);

/* Empties 'b' and keeps its storage. */
static inline void buf_clear(struct buf *b)
{
    b->start = 0;
    b->size = 0;
}

/* Makes room for 'size' more bytes behind the content and returns where they
 * go; follow with buf_commit().  Aborts when memory is exhausted: for sizes
 * chosen by a client use buf_try_reserve(). */
char *buf_reserve(struct buf *b, size_t size);

/* As buf_reserve(), but returns NULL when memory is exhausted. */
NODISCARD
char *buf_try_reserve(struct buf *b, size_t size);

/* Takes 'size' bytes written after buf_reserve() into the content. */
static inline void buf_commit(struct buf *b, size_t size)
{
    b->size += size;
}

/* 'data' must not lie in 'b' itself: growing moves the content. */
void buf_append(struct buf *b, const void *data, size_t size);
void buf_append_slice(struct buf *b, struct slice s);
/* As buf_append_slice(), but returns false, and changes nothing, when memory is
 * exhausted. */
NODISCARD
bool buf_try_append_slice(struct buf *b, struct slice s);
void buf_append_string(struct buf *b, const char *string);
/* Its ASCII letters as capitals. */
void buf_append_upper(struct buf *b, const char *string);
void buf_append_char(struct buf *b, char c);
void buf_append_int64(struct buf *b, int64_t value);
void buf_printf(struct buf *b, const char *format, ...) PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *format, va_list args) PRINTF(2, 0);

/* Drops 'size' bytes (at most all) from the front. */
void buf_consume(struct buf *b, size_t size);

/* Cuts the content to its first 'size' bytes; 'size' is at most its size. */
static inline void buf_truncate(struct buf *b, size_t size)
{
    b->size = size;
}

/* The content as a C string: a NUL stands behind it and is not counted. */
const char *buf_string(struct buf *b);

/* Takes 's' with control bytes, '"' and '\' escaped, as a JSON string in its
 * quotes.  Bytes that are no valid UTF-8 become U+FFFD, so that the result is
 * always valid JSON.  Source: RFC 8259 section 7. */
void buf_append_json(struct buf *b, struct slice s);

#endif
