/* SPDX-License-Identifier: MIT */
/*
 * What others do to the files themselves.
 *
 *   another file in place of the database (mv), or none
 *             the writer moves the log into the old one, all connections leave
 *             it; its log, which would be taken for that of the new, goes; the
 *             new one is opened
 *   the log removed
 *             the writer, who still has it, moves it into the database first
 *   another content (cp)
 *             as a new file; noticed because SQLite writes to a database with
 *             a log only while a checkpoint is noted in the log's index
 *   another schema
 *             everybody connects anew if other mappings fit it than before
 *
 * A file that somebody may still be writing is left alone: opened half done, it
 * would be taken for written over with the next of its bytes, and lose what was
 * committed in between.
 *
 * A mapping that does not fit what is there stays out of use, until a change of
 * the schema, or of the file, makes it fit.
 *
 *     WATCHING ─► LEAVING: the gate is shut ─► WATCHING
 *                    │                           ▲
 *                    └─► OUTSIDE: no file is good, tried again and again
 */
#include "server/store/sqlite_watch.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

/* The files are looked at when names came or went, and this often: the
 * directory of a symbolic link, or one over a network, tells nothing. */
#define FATE_EVERY_US 100000

/* So long after the last write a file counts as complete. */
#define QUIET_US 50000

/* Why 'mapping' does not fit what is there, appended to 'reason'; or nothing.
 */
static enum err examine(struct engine_watch *watch,
                        const struct mapping *mapping, struct buf *reason,
                        struct buf *detail)
{
    const enum err err = sqlite_mapping_check(watch->db, mapping, reason);

    if (err == ERR_OK || err == ERR_STORE_MAPPING) {
        return ERR_OK;
    }
    buf_append_slice(detail, buf_slice(reason));
    return err;
}

static bool is_as_before(const char *misfit, struct buf *reason)
{
    return misfit == NULL ? reason->size == 0
                          : strcmp(misfit, buf_string(reason)) == 0;
}

/* Does the set of mappings that fit change?  'take': makes it so. */
static enum err examine_all(struct engine_watch *watch, bool take,
                            bool *changes, struct buf *detail)
{
    struct engine_database *database = watch->database;
    const struct mappings *mappings = database->mappings;
    enum err err = ERR_OK;

    *changes = false;
    for (size_t i = 0; i < mappings->count && err == ERR_OK; i++) {
        struct buf reason = {0};
        err = examine(watch, &mappings->list[i], &reason, detail);
        const bool changed =
            err == ERR_OK && !is_as_before(database->misfits[i], &reason);
        *changes = *changes || changed;
        if (changed && take) {
            free(database->misfits[i]);
            database->misfits[i] =
                reason.size == 0 ? NULL : xslicedup(buf_slice(&reason));
            if (reason.size == 0) {
                log_info("store: a mapping fits again table=%s",
                         mappings->list[i].table);
            } else {
                log_error("store: a mapping fits no more table=%s "
                          "detail=\"%s\"",
                          mappings->list[i].table, buf_string(&reason));
            }
        }
        buf_destroy(&reason);
    }
    return err;
}

void sqlite_exchange_close_left(struct engine_watch *watch)
{
    if (watch->left_index >= 0) {
        close(watch->left_index);
        watch->left_index = -1;
    }
    if (watch->left >= 0) {
        close(watch->left);
        watch->left = -1;
    }
}

/* All other connections are closed. */
static void forget_file(struct engine_watch *watch)
{
    struct engine_database *database = watch->database;

    sqlite_disconnect(watch->db);
    watch->db = NULL;
    watch->begin = NULL;
    watch->end = NULL;
    watch->data_version = NULL;
    watch->schema_version = NULL;
    watch->rows = NULL;
    watch->last_seq = NULL;
    sqlite_unclaim(database->claim);
    watch->left = database->claim;
    watch->left_index = database->index;
    database->claim = -1;
    database->index = -1;
}

static enum err check_journal(struct engine_watch *watch, struct buf *detail)
{
    struct sqlite3_stmt *mode = NULL;
    enum err err =
        sqlite_prepare(watch->db, "PRAGMA journal_mode", &mode, detail);

