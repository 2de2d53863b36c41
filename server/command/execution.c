/* SPDX-License-Identifier: MIT */
#include "server/command/execution.h"

#include "common/mem.h"
#include "server/command/account.h"
#include "server/command/acl.h"
#include "server/command/monitor.h"
#include "server/command/databases.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/command/read.h"
#include "server/command/tracking.h"
#include "server/command/write.h"
#include "server/lookup/lookup.h"

#include <assert.h>

struct execution {
    struct request *request; /* EXEC. */
    struct transaction *transaction;
    struct queued *running; /* The command whose handler runs now. */
    struct update *updates; /* Of all commands, in order. */
    size_t n_updates;
    size_t capacity;
    size_t found_bytes; /* Kept by reads; of the thread of the group. */
    bool starting;      /* Inside execution_start(). */
    bool no_memory;
    int database; /* That was selected before. */
};

static void execution_free(struct execution *x)
{
    transaction_free(x->transaction);
    free(x->updates);
    free(x);
}

/* ---- what the commands want ---- */

/* False without memory. */
static bool make_room(struct execution *x, size_t n)
{
    if (n > x->capacity - x->n_updates) {
        const size_t capacity = x->n_updates + n + x->n_updates / 2;
        struct update *more =
            try_realloc(x->updates, capacity * sizeof x->updates[0]);
        if (more == NULL) {
            return false;
        }
        x->updates = more;
        x->capacity = capacity;
    }
    return true;
}

enum command_status execution_add(struct request *request,
                                  const struct update *updates, size_t n,
                                  execution_done_fn *on_outcome, void *arg)
{
    struct execution *x = request->execution;
    struct queued *queued = x->running;

    assert(&queued->request == request && queued->on_outcome == NULL);
    queued->on_outcome = on_outcome;
    queued->arg = arg;
    queued->first_update = x->n_updates;
    queued->n_updates = n;
    if (!make_room(x, n)) {
        x->no_memory = true;
        return COMMAND_PENDING;
    }
    if (n > 0) {
        memcpy(x->updates + x->n_updates, updates, n * sizeof updates[0]);
    }
    x->n_updates += n;
    return COMMAND_PENDING;
}

bool execution_keep(struct request *request, struct slice bytes)
{
    struct execution *x = request->execution;

    x->found_bytes += bytes.size;
    return x->found_bytes <= READ_BYTES_MAX &&
           buf_try_append_slice(&request->found, bytes);
}

/* Runs before the group begins: what touches keys, and what says of the
 * commands behind it whose keys they mean, or that what they read is tracked.
 */
static bool runs_first(const struct command *command)
{
    return (command->flags & (CMD_READONLY | CMD_WRITE)) != 0 ||
           command->run == cmd_select || command->run == cmd_client_tracking ||
           command->run == cmd_client_caching;
}

/* What its user may do can have changed since it was queued. */
static bool admit(struct request *r)
{
    struct buf why = {0};
    bool admitted = true;

    if (!acl_is_trusted(r->client)) {
        admitted = acl_admit(r, &why) == ACL_ADMITTED;
    }
    if (!admitted) {
        reply_error(&r->reply, why.size > 0 ? buf_string(&why)
                                            : "NOPERM the user was deleted");
    }
    buf_destroy(&why);
    return admitted;
}

static void run(struct execution *x, struct queued *queued)
{
    struct request *r = &queued->request;

    x->running = queued;
    r->client = x->request->client;
    r->execution = x;
    r->start_us = x->request->start_us;
    r->reply = (struct reply){.out = &r->own, .protocol = r->client->protocol};
    if (!admit(r) || !database_enter(r)) {
        queued->done = true;
        return;
    }
    if (tracking_is_on(r->client) && runs_first(r->command)) {
        tracking_remember(r);
    }
    queued->done = r->command->run(r) == COMMAND_DONE;
}

/* ---- the reply ---- */

/* Nothing was carried out, and no SELECT either. */
static void select_again(struct execution *x)
{
    atomic_store_explicit(&x->request->client->database, x->database,
                          memory_order_relaxed);
}

/* The database has refused one of the commands. */
static void reply_refused(struct reply *reply,
                          const struct update_outcome *outcome)
{
    const struct slice why = outcome->detail.size > 0
                                 ? outcome->detail
                                 : slice_from_string(err_str(outcome->err));

    reply_errorf(reply,
                 "EXECABORT Transaction rolled back, nothing was changed: "
                 "%.*s",
                 (int)why.size, why.data);
}

