/* SPDX-License-Identifier: MIT */
/*
 * The value of notify-keyspace-events: letters, each a class of events or one
 * of the two kinds of channels they are told on.
 *
 * Thread-safety: functions of their arguments; any thread.
 * Source: redis.conf of Redis 7.0.
 */
#ifndef SERVER_ADMIN_CONFIG_EVENTS_H
#define SERVER_ADMIN_CONFIG_EVENTS_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* False: there is a letter that means nothing. */
NODISCARD
bool config_events_parse(struct slice text, int64_t *events);

/* Appends the letters in Redis' order, "A" for all that it stands for. */
void config_events_format(int64_t events, struct buf *out);

#endif
