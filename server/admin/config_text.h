/* SPDX-License-Identifier: MIT */
/*
 * Directives in words: what help, files and refusals say about values.
 *
 * Thread-safety: functions of their arguments; any thread.
 */
#ifndef SERVER_ADMIN_CONFIG_TEXT_H
#define SERVER_ADMIN_CONFIG_TEXT_H

#include "common/buf.h"
#include "server/admin/config.h"

/* Appends 's' as one word of a configuration file: as it is if nothing in it
 * has a meaning there, else in double quotes with escapes. */
void config_text_quote(struct slice s, struct buf *out);

/* Appends 's' always in double quotes, and cut if it is long: for errors. */
void config_text_show(struct slice s, struct buf *out);

/* Appends what values are right, as part of a sentence: "a duration from 0s
 * to 365d", "one of never, stale, always". */
void config_text_describe(const struct config_directive *d, struct buf *out);

/* Appends a short name of what to write, for help: "DURATION", "yes|no". */
void config_text_placeholder(const struct config_directive *d, struct buf *out);

#endif
