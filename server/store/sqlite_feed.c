/* SPDX-License-Identifier: MIT */
/*
 * The change feed in the file: a table that triggers on the mapped tables fill
 * with the key of every row that changes, whoever changes it.
 *
 *     bookd_changes(seq, key, op)       op: 1 written, 2 deleted
 *     bookd_feed_TABLE_insert           the new row's key
 *     bookd_feed_TABLE_update           the key, or, if it was changed, both
 *     bookd_feed_TABLE_delete           the old row's key
 *     bookd_feed_TABLE_replace, _move   rows that OR REPLACE takes away because
 *                                       of another UNIQUE index, of which no
 *                                       trigger for deleting is told
 *
 * The last two know no more than that a row is in the way: they write it down
 * as changed.  Views have no triggers of their own.
 *
 * The statements are those that any SQLite of the last ten years runs.  A key
 * is put together as mapping_join() does it; that of a row without one is
 * NULL.  They are compared by their text with what they should be: what a
 * trigger does that stands for another prefix is of no use.
 */
#include "server/store/sqlite_internal.h"

#include <string.h>

#include <sqlite3.h>

#include "common/log.h"

static const char changes_sql[] =
    "CREATE TABLE bookd_changes("
    "seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, op INTEGER NOT NULL)";

/* ---- texts ---- */

static void append_literal(struct slice text, struct buf *sql)
{
    buf_append_char(sql, '\'');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\'') {
            buf_append_char(sql, '\'');
        }
        buf_append_char(sql, text.data[i]);
    }
    buf_append_char(sql, '\'');
}

/* "'order:' || NEW."region" || ':' || NEW."no""; 'row' may be empty. */
static void append_key(const struct mapping *mapping, const char *row,
                       struct buf *sql)
{
    append_literal(mapping->prefix, sql);
    for (size_t i = 0; i < mapping->n_keys; i++) {
        buf_printf(sql, " || %s", row);
        sqlite_append_name(sql, mapping->columns[mapping->keys[i].column]);
        if (mapping->keys[i].after.size > 0) {
            buf_append_string(sql, " || ");
            append_literal(mapping->keys[i].after, sql);
        }
    }
}

static void append_values(const struct mapping *mapping, const char *row,
                          int op, struct buf *sql)
{
    buf_append_string(sql, "INSERT INTO bookd_changes(key, op) VALUES(");
    append_key(mapping, row, sql);
    buf_printf(sql, ", %d); ", op);
}

static void append_insert(const struct mapping *mapping, struct buf *sql)
{
    append_values(mapping, "NEW.", 1, sql);
}

static void append_delete(const struct mapping *mapping, struct buf *sql)
{
    append_values(mapping, "OLD.", 2, sql);
}

static void append_update(const struct mapping *mapping, struct buf *sql)
{
    buf_append_string(sql, "INSERT INTO bookd_changes(key, op) SELECT ");
    append_key(mapping, "OLD.", sql);
    buf_append_string(sql, ", 2 WHERE ");
    append_key(mapping, "OLD.", sql);
    buf_append_string(sql, " IS NOT ");
    append_key(mapping, "NEW.", sql);
    buf_append_string(sql, "; ");
    append_values(mapping, "NEW.", 1, sql);
}

struct trigger {
    const char *suffix;
    const char *event;
    void (*append)(const struct mapping *mapping, struct buf *sql);
    const char *self; /* Of conflicts: the row that is in nobody's way. */
};

static const struct trigger plain_triggers[] = {
    {.suffix = "insert", .event = "AFTER INSERT", .append = append_insert},
    {.suffix = "update", .event = "AFTER UPDATE", .append = append_update},
    {.suffix = "delete", .event = "AFTER DELETE", .append = append_delete},
};

/* Those that a table with other UNIQUE indexes has too. */
static const struct trigger conflict_triggers[] = {
    {.suffix = "replace", .event = "BEFORE INSERT", .self = "NEW."},
    {.suffix = "move", .event = "BEFORE UPDATE", .self = "OLD."},
};

static void append_trigger_name(const struct mapping *mapping,
                                const char *suffix, struct buf *out)
{
    buf_printf(out, "bookd_feed_%s_%s", mapping->table, suffix);
}

/* The whole statement, with 'body' between BEGIN and END. */
static void append_trigger(const struct mapping *mapping,
                           const struct trigger *trigger, struct slice body,
                           struct buf *sql)
{
    struct buf name = {0};

