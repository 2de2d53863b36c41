/* SPDX-License-Identifier: MIT */
/*
 * The log of plain keys: durable first, in the table later.
 *
 *   a transaction's plain writes ─► one row of the log ─► commit ─► logged()
 *                                                                     │
 *      held, the newest of each key ◄─────────────────────────────────┘
 *                 │  many, or old, or idle, or something needs the table
 *                 ▼
 *      sorted, step by step ─► table ─► done();  then the rows go
 *
 * A commit of random keys rewrites pages all over the table; a row of the log
 * is written once.  And of many writes of one key only the newest ever goes
 * into the table.
 *
 * All that wait at one moment make a generation, which is applied in steps that
 * are short enough for commits between them.  Its rows go when its last write
 * is in the table, so the log always says what the table does not; at start it
 * is replayed before anybody reads.
 *
 * For each key the last thing the log says of it, if anything, is the newest
 * state, whatever happens: what is written past the log (groups, deferred or
 * large writes) first puts what waits into the table, and then has the log say
 * that the table knows better.
 *
 * Thread-safety: the writer's thread; before it starts and when it has ended,
 * the owner.
 */
#ifndef SERVER_STORE_WRITER_LOG_H
#define SERVER_STORE_WRITER_LOG_H

#include "server/store/engine.h"
#include "server/store/fold.h"
#include "server/store/pending.h"

struct store_writer;

/* With so many bytes in the log, what comes has to wait for its application. */
#define LOG_BYTES_MAX ((size_t)192 << 20)

enum log_phase {
    LOG_IDLE,  /* No generation under way. */
    LOG_FIND,  /* Where in the table are its keys? */
    LOG_APPLY, /* Into the table. */
    LOG_TRIM   /* The rows go. */
};

struct write_log {
    bool ready;           /* The engine has one, and so has the database. */
    struct fold newest;   /* In the log, for the next generation. */
    struct fold applying; /* Of the generation under way, not in the table. */
    int64_t seq;          /* Of the last row. */
    size_t n_bytes;       /* Of all rows. */
    int64_t since_us;     /* When the oldest of 'newest' was logged, … */
    int64_t last_us;      /* … and the newest. */
    bool hurry;           /* Somebody waits for the table. */

    /* Of the transaction under way. */
    struct buf code;               /* Of its row of the log. */
    struct fold staged;            /* What stands in there. */
    struct store_write **absorbed; /* What it puts into the table. */
    size_t n_absorbed, absorbed_max;
    bool cleared; /* It deletes all plain keys. */

    /* The generation under way. */
    enum log_phase phase;
    struct store_write **order; /* In the order of their places; NULL: gone. */
    size_t n_order;
    size_t at;         /* The first in 'order' that was not dealt with. */
    size_t step_max;   /* Of them in one transaction. */
    int64_t cut_seq;   /* Its last row, … */
    size_t cut_bytes;  /* … and the bytes of its rows. */
    int64_t trim_seq;  /* Rows up to here are gone. */
    unsigned n_failed; /* Times in a row that a step of one failed, … */
    struct buf why;    /* … and how. */
    int64_t retry_us;  /* The next step, not before. */
    uint64_t started, finished; /* Generations. */
    struct pending barriers;    /* Of each 'index' says which generation. */
};

/* Replays what is in the log. */
NODISCARD
enum err writer_log_open(struct store_writer *w, struct buf *detail);
/* Frees; what waited has ended. */
void writer_log_close(struct store_writer *w);

/* Does 'write' go to the log?  Or all of a group, and its members with it? */
bool writer_log_takes(const struct store_writer *w,
                      const struct store_write *write);
/* In the transaction: carries out 'write' there.  An error is the
 * transaction's, or the write's own. */
NODISCARD
enum err writer_log_write(struct store_writer *w, struct store_write *write);
/* True if the transaction has to end before 'write', which would put into the
 * table a part of what a group has logged in it; or if its row is long enough.
 */
bool writer_log_ends(const struct store_writer *w,
                     const struct store_write *write);
/* In the transaction, before a plain write that does not go to the log: what
 * waits of its key goes into the table. */
NODISCARD
enum err writer_log_give_way(struct store_writer *w,
                             const struct store_write *write);
/* In the transaction, after 'write' has deleted all plain keys, or those of one
 * database. */
void writer_log_cleared(struct store_writer *w,
                        const struct store_write *write);
/* The last thing before the commit. */
NODISCARD
enum err writer_log_append(struct store_writer *w);
/* After the commit, before anything of the transaction ends; or instead of
 * it. */
void writer_log_committed(struct store_writer *w);
void writer_log_rolled_back(struct store_writer *w);
/* After the commit: false if nothing of 'write' is only in the log.  Else it is
 * held until the table has it, and ends then. */
NODISCARD
bool writer_log_hold(struct store_writer *w, struct store_write *write);

/* True if 'barrier' has to wait for the table, and will be ended then. */
bool writer_log_bars(struct store_writer *w, struct store_write *barrier);

/* When the next step is due: INT64_MAX for never, 0 for at once. */
int64_t writer_log_due_us(const struct store_writer *w);
/* True if no more should be logged before a step was made. */
bool writer_log_is_full(const struct store_writer *w);
/* One step of a generation, begun if there is none. */
void writer_log_step(struct store_writer *w);

/* For writer_log.c and writer_apply.c: puts into the table what 'write' says. */
NODISCARD
enum err writer_log_put(struct store_writer *w,
                        const struct store_write *write);
/* Ends 'write', which was held, and its group with the last of it. */
void writer_log_end(struct store_writer *w, struct store_write *write,
                    enum err err, struct slice detail);
/* Ends all of 'fold', which the table or the log has overtaken. */
void writer_log_release_all(struct store_writer *w, struct fold *fold);
/* All plain keys are deleted: the rows may go. */
void writer_log_drop_generation(struct store_writer *w);
/* Ends what waits for the table, while the store closes and cannot write; the
 * log has it, and the next start will.  Nothing may be written after that: it
 * would be overtaken by what the log says. */
void writer_log_give_up(struct store_writer *w);

#endif
