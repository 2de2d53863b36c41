/* SPDX-License-Identifier: MIT */
/*
 * The part of faulty_vfs.h that remembers what a disk may forget: the sectors
 * of each file that were written since its last sync, as they were before.
 *
 * Thread-safety: any thread; one lock.
 */
#ifndef TESTS_SUPPORT_FAULTY_DISK_H
#define TESTS_SUPPORT_FAULTY_DISK_H

#include <stdint.h>

struct sqlite3_file;
struct sqlite3_io_methods;

/* From now on; before it, the other functions do nothing. */
void faulty_disk_begin(uint64_t seed);

/* 'handle' is one of the file 'path'; a file can have many. */
void faulty_disk_open(const struct sqlite3_file *handle, const char *path);
void faulty_disk_close(const struct sqlite3_file *handle);

/* Before 'size' bytes at 'offset' are written. */
void faulty_disk_write(struct sqlite3_file *handle,
                       const struct sqlite3_io_methods *methods, int64_t offset,
                       int size);
/* Before the file is cut to 'size'. */
void faulty_disk_truncate(const struct sqlite3_file *handle, int64_t size);
/* After it was synced. */
void faulty_disk_sync(const struct sqlite3_file *handle);

/* Puts back a random part of what was not synced, and keeps the lock: every
 * other thread stops at its next write. */
void faulty_disk_forget(void);

#endif
