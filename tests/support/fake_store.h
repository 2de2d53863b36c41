/* SPDX-License-Identifier: MIT */
/*
 * A database engine for tests: contents set by hand, gates that the test
 * opens, failures on demand, calls counted.
 *
 *     struct fake_store *fake = fake_store_new();
 *     fake_store_set_book(fake, "3", "A Tale of Two Cities", NULL, "1859");
 *     … store_open() with .engine = fake_store_engine(fake) …
 *     fake_store_hold(fake, FAKE_READ, FAKE_AFTER);
 *     … start a read: it takes the row it finds and then stands at the gate …
 *     fake_store_wait_held(fake, FAKE_READ, FAKE_AFTER, 1);
 *     … change the row; what the read brings is old now …
 *     fake_store_release(fake, FAKE_READ, FAKE_AFTER);
 *
 * Whoever stands at a gate occupies its thread: at most 'store-threads' reads,
 * and the one writer.  The store must be closed with all gates open.
 *
 * Writes work on a copy until their commit, as in a database.  JSON objects
 * are read in the plainest form only: no nesting, no escapes.  Cursors of
 * scans hold only while nobody writes.  Between begin_read and end_read a
 * reader sees the rows as they were at FAKE_BEGIN_READ's FAKE_AFTER.
 *
 * Keys are whole keys, "book:3" or a plain one; those that take a key also
 * take NULL for "whatever the key".
 *
 * Thread-safety: any thread, but for new and free.  There is one at a time,
 * because an engine's open() knows nothing of who asks.
 */
#ifndef TESTS_SUPPORT_FAKE_STORE_H
#define TESTS_SUPPORT_FAKE_STORE_H

#include "server/store/engine.h"

struct fake_store;

/* The functions of an engine that can be held, failed and counted. */
enum fake_call {
    FAKE_OPEN,
    FAKE_READER_OPEN,
    FAKE_WRITER_OPEN,
    FAKE_BEGIN_READ,
    FAKE_END_READ,
    FAKE_READ,
    FAKE_SCAN,
    FAKE_COUNT,
    FAKE_BEGIN,
    FAKE_APPLY,
    FAKE_COMMIT,
    FAKE_ROLLBACK,
    FAKE_CHECKPOINT,
    FAKE_BEGIN_GROUP,
    FAKE_END_GROUP,
    FAKE_CALLS
};

/* Where in a call a gate stands. */
enum fake_moment {
    FAKE_BEFORE, /* Nothing was looked at or changed yet. */
    FAKE_AFTER   /* The row was taken, the commit is done: not yet returned. */
};

/* An empty database over mappings_builtin. */
struct fake_store *fake_store_new(void);
/* After the store over it was closed.  fake_store_free(NULL) is fine. */
void fake_store_free(struct fake_store *fake);

/* For store_options.engine. */
const struct engine *fake_store_engine(struct fake_store *fake);

/* ---- contents: at once, as if another program had committed them ---- */

/* A row of the built-in books; NULL is SQL's NULL. */
void fake_store_set_book(struct fake_store *fake, const char *id,
                         const char *title, const char *author,
                         const char *year);
/* A plain key of type hash, whatever the bytes are. */
void fake_store_set_hash(struct fake_store *fake, const char *key,
                         const char *value);
/* 'expires_ms' is wall clock; 0: never. */
void fake_store_set_plain(struct fake_store *fake, const char *key,
                          const char *value, int64_t expires_ms);
/* True if the key was there. */
bool fake_store_remove(struct fake_store *fake, const char *key);
/* True if the key is there (committed). */
bool fake_store_has(struct fake_store *fake, const char *key);
/* The committed text of a column of a book, or of a plain key (column NULL);
 * appended to 'out'.  False if there is no such row or it is NULL. */
bool fake_store_get(struct fake_store *fake, const char *key,
                    const char *column, struct buf *out);

/* ---- gates ---- */

/* From now on every such call stops at 'moment'. */
void fake_store_hold(struct fake_store *fake, enum fake_call call,
                     enum fake_moment moment);
/* The same for the reads and applies of one key; at most eight at a time. */
void fake_store_hold_key(struct fake_store *fake, enum fake_call call,
                         enum fake_moment moment, const char *key);

/* Opens the gate, for one key's calls too, and lets all go on. */
void fake_store_release(struct fake_store *fake, enum fake_call call,
                        enum fake_moment moment);
/* Opens what fake_store_hold_key() closed. */
void fake_store_release_key(struct fake_store *fake, enum fake_call call,
                            enum fake_moment moment, const char *key);
/* Lets the next 'n' calls through the closed gate, those that stand there
 * first. */
void fake_store_pass(struct fake_store *fake, enum fake_call call,
                     enum fake_moment moment, unsigned n);

/* Waits until at least 'n' calls stand at the gate.  Aborts after 30 s. */
void fake_store_wait_held(struct fake_store *fake, enum fake_call call,
                          enum fake_moment moment, unsigned n);

/* ---- failures ---- */

/* The next 'n' calls (for 'key', unless NULL) fail with 'err' and the detail
 * "as the test wanted".  A commit that fails changes nothing. */
void fake_store_fail(struct fake_store *fake, enum fake_call call,
                     const char *key, unsigned n, enum err err);

/* Takes back the failures that have not happened yet. */
void fake_store_forgive(struct fake_store *fake);

/* Whether the log has grown so far that a checkpoint pays; at first it never
 * has. */
void fake_store_set_checkpoint_due(struct fake_store *fake, bool due);

/* ---- counts ---- */

/* Calls begun since fake_store_new(), failed ones too. */
unsigned fake_store_calls(struct fake_store *fake, enum fake_call call);
/* Reads begun of one key. */
unsigned fake_store_reads(struct fake_store *fake, const char *key);
/* Waits until at least 'n' calls were begun.  Aborts after 30 s. */
void fake_store_wait_calls(struct fake_store *fake, enum fake_call call,
                           unsigned n);
/* Writes applied by the last commit that succeeded: the size of its group. */
unsigned fake_store_group(struct fake_store *fake);

#endif
