/* SPDX-License-Identifier: MIT */
/*
 * What clients of Redis expect to be told, in the words they look for.
 */
#ifndef SERVER_COMMAND_REDIS_H
#define SERVER_COMMAND_REDIS_H

#include "common/slice.h"

/* The Redis that we behave like, shown by HELLO and INFO. */
#define REDIS_VERSION "7.0.15"

#define CLIENT_NAME_ERROR \
    "ERR Client names cannot contain spaces, newlines or special characters."

/* A name that CLIENT LIST can show: printable ASCII without spaces. */
static inline bool client_name_valid(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < '!' || name.data[i] > '~') {
            return false;
        }
    }
    return true;
}

#endif
