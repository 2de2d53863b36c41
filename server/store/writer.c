/* SPDX-License-Identifier: MIT */
/*
 * The thread takes writes out of the channel into a list of its own, and
 * commits from its front (writer_commit.c).  What it waits for is always one
 * select over two channels, the writes and the alarm; a timer rings the alarm
 * when a deferred write becomes due, or a failed transaction is to be tried
 * again.
 */
#include "server/store/writer.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/store/writer_internal.h"

/* Beyond these, ERR_STORE_BUSY.  Deferred writes are bounded well below the
 * channel, so that who is refused one can still wait for its commit: what is
 * left holds all that 64 connections may have under way, 1024 each. */
#define DEFERRED_MAX 65536
#define QUEUE_MAX 131072
/* Likewise, in bytes: what memory has decided is whole values, however little
 * the client sent.  The one that goes beyond is still taken. */
#define DEFERRED_BYTES_MAX ((size_t)256 << 20)

/* The alarm rings at least this often while a write waits for its time, as
 * 'behind-interval' may be lowered. */
#define ALARM_US 1000000

static bool is_full(const struct store_writer *w)
{
    return w->pending.count >= GROUP_MAX ||
           w->pending.n_bytes >= GROUP_BYTES_MAX;
}

/* While transactions fail, deferred writes pile up, and those that somebody
 * waits for are taken past them, to be told. */
static bool takes_more(const struct store_writer *w)
{
    return w->open && (!is_full(w) || writer_is_failing(w));
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

    if (w->pending.first == NULL) {
        return INT64_MAX;
    }
    if (w->pending.n_urgent == 0 && !is_full(w) && w->open) {
        /* At half of the time, so that the commit ends within it. */
        due = w->pending.first->queued_us +
              config_number(w->with.config, CONFIG_behind_interval) / 2;
    }
    if (w->pending.n_urgent > 0 && !w->locked) {
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
            pending_push(&w->pending, write);
        } else {
            w->open = err != ERR_CLOSED;
            break;
        }
    }
}

/* Waits for a write, the end of the channel, the alarm, or to be asked whether
 * others have committed. */
static void wait(struct store_writer *w)
{
    struct store_write *write = NULL;
    char token;
    struct select_case cases[] = {
        select_recv(chan_rx(w->alarm), &token),
        select_recv(chan_rx(w->looks), &token),
        select_recv(chan_rx(w->writes), &write),
    };

    if (!takes_more(w)) {
        cases[2].chan = NULL; /* Nothing more to take now. */
    }
    const int ready = chan_select(cases, ARRAY_LEN(cases), SELECT_FOREVER);
    if (ready == 0) {
        w->armed = false;
    } else if (ready == 1) {
        writer_look_for_others(w);
        writer_tidy(w);
    } else if (cases[2].ok) {
        pending_push(&w->pending, write);
    } else {
        w->open = false;
    }
}

static bool has_work(const struct store_writer *w)
{
    return w->open || w->pending.first != NULL ||
           writer_log_due_us(w) != INT64_MAX;
}

/* For describe: since when the oldest deferred write waits. */
static void note_oldest(struct store_writer *w)
{
    const struct store_write *write = w->pending.first;

    while (write != NULL && !write->deferred) {
        write = write->next;
    }
    atomic_store_explicit(&w->oldest_us, write == NULL ? 0 : write->queued_us,
                          memory_order_relaxed);
}

/* Does what is due, or else waits. */
static void turn(struct store_writer *w)
{
    const int64_t now_us = clock_now_us();
    const int64_t commit_us = due_us(w);
    const int64_t log_us = writer_log_due_us(w);
    const int64_t due = commit_us < log_us ? commit_us : log_us;

    if (commit_us <= now_us && !writer_log_is_full(w)) {
        writer_commit(w);
    } else if (log_us <= now_us) {
        writer_log_step(w);
        writer_checkpoint_if_due(w);
    } else if (has_work(w)) {
        if (due != INT64_MAX) {
            arm(w, due < now_us + ALARM_US ? due : now_us + ALARM_US);
        }
        wait(w);
    }
}

static void run(void *arg)
{
    struct store_writer *w = arg;

    while (has_work(w)) {
        drain(w);
        note_oldest(w);
        turn(w);
        writer_tell_ended(w);
    }
    disarm(w);
}

/* ---- the interface ---- */

static void count_out(struct store_writer *writer, size_t bytes)
{
    atomic_fetch_sub_explicit(&writer->n_deferred, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&writer->deferred_bytes, bytes,
                              memory_order_relaxed);
}

/* Counts a deferred write in, unless there are too many already. */
static bool admit_deferred(struct store_writer *writer, size_t bytes)
{
    const size_t n =
        atomic_fetch_add_explicit(&writer->n_deferred, 1, memory_order_relaxed);
    const size_t before = atomic_fetch_add_explicit(
        &writer->deferred_bytes, bytes, memory_order_relaxed);
    const bool admitted = n < DEFERRED_MAX && before < DEFERRED_BYTES_MAX;

    if (!admitted) {
        count_out(writer, bytes);
    }
    return admitted;
}

