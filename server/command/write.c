/* SPDX-License-Identifier: MIT */
#include "server/command/write.h"

#include "common/mem.h"
#include "server/admin/config.h"
#include "server/command/execution.h"
#include "server/command/parts.h"
#include "server/store/store.h"

#include <assert.h>

/* Updates under way for one request. */
struct written {
    struct request *request;
    write_outcome_fn *on_outcome; /* One of these two. */
    write_answer_fn *on_answer;
    bool starting; /* update_start() has not returned. */
};

bool write_reply_failed(struct request *request,
                        const struct update_outcome *outcome)
{
    enum err err = outcome->err;
    struct slice detail = outcome->detail;

    for (size_t i = 0; i < outcome->n && err == ERR_OK; i++) {
        err = outcome->results[i].err;
        detail = outcome->results[i].detail;
    }
    if (err != ERR_OK) {
        struct buf text = {0};
        buf_append_slice(&text, detail);
        reply_err(&request->reply, err, buf_string(&text));
        buf_destroy(&text);
    }
    return err != ERR_OK;
}

static void answer_sum(struct written *w, const struct update_outcome *outcome)
{
    struct update_result sum = {.err = ERR_OK, .detail = SLICE("")};

    if (write_reply_failed(w->request, outcome)) {
        return;
    }
    for (size_t i = 0; i < outcome->n; i++) {
        sum.n_changed += outcome->results[i].n_changed;
        sum.n_created += outcome->results[i].n_created;
        sum.n_new_fields += outcome->results[i].n_new_fields;
    }
    w->on_answer(w->request, &sum);
}

static void answer(struct written *w, const struct update_outcome *outcome)
{
    if (w->on_answer != NULL) {
        answer_sum(w, outcome);
    } else {
        w->on_outcome(w->request, outcome);
    }
}

static void on_done(void *arg, const struct update_outcome *outcome)
{
    struct written *w = arg;
    struct request *request = w->request;

    if (request->client != NULL) {
        answer(w, outcome);
    }
    if (!w->starting) {
        request_finish(request);
    }
}

/* As part of an EXEC. */
static void on_part_done(void *arg, const struct update_outcome *outcome)
{
    answer(arg, outcome);
}

bool write_refuses_mix(struct request *request, const struct update *updates,
                       size_t n)
{
    const struct config *config = request->client->server->config;
    size_t n_records = 0;

    if (n < 2 || config_number(config, CONFIG_plain_writes) != WRITES_NONE) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        n_records += write_is_record(request, updates[i].key);
    }
    if (n_records == 0 || n_records == n) {
        return false;
    }
    reply_error(&request->reply,
                "ERR a transaction with both records and plain keys needs "
                "plain-writes through or behind: nothing was changed");
    return true;
}

static enum command_status start(struct written *w,
                                 const struct update *updates, size_t n)
{
    struct client *client = w->request->client;
    const struct update_caller caller = {
        .home = client->home, .done = on_done, .arg = w, .origin = client->id};

    if (w->request->execution != NULL) {
        return execution_add(w->request, updates, n, on_part_done, w);
    }
    if (write_refuses_mix(w->request, updates, n)) {
        return COMMAND_DONE;
    }
    w->starting = true;
    if (update_start(client->server->lookup, updates, n, &caller)) {
        return COMMAND_DONE;
    }
    w->starting = false; /* on_done() comes by this loop. */
    return COMMAND_PENDING;
}

bool write_is_record(const struct request *request, struct slice key)
{
    struct slice id;

    return mapping_find(store_mappings(request->client->server->store), key,
                        &id) != NULL;
}

/* The operation for one of many keys: a delete is of a row or a plain key. */
static enum store_op op_for(const struct request *request,
                            const struct update *update, struct slice key)
{
    return update->op == STORE_DELETE_PLAIN && write_is_record(request, key)
               ? STORE_DELETE_ROW
               : update->op;
}

/* NULL without memory, which is replied. */
static struct written *written_new(struct request *request)
{
    struct written *w = request_room(request, sizeof *w);

    if (w == NULL) {
        reply_err(&request->reply, ERR_NOMEM, NULL);
        return NULL;
    }
    w->request = request;
    return w;
}

enum command_status write_keys(struct request *request,
                               const struct update *update,
                               const struct slice *keys, size_t n,
                               write_answer_fn *on_answer)
{
    struct written *w = written_new(request);
    struct update *updates = try_malloc(n * sizeof *updates);

    assert(n > 0);
    if (w == NULL || updates == NULL) {
        free(updates);
        if (w != NULL) {
            reply_err(&request->reply, ERR_NOMEM, NULL);
        }
        return COMMAND_DONE;
    }
    for (size_t i = 0; i < n; i++) {
        updates[i] = *update;
        updates[i].key = keys[i];
        updates[i].op = op_for(request, update, keys[i]);
    }
    w->on_answer = on_answer;
    const enum command_status status = start(w, updates, n);
    free(updates);
    return status;
}

enum command_status write_key(struct request *request,
                              const struct update *update,
                              write_answer_fn *on_answer)
{
    struct written *w = written_new(request);

    if (w == NULL) {
        return COMMAND_DONE;
    }
    w->on_answer = on_answer;
    return start(w, update, 1);
}

enum command_status write_updates(struct request *request,
                                  const struct update *updates, size_t n,
                                  write_outcome_fn *on_outcome)
{
    struct written *w = written_new(request);

    if (w == NULL) {
        return COMMAND_DONE;
    }
    w->on_outcome = on_outcome;
    return start(w, updates, n);
}
