/* SPDX-License-Identifier: MIT */
/*
 * What the files of the SQLite engine share: connections, statements, rows.
 *
 *     sqlite.c         connections, errors, point reads, the engine's table
 *     sqlite_schema.c  the file: found, or refused with a reason
 *     sqlite_create.c  bookd's own tables
 *     sqlite_table.c   what the schema says of a table
 *     sqlite_plan.c    whether a row is found without reading all others
 *     sqlite_mapping.c mappings held against the schema
 *     sqlite_feed.c    the triggers of the change feed
 *     sqlite_maintain.c what is done to a file on request
 *     sqlite_write.c   the writer's connection: transactions, checkpoints
 *     sqlite_apply.c   one write, and groups
 *     sqlite_decide.c  what is there before a write
 *     sqlite_plain.c   writes of plain keys
 *     sqlite_row.c     writes of rows
 *     sqlite_put.c     JSON objects and fields on their way into a row
 *     sqlite_effects.c what a write changes beside its row
 *     sqlite_real.c    reals as text
 *     sqlite_scan.c    walks and their cursors
 *     sqlite_keyspace.c  plain keys by database; how many, and any one
 *     sqlite_places.c  cursors of walks that no number can say
 *     sqlite_watch.c   what others commit
 *     sqlite_files.c   the files, and who writes to them
 *     sqlite_gate.c    all connections leave a file that is replaced
 *
 * Thread-safety: a connection and its statements belong to one thread at a
 * time (SQLITE_OPEN_NOMUTEX); struct engine_database is constant but for what
 * its gate guards.
 */
#ifndef SERVER_STORE_SQLITE_INTERNAL_H
#define SERVER_STORE_SQLITE_INTERNAL_H

#include "server/store/engine.h"
#include "server/store/sqlite_gate.h"

#include <stdatomic.h>

struct sqlite3;
struct sqlite3_stmt;
struct sqlite3_value;
struct mapping_set;

struct engine_database {
    char *path; /* Owned; begins with '/' or "./". */
    const struct mappings *mappings;
    int durability; /* enum durability. */
    struct sqlite_gate gate;
    /* Written while the gate is shut; see there. */
    int claim; /* Owned descriptor that holds the lock of sqlite_claim(); -1:
                  there is no file to lock. */
    int index; /* Owned descriptor of the log's index, or -1.  To be closed
                  when no connection is open, as the one before. */
    char **misfits; /* Per mapping, owned: why it fits the file no more; NULL:
                       it does. */
    /* Rows of the change table up to this one were told and may be taken out;
     * stored by the watcher, loaded by the writer, relaxed. */
    _Atomic int64_t feed_seen;
    /* Grows before and after each COMMIT of the writer; so it is odd meanwhile.
     * Sequentially consistent: what the watcher sees of a commit is not older
     * than this. */
    _Atomic uint64_t own_commits;
    uint64_t era; /* Of the writer's connections; the writer's. */
    struct sqlite_places *places; /* Owned; of walks. */
};

/* The statements that walk over one mapping. */
struct sqlite_row_scan {
    struct sqlite3_stmt *by_rowid; /* NULL: there are no rowids, but … */
    struct sqlite3_stmt *first; /* … rows in the order of their keys; … */
    struct sqlite3_stmt *next;  /* … those behind a key. */
    struct sqlite3_stmt *count;
};

struct engine_reader {
    struct engine_database *database;
    struct engine_reader *next; /* Of all there are; of the gate. */
    bool in_transaction;        /* Between begin_read() and end_read(). */
    struct sqlite3 *db;         /* NULL: to be opened by sqlite_gate_enter(). */
    const struct mappings *mappings;
    struct store_column *columns; /* Room for the widest row. */
    struct sqlite3_stmt *begin;   /* Owned, as all statements are. */
    struct sqlite3_stmt *end;
    bool has_plain; /* The file has a table for plain keys. */
    struct sqlite3_stmt *plain;
    struct sqlite3_stmt **rows;        /* One per mapping. */
    struct sqlite3_stmt *plain_scan;   /* In the order of ids, … */
    struct sqlite3_stmt *plain_by_key; /* … or of keys. */
    struct sqlite_row_scan *row_scans; /* One per mapping. */
    struct sqlite3_stmt *plain_count;
    struct sqlite3_stmt *plain_count_range; /* Keys from ?1 up to, not with ?2;
                                               … */
    struct sqlite3_stmt *plain_count_from;  /* … from ?1 on. */
    struct sqlite3_stmt *plain_expiring;    /* That expire after ?1, … */
    struct sqlite3_stmt *plain_expired;     /* … or not. */
    struct buf key;                         /* The key a walk is at. */
    struct buf place;                       /* The key it ended at before. */
};

