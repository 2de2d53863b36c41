/* SPDX-License-Identifier: MIT */
/*
 * Asks for a password on the terminal, without showing what is typed.
 *
 * Thread-safety: none; main thread.
 */
#ifndef CLIENT_PROMPT_H
#define CLIENT_PROMPT_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"

/* Shows 'question' and reads a line into a new string.  An interrupt ends the
 * process, with the terminal as it was.  Errors: ERR_IO without a terminal, or
 * at its end, with a sentence in 'why'. */
NODISCARD
enum err prompt_password(const char *question, char **passwordp,
                         struct buf *why);

#endif
