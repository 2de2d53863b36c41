/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets: opened from 'bind', 'port' and 'unixsocket', or taken
 * over from systemd (LISTEN_FDS), accepting on one loop and handing each new
 * connection to the next of the I/O loops.
 *
 * When the process runs out of descriptors accepting pauses for a moment and
 * says so once, instead of spinning.
 *
 * Thread-safety: owned by the thread of the accepting loop.
 */
#ifndef SERVER_NET_LISTENER_H
#define SERVER_NET_LISTENER_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "server/net/loop.h"

struct listener;
struct server;
struct tls_settings;

struct listener_options {
    const char *bind;         /* Addresses, separated by spaces; "*" is all. */
    int port;                 /* 0: no TCP. */
    int tls_port;             /* 0: none; else 'tls' is there. */
    struct tls_settings *tls; /* Borrowed; NULL: none. */
    const char *unix_path;    /* "" : none. */
    int unix_mode;            /* Permission bits of the unix socket. */
    int backlog;
    struct server *server; /* Borrowed; given to every connection. */
    struct loop *accept_loop;
    struct loop **io_loops; /* Borrowed. */
    size_t n_io_loops;
};

/* Opens everything, or nothing.  Sockets that a service manager passed
 * (LISTEN_FDS) take the place of 'bind', 'port' and 'unix_path'.  Errors:
 * ERR_ADDRESS_IN_USE, ERR_INVALID, ERR_PERMISSION, ERR_SYSTEM, with one
 * sentence for people in 'detail'. */
NODISCARD
enum err listener_open(struct listener **listenerp,
                       const struct listener_options *options,
                       struct buf *detail);
/* Stops accepting and closes the sockets (not the connections); NULL is fine.
 * Thread: the accepting loop's, or when that loop does not run. */
void listener_close(struct listener *listener);

/* The TCP port really bound, 0 if none. */
int listener_port(const struct listener *listener);

#endif
