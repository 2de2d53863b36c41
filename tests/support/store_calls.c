/* SPDX-License-Identifier: MIT */
/*
 * Each call carries a waitgroup of one, done when its done() was called.
 */
#include "tests/support/store_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/admin/config.h"

/* ---- a store ---- */

void store_bed_init(struct store_bed *bed)
{
    *bed = (struct store_bed){.config = config_new()};
    if (timers_start(&bed->timers) != ERR_OK) {
        log_fatal("store_bed: no timers");
    }
}

void store_bed_set(struct store_bed *bed, const char *directive,
                   const char *value)
{
    const enum config_id id = config_find(slice_from_string(directive));
    struct buf detail = {0};

    if (id == CONFIG_COUNT ||
        config_set(bed->config, id, slice_from_string(value), &detail) !=
            ERR_OK) {
        log_fatal("store_bed: %s %s: %s", directive, value,
                  buf_string(&detail));
    }
    buf_destroy(&detail);
}

static enum err open_store(struct store_bed *bed, const struct engine *engine)
{
    const struct store_options options = {
        .config = bed->config,
        .mappings = &mappings_builtin,
        .timers = bed->timers,
        .engine = engine,
    };

    buf_clear(&bed->detail);
    return store_open(&bed->store, &options, &bed->detail);
}

enum err store_bed_open_fake(struct store_bed *bed)
{
    if (bed->fake == NULL) {
        bed->fake = fake_store_new();
    }
    return open_store(bed, fake_store_engine(bed->fake));
}

const char *store_bed_path(struct store_bed *bed)
{
    if (bed->path.size == 0) {
        const char *parent = getenv("TMPDIR");
        snprintf(bed->directory, sizeof(bed->directory), "%s/store-XXXXXX",
                 parent == NULL || strlen(parent) > 40 ? "/tmp" : parent);
        if (mkdtemp(bed->directory) == NULL) {
            log_fatal("store_bed: no directory %s", bed->directory);
        }
        buf_printf(&bed->path, "%s/books.db", bed->directory);
    }
    return buf_string(&bed->path);
}

enum err store_bed_open_sqlite(struct store_bed *bed)
{
    struct buf url = {0};

    buf_printf(&url, "sqlite:%s", store_bed_path(bed));
    store_bed_set(bed, "store", buf_string(&url));
    buf_destroy(&url);
    return open_store(bed, NULL);
}

static void remove_directory(struct store_bed *bed)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    struct buf path = {0};

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        buf_clear(&path);
        buf_append_slice(&path, buf_slice(&bed->path));
        buf_append_string(&path, suffixes[i]);
        (void)remove(buf_string(&path));
    }
    (void)remove(bed->directory);
    buf_destroy(&path);
}

void store_bed_close(struct store_bed *bed)
{
    store_close(bed->store);
    bed->store = NULL;
}

void store_bed_destroy(struct store_bed *bed)
{
    store_bed_close(bed);
    fake_store_free(bed->fake);
    timers_free(bed->timers);
    config_free(bed->config);
    if (bed->path.size > 0) {
        remove_directory(bed);
    }
    buf_destroy(&bed->path);
    buf_destroy(&bed->detail);
}

/* ---- rows ---- */

static void show_row(const struct store_row *row, struct buf *out)
{
    const size_t n = row->mapping == NULL ? 1 : row->mapping->n_columns;

    buf_clear(out);
    for (size_t i = 0; i < n; i++) {
        buf_append_string(out, i == 0 ? "" : "|");
        if (row->columns[i].type == COLUMN_NULL) {
            buf_append_string(out, "NULL");
        } else {
            buf_append_slice(out, row->columns[i].bytes);
        }
    }
}

/* Splits a whole key into mapping and key of the store. */
static const struct mapping *split(char *copy, size_t size, const char *key,
                                   struct slice *id)
{
    snprintf(copy, size, "%s", key);
    *id = slice_from_string(copy);
    return mapping_find(&mappings_builtin, *id, id);
}

/* ---- reads ---- */

static void asked_row(struct store_read *read, const struct store_row *row)
{
    struct asked *a = container_of(read, struct asked, read);

    a->n_rows++;
    a->expires_ms = row->expires_ms;
    a->type = row->type;
    show_row(row, &a->row);
}

static void asked_done(struct store_read *read, enum err err)
{
    struct asked *a = container_of(read, struct asked, read);

    a->err = err;
    a->done_us = clock_now_us();
    a->n_done++;
    wg_done(&a->ended);
}

static enum store_start start(struct store *store, struct asked *a,
                              const char *key, bool refresh)
{
    *a = (struct asked){0};
    wg_init(&a->ended);
    wg_add(&a->ended, 1);
    a->read = (struct store_read){
        .refresh = refresh, .row = asked_row, .done = asked_done};
    a->read.mapping = split(a->key, sizeof(a->key), key, &a->read.key);
    const enum store_start started = store_read_start(store, &a->read);
    if (started == STORE_REFUSED || started == STORE_BROKEN) {
        wg_done(&a->ended);
    }
    return started;
}

