/* SPDX-License-Identifier: MIT */
/*
 * What a write changes beyond the row it is about: triggers, cascades, rows
 * that REPLACE pushed out.  Copies of those rows are out of date with our own
 * commit, and nobody else tells us.
 *
 * Temporary triggers of the writer's connection, invisible in the file, call
 * back with the key of every row that is inserted, updated or deleted in a
 * mapped table:
 *
 *     CREATE TEMP TRIGGER bookd_effect_0_delete AFTER DELETE ON main."orders"
 *     BEGIN SELECT bookd_effect(0, 1, OLD."region", OLD."no"); END
 *
 * So they see what the update hook does not: tables WITHOUT ROWID, and keys
 * that are not the rowid.  Like it they do not see rows that REPLACE deletes;
 * where a statement of the schema may do that to rows of a table, each write of
 * it counts as one of all its rows.  Of a view nobody can say which rows
 * changed.
 *
 * If the change feed is installed, its triggers write our changes down too.
 * They are taken out before the commit: what others see there is of others.
 */
#include "server/store/sqlite_internal.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/attr.h"
#include "common/mem.h"

/* Rows that one transaction tells by name; more are told as whole tables. */
#define EFFECTS_MAX 4096

/* Rows of the feed taken out at a time: well under a millisecond. */
#define TRIM_ROWS "500"

/* ---- collecting ---- */

static void add_all(struct sqlite_effects *effects, size_t mapping)
{
    effects->all[mapping] = true;
    effects->any = true;
}

static void add(struct sqlite_effects *effects, const struct mapping *mapping,
                struct slice key, enum store_change change)
{
    if (effects->all[mapping->index]) {
        return;
    }
    if (effects->count == EFFECTS_MAX) {
        add_all(effects, mapping->index);
        return;
    }
    if (effects->list == NULL) {
        effects->list = xcalloc(EFFECTS_MAX, sizeof(*effects->list));
    }
    effects->list[effects->count++] =
        (struct sqlite_effect){.mapping = mapping,
                               .offset = effects->keys.size,
                               .size = key.size,
                               .change = change};
    buf_append_slice(&effects->keys, key);
    effects->any = true;
}

/* The whole key of the row whose key columns are 'values'.  False if it has
 * none: NULLs, reals and blobs answer to no id. */
static bool join_key(const struct mapping *mapping,
                     struct sqlite3_value **values, struct buf *key)
{
    struct slice parts[MAPPING_KEYS_MAX];

    for (size_t k = 0; k < mapping->n_keys; k++) {
        const int type = sqlite3_value_type(values[k]);
        if (type != SQLITE_INTEGER && type != SQLITE_TEXT) {
            return false;
        }
        const void *text = sqlite3_value_text(values[k]);
        if (text == NULL) {
            return false; /* No memory, which the statement will find too. */
        }
        parts[k] = slice_make(text, (size_t)sqlite3_value_bytes(values[k]));
    }
    buf_clear(key);
    buf_append_slice(key, mapping->prefix);
    mapping_join(mapping, parts, key);
    return true;
}

/* bookd_effect(mapping, change, key …), or (mapping) for all of its rows. */
static void on_effect(struct sqlite3_context *context, int n_values,
                      struct sqlite3_value **values)
{
    struct engine_writer *writer = sqlite3_user_data(context);
    struct sqlite_effects *effects = &writer->effects;
    const int index = n_values < 1 ? -1 : sqlite3_value_int(values[0]);

    if (index < 0 || (size_t)index >= writer->mappings->count) {
        return; /* Not our trigger. */
    }
    const struct mapping *mapping = &writer->mappings->list[index];
    if ((size_t)n_values != 2 + mapping->n_keys) {
        add_all(effects, mapping->index);
        return;
    }
    if (!join_key(mapping, &values[2], &effects->key)) {
        return;
    }
    const struct slice key = buf_slice(&effects->key);
    const struct slice id = slice_make(key.data + mapping->prefix.size,
                                       key.size - mapping->prefix.size);
    if (effects->own == NULL || effects->own->mapping != mapping ||
        !slice_equal(effects->own->key, id)) {
        add(effects, mapping, key,
            sqlite3_value_int(values[1]) == STORE_ROW_WRITTEN
                ? STORE_ROW_WRITTEN
                : STORE_ROW_DELETED);
    }
}

/* That of a table any row may have changed, is not taken back: it may do no harm
 * but that copies are read again. */
void sqlite_effects_forget(struct sqlite_effects *effects, size_t count)
{
    if (effects->count > count) {
        buf_truncate(&effects->keys, effects->list[count].offset);
        effects->count = count;
    }
}

/* ---- triggers ---- */

