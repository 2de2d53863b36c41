/* SPDX-License-Identifier: MIT */
/*
 * One transaction: the first of the pending writes, as many as make a group.
 *
 * When a transaction fails:
 *     locked by another program   tried again every RETRY_LOCKED_US; a write
 *                                 that somebody waits for fails after
 *                                 'store-timeout'
 *     a write fails all alone     fails, and those behind it have their chance
 *     anything else               fails each write that somebody waits for,
 *                                 at once and for good: a commit whose fsync
 *                                 failed is never made a success afterwards
 *                                 (the database writes the next over the same
 *                                 place, so no later fsync vouches for bytes
 *                                 that an earlier one has lost)
 * Deferred writes stay pending and become part of new transactions, each half
 * as large as the one that failed: a disk that is nearly full takes what fits,
 * and one write that cannot be stored holds up nothing that came before.  One
 * that the database refuses, or that fails again and again all alone, is set
 * aside (deadletter.h), so that it holds up nothing that comes after.
 */
#include "server/store/writer_internal.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/admin/latency.h"
#include "server/admin/stats.h"

#define RETRY_LOCKED_US 20000
#define RETRY_FAILED_US 1000000

/* How often a write is tried that fails all alone. */
#define SUSPECT_TRIES 3

/* ---- one write ---- */

/* What decide() may change, as it was submitted, and decide() itself. */
struct store_submitted {
    enum store_op op;
    struct slice value;
    const struct slice *fields;
    size_t n_fields;
    int64_t expires_ms;
    enum plain_type type;
    store_decide_fn *decide;
};

void write_begin(struct store_write *write)
{
    write->result = ERR_OK;
    write->undecided = false;
    write->error_text = NULL;
    write->submitted = NULL;
    write->letter = 0;
    write->folded = false;
    write->staged = false;
    write->in_log = false;
    write->absorbed = false;
    write->owner = NULL;
    write->n_bytes = write_bytes(write);
    write->hash = write->mapping == NULL ? hash_bytes(write->key) : 0;
    for (size_t i = 0; i < write->n_group; i++) {
        write_begin(write->group[i]);
    }
}

/* Frees what the store keeps of a write. */
static void forget(struct store_write *write)
{
    if (write->submitted != NULL) {
        write->decide = write->submitted->decide;
        free(write->submitted);
        write->submitted = NULL;
    }
    free(write->error_text);
    write->error_text = NULL;
    for (size_t i = 0; i < write->n_group; i++) {
        forget(write->group[i]);
    }
}

/* Stands in for decide(): the engine passes its errors on, and they must not
 * be taken for the database's. */
static enum err note_decision(struct store_write *write,
                              const struct store_row *now, struct buf *detail)
{
    const enum err err = write->submitted->decide(write, now, detail);

    write->undecided = err != ERR_OK;
    return err;
}

/* Makes 'write' what it was when it was submitted: this may not be the first
 * transaction that tries it. */
static void restore(struct store_write *write)
{
    const struct store_submitted *was = write->submitted;

    write->n_changed = 0;
    write->n_created = 0;
    write->n_new_fields = 0;
    write->result = ERR_OK;
    write->undecided = false;
    write->letter = 0;
    write->staged = false;
    free(write->error_text);
    write->error_text = NULL;
    if (was != NULL) {
        write->op = was->op;
        write->value = was->value;
        write->fields = was->fields;
        write->n_fields = was->n_fields;
        write->expires_ms = was->expires_ms;
        write->type = was->type;
    } else if (write->decide != NULL) {
        write->submitted = xmalloc(sizeof(*write->submitted));
        *write->submitted =
            (struct store_submitted){.op = write->op,
                                     .value = write->value,
                                     .fields = write->fields,
                                     .n_fields = write->n_fields,
                                     .expires_ms = write->expires_ms,
                                     .type = write->type,
                                     .decide = write->decide};
        write->decide = note_decision;
    }
}

/* 'write' failed by its own fault, or by its decide(): the transaction goes
 * on, and the sentence is kept for its end. */
static void note_failure(struct store_writer *w, struct store_write *write,
                         enum err err)
{
    write->result = err;
    if (err != ERR_OK) {
        write->error_text = xslicedup(buf_slice(&w->detail));
        buf_clear(&w->detail);
    }
}

