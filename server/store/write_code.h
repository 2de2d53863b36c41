/* SPDX-License-Identifier: MIT */
/*
 * Writes as bytes, for the log and for dead letters:
 *
 *     op:1 expires_ms:8 n_fields:4 key_size:4 value_size:4 key value
 *     field_size:4 (2^32 - 1 for NULL) field …
 *
 * all numbers little-endian, so that a database can be moved to any machine.  The
 * highest bit of 'op' says that the value is a hash (PLAIN_HASH).
 * In the log STORE_READ says "what the table has of this key is newer than what
 * stands before".
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_STORE_WRITE_CODE_H
#define SERVER_STORE_WRITE_CODE_H

#include "server/store/store.h"

/* The largest thing that can be encoded. */
#define WRITE_CODE_BYTES_MAX UINT32_C(0xfffffffe)

/* Appends 'write' under the key 'key', which may be another than its own. */
void write_encode(struct buf *out, const struct store_write *write,
                  struct slice key);

/* Takes the first write off '*code' into the submitted part of '*write', whose
 * slices point into the code.  'fields' holds the array of its fields until it
 * is used again.  False if the bytes are none of write_encode(). */
NODISCARD
bool write_decode(struct slice *code, struct store_write *write,
                  struct buf *fields);

#endif