/* Statements kept for each mapping that write a choice of its columns. */
#define SQLITE_CHOICES 16

struct sqlite_choice {
    struct sqlite3_stmt *statement; /* NULL: free. */
    bool insert;                    /* Else an UPDATE. */
    bool *named;                    /* Owned; per column: it is written. */
};

/* The statements of one mapping. */
struct sqlite_row_writer {
    struct sqlite3_stmt *get;
    struct sqlite3_stmt *delete; /* NULL: read only. */
    struct sqlite_choice choices[SQLITE_CHOICES];
    size_t next_choice; /* To be replaced. */
};

enum sqlite_given { NOT_GIVEN, GIVEN_NULL, GIVEN_TEXT, GIVEN_VALUE };

/* What goes into one column. */
struct sqlite_cell {
    enum sqlite_given given;
    struct slice text;           /* GIVEN_TEXT; borrowed. */
    struct sqlite3_value *value; /* GIVEN_VALUE; owned. */
    struct sqlite3_value *now;   /* Owned; what is there, of generated ones. */
};

/* A row changed beside the one that was written. */
struct sqlite_effect {
    const struct mapping *mapping;
    size_t offset, size; /* Of its key, in 'keys'. */
    enum store_change change;
};

/* Those of a transaction. */
struct sqlite_effects {
    const struct store_write *own; /* Which is no side effect; or NULL. */
    struct sqlite_effect *list;    /* Owned, as all of these; NULL: unused. */
    size_t count;
    struct buf keys;
    struct buf key;             /* The one being looked at. */
    bool *all;                  /* Per mapping: any of its rows. */
    bool any;                   /* There is something to tell. */
    bool rows;                  /* Rows were written, perhaps not in vain. */
    struct engine_effect *told; /* In the engine's terms; NULL: unused. */
};

struct engine_writer {
    struct engine_database *database;
    struct sqlite3 *db; /* NULL: to be opened by sqlite_gate_follow(). */
    struct sqlite3_stmt *data_version;
    int64_t seen_data; /* The last data_version. */
    const struct mappings *mappings;
    struct store_column *columns; /* Room for the widest row … */
    struct sqlite_cell *cells;    /* … of what is written … */
    bool *named;                  /* … and of which columns those are. */
    struct sqlite3_stmt *begin, *commit, *rollback;
    struct sqlite3_stmt *group_begin, *group_undo, *group_end;
    struct sqlite3_stmt *write_begin, *write_undo, *write_end;
    struct sqlite3_stmt *plain_get, *plain_update, *plain_insert;
    struct sqlite3_stmt *plain_delete, *plain_clear, *plain_purge;
    struct sqlite3_stmt *plain_clear_range, *plain_clear_rest;
    struct sqlite3_stmt *log_append, *log_trim, *log_find, *log_put;
    struct sqlite3_stmt *letter_put, *letter_drop; /* NULL: not our file. */
    struct sqlite3_stmt *json_type, *json_each;
    /* NULL: there is no change feed. */
    struct sqlite3_stmt *feed_last, *feed_take_back, *feed_trim;
    int64_t feed_before;            /* Its last row before this transaction. */
    int64_t feed_trimmed;           /* It was trimmed up to here. */
    struct sqlite_row_writer *rows; /* One per mapping. */
    struct sqlite_effects effects;
    /* What SQLite had counted as changed when the transaction began, … */
    int64_t changes_before;
    int64_t changes_before_group; /* … and its group, if it is in one. */
    bool in_group;
    size_t n_effects_before_group;
    int log_pages;          /* Of the log after the last commit. */
    int checkpointed_pages; /* The same at the last checkpoint. */
    int64_t leave_by_us;    /* When to leave a file that its log cannot be moved
                               to; clock_real_us(), 0: not yet tried. */
};

