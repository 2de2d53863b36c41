/* SPDX-License-Identifier: MIT */
/*
 * The value of client-output-buffer-limit: for classes of clients, how much
 * they may be owed.
 *
 *     value  =  { CLASS HARD SOFT SECONDS }
 *     CLASS  =  normal | replica | slave | pubsub
 *
 * A value speaks of the classes that it names and of no others.  The
 * configuration keeps their sum, which names all.
 *
 * Thread-safety: functions of their arguments; any thread.
 * Source: redis.conf of Redis 7.0.
 */
#ifndef SERVER_ADMIN_CONFIG_LIMITS_H
#define SERVER_ADMIN_CONFIG_LIMITS_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "server/admin/config.h"

struct config_limits {
    bool said[CONFIG_LIMITS_CLASSES];
    struct config_limit limits[CONFIG_LIMITS_CLASSES];
};

/* Lays what 'text' says over '*all'.  Errors: ERR_INVALID, with a sentence in
 * 'detail'. */
NODISCARD
enum err config_limits_apply(struct config_limits *all, const char *text,
                             struct buf *detail);
/* As config_limits_apply() with a text that was printed here. */
void config_limits_apply_own(struct config_limits *all, const char *text);

/* Appends "normal 1gb 0 0 pubsub 32mb 8mb 60": what is said. */
void config_limits_format(const struct config_limits *all, struct buf *out);
/* Appends the same as CONFIG GET has it in Redis: plain numbers, "slave". */
void config_limits_format_redis(const struct config_limits *all,
                                struct buf *out);

/* What 'now' is after 'change'.  Ownership: the caller frees it. */
char *config_limits_sum(const char *now, const char *change);

#endif
