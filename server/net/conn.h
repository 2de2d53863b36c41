/* SPDX-License-Identifier: MIT */
/*
 * A connection: a socket on a loop, its input, its requests in order, its
 * output.
 *
 *      socket ─► input ─► resp_parse ─► command_find ─► may it run now?
 *                             ▲                              │yes   │no: stop
 *                             └──── go on ◄── command_run ◄──┘      │parsing
 *      socket ◄─ output ◄─ replies in order ◄─ [request][request]…◄─┘
 *
 * A command that is done at once, with nothing before it, writes straight
 * into the output; nothing is allocated for it.  Replies of all commands of
 * one readable event leave in one write.
 *
 * While more than a limit of output waits for a slow reader, or more than a
 * limit of requests is pending, the connection is not read.
 *
 * Thread-safety: everything on the loop's thread, except as said.
 */
#ifndef SERVER_NET_CONN_H
#define SERVER_NET_CONN_H

#include "server/net/loop.h"

#include <stddef.h>

struct conn;
struct server;
struct tls_settings;

/* Takes over the accepted, non-blocking socket 'fd' on 'loop', over which TLS is
 * spoken unless 'tls' is NULL.  Refuses with Redis' error when 'maxclients' are
 * connected.  Thread: the loop's. */
void conn_open(struct loop *loop, struct server *server,
               struct tls_settings *tls, int fd);

/* Closes every connection of 'loop', once the replies of requests already
 * read have been sent or 'deadline_us' (clock_now_us()) has passed; then calls
 * 'done(arg)' on the loop.  Thread: the loop's. */
void conn_close_all(struct loop *loop, int64_t deadline_us, task_fn *done,
                    void *arg);

#endif
