/* SPDX-License-Identifier: MIT */
/*
 * "Did you mean …?": the known name that a mistyped word is closest to.
 *
 * Thread-safety: pure functions.
 */
#ifndef CLIENT_NEAREST_H
#define CLIENT_NEAREST_H

#include <stddef.h>

/* The name of 'count' that is most like 'word', if one is like enough to be
 * meant; otherwise NULL. */
const char *nearest_name(const char *word, const char *const *names,
                         size_t count);

#endif
