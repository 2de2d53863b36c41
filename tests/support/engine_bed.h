/* SPDX-License-Identifier: MIT */
/*
 * The writer of an engine, for tests that call it without a store around it.
 *
 *     engine_bed_open(&bed, &engine_sqlite, &mappings, "CREATE TABLE t(…)");
 *     engine_bed_begin(&bed);
 *     engine_bed_set(&bed, "t:1", "name", "Anna", NULL);   "+1 1|Anna"
 *     engine_bed_commit(&bed);                              "t:2 written"
 *
 * What came of a write is told as text: "+1" if it made a row, "~1" if it
 * changed one, "=" if neither, "new=2" for fields that were NULL, then the row
 * that row() was told, if it was; or the name of the error and its detail.
 *
 * Thread-safety: one thread.
 */
#ifndef TESTS_SUPPORT_ENGINE_BED_H
#define TESTS_SUPPORT_ENGINE_BED_H

#include "server/store/engine.h"

struct sqlite3;

struct engine_bed {
    const struct engine *engine;
    const struct mappings *mappings;
    struct engine_database *database;
    struct engine_writer *writer;
    char directory[64]; /* Of SQLite; removed at the end. */
    struct buf path;
    struct sqlite3 *outside; /* Another program in the same file. */
    struct buf text;         /* What the last call returned. */
    struct buf detail;
    unsigned n_applied; /* Calls of applied(). */
};

/* Opens a new database with the tables of 'sql' beside bookd's own (NULL: just
 * these).  Ends the test if it cannot. */
void engine_bed_open(struct engine_bed *bed, const struct engine *engine,
                     const struct mappings *mappings, const char *sql);
/* Closes the writer and opens it again. */
void engine_bed_reopen(struct engine_bed *bed);
void engine_bed_close(struct engine_bed *bed);

/* Runs SQL beside the engine, in the same file. */
void engine_bed_outside(struct engine_bed *bed, const char *sql);
/* The first column of the first row of 'sql', or "(none)". */
const char *engine_bed_query(struct engine_bed *bed, const char *sql);

/* ---- one call each; text is valid until the next ---- */

void engine_bed_begin(struct engine_bed *bed);
/* Commits; tells the effects, each "book:3 written ", "book:3 deleted " or
 * "book:* ". */
const char *engine_bed_commit(struct engine_bed *bed);
/* Any write; keeps its decide() and adds the rest. */
const char *engine_bed_apply(struct engine_bed *bed, struct store_write *write);
/* A plain put or a JSON object; a delete if 'value' is NULL. */
const char *engine_bed_put(struct engine_bed *bed, const char *key,
                           const char *value);
/* STORE_SET_COLUMNS: name, value, …, NULL; "(null)" is SQL's NULL. */
const char *engine_bed_set(struct engine_bed *bed, const char *key, ...);
const char *engine_bed_read(struct engine_bed *bed, const char *key);

#endif