/* Carries out one write that is no group, in the log or in its table.  An error
 * is the transaction's. */
static enum err apply_one(struct store_writer *w, struct store_write *write,
                          bool in_log)
{
    enum err err = ERR_OK;

    if (write->op == STORE_BARRIER) {
        return ERR_OK;
    }
    if (in_log) {
        err = writer_log_write(w, write);
    } else {
        err = w->with.engine->apply(w->connection, write, &w->detail);
    }
    if (err == ERR_OK && write->op == STORE_CLEAR_PLAIN) {
        writer_log_cleared(w, write);
    }
    if (err != ERR_OK && !write->undecided && !engine_is_own_failure(err)) {
        return err;
    }
    note_failure(w, write, err);
    return ERR_OK;
}

static enum err apply_single(struct store_writer *w, struct store_write *write)
{
    restore(write);
    const bool in_log = writer_log_takes(w, write);
    const enum err err = in_log ? ERR_OK : writer_log_give_way(w, write);

    return err == ERR_OK ? apply_one(w, write, in_log) : err;
}

/* The members of a group, until the database refuses one: '*refused' is that
 * one, or NULL.  An error is the transaction's. */
static enum err apply_members(struct store_writer *w, struct store_write *group,
                              bool in_log, const struct store_write **refused)
{
    enum err err = ERR_OK;

    *refused = NULL;
    for (size_t i = 0; i < group->n_group && err == ERR_OK; i++) {
        struct store_write *member = group->group[i];
        err = apply_one(w, member, in_log);
        if (err == ERR_OK && member->result != ERR_OK && !member->undecided) {
            *refused = member;
            break;
        }
    }
    return err;
}

/* What waits in the log goes into the table before the group begins, as it must
 * stay there if the group is taken back. */
static enum err give_way_to_group(struct store_writer *w,
                                  const struct store_write *group)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < group->n_group && err == ERR_OK; i++) {
        err = writer_log_give_way(w, group->group[i]);
    }
    return err;
}

/* The members in their tables, or none of them. */
static enum err apply_group_to_tables(struct store_writer *w,
                                      struct store_write *group)
{
    const struct engine *engine = w->with.engine;
    const struct store_write *refused = NULL;
    enum err err = give_way_to_group(w, group);

    if (err == ERR_OK) {
        err = engine->begin_group(w->connection, &w->detail);
    }
    if (err == ERR_OK) {
        err = apply_members(w, group, false, &refused);
    }
    if (err == ERR_OK) {
        err = engine->end_group(w->connection, refused == NULL, &w->detail);
    }
    if (refused == NULL && engine_is_own_failure(err)) {
        note_failure(w, group, err); /* All of it together was refused. */
        return ERR_OK;
    }
    if (err == ERR_OK && refused != NULL) {
        group->result = refused->result;
        group->error_text = xstrdup(refused->error_text);
    }
    return err;
}

/* All of the members in the log. */
static enum err apply_group_to_log(struct store_writer *w,
                                   struct store_write *group)
{
    const struct store_write *refused = NULL;
    const enum err err = apply_members(w, group, true, &refused);

    /* The log refuses nothing, and takes nothing back: a damaged page, met by a
     * member that looks what there is, ends the transaction. */
    return err == ERR_OK && refused != NULL ? ERR_STORE_DOWN : err;
}

static enum err apply_group(struct store_writer *w, struct store_write *group)
{
    restore(group);
    for (size_t i = 0; i < group->n_group; i++) {
        restore(group->group[i]);
    }
    if (group->decide != NULL) {
        const enum err decided = group->decide(group, NULL, &w->detail);
        if (decided != ERR_OK) {
            note_failure(w, group, decided);
            return ERR_OK;
        }
    }
    return writer_log_takes(w, group) ? apply_group_to_log(w, group)
                                      : apply_group_to_tables(w, group);
}

/* True if 'write' is given up: it fails whenever it is carried out, and only
 * then.  That the disk takes other things is proved by the commit of its
 * letter, if there is a table for it; else only what cannot be the disk's
 * passing mood counts. */
