/* SPDX-License-Identifier: MIT */
/*
 * Digests of passwords: SHA-256 as text, compared in a time that does not
 * tell where two of them differ.  The one place that knows libcrypto.
 *
 * Thread-safety: pure functions.
 */
#ifndef SERVER_ADMIN_DIGEST_H
#define SERVER_ADMIN_DIGEST_H

#include "common/slice.h"

/* Characters of a digest: 256 bits in hexadecimal. */
#define DIGEST_LEN 64

/* Writes SHA-256 of 'text', in lower-case digits without a NUL. */
void digest_of(struct slice text, char digest[DIGEST_LEN]);

/* Does 'text' look like what digest_of() writes? */
bool digest_is_valid(struct slice text);

/* True if the two are the same; takes as long if they are not. */
bool digest_equal(const char a[DIGEST_LEN], const char b[DIGEST_LEN]);

#endif
