/* SPDX-License-Identifier: MIT */
/*
 * What the files of the writer share.
 *
 *     writer.c         its thread: what it waits for, and when it commits
 *     writer_commit.c  transactions: their writes, their end, their failure
 *     writer_log.c     plain writes into the log
 *     writer_apply.c   … and from there into their table
 *     writer_letters.c writes that the database refuses, put aside
 *     pending.c        the writes that wait
 *
 * Thread-safety: everything belongs to the writer's thread, but for what says
 * otherwise.
 */
#ifndef SERVER_STORE_WRITER_INTERNAL_H
#define SERVER_STORE_WRITER_INTERNAL_H

#include <stdatomic.h>

#include "common/chan.h"
#include "common/thread.h"
#include "common/waitgroup.h"
#include "server/store/deadletter_internal.h"
#include "server/store/pending.h"
#include "server/store/writer.h"
#include "server/store/writer_log.h"

/* Writes and bytes of one transaction, and so of deferred writes that wait.
 * Large enough to make the fsync cheap, small enough to commit in well under
 * 'store-timeout' and to fit into memory. */
#define GROUP_MAX 4096
#define GROUP_BYTES_MAX ((size_t)16 << 20)

typedef void store_ended_fn(void *arg);

struct store_writer {
    struct store_writer_options with;
    struct chan *writes; /* Of struct store_write *. */
    struct chan *alarm;  /* Of char; holds one. */
    struct chan *looks;  /* Likewise: store_writer_look() was called. */
    struct thread thread;
    bool stopped; /* Of the owner. */

    /* Writes accepted and not ended.  Added to before the write is sent,
     * subtracted from after its commit; release, paired with the acquire of
     * store_writer_has_deferred(). */
    _Atomic size_t n_deferred;
    _Atomic size_t deferred_bytes; /* Of these; relaxed. */
    /* Writes in the log and not yet in the table.  As 'n_deferred'. */
    _Atomic size_t n_logged;
    /* The last transaction failed.  Set by the thread, read also by describe;
     * relaxed. */
    _Atomic bool failing;
    /* Wall clock; when the last transaction was committed, 0 for none yet.  As
     * 'failing'. */
    _Atomic int64_t committed_ms;
    /* When the oldest deferred write was queued, 0 for none.  As 'failing'. */
    _Atomic int64_t oldest_us;
    /* Set once by store_writer_on_foreign(); 'foreign_arg' is written before
     * it: release, paired with an acquire. */
    _Atomic(store_foreign_fn *) foreign;
    void *foreign_arg;
    /* Of store_writer_observe(); likewise. */
    _Atomic(const struct store_observer *) observer;

    /* Likewise, by store_writer_on_ended(). */
    _Atomic(store_ended_fn *) ended;
    void *ended_arg;

    struct timer timer;      /* Rings the alarm. */
    struct waitgroup timing; /* One while 'timer' waits or fires. */

    /* ---- of the writer's thread, and of the owner when it is joined ---- */
    struct engine_writer *connection;
    uint64_t era; /* Of the engine, at the last begin; 0: none yet. */
    struct pending pending;
    struct fold folding; /* The newest deferred writes of a transaction. */
    struct write_log log;
    size_t group_max;   /* Writes of the next transaction. */
    bool open;          /* The channel is not drained and closed. */
    bool armed;         /* 'timer' waits, or its ring was not received. */
    int64_t armed_us;   /* When it is due. */
    int64_t retry_us;   /* Not before this; 0: at once. */
    bool locked;        /* The last transaction found the database locked. */
    int64_t give_up_us; /* While stopping: when to lose patience; 0: unset. */
    /* A deferred write whose transaction failed while it was carried out, all
     * alone, so many times in a row; and how. */
    const struct store_write *suspect;
    unsigned n_suspected;
    enum err suspect_err;
    struct buf suspect_detail;
    enum err lost; /* Why writes were given up at close, or ERR_OK. */
    struct buf detail;

    struct dead_letters *letters; /* Owned; any thread. */
};

static inline bool writer_is_failing(const struct store_writer *w)
{
    return atomic_load_explicit(&w->failing, memory_order_relaxed);
}

/* ---- writer_letters.c ---- */

NODISCARD
enum err writer_letters_open(struct store_writer *w, struct buf *detail);
/* The database is another: those that it has take the place of ours, which the
 * old one keeps. */
NODISCARD
enum err writer_letters_follow(struct store_writer *w, struct buf *detail);
/* In the transaction: puts aside 'write', a deferred one that failed with what
 * write->error_text says, and of a group all its members. */
NODISCARD
enum err writer_set_aside(struct store_writer *w, struct store_write *write);
/* After the commit: what was put aside can be seen. */
void writer_show_aside(struct store_writer *w, struct store_write *write);

/* ---- writer_commit.c ---- */

/* What the store keeps of a write until it ended: nothing yet. */
void write_begin(struct store_write *write);

/* Tells whoever watches if somebody else has committed since the last time. */
void writer_look_for_others(struct store_writer *w);

/* ---- writer_observe.c ---- */

/* Of the transaction that was just committed. */
void writer_tell_effects(struct store_writer *w);
/* Between transactions. */
void writer_tidy(struct store_writer *w);
/* Begins a transaction; 'w->detail' says why it failed. */
NODISCARD
enum err writer_begin(struct store_writer *w);

/* Tells the caller how 'write' ended; the write is his again. */
void writer_end(struct store_writer *w, struct store_write *write, enum err err,
                struct slice detail);

/* One transaction for the first of the pending writes. */
void writer_commit(struct store_writer *w);

/* Tells whoever collects how writes ended that these were all. */
void writer_tell_ended(struct store_writer *w);

void writer_checkpoint_if_due(struct store_writer *w);

#endif
