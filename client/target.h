/* SPDX-License-Identifier: MIT */
/*
 * Where bookd is and who asks: the parts of a URI.
 *
 * Thread-safety: a plain value; constant once it was made.
 */
#ifndef CLIENT_TARGET_H
#define CLIENT_TARGET_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"

#define TARGET_HOST "127.0.0.1"
#define TARGET_PORT 7379

struct target {
    char *host;     /* Over TCP; NULL behind a unix socket. */
    int port;       /* 1..65535 */
    char *socket;   /* Path of a unix socket, or NULL. */
    char *user;     /* NULL: none. */
    char *password; /* NULL: none. */
    int db;         /* 0.. */
};

/* The default: TARGET_HOST, TARGET_PORT.
 * Ownership: target_destroy() frees the strings. */
void target_init(struct target *target);
void target_destroy(struct target *target);

/* Sets 'target' to what 'uri' says: redis://[user[:password]@]host[:port][/db]
 * or unix:///path.  On failure leaves it alone and says why in 'why', without
 * the password.  Errors: ERR_INVALID. */
NODISCARD
enum err target_parse(struct target *target, const char *uri, struct buf *why);

/* Replaces the place by 'host' (if not NULL) and 'port' (if not 0) over TCP,
 * or by 'socket'.  Errors: ERR_RANGE for the port. */
NODISCARD
enum err target_set_tcp(struct target *target, const char *host, int64_t port);
void target_set_socket(struct target *target, const char *path);

/* The place as people write it: "127.0.0.1:7379", "[::1]:7379", "/run/x". */
void target_describe(const struct target *target, struct buf *out);

#endif
