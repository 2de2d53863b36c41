/* SPDX-License-Identifier: MIT */
/*
 * The store: the SQL database behind the cache, asked without waiting.
 *
 *   store_read_start ─► slot free? ─yes─► readers: SELECT, row()
 *                         │no    ▲               │
 *                         ▼      │          simulated delay: a timer
 *                       queue ───┘               │
 *                         │                    done(), slot free
 *                     withdraw
 *
 *   store_write_start ─► channel ─► the writer: one thread, one connection,
 *                                   BEGIN, all that is queued, COMMIT, done()…
 *
 * Nothing here waits on the caller's thread.  Answers come by callback, on a
 * thread of the store: callbacks must be short and must not call back into
 * store_close().  Which database engine runs is known to server/store only
 * (engine.h is its interface; sqlite.c the one there is).
 *
 * A slot is one of 'store-concurrency'; a read holds it from its start until
 * done(), the simulated delay included, which counts from the moment it got the
 * slot.  Reads without a slot wait in a queue of 'store-queue', in order.
 * Refreshes never queue and start only while less than half of the slots are
 * taken.
 *
 * Thread-safety: any thread, between store_open() and store_close().
 */
#ifndef SERVER_STORE_STORE_H
#define SERVER_STORE_STORE_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/pool.h"
#include "common/timer.h"
#include "server/store/mapping.h"

struct config;
struct engine;
struct mapping_set;
struct store;
struct store_pool;

/* One column of a row; 'bytes' is its text (numbers too, as SQL prints them)
 * or its blob. */
struct store_column {
    enum column_type type;
    struct slice bytes;
};

/* What the value of a plain key is. */
enum plain_type {
    PLAIN_STRING, /* Bytes. */
    PLAIN_HASH /* Fields, as hash_value.h encodes them; bytes to the store. */
};

/* A row of a mapped table, or the value of a plain key (mapping == NULL: one
 * column, a blob).  Valid during the callback only. */
struct store_row {
    const struct mapping *mapping;
    const struct store_column *columns; /* mapping->n_columns, or 1. */
    int64_t expires_ms;                 /* Plain keys: wall clock; 0: never. */
    enum plain_type type;               /* Plain keys. */
};

/* ---- point reads ---- */

struct store_read;
typedef void store_row_fn(struct store_read *read, const struct store_row *row);
typedef void store_read_done_fn(struct store_read *read, enum err err);

enum store_start {
    STORE_STARTED, /* Has a slot, or is a probe: will end in done(). */
    STORE_QUEUED,  /* Waits for a slot: done(), unless withdrawn. */
    STORE_REFUSED, /* Queue full, or a refresh while busy, or closing. */
    STORE_BROKEN   /* The breaker is open, and this is no probe. */
};                 /* After the last two nothing will happen. */

/* Embedded in the caller's own, where there may be many: it is kept small. Must
 * live until done() was called or the read was refused or withdrawn.  Fill the
 * first group, zero the rest. */
struct store_read {
    const struct mapping *mapping; /* NULL: a plain key. */
    struct slice key;              /* The id of the row, or the plain key. */
    bool refresh;                  /* Nobody waits for it. */
    store_row_fn *row; /* Called before done(), once, if there is a row. */
    store_read_done_fn *done; /* ERR_OK, ERR_STORE_DOWN … */

    /* Private to the store. */
    struct timer timer;
    struct store_pool *pool;
    struct store_read *next, *previous; /* In the queue, or with a slot. */
    struct store_read *next_ready;      /* No thread has begun it. */
    int64_t start_us;                   /* When it got its slot. */
    uint32_t era;                       /* Of the breaker, at that time. */
    uint8_t result;                     /* enum err. */
    bool queued; /* Guarded by the store's lock, as the next two. */
    bool overdue;
    bool parked; /* Played to hang. */
};

enum store_start store_read_start(struct store *store, struct store_read *read);

/* True if 'read' was still queued: neither function will be called. */
NODISCARD
bool store_read_withdraw(struct store *store, struct store_read *read);

/* ---- writes ---- */

enum store_op {
    STORE_PUT_PLAIN, /* key = value, with expires_ms. */
    STORE_DELETE_PLAIN,
    STORE_CLEAR_PLAIN, /* All plain keys; or those of one database, whose prefix
                          (plain_key.h) is 'key'. */
    STORE_PUT_ROW,     /* 'value' is a JSON object: the whole row. */
    STORE_SET_COLUMNS, /* Names and values in 'fields': inserts or updates; a
                          value whose data is NULL makes the column NULL. */
    STORE_DELETE_ROW,
    STORE_READ,   /* Changes nothing: row() is told what there is. */
    STORE_GROUP,  /* The writes in 'group', all or nothing. */
    STORE_BARRIER /* Changes nothing; ends after all before it. */
};

struct store_write;
typedef enum err store_decide_fn(struct store_write *write,
                                 const struct store_row *now,
                                 struct buf *detail);
typedef void store_written_fn(struct store_write *write,
                              const struct store_row *row);
typedef void store_applied_fn(struct store_write *write);
typedef bool store_logged_fn(struct store_write *write);
typedef void store_write_done_fn(struct store_write *write, enum err err,
                                 struct slice detail);