/* ---- sqlite.c ---- */

enum sqlite_mode {
    CONNECT_OPENER, /* May create the file; waits a while for a lock. */
    CONNECT_READER,
    CONNECT_WRITER
};

/* Opens a connection with our settings, and fails softly: on error '*dbp' is
 * NULL and 'detail' has SQLite's words. */
NODISCARD
enum err sqlite_connect(const char *path, enum sqlite_mode mode, int durability,
                        struct sqlite3 **dbp, struct buf *detail);
/* Closes it, and finalizes what statements it still has; NULL is fine. */
void sqlite_disconnect(struct sqlite3 *db);

/* Our error for the last one on 'db'; SQLite's words go to 'detail'. */
enum err sqlite_failed(struct sqlite3 *db, struct buf *detail);
/* Resets 'statement', whose last step gave 'code', and tells a failure as
 * sqlite_failed() does. */
enum err sqlite_end(struct sqlite3 *db, struct sqlite3_stmt *statement,
                    int code, struct buf *detail);

/* The same for a step of 'statement' on rows of a mapping, which may be the
 * fault of the write, or of a table that is not what it was. */
enum err sqlite_statement_failed(struct sqlite3 *db,
                                 struct sqlite3_stmt *statement,
                                 struct buf *detail);

/* Runs statements that return nothing. */
NODISCARD
enum err sqlite_run(struct sqlite3 *db, const char *sql, struct buf *detail);

/* Prepares a statement that will be used for long. */
NODISCARD
enum err sqlite_prepare(struct sqlite3 *db, const char *sql,
                        struct sqlite3_stmt **statement, struct buf *detail);

/* Runs a statement that was bound and returns no rows; resets it. */
NODISCARD
enum err sqlite_execute(struct sqlite3 *db, struct sqlite3_stmt *statement,
                        struct buf *detail);

/* The bytes, also empty ones, as text or as a blob; valid until reset. */
void sqlite_bind_text(struct sqlite3_stmt *statement, int index,
                      struct slice text);
void sqlite_bind_blob(struct sqlite3_stmt *statement, int index,
                      struct slice blob);

/* Appends 'name' as SQL writes a name. */
void sqlite_append_name(struct buf *sql, const char *name);
/* "SELECT <columns> FROM <table> WHERE <key> = ?1" */
void sqlite_append_select(struct buf *sql, const struct mapping *mapping);

/* Room for the columns of the widest row, and behind them for the text of reals.
 * Ownership: the caller's, to be freed. */
struct store_column *sqlite_columns_new(const struct mappings *mappings);

/* The row that 'statement' stands on, its columns in 'columns', which
 * sqlite_columns_new() has made; both valid until the next step or reset. */
struct store_row sqlite_row(struct sqlite3_stmt *statement,
                            const struct mapping *mapping,
                            struct store_column *columns);

/* Of the sqlite_row() just made: without memory for the text of a column,
 * SQLite gives none, as if it were empty. */
NODISCARD
enum err sqlite_row_failed(struct sqlite3 *db, struct buf *detail);

/* Binds the columns of the id of a row to the parameters from 'first' on.
 * False: no row can have that id.  The bytes of 'id' stay until reset. */
NODISCARD
bool sqlite_bind_id(struct sqlite3_stmt *statement, int first,
                    const struct mapping *mapping, struct slice id);
/* Appends " WHERE "region" = ?1 AND "no" = ?2" for the columns of the key, the
 * parameters numbered from 'first' on. */
void sqlite_append_where(struct buf *sql, const struct mapping *mapping,
                         int first);
/* Does the row in 'columns' answer to 'id'?  (mapping.h: one row, one key.) */
bool sqlite_row_is(const struct mapping *mapping,
                   const struct store_column *columns, struct slice id);

