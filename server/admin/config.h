/* SPDX-License-Identifier: MIT */
/*
 * The directives: one table (config.def), filled from defaults, a file and
 * the command line, read by every part, changed by CONFIG SET and reload.
 *
 *     config.def ──► defaults ─┐
 *     FILE ──────────► batch ──┤  each batch is checked as a whole and then
 *     --directive … ─► batch ──┼─► stored as a whole, or not at all
 *     CONFIG SET ────► batch ──┘        │
 *                                       ├─► numbers[]: one atomic each
 *                                       ├─► strings, under the lock
 *                                       └─► functions told of the change
 *
 * Numbers, durations, sizes, switches and choices are kept as one atomic
 * int64 each, so that reading one is a plain load: config_number(c,
 * CONFIG_max_age) in microseconds, bytes, … as its kind says.  Strings are
 * copied out under the lock.
 *
 * Precedence: the command line wins over the file, the file over defaults;
 * CONFIG SET changes what is there until a reload.  The directive 'table' is
 * the sum of its values: each changes only what it names.
 *
 * Thread-safety: any thread may read and set.  Setting is one at a time under
 * the lock (rank LOCK_CONFIG).  Two directives of one batch are two atomics:
 * a reader may see one new and the other still old.
 */
#ifndef SERVER_ADMIN_CONFIG_H
#define SERVER_ADMIN_CONFIG_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/slice.h"

#include <assert.h>
#include <stdatomic.h>

enum config_id {
#define DIRECTIVE(id, ...) CONFIG_##id,
#include "server/admin/config.def"
#undef DIRECTIVE
    CONFIG_COUNT
};

enum config_kind {
    CONFIG_INTEGER,     /* A count. */
    CONFIG_DURATION,    /* Kept in microseconds; written "100ms". */
    CONFIG_SIZE,        /* Kept in bytes; written "64mb".  Where the least is
                           negative, also a share: "5%", in millionths, negative. */
    CONFIG_PERCENT,     /* Kept in millionths; written "5%" or "0.1%". */
    CONFIG_SWITCH,      /* yes or no. */
    CONFIG_CHOICE,      /* One of a list of words; kept as its index. */
    CONFIG_MODE,        /* Permission bits, octal. */
    CONFIG_STRING,      /* One text, in quotes if it has spaces. */
    CONFIG_WORDS,       /* Words, kept as a string with one space between. */
    CONFIG_TABLES,      /* Options of single tables; see config_tables.h. */
    CONFIG_PERCENTILES, /* Words, each a number from 0 to 100. */
    CONFIG_EVENTS,      /* Letters, kept as bits; see config_events.h. */
    CONFIG_LIMITS,      /* For classes of clients; see config_limits.h. */
    CONFIG_USERS        /* Users with rules, a line each; see acl_file.h. */
};

/* Values of the choices, in the order of their words in config.def. */
enum race { RACE_NEVER, RACE_STALE, RACE_ALWAYS };
enum write_mode { WRITES_THROUGH, WRITES_BEHIND, WRITES_NONE };
enum tls_auth { TLS_AUTH_NO, TLS_AUTH_YES, TLS_AUTH_OPTIONAL };
enum durability { DURABILITY_FULL, DURABILITY_NORMAL };
enum debug_users { DEBUG_NO, DEBUG_LOCAL, DEBUG_YES };
enum acl_pubsub_default { ACL_PUBSUB_RESETCHANNELS, ACL_PUBSUB_ALLCHANNELS };

/* What notify-keyspace-events tells, and how. */
enum {
    EVENTS_KEYSPACE = 1 << 0, /* K: on channels of keys. */
    EVENTS_KEYEVENT = 1 << 1, /* E: on channels of events. */
    EVENTS_GENERIC = 1 << 2,
    EVENTS_STRING = 1 << 3,
    EVENTS_LIST = 1 << 4,
    EVENTS_SET = 1 << 5,
    EVENTS_HASH = 1 << 6,
    EVENTS_ZSET = 1 << 7,
    EVENTS_EXPIRED = 1 << 8,
    EVENTS_EVICTED = 1 << 9,
    EVENTS_STREAM = 1 << 10,
    EVENTS_MODULE = 1 << 11,
    EVENTS_NEW = 1 << 12,
    EVENTS_MISS = 1 << 13,
    EVENTS_ALL = EVENTS_GENERIC | EVENTS_STRING | EVENTS_LIST | EVENTS_SET |
                 EVENTS_HASH | EVENTS_ZSET | EVENTS_EXPIRED | EVENTS_EVICTED |
                 EVENTS_STREAM | EVENTS_MODULE
};