/* One write.  Its memory and all slices live until done(). */
struct store_write {
    enum store_op op;
    const struct mapping *mapping; /* For the row operations. */
    struct slice key;              /* Plain key, or id. */
    struct slice value;
    const struct slice *fields; /* name, value, name, value, … */
    size_t n_fields;            /* Names and values together. */
    int64_t expires_ms;         /* STORE_PUT_PLAIN; 0: never. */
    enum plain_type type;       /* STORE_PUT_PLAIN: what 'value' is. */
    bool deferred; /* Nobody waits: commit within behind-interval. */

    /* STORE_GROUP: the members, in order, in one transaction: all of them or
     * none.  They use 'decide', 'row' and 'applied' and their results; their
     * done() is never called.  A member whose decide() fails changes nothing
     * and fails alone, the others go on; one that the database refuses takes
     * all of the group back, and the group fails with its error. */
    struct store_write *const *group;
    size_t n_group;

    /* May be NULL.  Called in the transaction, on the writer's thread, with
     * what is there now (NULL: nothing, as for an expired key) before the write
     * is carried out, which it may change: 'op' to another of the same kind of
     * key or to STORE_READ for nothing, 'value', 'type', 'fields',
     * 'expires_ms'.  What these point to lives until done().  An error, which must be one of
     * engine_is_own_fault(), fails this write alone, with the sentence in
     * 'detail'.  Called again, from the write as it was submitted, if the
     * transaction had to be repeated.  Of a group: called first, with NULL; an
     * error ends the group before it changed anything. */
    store_decide_fn *decide;
    /* In the transaction, after the write, if the key then has a row; may be
     * NULL. Its result is what the cache may hold once done() says ERR_OK.
     * Called again when a transaction with a deferred write had to be repeated;
     * the last call counts. */
    store_written_fn *row;
    /* In the transaction, after the write was carried out and has changed
     * something; may be NULL, and called again as row(). */
    store_applied_fn *applied;
    /* May be NULL.  The write is durable, but in the log and not yet in its
     * table (plain keys, see writer.h).  True: the caller answers for the key
     * from memory until done(), which comes when the table has it.  False: it
     * is put into the table at once, and done() follows.  Of a group: of all
     * its members together; theirs are not called. */
    store_logged_fn *logged;
    /* After the commit (or the failure), on the writer's thread, in the order
     * of submission, before the next transaction begins.  'detail' is a
     * sentence on failure.  An error of one write (a constraint) leaves the
     * others of its transaction alone. */
    store_write_done_fn *done;

    /* Results, valid in done(), and from logged() on.  A logged put that does
     * not decide() counts as changed: nobody has looked what was there. */
    int64_t n_changed; /* Rows or keys that existed before: deleted, updated. */
    int64_t n_created; /* Rows or keys that did not exist before. */
    int64_t
        n_new_fields; /* STORE_SET_COLUMNS: fields that were NULL or absent. */

    /* Private to the store. */
    struct store_write *next;  /* Of those that wait. */
    struct store_write *under; /* Logged before it: in the same transaction,
                                  and later, to be ended with it. */
    struct store_write *owner; /* The group it is in the log for, or NULL. */
    uint64_t hash;             /* Of a plain key. */
    size_t index;              /* Among those that go from the log into … */
    int64_t place;             /* … the table, and where there. */
    int64_t queued_us;
    size_t n_bytes; /* That clients sent, for all of a group. */
    int64_t letter; /* The id it is set aside under, or 0. */
    enum err result;
    bool undecided;   /* 'result' is what decide() said. */
    bool folded;      /* A later one says all. */
    bool staged;      /* In the log of the transaction under way. */
    bool in_log;      /* In the log, and not yet in the table … */
    bool absorbed;    /* … but in the transaction under way. */
    char *error_text; /* Owned by the store until after done(). */
    struct store_submitted *submitted; /* Likewise: what decide() may change. */
};

/* Hands 'write' to the writer, in order, without waiting.  Errors:
 * ERR_STORE_BUSY (too many queued), ERR_SHUTTING_DOWN; then done() is not
 * called. */
NODISCARD
enum err store_write_start(struct store *store, struct store_write *write);

/* 'ended(arg)' will be called on the writer's thread after it has told callers
 * how their writes ended, one or many, and before it waits or begins the next
 * transaction.  Call once, before there are writes. */
void store_on_ended(struct store *store, void (*ended)(void *arg), void *arg);

/* ---- walks over all keys ---- */

struct store_walk;
enum store_walk_kind {
    STORE_SCAN,     /* One page of keys from 'cursor' on (0 begins), at least
                       'count' keys looked at unless the end comes first. */
    STORE_COUNT,    /* The number of keys. */
    STORE_KEYSPACE, /* Figures of the plain keys of all databases. */
    STORE_RANDOM    /* Any one key. */
};

/* The plain keys of one database. */
struct store_figures {
    int64_t n_keys;     /* That live. */
    int64_t n_expiring; /* Of them: that will expire … */
    int64_t sum_ttl_ms; /* … and in how long, together. */
};

