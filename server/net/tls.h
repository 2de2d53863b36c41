/* SPDX-License-Identifier: MIT */
/*
 * TLS on the server's side, as the directives tls-… say.
 *
 *     tls_settings   certificate, key and rules; replaced as a whole when they
 *          │         change, and then those of connections that begin
 *          └─► tls   one connection: bytes in the clear here, records there
 *
 * A tls reads and writes a non-blocking socket as recv() and send() do; the
 * handshake happens in the first reads.  This file alone knows OpenSSL.
 *
 * Thread-safety: settings from any thread, one lock of rank LOCK_LEAF; a tls
 * belongs to the loop of its connection.
 * Source: the directives of Redis 7.0; ssl(7).
 */
#ifndef SERVER_NET_TLS_H
#define SERVER_NET_TLS_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct config;
struct tls;
struct tls_settings;

/* Loads what 'config' says.  Errors: ERR_INVALID with a sentence in 'detail'.
 */
NODISCARD
enum err tls_settings_new(struct tls_settings **settingsp,
                          const struct config *config, struct buf *detail);
void tls_settings_free(struct tls_settings *settings);

/* Loads them anew, for connections that begin from now on; on error all is as
 * it was. */
NODISCARD
enum err tls_settings_reload(struct tls_settings *settings,
                             const struct config *config, struct buf *detail);

/* A connection over 'fd', which stays the caller's.  NULL: out of memory. */
struct tls *tls_new(struct tls_settings *settings, int fd);
/* Says goodbye to the peer, as far as that needs no waiting, and frees.  NULL
 * is fine. */
void tls_free(struct tls *tls);

/* As recv() and send() on a non-blocking socket: bytes, 0 at the end, or -1
 * with errno EAGAIN, or ECONNRESET for an end out of order. */
ssize_t tls_read(struct tls *tls, void *to, size_t size);
ssize_t tls_write(struct tls *tls, const void *bytes, size_t size);

/* The last tls_read() goes on when the socket can be written. */
bool tls_wants_to_write(const struct tls *tls);
/* Bytes that were received, or an end, wait to be read, and the socket will not
 * say so. */
bool tls_has_more(const struct tls *tls);
/* The handshake is over. */
bool tls_is_ready(const struct tls *tls);
/* Why the handshake failed: one line, "" if it did not. */
const char *tls_error(const struct tls *tls);

#endif
