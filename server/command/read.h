/* SPDX-License-Identifier: MIT */
/*
 * How commands read keys: lookups on behalf of a request, answered at once
 * when the cache can, later when the store must be asked.
 *
 *     static void answer_get(struct request *r, const struct answer *a) {…}
 *     enum command_status cmd_get(struct request *r)
 *     { return read_key(r, r->argv[1], answer_get); }
 *
 * The answer function runs once, on the loop; it writes the reply.  It is not
 * called when the client left first.  An answer that is LOOKUP_FAILED is
 * replied as an error here and never reaches it.
 *
 * Thread-safety: the loop of the request's client.
 */
#ifndef SERVER_COMMAND_READ_H
#define SERVER_COMMAND_READ_H

#include "server/command/command.h"
#include "server/lookup/lookup.h"

/* Bytes of all values that one command may answer, for a short command can name
 * a large value many times: as many as the default maxmemory. */
#define READ_BYTES_MAX ((size_t)256 << 20)

/* Looks up one key. */
enum command_status read_key(struct request *request, struct slice key,
                             request_answer_fn *on_answer);

/* The same within the bounds of the request; see lookup.h. */
enum command_status read_key_within(struct request *request, struct slice key,
                                    const struct lookup_bounds *bounds,
                                    request_answer_fn *on_answer);

/* 'answers' are in the order of the keys. */
typedef void read_keys_fn(struct request *request, const struct answer *answers,
                          size_t n);

/* Looks up 'n' keys at the same time; answered when all are.  If one fails, or
 * the values are too much, the reply is an error.  Without 'with_bytes' the
 * answers are empty, whatever was found. */
enum command_status read_keys(struct request *request, const struct slice *keys,
                              size_t n, bool with_bytes,
                              read_keys_fn *on_answers);

/* What GET replies for an answer that is no hash; for the commands that say
 * more.  It stands in
 * cmd_string.c, beside GET. */
void reply_answer_text(struct reply *reply, const struct answer *answer);

#endif
