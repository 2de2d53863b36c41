/* SPDX-License-Identifier: MIT */
/*
 * Puts the store together: the engine's database, the writer, the readers;
 * and takes it apart so that nothing accepted is lost:
 *
 *     watcher stops ─► readers refuse, the waiting end ─► writer commits all,
 *     stops ─►
 *     readers finish, close ─► writer checkpoints, closes ─► database
 */
#include "server/store/store.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/store/deadletter_internal.h"
#include "server/store/engine.h"
#include "server/store/mapping_set.h"
#include "server/store/pool.h"
#include "server/store/watcher.h"
#include "server/store/writer.h"

static const struct engine *const engines[] = {&engine_sqlite};

struct store {
    const struct engine *engine;
    const struct mappings *mappings; /* Borrowed. */
    struct buf location;             /* What stands behind "scheme:". */
    struct engine_database *database;
    struct store_writer *writer;
    struct store_pool *pool;
    struct store_observer observer;
    struct watcher *watcher; /* NULL: nobody observes, or none can. */
};

/* The engine that 'store' names by its scheme, what is behind the colon in
 * '*location'; NULL if there is none. */
static const struct engine *find_engine(struct slice url,
                                        struct slice *location)
{
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        const struct slice scheme = slice_from_string(engines[i]->scheme);
        if (slice_has_prefix(url, scheme) && url.size > scheme.size &&
            url.data[scheme.size] == ':') {
            const size_t skip = scheme.size + 1;
            *location = slice_make(url.data + skip, url.size - skip);
            return engines[i];
        }
    }
    return NULL;
}

static enum err choose_engine(struct store *store,
                              const struct store_options *options,
                              struct buf *detail)
{
    struct buf url = {0};
    struct slice location;

    config_string(options->config, CONFIG_store, &url);
    location = buf_slice(&url);
    store->engine = options->engine != NULL
                        ? options->engine
                        : find_engine(buf_slice(&url), &location);
    if (store->engine != NULL) {
        buf_append_slice(&store->location, location);
    } else {
        buf_printf(detail,
                   "'store %s' names no database bookd knows; write "
                   "'store sqlite:PATH'",
                   buf_string(&url));
    }
    buf_destroy(&url);
    return store->engine == NULL ? ERR_INVALID : ERR_OK;
}

static struct engine_options
database_options(struct store *store, const struct store_options *options)
{
    const struct config *config = options->config;

    return (struct engine_options){
        .location = buf_string(&store->location),
        .tables = options->tables,
        .mappings = options->mappings,
        .seed_books = config_switch(config, CONFIG_seed_books),
        .plain_keys = config_number(config, CONFIG_plain_writes) != WRITES_NONE,
        .durability = (int)config_number(config, CONFIG_store_durability),
    };
}

static enum err open_parts(struct store *store,
                           const struct store_options *options,
                           struct buf *detail)
{
    const struct engine_options database = database_options(store, options);

    enum err err = store->engine->open(&store->database, &database, detail);
    if (err == ERR_OK && options->tables != NULL) {
        store->mappings = mapping_set_mappings(options->tables);
    }
    if (err == ERR_OK) {
        const struct store_writer_options writer = {
            .engine = store->engine,
            .database = store->database,
            .config = options->config,
            .timers = options->timers,
        };
        err = store_writer_open(&store->writer, &writer, detail);
    }
    if (err == ERR_OK) {
        const struct store_pool_options pool = {
            .engine = store->engine,
            .database = store->database,
            .config = options->config,
            .timers = options->timers,
        };
        err = store_pool_open(&store->pool, &pool, detail);
    }
    return err;
}

enum err store_open(struct store **storep, const struct store_options *options,
                    struct buf *detail)
{
    struct store *store = xmalloc(sizeof(*store));

    *store = (struct store){.mappings = options->mappings};
    enum err err = choose_engine(store, options, detail);
    if (err == ERR_OK) {
        err = open_parts(store, options, detail);
    }
    if (err != ERR_OK) {
        (void)store_close(store);
        return err;
    }
    log_info("store: opened engine=%s location=\"%s\"", store->engine->scheme,
             buf_string(&store->location));
    *storep = store;
    return ERR_OK;
}

enum err store_close(struct store *store)
{
    enum err lost = ERR_OK;

    if (store == NULL) {
        return ERR_OK;
    }
    if (store->watcher != NULL) {
        watcher_stop(store->watcher);
    }
    if (store->pool != NULL) {
        store_pool_stop(store->pool);
    }
    if (store->writer != NULL) {
        store_writer_stop(store->writer);
    }
    if (store->pool != NULL) {
        store_pool_close(store->pool);
        log_info("store: closed");
    }
    if (store->writer != NULL) {
        lost = store_writer_close(store->writer);
    }
    watcher_close(store->watcher);
    if (store->database != NULL) {
        store->engine->close(store->database);
    }
    buf_destroy(&store->location);
    free(store);
    return lost;
}

