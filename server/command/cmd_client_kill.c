/* SPDX-License-Identifier: MIT */
/*
 * CLIENT KILL and CLIENT UNBLOCK: what is done to clients on other loops.
 *
 *     this loop ── a task for each ──► its loop: kill ── a task back ──► this
 *
 * The reply waits for all the tasks to come back, so whoever reads it knows
 * that those clients are gone, and that nothing of theirs will run any more.
 * Inside EXEC it does not wait.
 */
#include "common/mem.h"
#include "common/task.h"
#include "server/command/args.h"
#include "server/command/client_filter.h"
#include "server/command/clients.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"

/* A request and the tasks that it has sent out; of the request's loop. */
struct round {
    struct request *request; /* NULL: does not wait. */
    struct chan_tx home;
    size_t n_out; /* Tasks not back yet; plus 1 while they are sent. */
    bool with_error;
    /* Called when all are back, with how often something was done. */
    void (*reply)(struct request *request, int64_t n_done);
    int64_t n_done;
};

/* One task. */
struct leg {
    struct round *round;
    bool (*act)(struct client *client, const struct round *round);
    bool done;
};

static void end_leg(struct round *round)
{
    if (--round->n_out > 0) {
        return;
    }
    if (round->request != NULL) {
        round->reply(round->request, round->n_done);
        request_finish(round->request);
    }
    free(round);
}

static void come_back(void *arg)
{
    struct leg *leg = arg;

    leg->round->n_done += leg->done;
    end_leg(leg->round);
    free(leg);
}

static void arrive(struct client *client, void *arg)
{
    struct leg *leg = arg;

    leg->done = client != NULL && leg->act(client, leg->round);
    if (!task_post(leg->round->home, come_back, leg)) {
        /* That loop has ended, and its tasks are run here: nobody else has
         * the round. */
        come_back(leg);
    }
}

static bool kill_one(struct client *client, const struct round *round)
{
    (void)round;
    client->on_kill(client);
    return true;
}

static bool unblock_one(struct client *client, const struct round *round)
{
    return client->on_unblock(client, round->with_error);
}

static struct round *
begin(struct request *r, void (*reply)(struct request *request, int64_t n_done))
{
    struct round *round = xmalloc(sizeof *round);

    *round = (struct round){.request = r->execution == NULL ? r : NULL,
                            .home = r->client->home,
                            .n_out = 1,
                            .reply = reply};
    return round;
}

static bool send_out(struct round *round, struct clients *clients, uint64_t id,
                     bool (*act)(struct client *client,
                                 const struct round *round))
{
    struct leg *leg = xmalloc(sizeof *leg);

    *leg = (struct leg){.round = round, .act = act};
    round->n_out++;
    if (!clients_send(clients, id, arrive, leg)) {
        round->n_out--;
        free(leg);
        return false;
    }
    return true;
}

/* All is sent; 'n_sent' is the answer of a request that does not wait. */
static enum command_status wait_for(struct round *round, struct request *r,
                                    int64_t n_sent)
{
    if (round->request == NULL || round->n_out == 1) {
        round->reply(r, n_sent);
        round->request = NULL;
        end_leg(round);
        return COMMAND_DONE;
    }
    round->n_out--;
    return COMMAND_PENDING;
}

/* ---- KILL ---- */

static void reply_count(struct request *r, int64_t n)
{
    reply_integer(&r->reply, n);
}

static void reply_ok_or_none(struct request *r, int64_t n)
{
    if (n == 0) {
        reply_error(&r->reply, "ERR No such client");
    } else {
        reply_ok(&r->reply);
    }
}

/* The client itself goes when it has its reply. */
static enum command_status kill_all(struct request *r,
                                    const struct client_filter *filter,
                                    void (*reply)(struct request *, int64_t))
{
    struct clients *clients = r->client->server->clients;
    struct round *round = begin(r, reply);
    int64_t n_sent = 0;
    size_t n;
    uint64_t *ids = clients_select(clients, filter, &n);

    for (size_t i = 0; i < n; i++) {
        if (ids[i] == r->client->id) {
            r->client->close_after_reply = true;
            round->n_done++;
            n_sent++;
        } else if (send_out(round, clients, ids[i], kill_one)) {
            n_sent++;
        }
    }
    free(ids);
    return wait_for(round, r, n_sent);
}

enum command_status cmd_client_kill(struct request *r)
{
    struct client_filter filter;

    if (r->argc == 3) {
        filter = (struct client_filter){.address = r->argv[2]};
        return kill_all(r, &filter, reply_ok_or_none);
    }
    if (!client_filter_parse(r, 2, &filter)) {
        return COMMAND_DONE;
    }
    return kill_all(r, &filter, reply_count);
}

/* ---- UNBLOCK ---- */

enum command_status cmd_client_unblock(struct request *r)
{
    int64_t id;
    bool with_error = false;

    if (r->argc > 4) {
        return done_wrong_subcommand(r);
    }
    if (r->argc == 4 && arg_is(r, 3, "ERROR")) {
        with_error = true;
    } else if (r->argc == 4 && !arg_is(r, 3, "TIMEOUT")) {
        reply_error(&r->reply,
                    "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return COMMAND_DONE;
    }
    if (!arg_integer(r, 2, &id)) {
        return COMMAND_DONE;
    }
    struct round *round = begin(r, reply_count);
    round->with_error = with_error;
    const bool sent =
        send_out(round, r->client->server->clients, (uint64_t)id, unblock_one);
    return wait_for(round, r, sent);
}
