/* SPDX-License-Identifier: MIT */
/*
 * Between the two files of the watch: sqlite_watch.c, which reads what is in
 * the database, and sqlite_exchange.c, which sees that it is the right one.
 *
 * Thread-safety: the watcher's thread.
 */
#ifndef SERVER_STORE_SQLITE_WATCH_H
#define SERVER_STORE_SQLITE_WATCH_H

#include "server/store/sqlite_files.h"
#include "server/store/sqlite_internal.h"

enum watch_phase {
    WATCHING,
    LEAVING, /* The gate is shut. */
    OUTSIDE  /* There is no file that could be opened. */
};

/* What the index of the log says of checkpoints.
 * Source: https://sqlite.org/walformat.html, "The WAL-Index File Format". */
struct log_backfill {
    uint32_t salts[2];
    uint32_t done;
    uint32_t attempted; /* More than 'done' while one is under way. */
    uint32_t frames;    /* That the log has. */
    uint32_t commits;   /* Counts all of them, over and over. */
};

struct engine_watch {
    struct engine_database *database;
    struct sqlite3 *db;
    struct sqlite3_stmt *begin, *end; /* Owned by 'db', as the next. */
    struct sqlite3_stmt *data_version;
    struct sqlite3_stmt *schema_version;
    struct sqlite3_stmt *rows;     /* NULL: there is no change table. */
    struct sqlite3_stmt *last_seq; /* Likewise. */
    int64_t seen_data;
    int64_t seen_schema;
    uint64_t own_commits; /* Before the last look at data_version. */
    int64_t seen_seq;
    int64_t trimmed_seq; /* When the writer was last woken to trim. */
    bool more;           /* The last look left rows untold. */
    bool had_feed;       /* There was one when the connections were made. */
    bool *covered;       /* Per mapping: in the feed. */
    bool all_covered;
    struct sqlite_files files;
    int64_t fate_us; /* When they were last looked at; clock_real_us(). */
    enum watch_phase phase;
    enum sqlite_fate fate;        /* Unless WATCHING: why. */
    struct log_backfill backfill; /* Before the last look at what stirred. */
    /* Owned descriptors of the database that was left, and of its index, or -1.
     * Held until there is another, so that no file gets their numbers. */
    int left, left_index;
};

/* ---- sqlite_watch.c ---- */

/* The number that 'statement' returns; 0 if it returns nothing. */
NODISCARD
enum err sqlite_watch_number(struct engine_watch *watch,
                             struct sqlite3_stmt *statement, int64_t *number,
                             struct buf *detail);
/* Opens a connection; what is there now counts as seen. */
NODISCARD
enum err sqlite_watch_connect(struct engine_watch *watch, struct buf *detail);

/* ---- sqlite_exchange.c ---- */

/* Remembers the files that are open now. */
void sqlite_exchange_follow(struct engine_watch *watch);

/* Sees what has stirred, and begins to leave the file if there is a reason. */
void sqlite_exchange_check(struct engine_watch *watch,
                           struct engine_sight *sight);
/* The schema has changed: begins to leave the file if other mappings fit it
 * now, or if statements are to be made for another feed. */
NODISCARD
enum err sqlite_exchange_schema(struct engine_watch *watch, bool feed_changed,
                                struct engine_sight *sight, struct buf *detail);
/* Unless WATCHING: goes on. */
NODISCARD
enum err sqlite_exchange_go_on(struct engine_watch *watch,
                               struct engine_sight *sight, struct buf *detail);
/* Nobody will look any more: ends what waits for the file. */
void sqlite_exchange_end(struct engine_watch *watch);
/* Closes what was left, while no connection is open; see sqlite_claim.c. */
void sqlite_exchange_close_left(struct engine_watch *watch);

#endif
