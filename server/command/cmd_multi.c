/* SPDX-License-Identifier: MIT */
/*
 * MULTI EXEC DISCARD WATCH UNWATCH: several commands as one.
 *
 * WATCH asks for each key as a write would, so that the version it notes has
 * its place in the order of writes: whatever the client reads afterwards is
 * not older, and whatever is written afterwards changes it.
 */
#include "common/mem.h"
#include "server/command/args.h"
#include "server/command/execution.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/command/transaction.h"
#include "server/lookup/lookup.h"
#include "server/lookup/watch.h"

enum command_status cmd_multi(struct request *r)
{
    if (!transaction_begin(r->client)) {
        reply_error(&r->reply, "ERR MULTI calls can not be nested");
        return COMMAND_DONE;
    }
    return done_ok(r);
}

enum command_status cmd_discard(struct request *r)
{
    if (!transaction_is_open(r->client)) {
        reply_error(&r->reply, "ERR DISCARD without MULTI");
        return COMMAND_DONE;
    }
    transaction_end(r->client);
    return done_ok(r);
}

enum command_status cmd_exec(struct request *r)
{
    if (!transaction_is_open(r->client)) {
        reply_error(&r->reply, "ERR EXEC without MULTI");
        return COMMAND_DONE;
    }
    struct transaction *transaction = transaction_take(r->client);
    if (transaction->failed) {
        transaction_free(transaction);
        reply_error(&r->reply, "EXECABORT Transaction discarded because of "
                               "previous errors.");
        return COMMAND_DONE;
    }
    return execution_start(r, transaction);
}

/* ---- WATCH ---- */

/* Keys about to be watched, until the outcome is known. */
struct watching {
    struct request *request;
    struct watch_set set;
    bool starting;
};

/* In the order of writes. */
static void on_found(void *context, const struct present *now)
{
    struct watch *watch = context;

    watch->version = watched_version(watch->watched);
    watch->expires_ms = now->kind == COPY_NEGATIVE ? 0 : now->expires_ms;
}

static void on_outcome(void *arg, const struct update_outcome *outcome)
{
    struct watching *w = arg;
    struct request *r = w->request;
    const bool starting = w->starting;

    if (r->client == NULL) {
        watch_set_destroy(&w->set);
    } else if (outcome->err != ERR_OK) {
        watch_set_destroy(&w->set);
        reply_err(&r->reply, outcome->err, NULL);
    } else {
        transaction_watch(r->client, &w->set);
        reply_ok(&r->reply);
    }
    if (!starting) {
        request_finish(r); /* 'w' goes with it. */
    }
}

/* Fills w->set and 'updates' with the keys of 'r'; false without memory. */
static bool add_keys(struct watching *w, struct request *r,
                     struct update *updates)
{
    struct watch_set *set = &w->set;
    const size_t n = r->argc - 1;

    set->watches = lookup_parts(r->client->server->lookup)->watches;
    set->list = try_malloc(n * sizeof set->list[0]);
    if (set->list == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        struct watch *watch = &set->list[i];
        *watch = (struct watch){.watched =
                                    watches_add(set->watches, r->argv[i + 1])};
        if (watch->watched == NULL) {
            return false;
        }
        set->n++;
        updates[i] = (struct update){.op = STORE_READ,
                                     .key = r->argv[i + 1],
                                     .context = watch,
                                     .found = on_found};
    }
    return true;
}

enum command_status cmd_watch(struct request *r)
{
    const size_t n = r->argc - 1;

    if (transaction_is_open(r->client)) {
        reply_error(&r->reply, "ERR WATCH inside MULTI is not allowed");
        return COMMAND_DONE;
    }
    struct watching *w = request_room(r, sizeof *w);
    struct update *updates = try_malloc(n * sizeof *updates);
    if (w == NULL || updates == NULL || !add_keys(w, r, updates)) {
        free(updates);
        if (w != NULL) {
            watch_set_destroy(&w->set);
        }
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return COMMAND_DONE;
    }
    const struct update_caller caller = {
        .home = r->client->home, .done = on_outcome, .arg = w};
    w->request = r;
    w->starting = true;
    const bool over =
        update_start(r->client->server->lookup, updates, n, &caller);
    w->starting = false;
    free(updates);
    return over ? COMMAND_DONE : COMMAND_PENDING;
}

enum command_status cmd_unwatch(struct request *r)
{
    transaction_unwatch(r->client);
    return done_ok(r);
}