/* ERR_STORE_MAPPING, with the reason, if 'mapping' (NULL: plain keys) does not
 * fit the file that is open. */
NODISCARD
enum err sqlite_check_fit(const struct engine_database *database,
                          const struct mapping *mapping, struct buf *detail);

/* Whether there is a file, and what does not fit it. */
void sqlite_describe(struct engine_database *database, struct buf *out);

/* The connection of a reader and its statements; for the gate.  On an error
 * there is none. */
NODISCARD
enum err sqlite_reader_connect(struct engine_reader *reader,
                               struct buf *detail);
void sqlite_reader_disconnect(struct engine_reader *reader);

/* Column 'index' of the row that 'statement' stands on; as sqlite_row(). */
struct store_column sqlite_column(struct sqlite3_stmt *statement, int index);

/* The largest n_columns of all. */
size_t sqlite_widest(const struct mappings *mappings);

/* ---- sqlite_mapping.c ---- */

/* Does 'mapping' fit the schema?  ERR_STORE_MAPPING if not, and 'detail' has a
 * sentence that says why not and what to do; other errors are failures to find
 * out. */
NODISCARD
enum err sqlite_mapping_check(struct sqlite3 *db, const struct mapping *mapping,
                              struct buf *detail);

/* Completes all of 'set' from the schema.  In a file of others ('foreign') the
 * built-in mapping may lack its table, and is left out. */
NODISCARD
enum err sqlite_mappings_complete(struct sqlite3 *db, struct mapping_set *set,
                                  bool foreign, struct buf *detail);

/* Is every column of 'index' one of the key of 'mapping', compared as the
 * column itself is? */
NODISCARD
enum err sqlite_index_is_of_key(struct sqlite3 *db,
                                const struct mapping *mapping,
                                const char *index, bool *is,
                                struct buf *detail);

/* ---- sqlite_create.c ---- */

/* Of the tables that bookd makes in a file of its own; grows with them. */
#define SQLITE_SCHEMA_VERSION 3

enum sqlite_contents { CONTENTS_NOTHING, CONTENTS_OURS, CONTENTS_OTHERS };

/* '*version' is set if they are ours. */
NODISCARD
enum err sqlite_look_inside(struct sqlite3 *db, enum sqlite_contents *contents,
                            int64_t *version, struct buf *detail);

/* Inside a transaction of the caller's: all tables of a new file; those that a
 * file of an older version lacks; the one for plain keys in a file of others. */
NODISCARD
enum err sqlite_create(struct sqlite3 *db, bool seed, struct buf *detail);
NODISCARD
enum err sqlite_upgrade(struct sqlite3 *db, struct buf *detail);
NODISCARD
enum err sqlite_create_plain(struct sqlite3 *db, struct buf *detail);
/* Adds to the table of plain keys, which is there, the columns that it lacks.
 * That table is bookd's own in whatever file it stands. */
NODISCARD
enum err sqlite_upgrade_plain(struct sqlite3 *db, struct buf *detail);

/* ---- sqlite_feed.c ---- */

enum sqlite_feed {
    SQLITE_FEED_ABSENT,
    SQLITE_FEED_STALE,    /* Not all of it, or not what it should be. */
    SQLITE_FEED_INSTALLED /* Every change of the table is written down. */
};

NODISCARD
enum err sqlite_feed_state(struct sqlite3 *db, const struct mapping *mapping,
                           enum sqlite_feed *state, struct buf *detail);
/* Logs which feeds are stale. */
void sqlite_feed_complain(struct sqlite3 *db, const struct mappings *mappings);

/* Inside a transaction of the caller's; what was done is told in 'report', a
 * line each. */
NODISCARD
enum err sqlite_feed_install(struct sqlite3 *db,
                             const struct mapping *const *tables, size_t n,
                             struct buf *report, struct buf *detail);
NODISCARD
enum err sqlite_feed_remove(struct sqlite3 *db, struct buf *report,
                            struct buf *detail);

/* ---- sqlite_maintain.c ---- */

enum err sqlite_maintain(const struct engine_options *options,
                         enum store_task task, struct buf *report,
                         struct buf *detail);