    if (err == ERR_OK && sqlite3_step(mode) != SQLITE_ROW) {
        err = sqlite_failed(watch->db, detail);
    } else if (err == ERR_OK &&
               strcmp((const char *)sqlite3_column_text(mode, 0), "wal") != 0) {
        buf_append_string(detail, "has no write-ahead log; run "
                                  "'PRAGMA journal_mode = WAL' on it");
        err = ERR_STORE_FOREIGN;
    }
    sqlite3_finalize(mode);
    return err;
}

static struct log_backfill read_backfill(const struct engine_watch *watch)
{
    uint32_t words[33];
    const int fd = watch->database->index;

    if (fd < 0 || pread(fd, words, sizeof words, 0) != (ssize_t)sizeof words) {
        return (struct log_backfill){0};
    }
    return (struct log_backfill){.salts = {words[8], words[9]},
                                 .done = words[24],
                                 .attempted = words[32],
                                 .frames = words[4],
                                 .commits = words[2]};
}

void sqlite_exchange_follow(struct engine_watch *watch)
{
    /* The one that was claimed, before anybody opened it. */
    sqlite_files_follow(&watch->files, watch->database->claim);
    watch->database->index =
        open(watch->files.paths[FILE_INDEX], O_RDONLY | O_CLOEXEC);
    watch->backfill = read_backfill(watch);
}

/* What is left of the log would be taken for that of what is there now. */
static void remove_log(struct engine_watch *watch)
{
    if (watch->fate == FILES_OVERWRITTEN ||
        sqlite_files_is_another(&watch->files)) {
        sqlite_files_remove_log(&watch->files);
    }
}

/* Opens what is there now, and sees what fits it. */
static enum err arrive(struct engine_watch *watch, struct buf *detail)
{
    struct engine_database *database = watch->database;
    struct buf reason = {0};
    bool changes;
    enum err err = sqlite_claim(database->path, &database->claim, detail);

    if (err != ERR_OK) {
        return err;
    }
    remove_log(watch);
    sqlite_exchange_close_left(watch);
    sqlite_files_follow(&watch->files, database->claim);
    watch->fate = FILES_SAME;
    err = sqlite_watch_connect(watch, &reason);
    if (err == ERR_OK) {
        err = check_journal(watch, &reason);
    }
    if (err == ERR_OK) {
        err = examine_all(watch, true, &changes, &reason);
    }
    if (err != ERR_OK) {
        sqlite_explain(database->path, err, &reason, detail);
        forget_file(watch);
    }
    buf_destroy(&reason);
    return err;
}

static const char *fate_name(enum sqlite_fate fate)
{
    switch (fate) {
    case FILES_SAME:
        return "its schema changed";
    case FILES_LOG_LOST:
        return "its log was removed";
    case FILES_REPLACED:
        return "it was replaced";
    case FILES_OVERWRITTEN:
        return "it was written over";
    }
    return "";
}

static void begin_leaving(struct engine_watch *watch, enum sqlite_fate fate,
                          struct engine_sight *sight)
{
    log_warn("store: the database is opened anew because %s", fate_name(fate));
    watch->phase = LEAVING;
    watch->fate = fate;
    sight->anew = true; /* At once, and again when there is another. */
    sight->stirred = true;
    sight->ask = true; /* The writer has to leave, too. */
}

enum err sqlite_exchange_schema(struct engine_watch *watch, bool feed_changed,
                                struct engine_sight *sight, struct buf *detail)
{
    bool changes = false;
    const enum err err = examine_all(watch, false, &changes, detail);

    if (err == ERR_OK && (changes || feed_changed)) {
        begin_leaving(watch, FILES_SAME, sight);
    }
    return err;
}

/* Everybody has left. */
static enum err open_another(struct engine_watch *watch,
                             struct engine_sight *sight, struct buf *detail)
{
    /* Whatever it is, to those who read and write it is a store that is down.
     */
    const enum err err =
        arrive(watch, detail) == ERR_OK ? ERR_OK : ERR_STORE_DOWN;

