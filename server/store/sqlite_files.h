/* SPDX-License-Identifier: MIT */
/*
 * The files of an SQLite database as the system sees them: who writes to them,
 * and whether they are still those that were opened.
 *
 *     books.db        the database          books.db-wal    its log
 *     books.db-shm    the index of the log, which is written through shared
 *                     memory, so nobody is told of it
 *
 * Thread-safety: one thread at a time.
 */
#ifndef SERVER_STORE_SQLITE_FILES_H
#define SERVER_STORE_SQLITE_FILES_H

#include "common/attr.h"
#include "common/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum sqlite_file { FILE_DATABASE, FILE_LOG, FILE_INDEX, FILES };

/* What has become of them; sqlite_files_fate() does not find the last. */
enum sqlite_fate {
    FILES_SAME,
    FILES_LOG_LOST,   /* The database is the same, but its log or index is not
                       there, or another. */
    FILES_REPLACED,   /* There is another file, or none, in place of the
                       database. */
    FILES_OVERWRITTEN /* The file is the same, its content is not. */
};

struct sqlite_file_id {
    bool there;
    dev_t device;
    ino_t inode;
};

/* When a file was written to, as far as the system knows. */
struct sqlite_file_stamp {
    int64_t s, ns; /* Since 1970. */
    int64_t size;
};

struct sqlite_files {
    char *paths[FILES];               /* Owned; without symbolic links. */
    char *link;                       /* Owned: the path as it was given. */
    struct sqlite_file_id ids[FILES]; /* Of those that are open. */
    int inotify;                      /* -1: none. */
    int watches[FILES];               /* -1: none. */
    int directory_watch;
    int log; /* Descriptor of the log, or -1: keeps its number from others. */
    struct sqlite_file_stamp stamp; /* Of the database, at the last look. */
};

/* What happened since the last look. */
struct sqlite_stir {
    bool log;      /* The log was written to. */
    bool database; /* The database file was. */
    bool names;    /* Files came or went. */
};

/* 'path' need not be there.  Without inotify (a limit of the system is
 * reached) all works but being woken: '*reason' says why.  That the database
 * is written to can be missed then, within one tick of the system's clock. */
void sqlite_files_init(struct sqlite_files *files, const char *path,
                       struct buf *reason);
void sqlite_files_destroy(struct sqlite_files *files);

/* Takes the files that are there now for those that were opened; but for the
 * database, if 'database' is a descriptor of that, and not -1: it may be
 * another already. */
void sqlite_files_follow(struct sqlite_files *files, int database);

struct sqlite_stir sqlite_files_stir(struct sqlite_files *files);
enum sqlite_fate sqlite_files_fate(const struct sqlite_files *files);

/* Is there another database in the place of that of sqlite_files_follow(), to
 * which the log of that would seem to belong?  Not if a link leads elsewhere.
 */
bool sqlite_files_is_another(const struct sqlite_files *files);

/* False if the database, which may be another, was written to within the last
 * 'us': somebody may still be at it. */
bool sqlite_files_is_quiet(const struct sqlite_files *files, int64_t us);

/* Removes the log and the index if they are those of sqlite_files_follow():
 * left behind by a database that is gone. */
void sqlite_files_remove_log(const struct sqlite_files *files);

/* The moment at which the log was last written to, on clock_real_us(); a few
 * milliseconds early, as the system's clock for files ticks.  INT64_MIN if it
 * cannot be told. */
int64_t sqlite_files_written_us(const struct sqlite_files *files);

#endif
