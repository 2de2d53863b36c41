/* SPDX-License-Identifier: MIT */
/*
 * From the log into the table, step by step; and at start, all at once.
 *
 * A generation is looked up in the order of its keys and written in the order
 * of their places in the table, so that each page is met once.  A step ends
 * after STEP_US, or as soon as somebody waits and STEP_MIN are done.
 *
 * A step that fails is tried again, half as large; nothing is lost, as the log
 * has it.  A single write that fails again and again is set aside.
 */
#include "server/store/plain_key.h"
#include "server/store/writer_log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"
#include "server/store/write_code.h"
#include "server/store/writer_internal.h"

/* A generation begins when so many keys wait, or so many bytes, or nothing was
 * logged for a while, or the oldest has waited so long.  The more that fold, the
 * less there is to write; the fewer, the sooner another program sees them and
 * the shorter is a replay: of LOG_BYTES it takes about a second. */
#define LOG_KEYS 262144
#define LOG_BYTES ((size_t)48 << 20)
#define LOG_IDLE_US 20000
#define LOG_AGE_US 4000000

#define STEP_US 1500
#define STEP_MIN 128
#define STEP_MAX 4096
#define TRIM_BYTES ((size_t)4 << 20)

#define RETRY_LOCKED_US 20000
#define RETRY_FAILED_US 1000000
#define FAILED_TRIES 3

/* ---- when ---- */

static bool is_idle(const struct write_log *log)
{
    return log->phase == LOG_IDLE;
}

bool writer_log_is_full(const struct store_writer *w)
{
    return w->log.n_bytes >= LOG_BYTES_MAX && w->log.retry_us == 0;
}

int64_t writer_log_due_us(const struct store_writer *w)
{
    const struct write_log *log = &w->log;

    if (is_idle(log) && log->newest.count == 0) {
        return log->n_bytes > 0 ? log->retry_us : INT64_MAX; /* Trim. */
    }
    if (!is_idle(log) || log->hurry || !w->open ||
        log->newest.count >= LOG_KEYS || log->n_bytes >= LOG_BYTES) {
        return log->retry_us;
    }
    const int64_t idle_us = log->last_us + LOG_IDLE_US;
    const int64_t age_us = log->since_us + LOG_AGE_US;
    const int64_t due_us = idle_us < age_us ? idle_us : age_us;
    return due_us < log->retry_us ? log->retry_us : due_us;
}

bool writer_log_bars(struct store_writer *w, struct store_write *barrier)
{
    struct write_log *log = &w->log;

    if (log->newest.count == 0 && log->applying.count == 0) {
        return false;
    }
    barrier->index = log->started + (log->newest.count > 0 ? 1 : 0);
    pending_push(&log->barriers, barrier);
    log->hurry = log->hurry || log->newest.count > 0;
    return true;
}

/* Ends the barriers of generations that are done. */
static void end_barriers(struct store_writer *w)
{
    struct pending *barriers = &w->log.barriers;

    while (barriers->first != NULL &&
           barriers->first->index <= w->log.finished) {
        writer_end(w, pending_unlink(barriers, &barriers->first), ERR_OK,
                   SLICE(""));
    }
}

/* Ends those that were queued no later than 'limit_us'; they stand in that
 * order. */
static void fail_barriers(struct store_writer *w, int64_t limit_us,
                          enum err err)
{
    struct pending *barriers = &w->log.barriers;

    while (barriers->first != NULL && barriers->first->queued_us <= limit_us) {
        writer_end(w, pending_unlink(barriers, &barriers->first), err,
                   buf_slice(&w->detail));
    }
}

/* ---- generations ---- */

static int compare_keys(const void *a, const void *b)
{
    return slice_compare((*(struct store_write *const *)a)->key,
                         (*(struct store_write *const *)b)->key);
}

/* Those that are not in the table come last, in the order of their keys. */
static int compare_places(const void *a, const void *b)
{
    const struct store_write *x = *(struct store_write *const *)a;
    const struct store_write *y = *(struct store_write *const *)b;

    if (x->place == y->place) {
        return compare_keys(a, b);
    }
    return x->place == 0         ? 1
           : y->place == 0       ? -1
           : x->place < y->place ? -1
                                 : 1;
}

/* Sorts what is left of the generation. */
static void sort(struct write_log *log,
                 int (*compare)(const void *a, const void *b))
{
    size_t n = 0;

    for (size_t i = 0; i < log->n_order; i++) {
        if (log->order[i] != NULL) {
            log->order[n++] = log->order[i];
        }
    }
    log->n_order = n;
    qsort(log->order, n, sizeof(*log->order), compare);
    for (size_t i = 0; i < n; i++) {
        log->order[i]->index = i;
    }
    log->at = 0;
}

