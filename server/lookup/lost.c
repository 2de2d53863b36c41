/* SPDX-License-Identifier: MIT */
#include "server/lookup/lost.h"

#include "common/clock.h"
#include "common/hash.h"
#include "server/cache/cache.h"
#include "server/lookup/changes.h"
#include "server/lookup/flight.h"
#include "server/lookup/lookup.h"

static void tell(struct lookup *lookup, struct slice key, enum cache_loss loss)
{
    const struct lookup_parts *parts = lookup_parts(lookup);
    struct flights *flights = lookup_flights(lookup);
    const uint64_t hash = hash_bytes(key);
    const bool expired = loss == CACHE_EXPIRED;
    const struct change change = {.key = key,
                                  .event = expired ? "expired" : "evicted",
                                  .class = expired ? CHANGE_EXPIRED
                                                   : CHANGE_EVICTED};
    struct copy copy;

    flights_lock(flights, hash);
    if (!cache_get(parts->cache, key, hash, clock_wall_ms(), &copy, NULL) ||
        copy.kind == COPY_NEGATIVE) {
        changes_tell(parts->changes, &change);
    }
    flights_unlock(flights, hash);
}

void lost_want(struct lookup *lookup, enum losses_for who, bool wanted)
{
    losses_want(cache_losses(lookup_parts(lookup)->cache), who, wanted);
}

void lost_tell(struct lookup *lookup)
{
    const struct lookup_parts *parts = lookup_parts(lookup);
    struct buf list;
    struct slice key;
    enum cache_loss loss;

    if (parts->changes == NULL) {
        return;
    }
    const bool all = losses_take(cache_losses(parts->cache), &list);
    struct slice left = buf_slice(&list);
    while (losses_next(&left, &key, &loss)) {
        tell(lookup, key, loss);
    }
    if (!all) {
        const struct change unknown = {.key = SLICE(""), .class = CHANGE_ALL};
        changes_tell(parts->changes, &unknown);
    }
    buf_destroy(&list);
}
