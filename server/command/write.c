/* SPDX-License-Identifier: MIT */
#include "server/command/write.h"

#include "common/mem.h"
#include "server/command/parts.h"
#include "server/store/store.h"

#include <assert.h>

/* Updates under way for one request. */
struct written {
    struct request *request;
    write_outcome_fn *on_outcome; /* One of these two. */
    write_answer_fn *on_answer;
    bool (*check)(void *arg);
    void *check_arg;
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

static void on_done(void *arg, const struct update_outcome *outcome)
{
    struct written *w = arg;
    struct request *request = w->request;
    const bool at_once = w->starting;

    if (w->on_answer != NULL) {
        answer_sum(w, outcome);
    } else {
        w->on_outcome(request, outcome);
    }
    free(w);
    if (!at_once) {
        request_finish(request);
    }
}

static bool on_check(void *arg)
{
    struct written *w = arg;

    return w->check(w->check_arg);
}

static enum command_status start(struct written *w,
                                 const struct update *updates, size_t n)
{
    struct client *client = w->request->client;
    const struct update_caller caller = {.home = client->home,
                                         .done = on_done,
                                         .arg = w,
                                         .check = w->check != NULL ? on_check
                                                                   : NULL};

    w->starting = true;
    if (update_start(client->server->lookup, updates, n, &caller)) {
        return COMMAND_DONE; /* And 'w' is gone. */
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

static struct written *written_new(struct request *request)
{
    struct written *w = xcalloc(1, sizeof *w);

    w->request = request;
    return w;
}

enum command_status write_keys(struct request *request,
                               const struct update *update,
                               const struct slice *keys, size_t n,
                               write_answer_fn *on_answer)
{
    struct update *updates = xcalloc(n, sizeof *updates);
    struct written *w = written_new(request);

    assert(n > 0);
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
    return write_keys(request, update, &update->key, 1, on_answer);
}

enum command_status write_updates_checked(struct request *request,
                                          const struct update *updates,
                                          size_t n, bool (*check)(void *arg),
                                          void *arg,
                                          write_outcome_fn *on_outcome)
{
    struct written *w = written_new(request);

    w->on_outcome = on_outcome;
    w->check = check;
    w->check_arg = arg;
    return start(w, updates, n);
}

enum command_status write_updates(struct request *request,
                                  const struct update *updates, size_t n,
                                  write_outcome_fn *on_outcome)
{
    return write_updates_checked(request, updates, n, NULL, NULL, on_outcome);
}
