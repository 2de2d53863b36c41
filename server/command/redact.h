/* SPDX-License-Identifier: MIT */
/*
 * Which arguments are secrets, that neither the slow log nor MONITOR shows.
 *
 * Thread-safety: pure functions.
 */
#ifndef SERVER_COMMAND_REDACT_H
#define SERVER_COMMAND_REDACT_H

#include "server/command/command.h"

/* What is shown instead; as in Redis. */
#define REDACTED "(redacted)"

/* True if argument 'i' of 'request', whose command is known, is a secret. */
bool redact_is_secret(const struct request *request, size_t i);

#endif
