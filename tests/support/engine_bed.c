/* SPDX-License-Identifier: MIT */
#include "tests/support/engine_bed.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/attr.h"
#include "common/log.h"
#include "server/admin/config.h"

#define FIELDS_MAX 32

/* ---- life ---- */

static void make_directory(struct engine_bed *bed)
{
    const char *parent = getenv("TMPDIR");

    snprintf(bed->directory, sizeof(bed->directory), "%s/engine-XXXXXX",
             parent == NULL || strlen(parent) > 40 ? "/tmp" : parent);
    if (mkdtemp(bed->directory) == NULL) {
        log_fatal("engine_bed: no directory %s", bed->directory);
    }
    buf_printf(&bed->path, "%s/books.db", bed->directory);
}

static void open_database(struct engine_bed *bed)
{
    const struct engine_options options = {
        .location = buf_string(&bed->path),
        .mappings = bed->mappings,
        .seed_books = true,
        .durability = DURABILITY_NORMAL,
    };

    if (bed->engine->open(&bed->database, &options, &bed->detail) != ERR_OK ||
        bed->engine->writer_open(bed->database, &bed->writer, &bed->detail) !=
            ERR_OK) {
        log_fatal("engine_bed: %s", buf_string(&bed->detail));
    }
}

static void close_database(struct engine_bed *bed)
{
    bed->engine->writer_close(bed->writer);
    bed->engine->close(bed->database);
}

void engine_bed_open(struct engine_bed *bed, const struct engine *engine,
                     const struct mappings *mappings, const char *sql)
{
    *bed = (struct engine_bed){.engine = engine, .mappings = &mappings_builtin};
    if (strcmp(engine->scheme, "sqlite") == 0) {
        make_directory(bed);
    } else {
        buf_append_string(&bed->path, "nowhere");
    }
    open_database(bed);
    if (bed->directory[0] != '\0' &&
        sqlite3_open(buf_string(&bed->path), &bed->outside) != SQLITE_OK) {
        log_fatal("engine_bed: %s", sqlite3_errmsg(bed->outside));
    }
    if (sql != NULL) {
        engine_bed_outside(bed, sql);
    }
    if (mappings != bed->mappings) {
        close_database(bed);
        bed->mappings = mappings;
        open_database(bed);
    }
}

void engine_bed_reopen(struct engine_bed *bed)
{
    close_database(bed);
    open_database(bed);
}

void engine_bed_close(struct engine_bed *bed)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

    close_database(bed);
    sqlite3_close(bed->outside);
    for (size_t i = 0; i < ARRAY_LEN(suffixes) && bed->directory[0] != '\0';
         i++) {
        buf_clear(&bed->text);
        buf_printf(&bed->text, "%s/books.db%s", bed->directory, suffixes[i]);
        (void)remove(buf_string(&bed->text));
    }
    if (bed->directory[0] != '\0') {
        (void)remove(bed->directory);
    }
    buf_destroy(&bed->path);
    buf_destroy(&bed->text);
    buf_destroy(&bed->detail);
}

/* ---- beside the engine ---- */

void engine_bed_outside(struct engine_bed *bed, const char *sql)
{
    if (sqlite3_exec(bed->outside, sql, NULL, NULL, NULL) != SQLITE_OK) {
        log_fatal("engine_bed: %s: %s", sql, sqlite3_errmsg(bed->outside));
    }
}