    sqlite_gate_open(watch->database, err, detail);
    sight->anew = watch->phase == LEAVING || err == ERR_OK;
    sight->ask = true; /* The writer may have something to do there. */
    watch->phase = err == ERR_OK ? WATCHING : OUTSIDE;
    return err;
}

static bool is_of_others(enum sqlite_fate fate)
{
    return fate == FILES_REPLACED || fate == FILES_OVERWRITTEN;
}

enum err sqlite_exchange_go_on(struct engine_watch *watch,
                               struct engine_sight *sight, struct buf *detail)
{
    if (!is_of_others(watch->fate) && sqlite_files_is_another(&watch->files)) {
        /* While it was left for another reason. */
        watch->fate = FILES_REPLACED;
    }
    /* What only the log knows belongs to the old file, wherever that is now; to
     * one that was written over it does not. */
    const bool moves_log =
        watch->fate == FILES_LOG_LOST || watch->fate == FILES_REPLACED;
    const bool quiet = sqlite_files_is_quiet(&watch->files, QUIET_US);

    if (watch->phase == LEAVING) {
        sight->stirred = true; /* Soon again. */
        sight->ask = true;
        if (!sqlite_gate_shut(watch->database, moves_log) ||
            (is_of_others(watch->fate) && !quiet)) {
            return ERR_OK;
        }
        forget_file(watch);
    } else if (!quiet) {
        buf_printf(detail, "%s: is being written", watch->database->path);
        return ERR_STORE_DOWN;
    }
    return open_another(watch, sight, detail);
}

void sqlite_exchange_end(struct engine_watch *watch)
{
    struct buf reason = {0};
    enum err err = ERR_OK;

    if (watch->phase != LEAVING) {
        return;
    }
    if (is_of_others(watch->fate)) {
        /* Nobody may use what he has open, nor what is there. */
        remove_log(watch);
        buf_printf(&reason, "%s: is being exchanged", watch->database->path);
        err = ERR_STORE_DOWN;
    }
    sqlite_gate_open(watch->database, err, &reason);
    buf_destroy(&reason);
}

/* ---- reasons to leave ---- */

/* The first commit after all of the log was in the database lets the log begin
 * anew.  That is no checkpoint; more commits than one might hide another. */
static bool only_began_anew(const struct log_backfill *was,
                            const struct log_backfill *is)
{
    return was->done == was->frames && is->done == 0 &&
           is->commits - was->commits == 1 &&
           be32toh(is->salts[0]) - be32toh(was->salts[0]) == 1;
}

/* The database file was written to: is there no checkpoint that did it?  'was'
 * was read before its writes could be seen. */
static bool is_written_over(const struct engine_watch *watch,
                            struct log_backfill was)
{
    const struct log_backfill is = read_backfill(watch);

    const bool same_log = memcmp(is.salts, was.salts, sizeof is.salts) == 0 &&
                          is.done == was.done && is.attempted == was.attempted;

    return watch->database->index >= 0 && is.attempted <= is.done &&
           (same_log || only_began_anew(&was, &is));
}

/* What has become of the files, as far as there is a reason to ask. */
static enum sqlite_fate find_fate(struct engine_watch *watch,
                                  const struct sqlite_stir *stir,
                                  struct log_backfill was)
{
    const int64_t now_us = clock_real_us();
    enum sqlite_fate fate = FILES_SAME;

    if (stir->names || now_us - watch->fate_us >= FATE_EVERY_US) {
        watch->fate_us = now_us;
        fate = sqlite_files_fate(&watch->files);
    }
    return fate == FILES_SAME && stir->database && is_written_over(watch, was)
               ? FILES_OVERWRITTEN
               : fate;
}

void sqlite_exchange_check(struct engine_watch *watch,
                           struct engine_sight *sight)
{
    const struct log_backfill was = watch->backfill;

    watch->backfill = read_backfill(watch);
    const struct sqlite_stir stir = sqlite_files_stir(&watch->files);
    sight->stirred = stir.log || stir.names;
    if (watch->phase == WATCHING) {
        const enum sqlite_fate fate = find_fate(watch, &stir, was);
        if (fate != FILES_SAME) {
            begin_leaving(watch, fate, sight);
        }
    }
}
