/* SPDX-License-Identifier: MIT */
/*
 * inotify tells of write(2) and truncate(2) to a file, and of names that come
 * and go in a directory; not of what is written through mmap(2).  So the log
 * itself is watched, and the directory only for names: what others write there
 * does not wake us.
 */
#include "server/store/sqlite_files.h"

#include <errno.h>
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

static struct sqlite_file_id identify(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        return (struct sqlite_file_id){.there = false};
    }
    return (struct sqlite_file_id){
        .there = true, .device = status.st_dev, .inode = status.st_ino};
}

static bool is_same(struct sqlite_file_id a, struct sqlite_file_id b)
{
    return a.there == b.there &&
           (!a.there || (a.device == b.device && a.inode == b.inode));
}

/* ---- watches ---- */

static void watch_directory(struct sqlite_files *files)
{
    const char *path = files->paths[FILE_DATABASE];
    const size_t size = (size_t)(strrchr(path, '/') - path);
    char *directory =
        size == 0 ? xstrdup("/") : xslicedup(slice_make(path, size));

    files->directory_watch =
        inotify_add_watch(files->inotify, directory, NAME_EVENTS);
    free(directory);
}

static void watch_file(struct sqlite_files *files, enum sqlite_file file)
{
    files->watches[file] =
        inotify_add_watch(files->inotify, files->paths[file], IN_MODIFY);
}

/* Watches go away with their files; those of files that are still there are
 * the same again. */
static void watch_all(struct sqlite_files *files)
{
    if (files->inotify >= 0) {
        watch_directory(files);
        watch_file(files, FILE_DATABASE);
        watch_file(files, FILE_LOG);
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
                                   .directory_watch = -1};
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
    give_up_inotify(files);
}

void sqlite_files_follow(struct sqlite_files *files)
{
    name_files(files);
    watch_all(files);
    for (size_t i = 0; i < FILES; i++) {
        files->ids[i] = identify(files->paths[i]);
    }
    if (files->directory_watch < 0 ||
        (files->ids[FILE_LOG].there && files->watches[FILE_LOG] < 0)) {
        give_up_inotify(files); /* Half of it would be taken for all. */
    }
}

/* ---- looking ---- */

static void note(const struct sqlite_files *files,
                 const struct inotify_event *event, struct sqlite_stir *stir)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0) { /* Anything may have happened. */
        *stir = (struct sqlite_stir){true, true, true};
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

    /* An event with a name takes at most this much, so what leaves more room
     * was all there is. */
    const ssize_t full =
        (ssize_t)(sizeof events - sizeof(struct inotify_event) - NAME_MAX - 1);
    while (files->inotify >= 0 && size > full &&
           (size = read(files->inotify, events, sizeof events)) > 0) {
        for (const char *at = events; at < events + size;) {
            const struct inotify_event *event =
                (const struct inotify_event *)(const void *)at;
            note(files, event, &stir);
            at += sizeof *event + event->len;
        }
    }
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
    const struct sqlite_file_id now = identify(files->link);

    return now.there && !is_same(files->ids[FILE_DATABASE], now);
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
    struct stat status;
    struct timespec now;

    if (stat(files->paths[FILE_LOG], &status) != 0 ||
        clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return INT64_MIN;
    }
    const int64_t age_us =
        (int64_t)(now.tv_sec - status.st_mtim.tv_sec) * 1000000 +
        (now.tv_nsec - status.st_mtim.tv_nsec) / 1000;
    return clock_real_us() - (age_us > 0 ? age_us : 0);
}