    append_trigger_name(mapping, trigger->suffix, &name);
    buf_append_string(sql, "CREATE TRIGGER ");
    sqlite_append_name(sql, buf_string(&name));
    buf_printf(sql, " %s ON ", trigger->event);
    sqlite_append_name(sql, mapping->table);
    buf_append_string(sql, " BEGIN ");
    buf_append_slice(sql, body);
    buf_append_string(sql, "END");
    buf_destroy(&name);
}

/* ---- rows that are in the way of others ---- */

static const char *text_of(struct sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text == NULL ? "" : text;
}

/* "WHERE "isbn" = NEW."isbn" COLLATE "BINARY" AND …" for the columns of an
 * index; expressions are left out, so that too many rows are found, not too
 * few.  '*usable' is false if nothing else is in it. */
static enum err append_conflict(struct sqlite3 *db, const char *index,
                                bool *usable, struct buf *sql,
                                struct buf *detail)
{
    struct sqlite3_stmt *columns = NULL;
    int code = SQLITE_DONE;
    enum err err =
        sqlite_prepare(db,
                       "SELECT name, coll FROM pragma_index_xinfo(?1) "
                       "WHERE key AND name IS NOT NULL ORDER BY seqno",
                       &columns, detail);

    *usable = false;
    if (err != ERR_OK) {
        return err;
    }
    sqlite_bind_text(columns, 1, slice_from_string(index));
    while ((code = sqlite3_step(columns)) == SQLITE_ROW) {
        buf_append_string(sql, *usable ? " AND " : " WHERE ");
        sqlite_append_name(sql, text_of(columns, 0));
        buf_append_string(sql, " = NEW.");
        sqlite_append_name(sql, text_of(columns, 0));
        buf_append_string(sql, " COLLATE ");
        sqlite_append_name(sql, text_of(columns, 1));
        *usable = true;
    }
    if (code != SQLITE_DONE) {
        err = sqlite_failed(db, detail);
    }
    sqlite3_finalize(columns);
    return err;
}

/* What a trigger that looks for rows in the way of 'self' does; nothing if only
 * the key can be in conflict.  Names of indexes that cannot be watched go to
 * 'blind'. */
static enum err append_conflicts(struct sqlite3 *db,
                                 const struct mapping *mapping,
                                 const char *self, struct buf *body,
                                 struct buf *blind, struct buf *detail)
{
    struct sqlite3_stmt *indexes = NULL;
    struct buf where = {0};
    int code = SQLITE_DONE;
    /* Of the columns of the key alone: the row with the same key. */
    enum err err = sqlite_prepare(
        db,
        "SELECT name FROM pragma_index_list(?1) WHERE \"unique\" ORDER BY name",
        &indexes, detail);

    if (err != ERR_OK) {
        return err;
    }
    sqlite_bind_text(indexes, 1, slice_from_string(mapping->table));
    while (err == ERR_OK && (code = sqlite3_step(indexes)) == SQLITE_ROW) {
        bool usable = false;
        bool of_key = false;
        const char *index = text_of(indexes, 0);
        buf_clear(&where);
        err = sqlite_index_is_of_key(db, mapping, index, &of_key, detail);
        if (err == ERR_OK && !of_key) {
            err = append_conflict(db, index, &usable, &where, detail);
        }
        if (err != ERR_OK || of_key) {
            continue;
        }
        if (!usable) {
            buf_printf(blind, "%s%s", blind->size == 0 ? "" : ", ", index);
            continue;
        }
        buf_append_string(body, "INSERT INTO bookd_changes(key, op) SELECT ");
        append_key(mapping, "", body);
        buf_append_string(body, ", 1 FROM ");
        sqlite_append_name(body, mapping->table);
        buf_append_slice(body, buf_slice(&where));
        buf_append_string(body, " AND ");
        append_key(mapping, "", body);
        buf_append_string(body, " IS NOT ");
        append_key(mapping, self, body);
        buf_append_string(body, "; ");
    }
    if (err == ERR_OK && code != SQLITE_DONE) {
        err = sqlite_failed(db, detail);
    }
    sqlite3_finalize(indexes);
    buf_destroy(&where);
    return err;
}

/* ---- all triggers of a table ---- */

typedef enum err trigger_fn(struct sqlite3 *db, const char *name,
                            const char *sql, void *arg, struct buf *detail);

static enum err with_trigger(struct sqlite3 *db, const struct mapping *mapping,
                             const struct trigger *trigger, struct slice body,
                             trigger_fn *fn, void *arg, struct buf *detail)
{
    struct buf name = {0};
    struct buf sql = {0};

    append_trigger_name(mapping, trigger->suffix, &name);
    append_trigger(mapping, trigger, body, &sql);
    const enum err err =
        fn(db, buf_string(&name), buf_string(&sql), arg, detail);
    buf_destroy(&name);
    buf_destroy(&sql);
    return err;
}

