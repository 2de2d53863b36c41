/* SPDX-License-Identifier: MIT */
/*
 * Flights: the one store read under way for a key, and all who wait for it.
 *
 *      first waiter ──► flight in the table ──► store ──► done
 *      more waiters ──►   (joined)                         │
 *      a write ───────►   taken out: fenced                ├─► fill the cache,
 *                                                          │   unless fenced
 *                                                          └─► wake all, one
 *                                                              task a loop
 *
 * At most one flight per key is in the table.  It leaves it when it is done,
 * when a write to its key takes it out (the fence), or when it is older than
 * 'store-timeout' and somebody asks again (it no longer holds its key).  Taken
 * out, its answer goes to those who waited already and is never cached.
 *
 * The table is sharded by hash.  One shard's lock (LOCK_FLIGHT) also orders
 * everything that puts a copy of one of its keys into the cache: fills, and
 * the writes of update.c.  So "is it fenced?" and "fill" are one step.
 *
 * A waiter is one pending lookup.  Its 'winner' is set once, by one
 * compare-and-swap: by the store's answer (store thread), the deadline (timer
 * thread), the cache, or the caller who leaves (loop thread).  Who wins
 * delivers; the others let go.  Its memory is counted: one reference each of
 * the caller, the flight's list, and the deadline timer.
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_LOOKUP_FLIGHT_H
#define SERVER_LOOKUP_FLIGHT_H

#include "common/attr.h"
#include "common/chan.h"
#include "common/lock.h"
#include "common/timer.h"
#include "server/cache/cache.h"
#include "server/store/store.h"

#include <stdatomic.h>

enum winner {
    WINNER_NOBODY, /* Still open. */
    WINNER_CACHE,
    WINNER_STORE,    /* The flight ended, well or not. */
    WINNER_DEADLINE, /* store-timeout passed. */
    WINNER_CALLER    /* Nobody is interested any more. */
};

/* What the cache calls a value that the store gives this type. */
static inline enum copy_kind flight_kind_of(enum plain_type type)
{
    return type == PLAIN_HASH ? COPY_HASH : COPY_STRING;
}

struct config;
struct flight;
struct flights;

struct waiter {
    _Atomic int winner; /* enum winner; compare-and-swap from NOBODY. */
    _Atomic int refs;   /* Release on drop, acquire by the last. */
    struct timer deadline;
    struct flight *flight; /* Referenced. */
    struct waiter *next;   /* The flight's list; then the delivery's. */
    struct chan_tx home;   /* Where 'deliver' runs. */
    /* The lookup is decided for the store or the deadline; called on the
     * loop behind 'home', holding one reference to be dropped. */
    void (*deliver)(struct waiter *waiter);
};

/* A flight's outcome, constant once a waiter was won by the store. */
struct flight_result {
    enum err err;
    bool found;
    struct slice bytes; /* As the cache keeps them; lives with the flight. */
    struct copy copy;
};

struct flights *flights_new(const struct config *config, struct cache *cache,
                            struct store *store, struct timers *timers);
/* No flight may be under way: after store_close(). */
void flights_free(struct flights *flights);

enum flight_join {
    FLIGHT_STARTED,
    FLIGHT_JOINED,
    FLIGHT_CHANGED, /* The cached copy is not the one the caller saw. */
    FLIGHT_REFUSED, /* The store has too much to do. */
    FLIGHT_BROKEN   /* The store is down, as the breaker knows. */
};

/* Waits on the flight of 'key', starting it if there is none.
 * 'waiter' is NULL for a refresh, which nobody waits for; otherwise its
 * references are set to three (caller, flight, timer) and its deadline begins,
 * unless the result is one of the last three: then nothing has happened.
 * 'seen_version' is the version of the copy that the caller's probe found, 0
 * for none: whoever is overtaken by a fill between probe and join hears
 * CHANGED and probes again. */
NODISCARD
enum flight_join flights_join(struct flights *flights, struct slice key,
                              uint64_t hash, uint64_t seen_version,
                              struct waiter *waiter, int64_t deadline_us);

/* Is the cached copy another than the one that the caller saw?  Waits for who
 * is about to put one. */
bool flights_changed(struct flights *flights, struct slice key, uint64_t hash,
                     uint64_t seen_version);

/* Takes the flight away from the store if 'waiter' is all that waits on it and
 * the store has not begun: true if it was withdrawn.  For a waiter that lost.
 */
bool flights_withdraw(struct flights *flights, struct waiter *waiter);

/* Claims the outcome for 'by'; true if nobody had. */
NODISCARD
bool waiter_claim(struct waiter *waiter, enum winner by);
/* The caller lost interest after a successful claim: stops the deadline and
 * drops the caller's reference. */
void waiter_leave(struct waiter *waiter);
void waiter_unref(struct waiter *waiter);

/* The outcome, for a waiter won by WINNER_STORE. */
void waiter_result(const struct waiter *waiter, struct flight_result *result);