/* ---- sqlite_places.c ---- */

/* Where walks are that no number can say: keys that were looked at last, of at
 * most so many walks.  Any thread. */
struct sqlite_places;
struct sqlite_places *sqlite_places_new(void);
void sqlite_places_free(struct sqlite_places *places);

/* Remembers that a walk has come to 'key', and returns the number of that,
 * which is not 0 and below 2^52.  'before' is the number of its place before,
 * or 0. */
uint64_t sqlite_places_put(struct sqlite_places *places, struct slice key,
                           uint64_t before);
/* The walk that has gone on from 'number' has come to the end. */
void sqlite_places_end(struct sqlite_places *places, uint64_t number);
/* Appends the key that stands under 'number'; false if it is not known any
 * more. */
NODISCARD
bool sqlite_places_get(struct sqlite_places *places, uint64_t number,
                       struct buf *key);

/* ---- sqlite_schema.c ---- */

/* Appends the path of the file. */
NODISCARD
enum err sqlite_path(const struct engine_options *options, struct buf *path,
                     struct buf *detail);

/* Takes the lock that keeps a second bookd from 'path', which exists; on
 * success '*fdp' holds it until it is closed.  Errors: ERR_STORE_LOCKED,
 * ERR_SYSTEM, with a sentence in 'detail'. */
NODISCARD
enum err sqlite_claim(const char *path, int *fdp, struct buf *detail);
/* Lets go of the lock; the descriptor stays open. */
void sqlite_unclaim(int fd);

enum err sqlite_open(struct engine_database **databasep,
                     const struct engine_options *options, struct buf *detail);
void sqlite_close(struct engine_database *database);
/* Appends to 'detail' which file, what is wrong, and what to do. */
void sqlite_explain(const char *path, enum err err, struct buf *reason,
                    struct buf *detail);

/* ---- sqlite_write.c ---- */

enum err sqlite_writer_open(struct engine_database *database,
                            struct engine_writer **writerp, struct buf *detail);
void sqlite_writer_close(struct engine_writer *writer);
/* The writer's connection and its statements; for the gate.  On an error there
 * is none. */
NODISCARD
enum err sqlite_writer_connect(struct engine_writer *writer,
                               struct buf *detail);
void sqlite_writer_disconnect(struct engine_writer *writer);
/* Moves all of the log into the file, which is to be left.  False if another
 * program is in the way: to be called again, but not for ever. */
NODISCARD
bool sqlite_writer_move_log(struct engine_writer *writer);
bool sqlite_foreign_commit(struct engine_writer *writer);
/* COMMIT. */
NODISCARD
enum err sqlite_end_transaction(struct engine_writer *writer,
                                struct buf *detail);
enum err sqlite_begin(struct engine_writer *writer, struct buf *detail);
/* True if SQLite has rolled the transaction back by itself; says so in
 * 'detail', if nothing else does. */
bool sqlite_is_gone(const struct engine_writer *writer, struct buf *detail);
NODISCARD
enum err sqlite_table_exists(struct sqlite3 *db, const char *name, bool *exists,
                             struct buf *detail);
enum err sqlite_commit(struct engine_writer *writer, struct buf *detail);
void sqlite_rollback(struct engine_writer *writer);
bool sqlite_checkpoint_due(const struct engine_writer *writer);
enum err sqlite_checkpoint(struct engine_writer *writer, struct buf *detail);

/* ---- sqlite_apply.c ---- */

enum err sqlite_apply(struct engine_writer *writer, struct store_write *write,
                      struct buf *detail);
enum err sqlite_begin_group(struct engine_writer *writer, struct buf *detail);
enum err sqlite_end_group(struct engine_writer *writer, bool keep,
                          struct buf *detail);
/* SQLite would bind NULL in place of bytes that are too many. */
NODISCARD
enum err sqlite_check_sizes(struct engine_writer *writer,
                            const struct store_write *write,
                            struct buf *detail);

/* ---- sqlite_decide.c ---- */

/* Look at what is there, if 'write' wants to know: call its decide(), and
 * row() if it is a read then. */
