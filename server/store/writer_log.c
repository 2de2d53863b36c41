/* SPDX-License-Identifier: MIT */
/*
 * What transactions do with the log; writer_apply.c takes it from there into
 * the table.
 *
 * Nothing is changed by a transaction before it is committed: what it logs is
 * 'staged', and what it puts into the table is 'absorbed', until then.
 */
#include "server/store/writer_log.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "server/store/plain_key.h"
#include "server/store/write_code.h"
#include "server/store/writer_internal.h"

/* What is larger gains nothing: its pages are in order anyway. */
#define LOGGED_BYTES_MAX 65536

static bool is_loggable(const struct store_write *write)
{
    return write->mapping == NULL &&
           (write->op == STORE_PUT_PLAIN || write->op == STORE_DELETE_PLAIN ||
            write->op == STORE_READ);
}

bool writer_log_takes(const struct store_writer *w,
                      const struct store_write *write)
{
    bool loggable =
        write->op == STORE_GROUP ? write->n_group > 0 : is_loggable(write);

    for (size_t i = 0; i < write->n_group; i++) {
        loggable = loggable && is_loggable(write->group[i]);
    }
    return loggable && w->log.ready && w->log.n_bytes < LOG_BYTES_MAX &&
           write->logged != NULL && !write->deferred &&
           write->n_bytes <= LOGGED_BYTES_MAX;
}

/* The newest write of the key of 'write' that is not in the table. */
static struct store_write *find_newest(const struct write_log *log,
                                       const struct store_write *write)
{
    const struct fold *const folds[] = {&log->staged, &log->newest,
                                        &log->applying};

    for (size_t i = 0; i < ARRAY_LEN(folds); i++) {
        /* All but the staged are of before a clear of this transaction. */
        if (i > 0 && log->cleared) {
            break;
        }
        struct store_write *found =
            fold_find(folds[i], write->key, write->hash);
        if (found != NULL) {
            return found->absorbed ? NULL : found;
        }
    }
    return NULL;
}

/* ---- into the log ---- */

/* Tells 'write' of 'now', which is NULL if there is nothing. */
static enum err show(struct store_write *write, const struct store_row *now,
                     struct buf *detail)
{
    if (write->decide != NULL) {
        const enum err err = write->decide(write, now, detail);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (write->op == STORE_READ && write->row != NULL && now != NULL) {
        write->row(write, now);
    }
    return ERR_OK;
}

static bool is_expired(const struct store_write *write)
{
    return write->expires_ms != 0 && write->expires_ms <= clock_wall_ms();
}

/* What is there is what 'newest' says. */
static enum err show_newest(struct store_write *write,
                            const struct store_write *newest, bool *existed,
                            struct buf *detail)
{
    const struct store_column column = {.type = COLUMN_BLOB,
                                        .bytes = newest->value};
    const struct store_row row = {.columns = &column,
                                  .expires_ms = newest->expires_ms,
                                  .type = newest->type};

    *existed = newest->op == STORE_PUT_PLAIN && !is_expired(newest);
    return show(write, *existed ? &row : NULL, detail);
}

/* A read that asks for somebody else. */
struct question {
    struct store_write read;
    struct store_write *asker;
    bool existed;
};

static enum err pass_on(struct store_write *read, const struct store_row *now,
                        struct buf *detail)
{
    struct question *question = container_of(read, struct question, read);

    question->existed = now != NULL;
    return show(question->asker, now, detail);
}

/* What is there is what the table has. */
static enum err show_table(struct store_writer *w, struct store_write *write,
                           bool *existed)
{
    struct question question = {
        .read = {.op = STORE_READ, .key = write->key, .decide = pass_on},
        .asker = write};

    const enum err err =
        w->with.engine->apply(w->connection, &question.read, &w->detail);
    *existed = question.existed;
    return err;
}

static void tell(struct store_write *write)
{
    const struct store_column column = {.type = COLUMN_BLOB,
                                        .bytes = write->value};
    const struct store_row row = {.columns = &column,
                                  .expires_ms = write->expires_ms,
                                  .type = write->type};

    if (write->op == STORE_PUT_PLAIN && write->row != NULL &&
        !is_expired(write)) {
        write->row(write, &row);
    }
    if (write->applied != NULL) {
        write->applied(write);
    }
}

enum err writer_log_write(struct store_writer *w, struct store_write *write)
{
    struct write_log *log = &w->log;
    bool existed = true; /* Or nobody cares. */
    enum err err = ERR_OK;

    if (write->decide != NULL || write->op != STORE_PUT_PLAIN) {
        const struct store_write *newest = find_newest(log, write);
        err = newest != NULL ? show_newest(write, newest, &existed, &w->detail)
                             : show_table(w, write, &existed);
    }
    if (err != ERR_OK || write->op == STORE_READ ||
        (write->op == STORE_DELETE_PLAIN && !existed)) {
        return err;
    }
    write->n_changed = existed ? 1 : 0;
    write->n_created = existed ? 0 : 1;
    write_encode(&log->code, write, write->key);
    write->under = fold_put(&log->staged, write);
    write->staged = true;
    tell(write);
    return ERR_OK;
}

/* ---- past the log ---- */

/* In the log: of this key, or of all that were deleted, the table has the newest
 * from here on. */
static void note_table_knows(struct write_log *log, enum store_op op,
                             struct slice key)
{
    const struct store_write note = {.op = op};

