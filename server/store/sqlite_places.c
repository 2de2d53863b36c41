/* SPDX-License-Identifier: MIT */
/*
 * Where walks are that no number can say.
 *
 * A table without rowids, or a view, is walked in the order of its keys, and a
 * cursor has no room for a key.  So the key stands here, under the number that
 * the cursor has.  A walk keeps its last two places, so that its client may ask
 * for a page again; of too many walks, one that has ended, else the one that has
 * rested longest, is forgotten, and begins anew if it goes on: it meets keys
 * twice, and none never.
 *
 * The number is a slot and a count that never comes again, not even after a
 * restart: it begins with the time.
 */
#include "server/store/sqlite_internal.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/lock.h"
#include "common/mem.h"

/* Twice the walks that can be under way; a page costs a look at each. */
#define PLACES 1024

struct place {
    uint64_t count;  /* 0: free. */
    uint64_t before; /* The number of the walk's place before, or 0. */
    char *key;       /* Owned. */
    size_t size;
    bool ended; /* Its walk has come to the end. */
};

struct sqlite_places {
    struct mutex lock; /* Rank LOCK_LEAF. */
    struct place list[PLACES] GUARDED_BY(lock);
    uint64_t count GUARDED_BY(lock); /* The last one given out. */
};

struct sqlite_places *sqlite_places_new(void)
{
    struct sqlite_places *places = xcalloc(1, sizeof(*places));

    mutex_init(&places->lock, LOCK_LEAF, "places");
    mutex_lock(&places->lock);
    places->count = (uint64_t)clock_wall_ms(); /* 2^41, for some decades. */
    mutex_unlock(&places->lock);
    return places;
}

void sqlite_places_free(struct sqlite_places *places)
{
    if (places == NULL) {
        return;
    }
    mutex_lock(&places->lock);
    for (size_t i = 0; i < PLACES; i++) {
        free(places->list[i].key);
    }
    mutex_unlock(&places->lock);
    mutex_destroy(&places->lock);
    free(places);
}

/* The place of that number, or NULL. */
static struct place *find(struct sqlite_places *places, uint64_t number)
    REQUIRES(places->lock)
{
    struct place *place = &places->list[number % PLACES];

    return number != 0 && place->count == number / PLACES ? place : NULL;
}

static void forget(struct place *place)
{
    free(place->key);
    *place = (struct place){0};
}

/* Would 'a' rather be given away than 'b'?  A walk that goes on gets a higher
 * count each time. */
static bool is_idler(const struct place *a, const struct place *b)
{
    if (a->count == 0 || b->count == 0) {
        return b->count != 0;
    }
    return a->ended != b->ended ? a->ended : a->count < b->count;
}

static struct place *find_idlest(struct sqlite_places *places)
    REQUIRES(places->lock)
{
    struct place *found = &places->list[0];

    for (size_t i = 1; i < PLACES && found->count > 0; i++) {
        if (is_idler(&places->list[i], found)) {
            found = &places->list[i];
        }
    }
    return found;
}

/* Of the walk that has gone on from 'number', the place before that goes. */
static struct place *leave(struct sqlite_places *places, uint64_t number)
    REQUIRES(places->lock)
{
    struct place *last = find(places, number);
    struct place *older = last == NULL ? NULL : find(places, last->before);

    if (older != NULL) {
        forget(older);
    }
    return last;
}

uint64_t sqlite_places_put(struct sqlite_places *places, struct slice key,
                           uint64_t before)
{
    mutex_lock(&places->lock);
    (void)leave(places, before);
    struct place *place = find_idlest(places);
    forget(place);
    *place = (struct place){
        .count = ++places->count,
        .before = before,
        .key = xslicedup(key),
        .size = key.size,
    };
    const uint64_t number =
        place->count * PLACES + (uint64_t)(place - places->list);
    mutex_unlock(&places->lock);
    return number;
}

void sqlite_places_end(struct sqlite_places *places, uint64_t number)
{
    mutex_lock(&places->lock);
    struct place *last = leave(places, number);
    if (last != NULL) {
        last->ended = true;
    }
    mutex_unlock(&places->lock);
}

bool sqlite_places_get(struct sqlite_places *places, uint64_t number,
                       struct buf *key)
{
    mutex_lock(&places->lock);
    const struct place *place = find(places, number);
    const bool found = place != NULL;
    if (found) {
        buf_append(key, place->key, place->size);
    }
    mutex_unlock(&places->lock);
    return found;
}
