/* SPDX-License-Identifier: MIT */
/*
 * Tells listeners of plain keys that are no more though nobody wrote: "expired"
 * and "evicted".
 *
 * The cache notices; telling comes a little later, on a timer, under the flight
 * lock of the key, and only if the key was not written again meanwhile: who
 * listens never takes a key for gone that is there.
 *
 * Not told of: keys that expire while the cache has no copy of them, as after a
 * restart.  They are gone for every reader all the same.
 *
 * Thread-safety: one thread at a time.
 */
#ifndef SERVER_LOOKUP_LOST_H
#define SERVER_LOOKUP_LOST_H

#include "server/cache/losses.h"

#include <stdbool.h>

struct lookup;

/* Whether 'who' may listen, from here on. */
void lost_want(struct lookup *lookup, enum losses_for who, bool wanted);

/* Tells of what was lost since the last call. */
void lost_tell(struct lookup *lookup);

#endif
