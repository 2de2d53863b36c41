/* SPDX-License-Identifier: MIT */
/*
 * One bookd for one file: a lock that is held for as long as the store is open.
 *
 * Two of them would each cache what the other changes, and each move the log
 * into the file while the other commits, which SQLite before 3.51.3 does not
 * always survive.  Other programs, which leave the log to itself, are welcome.
 *
 * The lock is one of an open file description (fcntl(2), F_OFD_SETLK) over one
 * byte that no database reaches.  Nothing is left behind when the process
 * dies, whatever it dies of.  Its descriptor must be closed after all
 * connections to the file: closing any descriptor of a file drops the POSIX
 * locks of the process, and these are SQLite's.
 */
#include "server/store/sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Beyond the largest database of SQLite, 2^48 bytes, and its own lock bytes at
 * 2^30.  Source: https://sqlite.org/limits.html */
#define CLAIM_OFFSET ((off_t)1 << 62)

enum err sqlite_claim(const char *path, int *fdp, struct buf *detail)
{
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = CLAIM_OFFSET,
                         .l_len = 1};
    const int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0) {
        *fdp = fd;
        return ERR_OK;
    }
    const int cause = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (cause == EAGAIN || cause == EACCES) {
        buf_printf(detail,
                   "%s: another bookd serves this file; stop it, or name "
                   "another file with 'store sqlite:PATH'",
                   path);
        return ERR_STORE_LOCKED;
    }
    buf_printf(detail, "%s: cannot be locked: %s", path, strerror(cause));
    return ERR_SYSTEM;
}

void sqlite_unclaim(int fd)
{
    struct flock lock = {.l_type = F_UNLCK,
                         .l_whence = SEEK_SET,
                         .l_start = CLAIM_OFFSET,
                         .l_len = 1};

    (void)fcntl(fd, F_OFD_SETLK, &lock);
}
