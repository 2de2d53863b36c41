/* SPDX-License-Identifier: MIT */
/*
 * The files of SQLite's "unix" VFS share a few tables of methods, one for each
 * way of locking, with the same functions for writing and syncing.  So a copy
 * of its table, with these two replaced, can be put into each file as it is
 * opened, and the file itself stays as it is.
 */
#include "tests/support/faulty_vfs.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include <sqlite3.h>

#define TABLES_MAX 8

static sqlite3_vfs ours;
static sqlite3_vfs *theirs;

/* Copies of tables, added as files are opened and then constant. */
static struct {
    const sqlite3_io_methods *their;
    sqlite3_io_methods our;
} tables[TABLES_MAX];
static pthread_mutex_t tables_lock = PTHREAD_MUTEX_INITIALIZER;

static int (*their_write)(sqlite3_file *, const void *, int, sqlite3_int64);
static int (*their_sync)(sqlite3_file *, int);

static _Atomic int failures_left[FAULTY_CALLS];
static _Atomic int failure_code;
static _Atomic int crash_in; /* 0: never. */
static _Atomic int crash_status;

/* True if the process shall die within this call. */
static int is_last(void)
{
    return crash_in > 0 && atomic_fetch_sub(&crash_in, 1) == 1;
}

static int take_failure(enum faulty_call call)
{
    int left = failures_left[call];

    while (left > 0) {
        if (atomic_compare_exchange_weak(&failures_left[call], &left,
                                         left - 1)) {
            return failure_code;
        }
    }
    return SQLITE_OK;
}

static int faulty_write(sqlite3_file *file, const void *data, int size,
                        sqlite3_int64 offset)
{
    const int code = take_failure(FAULTY_WRITE);

    if (is_last()) {
        (void)their_write(file, data, size / 2, offset);
        _exit(crash_status);
    }
    return code != SQLITE_OK ? code : their_write(file, data, size, offset);
}

static int faulty_sync(sqlite3_file *file, int flags)
{
    const int code = take_failure(FAULTY_SYNC);

    if (is_last()) {
        _exit(crash_status);
    }
    return code != SQLITE_OK ? code : their_sync(file, flags);
}

/* Our copy of a table of methods. */
static const sqlite3_io_methods *replace(const sqlite3_io_methods *their)
{
    size_t i = 0;

    pthread_mutex_lock(&tables_lock);
    while (i < TABLES_MAX && tables[i].their != NULL &&
           tables[i].their != their) {
        i++;
    }
    assert(i < TABLES_MAX);
    if (tables[i].their == NULL) {
        if (i == 0) {
            their_write = their->xWrite;
            their_sync = their->xSync;
        }
        tables[i].our = *their;
        tables[i].our.xWrite = faulty_write;
        tables[i].our.xSync = faulty_sync;
        tables[i].their = their;
    }
    assert(their_write == their->xWrite && their_sync == their->xSync);
    pthread_mutex_unlock(&tables_lock);
    return &tables[i].our;
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file,
                       int flags, int *out_flags)
{
    const int code = theirs->xOpen(vfs, name, file, flags, out_flags);

    if (code == SQLITE_OK && file->pMethods != NULL) {
        file->pMethods = replace(file->pMethods);
    }
    return code;
}

void faulty_vfs_install(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    if (vfs == &ours) {
        return;
    }
    theirs = vfs;
    ours = *vfs;
    ours.zName = "faulty";
    ours.xOpen = faulty_open;
    sqlite3_vfs_register(&ours, 1);
}

void faulty_vfs_fail(enum faulty_call call, int n, int code)
{
    failure_code = code;
    failures_left[call] = n;
}

void faulty_vfs_crash(int n, int status)
{
    crash_status = status;
    crash_in = n;
}
