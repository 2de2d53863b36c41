/* SPDX-License-Identifier: MIT */
/*
 * What read.h does for a command that is part of an EXEC.
 *
 * Thread-safety: the loop of the request's client.
 */
#ifndef SERVER_COMMAND_READ_GROUP_H
#define SERVER_COMMAND_READ_GROUP_H

#include "server/command/read.h"

/* As read_key(); bounds of age are met by what the group finds. */
enum command_status read_group_key(struct request *request, struct slice key,
                                   request_answer_fn *on_answer);

/* As read_keys(). */
enum command_status read_group_keys(struct request *request,
                                    const struct slice *keys, size_t n,
                                    bool with_bytes, read_keys_fn *on_answers);

#endif
