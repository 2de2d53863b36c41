/* SPDX-License-Identifier: MIT */
/*
 * How commands write keys: updates on behalf of a request, acknowledged at
 * once or when the store has committed.
 *
 * The answer function runs once, on the loop, if the write succeeded; it
 * writes the reply.  A failed write is replied as an error here.  A write goes
 * on when its client leaves.
 *
 * Thread-safety: the loop of the request's client.
 */
#ifndef SERVER_COMMAND_WRITE_H
#define SERVER_COMMAND_WRITE_H

#include "server/command/command.h"
#include "server/lookup/lookup.h"
#include "server/lookup/update.h"

typedef void write_answer_fn(struct request *request,
                             const struct update_result *result);

enum command_status write_key(struct request *request,
                              const struct update *update,
                              write_answer_fn *on_answer);

/* Writes the same to 'n' keys ('update' says all but the key and, for
 * deletes, whether it is a record); answered when all are done, with the sum
 * of the results; the first error of any is the reply. */
enum command_status write_keys(struct request *request,
                               const struct update *update,
                               const struct slice *keys, size_t n,
                               write_answer_fn *on_answer);

/* True if 'key' is inside the prefix of a mapped table. */
bool write_is_record(const struct request *request, struct slice key);

#endif
