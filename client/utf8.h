/* SPDX-License-Identifier: MIT */
/*
 * UTF-8, character by character.  The C library's own decoder depends on the
 * locale and loses its way at the first bad byte; this one does neither.
 *
 * Thread-safety: pure functions.
 */
#ifndef CLIENT_UTF8_H
#define CLIENT_UTF8_H

#include "common/slice.h"

/* Decodes the character that 's' begins with into '*code' and returns its
 * bytes; 0 if there is none.  Overlong forms, surrogates and what is above
 * U+10FFFF are none.  Source: RFC 3629. */
size_t utf8_decode(struct slice s, uint32_t *code);

/* True if all of 's' is UTF-8. */
bool utf8_is_valid(struct slice s);

#endif
