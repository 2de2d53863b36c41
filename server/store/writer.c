/* SPDX-License-Identifier: MIT */
/*
 * The thread takes writes out of the channel into a list of its own, 'pending',
 * and commits from its front.  What it waits for is always one select over two
 * channels, the writes and the alarm; a timer rings the alarm when a deferred
 * write becomes due, or a failed transaction is to be tried again.
 *
 * When a transaction fails:
 *     locked by another program   tried again every RETRY_LOCKED_US; a write
 *                                 that somebody waits for fails after
 *                                 'store-timeout'
 *     anything else               fails each write that somebody waits for,
 *                                 at once and for good: a commit whose fsync
 *                                 failed is never made a success afterwards
 * Deferred writes stay in 'pending' and become part of new transactions, each
 * half as large as the one that failed: a disk that is nearly full takes what
 * fits, and one write that cannot be stored holds up nothing that came before.
 */
#include "server/store/writer.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/chan.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/waitgroup.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"

/* Beyond these, ERR_STORE_BUSY.  Deferred writes are bounded well below the
 * channel, so that who is refused one can still wait for its commit: what is
 * left holds all that 64 connections may have under way, 1024 each. */
#define DEFERRED_MAX 65536
#define QUEUE_MAX 131072

/* Writes and bytes of one transaction, and so of deferred writes that wait.
 * Large enough to make the fsync cheap, small enough to commit in well under
 * 'store-timeout' and to fit into memory. */
#define GROUP_MAX 4096
#define GROUP_BYTES_MAX ((size_t)16 << 20)

#define RETRY_LOCKED_US 20000
#define RETRY_FAILED_US 1000000

/* The alarm rings at least this often while a write waits for its time, as
 * 'behind-interval' may be lowered. */
#define ALARM_US 1000000

struct store_writer {
    struct store_writer_options with;
    struct chan *writes; /* Of struct store_write *. */
    struct chan *alarm;  /* Of char; holds one. */
    struct thread thread;
    bool stopped; /* Of the owner. */

    /* Writes accepted and not ended.  Added to before the write is sent,
     * subtracted from after its commit; release, paired with the acquire of
     * store_writer_has_deferred(). */
    _Atomic size_t n_deferred;
    /* The last transaction failed.  Set by the thread, read also by describe;
     * relaxed. */
    _Atomic bool failing;

    struct timer timer;      /* Rings the alarm. */
    struct waitgroup timing; /* One while 'timer' waits or fires. */

    /* ---- of the writer's thread, and of the owner when it is joined ---- */
    struct engine_writer *connection;
    struct store_write *first; /* Pending, in order of submission. */
    struct store_write **end;  /* Where the next is linked. */
    size_t n_pending;
    size_t n_urgent;    /* Of the pending: not deferred. */
    size_t group_max;   /* Writes of the next transaction. */
    size_t n_bytes;     /* Of the pending. */
    bool open;          /* The channel is not drained and closed. */
    bool armed;         /* 'timer' waits, or its ring was not received. */
    int64_t armed_us;   /* When it is due. */
    int64_t retry_us;   /* Not before this; 0: at once. */
    bool locked;        /* The last transaction found the database locked. */
    int64_t give_up_us; /* While stopping: when to lose patience; 0: unset. */
    struct buf detail;
};

/* ---- pending ---- */

static size_t write_bytes(const struct store_write *write)
{
    size_t bytes = write->key.size + write->value.size;

    for (size_t i = 0; i < write->n_fields; i++) {
        bytes += write->fields[i].size;
    }
    return bytes;
}

static void push(struct store_writer *w, struct store_write *write)
{
    write->next = NULL;
    *w->end = write;
    w->end = &write->next;
    w->n_pending++;
    w->n_urgent += write->deferred ? 0 : 1;
    w->n_bytes += write_bytes(write);
}

/* Takes the write that '*link' points to out of the list. */
static struct store_write *unlink_at(struct store_writer *w,
                                     struct store_write **link)
{
    struct store_write *write = *link;

    *link = write->next;
    if (w->end == &write->next) {
        w->end = link;
    }
    w->n_pending--;
    w->n_urgent -= write->deferred ? 0 : 1;
    w->n_bytes -= write_bytes(write);
    return write;
}

static bool is_full(const struct store_writer *w)
{
    return w->n_pending >= GROUP_MAX || w->n_bytes >= GROUP_BYTES_MAX;
}

static bool is_failing(const struct store_writer *w)
{
    return atomic_load_explicit(&w->failing, memory_order_relaxed);
}

