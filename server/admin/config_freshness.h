/* SPDX-License-Identifier: MIT */
/*
 * Between config.c and config_tables.c: which tables there are, what the
 * command line said of them, and what that makes of config_freshness().
 *
 * Thread-safety: a 'struct freshness' is part of a configuration, and under
 * its lock.
 */
#ifndef SERVER_ADMIN_CONFIG_FRESHNESS_H
#define SERVER_ADMIN_CONFIG_FRESHNESS_H

#include "common/attr.h"
#include "server/admin/config.h"
#include "server/admin/config_batch.h"
#include "server/admin/config_tables.h"

/* Zeroed: the tables are not known yet. */
struct freshness {
    struct table_entries pinned; /* What the command line said. */
    char **names;                /* Of all tables; owned. */
    size_t n_names;
    bool is_known; /* 'names' was given. */
};

void freshness_destroy(struct freshness *f);

/* Takes the names of all tables, once.  Errors: as config_table_check(). */
NODISCARD
enum err freshness_learn(struct freshness *f, const char *const *names,
                         size_t n, struct buf *detail);

/* Complains of each entry of 'text' whose table is not known, if the tables
 * are, or whose layout is not what 'now' says: sentences with a newline
 * between.  'from_file': a layout may differ, as it counts at a restart. */
NODISCARD
enum err freshness_check(const struct freshness *f, const char *now,
                         const char *text, bool from_file, struct buf *detail);

/* Appends a sentence for each table whose layout is another in 'text', of a
 * file and laid under the command line, than in 'now'. */
void freshness_compare(const struct freshness *f, const char *now,
                       const char *text, const char *path, struct buf *detail);

/* What 'table' is after 'change' came from 'source', when it was 'now'.
 * Ownership: the caller frees it. */
char *freshness_sum(struct freshness *f, const char *now, const char *change,
                    enum config_source source);

/* Stores what 'text' says into the numbers of 'c'. */
void freshness_apply(const struct freshness *f, const char *text,
                     struct config *c);

#endif
