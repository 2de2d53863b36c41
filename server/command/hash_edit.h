/* SPDX-License-Identifier: MIT */
/*
 * Changes of a hash on a plain key, for decide(): the hash as it will be goes
 * to 'room', and '*update', which is a STORE_PUT_PLAIN with the arguments of
 * the command as its fields, becomes the write of it.  Its expiry stays.
 *
 * Whoever asks has seen to it that the key holds a hash, or nothing.
 *
 * Thread-safety: as decide().
 */
#ifndef SERVER_COMMAND_HASH_EDIT_H
#define SERVER_COMMAND_HASH_EDIT_H

#include "server/command/decide.h"

/* Sets the fields that update->fields has, name and value in turn; the last
 * value of a name counts, and '*n_new' of them were not there.  Refuses a hash
 * of more than 'max_bytes'. */
enum err hash_edit_set(struct decision *d, const struct present *now,
                       size_t max_bytes, struct update *update,
                       struct buf *room, int64_t *n_new);

/* Takes the fields out that update->fields names; '*n_gone' of them were there.
 * With the last one the key goes. */
enum err hash_edit_delete(struct decision *d, const struct present *now,
                          struct update *update, struct buf *room,
                          int64_t *n_gone);

#endif
