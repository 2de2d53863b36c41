/* SPDX-License-Identifier: MIT */
/*
 * Making entries, and asking the allocator what they cost.
 *
 * malloc_usable_size() is the one way to ask that glibc, jemalloc and the
 * sanitizers all answer.
 */
#include "server/cache/entry.h"

#include <assert.h>
#include <malloc.h>

#include "common/mem.h"

size_t entry_request(struct slice key, const struct copy *copy,
                     struct slice value)
{
    const size_t size = offsetof(struct entry, bytes) +
                        (copy->expires_ms != 0 ? sizeof(int64_t) : 0) +
                        key.size + value.size;

    /* The end of the header is padding, which bytes[] overlaps. */
    return size < sizeof(struct entry) ? sizeof(struct entry) : size;
}

static char *append(char *at, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(at, data, size);
    }
    return at + size;
}

struct entry *entry_new(const struct key *key, const struct copy *copy,
                        struct slice value)
{
    assert(key->bytes.size <= ENTRY_PART_MAX && value.size <= ENTRY_PART_MAX);

    struct entry *const e = try_malloc(entry_request(key->bytes, copy, value));
    if (e == NULL) {
        return NULL;
    }
    *e = (struct entry){
        .filled_us = copy->filled_us,
        .hash = key->hash,
        .key_size = (uint32_t)key->bytes.size,
        .value_size = (uint32_t)value.size,
        .store_us = copy->store_us,
        .kind = copy->kind & 3,
        .dirty = copy->dirty,
        .memory_only = copy->memory_only,
        .hidden = copy->hidden,
        .has_expiry = copy->expires_ms != 0,
        .origin = copy->origin & 3,
    };

    char *at = e->bytes;
    if (e->has_expiry) {
        at = append(at, &copy->expires_ms, sizeof(copy->expires_ms));
    }
    at = append(at, key->bytes.data, key->bytes.size);
    (void)append(at, value.data, value.size);
    return e;
}

void entry_free(struct entry *e)
{
    free(e);
}

size_t entry_size(const struct entry *e)
{
    /* It takes no pointer to const, but does not write. */
    return malloc_usable_size((void *)(uintptr_t)e);
}