/* Classes of clients for client-output-buffer-limit. */
enum config_limits_class {
    CONFIG_LIMITS_NORMAL,
    CONFIG_LIMITS_REPLICA, /* For Redis' sake: we have none. */
    CONFIG_LIMITS_PUBSUB,
    CONFIG_LIMITS_CLASSES
};

/* How much a client may be owed; 0 stands for any amount. */
struct config_limit {
    int64_t hard_bytes;
    int64_t soft_bytes; /* For no longer than 'soft_us'. */
    int64_t soft_us;
};

/* One row of the table, for help, docs and CONFIG GET. */
struct config_directive {
    const char *name; /* "store-delay" */
    enum config_kind kind;
    const char *default_text; /* As in a file. */
    int64_t min, max;         /* Bounds, in the unit it is kept in. */
    const char *choices; /* CONFIG_CHOICE: "never stale always"; strings: what
                          * help calls them, "PATH". */
    int64_t bare;        /* Unit of a bare number; 0 if one is refused. */
    bool at_run_time;    /* CONFIG SET may change it. */
    const char *section; /* Heading in the config file. */
    const char *summary; /* One or more sentences: what it means. */
};

extern const struct config_directive config_directives[CONFIG_COUNT];

/* Tables that can have options of their own, and how many options. */
#define CONFIG_TABLES_MAX 64
#define CONFIG_FRESHNESS_OPTIONS 4
#define CONFIG_FRESHNESS_GLOBAL INT64_MIN /* The table has none of its own. */

/* Made by config_new(); the fields are for the functions below and config.c.
 * Relaxed: each number stands alone. */
struct config {
    _Atomic int64_t numbers[CONFIG_COUNT];
    _Atomic int64_t tables[CONFIG_TABLES_MAX][CONFIG_FRESHNESS_OPTIONS];
    _Atomic int64_t limits[CONFIG_LIMITS_CLASSES][3];
    struct config_rest *rest; /* The lock and what is under it. */
};

struct config *config_new(void); /* Everything at its default. */
void config_free(struct config *c);

/* The value in the unit of its kind; 0 for a string.  One load. */
static inline int64_t config_number(const struct config *c, enum config_id id)
{
    return atomic_load_explicit(&c->numbers[id], memory_order_relaxed);
}

static inline bool config_switch(const struct config *c, enum config_id id)
{
    return config_number(c, id) != 0;
}

/* What client-output-buffer-limit says of 'class'. */
static inline struct config_limit
config_output_limit(const struct config *c, enum config_limits_class class)
{
    const _Atomic int64_t *limit = c->limits[class];

    return (struct config_limit){
        .hard_bytes = atomic_load_explicit(&limit[0], memory_order_relaxed),
        .soft_bytes = atomic_load_explicit(&limit[1], memory_order_relaxed),
        .soft_us = atomic_load_explicit(&limit[2], memory_order_relaxed)};
}

/* The column of 'id' in 'tables'; -1 if tables have no such option. */
static inline int config_freshness_option(enum config_id id)
{
    switch (id) {
    case CONFIG_max_age:
        return 0;
    case CONFIG_stale_while_revalidate:
        return 1;
    case CONFIG_stale_if_error:
        return 2;
    case CONFIG_negative_max_age:
        return 3;
    default:
        return -1;
    }
}

/* Directive 'id' (max-age, stale-while-revalidate, stale-if-error or
 * negative-max-age) as it is for a table, in microseconds: what 'table' says,
 * else the global value.  'table' is its place among the names given to
 * config_table_check(), or -1 for plain keys.  One load or two. */
static inline int64_t config_freshness(const struct config *c, int table,
                                       enum config_id id)
{
    const int option = config_freshness_option(id);
    assert(option >= 0);
    if (table >= 0 && table < CONFIG_TABLES_MAX) {
        const int64_t own = atomic_load_explicit(&c->tables[table][option],
                                                 memory_order_relaxed);
        if (own != CONFIG_FRESHNESS_GLOBAL) {
            return own;
        }
    }
    return config_number(c, id);
}

/* Tells which tables there are: names[i] is table i.  From here on 'table' is
 * in force, and names of other tables are refused by config_check(),
 * config_set() and config_load().  Called after the configuration was loaded
 * and before other threads use it.  Errors: ERR_INVALID when the configuration
 * names other tables, a line each in 'detail'; ERR_RANGE for more tables than
 * CONFIG_TABLES_MAX. */
NODISCARD
enum err config_table_check(struct config *c, const char *const *names,
                            size_t n, struct buf *detail);

/* Appends the string directive's value to 'out'. */
void config_string(const struct config *c, enum config_id id, struct buf *out);

/* Appends the value as config_set() takes it, of any kind: "60s", "256mb",
 * "always"; a string as it is, without quotes. */
