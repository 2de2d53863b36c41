/* SPDX-License-Identifier: MIT */
/*
 * One value of a directive, number or string: judged, compared, written.
 *
 * config_value_parse() is the only place where a value is judged, so a file,
 * the command line and CONFIG SET refuse the same in the same words.
 *
 * Thread-safety: functions of their arguments; any thread.
 */
#ifndef SERVER_ADMIN_CONFIG_VALUE_H
#define SERVER_ADMIN_CONFIG_VALUE_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "server/admin/config.h"

struct config_value {
    int64_t number; /* As config_number() will return it; 0 for strings. */
    char *text;     /* Owned, NUL-terminated; NULL for numbers. */
};

void config_value_destroy(struct config_value *value);

/* True for the kinds that are kept as text. */
bool config_value_is_text(const struct config_directive *d);

bool config_value_equal(const struct config_value *a,
                        const struct config_value *b);

/* Reads 'text' as a value of 'd' into '*value', to be destroyed by the
 * caller.  Errors: ERR_INVALID and ERR_RANGE, with a sentence appended to
 * 'detail' that names the directive, the text, and what is right. */
NODISCARD
enum err config_value_parse(const struct config_directive *d, struct slice text,
                            struct config_value *value, struct buf *detail);

/* The default of 'd', to be destroyed by the caller. */
struct config_value config_value_default(const struct config_directive *d);

/* Appends the value so that config_value_parse() reads it back: the default's
 * own text if it equals the default, else in the largest exact unit.  Text is
 * appended as it is, without quotes. */
void config_value_format(const struct config_directive *d,
                         const struct config_value *value, struct buf *out);

/* As config_value_format(), but a bare number where 'd' takes one and the
 * value is a whole multiple of its unit. */
void config_value_format_redis(const struct config_directive *d,
                               const struct config_value *value,
                               struct buf *out);

#endif
