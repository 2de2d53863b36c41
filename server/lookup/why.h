/* SPDX-License-Identifier: MIT */
/*
 * Why: what a GET of a key would be answered now, by whom, and for which
 * reason, from the same rules that answer it.
 *
 * Looking changes nothing, except that the policy of the cache counts it as a
 * visit.
 *
 * Thread-safety: any thread.  What it tells is old the moment it is told.
 */
#ifndef SERVER_LOOKUP_WHY_H
#define SERVER_LOOKUP_WHY_H

#include "server/lookup/flight.h"
#include "server/lookup/freshness.h"
#include "server/lookup/lookup.h"

struct why {
    const struct mapping *mapping; /* NULL: a plain key. */
    const char *state;   /* "absent", "fresh", "stale", "old", "negative",
                            "dirty" or "memory". */
    const char *answers; /* "cache", "store", "both" or "nobody". */
    const char *reason;  /* A sentence; static. */
    const char *race;    /* The directive in force. */
    bool has_copy;
    struct copy copy; /* If there is one, and the rest of these. */
    int64_t age_us;
    struct freshness_left left;
    size_t bytes; /* That the cache spends on it. */
    bool has_flight;
    struct flight_view flight; /* If there is one. */
};

void lookup_why(struct lookup *lookup, struct slice key, struct why *why);

#endif
