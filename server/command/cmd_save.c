/* SPDX-License-Identifier: MIT */
/*
 * SAVE BGSAVE BGREWRITEAOF: everything acknowledged is to be in the store.
 *
 * The store saves by itself; these only wait for it, or have it begin, by a
 * write that changes nothing and ends after all that were acknowledged before.
 * Plain keys under 'plain-writes none' stay in memory.
 */
#include "common/log.h"
#include "common/mem.h"
#include "common/task.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/store/store.h"

struct saving {
    struct store_write barrier;
    struct request *request; /* NULL: nobody waits. */
    struct chan_tx home;
    enum err err;
};

/* On the loop. */
static void finish(void *arg)
{
    struct saving *saving = arg;
    struct request *request = saving->request;

    if (request->client != NULL && saving->err == ERR_OK) {
        reply_ok(&request->reply);
    } else if (request->client != NULL) {
        reply_err(&request->reply, saving->err, NULL);
    }
    free(saving);
    request_finish(request);
}

/* On the writer's thread. */
static void done(struct store_write *write, enum err err, struct slice detail)
{
    struct saving *saving = container_of(write, struct saving, barrier);

    if (err != ERR_OK) {
        log_warn("command: not saved err=%s: %.*s", err_str(err),
                 (int)detail.size, detail.data);
    }
    saving->err = err;
    if (saving->request == NULL || !task_post(saving->home, finish, saving)) {
        free(saving);
    }
}

/* Begins to save, for 'waiter' unless it is NULL; false on error, which is
 * replied to 'r'. */
static bool start(struct request *r, struct request *waiter)
{
    struct saving *saving = xcalloc(1, sizeof *saving);

    saving->barrier.op = STORE_BARRIER;
    saving->barrier.key = SLICE("");
    saving->barrier.done = done;
    saving->request = waiter;
    saving->home = r->client->home;
    const enum err err =
        store_write_start(r->client->server->store, &saving->barrier);
    if (err != ERR_OK) {
        free(saving);
        reply_err(&r->reply, err, NULL);
    }
    return err == ERR_OK;
}

enum command_status cmd_save(struct request *r)
{
    return start(r, r) ? COMMAND_PENDING : COMMAND_DONE;
}

enum command_status cmd_bgsave(struct request *r)
{
    if (r->argc > 2 || (r->argc == 2 && !arg_is(r, 1, "SCHEDULE"))) {
        return done_syntax_error(r);
    }
    if (start(r, NULL)) {
        reply_simple(&r->reply, "Background saving started");
    }
    return COMMAND_DONE;
}

enum command_status cmd_bgrewriteaof(struct request *r)
{
    if (start(r, NULL)) {
        reply_simple(&r->reply,
                     "Background append only file rewriting started");
    }
    return COMMAND_DONE;
}
