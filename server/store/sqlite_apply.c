/* SPDX-License-Identifier: MIT */
/*
 * One write inside a transaction, and groups of them.
 *
 *     BEGIN                                     sqlite_write.c
 *       SAVEPOINT bookd_group                   of a group only
 *         SAVEPOINT bookd_write                 of each write
 *
 * What a write did before it failed, and what triggers did for it, is taken
 * back with its savepoint, and the transaction goes on without it.  What rolls
 * back more (a full disk, a trigger that says so, a damaged page) ends the
 * transaction with all that was in it.  If that was nothing, nobody need know:
 * it begins again.
 */
#include "server/store/sqlite_internal.h"

#include <sqlite3.h>

/* ---- one write ---- */

enum err sqlite_check_sizes(struct engine_writer *writer,
                            const struct store_write *write, struct buf *detail)
{
    const size_t max =
        (size_t)sqlite3_limit(writer->db, SQLITE_LIMIT_LENGTH, -1);
    bool fits = write->key.size <= max && write->value.size <= max;

    for (size_t i = 0; i < write->n_fields; i++) {
        fits = fits && write->fields[i].size <= max;
    }
    if (!fits) {
        buf_printf(detail, "the store takes values of at most %zu bytes", max);
    }
    return fits ? ERR_OK : ERR_TOO_BIG;
}

static enum err write_plain(struct engine_writer *writer,
                            struct store_write *write, struct buf *detail)
{
    enum err err = sqlite_plain_decide(writer, write, detail);

    if (err == ERR_OK && write->op != STORE_READ) {
        err = sqlite_check_sizes(writer, write, detail);
        if (err == ERR_OK) {
            err = sqlite_plain_write(writer, write, detail);
        }
    }
    return err;
}

/* Takes back what a write did that failed with 'err': all of it, also what a
 * trigger did before it said FAIL. */
static enum err take_back(struct engine_writer *writer, enum err err,
                          struct buf *detail)
{
    struct buf ignored = {0};

    if (!engine_is_own_failure(err)) {
        return err; /* All of the transaction will be. */
    }
    enum err undone = sqlite_execute(writer->db, writer->write_undo, &ignored);
    if (undone == ERR_OK) {
        undone = sqlite_execute(writer->db, writer->write_end, &ignored);
    }
    if (undone != ERR_OK) {
        buf_clear(detail);
        buf_append_slice(detail, buf_slice(&ignored));
    }
    buf_destroy(&ignored);
    return undone == ERR_OK ? err : ERR_STORE_DOWN;
}

/* The write that failed with 'err' has ended the transaction.  If nothing was
 * changed in it before the write, or its group, when SQLite had counted
 * 'changes', another one begins in its place; else only the caller can carry
 * all of it out again. */
static enum err begin_again(struct engine_writer *writer, int64_t changes,
                            enum err err, struct buf *detail)
{
    struct buf reason = {0};

    if (writer->in_group) {
        changes = writer->changes_before_group;
    }
    if (changes != writer->changes_before || !engine_is_own_failure(err)) {
        return engine_is_own_failure(err) ? ERR_STORE_DOWN : err;
    }
    enum err again = sqlite_execute(writer->db, writer->begin, &reason);
    if (again == ERR_OK) {
        again = sqlite_effects_begin(writer, &reason);
    }
    if (again == ERR_OK && writer->in_group) {
        again = sqlite_execute(writer->db, writer->group_begin, &reason);
    }
    if (again != ERR_OK) {
        buf_clear(detail);
        buf_append_slice(detail, buf_slice(&reason));
    }
    buf_destroy(&reason);
    writer->changes_before = sqlite3_total_changes64(writer->db);
    writer->changes_before_group = writer->changes_before;
    return again == ERR_OK ? err : again;
}

/* A constraint that is checked at the COMMIT only is the fault of one write, or
 * of one group: it must not fail all the others. */
