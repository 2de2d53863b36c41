/* SPDX-License-Identifier: MIT */
/*
 * The value of the directive 'table': how fresh the copies of single tables
 * have to be.
 *
 *     value   =  [ entry ] { ';' [ entry ] }
 *     entry   =  NAME { option ( DURATION | 'default' ) }
 *     option  =  the name of a directive that config_freshness() takes
 *
 * A value is a change: it speaks of the options that it names and of no
 * others.  Of changes to the same option the last one counts.  The
 * configuration keeps their sum, settled: without 'default', and without
 * entries that have nothing else.
 *
 * Thread-safety: functions of their arguments; any thread.
 */
#ifndef SERVER_ADMIN_CONFIG_TABLES_H
#define SERVER_ADMIN_CONFIG_TABLES_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "server/admin/config.h"

/* An option that the entry does not name; one with 'default' is
 * CONFIG_FRESHNESS_GLOBAL. */
#define TABLE_OPTION_UNSAID (CONFIG_FRESHNESS_GLOBAL + 1)

struct table_entry {
    char *name;                                /* Owned. */
    int64_t options[CONFIG_FRESHNESS_OPTIONS]; /* Microseconds. */
};

/* One entry for each name, in the order in which the names came.  Zeroed means
 * empty. */
struct table_entries {
    struct table_entry *list; /* Owned. */
    size_t count;
};

void config_tables_clear(struct table_entries *all);

/* Changes '*all' by what 'text' says.  Errors: ERR_INVALID and ERR_RANGE with
 * a sentence appended to 'detail'; then '*all' is what it was. */
NODISCARD
enum err config_tables_apply(struct table_entries *all, struct slice text,
                             struct buf *detail);
/* As config_tables_apply() for a text that was formatted here. */
void config_tables_apply_own(struct table_entries *all, const char *text);

/* Takes out what says 'default', and entries that have nothing else. */
void config_tables_settle(struct table_entries *all);

/* Appends one entry: "books max-age 10s stale-if-error 1d". */
void config_tables_format_entry(const struct table_entry *entry,
                                struct buf *out);
/* Appends all of them with "; " between. */
void config_tables_format(const struct table_entries *all, struct buf *out);

#endif