static void answer_command(struct execution *x, struct queued *queued,
                           const struct update_outcome *outcome)
{
    struct request *r = &queued->request;

    account_begin(r);
    if (queued->on_outcome != NULL) {
        const struct update_outcome part = {.err = ERR_OK,
                                            .detail = SLICE(""),
                                            .results = outcome->results +
                                                       queued->first_update,
                                            .n = queued->n_updates};
        r->reply.protocol = r->client->protocol;
        queued->on_outcome(queued->arg, &part);
        queued->done = true;
    } else if (!queued->done) {
        run(x, queued);
        assert(queued->done);
    }
    account_end(r);
}

static void answer_all(struct execution *x,
                       const struct update_outcome *outcome)
{
    struct reply *reply = &x->request->reply;

    account_now();
    reply_array(reply, x->transaction->n_queued);
    for (struct queued *q = x->transaction->first; q != NULL; q = q->next) {
        answer_command(x, q, outcome);
        buf_append_slice(reply->out, buf_slice(&q->request.own));
        buf_destroy(&q->request.own);
        request_clear(&q->request);
    }
}

static void answer(struct execution *x, const struct update_outcome *outcome)
{
    struct reply *reply = &x->request->reply;

    if (outcome->err != ERR_OK) {
        select_again(x);
    }
    switch (outcome->err) {
    case ERR_OK:
        answer_all(x, outcome);
        break;
    case ERR_CONFLICT:
        reply_null_array(reply);
        break;
    case ERR_CONSTRAINT:
    case ERR_INVALID:
    case ERR_RANGE:
    case ERR_TOO_BIG:
    case ERR_WRONG_TYPE:
    case ERR_READONLY:
        reply_refused(reply, outcome);
        break;
    default: {
        struct buf detail = {0};
        buf_append_slice(&detail, outcome->detail);
        reply_err(reply, outcome->err, buf_string(&detail));
        buf_destroy(&detail);
    }
    }
}

/* ---- the way there and back ---- */

static bool unchanged(void *arg)
{
    struct execution *x = arg;

    x->found_bytes = 0; /* Whatever comes now comes from the beginning. */
    return watch_set_unchanged(&x->transaction->watched);
}

static void on_done(void *arg, const struct update_outcome *outcome)
{
    struct execution *x = arg;
    struct request *request = x->request;

    if (request->client != NULL) {
        answer(x, outcome);
    }
    if (!x->starting) {
        execution_free(x);
        request_finish(request);
    }
}

/* True if all is over. */
static bool start_group(struct execution *x)
{
    const struct client *client = x->request->client;
    const struct update_caller caller = {.home = client->home,
                                         .done = on_done,
                                         .arg = x,
                                         .check = unchanged,
                                         .origin = client->id};

    if (x->no_memory) {
        select_again(x);
        reply_err(&x->request->reply, ERR_NOMEM, NULL);
        return true;
    }
    if (x->n_updates == 0) {
        on_done(x, &(struct update_outcome){.err = ERR_OK});
        return true;
    }
    if (write_refuses_mix(x->request, x->updates, x->n_updates)) {
        select_again(x);
        return true;
    }
    return update_start(client->server->lookup, x->updates, x->n_updates,
                        &caller);
}

enum command_status execution_start(struct request *request,
                                    struct transaction *transaction)
{
    struct execution *x = xcalloc(1, sizeof *x);

    x->request = request;
    x->transaction = transaction;
    x->database = (int)client_database(request->client);
    x->starting = true;
    /* Asked again in the order of writes; here it saves the way there. */
    if (!unchanged(x)) {
        reply_null_array(&request->reply);
        execution_free(x);
        return COMMAND_DONE;
    }
    for (struct queued *q = transaction->first; q != NULL; q = q->next) {
        q->request.client = request->client;
        if (monitor_is_on(request->client->server)) {
            monitor_tell(&q->request);
        }
        if (runs_first(q->request.command)) {
            run(x, q);
        }
    }
    tracking_end_caching(request->client);
    if (start_group(x)) {
        execution_free(x);
        return COMMAND_DONE;
    }
    x->starting = false;
    return COMMAND_PENDING;
}