const char *engine_bed_query(struct engine_bed *bed, const char *sql)
{
    struct sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(bed->outside, sql, -1, &statement, NULL) !=
        SQLITE_OK) {
        log_fatal("engine_bed: %s: %s", sql, sqlite3_errmsg(bed->outside));
    }
    buf_clear(&bed->text);
    if (sqlite3_step(statement) != SQLITE_ROW) {
        buf_append_string(&bed->text, "(none)");
    } else if (sqlite3_column_type(statement, 0) == SQLITE_NULL) {
        buf_append_string(&bed->text, "NULL");
    } else {
        buf_append_string(&bed->text,
                          (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    return buf_string(&bed->text);
}

/* ---- writes ---- */

struct call {
    struct store_write write;
    struct engine_bed *bed;
    struct buf row;
    bool told;
};

static void take_row(struct store_write *write, const struct store_row *row)
{
    struct call *call = container_of(write, struct call, write);
    const size_t n = row->mapping == NULL ? 1 : row->mapping->n_columns;

    call->told = true;
    buf_clear(&call->row);
    for (size_t i = 0; i < n; i++) {
        buf_append_string(&call->row, i == 0 ? "" : "|");
        buf_append_slice(&call->row, row->columns[i].type == COLUMN_NULL
                                         ? SLICE("NULL")
                                         : row->columns[i].bytes);
    }
}

static void take_applied(struct store_write *write)
{
    container_of(write, struct call, write)->bed->n_applied++;
}

static void find_key(const struct engine_bed *bed, const char *key,
                     struct store_write *write)
{
    struct slice id;

    write->key = slice_from_string(key);
    write->mapping = mapping_find(bed->mappings, write->key, &id);
    if (write->mapping != NULL) {
        write->key = id;
    }
}

static void describe(struct engine_bed *bed, const struct call *call,
                     enum err err)
{
    const struct store_write *write = &call->write;

    buf_clear(&bed->text);
    if (err != ERR_OK) {
        buf_printf(&bed->text, "%s: %s", err_str(err),
                   buf_string(&bed->detail));
        return;
    }
    if (write->n_created > 0) {
        buf_printf(&bed->text, "+%lld", (long long)write->n_created);
    } else if (write->n_changed > 0) {
        buf_printf(&bed->text, "~%lld", (long long)write->n_changed);
    } else {
        buf_append_char(&bed->text, '=');
    }
    if (write->n_new_fields > 0) {
        buf_printf(&bed->text, " new=%lld", (long long)write->n_new_fields);
    }
    if (call->told) {
        buf_append_char(&bed->text, ' ');
        buf_append_slice(&bed->text, buf_slice(&call->row));
    }
}

void engine_bed_begin(struct engine_bed *bed)
{
    buf_clear(&bed->detail);
    if (bed->engine->begin(bed->writer, &bed->detail) != ERR_OK) {
        log_fatal("engine_bed: begin: %s", buf_string(&bed->detail));
    }
}

const char *engine_bed_commit(struct engine_bed *bed)
{
    const struct engine_effect *effects = NULL;

    buf_clear(&bed->detail);
    buf_clear(&bed->text);
    const enum err err = bed->engine->commit(bed->writer, &bed->detail);
    if (err != ERR_OK) {
        bed->engine->rollback(bed->writer);
        buf_printf(&bed->text, "%s: %s", err_str(err),
                   buf_string(&bed->detail));
        return buf_string(&bed->text);
    }
    const size_t n = bed->engine->effects == NULL
                         ? 0
                         : bed->engine->effects(bed->writer, &effects);
    for (size_t i = 0; i < n; i++) {
        if (effects[i].key.data == NULL) {
            buf_append_slice(&bed->text, effects[i].mapping->prefix);
            buf_append_string(&bed->text, "* ");
        } else {
            buf_append_slice(&bed->text, effects[i].key);
            buf_append_string(&bed->text, effects[i].change == STORE_ROW_WRITTEN
                                              ? " written "
                                              : " deleted ");
        }
    }
    return buf_string(&bed->text);
}

const char *engine_bed_apply(struct engine_bed *bed, struct store_write *write)
{
    struct call call = {.write = *write, .bed = bed};

    call.write.row = take_row;
    call.write.applied = take_applied;
    buf_clear(&bed->detail);
    const enum err err =
        bed->engine->apply(bed->writer, &call.write, &bed->detail);
    describe(bed, &call, err);
    buf_destroy(&call.row);
    *write = call.write;
    return buf_string(&bed->text);
}

const char *engine_bed_put(struct engine_bed *bed, const char *key,
                           const char *value)
{
    struct store_write write = {0};

    find_key(bed, key, &write);
    if (value == NULL) {
        write.op =
            write.mapping == NULL ? STORE_DELETE_PLAIN : STORE_DELETE_ROW;
    } else {
        write.op = write.mapping == NULL ? STORE_PUT_PLAIN : STORE_PUT_ROW;
        write.value = slice_from_string(value);
    }
    return engine_bed_apply(bed, &write);
}

const char *engine_bed_set(struct engine_bed *bed, const char *key, ...)
{
    struct slice fields[FIELDS_MAX];
    struct store_write write = {.op = STORE_SET_COLUMNS, .fields = fields};
    const char *text;
    va_list args;

    find_key(bed, key, &write);
    va_start(args, key);
    while ((text = va_arg(args, const char *)) != NULL &&
           write.n_fields < FIELDS_MAX) {
        fields[write.n_fields++] = strcmp(text, "(null)") == 0
                                       ? slice_make(NULL, 0)
                                       : slice_from_string(text);
    }
    va_end(args);
    return engine_bed_apply(bed, &write);
}

const char *engine_bed_read(struct engine_bed *bed, const char *key)
{
    struct store_write write = {.op = STORE_READ};

    find_key(bed, key, &write);
    return engine_bed_apply(bed, &write);
}