NODISCARD
enum err sqlite_plain_decide(struct engine_writer *writer,
                             struct store_write *write, struct buf *detail);

enum sqlite_found {
    FOUND_NOTHING,
    FOUND_ROW,       /* Its columns' types are in writer->columns. */
    FOUND_ANOTHER,   /* A row with another key, which its columns take for this
                        one. */
    FOUND_IMPOSSIBLE /* No row can have that key. */
};

NODISCARD
enum err sqlite_row_decide(struct engine_writer *writer,
                           struct store_write *write, enum sqlite_found *found,
                           struct buf *detail);

/* ---- sqlite_plain.c ---- */

/* Without the table of plain keys there are no statements. */
NODISCARD
enum err sqlite_plain_prepare(struct engine_writer *writer, struct buf *detail);
/* The column 'type': NULL, or 'hash'. */
void sqlite_bind_plain_type(struct sqlite3_stmt *statement, int index,
                            enum plain_type type);
enum plain_type sqlite_plain_type(struct sqlite3_stmt *statement, int column);
NODISCARD
enum err sqlite_plain_write(struct engine_writer *writer,
                            struct store_write *write, struct buf *detail);
/* Takes out a few expired keys. */
NODISCARD
enum err sqlite_plain_purge(struct engine_writer *writer, struct buf *detail);

/* ---- sqlite_row.c ---- */

NODISCARD
enum err sqlite_row_prepare(struct engine_writer *writer,
                            const struct mapping *mapping, struct buf *detail);
void sqlite_row_finalize(struct sqlite_row_writer *row);
/* From decide() to row(). */
NODISCARD
enum err sqlite_row_write(struct engine_writer *writer,
                          struct store_write *write, struct buf *detail);

/* ---- sqlite_put.c ---- */

/* Fill in the cells of the columns that 'write' names; 'found' is what
 * sqlite_row_decide() has found just before. */
NODISCARD
enum err sqlite_cells_from_object(struct engine_writer *writer,
                                  struct store_write *write,
                                  enum sqlite_found found, struct buf *detail);
NODISCARD
enum err sqlite_cells_from_fields(struct engine_writer *writer,
                                  struct store_write *write,
                                  enum sqlite_found found, struct buf *detail);
/* Binds the cells of writer->named to the parameters with their numbers. */
NODISCARD
enum err sqlite_cells_bind(struct engine_writer *writer,
                           struct sqlite3_stmt *statement,
                           const struct mapping *mapping, struct buf *detail);
void sqlite_cells_clear(struct engine_writer *writer,
                        const struct mapping *mapping);

/* ---- sqlite_effects.c ---- */

/* For a connection that was just opened; then each mapping is watched. */
NODISCARD
enum err sqlite_effects_open(struct engine_writer *writer, struct buf *detail);
NODISCARD
enum err sqlite_effects_watch(struct engine_writer *writer,
                              const struct mapping *mapping,
                              struct buf *detail);
void sqlite_effects_destroy(struct sqlite_effects *effects);
/* After BEGIN and before COMMIT. */
NODISCARD
enum err sqlite_effects_begin(struct engine_writer *writer, struct buf *detail);
NODISCARD
enum err sqlite_effects_end(struct engine_writer *writer, struct buf *detail);
/* Of what was taken back: all behind the first 'count'. */
void sqlite_effects_forget(struct sqlite_effects *effects, size_t count);
size_t sqlite_effects(struct engine_writer *writer,
                      const struct engine_effect **list);
enum err sqlite_tidy(struct engine_writer *writer, bool *more,
                     struct buf *detail);

/* ---- sqlite_real.c ---- */

#define SQLITE_REAL_TEXT 32 /* Room for any real as text, and a NUL. */

/* The shortest text of 15 to 17 digits that reads as 'real' again. */
void sqlite_real_text(double real, char text[SQLITE_REAL_TEXT]);
/* True if 'text' is a decimal number and nothing else. */
NODISCARD
bool sqlite_real_parse(struct slice text, double *real);

/* ---- sqlite_watch.c ---- */

