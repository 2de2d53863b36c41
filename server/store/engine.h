/* SPDX-License-Identifier: MIT */
/*
 * What a database engine does for the store.  All functions may block; each
 * reader and the writer is used by one thread at a time.
 *
 * Errors go to 'detail' as one sentence, with an enum err that says of what
 * kind they are: ERR_STORE_DOWN unless something more exact fits.
 */
#ifndef SERVER_STORE_ENGINE_H
#define SERVER_STORE_ENGINE_H

#include "server/store/deadletter.h"
#include "server/store/store.h"

struct engine_database; /* Defined by each engine. */
struct engine_reader;
struct engine_writer;
struct engine_watch;

struct engine_options {
    const char *location; /* What stands behind "scheme:". */
    /* What the configuration says of tables; open() completes it.  NULL: it is
     * known without asking the database, in 'mappings'. */
    struct mapping_set *tables;
    const struct mappings *mappings;
    bool seed_books;
    bool plain_keys; /* The store keeps them. */
    int durability;  /* enum durability of config.h. */
};

/* A row that a write has changed beside the one it was about. */
struct engine_effect {
    const struct mapping *mapping;
    struct slice key; /* Whole; no data: rows of 'mapping' nobody can name. */
    enum store_change change;
};

/* What one look at the database has found, beside the rows it told of. */
struct engine_sight {
    size_t n_told; /* Rows. */
    bool stirred;  /* Somebody was writing since the last look: a commit may
                     follow at once. */
    bool changed;  /* There was a commit since the last look, perhaps one of our
                     writer. */
    bool more;     /* Not all of it was told yet: look again. */
    bool anew;     /* It may be another database: nothing known of it holds. */
    bool foreign; /* It was somebody else's, of which not all is in the feed. */
    bool ask;     /* foreign_commit() is to be called: only the writer knows
                      whose it was, or has a file to leave. */
    bool leaving; /* One file is being left for another: looks are to go on
                     until that is done, also when the store closes. */
    int64_t since_us; /* 'changed': the commit was not before this moment, on
                         clock_real_us(); INT64_MIN if that is not known. */
};

/* One row of the log. */
typedef enum err engine_log_fn(void *arg, int64_t seq, struct slice writes);

struct engine {
    const char *scheme; /* "sqlite" */

    /* Opens the database, creating it with its schema if it is not there. */
    enum err (*open)(struct engine_database **databasep,
                     const struct engine_options *options, struct buf *detail);
    void (*close)(struct engine_database *database);
    /* Does something to a database that is there, on request of its
     * administrator, and tells in 'report' what was done, a line each.  May be
     * NULL. */
    enum err (*maintain)(const struct engine_options *options,
                         enum store_task task, struct buf *report,
                         struct buf *detail);

    enum err (*reader_open)(struct engine_database *database,
                            struct engine_reader **readerp, struct buf *detail);
    void (*reader_close)(struct engine_reader *reader);
    /* All reads until end_read() see the database as it was at one moment,
     * which is not before begin_read() was called.  Both may be NULL. */
    enum err (*begin_read)(struct engine_reader *reader, struct buf *detail);
    void (*end_read)(struct engine_reader *reader);
    /* Looks for the row that 'read' asks for; calls read->row() if there is
     * one, an expired plain key being none.  Errors: ERR_STORE_LOCKED and
     * ERR_IO if another try may succeed. */
    enum err (*read)(struct engine_reader *reader, struct store_read *read,
                     struct buf *detail);
    /* Calls walk->key() for each key from walk->cursor on, until 'count' keys
     * were looked at (more if no cursor can be written there), and sets
     * walk->cursor to what follows, below 2^63, 0 at the end.  Any cursor is
     * harmless. */
    enum err (*scan)(struct engine_reader *reader, struct store_walk *walk,
                     size_t count, struct buf *detail);
    /* Sets walk->n_keys. */
    enum err (*count)(struct engine_reader *reader, struct store_walk *walk,
                      struct buf *detail);
    /* Fills walk->figures and walk->n_keys. */
    enum err (*keyspace)(struct engine_reader *reader, struct store_walk *walk,
                         struct buf *detail);
    /* Calls walk->key() with one key, if there is any, and sets walk->n_keys;
     * does not read the whole table for that. */
    enum err (*random)(struct engine_reader *reader, struct store_walk *walk,
                       struct buf *detail);