/* While transactions fail, deferred writes pile up, and those that somebody
 * waits for are taken past them, to be told. */
static bool takes_more(const struct store_writer *w)
{
    return w->open && (!is_full(w) || is_failing(w));
}

/* Tells the caller how 'write' ended; the write is his again. */
static void end(struct store_writer *w, struct store_write *write, enum err err,
                struct slice detail)
{
    char *error_text = write->error_text; /* 'detail' may lie in it. */

    if (write->deferred) {
        atomic_fetch_sub_explicit(&w->n_deferred, 1, memory_order_release);
    }
    write->done(write, err, detail);
    free(error_text);
}

/* ---- waiting ---- */

static void ring(struct timer *timer)
{
    struct store_writer *w = container_of(timer, struct store_writer, timer);
    const char token = 0;

    /* There is room: it was armed after the last ring was received. */
    (void)!chan_try_send(chan_tx(w->alarm), &token);
    wg_done(&w->timing);
}

static void disarm(struct store_writer *w)
{
    if (w->armed && timers_cancel(w->with.timers, &w->timer)) {
        w->armed = false;
        wg_done(&w->timing);
    }
}

/* Has the alarm ring at 'due_us', or earlier. */
static void arm(struct store_writer *w, int64_t due_us)
{
    if (w->armed && w->armed_us <= due_us) {
        return;
    }
    disarm(w);
    if (!w->armed) { /* Else it rings right now. */
        w->armed = true;
        w->armed_us = due_us;
        wg_add(&w->timing, 1);
        timers_add(w->with.timers, &w->timer, due_us, ring);
    }
}

/* When the next transaction is due: INT64_MAX for never, 0 for at once. */
static int64_t due_us(const struct store_writer *w)
{
    int64_t due = 0;

    if (w->first == NULL) {
        return INT64_MAX;
    }
    if (w->n_urgent == 0 && !is_full(w) && w->open) {
        due = w->first->queued_us +
              config_number(w->with.config, CONFIG_behind_interval);
    }
    if (w->n_urgent > 0 && !w->locked) {
        return 0; /* Came after the failure: has its own chance. */
    }
    return due < w->retry_us ? w->retry_us : due;
}

/* Takes what can be had without waiting. */
static void drain(struct store_writer *w)
{
    struct store_write *write;

    while (takes_more(w)) {
        const enum err err = chan_try_recv(chan_rx(w->writes), &write);
        if (err == ERR_OK) {
            push(w, write);
        } else {
            w->open = err != ERR_CLOSED;
            break;
        }
    }
}

/* Waits for a write, the end of the channel, or the alarm. */
static void wait(struct store_writer *w)
{
    struct store_write *write = NULL;
    char token;
    struct select_case cases[] = {
        select_recv(chan_rx(w->alarm), &token),
        select_recv(chan_rx(w->writes), &write),
    };

    if (!takes_more(w)) {
        cases[1].chan = NULL; /* Nothing more to take now. */
    }
    if (chan_select(cases, ARRAY_LEN(cases), SELECT_FOREVER) == 0) {
        w->armed = false;
    } else if (cases[1].ok) {
        push(w, write);
    } else {
        w->open = false;
    }
}

/* ---- transactions ---- */

/* Ends the writes that somebody waits for, if queued no later than 'limit_us'.
 */
static void fail_urgent(struct store_writer *w, int64_t limit_us, enum err err)
{
    struct store_write **link = &w->first;

    while (*link != NULL) {
        struct store_write *write = *link;
        if (write->deferred || write->queued_us > limit_us) {
            link = &write->next;
            continue;
        }
        stats_count(STATS_store_errors);
        end(w, unlink_at(w, link), err, buf_slice(&w->detail));
    }
}

/* The last attempts of a store that closes; after 'store-timeout' of them the
 * writes that are left are given up: ERR_SHUTTING_DOWN, with the reason in the
 * detail, and one line in the log for all of them. */
static void lose_patience(struct store_writer *w, int64_t now_us, enum err err)
{
    if (w->give_up_us == 0) {
        w->give_up_us =
            now_us + config_number(w->with.config, CONFIG_store_timeout);
    } else if (now_us >= w->give_up_us) {
        log_error("store: writes lost at close count=%zu err=\"%s\"",
                  w->n_pending, err_str(err));
        while (w->first != NULL) {
            stats_count(STATS_store_errors);
            end(w, unlink_at(w, &w->first), ERR_SHUTTING_DOWN,
                buf_slice(&w->detail));
        }
    }
}

/* After a transaction of 'count' writes has failed: half of them are tried at
 * once, with all the room in the log that can be had; a single one later. */
