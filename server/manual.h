/* SPDX-License-Identifier: MIT */
/*
 * The texts about bookd for people: --help and the man pages, expanded from
 * the tables of directives, commands and counters.
 *
 * Thread-safety: pure functions over constant tables.
 */
#ifndef SERVER_MANUAL_H
#define SERVER_MANUAL_H

#include "common/buf.h"

void manual_help(struct buf *out);
/* bookd(8) and bookd.conf(5), in mdoc(7). */
void manual_bookd(struct buf *out);
void manual_config(struct buf *out);
/* The counters of INFO as a table for docs/. */
void manual_counters(struct buf *out);

#endif
