/* SPDX-License-Identifier: MIT */
#include "tests/support/lookup_fixture.h"

#include "common/clock.h"
#include "common/err.h"
#include "common/hash.h"
#include "common/mem.h"
#include "common/task.h"
#include "common/timer.h"
#include "server/lookup/changes.h"
#include "server/lookup/record.h"
#include "server/lookup/watch.h"
#include "server/store/store.h"

#include <stdio.h>
#include <stdlib.h>

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "fixture: %s failed\n", what);
        abort();
    }
}

void fixture_set(struct fixture *f, const char *directive, const char *value)
{
    struct buf detail = {0};
    const enum config_id id = config_find(slice_from_string(directive));

    must(id != CONFIG_COUNT, directive);
    if (config_set(f->config, id, slice_from_string(value), &detail) !=
        ERR_OK) {
        must(false, buf_string(&detail));
    }
    buf_destroy(&detail);
}

/* ---- a log that takes everything, for as long as the test runs ---- */

static bool log_ready(const struct engine_writer *writer)
{
    (void)writer;
    return true;
}

static enum err log_append(struct engine_writer *writer, int64_t seq,
                           struct slice writes, struct buf *detail)
{
    (void)writer;
    (void)seq;
    (void)writes;
    (void)detail;
    return ERR_OK;
}

static enum err log_trim(struct engine_writer *writer, int64_t seq,
                         struct buf *detail)
{
    (void)writer;
    (void)seq;
    (void)detail;
    return ERR_OK;
}

static enum err log_read(struct engine_writer *writer, engine_log_fn *row,
                         void *arg, struct buf *detail)
{
    (void)writer;
    (void)row;
    (void)arg;
    (void)detail;
    return ERR_OK;
}

static enum err log_find(struct engine_writer *writer, struct slice key,
                         int64_t *place, struct buf *detail)
{
    (void)writer;
    (void)key;
    (void)detail;
    *place = 0;
    return ERR_OK;
}

static void add_log(struct engine *engine)
{
    engine->log_ready = log_ready;
    engine->log_append = log_append;
    engine->log_trim = log_trim;
    engine->log_read = log_read;
    engine->log_find = log_find;
}

static struct fixture *new_fixture(const char *const *directives, bool logged)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct buf detail = {0};

    hash_init();
    f->config = config_new();
    for (; directives != NULL && *directives != NULL; directives++) {
        char name[64];
        const char *space = strchr(*directives, ' ');
        must(space != NULL, *directives);
        snprintf(name, sizeof name, "%.*s", (int)(space - *directives),
                 *directives);
        fixture_set(f, name, space + 1);
    }
    f->fake = fake_store_new();
    f->engine = *fake_store_engine(f->fake);
    if (logged) {
        add_log(&f->engine);
    }
    must(timers_start(&f->timers) == ERR_OK, "timers_start");
    const struct store_options options = {.config = f->config,
                                          .mappings = &mappings_builtin,
                                          .timers = f->timers,
                                          .engine = &f->engine};
    must(store_open(&f->store, &options, &detail) == ERR_OK, "store_open");
    const struct cache_options cache_options = {.n_shards = 4,
                                                .max_bytes = 64 << 20};
    f->cache = cache_new(&cache_options);
    f->watches = watches_new();
    f->changes = changes_new();
    const struct lookup_parts parts = {.config = f->config,
                                       .cache = f->cache,
                                       .store = f->store,
                                       .timers = f->timers,
                                       .changes = f->changes,
                                       .watches = f->watches};
    f->lookup = lookup_new(&parts);
    f->home = chan_new(sizeof(struct task), CHAN_UNBOUNDED);
    buf_destroy(&detail);
    return f;
}

struct fixture *fixture_new(const char *const *directives)
{
    return new_fixture(directives, false);
}

struct fixture *fixture_new_logged(const char *const *directives)
{
    return new_fixture(directives, true);
}

void fixture_free(struct fixture *f)
{
    struct task task;

    store_close(f->store);
    chan_close(chan_tx(f->home));
    while (chan_recv(chan_rx(f->home), &task)) {
        task.run(task.arg);
    }
    lookup_free(f->lookup);
    changes_free(f->changes);
    watches_free(f->watches);
    cache_free(f->cache);
    timers_free(f->timers);
    chan_free(f->home);
    config_free(f->config);
    fake_store_free(f->fake);
    free(f);
}

void fixture_run_ready(struct fixture *f)
{
    struct task task;

    while (chan_try_recv(chan_rx(f->home), &task) == ERR_OK) {
        task.run(task.arg);
    }
}

void fixture_run_one(struct fixture *f)
{
    struct task task;

    must(chan_recv(chan_rx(f->home), &task), "chan_recv");
    task.run(task.arg);
}

/* ---- lookups ---- */

