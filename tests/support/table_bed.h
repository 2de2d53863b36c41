/* SPDX-License-Identifier: MIT */
/*
 * A SQLite file of somebody else, mapped by directives and read, for tests that
 * call the engine without a store around it.
 *
 *     table_bed_init(&bed, "CREATE TABLE users(name TEXT PRIMARY KEY)");
 *     table_bed_open(&bed, "users prefix user: key name");     ERR_OK
 *     table_bed_read(&bed, "user:anna");                        "anna|30"
 *
 * Thread-safety: one thread.
 */
#ifndef TESTS_SUPPORT_TABLE_BED_H
#define TESTS_SUPPORT_TABLE_BED_H

#include "server/store/engine.h"

struct sqlite3;
struct mapping_set;

struct table_bed {
    char directory[64]; /* Removed at the end. */
    char path[96];
    struct sqlite3 *outside; /* Another program in the file. */
    struct mapping_set *tables;
    const struct mappings *mappings; /* Once open. */
    struct engine_database *database;
    struct engine_reader *reader;
    struct buf text;   /* What the last call returned. */
    struct buf detail; /* Of the last failure. */
    bool plain_keys;   /* The store is to keep them. */
};

/* Makes a file with a write-ahead log and what 'sql' puts into it; no file if
 * that is NULL. */
void table_bed_init(struct table_bed *bed, const char *sql);
void table_bed_destroy(struct table_bed *bed);

/* Opens it as the value 'tables' of directive 'table' says. */
enum err table_bed_open(struct table_bed *bed, const char *tables);
void table_bed_close(struct table_bed *bed);
/* Does something to it as its administrator does; the report is in 'text'. */
enum err table_bed_maintain(struct table_bed *bed, const char *tables,
                            enum store_task task);

/* Runs SQL beside the engine. */
void table_bed_run(struct table_bed *bed, const char *sql);
/* The first column of all rows of 'sql', with a space between. */
const char *table_bed_query(struct table_bed *bed, const char *sql);

/* The columns of the row with '|' between, NULL spelled "NULL"; "(none)"; or
 * the words of the error. */
const char *table_bed_read(struct table_bed *bed, const char *key);
/* The keys of a page, with a space between; moves '*cursor' on. */
const char *table_bed_scan(struct table_bed *bed, uint64_t *cursor,
                           size_t count);
/* All keys, in pages of 'count'. */
const char *table_bed_scan_all(struct table_bed *bed, size_t count);
int64_t table_bed_count(struct table_bed *bed);

#endif
