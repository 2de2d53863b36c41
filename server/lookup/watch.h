/* SPDX-License-Identifier: MIT */
/*
 * Watched keys: a version for each key that a client watches, which grows
 * with every change of it.  A transaction goes through only if the versions
 * are still those its client saw.
 *
 *     WATCH k ─► watches_add()      version 7 is noted
 *     a write of k is applied ─► watches_touch()      version 8
 *     EXEC ─► in the transaction: watched_version() is not 7: nothing is done
 *
 * A write touches its key when it is applied, inside its transaction or (from
 * memory) before it is acknowledged; a group is checked when its turn comes.
 * So the order of both is the order of the store.  A touch too many, because a
 * commit failed, only makes a client try again.
 *
 * While nobody watches anything a touch costs one load.
 *
 * Thread-safety: any thread; one lock of rank LOCK_WATCH.
 */
#ifndef SERVER_LOOKUP_WATCH_H
#define SERVER_LOOKUP_WATCH_H

#include "common/attr.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watches;
struct watched; /* One key, counted by those who watch it. */

struct watches *watches_new(void);
/* Nobody watches any more. */
void watches_free(struct watches *watches);

/* The watched key, one reference to it for the caller.  NULL without memory. */
NODISCARD
struct watched *watches_add(struct watches *watches, struct slice key);
void watches_remove(struct watches *watches, struct watched *watched);
uint64_t watched_version(const struct watched *watched);

/* 'key' has changed. */
void watches_touch(struct watches *watches, struct slice key);
/* Any key that begins with 'prefix' may have changed; all, if it is empty. */
void watches_touch_all(struct watches *watches, struct slice prefix);
/* Any plain key that is stored in this database (plain_key.h), and for 0 any
 * record, may have changed. */
void watches_touch_database(struct watches *watches, unsigned database);

#endif
