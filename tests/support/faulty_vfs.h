/* SPDX-License-Identifier: MIT */
/*
 * A disk for SQLite that fails, at which the process dies, or that forgets what
 * was not synced, when a test wants it to.
 *
 * It is SQLite's own access to files, with its calls put through a gate.
 * Installed once, it stays the default for all connections that are opened
 * afterwards.
 *
 * Thread-safety: any thread, after it was installed.
 */
#ifndef TESTS_SUPPORT_FAULTY_VFS_H
#define TESTS_SUPPORT_FAULTY_VFS_H

#include <stdbool.h>
#include <stdint.h>

enum faulty_call {
    FAULTY_WRITE,
    FAULTY_SYNC,
    FAULTY_READ,
    FAULTY_TRUNCATE,
    FAULTY_LOCK,
    FAULTY_SHM_MAP,  /* The index of the log, in shared memory, … */
    FAULTY_SHM_LOCK, /* … and its locks; letting go never fails. */
    FAULTY_OPEN,
    FAULTY_CALLS
};

void faulty_vfs_install(void);

/* ---- failures ---- */

/* The next 'n' such calls do nothing and return SQLite's error 'code'. */
void faulty_vfs_fail(enum faulty_call call, int n, int code);

/* The 'n'-th such call from now on (1 is the next) does nothing and returns
 * 'code'; if 'for_ever', so do all after it. */
void faulty_vfs_fail_at(enum faulty_call call, int n, bool for_ever, int code);

/* No call fails from now on. */
void faulty_vfs_forgive(void);

/* Such calls since the last faulty_vfs_fail_at() or faulty_vfs_forgive(). */
int faulty_vfs_calls(enum faulty_call call);

/* ---- the end of the process ---- */

/* The process exits with 'status' at the 'n'-th write or sync from now on (1
 * is the next), half of a write being done. */
void faulty_vfs_crash(int n, int status);

/* What is written from now on and not synced is lost by that crash in part, as
 * by a power failure: each sector of 512 bytes, as 'seed' will have it, is as
 * it was at the last sync of its file, or is not.  A truncation is kept. */
void faulty_vfs_forget_unsynced(uint64_t seed);

#endif
