/* SPDX-License-Identifier: MIT */
/*
 * The places a listener listens at: opened from directives, or inherited.
 *
 * Thread-safety: while the program starts, on one thread.
 */
#ifndef SERVER_NET_ADDRESS_H
#define SERVER_NET_ADDRESS_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* One listening socket. */
struct address {
    int fd;
    bool is_tls;
    char *unix_path; /* Owned; NULL unless we made this file. */
    dev_t device;    /* Of that file, so that only it is removed. */
    ino_t inode;
};

/* Zeroed is an empty list. */
struct addresses {
    struct address *items; /* Owned. */
    size_t n;
};

/* Takes the listening sockets that a service manager left open for us
 * (LISTEN_FDS, LISTEN_PID), and the variables out of the environment.  Adds
 * nothing when there are none.
 * Errors: ERR_INVALID for one that is no listening stream socket.
 * Source: sd_listen_fds(3). */
NODISCARD
enum err addresses_inherit(struct addresses *list, struct buf *detail);

/* Opens 'port' on each of the addresses in 'bind', which are separated by
 * spaces; "*" is all of IPv4, "::*" all of IPv6; one after a '-' is left out
 * when this machine does not have it.  A port below 0 is any free one, the
 * same for all. */
NODISCARD
enum err addresses_open_tcp(struct addresses *list, const char *bind, int port,
                            int backlog, struct buf *detail);

/* Those behind the first 'n' speak TLS. */
void addresses_mark_tls(struct addresses *list, size_t n);

/* Opens the unix socket 'path', with permission bits 'mode'.  A socket file
 * that nobody listens on any more is replaced, any other file is not. */
NODISCARD
enum err addresses_open_unix(struct addresses *list, const char *path, int mode,
                             int backlog, struct buf *detail);

/* The TCP port of the first that has one, or 0. */
int addresses_port(const struct addresses *list);

/* Closes all, removes unix socket files that are still ours. */
void addresses_close(struct addresses *list);

#endif
