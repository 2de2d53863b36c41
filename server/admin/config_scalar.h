/* SPDX-License-Identifier: MIT */
/*
 * Numbers as people write them: all kinds of directives that are kept as an
 * int64, to and from text.
 *
 * Thread-safety: functions of their arguments; any thread.
 */
#ifndef SERVER_ADMIN_CONFIG_SCALAR_H
#define SERVER_ADMIN_CONFIG_SCALAR_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "server/admin/config.h"

/* Reads 'text' as a value of 'd', which is no string.  Errors: ERR_INVALID;
 * ERR_RANGE when it is of the right form but beyond the bounds. */
NODISCARD
enum err config_scalar_parse(const struct config_directive *d,
                             struct slice text, int64_t *number);

/* Appends 'number' in the largest unit that needs no fraction. */
void config_scalar_format(const struct config_directive *d, int64_t number,
                          struct buf *out);

#endif
