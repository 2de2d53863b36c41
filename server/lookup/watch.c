/* SPDX-License-Identifier: MIT */
/*
 * A chained hash table that doubles when it has more keys than bins, under
 * one lock.  It is small: only what some client watches just now is in it.
 *
 * Who adds a key and then asks for it, under its flight lock or from the writer
 * of the store, hears of every write that comes after: the lock, or the way to
 * the writer, orders the count of watched keys before that write's look at it.
 */
#include "server/lookup/watch.h"

#include "common/hash.h"
#include "common/lock.h"
#include "common/mem.h"
#include "server/store/plain_key.h"

#include <assert.h>
#include <stdatomic.h>

#define BINS_MIN 64

struct watched {
    struct watched *next; /* In its bin; guarded by the lock. */
    size_t n_refs;        /* Those who watch it; guarded by the lock. */
    uint64_t hash;
    _Atomic uint64_t version; /* Grows under the lock; read anywhere, relaxed:
                                 the order of writes orders it too. */
    size_t size;
    char key[];
};

struct watches {
    _Atomic size_t n_watched; /* As n_keys; read without the lock, relaxed. */
    struct mutex lock;        /* Rank LOCK_WATCH. */
    struct watched **bins GUARDED_BY(lock);
    size_t n_bins GUARDED_BY(lock); /* A power of two. */
    size_t n_keys GUARDED_BY(lock);
};

struct watches *watches_new(void) NO_THREAD_SAFETY_ANALYSIS
{
    struct watches *w = xcalloc(1, sizeof *w);

    mutex_init(&w->lock, LOCK_WATCH, "watches");
    w->n_bins = BINS_MIN;
    w->bins = xcalloc(w->n_bins, sizeof w->bins[0]);
    return w;
}

void watches_free(struct watches *watches) NO_THREAD_SAFETY_ANALYSIS
{
    if (watches == NULL) {
        return;
    }
    assert(atomic_load(&watches->n_watched) == 0);
    mutex_destroy(&watches->lock);
    free(watches->bins);
    free(watches);
}

/* Where the pointer to 'key' is, or to be put. */
static struct watched **place_of(struct watches *w, struct slice key,
                                 uint64_t hash) REQUIRES(w->lock)
{
    struct watched **at = &w->bins[hash & (w->n_bins - 1)];

    while (*at != NULL &&
           ((*at)->hash != hash ||
            !slice_equal(slice_make((*at)->key, (*at)->size), key))) {
        at = &(*at)->next;
    }
    return at;
}

/* Without memory the chains become longer. */
static void grow(struct watches *w) REQUIRES(w->lock)
{
    const size_t n_bins = 2 * w->n_bins;
    struct watched **bins = try_malloc(n_bins * sizeof *bins);

    if (bins == NULL) {
        return;
    }
    memset(bins, 0, n_bins * sizeof *bins);
    for (size_t i = 0; i < w->n_bins; i++) {
        while (w->bins[i] != NULL) {
            struct watched *moved = w->bins[i];
            struct watched **bin = &bins[moved->hash & (n_bins - 1)];
            w->bins[i] = moved->next;
            moved->next = *bin;
            *bin = moved;
        }
    }
    free(w->bins);
    w->bins = bins;
    w->n_bins = n_bins;
}

static void set_count(struct watches *w, size_t n_keys) REQUIRES(w->lock)
{
    w->n_keys = n_keys;
    atomic_store_explicit(&w->n_watched, n_keys, memory_order_relaxed);
}

struct watched *watches_add(struct watches *watches, struct slice key)
{
    const uint64_t hash = hash_bytes(key);
    struct watched *fresh = try_malloc(sizeof *fresh + key.size);

    if (fresh == NULL) {
        return NULL;
    }
    *fresh = (struct watched){.n_refs = 1, .hash = hash, .size = key.size};
    if (key.size > 0) {
        memcpy(fresh->key, key.data, key.size);
    }

    mutex_lock(&watches->lock);
    struct watched *watched = *place_of(watches, key, hash);
    if (watched != NULL) {
        watched->n_refs++;
    } else {
        if (watches->n_keys >= watches->n_bins) {
            grow(watches);
        }
        *place_of(watches, key, hash) = watched = fresh;
        set_count(watches, watches->n_keys + 1);
    }
    mutex_unlock(&watches->lock);

    if (watched != fresh) {
        free(fresh);
    }
    return watched;
}

void watches_remove(struct watches *watches, struct watched *watched)
{
    mutex_lock(&watches->lock);
    const bool last = --watched->n_refs == 0;
    if (last) {
        *place_of(watches, slice_make(watched->key, watched->size),
                  watched->hash) = watched->next;
        set_count(watches, watches->n_keys - 1);
    }
    mutex_unlock(&watches->lock);

    if (last) {
        free(watched);
    }
}

uint64_t watched_version(const struct watched *watched)
{
    return atomic_load_explicit(&watched->version, memory_order_relaxed);
}

static void touch(struct watched *watched)
{
    atomic_fetch_add_explicit(&watched->version, 1, memory_order_relaxed);
}

static bool nobody_watches(const struct watches *watches)
{
    return atomic_load_explicit(&watches->n_watched, memory_order_relaxed) == 0;
}

void watches_touch(struct watches *watches, struct slice key)
{
    if (nobody_watches(watches)) {
        return;
    }
    const uint64_t hash = hash_bytes(key);

    mutex_lock(&watches->lock);
    struct watched *watched = *place_of(watches, key, hash);
    if (watched != NULL) {
        touch(watched);
    }
    mutex_unlock(&watches->lock);
}

/* What a touch of many keys is about. */
struct range {
    struct slice prefix;
    unsigned database;
};

static bool has_prefix(struct slice key, const struct range *range)
{
    return slice_has_prefix(key, range->prefix);
}

static bool is_of_database(struct slice key, const struct range *range)
{
    return plain_key_database(key) == range->database;
}

static void touch_many(struct watches *watches,
                       bool (*is_in)(struct slice key,
                                     const struct range *range),
                       const struct range *range)
{
    if (nobody_watches(watches)) {
        return;
    }
    mutex_lock(&watches->lock);
    for (size_t i = 0; i < watches->n_bins; i++) {
        for (struct watched *w = watches->bins[i]; w != NULL; w = w->next) {
            if (is_in(slice_make(w->key, w->size), range)) {
                touch(w);
            }
        }
    }
    mutex_unlock(&watches->lock);
}

void watches_touch_all(struct watches *watches, struct slice prefix)
{
    touch_many(watches, has_prefix, &(struct range){.prefix = prefix});
}

void watches_touch_database(struct watches *watches, unsigned database)
{
    touch_many(watches, is_of_database, &(struct range){.database = database});
}