void config_format(const struct config *c, enum config_id id, struct buf *out);

/* As config_format(), but a bare number for the directives that have one in
 * Redis: CONFIG GET maxmemory is an integer of bytes, timeout one of seconds,
 * because tools parse them so. */
void config_format_redis(const struct config *c, enum config_id id,
                         struct buf *out);

/* Finds a directive by name, whatever the case; CONFIG_COUNT if there is none.
 */
enum config_id config_find(struct slice name);

/* The directive whose name is so near to 'name' that it was probably meant;
 * CONFIG_COUNT if there is none. */
enum config_id config_guess(struct slice name);

/* Parses and stores one value, at run time or not: whoever speaks for a client
 * looks at 'at_run_time' first.  Errors: ERR_INVALID, ERR_RANGE, with a
 * sentence in 'detail' that names the directive, the value, and what is
 * right.  Nothing is changed on error. */
NODISCARD
enum err config_set(struct config *c, enum config_id id, struct slice value,
                    struct buf *detail);
/* Checks without storing.  Unlike config_batch_add(), it knows the tables. */
NODISCARD
enum err config_check(const struct config *c, enum config_id id,
                      struct slice value, struct buf *detail);

/* A batch of checked values, to be stored together: CONFIG SET of many pairs.
 * A directive added twice has the later value, 'table' the sum of both.  Owned
 * by one thread. */
struct config_batch;
struct config_batch *config_batch_new(void);
void config_batch_free(struct config_batch *batch);
/* Checks and adds one value; errors as config_set(), but any table is taken
 * for known: config_check() first.  On error the batch is what it was before.
 */
NODISCARD
enum err config_batch_add(struct config_batch *batch, enum config_id id,
                          struct slice value, struct buf *detail);
/* Stores all of the batch under one lock, then tells of the changes. */
void config_commit(struct config *c, const struct config_batch *batch);

/* Reads a file of "directive value" lines ('#' begins a comment; values with
 * spaces in double quotes).  What the command line gave is left alone.  All
 * errors are reported in 'detail', "file:line: …" and a newline each; then
 * nothing was changed.
 * 'run_time_only' is a reload: run-time directives become what a restart
 * would make them, so one the file does not name returns to its default.
 * Directives that cannot change at run time are left alone and named in
 * 'detail' if they differ, which is no error.
 * Errors: ERR_NOT_FOUND, ERR_PERMISSION, ERR_IO for the file; ERR_INVALID for
 * what is in it. */
NODISCARD
enum err config_load(struct config *c, const char *path, bool run_time_only,
                     struct buf *detail);

/* Reads "--directive value …" and "--directive=value" arguments; 'argv[0]' is
 * the first of them, not the program.  The values of a directive end at the
 * next "--".  Errors: ERR_INVALID, a line each in 'detail'; then nothing was
 * changed. */
NODISCARD
enum err config_load_args(struct config *c, int argc, char *const *argv,
                          struct buf *detail);

/* 'changed(arg)' runs after directive 'id' was set to another value, by
 * whatever means.  It runs on a thread that sets, without the lock and never
 * two at a time, and reads the value itself: if others set it meanwhile, the
 * last run sees the last value.  When two threads set at once, one of them
 * may run the functions for both.  Register before other threads set. */
void config_on_change(const struct config *c, enum config_id id,
                      void (*changed)(void *arg), void *arg);
/* Takes back config_on_change(): 'changed(arg)' does not run when this returns,
 * nor ever again.  Waits if it runs, so not from such a function. */
void config_off_change(const struct config *c, void (*changed)(void *arg),
                       void *arg);

/* The whole configuration as a file, each directive with its meaning, unit,
 * default and bounds; what is at its default is commented out.  config_load()
 * takes it back. */
void config_print(const struct config *c, struct buf *out);
/* The lines of a file that give directive 'id' its present value: one, or one
 * for each table. */
void config_print_lines(const struct config *c, enum config_id id,
                        struct buf *out);

/* Changes the file 'path' so that it says what 'c' does, and nothing else in
 * it: comments and the order stay; lines of a directive whose value is another
 * now are replaced; one that is not at its default and not in the file goes to
 * its end.  The file is replaced as a whole and keeps its mode and owner.
 * Waits for the disk.
 * Errors: those of reading a file, ERR_INVALID if it has errors now, those of
 * file_replace(); with what was wrong in 'detail', and nothing changed. */
NODISCARD
enum err config_rewrite(const struct config *c, const char *path,
                        struct buf *detail);

/* A table of the options, for --help. */
void config_help(struct buf *out);
/* The directives as mdoc(7) for bookd.conf(5). */
void config_man(struct buf *out);
/* A bash completion script for bookd. */
void config_completion(struct buf *out);

#endif