static void on_answer(void *arg, const struct answer *answer)
{
    struct asked *a = arg;

    must(!a->answered, "only one answer");
    a->pending = NULL;
    a->answered = true;
    a->answer = *answer;
    buf_clear(&a->bytes);
    buf_append_slice(&a->bytes, answer->bytes);
    a->answer.bytes = buf_slice(&a->bytes);
}

void fixture_ask(struct fixture *f, const char *key, struct asked *a)
{
    fixture_ask_within(f, key, NULL, a);
}

void fixture_ask_within(struct fixture *f, const char *key,
                        const struct lookup_bounds *bounds, struct asked *a)
{
    const struct lookup_caller caller = {.home = chan_tx(f->home),
                                         .done = on_answer,
                                         .arg = a,
                                         .start_us = clock_now_us()};

    *a = (struct asked){0};
    a->pending = lookup_get(f->lookup, slice_from_string(key), bounds, &caller,
                            &a->bytes, &a->answer);
    a->answered = a->pending == NULL;
}

void fixture_run(struct fixture *f, struct asked *a)
{
    while (!a->answered) {
        fixture_run_one(f);
    }
}

const char *asked_text(struct asked *a)
{
    must(a->answered, "an answer");
    if (a->answer.outcome == LOOKUP_MISS) {
        return "(none)";
    }
    if (a->answer.outcome == LOOKUP_FAILED) {
        return err_str(a->answer.err);
    }
    struct buf text = {0};
    buf_append_slice(&text, a->answer.mapping != NULL
                                ? record_json(a->answer.bytes)
                                : a->answer.bytes);
    buf_destroy(&a->bytes);
    a->bytes = text;
    return buf_string(&a->bytes);
}

const char *ask_text(struct fixture *f, const char *key, struct asked *a)
{
    fixture_ask(f, key, a);
    fixture_run(f, a);
    return asked_text(a);
}

void asked_free(struct asked *a)
{
    buf_destroy(&a->bytes);
}

/* ---- writes ---- */

static void on_written(void *arg, const struct update_outcome *outcome)
{
    struct written *w = arg;

    must(!w->answered, "only one result");
    w->answered = true;
    w->result = outcome->n > 0 ? outcome->results[0]
                               : (struct update_result){.err = outcome->err};
    if (outcome->n > 0) {
        buf_append_slice(&w->detail, outcome->results[0].detail);
    }
    w->result.detail = buf_slice(&w->detail);
}

void fixture_update(struct fixture *f, const struct update *update,
                    struct written *w)
{
    const struct update_caller caller = {
        .home = chan_tx(f->home), .done = on_written, .arg = w};

    *w = (struct written){0};
    must(update_start(f->lookup, update, 1, &caller) == w->answered,
         "done() before update_start() returns true");
}

void fixture_put(struct fixture *f, const char *key, const char *value,
                 struct written *w)
{
    struct slice id;
    const bool record =
        mapping_find(&mappings_builtin, slice_from_string(key), &id) != NULL;
    const struct update update = {
        .op = value == NULL ? (record ? STORE_DELETE_ROW : STORE_DELETE_PLAIN)
                            : (record ? STORE_PUT_ROW : STORE_PUT_PLAIN),
        .key = slice_from_string(key),
        .value = slice_from_string(value != NULL ? value : "")};

    fixture_update(f, &update, w);
}

void fixture_run_write(struct fixture *f, struct written *w)
{
    while (!w->answered) {
        fixture_run_one(f);
    }
}

void written_free(struct written *w)
{
    buf_destroy(&w->detail);
}

/* ---- groups ---- */

/* A group goes on with the test's check, and answers into the test's struct. */
struct group_call {
    struct grouped *grouped;
    bool (*check)(void *arg);
    void *arg;
};

static bool on_check(void *arg)
{
    const struct group_call *call = arg;

    return call->check(call->arg);
}

static void on_grouped(void *arg, const struct update_outcome *outcome)
{
    struct group_call *call = arg;
    struct grouped *g = call->grouped;

    must(!g->answered, "only one outcome");
    must(outcome->n <= GROUPED_MAX, "room for the results");
    g->answered = true;
    g->err = outcome->err;
    g->n = outcome->n;
    for (size_t i = 0; i < outcome->n; i++) {
        g->results[i] = outcome->results[i];
        g->results[i].detail = SLICE("");
    }
    free(call);
}

void fixture_group(struct fixture *f, const struct update *updates, size_t n,
                   bool (*check)(void *arg), void *arg, struct grouped *g)
{
    struct group_call *call = xcalloc(1, sizeof *call);
    const struct update_caller caller = {.home = chan_tx(f->home),
                                         .done = on_grouped,
                                         .arg = call,
                                         .check =
                                             check != NULL ? on_check : NULL};

    *g = (struct grouped){.answered = false};
    *call = (struct group_call){.grouped = g, .check = check, .arg = arg};
    must(update_start(f->lookup, updates, n, &caller) == g->answered,
         "done() before update_start() returns true");
}

void fixture_run_group(struct fixture *f, struct grouped *g)
{
    while (!g->answered) {
        fixture_run_one(f);
    }
}
