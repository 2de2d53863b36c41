/* SPDX-License-Identifier: MIT */
/*
 * Changes of keys, told to whoever listens: notifications to subscribers,
 * and whatever else must know that a key is not what it was.
 *
 *     update.c (writes) ──┐                    ┌─► command/notifier
 *     feed.c (others) ────┼─► changes_tell() ──┤
 *     expiry, eviction ───┘                    └─► command/tracking
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
#include <stdint.h>

/* Classes of events, as in Redis' notify-keyspace-events. */
enum change_class {
    CHANGE_GENERIC, /* g: del, expire, rename … */
    CHANGE_STRING,  /* $ */
    CHANGE_HASH,    /* h */
    CHANGE_EXPIRED, /* x */
    CHANGE_EVICTED, /* e */
    /* No events of a key: */
    CHANGE_QUIET,  /* What was told of it before did not come to pass, or came
                       otherwise: whoever has read it reads it again. */
    CHANGE_ALL,    /* Others may have changed all of 'mapping'. */
    CHANGE_FLUSHED /* FLUSHALL and the like: all keys are to be read again. */
};

struct change {
    struct slice key;  /* Whole; empty for CHANGE_ALL and CHANGE_FLUSHED. */
    const char *event; /* "set", "hset", "del", "expired" …; static.  NULL for
                          the last three classes. */
    enum change_class class;
    const struct mapping *mapping; /* CHANGE_ALL; NULL: any key at all. */
    uint64_t origin; /* The id of the client who wrote; 0: nobody's. */
};

/* Of classes that are about no key in particular. */
static inline bool change_is_of_many(const struct change *change)
{
    return change->class == CHANGE_ALL || change->class == CHANGE_FLUSHED;
}

struct mapping;

typedef void change_fn(void *arg, const struct change *change);

struct changes;

struct changes *changes_new(void);
void changes_free(struct changes *changes);

/* 'listener(arg, change)' hears of every change from here on. */
void changes_listen(struct changes *changes, change_fn *listener, void *arg);

void changes_tell(const struct changes *changes, const struct change *change);

#endif