/* Appends "SELECT bookd_effect(0, 1, OLD."region", OLD."no")". */
static void append_call(struct buf *sql, const struct mapping *mapping,
                        const char *row, enum store_change change)
{
    buf_printf(sql, "SELECT bookd_effect(%zu, %d", mapping->index, (int)change);
    for (size_t k = 0; k < mapping->n_keys; k++) {
        buf_printf(sql, ", %s.", row);
        sqlite_append_name(sql, mapping->columns[mapping->keys[k].column]);
    }
    buf_append_char(sql, ')');
}

/* Appends " WHERE OLD."no" IS NOT NEW."no" OR …", but for the case of letters:
 * two spellings of a key are two keys. */
static void append_key_changed(struct buf *sql, const struct mapping *mapping)
{
    for (size_t k = 0; k < mapping->n_keys; k++) {
        const char *column = mapping->columns[mapping->keys[k].column];
        buf_append_string(sql, k == 0 ? " WHERE OLD." : " OR OLD.");
        sqlite_append_name(sql, column);
        buf_append_string(sql, " IS NOT NEW.");
        sqlite_append_name(sql, column);
        buf_append_string(sql, " COLLATE BINARY");
    }
}

static void append_trigger(struct buf *sql, const struct mapping *mapping,
                           const char *event, bool replaces)
{
    buf_clear(sql);
    buf_printf(sql, "CREATE TEMP TRIGGER bookd_effect_%zu_%s AFTER %s ON main.",
               mapping->index, event, event);
    sqlite_append_name(sql, mapping->table);
    buf_append_string(sql, " BEGIN ");
    if (strcmp(event, "INSERT") != 0) {
        append_call(sql, mapping, "OLD", STORE_ROW_DELETED);
        if (strcmp(event, "UPDATE") == 0) {
            append_key_changed(sql, mapping);
        }
        buf_append_string(sql, "; ");
    }
    if (strcmp(event, "DELETE") != 0) {
        append_call(sql, mapping, "NEW", STORE_ROW_WRITTEN);
        buf_append_string(sql, "; ");
        if (replaces) {
            buf_printf(sql, "SELECT bookd_effect(%zu); ", mapping->index);
        }
    }
    buf_append_string(sql, "END");
}

/* May a write of the table push other rows out?  If REPLACE is spoken of in its
 * declaration or in a trigger, and more than one thing must be unique. */
static enum err find_replacing(struct engine_writer *writer,
                               const struct mapping *mapping, bool *replaces,
                               struct buf *detail)
{
    static const char sql[] =
        "SELECT EXISTS(SELECT 1 FROM sqlite_schema "
        "WHERE sql LIKE '%replace%' AND (type = 'trigger' "
        "AND name NOT LIKE 'bookd!_%' ESCAPE '!' "
        "OR type = 'table' AND name = ?1 COLLATE NOCASE)) "
        "AND (SELECT count(*) FROM pragma_index_list(?1) WHERE \"unique\") + "
        "(SELECT count(*) FROM pragma_table_info(?1) "
        "WHERE pk = 1 AND upper(type) = 'INTEGER' AND NOT EXISTS("
        "SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk')) > 1";
    struct sqlite3_stmt *statement = NULL;
    enum err err = sqlite_prepare(writer->db, sql, &statement, detail);

    if (err == ERR_OK) {
        sqlite_bind_text(statement, 1, slice_from_string(mapping->table));
        if (sqlite3_step(statement) == SQLITE_ROW) {
            *replaces = sqlite3_column_int(statement, 0) != 0;
        } else {
            err = sqlite_failed(writer->db, detail);
        }
    }
    sqlite3_finalize(statement);
    return err;
}

enum err sqlite_effects_watch(struct engine_writer *writer,
                              const struct mapping *mapping, struct buf *detail)
{
    static const char *const events[] = {"INSERT", "UPDATE", "DELETE"};
    struct buf sql = {0};
    bool replaces = false;

    if (mapping->is_view) {
        return ERR_OK;
    }
    enum err err = find_replacing(writer, mapping, &replaces, detail);
    for (size_t i = 0; i < ARRAY_LEN(events) && err == ERR_OK; i++) {
        append_trigger(&sql, mapping, events[i], replaces);
        err = sqlite_run(writer->db, buf_string(&sql), detail);
    }
    buf_destroy(&sql);
    return err;
}

/* ---- the change feed ---- */

static enum err prepare_feed(struct engine_writer *w, struct buf *detail)
{
    const struct {
        const char *sql;
        struct sqlite3_stmt **statement;
    } statements[] = {
        {"SELECT max(seq) FROM bookd_changes", &w->feed_last},
        {"DELETE FROM bookd_changes WHERE seq > ?1", &w->feed_take_back},
        {"DELETE FROM bookd_changes WHERE seq IN ("
         "SELECT seq FROM bookd_changes WHERE seq <= ?1 "
         "ORDER BY seq LIMIT " TRIM_ROWS ")",
         &w->feed_trim},
    };
    bool exists;
    enum err err = sqlite_table_exists(w->db, "bookd_changes", &exists, detail);

