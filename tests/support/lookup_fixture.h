/* SPDX-License-Identifier: MIT */
/*
 * A whole lookup over a fake store, without sockets: the test thread is the
 * loop, and runs the tasks that come home when it wants to.
 *
 *     struct fixture *f = fixture_new();
 *     struct asked a;
 *     fixture_ask(f, "book:3", &a);      answered at once (a.answered), or
 * pending fixture_run(f, &a);        … until it is, running what comes home
 *     asked_free(&a);
 *
 * Thread-safety: the test thread, except that the store has threads of its own.
 */
#ifndef TESTS_SUPPORT_LOOKUP_FIXTURE_H
#define TESTS_SUPPORT_LOOKUP_FIXTURE_H

#include "common/buf.h"
#include "common/chan.h"
#include "server/admin/config.h"
#include "server/cache/cache.h"
#include "server/lookup/lookup.h"
#include "server/lookup/update.h"
#include "server/store/engine.h"
#include "tests/support/fake_store.h"

struct fixture {
    struct engine engine; /* The fake one, with a log perhaps. */
    struct config *config;
    struct fake_store *fake;
    struct timers *timers;
    struct store *store;
    struct cache *cache;
    struct watches *watches;
    struct changes *changes; /* Nobody listens, unless a test does. */
    struct lookup *lookup;
    struct chan *home;
};

/* A lookup that was asked for, and its answer. */
struct asked {
    struct pending_lookup *pending; /* NULL once answered. */
    bool answered;
    struct answer answer; /* Its bytes are in 'bytes'. */
    struct buf bytes;
};

/* A write that was asked for, and its result. */
struct written {
    bool answered;
    struct update_result result; /* Its detail is in 'detail'. */
    struct buf detail;
};

/* A group of writes that was asked for, and its outcome. */
#define GROUPED_MAX 8
struct grouped {
    bool answered;
    enum err err;
    size_t n;
    struct update_result results[GROUPED_MAX]; /* Without details. */
};

/* Reads clock_now_us(): take the clock in hand first, if at all.  'directives'
 * are "name value" strings, up to a NULL. */
struct fixture *fixture_new(const char *const *directives);
/* Likewise, over a store that logs writes of plain keys. */
struct fixture *fixture_new_logged(const char *const *directives);
/* Opens no gates: the fake store's must be open. */
void fixture_free(struct fixture *f);
void fixture_set(struct fixture *f, const char *directive, const char *value);

void fixture_ask(struct fixture *f, const char *key, struct asked *a);
void fixture_ask_within(struct fixture *f, const char *key,
                        const struct lookup_bounds *bounds, struct asked *a);
void asked_free(struct asked *a);
/* Runs tasks until 'a' is answered. */
void fixture_run(struct fixture *f, struct asked *a);
/* Asks and waits; returns the JSON text, the plain value, "(none)", or the
 * name of the error.  Valid until 'a' is freed. */
const char *ask_text(struct fixture *f, const char *key, struct asked *a);
const char *asked_text(struct asked *a);

/* Begins one update. */
void fixture_update(struct fixture *f, const struct update *update,
                    struct written *w);
/* Writes; NULL 'value' deletes. */
void fixture_put(struct fixture *f, const char *key, const char *value,
                 struct written *w);
void fixture_run_write(struct fixture *f, struct written *w);
void written_free(struct written *w);

/* Begins a group, which goes on if 'check(arg)' says so, or is NULL. */
void fixture_group(struct fixture *f, const struct update *updates, size_t n,
                   bool (*check)(void *arg), void *arg, struct grouped *g);
void fixture_run_group(struct fixture *f, struct grouped *g);

/* Runs the tasks that are there already. */
void fixture_run_ready(struct fixture *f);
/* Runs one task; waits for it. */
void fixture_run_one(struct fixture *f);

#endif