static void begin_generation(struct write_log *log)
{
    const struct fold empty = log->applying;

    assert(empty.count == 0);
    log->applying = log->newest;
    log->newest = empty; /* With its slots. */
    log->started++;
    log->hurry = false;
    log->cut_seq = log->seq;
    log->cut_bytes = log->n_bytes;
    log->order =
        xrealloc(log->order, (log->applying.count + 1) * sizeof(*log->order));
    log->n_order = 0;
    for (size_t i = 0; i < log->applying.n_slots; i++) {
        if (log->applying.slots[i].write != NULL) {
            log->order[log->n_order++] = log->applying.slots[i].write;
        }
    }
    sort(log, compare_keys);
    log->phase = LOG_FIND;
}

/* All of the generation is in the table. */
static void finish_applying(struct store_writer *w)
{
    w->log.phase = LOG_TRIM;
    w->log.finished = w->log.started;
    end_barriers(w);
}

void writer_log_drop_generation(struct store_writer *w)
{
    struct write_log *log = &w->log;

    if (log->phase == LOG_FIND || log->phase == LOG_APPLY) {
        finish_applying(w);
    }
    log->n_order = 0;
    if (is_idle(log)) {
        log->phase = LOG_TRIM;
    }
    log->cut_seq = log->seq;
    log->cut_bytes = log->n_bytes;
    log->finished = ++log->started; /* What waited in 'newest' counts as one. */
    end_barriers(w);
}

/* ---- steps ---- */

static bool somebody_waits(const struct store_writer *w)
{
    return chan_len(chan_rx(w->writes)) > 0 || w->pending.n_urgent > 0;
}

/* Is it time to end a step that began at 'began_us' and dealt with 'n'? */
static bool is_enough(const struct store_writer *w, size_t n, int64_t began_us)
{
    if (n >= w->log.step_max) {
        return true;
    }
    return n >= STEP_MIN && n % 32 == 0 && !writer_log_is_full(w) &&
           (somebody_waits(w) || clock_now_us() - began_us >= STEP_US);
}

static enum err find_step(struct store_writer *w, size_t *n)
{
    struct write_log *log = &w->log;
    const int64_t began_us = clock_now_us();
    enum err err = ERR_OK;

    for (*n = 0; err == ERR_OK && log->at + *n < log->n_order &&
                 !is_enough(w, *n, began_us);
         ++*n) {
        struct store_write *write = log->order[log->at + *n];
        if (write != NULL) {
            err = w->with.engine->log_find(w->connection, write->key,
                                           &write->place, &w->detail);
        }
    }
    return err;
}

static enum err put(struct store_writer *w, const struct store_write *write)
{
    bool found = false;

    if (write->op == STORE_PUT_PLAIN && write->place != 0) {
        const enum err err = w->with.engine->log_put(
            w->connection, write, write->place, &found, &w->detail);
        if (err != ERR_OK || found) {
            return err;
        }
    }
    return writer_log_put(w, write);
}

/* '*n' is how many were dealt with, or which one failed. */
static enum err apply_step(struct store_writer *w, size_t *n)
{
    struct write_log *log = &w->log;
    const int64_t began_us = clock_now_us();
    enum err err = ERR_OK;

    for (*n = 0; err == ERR_OK && log->at + *n < log->n_order &&
                 !is_enough(w, *n, began_us);
         ++*n) {
        struct store_write *write = log->order[log->at + *n];
        if (write != NULL) {
            err = put(w, write);
        }
    }
    return err;
}

/* The one write that is left to be tried alone is put aside instead. */
static enum err aside_step(struct store_writer *w, size_t *n)
{
    struct write_log *log = &w->log;
    struct store_write *write = log->order[log->at];

    *n = 1;
    if (write == NULL) {
        return ERR_OK;
    }
    free(write->error_text);
    write->error_text = xslicedup(buf_slice(&log->why));
    return writer_set_aside(w, write);
}

static enum err trim_step(struct store_writer *w, int64_t *seq)
{
    struct write_log *log = &w->log;
    const int64_t n_rows = log->cut_seq - log->trim_seq;
    const int64_t n_steps = (int64_t)(log->cut_bytes / TRIM_BYTES) + 1;

    *seq = log->trim_seq + n_rows / n_steps + 1;
    *seq = *seq < log->cut_seq ? *seq : log->cut_seq;
    return w->with.engine->log_trim(w->connection, *seq, &w->detail);
}

