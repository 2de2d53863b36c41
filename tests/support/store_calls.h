/* SPDX-License-Identifier: MIT */
/*
 * Calls of the store for tests: each starts, remembers how it ended, and can
 * be waited for.  And a store to call: over the fake engine, or over SQLite.
 *
 * Keys are whole keys, "book:3" or a plain one.  A row is remembered as its
 * columns joined by '|', NULL spelled "NULL".
 *
 * Thread-safety: one thread starts and waits; ending happens anywhere.
 */
#ifndef TESTS_SUPPORT_STORE_CALLS_H
#define TESTS_SUPPORT_STORE_CALLS_H

#include "common/waitgroup.h"
#include "server/store/store.h"
#include "tests/support/fake_store.h"

/* ---- a store ---- */

struct store_bed {
    struct config *config;
    struct timers *timers;
    struct fake_store *fake; /* NULL over SQLite. */
    struct store *store;
    struct buf detail;  /* Of a store that did not open. */
    struct buf path;    /* Over SQLite: the file, … */
    char directory[64]; /* … in here, removed at the end. */
};

/* Makes configuration and timers; 'store' is still closed. */
void store_bed_init(struct store_bed *bed);
/* Sets a directive as in a file; it must be valid. */
void store_bed_set(struct store_bed *bed, const char *directive,
                   const char *value);
/* Opens over a new fake store, or keeps the one that is there. */
enum err store_bed_open_fake(struct store_bed *bed);
/* Opens over SQLite: the file of the bed, in a directory of its own. */
enum err store_bed_open_sqlite(struct store_bed *bed);
/* The path of that file, whether or not it is there. */
const char *store_bed_path(struct store_bed *bed);
void store_bed_close(struct store_bed *bed);
/* Closes and frees everything. */
void store_bed_destroy(struct store_bed *bed);

/* ---- reads ---- */

struct asked {
    struct store_read read; /* First: the callbacks get back to us. */
    char key[64];
    struct waitgroup ended;
    _Atomic int n_rows; /* Calls of row(), … */
    _Atomic int n_done; /* … and of done(). */
    enum err err;       /* Once ended. */
    struct buf row;     /* Once ended. */
    int64_t expires_ms;
    enum plain_type type;
    int64_t done_us; /* clock_now_us() at done(). */
};

/* Starts a read; 'a' is anew.  A read that is refused, or broken, counts as
 * ended. */
enum store_start ask(struct store *store, struct asked *a, const char *key);
enum store_start ask_refresh(struct store *store, struct asked *a,
                             const char *key);
/* True if it was withdrawn; then it counts as ended. */
bool ask_withdraw(struct store *store, struct asked *a);
void asked_wait(struct asked *a);
void asked_destroy(struct asked *a);

/* ---- writes ---- */

struct written {
    struct store_write write;
    char key[64];
    struct buf value; /* Of plain keys, or a JSON object. */
    struct waitgroup ended;
    _Atomic int n_rows;
    _Atomic int n_done;
    int order; /* How many had ended before, over all writes of the process. */
    enum err err;
    struct buf detail;
    struct buf row;
    int64_t n_changed, n_created, n_new_fields;
};

/* Fills 'w' in anew: a put of 'value' (JSON for a record), a delete if it is
 * NULL. */
void written_init(struct written *w, const char *key, const char *value);
/* Starts what was filled in.  A write that is refused counts as ended. */
enum err written_start(struct store *store, struct written *w);
void written_wait(struct written *w);
void written_destroy(struct written *w);

/* A put or delete from start to end. */
enum err write_now(struct store *store, const char *key, const char *value);

/* ---- walks ---- */

struct walked {
    struct store_walk walk;
    struct waitgroup ended;
    enum err err;
    struct buf keys; /* Each followed by a space. */
    size_t n_keys;
};

/* Walks one page and waits for it. */
void walk_page(struct store *store, struct walked *w, uint64_t cursor,
               size_t count);
/* The number of keys, or -1 if that failed. */
int64_t count_keys(struct store *store);
/* Starts the walk that is filled in. */
enum err walked_start(struct store *store, struct walked *w);
void walked_wait(struct walked *w);
void walked_destroy(struct walked *w);

#endif
