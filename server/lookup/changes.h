/* SPDX-License-Identifier: MIT */
/*
 * Changes of keys, told to whoever listens: notifications to subscribers,
 * and whatever else must know that a key is not what it was.
 *
 *     update.c (writes) ──┐                    ┌─► command/notify
 *     feed.c (others) ────┼─► changes_tell() ──┤
 *     expiry ─────────────┘                    └─► …
 *
 * A change of one key is told under its flight lock, after the cache has it:
 * so listeners hear the changes of one key in their order, and who reads the
 * key because of what a listener told him does not get the value before.
 *
 * Thread-safety: listeners are added before other threads start; any thread
 * tells.  A listener is called on the thread that tells, with a LOCK_FLIGHT
 * lock held perhaps: it takes locks of higher rank only, and does not wait.
 */
#ifndef SERVER_LOOKUP_CHANGES_H
#define SERVER_LOOKUP_CHANGES_H

#include "common/attr.h"
#include "common/slice.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Classes of events, as in Redis' notify-keyspace-events. */
enum change_class {
    CHANGE_GENERIC, /* g: del, expire, rename … */
    CHANGE_STRING,  /* $ */
    CHANGE_HASH,    /* h */
    CHANGE_EXPIRED, /* x */
    CHANGE_EVICTED, /* e */
    CHANGE_ALL      /* No event of a key: all of 'mapping' may have changed. */
};

struct change {
    struct slice key;  /* Whole; empty for CHANGE_ALL. */
    const char *event; /* "set", "hset", "del", "expired" …; static. */
    enum change_class class;
};

typedef void change_fn(void *arg, const struct change *change);

struct changes;

struct changes *changes_new(void);
void changes_free(struct changes *changes);

/* 'listener(arg, change)' hears of every change from here on. */
void changes_listen(struct changes *changes, change_fn *listener, void *arg);

void changes_tell(const struct changes *changes, const struct change *change);

#endif
