/* SPDX-License-Identifier: MIT */
/*
 * How the buffer grows, and what can be appended to it.
 *
 *     storage            start              start+size          capacity
 *     |  consumed        |  content         |  room             |
 *
 * When the room is too small, the content moves to the front if at least as
 * much was consumed as must be moved, else the storage doubles.  Either way a
 * byte is moved a constant number of times on average, also in a buffer that
 * is always nearly full.
 *
 * JSON strings are in buf_json.c.
 */
#include "common/buf.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>

#include "common/log.h"
#include "common/mem.h"

/* Small enough to cost nothing, large enough for most replies. */
#define CAPACITY_MIN ((size_t)64)

void buf_destroy(struct buf *b)
{
    free(b->storage);
    *b = (struct buf){.storage = NULL};
}

static void move_to_front(struct buf *b)
{
    if (b->start > 0 && b->size > 0) {
        memmove(b->storage, b->storage + b->start, b->size);
    }
    b->start = 0;
}

/* The capacity to grow to so that 'needed' bytes fit. */
static size_t grown(size_t capacity, size_t needed)
{
    const size_t doubled = capacity <= SIZE_MAX / 2 ? 2 * capacity : SIZE_MAX;

    if (needed < CAPACITY_MIN) {
        needed = CAPACITY_MIN;
    }
    return doubled < needed ? needed : doubled;
}

char *buf_try_reserve(struct buf *b, size_t size)
{
    if (size > SIZE_MAX - b->size) {
        return NULL;
    }
    const size_t needed = b->size + size;

    if (b->storage == NULL || needed > b->capacity - b->start) {
        if (b->storage != NULL && needed <= b->capacity &&
            b->start >= b->size) {
            move_to_front(b);
        } else {
            const size_t capacity = grown(b->capacity, needed);

            move_to_front(b);
            char *const storage = try_realloc(b->storage, capacity);
            if (storage == NULL) {
                return NULL;
            }
            b->storage = storage;
            b->capacity = capacity;
        }
    }
    return b->storage + b->start + b->size;
}

char *buf_reserve(struct buf *b, size_t size)
{
    char *const room = buf_try_reserve(b, size);

    if (room == NULL) {
        log_fatal("buf: out of memory size=%zu more=%zu", b->size, size);
    }
    return room;
}

void buf_append(struct buf *b, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(buf_reserve(b, size), data, size);
        buf_commit(b, size);
    }
}

void buf_append_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.data, s.size);
}

bool buf_try_append_slice(struct buf *b, struct slice s)
{
    if (s.size == 0) {
        return true;
    }
    char *const room = buf_try_reserve(b, s.size);

    if (room == NULL) {
        return false;
    }
    memcpy(room, s.data, s.size);
    buf_commit(b, s.size);
    return true;
}

void buf_append_string(struct buf *b, const char *string)
{
    buf_append(b, string, strlen(string));
}

void buf_append_upper(struct buf *b, const char *string)
{
    for (; *string != '\0'; string++) {
        buf_append_char(b, (char)toupper((unsigned char)*string));
    }
}

void buf_append_char(struct buf *b, char c)
{
    *buf_reserve(b, 1) = c;
    buf_commit(b, 1);
}

void buf_append_int64(struct buf *b, int64_t value)
{
    char digits[20]; /* "-9223372036854775808" is the longest. */
    char *at = digits + sizeof(digits);
    /* As unsigned, INT64_MIN has an absolute value too. */
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0) {
        *--at = '-';
    }
    buf_append(b, at, (size_t)(digits + sizeof(digits) - at));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;

    va_copy(again, args);
    char *room = buf_reserve(b, CAPACITY_MIN);
    const int length = vsnprintf(room, CAPACITY_MIN, format, args);
    if (length < 0) {
        log_fatal("buf: bad format \"%s\"", format);
    }
    if ((size_t)length >= CAPACITY_MIN) {
        room = buf_reserve(b, (size_t)length + 1);
        (void)vsnprintf(room, (size_t)length + 1, format, again);
    }
    buf_commit(b, (size_t)length);
    va_end(again);
}

void buf_consume(struct buf *b, size_t size)
{
    assert(size <= b->size);
    b->start += size;
    b->size -= size;
    if (b->size == 0) {
        b->start = 0;
    }
}

const char *buf_string(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return buf_data(b);
}
