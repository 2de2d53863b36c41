/* SPDX-License-Identifier: MIT */
/*
 * The text goes into a new file beside the old one, is forced to the disk, and
 * then takes the old one's name, which is one step.
 */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err failed(int error, struct buf *detail)
{
    buf_append_string(detail, strerror(error));
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    default:
        return ERR_SYSTEM;
    }
}

/* Gives the new file the mode and the owner of the old one. */
static bool take_over(int fd, const char *path, mode_t mode)
{
    struct stat old;
    struct stat new;

    if (stat(path, &old) != 0) {
        return errno == ENOENT && fchmod(fd, mode) == 0;
    }
    if (fstat(fd, &new) != 0) {
        return false;
    }
    const bool same = old.st_uid == new.st_uid &&old.st_gid == new.st_gid;
    return (same || fchown(fd, old.st_uid, old.st_gid) == 0) &&
           fchmod(fd, old.st_mode & 07777) == 0;
}

static bool write_all(int fd, struct slice text)
{
    while (text.size > 0) {
        const ssize_t n = write(fd, text.data, text.size);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n > 0) {
            text = slice_make(text.data + n, text.size - (size_t)n);
        }
    }
    return true;
}

/* So that the new name is on the disk, too.  A directory that cannot be
 * synced keeps the file all the same. */
static void sync_directory(const char *path)
{
    struct buf name = {0};
    const char *slash = strrchr(path, '/');
    const size_t size = slash == NULL ? 0 : (size_t)(slash - path) + 1;

    buf_append(&name, size > 0 ? path : "./", size > 0 ? size : 2);
    const int fd = open(buf_string(&name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    buf_destroy(&name);
}

enum err file_replace(const char *path, struct slice text, unsigned mode,
                      struct buf *detail)
{
    struct buf name = {0};
    int error = 0;

    buf_printf(&name, "%s.XXXXXX", path);
    (void)buf_string(&name);
    char *temporary = buf_data(&name);
    const int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        error = errno;
        buf_destroy(&name);
        return failed(error, detail);
    }
    if (!take_over(fd, path, (mode_t)mode) || !write_all(fd, text) ||
        fsync(fd) != 0) {
        error = errno;
    }
    if (close(fd) != 0 && error == 0) {
        error = errno;
    }
    if (error == 0 && rename(temporary, path) != 0) {
        error = errno;
    }
    if (error == 0) {
        sync_directory(path);
    } else {
        (void)unlink(temporary);
    }
    buf_destroy(&name);
    return error == 0 ? ERR_OK : failed(error, detail);
}