    if (log->n_bytes > 0 || log->code.size > 0) {
        write_encode(&log->code, &note, key);
    }
}

/* Must what was logged in this transaction be committed before 'write', one that
 * goes past the log?  If it is about the same keys: what it absorbs or deletes
 * then is of an earlier transaction. */
static bool is_after_staged(const struct write_log *log,
                            const struct store_write *write)
{
    if (write->op == STORE_CLEAR_PLAIN) {
        return write->key.size > 0; /* All keys at once need not wait. */
    }
    return is_loggable(write) &&
           fold_find(&log->staged, write->key, write->hash) != NULL;
}

bool writer_log_ends(const struct store_writer *w,
                     const struct store_write *write)
{
    const struct write_log *log = &w->log;

    if (log->code.size >= GROUP_BYTES_MAX) {
        return true; /* Decisions made much of few bytes. */
    }
    if (log->staged.count == 0 || writer_log_takes(w, write)) {
        return false;
    }
    bool ends = is_after_staged(log, write);
    for (size_t i = 0; i < write->n_group && !ends; i++) {
        ends = is_after_staged(log, write->group[i]);
    }
    return ends;
}

/* 'write', and what was logged before it in this transaction, is overtaken. */
static void unstage(struct store_write *write)
{
    for (; write != NULL; write = write->under) {
        write->staged = false;
    }
}

static void absorb(struct write_log *log, struct store_write *write)
{
    assert(!write->staged); /* See writer_log_ends(). */
    if (log->n_absorbed == log->absorbed_max) {
        log->absorbed_max = log->absorbed_max == 0 ? 16 : log->absorbed_max * 2;
        log->absorbed =
            xrealloc(log->absorbed, log->absorbed_max * sizeof(*log->absorbed));
    }
    log->absorbed[log->n_absorbed++] = write;
    write->absorbed = true;
}

enum err writer_log_put(struct store_writer *w, const struct store_write *write)
{
    /* Without its functions, which were called when it was logged. */
    struct store_write plain = {.op = write->op,
                                .key = write->key,
                                .value = write->value,
                                .expires_ms = write->expires_ms,
                                .type = write->type};

    return w->with.engine->apply(w->connection, &plain, &w->detail);
}

enum err writer_log_give_way(struct store_writer *w,
                             const struct store_write *write)
{
    struct write_log *log = &w->log;

    if (!log->ready || !is_loggable(write)) {
        return ERR_OK;
    }
    struct store_write *newest = find_newest(log, write);
    if (newest != NULL) {
        const enum err err = writer_log_put(w, newest);
        if (err != ERR_OK) {
            /* It was taken into the log, so this is no fault of a write. */
            return engine_is_own_failure(err) ? ERR_STORE_DOWN : err;
        }
        absorb(log, newest);
    }
    note_table_knows(log, STORE_READ, write->key);
    return ERR_OK;
}

/* Of the writes in 'fold' the table knows better that 'clear' has deleted. */
static void absorb_cleared(struct write_log *log, const struct fold *fold,
                           const struct store_write *clear)
{
    const unsigned database = plain_key_database(clear->key);

    for (size_t i = 0; fold->count > 0 && i < fold->n_slots; i++) {
        struct store_write *write = fold->slots[i].write;
        if (write != NULL && !write->absorbed &&
            plain_key_database(write->key) == database) {
            absorb(log, write);
        }
    }
}

void writer_log_cleared(struct store_writer *w, const struct store_write *write)
{
    struct write_log *log = &w->log;

    if (write->key.size > 0) {
        absorb_cleared(log, &log->newest, write);
        absorb_cleared(log, &log->applying, write);
        note_table_knows(log, STORE_CLEAR_PLAIN, write->key);
        return;
    }
    for (size_t i = 0; log->staged.count > 0 && i < log->staged.n_slots; i++) {
        unstage(log->staged.slots[i].write);
    }
    fold_clear(&log->staged);
    note_table_knows(log, STORE_CLEAR_PLAIN, SLICE(""));
    log->cleared = log->ready;
}

/* ---- the end of the transaction ---- */

enum err writer_log_append(struct store_writer *w)
{
    struct write_log *log = &w->log;