static void step_failed(struct store_writer *w, size_t n, enum err err)
{
    struct write_log *log = &w->log;
    const bool locked = err == ERR_STORE_LOCKED;
    const int64_t now_us = clock_now_us();

    stats_count(STATS_store_errors);
    if (log->retry_us == 0) {
        log_warn("store: the log could not be applied err=\"%s\" "
                 "detail=\"%s\" keys=%zu",
                 err_str(err), buf_string(&w->detail),
                 log->newest.count + log->applying.count);
    }
    log->retry_us = now_us + (locked ? RETRY_LOCKED_US : RETRY_FAILED_US);
    if (locked) {
        const int64_t timeout_us =
            config_number(w->with.config, CONFIG_store_timeout);
        fail_barriers(w, now_us - timeout_us, err);
    } else {
        if (log->phase == LOG_APPLY && n == 1 && log->step_max == 1) {
            log->n_failed =
                log->n_failed < FAILED_TRIES ? log->n_failed + 1 : 0;
            buf_clear(&log->why);
            buf_append_slice(&log->why, buf_slice(&w->detail));
        }
        log->step_max = n > 1 ? n / 2 : 1;
        fail_barriers(w, INT64_MAX, err);
    }
}

/* 'n' of 'order' are in the table. */
static void release_applied(struct store_writer *w, size_t n, enum err err)
{
    struct write_log *log = &w->log;

    for (size_t end = log->at + n; log->at < end; log->at++) {
        struct store_write *write = log->order[log->at];
        if (write != NULL) {
            log->order[log->at] = NULL;
            fold_remove(&log->applying, write);
            writer_show_aside(w, write);
            writer_log_end(w, write, err,
                           err == ERR_OK ? SLICE("") : buf_slice(&log->why));
        }
    }
}

static void step_done(struct store_writer *w, size_t n, bool aside,
                      int64_t trimmed)
{
    struct write_log *log = &w->log;

    if (log->retry_us != 0) {
        log_info("store: the log is applied again");
    }
    log->retry_us = 0;
    log->n_failed = 0;
    log->step_max = log->step_max < STEP_MAX / 2 ? log->step_max * 2 : STEP_MAX;
    switch (log->phase) {
    case LOG_FIND:
        log->at += n;
        if (log->at == log->n_order) {
            sort(log, compare_places);
            log->phase = LOG_APPLY;
        }
        break;
    case LOG_APPLY:
        release_applied(w, n, aside ? ERR_STORE_DOWN : ERR_OK);
        break;
    case LOG_TRIM:
        log->trim_seq = trimmed;
        if (trimmed == log->cut_seq) {
            log->n_bytes -= log->cut_bytes;
            log->phase = LOG_IDLE;
        }
        break;
    case LOG_IDLE:
        break;
    }
    if (log->phase == LOG_APPLY && log->at == log->n_order) {
        finish_applying(w);
    }
}

/* A transaction of one step of the phase. */
static void make_step(struct store_writer *w)
{
    const struct engine *engine = w->with.engine;
    struct write_log *log = &w->log;
    const enum log_phase phase = log->phase;
    const bool aside = phase == LOG_APPLY && log->n_failed >= FAILED_TRIES;
    int64_t trimmed = 0;
    size_t n = 0;

    buf_clear(&w->detail);
    enum err err = writer_begin(w);
    if (err == ERR_OK) {
        writer_look_for_others(w);
        err = phase == LOG_FIND   ? find_step(w, &n)
              : phase == LOG_TRIM ? trim_step(w, &trimmed)
              : aside             ? aside_step(w, &n)
                                  : apply_step(w, &n);
        if (err == ERR_OK && phase != LOG_FIND) {
            err = engine->commit(w->connection, &w->detail);
        }
        if (err != ERR_OK || phase == LOG_FIND) {
            engine->rollback(w->connection); /* Nothing, if it was found. */
        }
    }
    if (err == ERR_OK) {
        step_done(w, n, aside, trimmed);
    } else {
        step_failed(w, n, err);
    }
}

void writer_log_step(struct store_writer *w)
{
    struct write_log *log = &w->log;

    if (is_idle(log)) {
        if (log->newest.count > 0) {
            begin_generation(log);
        } else { /* Only notes that the table knows better. */
            log->phase = LOG_TRIM;
            log->cut_seq = log->seq;
            log->cut_bytes = log->n_bytes;
            log->hurry = false;
        }
    }
    make_step(w);
    if (log->retry_us != 0 && !w->open && w->pending.first == NULL) {
        writer_log_give_up(w);
    }
}

/* ---- replay ---- */

/* A write that the log remembers from before. */
struct replayed {
    struct store_write write;
    char bytes[];
};

static void free_replayed(struct store_write *write, enum err err,
                          struct slice detail)
{
    (void)err; /* If it was set aside, that was logged. */
    (void)detail;
    free(container_of(write, struct replayed, write));
}

