/* SPDX-License-Identifier: MIT */
/*
 * How commands write keys: updates on behalf of a request, acknowledged at
 * once or when the store has committed.
 *
 * The answer function runs once, on the loop, if the write succeeded; it
 * writes the reply.  A failed write is replied as an error here, unless the
 * handler wants to hear of it.  A write goes on when its client leaves.
 *
 * Thread-safety: the loop of the request's client.
 */
#ifndef SERVER_COMMAND_WRITE_H
#define SERVER_COMMAND_WRITE_H

#include "server/command/command.h"
#include "server/lookup/lookup.h"
#include "server/lookup/update.h"

/* 'result' is that of the key, or the sum of those of all keys. */
typedef void write_answer_fn(struct request *request,
                             const struct update_result *result);

enum command_status write_key(struct request *request,
                              const struct update *update,
                              write_answer_fn *on_answer);

/* Writes the same to 'n' keys ('update' says all but the key and, for
 * deletes, whether it is a record), all or nothing. */
enum command_status write_keys(struct request *request,
                               const struct update *update,
                               const struct slice *keys, size_t n,
                               write_answer_fn *on_answer);

/* Called once, on the loop, with how it ended, well or not; writes the reply.
 * Not called when the client left first. */
typedef void write_outcome_fn(struct request *request,
                              const struct update_outcome *outcome);

/* Begins 'n' updates, as a group if there are more than one, or as a part of
 * the EXEC that 'request' is part of.  Their functions are called as update.h
 * says, also after the client has left: what they use lives with the request,
 * which does until the outcome is known (request_room()). */
enum command_status write_updates(struct request *request,
                                  const struct update *updates, size_t n,
                                  write_outcome_fn *on_outcome);

/* Replies the first error of 'outcome', if there is one: of the whole, or of
 * one of its updates. */
bool write_reply_failed(struct request *request,
                        const struct update_outcome *outcome);

/* True, and replied, if 'updates' cannot be one group: plain keys that are in
 * memory only, and records. */
bool write_refuses_mix(struct request *request, const struct update *updates,
                       size_t n);

/* True if 'key' is inside the prefix of a mapped table. */
bool write_is_record(const struct request *request, struct slice key);

#endif
