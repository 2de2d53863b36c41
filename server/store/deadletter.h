/* SPDX-License-Identifier: MIT */
/*
 * Dead letters: writes that were acknowledged from memory and that the database
 * will not take: a constraint, too many bytes, a damaged page.  They are set
 * aside, so that they neither are lost without a word nor hold up the others.
 *
 *     deferred write ─► refused ─► letter, done(err) ─┬─► written again, dropped
 *                                                     └─► dropped
 *
 * Letters are kept in memory, and in the table bookd_deadletter if the database
 * is bookd's own.  They are bounded: for a new one the oldest goes, which is
 * logged.
 *
 * To write a letter again is to start the same update anew, so that the cache
 * hears of it, and to drop the letter once that has succeeded.
 *
 * Thread-safety: any thread; one lock of rank LOCK_LEAF.
 */
#ifndef SERVER_STORE_DEADLETTER_H
#define SERVER_STORE_DEADLETTER_H

#include "server/store/store.h"

/* Letters, and bytes of all of them together, that are kept. */
#define DEAD_LETTERS_MAX 10000
#define DEAD_LETTER_BYTES_MAX ((size_t)64 << 20)

struct dead_letter {
    int64_t id;                    /* From 1 on, growing. */
    int64_t time_ms;               /* Wall clock, when it was set aside. */
    enum store_op op;              /* And what belongs to it, as in … */
    const struct mapping *mapping; /* … struct store_write. */
    struct slice key;              /* Whole: "book:3", or a plain key. */
    struct slice value;
    const struct slice *fields; /* Name, value, name, value, … */
    size_t n_fields;            /* Names and values together. */
    int64_t expires_ms;
    enum plain_type type;
    struct slice detail; /* Why it could not be written, in a sentence. */
};

/* Called with a lock held: short, takes no lock, and calls nothing here.  The
 * letter and its slices are valid during the call only. */
typedef void dead_letter_fn(void *arg, const struct dead_letter *letter);

/* Shows at most 'count' letters in order of their ids, from the first whose id
 * is greater than 'after'.  Returns the number shown. */
size_t store_dead_letters(struct store *store, int64_t after, size_t count,
                          dead_letter_fn *show, void *arg);

/* How many there are. */
size_t store_dead_letter_count(struct store *store);

/* "PUT_PLAIN", "SET_COLUMNS" …; static. */
const char *dead_letter_op(enum store_op op);

/* Drops letters for good.  Its memory lives until done(). */
struct dead_letter_drop {
    int64_t id; /* 0: all there are when its turn comes. */
    /* On the writer's thread, after the commit; short.  On failure nothing
     * was dropped. */
    void (*done)(struct dead_letter_drop *drop, enum err err,
                 struct slice detail);

    size_t n_dropped; /* Result, valid in done(). */

    /* Private to the store. */
    struct store_write write;
    struct store_writer *writer;
    int64_t last; /* Of the letters to drop. */
};

/* As store_write_start(). */
NODISCARD
enum err store_dead_letter_drop(struct store *store,
                                struct dead_letter_drop *drop);

#endif
