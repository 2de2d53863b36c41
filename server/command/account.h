/* SPDX-License-Identifier: MIT */
/*
 * What is written down of a command when it has ended, whether at once or
 * after it waited for the store: its counts and latency (calls.h), the errors
 * it replied, a latency event (admin/latency.h), the slow log (slowlog.h).
 *
 * A command takes from where it begins to where its reply is written: of a
 * batch, the end of one is the beginning of the next, so that the clock is read
 * once for each, and not at all where a lookup has read it anyway.
 *
 * Thread-safety: the loop of the request's client.
 */
#ifndef SERVER_COMMAND_ACCOUNT_H
#define SERVER_COMMAND_ACCOUNT_H

#include "server/command/command.h"

/* The handler of 'request' is called next. */
void account_begin(struct request *request);

/* It has returned COMMAND_PENDING, and the arguments go: what the slow log may
 * show of them is kept. */
void account_pending(struct request *request);

/* The reply is written, or there is nobody to read it; also of a request whose
 * handler was not called.  Once, while the arguments are there or were
 * kept. */
void account_end(const struct request *request);

/* What this thread did until now was not for the command that begins next. */
void account_now(void);

/* CONFIG RESETSTAT: all counters of INFO begin at zero again. */
void account_reset(void);

#endif
