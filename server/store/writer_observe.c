/* SPDX-License-Identifier: MIT */
/*
 * What the writer has to say to who observes the store, and what it does when
 * there is time.
 *
 * A write can change more than its row: triggers, cascades, views.  What it
 * changed is told before the write is acknowledged, so that who reads the
 * other rows after that finds no copy from before it.
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

void writer_tidy(struct store_writer *w)
{
    struct buf detail = {0};
    bool more = w->with.engine->tidy != NULL;

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