static void shrink_group(struct store_writer *w, size_t count, int64_t now_us)
{
    struct buf ignored = {0};

    w->group_max = count > 1 ? count / 2 : 1;
    w->retry_us = count > 1 ? 0 : now_us + RETRY_FAILED_US;
    (void)w->with.engine->checkpoint(w->connection, &ignored);
    buf_destroy(&ignored);
}

static void transaction_failed(struct store_writer *w, size_t count,
                               const char *what, enum err err)
{
    const int64_t now_us = clock_now_us();

    w->locked = err == ERR_STORE_LOCKED;
    if (!is_failing(w)) {
        atomic_store_explicit(&w->failing, true, memory_order_relaxed);
        log_warn("store: %s failed err=\"%s\" detail=\"%s\" deferred=%zu", what,
                 err_str(err), buf_string(&w->detail),
                 w->n_pending - w->n_urgent);
    }
    if (w->locked) {
        const int64_t timeout_us =
            config_number(w->with.config, CONFIG_store_timeout);
        w->retry_us = now_us + RETRY_LOCKED_US;
        fail_urgent(w, now_us - timeout_us, err);
    } else {
        fail_urgent(w, INT64_MAX, err);
        shrink_group(w, count, now_us);
    }
    if (!w->open) {
        lose_patience(w, now_us, err);
    }
}

static void transaction_ended(struct store_writer *w, size_t count)
{
    int64_t n_written = 0;

    w->locked = false;
    w->retry_us = 0;
    w->give_up_us = 0;
    w->group_max = w->group_max < GROUP_MAX / 2 ? w->group_max * 2 : GROUP_MAX;
    if (is_failing(w)) {
        atomic_store_explicit(&w->failing, false, memory_order_relaxed);
        log_info("store: writes again");
    }
    for (size_t i = 0; i < count; i++) {
        struct store_write *write = unlink_at(w, &w->first);
        const char *text = write->error_text;
        if (write->result == ERR_OK && write->op != STORE_BARRIER) {
            n_written++;
        }
        end(w, write, write->result,
            text == NULL ? SLICE("") : slice_from_string(text));
    }
    if (n_written > 0) {
        stats_add(STATS_store_writes, n_written);
        stats_count(STATS_store_commits);
    }
}

/* Carries out one write; fails only if the transaction cannot go on. */
static enum err apply(struct store_writer *w, struct store_write *write)
{
    enum err err = ERR_OK;

    /* Anew, also if this is not the first transaction that tries it. */
    write->n_changed = 0;
    write->n_created = 0;
    write->n_new_fields = 0;
    free(write->error_text);
    write->error_text = NULL;

    if (write->op != STORE_BARRIER) {
        err = w->with.engine->apply(w->connection, write, &w->detail);
    }
    write->result = err;
    if (engine_is_own_fault(err)) {
        write->error_text = xslicedup(buf_slice(&w->detail));
        buf_clear(&w->detail);
        err = ERR_OK;
    }
    return err;
}

/* BEGIN to COMMIT for the first of the pending, as many as make a group: their
 * number goes to '*count'.  '*what' says what failed. */
static enum err transact(struct store_writer *w, size_t *count,
                         const char **what)
{
    const struct engine *engine = w->with.engine;
    struct store_write *write = w->first;
    size_t bytes = 0;

    buf_clear(&w->detail);
    *count = 0;
    *what = "begin";
    enum err err = engine->begin(w->connection, &w->detail);
    if (err != ERR_OK) {
        return err;
    }

    *what = "write";
    while (err == ERR_OK && write != NULL && *count < w->group_max &&
           bytes < GROUP_BYTES_MAX) {
        err = apply(w, write);
        bytes += write_bytes(write);
        write = write->next;
        ++*count;
    }
    if (err == ERR_OK) {
        *what = "commit";
        err = engine->commit(w->connection, &w->detail);
    }
    if (err != ERR_OK) {
        engine->rollback(w->connection);
    }
    return err;
}

static void checkpoint_if_due(struct store_writer *w)
{
    if (!w->with.engine->checkpoint_due(w->connection)) {
        return;
    }
    buf_clear(&w->detail);
    const enum err err = w->with.engine->checkpoint(w->connection, &w->detail);
    stats_count(STATS_store_checkpoints);
    if (err != ERR_OK) {
        stats_count(STATS_store_errors);
        log_warn("store: checkpoint failed err=\"%s\" detail=\"%s\"",
                 err_str(err), buf_string(&w->detail));
    }
}