enum store_start ask(struct store *store, struct asked *a, const char *key)
{
    return start(store, a, key, false);
}

enum store_start ask_refresh(struct store *store, struct asked *a,
                             const char *key)
{
    return start(store, a, key, true);
}

bool ask_withdraw(struct store *store, struct asked *a)
{
    const bool withdrawn = store_read_withdraw(store, &a->read);

    if (withdrawn) {
        wg_done(&a->ended);
    }
    return withdrawn;
}

void asked_wait(struct asked *a)
{
    wg_wait(&a->ended);
}

void asked_destroy(struct asked *a)
{
    asked_wait(a);
    wg_destroy(&a->ended);
    buf_destroy(&a->row);
}

/* ---- writes ---- */

static void written_row(struct store_write *write, const struct store_row *row)
{
    struct written *w = container_of(write, struct written, write);

    w->n_rows++;
    show_row(row, &w->row);
}

static void written_done(struct store_write *write, enum err err,
                         struct slice detail)
{
    static _Atomic int n_ended;
    struct written *w = container_of(write, struct written, write);

    w->err = err;
    buf_append_slice(&w->detail, detail);
    w->n_changed = write->n_changed;
    w->n_created = write->n_created;
    w->n_new_fields = write->n_new_fields;
    w->order = n_ended++;
    w->n_done++;
    wg_done(&w->ended);
}

void written_init(struct written *w, const char *key, const char *value)
{
    *w = (struct written){0};
    wg_init(&w->ended);
    w->write = (struct store_write){.row = written_row, .done = written_done};
    w->write.mapping = split(w->key, sizeof(w->key), key, &w->write.key);
    if (value != NULL) {
        buf_append_string(&w->value, value);
        w->write.value = buf_slice(&w->value);
        w->write.op =
            w->write.mapping == NULL ? STORE_PUT_PLAIN : STORE_PUT_ROW;
    } else {
        w->write.op =
            w->write.mapping == NULL ? STORE_DELETE_PLAIN : STORE_DELETE_ROW;
    }
}

enum err written_start(struct store *store, struct written *w)
{
    wg_add(&w->ended, 1);
    const enum err err = store_write_start(store, &w->write);
    if (err != ERR_OK) {
        wg_done(&w->ended);
    }
    return err;
}

void written_wait(struct written *w)
{
    wg_wait(&w->ended);
}

void written_destroy(struct written *w)
{
    written_wait(w);
    wg_destroy(&w->ended);
    buf_destroy(&w->value);
    buf_destroy(&w->detail);
    buf_destroy(&w->row);
}

enum err write_now(struct store *store, const char *key, const char *value)
{
    struct written w;

    written_init(&w, key, value);
    enum err err = written_start(store, &w);
    written_wait(&w);
    err = err == ERR_OK ? w.err : err;
    written_destroy(&w);
    return err;
}

/* ---- walks ---- */

static void walked_key(struct store_walk *walk, struct slice key)
{
    struct walked *w = container_of(walk, struct walked, walk);

    buf_append_slice(&w->keys, key);
    buf_append_char(&w->keys, ' ');
    w->n_keys++;
}

static void walked_done(struct store_walk *walk, enum err err)
{
    struct walked *w = container_of(walk, struct walked, walk);

    w->err = err;
    wg_done(&w->ended);
}

enum err walked_start(struct store *store, struct walked *w)
{
    wg_init(&w->ended);
    wg_add(&w->ended, 1);
    w->walk.key = walked_key;
    w->walk.done = walked_done;
    const enum err err = store_walk_start(store, &w->walk);
    if (err != ERR_OK) {
        w->err = err;
        wg_done(&w->ended);
    }
    return err;
}

void walked_wait(struct walked *w)
{
    wg_wait(&w->ended);
}

void walked_destroy(struct walked *w)
{
    walked_wait(w);
    wg_destroy(&w->ended);
    buf_destroy(&w->keys);
}

void walk_page(struct store *store, struct walked *w, uint64_t cursor,
               size_t count)
{
    *w = (struct walked){0};
    w->walk.kind = STORE_SCAN;
    w->walk.cursor = cursor;
    w->walk.count = count;
    (void)!walked_start(store, w); /* Kept in 'err'. */
    walked_wait(w);
}

int64_t count_keys(struct store *store)
{
    struct walked w = {.walk = {.kind = STORE_COUNT}};

    (void)!walked_start(store, &w);
    walked_wait(&w);
    const int64_t n_keys = w.err == ERR_OK ? w.walk.n_keys : -1;
    walked_destroy(&w);
    return n_keys;
}
