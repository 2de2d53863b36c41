/* SPDX-License-Identifier: MIT */
/*
 * The slow log: the last commands that took longer than
 * slowlog-log-slower-than, with their arguments, as SLOWLOG GET shows them.
 *
 * Arguments are cut as in Redis: 32 of them, 128 bytes each, and secrets are
 * left out (redact.h).  They are kept as a piece of a reply, ready to send.
 *
 * Thread-safety: any thread; one lock of rank LOCK_LEAF.
 */
#ifndef SERVER_COMMAND_SLOWLOG_H
#define SERVER_COMMAND_SLOWLOG_H

#include "server/command/command.h"

struct slowlog;

struct slowlog *slowlog_new(void);
void slowlog_free(struct slowlog *log);

/* Keeps what the log would show of the arguments, for a request that goes on
 * without them. */
void slowlog_keep_args(struct request *request);

/* Enters 'request', which has its arguments or what was kept of them. */
void slowlog_add(struct slowlog *log, const struct request *request,
                 int64_t took_us);

/* Drops the oldest beyond 'max'. */
void slowlog_trim(struct slowlog *log, size_t max);

size_t slowlog_len(struct slowlog *log);

/* Replies the newest 'max' entries, the newest first. */
void slowlog_reply(struct slowlog *log, size_t max, struct reply *reply);

#endif