enum err sqlite_watch_open(struct engine_database *database,
                           struct engine_watch **watchp, struct buf *detail);
void sqlite_watch_close(struct engine_watch *watch);
enum err sqlite_watch_look(struct engine_watch *watch,
                           const struct store_observer *observer,
                           struct engine_sight *sight, struct buf *detail);
int sqlite_watch_descriptor(const struct engine_watch *watch);
bool sqlite_watch_covers(const struct engine_watch *watch,
                         const struct mapping *mapping);

/* ---- sqlite_log.c ---- */

/* Makes the tables of the log and of dead letters, if the file is ours. */
NODISCARD
enum err sqlite_log_prepare(struct engine_writer *writer, struct buf *detail);
bool sqlite_log_ready(const struct engine_writer *writer);
enum err sqlite_log_append(struct engine_writer *writer, int64_t seq,
                           struct slice writes, struct buf *detail);
enum err sqlite_log_trim(struct engine_writer *writer, int64_t seq,
                         struct buf *detail);
enum err sqlite_log_read(struct engine_writer *writer, engine_log_fn *row,
                         void *arg, struct buf *detail);
enum err sqlite_log_find(struct engine_writer *writer, struct slice key,
                         int64_t *place, struct buf *detail);
enum err sqlite_log_put(struct engine_writer *writer,
                        const struct store_write *write, int64_t place,
                        bool *found, struct buf *detail);

/* ---- sqlite_letters.c ---- */

NODISCARD
enum err sqlite_letters_prepare(struct engine_writer *writer,
                                struct buf *detail);
enum err sqlite_letter_put(struct engine_writer *writer,
                           const struct dead_letter *letter,
                           struct buf *detail);
enum err sqlite_letter_drop(struct engine_writer *writer, int64_t first,
                            int64_t last, struct buf *detail);
enum err sqlite_letters_read(struct engine_writer *writer, dead_letter_fn *show,
                             void *arg, struct buf *detail);

/* ---- sqlite_scan.c ---- */

enum err sqlite_scan_prepare(struct engine_reader *reader, struct buf *detail);
void sqlite_scan_finalize(struct engine_reader *reader);
enum err sqlite_scan(struct engine_reader *reader, struct store_walk *walk,
                     size_t count, struct buf *detail);
enum err sqlite_count(struct engine_reader *reader, struct store_walk *walk,
                      struct buf *detail);
/* The key of the row whose key columns stand in 'statement' from column 'first'
 * on, in reader->key; false if it has none. */
bool sqlite_take_row_key(struct engine_reader *reader,
                         const struct mapping *mapping,
                         struct sqlite3_stmt *statement, int first);
/* Adds the rows of a mapping that have keys to '*n_keys'. */
NODISCARD
enum err sqlite_count_rows(struct engine_reader *reader,
                           const struct mapping *mapping, int64_t *n_keys,
                           struct buf *detail);

/* A name of the rowid of 'mapping' that no column has; NULL if it has none. */
const char *sqlite_name_of_rowid(struct sqlite3 *db,
                                 const struct mapping *mapping);

/* ---- sqlite_keyspace.c ---- */

NODISCARD
enum err sqlite_keyspace_prepare(struct engine_reader *reader,
                                 struct buf *detail);
void sqlite_keyspace_finalize(struct engine_reader *reader);
/* Where the keys of a database go on behind a range of them that began at
 * '*first': false if there is no more. */
NODISCARD
bool sqlite_next_range(unsigned database, struct slice *first);
/* Are there plain keys of other databases than 0? */
NODISCARD
enum err sqlite_has_databases(struct engine_reader *reader, bool *has,
                              struct buf *detail);
/* Adds the plain keys of a database that live to '*n_keys'. */
NODISCARD
enum err sqlite_count_plain(struct engine_reader *reader, unsigned database,
                            int64_t *n_keys, struct buf *detail);
NODISCARD
enum err sqlite_keyspace(struct engine_reader *reader, struct store_walk *walk,
                         struct buf *detail);
NODISCARD
enum err sqlite_random(struct engine_reader *reader, struct store_walk *walk,
                       struct buf *detail);

#endif
