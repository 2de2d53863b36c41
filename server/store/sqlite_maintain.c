/* SPDX-License-Identifier: MIT */
/*
 * What is done to a file on request of its administrator: the change feed and
 * the table for plain keys.  Each request is one transaction, and leaves a file
 * alone that is already as it should be.
 *
 * A bookd that serves the file meanwhile notices that its schema has changed.
 */
#include "server/store/sqlite_internal.h"

#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/mem.h"
#include "server/store/mapping_set.h"

static enum err install_feed(struct sqlite3 *db,
                             const struct engine_options *options,
                             struct buf *report, struct buf *detail)
{
    enum sqlite_contents contents;
    int64_t version = 0;
    enum err err = sqlite_look_inside(db, &contents, &version, detail);

    if (err == ERR_OK && contents == CONTENTS_NOTHING) {
        buf_append_string(detail, "has no tables; bookd gives it some, with "
                                  "their change feed, when it is started");
        return ERR_INVALID;
    }
    if (err == ERR_OK && options->tables != NULL) {
        err = sqlite_mappings_complete(db, options->tables,
                                       contents == CONTENTS_OTHERS, detail);
    }
    if (err != ERR_OK) {
        return err;
    }
    const struct mappings *mappings =
        options->tables != NULL ? mapping_set_mappings(options->tables)
                                : options->mappings;
    const struct mapping **tables = xcalloc(mappings->count, sizeof(*tables));
    for (size_t i = 0; i < mappings->count; i++) {
        tables[i] = &mappings->list[i];
    }
    if (mappings->count == 0) {
        buf_append_string(detail, "has no table that the configuration maps; "
                                  "see the directive table");
        err = ERR_INVALID;
    } else {
        err = sqlite_feed_install(db, tables, mappings->count, report, detail);
    }
    free(tables);
    return err;
}

static enum err install_plain(struct sqlite3 *db, struct buf *report,
                              struct buf *detail)
{
    bool exists = false;
    enum err err = sqlite_table_exists(db, "bookd_plain", &exists, detail);

    if (err == ERR_OK && exists) {
        err = sqlite_upgrade_plain(db, detail);
        buf_append_string(report, "the table bookd_plain is there already\n");
    } else if (err == ERR_OK) {
        err = sqlite_create_plain(db, detail);
        buf_append_string(report, "created the table bookd_plain and its "
                                  "index; DROP TABLE bookd_plain takes both "
                                  "back, with all plain keys\n");
    }
    return err;
}

static enum err carry_out(struct sqlite3 *db,
                          const struct engine_options *options,
                          enum store_task task, struct buf *report,
                          struct buf *detail)
{
    switch (task) {
    case STORE_INSTALL_FEED:
        return install_feed(db, options, report, detail);
    case STORE_REMOVE_FEED:
        return sqlite_feed_remove(db, report, detail);
    case STORE_INSTALL_PLAIN:
        return install_plain(db, report, detail);
    }
    return ERR_INVALID;
}

static enum err in_transaction(struct sqlite3 *db,
                               const struct engine_options *options,
                               enum store_task task, struct buf *report,
                               struct buf *detail)
{
    enum err err = sqlite_run(db, "BEGIN IMMEDIATE", detail);

    if (err == ERR_OK) {
        err = carry_out(db, options, task, report, detail);
    }
    if (err == ERR_OK) {
        err = sqlite_run(db, "COMMIT", detail);
    }
    if (err != ERR_OK) {
        buf_clear(report);
    }
    return err; /* Closing the connection takes back what is left open. */
}

enum err sqlite_maintain(const struct engine_options *options,
                         enum store_task task, struct buf *report,
                         struct buf *detail)
{
    struct buf path = {0};
    struct buf reason = {0};
    struct sqlite3 *db = NULL;
    enum err err = sqlite_path(options, &path, detail);

    if (err == ERR_OK && access(buf_string(&path), F_OK) != 0) {
        buf_printf(detail, "%s: is not there", buf_string(&path));
        err = ERR_NOT_FOUND;
    }
    if (err != ERR_OK) {
        buf_destroy(&path);
        return err;
    }
    err = sqlite_connect(buf_string(&path), CONNECT_OPENER, options->durability,
                         &db, &reason);
    if (err == ERR_OK) {
        err = in_transaction(db, options, task, report, &reason);
    }
    if (err != ERR_OK) {
        sqlite_explain(buf_string(&path), err, &reason, detail);
    }
    sqlite_disconnect(db);
    buf_destroy(&reason);
    buf_destroy(&path);
    return err;
}
