/* SPDX-License-Identifier: MIT */
/*
 * inotify tells of write(2) and truncate(2) to a file, and of names that come
 * and go in a directory; not of what is written through mmap(2).  So the log
 * itself is watched, and the directory only for names: what others write there
 * does not wake us.
 */
#include "server/store/sqlite_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define NAME_EVENTS \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

static const char *const suffixes[FILES] = {"", "-wal", "-shm"};

/* ---- names ---- */

/* The directory and the name of 'path', links in the former resolved, and of
 * the latter if it is there: SQLite's log stands beside the real file. */
static char *real_path(const char *path)
{
    char *resolved = realpath(path, NULL);
    struct buf text = {0};

    if (resolved != NULL) {
        return resolved;
    }
    const char *slash = strrchr(path, '/');
    char *directory = slash == NULL || slash == path
                          ? xstrdup(slash == NULL ? "." : "/")
                          : xslicedup(slice_make(path, (size_t)(slash - path)));
    resolved = realpath(directory, NULL);
    buf_printf(&text, "%s/%s", resolved != NULL ? resolved : directory,
               slash == NULL ? path : slash + 1);
    free(directory);
    free(resolved);
    resolved = xstrdup(buf_string(&text));
    buf_destroy(&text);
    return resolved;
}

static void name_files(struct sqlite_files *files)
{
    char *real = real_path(files->link);

    for (size_t i = 0; i < FILES; i++) {
        struct buf path = {0};
        buf_printf(&path, "%s%s", real, suffixes[i]);
        free(files->paths[i]);
        files->paths[i] = xstrdup(buf_string(&path));
        buf_destroy(&path);
    }
    free(real);
}

static struct sqlite_file_id id_of(const struct stat *status)
{
    return (struct sqlite_file_id){
        .there = true, .device = status->st_dev, .inode = status->st_ino};
}

static struct sqlite_file_id identify(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        return (struct sqlite_file_id){.there = false};
    }
    return id_of(&status);
}

/* Of the file that 'fd' is open on, or else of what is there now. */
static struct sqlite_file_id identify_open(const struct sqlite_files *files,
                                           enum sqlite_file file, int fd)
{
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 ? id_of(&status)
                                              : identify(files->paths[file]);
}

static bool is_same(struct sqlite_file_id a, struct sqlite_file_id b)
{
    return a.there == b.there &&
           (!a.there || (a.device == b.device && a.inode == b.inode));
}

static struct sqlite_file_stamp read_stamp(const struct sqlite_files *files)
{
    struct stat status;

    if (stat(files->paths[FILE_DATABASE], &status) != 0) {
        return (struct sqlite_file_stamp){.size = -1};
    }
    return (struct sqlite_file_stamp){.s = status.st_mtim.tv_sec,
                                      .ns = status.st_mtim.tv_nsec,
                                      .size = status.st_size};
}

static bool is_same_stamp(struct sqlite_file_stamp a,
                          struct sqlite_file_stamp b)
{
    return a.s == b.s && a.ns == b.ns && a.size == b.size;
}

/* ---- watches ---- */

/* Watches 'path' in place of what '*watch' does, which may live on elsewhere.
 */
static void watch_path(const struct sqlite_files *files, const char *path,
                       uint32_t events, int *watch)
{
    const int before = *watch;

    *watch = inotify_add_watch(files->inotify, path, events);
    if (before >= 0 && before != *watch) {
        /* Fails if it went with its file. */
        (void)inotify_rm_watch(files->inotify, before);
    }
}

static void watch_directory(struct sqlite_files *files)
{
    const char *path = files->paths[FILE_DATABASE];
    const size_t size = (size_t)(strrchr(path, '/') - path);
    char *directory =
        size == 0 ? xstrdup("/") : xslicedup(slice_make(path, size));

    watch_path(files, directory, NAME_EVENTS, &files->directory_watch);
    free(directory);
}

static void watch_file(struct sqlite_files *files, enum sqlite_file file)
{
    watch_path(files, files->paths[file], IN_MODIFY, &files->watches[file]);
}

/* Watches of files that are still there are the same again. */
static void watch_all(struct sqlite_files *files)
{
    if (files->inotify >= 0) {
        watch_directory(files);
        watch_file(files, FILE_DATABASE);
        watch_file(files, FILE_LOG);
    }
}

static void close_log(struct sqlite_files *files)
{
    if (files->log >= 0) {
        close(files->log);
        files->log = -1;
    }
}

static void give_up_inotify(struct sqlite_files *files)
{
    if (files->inotify >= 0) {
        close(files->inotify);
        files->inotify = -1;
    }
}

void sqlite_files_init(struct sqlite_files *files, const char *path,
                       struct buf *reason)
{
    *files = (struct sqlite_files){.link = xstrdup(path),
                                   .inotify =
                                       inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
                                   .watches = {-1, -1, -1},
                                   .directory_watch = -1,
                                   .log = -1};
    name_files(files);
    watch_all(files);
    if (files->inotify < 0 || files->directory_watch < 0) {
        buf_printf(reason, "inotify: %s", strerror(errno));
        give_up_inotify(files);
    }
}

