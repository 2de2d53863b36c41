/* SPDX-License-Identifier: MIT */
/*
 * The lookup: one question about one key, asked of two contenders, the cache
 * and the store.
 *
 *     the cached copy is     race never     race stale        race always
 *     fresh                  cache          cache             both; cache wins
 *     stale (within s-w-r)   store          cache + refresh   both; cache wins
 *     absent or older        store          store             store
 *     negative, fresh        not found      not found         both
 *     dirty, memory only     cache          cache             cache
 *     within stale-if-error and the store failed: the copy answers
 *     otherwise, and the store failed: an error that says which
 *
 * The cache is probed on the caller's thread, which costs less than handing
 * the question over; the store answers through a flight (flight.h).  So a hit
 * is answered before lookup_get() returns, and only what must wait for the
 * store becomes a pending lookup, answered later by a task on the caller's
 * loop.
 *
 * Thread-safety: any thread; a pending lookup belongs to the thread of its
 * 'home'.
 * Source: the words are those of RFC 9111 and RFC 5861.
 */
#ifndef SERVER_LOOKUP_LOOKUP_H
#define SERVER_LOOKUP_LOOKUP_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/chan.h"
#include "common/err.h"
#include "server/admin/outcomes.h"
#include "server/cache/cache.h"

struct changes;
struct config;
struct feed;
struct outbox;
struct flights;
struct freshness_rules;
struct mapping;
struct store;
struct timers;
struct watches;

enum lookup_outcome {
    LOOKUP_FOUND,
    LOOKUP_MISS,  /* There is no such row or key. */
    LOOKUP_FAILED /* The store failed; 'err' says how. */
};

enum lookup_source { LOOKUP_CACHE, LOOKUP_STORE };

struct answer {
    enum lookup_outcome outcome;
    enum outcome how; /* What it counts as in outcomes.def. */
    enum lookup_source source;
    enum err err;                  /* LOOKUP_FAILED. */
    const struct mapping *mapping; /* Of the key; NULL for a plain key. */
    enum copy_kind kind;           /* Of 'bytes'; COPY_NEGATIVE: none. */
    struct slice bytes;            /* LOOKUP_FOUND: as the cache keeps them. */
    int64_t age_us;     /* Of the copy when it answered; 0 from the store. */
    int64_t took_us;    /* From the caller's start to the answer. */
    int64_t expires_ms; /* Plain keys: wall clock; 0: never. */
};

struct lookup; /* The module: what lookups work on. */
struct pending_lookup;

typedef void lookup_done_fn(void *arg, const struct answer *answer);

struct lookup_parts {
    const struct config *config; /* All borrowed. */
    struct cache *cache;
    struct store *store;
    struct timers *timers;
    struct changes *changes; /* May be NULL, and the next. */
    struct watches *watches;
};

struct lookup *lookup_new(const struct lookup_parts *parts);
/* After store_close(). */
void lookup_free(struct lookup *lookup);

/* Where the answer of a pending lookup goes. */
struct lookup_caller {
    struct chan_tx home;  /* 'done(arg, …)' runs behind it, once … */
    lookup_done_fn *done; /* … unless lookup_cancel() came first. */
    void *arg;
    int64_t start_us; /* clock_now_us() when the request was read. */
    bool no_touch;    /* A copy is not more likely to be kept for it. */
};

/* What one request asks beyond the configuration; it can tighten, not loosen.
 * FRESHNESS_NO_BOUND where it does not say. */
struct lookup_bounds {
    int64_t max_age_us; /* A copy older than this is not fresh; 0: the store is
                           asked. */
    int64_t stale_us;   /* How long after that it may answer meanwhile. */
    int64_t wait_us;    /* How long to wait for the store; then a copy within
                           stale-if-error answers, or STORETIMEOUT.  0: not at
                           all, though the store may be asked. */
    uint64_t min_version; /* A copy older than this version does not answer,
                             unless it is pinned: then there is no younger one.
                             0: any does. */
};

/* Looks up 'key'; 'bounds' may be NULL.  Either answers at once: fills
 * '*answer', whose bytes are appended to 'scratch' (valid while that is
 * unchanged), and returns NULL.  Or returns the pending lookup: its answer is
 * handed to 'caller', its bytes valid during that call.  Errors are answers:
 * LOOKUP_FAILED. */
NODISCARD
struct pending_lookup *lookup_get(struct lookup *lookup, struct slice key,
                                  const struct lookup_bounds *bounds,
                                  const struct lookup_caller *caller,
                                  struct buf *scratch, struct answer *answer);

/* The caller has left: done() will not be called.  The store read goes on and
 * fills the cache.  Thread: the one behind 'home', before done() was called. */
void lookup_cancel(struct pending_lookup *pending);

/* Drops the cached copy of 'key' and nothing else; true if there was one. */
bool lookup_evict(struct lookup *lookup, struct slice key);

/* The rules for copies of 'mapping' (NULL: plain keys), just now. */
struct freshness_rules lookup_rules(const struct lookup *lookup,
                                    const struct mapping *mapping);

/* The parts that update.c shares. */
struct flights *lookup_flights(struct lookup *lookup);
struct feed *lookup_feed(const struct lookup *lookup);
struct outbox *lookup_outbox(const struct lookup *lookup);
const struct lookup_parts *lookup_parts(const struct lookup *lookup);

/* For INFO: "name:value\r\n" lines that are no counters. */
void lookup_describe(struct lookup *lookup, struct buf *out);

#endif