/* Calls 'fn' with each trigger that 'mapping' should have. */
static enum err each_trigger(struct sqlite3 *db, const struct mapping *mapping,
                             trigger_fn *fn, void *arg, struct buf *blind,
                             struct buf *detail)
{
    struct buf body = {0};
    enum err err = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(plain_triggers) && err == ERR_OK; i++) {
        buf_clear(&body);
        plain_triggers[i].append(mapping, &body);
        err = with_trigger(db, mapping, &plain_triggers[i], buf_slice(&body),
                           fn, arg, detail);
    }
    for (size_t i = 0; i < ARRAY_LEN(conflict_triggers) && err == ERR_OK; i++) {
        const struct trigger *trigger = &conflict_triggers[i];
        buf_clear(&body);
        buf_clear(blind);
        err =
            append_conflicts(db, mapping, trigger->self, &body, blind, detail);
        if (err == ERR_OK && body.size > 0) {
            err = with_trigger(db, mapping, trigger, buf_slice(&body), fn, arg,
                               detail);
        }
    }
    buf_destroy(&body);
    return err;
}

/* ---- comparing ---- */

/* What there is under 'name' of the kind 'type': its text, as it was created,
 * in 'sql'; nothing if there is none. */
static enum err read_schema(struct sqlite3 *db, const char *type,
                            const char *name, struct buf *sql,
                            struct buf *detail)
{
    struct sqlite3_stmt *statement = NULL;
    enum err err = sqlite_prepare(db,
                                  "SELECT sql FROM sqlite_schema "
                                  "WHERE type = ?1 AND name = ?2 "
                                  "COLLATE NOCASE",
                                  &statement, detail);

    if (err != ERR_OK) {
        return err;
    }
    sqlite_bind_text(statement, 1, slice_from_string(type));
    sqlite_bind_text(statement, 2, slice_from_string(name));
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        buf_append_string(sql, text_of(statement, 0));
    } else if (code != SQLITE_DONE) {
        err = sqlite_failed(db, detail);
    }
    sqlite3_finalize(statement);
    return err;
}

struct comparison {
    size_t n_there;
    size_t n_right;
    size_t n_wanted;
};

static enum err compare_trigger(struct sqlite3 *db, const char *name,
                                const char *sql, void *arg, struct buf *detail)
{
    struct comparison *c = arg;
    struct buf there = {0};
    const enum err err = read_schema(db, "trigger", name, &there, detail);

    c->n_wanted++;
    c->n_there += there.size > 0 ? 1 : 0;
    c->n_right +=
        slice_equal(buf_slice(&there), slice_from_string(sql)) ? 1 : 0;
    buf_destroy(&there);
    return err;
}

enum err sqlite_feed_state(struct sqlite3 *db, const struct mapping *mapping,
                           enum sqlite_feed *state, struct buf *detail)
{
    struct comparison c = {0};
    struct buf blind = {0};
    struct buf table = {0};

    *state = SQLITE_FEED_ABSENT;
    if (mapping->is_view) {
        return ERR_OK;
    }
    enum err err = read_schema(db, "table", "bookd_changes", &table, detail);
    if (err == ERR_OK) {
        err = each_trigger(db, mapping, compare_trigger, &c, &blind, detail);
    }
    if (err == ERR_OK && c.n_there > 0) {
        *state = table.size > 0 && c.n_right == c.n_wanted
                     ? SQLITE_FEED_INSTALLED
                     : SQLITE_FEED_STALE;
    }
    buf_destroy(&table);
    buf_destroy(&blind);
    return err;
}

void sqlite_feed_complain(struct sqlite3 *db, const struct mappings *mappings)
{
    struct buf detail = {0};

    for (size_t i = 0; i < mappings->count; i++) {
        enum sqlite_feed state;
        if (sqlite_feed_state(db, &mappings->list[i], &state, &detail) ==
                ERR_OK &&
            state == SQLITE_FEED_STALE) {
            log_warn("sqlite: the change feed of table \"%s\" is not what its "
                     "mapping needs, and is not used; run bookd "
                     "--install-change-feed with this configuration",
                     mappings->list[i].table);
        }
    }
    buf_destroy(&detail);
}

/* ---- installing and removing ---- */

static enum err drop(struct sqlite3 *db, const char *type, const char *name,
                     struct buf *detail)
{
    struct buf sql = {0};

    buf_printf(&sql, "DROP %s IF EXISTS ", type);
    sqlite_append_name(&sql, name);
    const enum err err = sqlite_run(db, buf_string(&sql), detail);
    buf_destroy(&sql);
    return err;
}

