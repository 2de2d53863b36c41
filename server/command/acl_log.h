/* SPDX-License-Identifier: MIT */
/*
 * What ACL LOG tells: commands and logins that were refused, the newest first.
 * The same again within a minute, if it is among the ten newest, is counted
 * and not told twice.
 *
 * Bounded by acllog-max-len entries, and of an object, which is a client's,
 * by a kilobyte.
 *
 * Thread-safety: any thread; one lock of rank LOCK_LEAF.
 */
#ifndef SERVER_COMMAND_ACL_LOG_H
#define SERVER_COMMAND_ACL_LOG_H

#include "common/slice.h"

#include <stdint.h>

enum denial { DENIED_COMMAND, DENIED_KEY, DENIED_CHANNEL, DENIED_AUTH };

struct acl_log_entry {
    enum denial reason;
    bool in_multi;       /* Between MULTI and the end of EXEC. */
    struct slice object; /* The command, key or channel. */
    struct slice user;
    struct slice client; /* As CLIENT INFO describes it. */
    uint64_t count;      /* Since the first of its kind; of those told. */
    int64_t at_ms;       /* clock_now_us() / 1000 of the last one. */
};

struct acl_log;

struct acl_log *acl_log_new(void);
void acl_log_free(struct acl_log *log);

/* Adds a copy of 'entry', whose count does not matter, and forgets what is more
 * than 'max' then. */
void acl_log_add(struct acl_log *log, const struct acl_log_entry *entry,
                 size_t max);

/* Gives up to 'n' entries, the newest first, to 'tell', under the lock; how
 * many there will be is told 'begin' before. */
void acl_log_tell(struct acl_log *log, size_t n,
                  void (*begin)(void *arg, size_t n),
                  void (*tell)(void *arg, const struct acl_log_entry *entry),
                  void *arg);

void acl_log_reset(struct acl_log *log);

#endif
