/* SPDX-License-Identifier: MIT */
#include "server/command/write.h"

#include "common/mem.h"
#include "server/command/parts.h"
#include "server/store/store.h"

/* The writes of one request: all results added up. */
struct batch {
    struct request *request;
    write_answer_fn *on_answer;
    struct update_result sum;
    struct buf detail; /* Of the first error. */
    size_t n_pending;
};

static void add_result(struct batch *b, const struct update_result *result)
{
    if (result->err != ERR_OK && b->sum.err == ERR_OK) {
        b->sum.err = result->err;
        buf_append_slice(&b->detail, result->detail);
    }
    b->sum.n_changed += result->n_changed;
    b->sum.n_new_fields += result->n_new_fields;
}

static void answer_batch(struct batch *b)
{
    if (b->sum.err != ERR_OK) {
        reply_err(&b->request->reply, b->sum.err, buf_string(&b->detail));
    } else {
        b->on_answer(b->request, &b->sum);
    }
    buf_destroy(&b->detail);
}

static void on_done(void *arg, const struct update_result *result)
{
    struct batch *b = arg;
    struct request *request = b->request;

    add_result(b, result);
    if (--b->n_pending > 0) {
        return;
    }
    answer_batch(b);
    free(b);
    request_finish(request);
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

enum command_status write_keys(struct request *request,
                               const struct update *update,
                               const struct slice *keys, size_t n,
                               write_answer_fn *on_answer)
{
    struct client *client = request->client;
    struct batch *b = xcalloc(1, sizeof *b);
    const struct update_caller caller = {
        .home = client->home, .done = on_done, .arg = b};

    b->request = request;
    b->on_answer = on_answer;
    for (size_t i = 0; i < n; i++) {
        struct update one = *update;
        struct update_result result;
        one.key = keys[i];
        one.op = op_for(request, update, keys[i]);
        /* done() comes by the loop, not before we return. */
        if (update_start(client->server->lookup, &one, &caller, &result)) {
            add_result(b, &result);
        } else {
            b->n_pending++;
        }
    }
    if (b->n_pending > 0) {
        return COMMAND_PENDING;
    }
    answer_batch(b);
    free(b);
    return COMMAND_DONE;
}

enum command_status write_key(struct request *request,
                              const struct update *update,
                              write_answer_fn *on_answer)
{
    return write_keys(request, update, &update->key, 1, on_answer);
}