enum err store_writer_start(struct store_writer *writer,
                            struct store_write *write)
{
    const bool deferred = write->deferred; /* After sending it is not ours. */

    write->queued_us = clock_now_us();
    write_begin(write);
    const size_t bytes = write->n_bytes;
    if (deferred && !admit_deferred(writer, bytes)) {
        return ERR_STORE_BUSY;
    }
    const enum err err = chan_try_send(chan_tx(writer->writes), &write);
    if (err != ERR_OK && deferred) {
        count_out(writer, bytes);
    }
    return err == ERR_FULL     ? ERR_STORE_BUSY
           : err == ERR_CLOSED ? ERR_SHUTTING_DOWN
                               : err;
}

bool store_writer_has_deferred(const struct store_writer *writer)
{
    return atomic_load_explicit(&writer->n_deferred, memory_order_acquire) >
               0 ||
           atomic_load_explicit(&writer->n_logged, memory_order_acquire) > 0;
}

void store_writer_on_foreign(struct store_writer *writer,
                             store_foreign_fn *foreign, void *arg)
{
    writer->foreign_arg = arg;
    atomic_store_explicit(&writer->foreign, foreign, memory_order_release);
}

void store_writer_on_ended(struct store_writer *writer,
                           void (*ended)(void *arg), void *arg)
{
    writer->ended_arg = arg;
    atomic_store_explicit(&writer->ended, ended, memory_order_release);
}

void store_writer_look(struct store_writer *writer)
{
    const char token = 0;

    (void)!chan_try_send(chan_tx(writer->looks),
                         &token); /* Or asked already. */
}

static void destroy(struct store_writer *writer)
{
    wg_wait(&writer->timing); /* A ring that began runs to its end. */
    wg_destroy(&writer->timing);
    chan_free(writer->looks);
    chan_free(writer->alarm);
    chan_free(writer->writes);
    fold_destroy(&writer->folding);
    buf_destroy(&writer->detail);
    buf_destroy(&writer->suspect_detail);
    dead_letters_free(writer->letters);
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
    pending_init(&writer->pending);
    writer->writes = chan_new(sizeof(struct store_write *), QUEUE_MAX);
    writer->alarm = chan_new(sizeof(char), 1);
    writer->looks = chan_new(sizeof(char), 1);
    wg_init(&writer->timing);

    enum err err =
        engine->writer_open(options->database, &writer->connection, detail);
    if (err == ERR_OK) {
        err = writer_letters_open(writer, detail);
    }
    if (err == ERR_OK) {
        err = writer_log_open(writer, detail);
    }
    if (err == ERR_OK) {
        err = thread_start(&writer->thread, "store-writer", run, writer);
        if (err != ERR_OK) {
            buf_append_string(detail, "cannot start the store's writer");
        }
    }
    if (err != ERR_OK) {
        writer_log_close(writer);
        if (writer->connection != NULL) {
            engine->writer_close(writer->connection);
        }
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

enum err store_writer_close(struct store_writer *writer)
{
    store_writer_stop(writer);
    const enum err lost = writer->lost;
    assert(writer->pending.first == NULL);
    writer_log_close(writer);
    writer->with.engine->writer_close(writer->connection);
    destroy(writer);
    return lost;
}

void store_writer_progress(const struct store_writer *writer,
                           struct store_progress *progress)
{
    *progress = (struct store_progress){
        .n_waiting =
            chan_len(chan_rx(writer->writes)) +
            atomic_load_explicit(&writer->n_deferred, memory_order_relaxed),
        .committed_ms =
            atomic_load_explicit(&writer->committed_ms, memory_order_relaxed),
        .failing = writer_is_failing(writer)};
}

void store_writer_describe(const struct store_writer *writer, struct buf *out)
{
    const int64_t oldest_us =
        atomic_load_explicit(&writer->oldest_us, memory_order_relaxed);

    buf_printf(out, "store_writes_queued:%zu\r\n",
               chan_len(chan_rx(writer->writes)));
    buf_printf(out, "store_writes_deferred:%zu\r\n",
               atomic_load_explicit(&writer->n_deferred, memory_order_relaxed));
    buf_printf(out, "store_writes_logged:%zu\r\n",
               atomic_load_explicit(&writer->n_logged, memory_order_relaxed));
    buf_printf(
        out, "dirty_oldest_ms:%lld\r\n",
        (long long)(oldest_us == 0 ? 0 : (clock_now_us() - oldest_us) / 1000));
    buf_printf(out, "deadletters:%zu\r\n", dead_letters_count(writer->letters));
    buf_printf(out, "store_writer:%s\r\n",
               writer_is_failing(writer) ? "failing" : "ok");
}
