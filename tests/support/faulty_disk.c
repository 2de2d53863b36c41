/* SPDX-License-Identifier: MIT */
#include "tests/support/faulty_disk.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "tests/support/stress.h"

#define SECTOR 512
#define BINS 1024
#define FILES_MAX 8
#define HANDLES_MAX 64

struct sector {
    struct sector *next; /* In its bin. */
    int64_t number;
    char before[SECTOR]; /* As at the last sync; zeros beyond the end. */
};

struct file {
    char path[512]; /* Empty: free. */
    struct sector *bins[BINS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool remembers;
static uint64_t random_state;
static struct file files[FILES_MAX];
static struct {
    const struct sqlite3_file *handle;
    struct file *file;
} handles[HANDLES_MAX];

void faulty_disk_begin(uint64_t seed)
{
    pthread_mutex_lock(&lock);
    random_state = seed | 1;
    remembers = true;
    pthread_mutex_unlock(&lock);
}

/* ---- handles ---- */

void faulty_disk_open(const struct sqlite3_file *handle, const char *path)
{
    size_t i = 0;
    size_t k = 0;

    pthread_mutex_lock(&lock);
    if (remembers && path != NULL) {
        while (i < FILES_MAX && files[i].path[0] != '\0' &&
               strcmp(files[i].path, path) != 0) {
            i++;
        }
        while (k < HANDLES_MAX && handles[k].handle != NULL) {
            k++;
        }
        CHECK(i < FILES_MAX && k < HANDLES_MAX);
        const size_t size = strlen(path) + 1;
        CHECK(size <= sizeof files[i].path);
        memcpy(files[i].path, path, size);
        handles[k].handle = handle;
        handles[k].file = &files[i];
    }
    pthread_mutex_unlock(&lock);
}

void faulty_disk_close(const struct sqlite3_file *handle)
{
    pthread_mutex_lock(&lock);
    for (size_t k = 0; k < HANDLES_MAX; k++) {
        if (handles[k].handle == handle) {
            handles[k].handle = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
}

static struct file *file_of(const struct sqlite3_file *handle)
{
    for (size_t k = 0; k < HANDLES_MAX; k++) {
        if (handles[k].handle == handle) {
            return handles[k].file;
        }
    }
    return NULL;
}

/* ---- sectors ---- */

static void keep_sector(struct file *file, struct sqlite3_file *handle,
                        const struct sqlite3_io_methods *methods,
                        int64_t number)
{
    struct sector **bin = &file->bins[number % BINS];
    struct sector *sector = *bin;

    while (sector != NULL && sector->number != number) {
        sector = sector->next;
    }
    if (sector != NULL) {
        return; /* What is there now was not synced either. */
    }
    sector = calloc(1, sizeof *sector);
    CHECK(sector != NULL);
    sector->number = number;
    /* A short read is filled up with zeros. */
    const int code =
        methods->xRead(handle, sector->before, SECTOR, number * SECTOR);
    CHECK(code == SQLITE_OK || code == SQLITE_IOERR_SHORT_READ);
    sector->next = *bin;
    *bin = sector;
}

void faulty_disk_write(struct sqlite3_file *handle,
                       const struct sqlite3_io_methods *methods, int64_t offset,
                       int size)
{
    pthread_mutex_lock(&lock);
    struct file *file = file_of(handle);
    if (file != NULL && size > 0) {
        const int64_t last = (offset + size - 1) / SECTOR;
        for (int64_t n = offset / SECTOR; n <= last; n++) {
            keep_sector(file, handle, methods, n);
        }
    }
    pthread_mutex_unlock(&lock);
}

/* Forgets what sectors were from 'first' on. */
static void drop_from(struct file *file, int64_t first)
{
    for (size_t i = 0; i < BINS; i++) {
        struct sector **link = &file->bins[i];
        while (*link != NULL) {
            struct sector *sector = *link;
            if (sector->number >= first) {
                *link = sector->next;
                free(sector);
            } else {
                link = &sector->next;
            }
        }
    }
}

void faulty_disk_truncate(const struct sqlite3_file *handle, int64_t size)
{
    pthread_mutex_lock(&lock);
    struct file *file = file_of(handle);
    if (file != NULL) {
        drop_from(file, (size + SECTOR - 1) / SECTOR);
    }
    pthread_mutex_unlock(&lock);
}

void faulty_disk_sync(const struct sqlite3_file *handle)
{
    pthread_mutex_lock(&lock);
    struct file *file = file_of(handle);
    if (file != NULL) {
        drop_from(file, 0);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- the end ---- */

static void forget_some(const struct file *file)
{
    const int fd = open(file->path, O_WRONLY | O_CLOEXEC);

    /* A log that was deleted since is gone with what was in it. */
    for (size_t i = 0; fd >= 0 && i < BINS; i++) {
        const struct sector *s = file->bins[i];
        for (; s != NULL; s = s->next) {
            if (stress_random(&random_state, 2) == 0) {
                CHECK(pwrite(fd, s->before, SECTOR, s->number * SECTOR) ==
                      SECTOR);
            }
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

void faulty_disk_forget(void)
{
    pthread_mutex_lock(&lock); /* For ever. */
    if (remembers) {
        for (size_t i = 0; i < FILES_MAX; i++) {
            if (files[i].path[0] != '\0') {
                forget_some(&files[i]);
            }
        }
    }
}
