/* SPDX-License-Identifier: MIT */
/*
 * The parts of a 'table' entry that say which rows a key names: the template
 * of the key, and the list of columns.
 *
 *     key      =  COLUMN | '{' COLUMN '}' { text '{' COLUMN '}' } [ text ]
 *     columns  =  COLUMN { ',' COLUMN }
 *
 * Whether there are such columns is the database's to say (store/mapping_set.h
 * and the engines).
 *
 * Thread-safety: functions of their arguments; any thread.
 */
#ifndef SERVER_ADMIN_CONFIG_LAYOUT_H
#define SERVER_ADMIN_CONFIG_LAYOUT_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/slice.h"

/* The most columns that a key can have. */
#define LAYOUT_KEYS_MAX 8

/* One column of a key and the fixed text behind it: parts of the template. */
struct layout_key {
    struct slice column;
    struct slice after;
};

/* Takes the template 'text' apart.  Errors: ERR_INVALID with what is wrong,
 * as the end of a sentence that named the entry. */
NODISCARD
enum err layout_parse_key(struct slice text,
                          struct layout_key keys[LAYOUT_KEYS_MAX],
                          size_t *n_keys, struct buf *detail);

/* Takes the first column off the list '*rest'; false at its end. */
bool layout_next_column(struct slice *rest, struct slice *column);

/* Errors: as layout_parse_key(). */
NODISCARD
enum err layout_check_columns(struct slice text, struct buf *detail);

#endif
