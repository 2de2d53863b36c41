/* SPDX-License-Identifier: MIT */
/*
 * Plain keys as all of bookd knows them inside: one string of bytes says the
 * database too.
 *
 *     "user:7"           of database 0: the key as the client wrote it
 *     "\0" "\3" "user:7" of database 3: behind a NUL and the number
 *     "\0" "\0" "\0x"    of database 0, where the key begins with a NUL itself,
 *                        or would be taken for that of a record
 *
 * So the usual key costs nothing, no two keys are written the same way, and the
 * keys of a database are a range of the store's index; those of database 0 are
 * two, and what stands between the two.
 *
 * The numbers here are those under which keys are stored; SWAPDB may have given
 * a database another one (command/databases.h).
 *
 * Thread-safety: pure functions.
 */
#ifndef SERVER_STORE_PLAIN_KEY_H
#define SERVER_STORE_PLAIN_KEY_H

#include "common/slice.h"

#include <stdbool.h>

/* The NUL and the number. */
#define PLAIN_KEY_PREFIX_SIZE 2

/* Numbers fit into a byte, and the last is of what bookd keeps for itself: no
 * client sees its keys. */
#define PLAIN_KEY_DATABASES 256
#define PLAIN_KEY_OWN 255

static inline bool plain_key_has_prefix(struct slice key)
{
    return key.size >= PLAIN_KEY_PREFIX_SIZE && key.data[0] == '\0';
}

/* The database that 'key' is stored in; 0 for that of a record. */
static inline unsigned plain_key_database(struct slice key)
{
    return plain_key_has_prefix(key) ? (unsigned char)key.data[1] : 0;
}

/* 'key' as its client wrote it; that of a record is as it is. */
static inline struct slice plain_key_shown(struct slice key)
{
    return plain_key_has_prefix(key)
               ? slice_make(key.data + PLAIN_KEY_PREFIX_SIZE,
                            key.size - PLAIN_KEY_PREFIX_SIZE)
               : key;
}

#endif