/* All of it, or all of one database, was deleted. */
static void replay_clear(struct store_writer *w, const struct store_write *from)
{
    struct fold *newest = &w->log.newest;
    const unsigned database = plain_key_database(from->key);
    size_t i = 0;

    if (from->key.size == 0) {
        writer_log_release_all(w, newest);
    }
    while (newest->count > 0 && i < newest->n_slots) {
        struct store_write *write = newest->slots[i].write;
        if (write != NULL && plain_key_database(write->key) == database) {
            fold_remove(newest, write); /* Another may take its slot. */
            writer_end(w, write, ERR_OK, SLICE(""));
        } else {
            i++;
        }
    }
}

static void replay_write(struct store_writer *w, const struct store_write *from)
{
    struct write_log *log = &w->log;
    struct store_write *old;

    if (from->op == STORE_CLEAR_PLAIN) {
        replay_clear(w, from);
        return;
    }
    if (from->op == STORE_READ) {
        old = fold_find(&log->newest, from->key, hash_bytes(from->key));
        if (old != NULL) {
            fold_remove(&log->newest, old);
            writer_end(w, old, ERR_OK, SLICE(""));
        }
        return;
    }
    struct replayed *replayed =
        xmalloc(sizeof(*replayed) + from->key.size + from->value.size);
    replayed->write = *from;
    replayed->write.key = slice_make(replayed->bytes, from->key.size);
    replayed->write.value =
        slice_make(replayed->bytes + from->key.size, from->value.size);
    memcpy(replayed->bytes, from->key.data, from->key.size);
    memcpy(replayed->bytes + from->key.size, from->value.data,
           from->value.size);
    replayed->write.done = free_replayed;
    write_begin(&replayed->write);
    replayed->write.in_log = true;
    atomic_fetch_add_explicit(&w->n_logged, 1, memory_order_relaxed);
    old = fold_put(&log->newest, &replayed->write);
    if (old != NULL) {
        writer_end(w, old, ERR_OK, SLICE(""));
    }
}

/* Rows of tables are not logged. */
static bool is_plain(enum store_op op)
{
    return op == STORE_PUT_PLAIN || op == STORE_DELETE_PLAIN ||
           op == STORE_CLEAR_PLAIN || op == STORE_READ;
}

static enum err replay_row(void *arg, int64_t seq, struct slice writes)
{
    struct store_writer *w = arg;
    struct store_write write;
    struct buf fields = {0};
    enum err err = ERR_OK;

    if (w->log.n_bytes == 0) {
        w->log.trim_seq = seq - 1;
    }
    w->log.seq = seq;
    w->log.n_bytes += writes.size;
    while (writes.size > 0 && err == ERR_OK) {
        if (write_decode(&writes, &write, &fields) && is_plain(write.op)) {
            replay_write(w, &write);
        } else {
            err = ERR_STORE_CORRUPT;
        }
    }
    buf_destroy(&fields);
    return err;
}

enum err writer_log_open(struct store_writer *w, struct buf *detail)
{
    const struct engine *engine = w->with.engine;
    struct write_log *log = &w->log;

    pending_init(&log->barriers);
    log->step_max = STEP_MAX;
    log->ready = engine->log_ready != NULL && engine->log_ready(w->connection);
    if (!log->ready) {
        return ERR_OK;
    }
    const enum err err = engine->log_read(w->connection, replay_row, w, detail);
    if (err != ERR_OK) {
        if (err == ERR_STORE_CORRUPT && detail->size == 0) {
            buf_printf(detail,
                       "row %lld of bookd_log is damaged; without it, writes "
                       "of plain keys that were acknowledged last are lost",
                       (long long)log->seq);
        }
        return err;
    }
    const size_t n_keys = log->newest.count;
    while (log->n_bytes > 0 && log->retry_us == 0) {
        writer_log_step(w);
    }
    if (log->retry_us != 0) {
        buf_append_slice(detail, buf_slice(&w->detail));
        return ERR_STORE_DOWN;
    }
    if (n_keys > 0) {
        log_info("store: replayed the log of plain keys count=%zu", n_keys);
    }
    return ERR_OK;
}

void writer_log_give_up(struct store_writer *w)
{
    struct write_log *log = &w->log;

    log_info("store: the log of plain keys stays for the next start count=%zu",
             log->newest.count + log->applying.count);
    writer_log_release_all(w, &log->newest);
    writer_log_release_all(w, &log->applying);
    fail_barriers(w, INT64_MAX, ERR_SHUTTING_DOWN);
    log->phase = LOG_IDLE;
    log->n_bytes = 0;
}

void writer_log_close(struct store_writer *w)
{
    struct write_log *log = &w->log;

    writer_log_release_all(w, &log->newest);
    writer_log_release_all(w, &log->applying);
    fold_destroy(&log->newest);
    fold_destroy(&log->applying);
    fold_destroy(&log->staged);
    buf_destroy(&log->code);
    buf_destroy(&log->why);
    free(log->order);
    free(log->absorbed);
}
