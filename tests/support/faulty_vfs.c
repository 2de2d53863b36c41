/* SPDX-License-Identifier: MIT */
/*
 * The files of SQLite's "unix" VFS share a few tables of methods, one for each
 * way of locking.  So a copy of its table, with the methods of the gate in it,
 * can be put into each file as it is opened, and the file itself stays as it
 * is; from the copy one finds back to the table.
 *
 * To forget, each sector is kept as it was when its file was last synced, from
 * the first write to it on: faulty_disk.c.
 */
#include "tests/support/faulty_vfs.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/attr.h"
#include "tests/support/faulty_disk.h"

#define TABLES_MAX 8

static sqlite3_vfs ours;
static sqlite3_vfs *theirs;

/* Copies of tables, added as files are opened and then constant. */
struct table {
    const sqlite3_io_methods *their;
    sqlite3_io_methods our;
};
static struct table tables[TABLES_MAX];
static pthread_mutex_t tables_lock = PTHREAD_MUTEX_INITIALIZER;

/* How calls of one kind fail: those numbered from 'first' up to 'last'. */
static struct {
    _Atomic int n_calls;
    _Atomic int first, last;
    _Atomic int code;
} gates[FAULTY_CALLS];

static _Atomic int crash_in; /* 0: never. */
static _Atomic int crash_status;

static const sqlite3_io_methods *their_methods(const sqlite3_file *file)
{
    return container_of(file->pMethods, struct table, our)->their;
}

/* ---- gates ---- */

/* Counts a call; the error it shall return, or SQLITE_OK. */
static int pass(enum faulty_call call)
{
    const int n = atomic_fetch_add(&gates[call].n_calls, 1) + 1;

    return n >= gates[call].first && n <= gates[call].last ? gates[call].code
                                                           : SQLITE_OK;
}

static void close_gate(enum faulty_call call, int first, int last, int code)
{
    gates[call].last = 0; /* Open while it changes. */
    gates[call].n_calls = 0;
    gates[call].code = code;
    gates[call].first = first;
    gates[call].last = last;
}

void faulty_vfs_fail(enum faulty_call call, int n, int code)
{
    close_gate(call, 1, n, code);
}

void faulty_vfs_fail_at(enum faulty_call call, int n, bool for_ever, int code)
{
    close_gate(call, n, for_ever ? INT32_MAX : n, code);
}

void faulty_vfs_forgive(void)
{
    for (int i = 0; i < FAULTY_CALLS; i++) {
        close_gate((enum faulty_call)i, 0, 0, SQLITE_OK);
    }
}

int faulty_vfs_calls(enum faulty_call call)
{
    return gates[call].n_calls;
}

/* ---- the end ---- */

/* True if the process shall die within this call. */
static bool is_last(void)
{
    return crash_in > 0 && atomic_fetch_sub(&crash_in, 1) == 1;
}

void faulty_vfs_crash(int n, int status)
{
    crash_status = status;
    crash_in = n;
}

void faulty_vfs_forget_unsynced(uint64_t seed)
{
    faulty_disk_begin(seed);
}

_Noreturn static void die(void)
{
    faulty_disk_forget(); /* Nobody writes after this. */
    _exit(crash_status);
}

/* ---- methods ---- */

static int faulty_write(sqlite3_file *file, const void *data, int size,
                        sqlite3_int64 offset)
{
    const sqlite3_io_methods *their = their_methods(file);
    const int code = pass(FAULTY_WRITE);

    if (code != SQLITE_OK) {
        return code;
    }
    const bool last = is_last();
    faulty_disk_write(file, their, offset, last ? size / 2 : size);
    const int result =
        their->xWrite(file, data, last ? size / 2 : size, offset);
    if (last) {
        die();
    }
    return result;
}

static int faulty_sync(sqlite3_file *file, int flags)
{
    const int code = pass(FAULTY_SYNC);

    if (is_last()) {
        die();
    }
    if (code != SQLITE_OK) {
        return code;
    }
    const int result = their_methods(file)->xSync(file, flags);
    if (result == SQLITE_OK) {
        faulty_disk_sync(file);
    }
    return result;
}

static int faulty_read(sqlite3_file *file, void *data, int size,
                       sqlite3_int64 offset)
{
    const int code = pass(FAULTY_READ);

    return code != SQLITE_OK
               ? code
               : their_methods(file)->xRead(file, data, size, offset);
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    const int code = pass(FAULTY_TRUNCATE);

    if (code != SQLITE_OK) {
        return code;
    }
    faulty_disk_truncate(file, size);
    return their_methods(file)->xTruncate(file, size);
}

static int faulty_lock(sqlite3_file *file, int lock)
{
    const int code = pass(FAULTY_LOCK);

    return code != SQLITE_OK ? code : their_methods(file)->xLock(file, lock);
}

static int faulty_shm_map(sqlite3_file *file, int region, int size, int extend,
                          void volatile **memory)
{
    const int code = pass(FAULTY_SHM_MAP);

    return code != SQLITE_OK ? code
                             : their_methods(file)->xShmMap(file, region, size,
                                                            extend, memory);
}

static int faulty_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    const int code =
        (flags & SQLITE_SHM_LOCK) != 0 ? pass(FAULTY_SHM_LOCK) : SQLITE_OK;

    return code != SQLITE_OK
               ? code
               : their_methods(file)->xShmLock(file, offset, n, flags);
}

/* Their own method may change, or free, what the file points to. */
static int faulty_close(sqlite3_file *file)
{
    faulty_disk_close(file);
    return their_methods(file)->xClose(file);
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
        sqlite3_io_methods *our = &tables[i].our;
        *our = *their;
        our->xWrite = faulty_write;
        our->xSync = faulty_sync;
        our->xRead = faulty_read;
        our->xTruncate = faulty_truncate;
        our->xLock = faulty_lock;
        our->xShmMap = their->xShmMap == NULL ? NULL : faulty_shm_map;
        our->xShmLock = their->xShmLock == NULL ? NULL : faulty_shm_lock;
        our->xFetch = NULL; /* No memory of files: all is read and written. */
        our->xUnfetch = NULL;
        our->iVersion = their->iVersion < 2 ? their->iVersion : 2;
        our->xClose = faulty_close;
        tables[i].their = their;
    }
    pthread_mutex_unlock(&tables_lock);
    return &tables[i].our;
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file,
                       int flags, int *out_flags)
{
    int code = pass(FAULTY_OPEN);

    if (code != SQLITE_OK) {
        file->pMethods = NULL;
        return code;
    }
    code = theirs->xOpen(vfs, name, file, flags, out_flags);
    if (code == SQLITE_OK && file->pMethods != NULL) {
        file->pMethods = replace(file->pMethods);
        faulty_disk_open(file, name);
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
