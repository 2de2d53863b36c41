/* SPDX-License-Identifier: MIT */
/*
 * A disk for SQLite that fails, or at which the process dies, when a test
 * wants it to.
 *
 * It is SQLite's own access to files, with writes and syncs put through a
 * gate.  Installed once, it stays the default for all connections that are
 * opened afterwards.
 *
 * Thread-safety: any thread, after it was installed.
 */
#ifndef TESTS_SUPPORT_FAULTY_VFS_H
#define TESTS_SUPPORT_FAULTY_VFS_H

enum faulty_call { FAULTY_WRITE, FAULTY_SYNC, FAULTY_CALLS };

void faulty_vfs_install(void);

/* The next 'n' such calls do nothing and return SQLite's error 'code'. */
void faulty_vfs_fail(enum faulty_call call, int n, int code);

/* The process exits with 'status' at the 'n'-th write or sync from now on (1
 * is the next), half of a write being done. */
void faulty_vfs_crash(int n, int status);

#endif
