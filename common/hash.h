/* SPDX-License-Identifier: MIT */
/*
 * The keyed hash of keys: SipHash-1-3 under a secret drawn at start, so that
 * nobody outside can choose keys that collide.
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012).
 *
 * Thread-safety: any thread, after hash_init().
 */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include "common/slice.h"

/* Draws the secret from the system; call once, before any thread starts. */
void hash_init(void);

/* The hash of 'key' under the secret. */
uint64_t hash_bytes(struct slice key);

/* The same under a key of the caller's, for tests against known answers. */
uint64_t hash_bytes_keyed(struct slice key, uint64_t k0, uint64_t k1);

#endif