/* All see every deferred write that was queued before them, which they have
 * committed first; unless they say otherwise. */
struct store_walk {
    enum store_walk_kind kind;
    /* In; out: where the next page begins, 0 at the end; below 2^63, so that
     * the caller has a bit for a place of his own. */
    uint64_t cursor;
    size_t count; /* STORE_SCAN: keys a page, SIZE_MAX for all. */
    /* Only keys of this mapping, or (plain_only) only plain keys. */
    const struct mapping *only;
    bool plain_only;
    bool as_it_is;     /* Not after the writes that were queued before it. */
    bool records_only; /* No plain keys. */
    unsigned database; /* Of plain keys, only those stored under this number
                          (plain_key.h). */
    /* Each key, whole ("book:3"), on a store thread; expired plain keys are
     * left out. */
    void (*key)(struct store_walk *walk, struct slice key);
    void (*done)(struct store_walk *walk, enum err err);
    enum plain_type type; /* Out, while key() is told of a plain key. */
    int64_t n_keys; /* Out.  STORE_COUNT; STORE_KEYSPACE: records; STORE_RANDOM:
                       among about how many it was chosen. */
    struct store_figures *figures; /* Out, STORE_KEYSPACE: the caller's, one for
                                      each of PLAIN_KEY_DATABASES. */
    int64_t took_us;               /* Out: all steps in the engine together. */

    /* Private to the store. */
    struct pool_job job;
    struct store_write barrier;
    struct store_pool *pool;
    size_t left; /* Of 'count', over the steps of a long walk. */
};

/* Errors: ERR_STORE_BUSY, ERR_SHUTTING_DOWN; then done() is not called. */
NODISCARD
enum err store_walk_start(struct store *store, struct store_walk *walk);

/* ---- life ---- */

struct store_options {
    const struct config *config;     /* Borrowed: limits, delay, durability. */
    struct mapping_set *tables;      /* Borrowed; completed by store_open().  Or
                                    NULL: then it is 'mappings', … */
    const struct mappings *mappings; /* … borrowed. */
    struct timers *timers;           /* Borrowed. */
    const struct engine *engine; /* NULL: chosen by the scheme of 'store'. */
};

/* Opens (creates, seeds) the database and starts the threads.  On failure
 * 'detail' has one sentence for people: which file, what is wrong, what to do.
 * Errors: ERR_NOT_FOUND (no directory), ERR_PERMISSION, ERR_STORE_LOCKED,
 * ERR_STORE_CORRUPT, ERR_STORE_FOREIGN, ERR_STORE_VERSION, ERR_INVALID (the
 * directive), ERR_STORE_DOWN, ERR_SYSTEM. */
NODISCARD
enum err store_open(struct store **storep, const struct store_options *options,
                    struct buf *detail);

/* Refuses new work, commits every write that was accepted, ends every read
 * (done() with ERR_SHUTTING_DOWN for those still waiting on a simulated delay
 * or a slot), checkpoints, joins.  An error says why writes that were accepted
 * had to be given up; each was told so.  store_close(NULL) is fine. */
enum err store_close(struct store *store);

/* ---- what is done to a database on request ---- */

enum store_task {
    STORE_INSTALL_FEED, /* Triggers that write changes down. */
    STORE_REMOVE_FEED,
    STORE_INSTALL_PLAIN /* A table for plain keys. */
};

/* Does 'task' to the database that 'options' name, all or nothing, and tells in
 * 'report' what was done, a line each.  Errors: as store_open(). */
NODISCARD
enum err store_maintain(const struct store_options *options,
                        enum store_task task, struct buf *report,
                        struct buf *detail);

/* ---- changes by others ---- */

enum store_change {
    STORE_ROW_WRITTEN, /* Inserted or updated. */
    STORE_ROW_DELETED
};

/* What has changed in the database without being written through this store.
 * Called on threads of the store, one call at a time for each function; short.
 */
struct store_observer {
    void *arg;
    /* One row: its key, whole ("book:3"). */
    void (*changed)(void *arg, struct slice key, enum store_change change);
    /* Rows of 'mapping' (NULL: any, and plain keys) that nobody can name:
     * every copy of them from before now is out of date. */
    void (*changed_all)(void *arg, const struct mapping *mapping);
    /* A change became known 'lag_us' after it could have been. */
    void (*lag)(void *arg, int64_t lag_us);
};

/* Starts to watch for changes, until store_close().  'observer' is copied.
 * Call once, before there is anything to be out of date. */
NODISCARD
enum err store_observe(struct store *store,
                       const struct store_observer *observer,
                       struct buf *detail);

/* How far the writes are. */
struct store_progress {
    size_t n_waiting;     /* Accepted and not committed. */
    int64_t committed_ms; /* Wall clock; of the last commit, 0 for none yet. */
    bool failing;         /* The last transaction was not committed. */
};
void store_progress(const struct store *store, struct store_progress *progress);

/* For INFO: "name:value\r\n" lines about the store. */
void store_describe(struct store *store, struct buf *out);

const struct mappings *store_mappings(const struct store *store);

#endif
