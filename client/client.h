/* SPDX-License-Identifier: MIT */
/*
 * What a subcommand works with: its command line, where bookd is, and the
 * session with it, which is opened when the subcommand has nothing more to find
 * fault with.
 *
 * Thread-safety: none; main thread.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "client/args.h"
#include "client/session.h"

struct client {
    const struct args *args;
    const struct target *target;
    struct session *session; /* NULL until client_connect(). */
};

/* Opens the session.  Complains on failure. */
NODISCARD
enum status client_connect(struct client *client);

/* Closes it, if it was opened. */
void client_close(struct client *client);

#endif