static bool is_hopeless(const struct store_writer *w,
                        const struct store_write *write)
{
    return write == w->suspect && w->n_suspected >= SUSPECT_TRIES &&
           (w->with.engine->letter_put != NULL ||
            w->suspect_err == ERR_STORE_CORRUPT);
}

static enum err apply(struct store_writer *w, struct store_write *write)
{
    enum err err = ERR_OK;

    if (is_hopeless(w, write)) {
        restore(write);
        write->result = w->suspect_err;
        write->error_text = xslicedup(buf_slice(&w->suspect_detail));
    } else if (write->op == STORE_GROUP) {
        err = apply_group(w, write);
    } else {
        err = apply_single(w, write);
    }
    if (err == ERR_OK && write->deferred && write->result != ERR_OK) {
        err = writer_set_aside(w, write);
    }
    return err;
}

void writer_end(struct store_writer *w, struct store_write *write, enum err err,
                struct slice detail)
{
    char *error_text = write->error_text; /* 'detail' may lie in it. */

    write->error_text = NULL;
    forget(write);
    if (write->deferred) {
        atomic_fetch_sub_explicit(&w->deferred_bytes, write->n_bytes,
                                  memory_order_relaxed);
        atomic_fetch_sub_explicit(&w->n_deferred, 1, memory_order_release);
    }
    if (write->in_log) {
        atomic_fetch_sub_explicit(&w->n_logged, 1, memory_order_release);
    }
    write->done(write, err, detail);
    free(error_text);
}

/* ---- failure ---- */

enum step { STEP_BEGIN, STEP_WRITE, STEP_COMMIT };

/* Ends the writes that somebody waits for, if queued no later than 'limit_us'.
 */