/* ---- the fence, for update.c and feed.c ---- */

/* Locks the shard of 'hash'; fills of its keys stand still until unlock. */
void flights_lock(struct flights *flights, uint64_t hash);
void flights_unlock(struct flights *flights, uint64_t hash);

/* Shards as bits of a word, to lock those of several keys together. */
#define FLIGHTS_ALL UINT32_MAX
uint32_t flights_shards_of(uint64_t hash);
void flights_lock_shards(struct flights *flights, uint32_t shards);
void flights_unlock_shards(struct flights *flights, uint32_t shards);

/* Takes the flight of 'key' out, so that its answer is never cached.  The
 * shard must be locked. */
void flights_fence(struct flights *flights, struct slice key, uint64_t hash);
#ifndef NDEBUG
/* For tests, which must find what goes wrong then: the fence does nothing. */
void flights_test_no_fence(bool off);
#endif
/* Likewise all flights of plain keys; locks each shard in turn. */
void flights_fence_plain(struct flights *flights);
/* Likewise those of a mapping, and all there are. */
void flights_fence_mapping(struct flights *flights,
                           const struct mapping *mapping);
void flights_fence_all(struct flights *flights);

/* Somebody else has changed the row of 'key': fences it, drops its copy unless
 * that is pinned, and notes the time.  The shard must be locked. */
void flights_foreign(struct flights *flights, struct slice key, uint64_t hash);
/* True if that happened after 'since_us'. */
bool flights_foreign_since(struct flights *flights, uint64_t hash,
                           int64_t since_us);

/* ---- writes under way ----
 *
 * A write that goes through the store is under way from the moment it is begun
 * until it is acknowledged; meanwhile the cache does not know what its key will
 * be, and nobody may decide on what it knows.  All with the shard locked. */
void flights_write_begun(struct flights *flights, uint64_t hash);
void flights_write_ended(struct flights *flights, uint64_t hash);
/* Carried out in the store's transaction, which is open; and settled after its
 * end, well or not. */
void flights_write_applied(struct flights *flights, uint64_t hash);
void flights_write_settled(struct flights *flights, uint64_t hash);
/* Likewise of all plain keys at once.  Thread: the store's writer; no lock. */
void flights_clear_applied(struct flights *flights);
void flights_clear_settled(struct flights *flights);
/* True if another write of the key was carried out in the same transaction and
 * is not settled: what this one has left is not what the store has.  Thread:
 * the store's writer. */
bool flights_overtaken(struct flights *flights, uint64_t hash);

/* While barred, no write of any key is decided in memory.  Who has called this
 * comes after every write from memory that was not barred.  Locks each shard
 * in turn. */
void flights_bar(struct flights *flights);
void flights_unbar(struct flights *flights);
/* May a write of the key be decided on what the cache knows?  The shard must
 * be locked. */
bool flights_memory_knows(struct flights *flights, uint64_t hash);

/* ---- marks ----
 *
 * The keys of a group are marked from its turn in the store's transaction until
 * it is settled, so that whoever reads them sees the group at the moment the
 * store does, and never a part of it: a marked key has no copy, and each lookup
 * asks the store for itself, and caches nothing.
 *
 * A copy that is pinned by a write before the group cannot go, as the store may
 * not have it yet, and cannot answer, as it may be older than the group.  It is
 * hidden, and lookups of its key wait until the mark is taken off. */
struct flight_mark {
    struct slice key; /* Set by the caller, as the next. */
    uint64_t hash;

    /* Private to flight_fence.c. */
    struct flight_mark *next;
    struct flight *held; /* Waits for the end. */
    bool set;
    bool hides;
};

/* Fences 'key' and sets the mark, if it is not set.  The shard must be locked,
 * as for the next two. */
void flights_mark(struct flights *flights, struct flight_mark *mark);
/* Takes the mark off and shows what was hidden.  Returns what is to be given to
 * flights_land(), without the lock, or NULL. */
NODISCARD
struct flight *flights_unmark(struct flights *flights,
                              struct flight_mark *mark);
bool flights_is_marked(struct flights *flights, struct slice key,
                       uint64_t hash);
/* From here on all lookups of the key wait for the end, if the mark is set. */
void flights_hold_marked(struct flights *flights, struct flight_mark *mark);
/* The copy of 'key' was just pinned, hidden if the key is marked: it stays so,
 * and lookups wait. */
void flights_hide_marked(struct flights *flights, struct slice key,
                         uint64_t hash);
/* Answers those who waited: from the cache, or else the store is asked. */
void flights_land(struct flights *flights, struct flight *flight);

/* What is known of the flight of one key; for BOOK.WHY. */
struct flight_view {
    size_t n_waiters;
    int64_t age_us;
};
/* False if there is none. */
bool flights_view(struct flights *flights, struct slice key, uint64_t hash,
                  struct flight_view *view);

/* Flights in the table now. */
size_t flights_count(struct flights *flights);

#endif
