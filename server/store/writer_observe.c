/* SPDX-License-Identifier: MIT */
/*
 * What the writer has to say to who observes the store, what it does when there
 * is time, and what if the database becomes another under it.
 *
 * A write can change more than its row: triggers, cascades, views.  What it
 * changed is told before the write is acknowledged, so that who reads the
 * other rows after that finds no copy from before it.
 *
 * What waits to be written outlives the database: it goes to the one that is
 * there then.  That one may have a log of its own, of writes that its table
 * does not know; they are older than what waits, and are replayed first.
 */
#include "server/store/writer_internal.h"

#include "common/log.h"

/* Steps of putting in order between two transactions. */
#define TIDY_STEPS 4

void store_writer_observe(struct store_writer *writer,
                          const struct store_observer *observer)
{
    atomic_store_explicit(&writer->observer, observer, memory_order_release);
}

void writer_tell_effects(struct store_writer *w)
{
    const struct store_observer *observer =
        atomic_load_explicit(&w->observer, memory_order_acquire);
    const struct engine_effect *effects;

    if (observer == NULL || w->with.engine->effects == NULL) {
        return;
    }
    const size_t n = w->with.engine->effects(w->connection, &effects);
    for (size_t i = 0; i < n; i++) {
        const struct engine_effect *effect = &effects[i];
        if (effect->key.size > 0) {
            observer->changed(observer->arg, effect->key, effect->change);
        } else {
            observer->changed_all(observer->arg, effect->mapping);
        }
    }
}

/* Does not wait for the next write with what a new database needs. */
static void follow_at_once(struct store_writer *w)
{
    const struct engine *engine = w->with.engine;

    if (engine->era != NULL && w->era != 0 &&
        w->era != engine->era(w->connection)) {
        buf_clear(&w->detail);
        if (writer_begin(w) == ERR_OK) {
            engine->rollback(w->connection);
        }
    }
}

void writer_tidy(struct store_writer *w)
{
    struct buf detail = {0};
    bool more = w->with.engine->tidy != NULL;

    follow_at_once(w);
    for (int i = 0; more && i < TIDY_STEPS; i++) {
        buf_clear(&detail);
        if (w->with.engine->tidy(w->connection, &more, &detail) != ERR_OK) {
            log_debug("store: left for later detail=\"%s\"",
                      buf_string(&detail));
            more = false;
        }
    }
    buf_destroy(&detail);
}

/* ---- another database ---- */

/* Replays the log that the database has, past what waits in ours. */
static enum err follow(struct store_writer *w, struct buf *detail)
{
    /* Put back where it was: it points into itself. */
    const struct write_log ours = w->log;

    w->log = (struct write_log){.ready = false};
    const enum err err = writer_log_open(w, detail);
    const int64_t seq = w->log.seq;
    const bool ready = w->log.ready;
    writer_log_close(w);

    w->log = ours;
    w->log.ready = ready;
    if (seq > w->log.seq) {
        w->log.seq = seq; /* Numbers of rows do not come again. */
    }
    /* The log of before is in another file: the table has to have it soon. */
    w->log.hurry = w->log.newest.count > 0;
    return err == ERR_OK ? writer_letters_follow(w, detail) : err;
}

enum err writer_begin(struct store_writer *w)
{
    const struct engine *engine = w->with.engine;
    const struct store_observer *observer =
        atomic_load_explicit(&w->observer, memory_order_acquire);
    struct buf detail = {0};
    enum err err = engine->begin(w->connection, &w->detail);

    if (err != ERR_OK || engine->era == NULL) {
        return err;
    }
    const uint64_t before = w->era;
    w->era = engine->era(w->connection);
    if (before == 0 || before == w->era) {
        return ERR_OK;
    }
    engine->rollback(w->connection);
    err = follow(w, &detail);
    if (err == ERR_OK && observer != NULL) {
        observer->changed_all(observer->arg, NULL); /* By the replay. */
    }
    if (err == ERR_OK) {
        buf_clear(&w->detail);
        err = engine->begin(w->connection, &w->detail);
    } else {
        w->era = UINT64_MAX; /* Tried again. */
        buf_clear(&w->detail);
        buf_append_slice(&w->detail, buf_slice(&detail));
    }
    buf_destroy(&detail);
    return err;
}