static void fail_urgent(struct store_writer *w, int64_t limit_us, enum err err)
{
    struct store_write **link = &w->pending.first;

    while (*link != NULL) {
        struct store_write *write = *link;
        if (write->deferred || write->queued_us > limit_us) {
            link = &write->next;
            continue;
        }
        stats_count(STATS_store_errors);
        writer_end(w, pending_unlink(&w->pending, link), err,
                   buf_slice(&w->detail));
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
                  w->pending.count, err_str(err));
        w->lost = w->pending.count > 0 ? err : w->lost;
        while (w->pending.first != NULL) {
            stats_count(STATS_store_errors);
            writer_end(w, pending_unlink(&w->pending, &w->pending.first),
                       ERR_SHUTTING_DOWN, buf_slice(&w->detail));
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

/* Remembers a deferred write that failed all alone.  True if it will be set
 * aside if it goes on so, and what is behind it has its chance soon. */
static bool note_suspect(struct store_writer *w, enum err err)
{
    const struct store_write *write = w->pending.first;
    const bool was_hopeless = is_hopeless(w, write);

    if (!write->deferred) {
        w->suspect = NULL;
    } else if (w->suspect != write || w->n_suspected >= SUSPECT_TRIES) {
        w->suspect = write;
        w->n_suspected = 1; /* Anew, if not even its letter could be put. */
    } else {
        w->n_suspected++;
    }
    w->suspect_err = err;
    buf_clear(&w->suspect_detail);
    buf_append_slice(&w->suspect_detail, buf_slice(&w->detail));
    return write->deferred && !was_hopeless &&
           (w->with.engine->letter_put != NULL || err == ERR_STORE_CORRUPT);
}

/* Ends who waits for what failed: all, or the one write it was that failed. */
static void fail_those_concerned(struct store_writer *w, size_t count,
                                 enum step step, enum err err)
{
    struct store_write **first = &w->pending.first;

    if (step == STEP_WRITE && count > 1) {
        return; /* One of many may have spoilt it for the others: they are
                   tried in smaller groups, down to that one. */
    }
    if (step == STEP_WRITE && !(*first)->deferred) {
        (void)note_suspect(w, err);
        stats_count(STATS_store_errors);
        writer_end(w, pending_unlink(&w->pending, first), err,
                   buf_slice(&w->detail));
    } else if (step != STEP_WRITE || !note_suspect(w, err)) {
        fail_urgent(w, INT64_MAX, err);
    }
}

static void transaction_failed(struct store_writer *w, size_t count,
                               enum step step, enum err err)
{
    static const char *const names[] = {"begin", "write", "commit"};
    const int64_t now_us = clock_now_us();

    w->locked = err == ERR_STORE_LOCKED;
    if (!writer_is_failing(w)) {
        atomic_store_explicit(&w->failing, true, memory_order_relaxed);
        log_warn("store: %s failed err=\"%s\" detail=\"%s\" deferred=%zu",
                 names[step], err_str(err), buf_string(&w->detail),
                 w->pending.count - w->pending.n_urgent);
    }
    if (w->locked) {
        const int64_t timeout_us =
            config_number(w->with.config, CONFIG_store_timeout);
        w->retry_us = now_us + RETRY_LOCKED_US;
        fail_urgent(w, now_us - timeout_us, err);
    } else {
        fail_those_concerned(w, count, step, err);
        shrink_group(w, count, now_us);
    }
    if (!w->open) {
        lose_patience(w, now_us, err);
    }
}

/* ---- success ---- */

static bool is_change(const struct store_write *write)
{
    return write->result == ERR_OK && write->op != STORE_BARRIER &&
           write->op != STORE_READ;
}

/* Writes that were carried out, the members of groups counted singly. */
static int64_t count_changes(const struct store_write *write)
{
    int64_t count = 0;

    if (write->op != STORE_GROUP || write->result != ERR_OK) {
        return is_change(write) ? 1 : 0;
    }
    for (size_t i = 0; i < write->n_group; i++) {
        count += is_change(write->group[i]) ? 1 : 0;
    }
    return count;
}

/* Ends 'write', or keeps it until the table has what it says. */
static void end_committed(struct store_writer *w, struct store_write *write)
{
    const char *text = write->error_text;

    if (writer_log_hold(w, write)) {
        return;
    }
    if (write->op != STORE_BARRIER || !writer_log_bars(w, write)) {
        writer_show_aside(w, write);
        writer_end(w, write, write->result,
                   text == NULL ? SLICE("") : slice_from_string(text));
    }
}

static void transaction_ended(struct store_writer *w, size_t count)
{
    int64_t n_written = 0;

    w->locked = false;
    w->retry_us = 0;
    w->give_up_us = 0;
    w->suspect = NULL;
    w->group_max = w->group_max < GROUP_MAX / 2 ? w->group_max * 2 : GROUP_MAX;
    if (writer_is_failing(w)) {
        atomic_store_explicit(&w->failing, false, memory_order_relaxed);
        log_info("store: writes again");
    }
    writer_tell_effects(w);
    writer_log_committed(w);
    for (size_t i = 0; i < count; i++) {
        struct store_write *write =
            pending_unlink(&w->pending, &w->pending.first);
        n_written += count_changes(write);
        end_committed(w, write);
    }
    if (n_written > 0) {
        stats_add(STATS_store_writes, n_written);
        stats_count(STATS_store_commits);
    }
}

/* ---- transactions ---- */

void writer_look_for_others(struct store_writer *w)
{
    store_foreign_fn *foreign =
        atomic_load_explicit(&w->foreign, memory_order_acquire);

    if (foreign != NULL && w->with.engine->foreign_commit != NULL &&
        w->with.engine->foreign_commit(w->connection)) {
        foreign(w->foreign_arg);
    }
}

/* How many of the pending make up the next transaction. */
static size_t choose(const struct store_writer *w)
{
    size_t count = 0;
    size_t bytes = 0;

    for (const struct store_write *write = w->pending.first;
         write != NULL && count < w->group_max && bytes < GROUP_BYTES_MAX;
         write = write->next) {
        bytes += write->n_bytes;
        count++;
    }
    return count;
}

/* Of the deferred writes of one plain key, with nothing between them that looks
 * at it, only the last is carried out.  Returns how many need not be. */
static size_t fold(struct store_writer *w, size_t count)
{
    struct store_write *write = w->pending.first;
    struct fold *newest = &w->folding;
    size_t n_folded = 0;

    fold_clear(newest);
    for (; count > 0; count--, write = write->next) {
        write->folded = false;
        if (write->op == STORE_GROUP || write->op == STORE_CLEAR_PLAIN) {
            fold_clear(newest);
        } else if (write->mapping != NULL || write->op == STORE_BARRIER) {
            continue;
        } else if (write->deferred && write->decide == NULL) {
            struct store_write *older = fold_put(newest, write);
            if (older != NULL) {
                older->folded = true;
                n_folded++;
            }
        } else {
            struct store_write *older =
                fold_find(newest, write->key, write->hash);
            if (older != NULL) {
                fold_remove(newest, older);
            }
        }
    }
    return n_folded;
}

/* In the transaction: carries out the first 'count' of the pending; '*done' of
 * them before one failed, or the log has to be committed.  An error that is a write's own fault: one was refused
 * that may stand for others. */
static enum err apply_all(struct store_writer *w, size_t count, bool folds,
                          size_t *done)
{
    struct store_write *write = w->pending.first;
    enum err err = ERR_OK;

    for (*done = 0; *done < count && err == ERR_OK; ++*done) {
        if (*done > 0 && writer_log_ends(w, write)) {
            break;
        }
        if (folds && write->folded) {
            restore(write);
        } else {
            err = apply(w, write);
            if (err == ERR_OK && folds && write->deferred &&
                write->result != ERR_OK) {
                err = write->result;
            }
        }
        write = write->next;
    }
    return err;
}

static void roll_back(struct store_writer *w)
{
    w->with.engine->rollback(w->connection);
    writer_log_rolled_back(w);
}

/* BEGIN to COMMIT for the first of the pending, as many as make a group: their
 * number goes to '*count', or how many were tried.  '*step' says what failed.
 */
static enum err transact(struct store_writer *w, size_t *count, enum step *step)
{
    const struct engine *engine = w->with.engine;
    const size_t chosen = choose(w);
    bool folds = fold(w, chosen) > 0;
    bool again;
    enum err err;

    do {
        buf_clear(&w->detail);
        *count = 0;
        *step = STEP_BEGIN;
        err = writer_begin(w);
        if (err != ERR_OK) {
            return err;
        }
        writer_look_for_others(
            w); /* What was read before may be of the past. */
        *step = STEP_WRITE;
        err = apply_all(w, chosen, folds, count);
        if (err == ERR_OK) {
            *step = STEP_COMMIT;
            err = writer_log_append(w);
        }
        if (err == ERR_OK) {
            err = engine->commit(w->connection, &w->detail);
        }
        if (err != ERR_OK) {
            roll_back(w);
        }
        again = folds && engine_is_own_failure(err);
        folds = false;
    } while (again);
    return err;
}

void writer_tell_ended(struct store_writer *w)
{
    store_ended_fn *ended =
        atomic_load_explicit(&w->ended, memory_order_acquire);

    if (ended != NULL) {
        ended(w->ended_arg);
    }
}

void writer_checkpoint_if_due(struct store_writer *w)
{
    if (!w->with.engine->checkpoint_due(w->connection)) {
        return;
    }
    writer_tidy(w);
    buf_clear(&w->detail);
    const int64_t began_us = clock_now_us();
    const enum err err = w->with.engine->checkpoint(w->connection, &w->detail);
    latency_note(LATENCY_store_checkpoint, clock_now_us() - began_us);
    stats_count(STATS_store_checkpoints);
    if (err != ERR_OK) {
        stats_count(STATS_store_errors);
        log_warn("store: checkpoint failed err=\"%s\" detail=\"%s\"",
                 err_str(err), buf_string(&w->detail));
    }
}

void writer_commit(struct store_writer *w)
{
    struct pending *pending = &w->pending;
    enum step step;
    size_t count;

    if (pending->count == 1 && pending->first->op == STORE_BARRIER) {
        /* All before it was committed. */
        end_committed(w, pending_unlink(pending, &pending->first));
        return;
    }
    const int64_t began_us = clock_now_us();
    const enum err err = transact(w, &count, &step);
    latency_note(LATENCY_store_commit, clock_now_us() - began_us);
    if (err == ERR_OK) {
        atomic_store_explicit(&w->committed_ms, clock_wall_ms(),
                              memory_order_relaxed);
        transaction_ended(w, count);
        writer_tell_ended(w); /* A checkpoint may take long. */
        writer_checkpoint_if_due(w);
    } else {
        transaction_failed(w, count, step, err);
    }
}
