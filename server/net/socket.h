/* SPDX-License-Identifier: MIT */
/*
 * Small things done to sockets: names for people, options, the last goodbye.
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_NET_SOCKET_H
#define SERVER_NET_SOCKET_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

/* Writes "1.2.3.4:5", "[::1]:5" or, for a unix socket, "path:0" as Redis does.
 * 'address' is the socket's own name, or its peer's. */
void socket_format(const struct sockaddr *address, size_t address_size,
                   char *text, size_t text_size);

/* Both ends of a connected socket, in that form.  The peer of a unix socket
 * usually has no name and is shown under ours. */
void socket_names(int fd, char *peer, char *local, size_t text_size);

bool socket_is_unix(int fd);
/* Is the peer on this machine?  Over a unix socket, or from a loopback address.
 */
bool socket_is_local(int fd);

/* Sends small replies at once (TCP_NODELAY), and has the kernel find dead
 * peers after 'keepalive_us' of silence (0: never).  Nothing for a unix
 * socket. */
void socket_tune(int fd, int64_t keepalive_us);

/* Closes a socket so that what was sent still arrives: closing one with
 * unread input would reset the connection and may take the last reply along. */
void socket_hang_up(int fd);

#endif