    enum err (*writer_open)(struct engine_database *database,
                            struct engine_writer **writerp, struct buf *detail);
    void (*writer_close)(struct engine_writer *writer);
    /* Another number each time the writer came to what may be another database;
     * known after begin().  Never 0.  May be NULL. */
    uint64_t (*era)(const struct engine_writer *writer);
    /* Errors: ERR_STORE_LOCKED if another program writes; after a short wait
     * at most, the caller tries again. */
    enum err (*begin)(struct engine_writer *writer, struct buf *detail);
    /* May be NULL.  True if anybody but this writer has committed since it was
     * called last, or since the writer was opened.  Inside a transaction or
     * between two. */
    bool (*foreign_commit)(struct engine_writer *writer);
    /* Carries out one write that is no group inside the transaction, all or
     * nothing: calls write->decide(), fills the results, calls write->row() and
     * write->applied().  Errors that are this write's alone
     * (engine_is_own_failure()) leave the transaction as it was; after any
     * other it can only be rolled back.  A write that ends the transaction by
     * itself (a trigger that says ROLLBACK, a damaged page) fails with
     * ERR_STORE_DOWN if others were applied before; as the first it gets an
     * error that is its own. */
    enum err (*apply)(struct engine_writer *writer, struct store_write *write,
                      struct buf *detail);
    /* Around the members of a group: what was applied since the last
     * begin_group() stays with the transaction, or is taken back.  Keeping it
     * may fail with an engine_is_own_failure() of the group: then it is taken
     * back, and the transaction goes on. */
    enum err (*begin_group)(struct engine_writer *writer, struct buf *detail);
    enum err (*end_group)(struct engine_writer *writer, bool keep,
                          struct buf *detail);
    /* After an error the transaction can only be rolled back. */
    enum err (*commit)(struct engine_writer *writer, struct buf *detail);
    /* What the transaction that was just committed has changed beside the rows
     * its writes were about: by triggers, cascades, in views.  Returns how much
     * '*effects' has; it stays until the next begin().  May be NULL. */
    size_t (*effects)(struct engine_writer *writer,
                      const struct engine_effect **effects);
    /* Ends the transaction, whatever became of it. */
    void (*rollback)(struct engine_writer *writer);
    /* Has the log grown so far that a checkpoint pays? */
    bool (*checkpoint_due)(const struct engine_writer *writer);
    /* Between transactions, when there is time: puts in order what is left
     * lying about, a bounded part of it; '*more' says to call again.  An error
     * is no reason to do anything.  May be NULL. */
    enum err (*tidy)(struct engine_writer *writer, bool *more,
                     struct buf *detail);
    /* Moves the log into the database file as far as readers allow. */
    enum err (*checkpoint)(struct engine_writer *writer, struct buf *detail);

    /* ---- the log of plain keys (write_log.h); all NULL without one ---- */

    /* Does this database have one? */
    bool (*log_ready)(const struct engine_writer *writer);
    /* In the transaction: another row, 'seq' being the highest so far. */
    enum err (*log_append)(struct engine_writer *writer, int64_t seq,
                           struct slice writes, struct buf *detail);
    /* In the transaction: the rows up to 'seq' go. */
    enum err (*log_trim)(struct engine_writer *writer, int64_t seq,
                         struct buf *detail);
    /* Calls 'row' for each, in order, until it fails. */
    enum err (*log_read)(struct engine_writer *writer, engine_log_fn *row,
                         void *arg, struct buf *detail);
    /* Where a plain key, expired or not, has its row: keys of near places are
     * best written together.  0: it has none.  Also between transactions. */
    enum err (*log_find)(struct engine_writer *writer, struct slice key,
                         int64_t *place, struct buf *detail);
    /* In the transaction: puts a plain key at the place it was found at;
     * '*found' is false if it is not there any more. */
    enum err (*log_put)(struct engine_writer *writer,
                        const struct store_write *write, int64_t place,
                        bool *found, struct buf *detail);

    /* ---- the table of dead letters; NULL without one ---- */

    /* In the transaction. */
    enum err (*letter_put)(struct engine_writer *writer,
                           const struct dead_letter *letter,
                           struct buf *detail);
    enum err (*letter_drop)(struct engine_writer *writer, int64_t first,
                            int64_t last, struct buf *detail);
    enum err (*letters_read)(struct engine_writer *writer, dead_letter_fn *show,
                             void *arg, struct buf *detail);

    /* For INFO: "name:value\r\n" lines; any thread.  May be NULL. */
    void (*describe)(struct engine_database *database, struct buf *out);

    /* ---- changes by others; all NULL if they cannot be seen ---- */

    /* Changes from here on will be seen. */
    enum err (*watch_open)(struct engine_database *database,
                           struct engine_watch **watchp, struct buf *detail);
    void (*watch_close)(struct engine_watch *watch);
    /* Looks for commits since the last look, tells observer->changed() of rows
     * that others changed, a bounded number of them, and fills in '*sight'.
     * After an error another look may succeed. */
    enum err (*watch_look)(struct engine_watch *watch,
                           const struct store_observer *observer,
                           struct engine_sight *sight, struct buf *detail);
    /* A descriptor that becomes readable when somebody writes, and is not any
     * more after a look; -1 if only looking helps. */
    int (*watch_descriptor)(const struct engine_watch *watch);
    /* Is 'mapping' (NULL: are plain keys) in the feed, so that rows of it are
     * told one by one? */
    bool (*watch_covers)(const struct engine_watch *watch,
                         const struct mapping *mapping);
};

/* True if the write that failed with 'err' is to blame, not the store: it
 * would fail again, and others would not. */
static inline bool engine_is_own_fault(enum err err)
{
    return err == ERR_CONSTRAINT || err == ERR_INVALID || err == ERR_RANGE ||
           err == ERR_TOO_BIG || err == ERR_WRONG_TYPE || err == ERR_READONLY ||
           err == ERR_CONFLICT || err == ERR_STORE_MAPPING;
}

/* True if a write that failed with 'err' in apply() has left the transaction
 * as it was: by its own fault, or because the file is damaged where it goes. */
static inline bool engine_is_own_failure(enum err err)
{
    return engine_is_own_fault(err) || err == ERR_STORE_CORRUPT;
}

extern const struct engine engine_sqlite;

#endif