    if (log->code.size == 0) {
        return ERR_OK;
    }
    return w->with.engine->log_append(w->connection, log->seq + 1,
                                      buf_slice(&log->code), &w->detail);
}

/* Ends a write that the table has, or a newer one has overtaken. */
static void release(struct store_writer *w, struct store_write *write)
{
    struct write_log *log = &w->log;

    if (fold_find(&log->newest, write->key, write->hash) == write) {
        fold_remove(&log->newest, write);
    } else {
        fold_remove(&log->applying, write);
        log->order[write->index] = NULL;
    }
    writer_log_end(w, write, ERR_OK, SLICE(""));
}

void writer_log_release_all(struct store_writer *w, struct fold *fold)
{
    for (size_t i = 0; fold->count > 0 && i < fold->n_slots; i++) {
        struct store_write *write = fold->slots[i].write;
        if (write != NULL) {
            fold->slots[i].write = NULL;
            writer_log_end(w, write, ERR_OK, SLICE(""));
        }
    }
    fold->count = 0;
}

/* Forgets what was of this transaction only. */
static void forget(struct write_log *log)
{
    for (size_t i = 0; i < log->n_absorbed; i++) {
        log->absorbed[i]->absorbed = false;
    }
    log->n_absorbed = 0;
    log->cleared = false;
    fold_clear(&log->staged);
    buf_clear(&log->code);
}

void writer_log_committed(struct store_writer *w)
{
    struct write_log *log = &w->log;

    if (log->cleared) {
        writer_log_release_all(w, &log->newest);
        writer_log_release_all(w, &log->applying);
        writer_log_drop_generation(w);
    } else {
        for (size_t i = 0; i < log->n_absorbed; i++) {
            release(w, log->absorbed[i]);
        }
    }
    if (log->code.size > 0) { /* Not among the rows that a clear drops. */
        log->seq++;
        log->n_bytes += log->code.size;
    }
    log->n_absorbed = 0; /* They are their owners' again. */
    forget(log);
}

void writer_log_rolled_back(struct store_writer *w)
{
    forget(&w->log);
}

/* Puts 'write' in the place of what was logged of its key before.  That has
 * ended then; but if nobody answers for 'write' from memory, he who answers for
 * the one before must go on until the table has 'write': it has neither now. */
static void hold_one(struct store_writer *w, struct store_write *write,
                     bool answered)
{
    struct write_log *log = &w->log;
    struct store_write *old = fold_put(&log->newest, write);

    write->under = NULL;
    if (old == NULL) {
        old = fold_find(&log->applying, write->key, write->hash);
        if (old != NULL) {
            fold_remove(&log->applying, old);
            log->order[old->index] = NULL;
        }
    }
    if (old != NULL && answered) {
        writer_log_end(w, old, ERR_OK, SLICE(""));
    } else {
        write->under = old;
    }
}

/* The members that are only in the log; each knows its group then. */
static size_t adopt(struct store_write *group)
{
    size_t n = 0;

    for (size_t i = 0; i < group->n_group; i++) {
        if (group->group[i]->staged) {
            group->group[i]->owner = group;
            n++;
        }
    }
    return n;
}

bool writer_log_hold(struct store_writer *w, struct store_write *write)
{
    struct write_log *log = &w->log;
    const bool is_group = write->op == STORE_GROUP;

    write->index = is_group ? adopt(write) : 0;
    if (is_group ? write->index == 0 : !write->staged) {
        return false;
    }
    /* Before the caller knows: a walk that he begins then finds it counted. */
    atomic_fetch_add_explicit(&w->n_logged, 1, memory_order_relaxed);
    write->in_log = true;
    const bool answered = write->logged(write);
    if (!answered) {
        log->hurry = true;
    }
    log->last_us = clock_now_us();
    if (log->newest.count == 0) {
        log->since_us = log->last_us;
    }
    if (!is_group) {
        write->staged = false;
        hold_one(w, write, answered);
        return true;
    }
    for (size_t i = 0, n = write->n_group; i < n; i++) {
        struct store_write *member = write->group[i];
        if (member->staged) {
            /* The last may end the group at once, with its memory. */
            member->staged = false;
            hold_one(w, member, answered);
        }
    }
    return true;
}

/* Ends what 'write' had kept from ending, the oldest first. */
static void end_under(struct store_writer *w, struct store_write *write)
{
    struct store_write *oldest = NULL;

    for (struct store_write *u = write->under, *next; u != NULL; u = next) {
        next = u->under;
        u->under = oldest;
        oldest = u;
    }
    write->under = NULL;
    for (struct store_write *u = oldest, *next; u != NULL; u = next) {
        next = u->under;
        u->under = NULL;
        writer_log_end(w, u, ERR_OK, SLICE(""));
    }
}

void writer_log_end(struct store_writer *w, struct store_write *write,
                    enum err err, struct slice detail)
{
    end_under(w, write);

    struct store_write *owner = write->owner;

    if (owner == NULL) {
        writer_end(w, write, err, detail);
        return;
    }
    if (err != ERR_OK && owner->result == ERR_OK) {
        owner->result = err;
        owner->error_text = xslicedup(detail);
    }
    if (--owner->index == 0) {
        writer_end(w, owner, owner->result,
                   owner->error_text == NULL
                       ? SLICE("")
                       : slice_from_string(owner->error_text));
    }
}
