/* SPDX-License-Identifier: MIT */
/*
 * The value of the directive 'table': which tables there are under which keys,
 * and how fresh the copies of each have to be.
 *
 *     value   =  [ entry ] { ';' [ entry ] }
 *     entry   =  NAME { layout | option ( DURATION | 'default' ) }
 *     layout  =  'prefix' TEXT | 'key' TEMPLATE | 'columns' LIST
 *              | 'writable' ( 'yes' | 'no' )
 *     option  =  the name of a directive that config_freshness() takes
 *
 * A word with a space, a ';' or a quote in it stands in double quotes, with the
 * escapes of a configuration file.  Templates and lists are those of
 * config_layout.h.
 *
 * A value is a change: it speaks of what it names and of nothing else.  Of
 * changes to the same thing the last one counts.  The configuration keeps
 * their sum, settled: without 'default', and without entries that have nothing
 * else.
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

/* What an entry says of the layout; constant once bookd has started. */
enum table_layout {
    TABLE_PREFIX,
    TABLE_KEY,
    TABLE_COLUMNS,
    TABLE_WRITABLE, /* "yes" or "no". */
    TABLE_LAYOUTS
};

struct table_entry {
    char *name;                                /* Owned. */
    char *layout[TABLE_LAYOUTS];               /* Owned; NULL: unsaid. */
    int64_t options[CONFIG_FRESHNESS_OPTIONS]; /* Microseconds. */
};

/* One entry for each name, in the order in which the names came.  Zeroed means
 * empty. */
struct table_entries {
    struct table_entry *list; /* Owned. */
    size_t count;
};

/* The words for 'layout' and for 'options', in the order of printing. */
extern const char *const table_layout_names[TABLE_LAYOUTS];
extern const enum config_id table_option_ids[CONFIG_FRESHNESS_OPTIONS];

void config_tables_clear(struct table_entries *all);

/* The entry called 'name', made if there is none. */
struct table_entry *config_tables_entry(struct table_entries *all,
                                        struct slice name);
void config_tables_set_layout(struct table_entry *entry, size_t i,
                              struct slice value);

/* Adds what 'text' says to '*all'.  Errors: as config_tables_apply(), but then
 * '*all' has a part of it. */
NODISCARD
enum err config_tables_parse(struct table_entries *all, const char *text,
                             struct buf *detail);

/* Changes '*all' by what 'text' says.  Errors: ERR_INVALID and ERR_RANGE with
 * a sentence appended to 'detail'; then '*all' is what it was. */
NODISCARD
enum err config_tables_apply(struct table_entries *all, struct slice text,
                             struct buf *detail);
/* As config_tables_apply() for a text that was formatted here. */
void config_tables_apply_own(struct table_entries *all, const char *text);

/* Takes out what says 'default', and entries that have nothing else. */
void config_tables_settle(struct table_entries *all);

/* The entry called 'name', or NULL. */
const struct table_entry *config_tables_find(const struct table_entries *all,
                                             const char *name);

/* Makes the layout of '*all' that of 'from', of entries that one of them lacks
 * as well. */
void config_tables_copy_layout(struct table_entries *all,
                               const struct table_entries *from);

/* True if 'change' says nothing of the layout that 'now' does not say too; 'now'
 * may be NULL. */
bool config_tables_keeps_layout(const struct table_entry *change,
                                const struct table_entry *now);

/* True if 'entry' says anything of the layout. */
bool config_tables_has_layout(const struct table_entry *entry);

/* Appends what 'entry' says of the layout: " prefix user: key name". */
void config_tables_format_layout(const struct table_entry *entry,
                                 struct buf *out);

/* Appends 's' as a word of a value, in quotes if it needs them. */
void config_tables_quote(struct slice s, struct buf *out);

/* Appends one entry: "books max-age 10s stale-if-error 1d". */
void config_tables_format_entry(const struct table_entry *entry,
                                struct buf *out);
/* Appends all of them with "; " between. */
void config_tables_format(const struct table_entries *all, struct buf *out);

#endif
