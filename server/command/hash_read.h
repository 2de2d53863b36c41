/* SPDX-License-Identifier: MIT */
/*
 * What commands that read fields begin their answers with; it stands in
 * cmd_hash.c.
 *
 * Thread-safety: the loop of the request's client.
 */
#ifndef SERVER_COMMAND_HASH_READ_H
#define SERVER_COMMAND_HASH_READ_H

#include "server/command/command.h"
#include "server/lookup/fields.h"
#include "server/lookup/lookup.h"

/* True if 'answer' is a hash or a record: '*fields' has its fields.  Otherwise
 * replies: 'empty' for what does not exist, an error for a string. */
NODISCARD
bool hash_read(struct request *request, const struct answer *answer,
               void (*empty)(struct reply *reply), struct fields *fields);

#endif