void sqlite_files_destroy(struct sqlite_files *files)
{
    for (size_t i = 0; i < FILES; i++) {
        free(files->paths[i]);
    }
    free(files->link);
    close_log(files);
    give_up_inotify(files);
}

void sqlite_files_follow(struct sqlite_files *files, int database)
{
    name_files(files);
    watch_all(files);
    for (size_t i = 0; i < FILES; i++) {
        files->ids[i] = identify(files->paths[i]);
        if (files->ids[i].there && i != FILE_INDEX && files->watches[i] < 0) {
            give_up_inotify(files); /* Half of it would be taken for all. */
        }
    }
    close_log(files);
    files->log = open(files->paths[FILE_LOG], O_RDONLY | O_CLOEXEC);
    files->ids[FILE_LOG] = identify_open(files, FILE_LOG, files->log);
    files->ids[FILE_DATABASE] = identify_open(files, FILE_DATABASE, database);
    files->stamp = read_stamp(files);
    if (files->directory_watch < 0) {
        give_up_inotify(files);
    }
}

/* ---- looking ---- */

static void note(const struct sqlite_files *files,
                 const struct inotify_event *event, struct sqlite_stir *stir,
                 bool *lost)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0) { /* Anything may have happened. */
        stir->log = true;
        stir->names = true;
        *lost = true;
    } else if ((event->mask & IN_MODIFY) == 0) {
        stir->names = true;
    } else if (event->wd == files->watches[FILE_LOG]) {
        stir->log = true;
    } else if (event->wd == files->watches[FILE_DATABASE]) {
        stir->database = true;
    }
}

struct sqlite_stir sqlite_files_stir(struct sqlite_files *files)
{
    _Alignas(struct inotify_event) char events[4096];
    struct sqlite_stir stir = {0};
    ssize_t size = (ssize_t)sizeof events;
    bool lost = files->inotify < 0; /* What was to be told. */

    /* An event with a name takes at most this much, so what leaves more room
     * was all there is. */
    const ssize_t full =
        (ssize_t)(sizeof events - sizeof(struct inotify_event) - NAME_MAX - 1);
    while (files->inotify >= 0 && size > full &&
           (size = read(files->inotify, events, sizeof events)) > 0) {
        for (const char *at = events; at < events + size;) {
            const struct inotify_event *event =
                (const struct inotify_event *)(const void *)at;
            note(files, event, &stir, &lost);
            at += sizeof *event + event->len;
        }
    }
    /* "Perhaps" will not do for the database: it would cost the log. */
    const struct sqlite_file_stamp stamp = read_stamp(files);
    stir.database =
        stir.database || (lost && !is_same_stamp(stamp, files->stamp));
    files->stamp = stamp;
    return stir;
}

enum sqlite_fate sqlite_files_fate(const struct sqlite_files *files)
{
    if (!is_same(files->ids[FILE_DATABASE], identify(files->link))) {
        return FILES_REPLACED;
    }
    return is_same(files->ids[FILE_LOG], identify(files->paths[FILE_LOG])) &&
                   is_same(files->ids[FILE_INDEX],
                           identify(files->paths[FILE_INDEX]))
               ? FILES_SAME
               : FILES_LOG_LOST;
}

bool sqlite_files_is_another(const struct sqlite_files *files)
{
    const struct sqlite_file_id now = identify(files->paths[FILE_DATABASE]);

    return now.there && !is_same(files->ids[FILE_DATABASE], now);
}

/* Microseconds since 'file' was written to; less than 0 if that is said to be
 * yet to come, INT64_MIN if it cannot be told. */
static int64_t age_us(const char *file)
{
    struct stat status;
    struct timespec now;

    if (stat(file, &status) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return INT64_MIN;
    }
    return (int64_t)(now.tv_sec - status.st_mtim.tv_sec) * 1000000 +
           (now.tv_nsec - status.st_mtim.tv_nsec) / 1000;
}

bool sqlite_files_is_quiet(const struct sqlite_files *files, int64_t us)
{
    const int64_t age = age_us(files->link);

    return age < 0 || age >= us;
}

void sqlite_files_remove_log(const struct sqlite_files *files)
{
    for (size_t i = FILE_LOG; i < FILES; i++) {
        if (files->ids[i].there &&
            is_same(files->ids[i], identify(files->paths[i])) &&
            unlink(files->paths[i]) == 0) {
            log_warn("store: removed what a database that is gone left behind "
                     "file=\"%s\"",
                     files->paths[i]);
        }
    }
}

int64_t sqlite_files_written_us(const struct sqlite_files *files)
{
    const int64_t age = age_us(files->paths[FILE_LOG]);

    return age == INT64_MIN ? INT64_MIN : clock_real_us() - (age > 0 ? age : 0);
}