static void commit_group(struct store_writer *w)
{
    const char *what;
    size_t count;

    if (w->n_pending == 1 && w->first->op == STORE_BARRIER) {
        end(w, unlink_at(w, &w->first), ERR_OK, SLICE(""));
        return; /* All before it was committed. */
    }
    const enum err err = transact(w, &count, &what);
    if (err == ERR_OK) {
        transaction_ended(w, count);
        checkpoint_if_due(w);
    } else {
        transaction_failed(w, count, what, err);
    }
}

static void run(void *arg)
{
    struct store_writer *w = arg;

    while (w->open || w->first != NULL) {
        drain(w);
        const int64_t due = due_us(w);
        const int64_t now_us = clock_now_us();
        if (due <= now_us) {
            commit_group(w);
            continue;
        }
        if (!w->open && w->first == NULL) {
            break;
        }
        if (due != INT64_MAX) {
            arm(w, due < now_us + ALARM_US ? due : now_us + ALARM_US);
        }
        wait(w);
    }
    disarm(w);
}

/* ---- the interface ---- */

/* Counts a deferred write in, unless there are too many already. */
static bool admit_deferred(struct store_writer *writer)
{
    const size_t before =
        atomic_fetch_add_explicit(&writer->n_deferred, 1, memory_order_relaxed);

    if (before >= DEFERRED_MAX) {
        atomic_fetch_sub_explicit(&writer->n_deferred, 1, memory_order_relaxed);
    }
    return before < DEFERRED_MAX;
}

enum err store_writer_start(struct store_writer *writer,
                            struct store_write *write)
{
    const bool deferred = write->deferred; /* After sending it is not ours. */

    if (deferred && !admit_deferred(writer)) {
        return ERR_STORE_BUSY;
    }
    write->queued_us = clock_now_us();
    write->result = ERR_OK;
    write->error_text = NULL;
    const enum err err = chan_try_send(chan_tx(writer->writes), &write);
    if (err != ERR_OK && deferred) {
        atomic_fetch_sub_explicit(&writer->n_deferred, 1, memory_order_relaxed);
    }
    return err == ERR_FULL     ? ERR_STORE_BUSY
           : err == ERR_CLOSED ? ERR_SHUTTING_DOWN
                               : err;
}

bool store_writer_has_deferred(const struct store_writer *writer)
{
    return atomic_load_explicit(&writer->n_deferred, memory_order_acquire) > 0;
}

static void destroy(struct store_writer *writer)
{
    wg_wait(&writer->timing); /* A ring that began runs to its end. */
    wg_destroy(&writer->timing);
    chan_free(writer->alarm);
    chan_free(writer->writes);
    buf_destroy(&writer->detail);
    free(writer);
}

enum err store_writer_open(struct store_writer **writerp,
                           const struct store_writer_options *options,
                           struct buf *detail)
{
    const struct engine *engine = options->engine;
    struct store_writer *writer = xmalloc(sizeof(*writer));

    *writer = (struct store_writer){
        .with = *options, .open = true, .group_max = GROUP_MAX};
    writer->end = &writer->first;
    writer->writes = chan_new(sizeof(struct store_write *), QUEUE_MAX);
    writer->alarm = chan_new(sizeof(char), 1);
    wg_init(&writer->timing);

    enum err err =
        engine->writer_open(options->database, &writer->connection, detail);
    if (err == ERR_OK) {
        err = thread_start(&writer->thread, "store-writer", run, writer);
        if (err != ERR_OK) {
            buf_append_string(detail, "cannot start the store's writer");
            engine->writer_close(writer->connection);
        }
    }
    if (err != ERR_OK) {
        destroy(writer);
        return err;
    }
    *writerp = writer;
    return ERR_OK;
}

void store_writer_stop(struct store_writer *writer)
{
    if (!writer->stopped) {
        writer->stopped = true;
        chan_close(chan_tx(writer->writes));
        thread_join(&writer->thread);
    }
}

void store_writer_close(struct store_writer *writer)
{
    store_writer_stop(writer);
    assert(writer->first == NULL);
    writer->with.engine->writer_close(writer->connection);
    destroy(writer);
}

void store_writer_describe(const struct store_writer *writer, struct buf *out)
{
    buf_printf(out, "store_writes_queued:%zu\r\n",
               chan_len(chan_rx(writer->writes)));
    buf_printf(out, "store_writes_deferred:%zu\r\n",
               atomic_load_explicit(&writer->n_deferred, memory_order_relaxed));
    buf_printf(out, "store_writer:%s\r\n",
               is_failing(writer) ? "failing" : "ok");
}