enum err store_maintain(const struct store_options *options,
                        enum store_task task, struct buf *report,
                        struct buf *detail)
{
    struct store store = {.engine = NULL}; /* Never opened. */
    enum err err = choose_engine(&store, options, detail);

    if (err == ERR_OK && store.engine->maintain == NULL) {
        buf_printf(detail, "'store %s:' has nothing of the kind",
                   store.engine->scheme);
        err = ERR_INVALID;
    } else if (err == ERR_OK) {
        const struct engine_options database =
            database_options(&store, options);
        err = store.engine->maintain(&database, task, report, detail);
    }
    buf_destroy(&store.location);
    return err;
}

/* For the watcher. */
static void ask_writer(void *arg)
{
    store_writer_look(arg);
}

/* On the writer's thread. */
static void foreign_commit(void *arg)
{
    watcher_foreign_commit(arg);
}

enum err store_observe(struct store *store,
                       const struct store_observer *observer,
                       struct buf *detail)
{
    const struct watcher_options options = {.engine = store->engine,
                                            .database = store->database,
                                            .mappings = store->mappings,
                                            .observer = *observer,
                                            .ask = ask_writer,
                                            .arg = store->writer};

    store->observer = *observer;
    store_writer_observe(store->writer, &store->observer);
    if (store->engine->watch_open == NULL) {
        return ERR_OK;
    }
    const enum err err = watcher_open(&store->watcher, &options, detail);
    if (err == ERR_OK) {
        store_writer_on_foreign(store->writer, foreign_commit, store->watcher);
    }
    return err;
}

enum store_start store_read_start(struct store *store, struct store_read *read)
{
    return store_pool_read(store->pool, read);
}

bool store_read_withdraw(struct store *store, struct store_read *read)
{
    return store_pool_withdraw(store->pool, read);
}

enum err store_write_start(struct store *store, struct store_write *write)
{
    return store_writer_start(store->writer, write);
}

void store_on_ended(struct store *store, void (*ended)(void *arg), void *arg)
{
    store_writer_on_ended(store->writer, ended, arg);
}

static void after_barrier(struct store_write *write, enum err err,
                          struct slice detail)
{
    struct store_walk *walk = container_of(write, struct store_walk, barrier);

    (void)detail; /* The writer has logged it. */
    if (err == ERR_OK) {
        store_pool_walk_run(walk);
    } else {
        store_pool_walk_end(walk, err);
    }
}

enum err store_walk_start(struct store *store, struct store_walk *walk)
{
    enum err err = store_pool_walk_begin(store->pool, walk);

    if (err != ERR_OK) {
        return err;
    }
    if (walk->as_it_is || !store_writer_has_deferred(store->writer)) {
        store_pool_walk_run(walk);
        return ERR_OK;
    }
    walk->barrier =
        (struct store_write){.op = STORE_BARRIER, .done = after_barrier};
    err = store_writer_start(store->writer, &walk->barrier);
    if (err != ERR_OK) {
        store_pool_walk_refuse(walk);
    }
    return err;
}

size_t store_dead_letters(struct store *store, int64_t after, size_t count,
                          dead_letter_fn *show, void *arg)
{
    return dead_letters_show(store_writer_letters(store->writer), after, count,
                             show, arg);
}

size_t store_dead_letter_count(struct store *store)
{
    return dead_letters_count(store_writer_letters(store->writer));
}

enum err store_dead_letter_drop(struct store *store,
                                struct dead_letter_drop *drop)
{
    return store_writer_drop_letters(store->writer, drop);
}

void store_progress(const struct store *store, struct store_progress *progress)
{
    store_writer_progress(store->writer, progress);
}

void store_describe(struct store *store, struct buf *out)
{
    buf_printf(out, "store_engine:%s\r\n", store->engine->scheme);
    buf_append_string(out, "store_location:");
    buf_append_slice(out, buf_slice(&store->location));
    buf_append_string(out, "\r\n");
    store_pool_describe(store->pool, out);
    store_writer_describe(store->writer, out);
    if (store->engine->describe != NULL) {
        store->engine->describe(store->database, out);
    }
    if (store->watcher != NULL) {
        watcher_describe(store->watcher, out);
    }
}

const struct mappings *store_mappings(const struct store *store)
{
    return store->mappings;
}
