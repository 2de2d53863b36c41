/* SPDX-License-Identifier: MIT */
#include "server/store/write_code.h"

#include <assert.h>
#include <string.h>

#define HEAD_BYTES 21
#define NULL_SIZE UINT32_C(0xffffffff)
#define HASH_BIT 0x80U /* Of the byte that is the operation. */

static char *put_number(char *to, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        *to++ = (char)(number >> (8 * i));
    }
    return to;
}

static uint64_t get_number(const char *from, size_t bytes)
{
    uint64_t number = 0;

    for (size_t i = 0; i < bytes; i++) {
        number |= (uint64_t)(unsigned char)from[i] << (8 * i);
    }
    return number;
}

static char *put_bytes(char *to, struct slice bytes)
{
    if (bytes.size > 0) {
        memcpy(to, bytes.data, bytes.size);
    }
    return to + bytes.size;
}

void write_encode(struct buf *out, const struct store_write *write,
                  struct slice key)
{
    const size_t room = HEAD_BYTES + key.size + write->value.size;
    char *const begin = buf_reserve(out, room);
    char *to = begin;

    assert(key.size <= WRITE_CODE_BYTES_MAX);
    assert(write->value.size <= WRITE_CODE_BYTES_MAX);
    to = put_number(to, write->op | (write->type == PLAIN_HASH ? HASH_BIT : 0),
                    1);
    to = put_number(to, (uint64_t)write->expires_ms, 8);
    to = put_number(to, write->n_fields, 4);
    to = put_number(to, key.size, 4);
    to = put_number(to, write->value.size, 4);
    to = put_bytes(to, key);
    to = put_bytes(to, write->value);
    assert(to == begin + room);
    buf_commit(out, room);

    for (size_t i = 0; i < write->n_fields; i++) {
        const struct slice field = write->fields[i];
        put_number(buf_reserve(out, 4),
                   field.data == NULL ? NULL_SIZE : field.size, 4);
        buf_commit(out, 4);
        buf_append_slice(out, field);
    }
}

/* Cuts 'size' bytes off the front of '*code'. */
static bool take(struct slice *code, size_t size, struct slice *taken)
{
    if (code->size < size) {
        return false;
    }
    *taken = slice_make(code->data, size);
    *code = slice_make(code->data + size, code->size - size);
    return true;
}

static bool take_field(struct slice *code, struct slice *field)
{
    struct slice size;

    if (!take(code, 4, &size)) {
        return false;
    }
    const uint64_t bytes = get_number(size.data, 4);
    if (bytes == NULL_SIZE) {
        *field = slice_make(NULL, 0);
        return true;
    }
    return take(code, (size_t)bytes, field);
}

static bool is_encoded(uint64_t op)
{
    return op == STORE_PUT_PLAIN || op == STORE_DELETE_PLAIN ||
           op == STORE_CLEAR_PLAIN || op == STORE_PUT_ROW ||
           op == STORE_SET_COLUMNS || op == STORE_DELETE_ROW ||
           op == STORE_READ;
}

bool write_decode(struct slice *code, struct store_write *write,
                  struct buf *fields)
{
    struct slice head;

    if (!take(code, HEAD_BYTES, &head)) {
        return false;
    }
    const uint64_t op = get_number(head.data, 1);
    if (!is_encoded(op & ~(uint64_t)HASH_BIT)) {
        return false;
    }
    *write = (struct store_write){
        .op = (enum store_op)(op & ~(uint64_t)HASH_BIT),
        .type = (op & HASH_BIT) != 0 ? PLAIN_HASH : PLAIN_STRING,
        .expires_ms = (int64_t)get_number(head.data + 1, 8),
        .n_fields = (size_t)get_number(head.data + 9, 4),
    };
    if (!take(code, (size_t)get_number(head.data + 13, 4), &write->key) ||
        !take(code, (size_t)get_number(head.data + 17, 4), &write->value) ||
        write->n_fields > code->size / 4) { /* No more than can follow. */
        return false;
    }
    buf_clear(fields);
    for (size_t i = 0; i < write->n_fields; i++) {
        struct slice field;
        if (!take_field(code, &field)) {
            return false;
        }
        buf_append(fields, &field, sizeof(field));
    }
    write->fields = (const struct slice *)(const void *)buf_data(fields);
    return true;
}