static enum err check_deferred(struct engine_writer *writer, struct buf *detail)
{
    int unresolved = 0;
    int highest;

    (void)sqlite3_db_status(writer->db, SQLITE_DBSTATUS_DEFERRED_FKS,
                            &unresolved, &highest, 0);
    if (unresolved == 0) {
        return ERR_OK;
    }
    buf_append_string(detail, "FOREIGN KEY constraint failed");
    return ERR_CONSTRAINT;
}

static enum err carry_out(struct engine_writer *writer,
                          struct store_write *write, struct buf *detail)
{
    const size_t n_effects = writer->effects.count;
    const int64_t changes = sqlite3_total_changes64(writer->db);
    enum err err = sqlite_execute(writer->db, writer->write_begin, detail);

    if (err != ERR_OK) {
        return sqlite_is_gone(writer, detail) ? ERR_STORE_DOWN : err;
    }
    writer->effects.own = write->mapping == NULL ? NULL : write;
    err = write->mapping == NULL ? write_plain(writer, write, detail)
                                 : sqlite_row_write(writer, write, detail);
    writer->effects.own = NULL;
    if (write->mapping != NULL &&
        changes != sqlite3_total_changes64(writer->db)) {
        writer->effects.rows = true;
    }
    if (err == ERR_OK && !writer->in_group) {
        err = check_deferred(writer, detail);
    }
    if (err == ERR_STORE_CORRUPT) {
        /* SQLite writes nothing more in this transaction. */
        sqlite_rollback(writer);
    }
    if (sqlite_is_gone(writer, detail)) {
        err = begin_again(writer, changes, err == ERR_OK ? ERR_STORE_DOWN : err,
                          detail);
    } else if (err == ERR_OK) {
        err = sqlite_execute(writer->db, writer->write_end, detail);
    } else {
        sqlite_effects_forget(&writer->effects, n_effects);
        err = take_back(writer, err, detail);
    }
    return err;
}

enum err sqlite_apply(struct engine_writer *writer, struct store_write *write,
                      struct buf *detail)
{
    write->n_changed = 0;
    write->n_created = 0;
    write->n_new_fields = 0;
    if (write->op == STORE_BARRIER || write->op == STORE_GROUP) {
        return ERR_OK;
    }
    enum err err = sqlite_check_fit(writer->database, write->mapping, detail);
    if (err == ERR_OK) {
        err = carry_out(writer, write, detail);
    }
    if (err != ERR_OK) {
        write->n_changed = 0;
        write->n_created = 0;
        write->n_new_fields = 0;
    } else if (write->n_changed + write->n_created > 0 &&
               write->applied != NULL) {
        write->applied(write);
    }
    return err;
}

/* ---- groups ---- */

enum err sqlite_begin_group(struct engine_writer *writer, struct buf *detail)
{
    const enum err err =
        sqlite_execute(writer->db, writer->group_begin, detail);

    if (err == ERR_OK) {
        writer->in_group = true;
        writer->changes_before_group = sqlite3_total_changes64(writer->db);
        writer->n_effects_before_group = writer->effects.count;
    }
    return err;
}

enum err sqlite_end_group(struct engine_writer *writer, bool keep,
                          struct buf *detail)
{
    enum err refused = ERR_OK;
    enum err err = ERR_OK;

    if (sqlite_is_gone(writer, detail)) {
        return ERR_STORE_DOWN;
    }
    writer->in_group = false;
    if (keep) {
        refused = check_deferred(writer, detail);
    }
    if (!keep || refused != ERR_OK) {
        /* Takes back, and stays in the savepoint. */
        err = sqlite_execute(writer->db, writer->group_undo, detail);
        sqlite_effects_forget(&writer->effects, writer->n_effects_before_group);
    }
    if (err == ERR_OK) {
        err = sqlite_execute(writer->db, writer->group_end, detail);
    }
    return err == ERR_OK ? refused : err;
}