    for (size_t i = 0; exists && i < ARRAY_LEN(statements) && err == ERR_OK;
         i++) {
        err = sqlite_prepare(w->db, statements[i].sql, statements[i].statement,
                             detail);
    }
    return err;
}

/* In a transaction that has changed nothing yet. */
static enum err note_last(struct engine_writer *writer, struct buf *detail)
{
    enum err err = ERR_OK;

    if (writer->feed_last == NULL) {
        return ERR_OK;
    }
    if (sqlite3_step(writer->feed_last) == SQLITE_ROW) {
        writer->feed_before = sqlite3_column_int64(writer->feed_last, 0);
    } else {
        err = sqlite_failed(writer->db, detail);
    }
    sqlite3_reset(writer->feed_last);
    return err;
}

static enum err take_back(struct engine_writer *writer, struct buf *detail)
{
    if (writer->feed_take_back == NULL) {
        return ERR_OK;
    }
    sqlite3_bind_int64(writer->feed_take_back, 1, writer->feed_before);
    return sqlite_execute(writer->db, writer->feed_take_back, detail);
}

enum err sqlite_tidy(struct engine_writer *writer, bool *more,
                     struct buf *detail)
{
    const int64_t seen = atomic_load_explicit(&writer->database->feed_seen,
                                              memory_order_relaxed);

    *more = false;
    if (writer->feed_trim == NULL || seen == writer->feed_trimmed) {
        return ERR_OK; /* Less than before: the feed began anew. */
    }
    enum err err = sqlite_execute(writer->db, writer->begin, detail);
    if (err != ERR_OK) {
        return err;
    }
    sqlite3_bind_int64(writer->feed_trim, 1, seen);
    err = sqlite_execute(writer->db, writer->feed_trim, detail);
    *more = err == ERR_OK && sqlite3_changes64(writer->db) > 0;
    if (err == ERR_OK) {
        err = sqlite_end_transaction(writer, detail);
    }
    if (err != ERR_OK) {
        *more = false;
        sqlite_rollback(writer);
    } else if (!*more) {
        writer->feed_trimmed = seen;
    }
    return err;
}

/* ---- the transaction ---- */

enum err sqlite_effects_begin(struct engine_writer *writer, struct buf *detail)
{
    struct sqlite_effects *effects = &writer->effects;

    effects->count = 0;
    effects->rows = false;
    buf_clear(&effects->keys);
    if (effects->any) {
        memset(effects->all, 0,
               writer->mappings->count * sizeof(*effects->all));
        effects->any = false;
    }
    return note_last(writer, detail);
}

enum err sqlite_effects_end(struct engine_writer *writer, struct buf *detail)
{
    const struct mappings *mappings = writer->mappings;

    if (!writer->effects.rows) {
        return ERR_OK;
    }
    for (size_t i = 0; i < mappings->count; i++) {
        if (mappings->list[i].is_view) {
            add_all(&writer->effects, i);
        }
    }
    return take_back(writer, detail);
}

size_t sqlite_effects(struct engine_writer *writer,
                      const struct engine_effect **list)
{
    const struct mappings *mappings = writer->mappings;
    struct sqlite_effects *effects = &writer->effects;
    size_t n = 0;

    if (!effects->any) {
        return 0;
    }
    if (effects->told == NULL) {
        effects->told =
            xcalloc(EFFECTS_MAX + mappings->count, sizeof(*effects->told));
    }
    for (size_t i = 0; i < mappings->count; i++) {
        if (effects->all[i]) {
            effects->told[n++] =
                (struct engine_effect){.mapping = &mappings->list[i]};
        }
    }
    for (size_t i = 0; i < effects->count; i++) {
        const struct sqlite_effect *effect = &effects->list[i];
        if (!effects->all[effect->mapping->index]) {
            effects->told[n++] = (struct engine_effect){
                .mapping = effect->mapping,
                .key = slice_make(buf_data(&effects->keys) + effect->offset,
                                  effect->size),
                .change = effect->change};
        }
    }
    *list = effects->told;
    return n;
}

/* ---- life ---- */

enum err sqlite_effects_open(struct engine_writer *writer, struct buf *detail)
{
    writer->effects.all =
        xcalloc(writer->mappings->count, sizeof(*writer->effects.all));
    if (sqlite3_create_function_v2(writer->db, "bookd_effect", -1, SQLITE_UTF8,
                                   writer, on_effect, NULL, NULL,
                                   NULL) != SQLITE_OK) {
        return sqlite_failed(writer->db, detail);
    }
    /* The triggers would make a file of their own. */
    const enum err err =
        sqlite_run(writer->db, "PRAGMA temp_store = MEMORY", detail);
    return err == ERR_OK ? prepare_feed(writer, detail) : err;
}

void sqlite_effects_destroy(struct sqlite_effects *effects)
{
    free(effects->all);
    free(effects->list);
    free(effects->told);
    buf_destroy(&effects->keys);
    buf_destroy(&effects->key);
}
