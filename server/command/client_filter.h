/* SPDX-License-Identifier: MIT */
/*
 * The words of CLIENT LIST and CLIENT KILL that say which clients are meant.
 *
 * Thread-safety: the loop of the request.
 * Source: the words and errors of Redis 7.0; MAXAGE is of 7.4.
 */
#ifndef SERVER_COMMAND_CLIENT_FILTER_H
#define SERVER_COMMAND_CLIENT_FILTER_H

#include "server/command/clients.h"

/* Reads argument 'i' as a type; replies with an error if it is none. */
NODISCARD
bool client_filter_type(struct request *request, size_t i,
                        enum client_type *type);

/* Reads the pairs of CLIENT KILL from argument 'first' on; replies on error.
 * The filter points into the arguments. */
NODISCARD
bool client_filter_parse(struct request *request, size_t first,
                         struct client_filter *filter);

#endif
