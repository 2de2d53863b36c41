/* SPDX-License-Identifier: MIT */
/*
 * A hash as a JSON object of strings, for people and for commands that Redis
 * does not have.  Bytes that are no UTF-8 become U+FFFD.
 *
 * Thread-safety: pure functions.
 */
#ifndef SERVER_COMMAND_HASH_JSON_H
#define SERVER_COMMAND_HASH_JSON_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "server/lookup/fields.h"

/* Appends all fields.  Errors: ERR_NOMEM, and nothing was appended. */
NODISCARD
enum err hash_json_all(struct fields fields, struct buf *json);

/* Appends those of the 'n' names, each once, null for one that is not there.
 * Errors: ERR_NOMEM, and nothing was appended. */
NODISCARD
enum err hash_json_some(struct fields fields, const struct slice *names,
                        size_t n, struct buf *json);

#endif
