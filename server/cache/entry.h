/* SPDX-License-Identifier: MIT */
/*
 * An entry: one cached copy, its key and what is known of it, in one
 * allocation.
 *
 *     | struct entry | expiry, 8 bytes, if it has one | key | value |
 *
 * Entries are counted in millions, so each byte of the header counts; who
 * needs a field that is packed asks by the functions below.
 *
 * Thread-safety: 'visits' is atomic; everything else belongs to the shard that
 * holds the entry and changes only under its write lock.
 */
#ifndef SERVER_CACHE_ENTRY_H
#define SERVER_CACHE_ENTRY_H

#include "common/attr.h"
#include "common/slice.h"
#include "server/cache/cache.h"

#include <stdatomic.h>

/* A key with its hash as index and policy see it. */
struct key {
    struct slice bytes;
    uint32_t hash; /* 32 bits of the hash that do not choose the shard. */
    uint8_t tag;   /* 8 further bits, kept in the index beside the pointer. */
};

struct entry {
    int64_t filled_us; /* As in struct copy. */
    uint64_t version;  /* As in struct copy. */
    uint32_t hash;     /* struct key's. */
    uint32_t place;    /* Where it stands in its queue; the ring's own. */
    uint32_t key_size;
    uint32_t value_size;
    uint32_t store_us;      /* As in struct copy. */
    _Atomic uint8_t visits; /* policy.h; set under the read lock, relaxed. */
    uint8_t kind : 2;       /* enum copy_kind. */
    uint8_t dirty : 1;
    uint8_t memory_only : 1;
    uint8_t has_expiry : 1;
    uint8_t origin : 2; /* enum copy_origin. */
    uint8_t queue : 2;  /* Which one it stands in; the policy's own. */
    uint8_t hidden : 1; /* cache_hide(). */
    char bytes[];
};

/* The largest key or value that an entry can describe. */
#define ENTRY_PART_MAX ((size_t)UINT32_MAX)

/* Bytes an entry asks of the allocator, which may round them up. */
size_t entry_request(struct slice key, const struct copy *copy,
                     struct slice value);

/* A copy of all that; NULL when memory is exhausted.  Neither part is larger
 * than ENTRY_PART_MAX. */
NODISCARD
struct entry *entry_new(const struct key *key, const struct copy *copy,
                        struct slice value);
void entry_free(struct entry *e);

/* What the allocator really took for it. */
size_t entry_size(const struct entry *e);

/* Wall clock; 0: never. */
static inline int64_t entry_expires_ms(const struct entry *e)
{
    int64_t expires_ms = 0;

    if (e->has_expiry) {
        memcpy(&expires_ms, e->bytes, sizeof(expires_ms));
    }
    return expires_ms;
}

static inline bool entry_expired(const struct entry *e, int64_t wall_ms)
{
    return e->has_expiry && entry_expires_ms(e) <= wall_ms;
}

static inline struct slice entry_key(const struct entry *e)
{
    return slice_make(e->bytes + (e->has_expiry ? sizeof(int64_t) : 0),
                      e->key_size);
}

static inline struct slice entry_value(const struct entry *e)
{
    const struct slice key = entry_key(e);

    return slice_make(key.data + key.size, e->value_size);
}

static inline struct copy entry_copy(const struct entry *e)
{
    return (struct copy){
        .kind = (enum copy_kind)e->kind,
        .dirty = e->dirty,
        .memory_only = e->memory_only,
        .filled_us = e->filled_us,
        .expires_ms = entry_expires_ms(e),
        .origin = (enum copy_origin)e->origin,
        .store_us = e->store_us,
        .version = e->version,
    };
}

#endif