static enum err create_trigger(struct sqlite3 *db, const char *name,
                               const char *sql, void *arg, struct buf *detail)
{
    (void)arg;
    const enum err err = drop(db, "TRIGGER", name, detail);
    return err == ERR_OK ? sqlite_run(db, sql, detail) : err;
}

/* Drops the triggers of the feed, all of them or those on one table, and says
 * how many there were. */
static enum err drop_triggers(struct sqlite3 *db, const char *table,
                              size_t *n_dropped, struct buf *detail)
{
    /* '_' is any character to LIKE, hence GLOB. */
    static const char sql[] =
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' "
        "AND name GLOB 'bookd_feed_*' "
        "AND (?1 IS NULL OR tbl_name = ?1 COLLATE NOCASE) LIMIT 1";
    struct sqlite3_stmt *find = NULL;
    struct buf name = {0};
    enum err err = sqlite_prepare(db, sql, &find, detail);
    bool more = err == ERR_OK;

    *n_dropped = 0;
    if (more && table != NULL) {
        sqlite_bind_text(find, 1, slice_from_string(table));
    }
    while (more && err == ERR_OK) {
        more = sqlite3_step(find) == SQLITE_ROW;
        buf_clear(&name);
        buf_append_string(&name, more ? text_of(find, 0) : "");
        sqlite3_reset(find); /* It would stand in the way of DROP. */
        if (more) {
            err = drop(db, "TRIGGER", buf_string(&name), detail);
            ++*n_dropped;
        }
    }
    sqlite3_finalize(find);
    buf_destroy(&name);
    return err;
}

/* One table, inside a transaction. */
static enum err install_table(struct sqlite3 *db, const struct mapping *mapping,
                              struct buf *report, struct buf *detail)
{
    struct buf blind = {0};
    enum sqlite_feed state;
    size_t n_dropped;

    if (mapping->is_view) {
        buf_printf(report,
                   "%s: is a view and cannot have triggers; any change by "
                   "others makes its copies stale\n",
                   mapping->table);
        return ERR_OK;
    }
    enum err err = sqlite_feed_state(db, mapping, &state, detail);
    if (err == ERR_OK && state == SQLITE_FEED_INSTALLED) {
        buf_printf(report, "%s: the triggers are there already\n",
                   mapping->table);
        return ERR_OK;
    }
    if (err == ERR_OK) {
        err = drop_triggers(db, mapping->table, &n_dropped, detail);
    }
    if (err == ERR_OK) {
        err = each_trigger(db, mapping, create_trigger, NULL, &blind, detail);
    }
    if (err == ERR_OK) {
        buf_printf(report, "%s: %s the triggers bookd_feed_%s_*\n",
                   mapping->table, n_dropped > 0 ? "renewed" : "created",
                   mapping->table);
    }
    if (err == ERR_OK && blind.size > 0) {
        buf_printf(report,
                   "%s: rows that OR REPLACE removes because of %s are not "
                   "seen, as these indexes are over expressions\n",
                   mapping->table, buf_string(&blind));
    }
    buf_destroy(&blind);
    return err;
}

enum err sqlite_feed_install(struct sqlite3 *db,
                             const struct mapping *const *tables, size_t n,
                             struct buf *report, struct buf *detail)
{
    struct buf table = {0};
    enum err err = read_schema(db, "table", "bookd_changes", &table, detail);

    if (err == ERR_OK && table.size == 0) {
        err = sqlite_run(db, changes_sql, detail);
        buf_append_string(report, "created the table bookd_changes\n");
    }
    for (size_t i = 0; i < n && err == ERR_OK; i++) {
        err = install_table(db, tables[i], report, detail);
    }
    buf_destroy(&table);
    return err;
}

enum err sqlite_feed_remove(struct sqlite3 *db, struct buf *report,
                            struct buf *detail)
{
    struct buf table = {0};
    size_t n_dropped = 0;
    enum err err = drop_triggers(db, NULL, &n_dropped, detail);

    if (err == ERR_OK) {
        err = read_schema(db, "table", "bookd_changes", &table, detail);
    }
    if (err == ERR_OK && table.size > 0) {
        err = drop(db, "TABLE", "bookd_changes", detail);
    }
    if (err == ERR_OK && n_dropped == 0 && table.size == 0) {
        buf_append_string(report, "there was no change feed\n");
    } else if (err == ERR_OK) {
        buf_printf(report,
                   "dropped %zu triggers%s; the table sqlite_sequence, which "
                   "SQLite keeps for itself, stays\n",
                   n_dropped,
                   table.size > 0 ? " and the table bookd_changes" : "");
    }
    buf_destroy(&table);
    return err;
}
