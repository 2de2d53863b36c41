/* SPDX-License-Identifier: MIT */
/*
 * Between config.c, config_file.c and config_rewrite.c: what a batch is, and
 * where it is from.
 *
 * Thread-safety: a batch belongs to one thread; the functions that take a
 * configuration, any thread.
 */
#ifndef SERVER_ADMIN_CONFIG_BATCH_H
#define SERVER_ADMIN_CONFIG_BATCH_H

#include "server/admin/config.h"
#include "server/admin/config_value.h"

/* Zeroed means empty. */
struct config_batch {
    bool given[CONFIG_COUNT];
    struct config_value values[CONFIG_COUNT]; /* Where given; owned. */
};

enum config_source {
    CONFIG_FROM_FILE,
    CONFIG_FROM_RELOAD, /* A file again: what 'table' said before is gone. */
    CONFIG_FROM_ARGS,
    CONFIG_FROM_CLIENT
};

/* Empties 'batch', which may live on the stack. */
void config_batch_clear(struct config_batch *batch);

/* As config_commit().  Arguments pin a directive; a file then passes it by.  Of
 * 'table' they pin the options that they name. */
void config_commit_from(struct config *c, const struct config_batch *batch,
                        enum config_source source);

/* As config_check() for what a file or the command line says. */
NODISCARD
enum err config_check_from_file(const struct config *c, enum config_id id,
                                struct slice value, struct buf *detail);

/* Appends all of a configuration file to 'text'; it may be a pipe.  Errors as
 * config_load(). */
NODISCARD
enum err config_read_file(const char *path, struct buf *text,
                          struct buf *detail);

/* Names the tables whose layout is another in the value 'text' of the file
 * 'path' than it is now. */
void config_compare_tables(const struct config *c, const char *text,
                           const char *path, struct buf *detail);

/* True if the command line gave 'id'. */
bool config_is_pinned(const struct config *c, enum config_id id);

/* A copy of the present value, to be destroyed by the caller. */
struct config_value config_value_now(const struct config *c, enum config_id id);

#endif
