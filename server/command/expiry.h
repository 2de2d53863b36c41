/* SPDX-License-Identifier: MIT */
/*
 * The options EX PX EXAT PXAT, as SET and GETEX take them.
 *
 * Thread-safety: pure functions.
 */
#ifndef SERVER_COMMAND_EXPIRY_H
#define SERVER_COMMAND_EXPIRY_H

#include "server/command/command.h"

struct expiry {
    size_t argument; /* Where the number is; 0: there is no expiry. */
    int64_t unit_ms;
    bool absolute; /* Unix time, else from now on. */
};

static inline bool expiry_given(const struct expiry *expiry)
{
    return expiry->argument != 0;
}

/* If argument 'i' is one of the options, with a number behind it and no other
 * of them before it, notes it and returns true. */
bool expiry_option(const struct request *request, size_t i,
                   struct expiry *expiry);

#define EXPIRY_ERROR_SIZE 80

/* Reads the number into '*expires_ms', wall clock; 0 if no expiry was given.
 * False, and what is wrong in 'error', if it is none that makes sense. */
bool expiry_parse(const struct request *request, const struct expiry *expiry,
                  int64_t *expires_ms, char error[EXPIRY_ERROR_SIZE]);

/* As expiry_parse(); replies the error. */
bool expiry_read(struct request *request, const struct expiry *expiry,
                 int64_t *expires_ms);

#endif
