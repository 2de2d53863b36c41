/* SPDX-License-Identifier: MIT */
/*
 * The change feed: what others did to the database, made known to the cache.
 *
 *     store (watcher) ─► changed(key)    the copy goes, its flight is fenced
 *                     ─► changed_all()   copies from before now are not
 *                                        trusted: one number, no scan
 *
 * A copy that is dirty stays: its write is on the way to the store, after the
 * change.  One that is not trusted may answer only if the store fails, within
 * stale-if-error, as a copy too old.
 *
 * The order is that of the store: what a read finds that begins after
 * changed() was called is not older than the change, so a flight that begins
 * then may fill the cache again.
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_LOOKUP_FEED_H
#define SERVER_LOOKUP_FEED_H

#include "server/lookup/flight.h"
#include "server/lookup/lookup.h"
#include "server/store/store.h"

struct feed;

/* 'parts' and 'flights' are borrowed. */
struct feed *feed_new(const struct lookup_parts *parts,
                      struct flights *flights);
void feed_free(struct feed *feed);

/* For store_observe(). */
struct store_observer feed_observer(struct feed *feed);

/* Copies of 'mapping' (NULL: of plain keys) that were filled at this moment or
 * before, on clock_now_us(), are out of date unless they are pinned. */
int64_t feed_distrusted_us(const struct feed *feed,
                           const struct mapping *mapping);

/* For INFO: "name:value\r\n" lines that are no counters. */
void feed_describe(const struct feed *feed, struct buf *out);

#endif
