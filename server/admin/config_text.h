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

/* The same, always in quotes. */
void config_text_append_quoted(struct slice s, struct buf *out);

/* Reads the rest of such a word, whose opening quote was read, up to behind the
 * closing one.  Returns what is wrong with it, or NULL. */
const char *config_text_unquote(const char **p, struct buf *out);

/* Does 'c' separate words? */
bool config_text_is_space(char c);

/* Appends 's' always in double quotes, and cut if it is long: for errors. */
void config_text_show(struct slice s, struct buf *out);

/* Appends what values are right, as part of a sentence: "a duration from 0s
 * to 365d", "one of never, stale, always". */
void config_text_describe(const struct config_directive *d, struct buf *out);

/* Appends a short name of what to write, for help: "DURATION", "yes|no". */
void config_text_placeholder(const struct config_directive *d, struct buf *out);

#endif
