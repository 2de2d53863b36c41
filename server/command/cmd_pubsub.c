/* SPDX-License-Identifier: MIT */
/*
 * SUBSCRIBE and its family, PUBLISH, SPUBLISH, PUBSUB.
 *
 * Source: the replies of Redis 7.0.
 */
#include "common/mem.h"
#include "common/task.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/command/pubsub.h"
#include "server/lookup/lost.h"

static struct pubsub *pubsub_of(const struct request *r)
{
    return r->client->server->pubsub;
}

/* ---- subscribing ---- */

static const struct {
    const char *begin;
    const char *end;
} verbs[PUBSUB_KINDS] = {
    [PUBSUB_CHANNEL] = {"subscribe", "unsubscribe"},
    [PUBSUB_PATTERN] = {"psubscribe", "punsubscribe"},
    [PUBSUB_SHARD] = {"ssubscribe", "sunsubscribe"},
};

/* The count of Redis' replies: shard channels are counted apart. */
static int64_t n_subscriptions(const struct client *client,
                               enum pubsub_kind kind)
{
    if (kind == PUBSUB_SHARD) {
        return (int64_t)client_subscriptions(client, PUBSUB_SHARD);
    }
    return (int64_t)(client_subscriptions(client, PUBSUB_CHANNEL) +
                     client_subscriptions(client, PUBSUB_PATTERN));
}

static enum command_status subscribe(struct request *r, enum pubsub_kind kind)
{
    r->is_pushing = true;
    for (size_t i = 1; i < r->argc; i++) {
        if (!pubsub_subscribe(pubsub_of(r), r->client, kind, r->argv[i])) {
            reply_err(&r->reply, ERR_NOMEM, NULL);
            return COMMAND_DONE;
        }
        reply_push(&r->reply, 3);
        reply_bulk_string(&r->reply, verbs[kind].begin);
        reply_bulk(&r->reply, r->argv[i]);
        reply_integer(&r->reply, n_subscriptions(r->client, kind));
    }
    if (pubsub_hears_changes(pubsub_of(r))) {
        lost_want(r->client->server->lookup, LOSSES_FOR_EVENTS,
                  true); /* From now on. */
    }
    return COMMAND_DONE;
}

/* Ends 's', unless that is NULL, and tells so of 'name'. */
static void end(struct request *r, enum pubsub_kind kind,
                struct subscription *s, struct slice name)
{
    reply_push(&r->reply, 3);
    reply_bulk_string(&r->reply, verbs[kind].end);
    reply_bulk(&r->reply, name); /* May be the subscription's own. */
    if (s != NULL) {
        pubsub_end(pubsub_of(r), s);
    }
    reply_integer(&r->reply, n_subscriptions(r->client, kind));
}

static enum command_status unsubscribe(struct request *r, enum pubsub_kind kind)
{
    struct subscription *s = pubsub_first(r->client, kind);

    r->is_pushing = true;
    for (size_t i = 1; i < r->argc; i++) {
        const struct slice name = r->argv[i];
        end(r, kind, pubsub_find(r->client, kind, name), name);
    }
    if (r->argc > 1) {
        return COMMAND_DONE;
    }
    if (s == NULL) {
        reply_push(&r->reply, 3);
        reply_bulk_string(&r->reply, verbs[kind].end);
        reply_null(&r->reply);
        reply_integer(&r->reply, n_subscriptions(r->client, kind));
    }
    while (s != NULL) {
        struct subscription *next = pubsub_next(s);
        end(r, kind, s, pubsub_name(s));
        s = next;
    }
    return COMMAND_DONE;
}

enum command_status cmd_subscribe(struct request *r)
{
    return subscribe(r, PUBSUB_CHANNEL);
}

enum command_status cmd_psubscribe(struct request *r)
{
    return subscribe(r, PUBSUB_PATTERN);
}

enum command_status cmd_ssubscribe(struct request *r)
{
    return subscribe(r, PUBSUB_SHARD);
}

enum command_status cmd_unsubscribe(struct request *r)
{
    return unsubscribe(r, PUBSUB_CHANNEL);
}

enum command_status cmd_punsubscribe(struct request *r)
{
    return unsubscribe(r, PUBSUB_PATTERN);
}

enum command_status cmd_sunsubscribe(struct request *r)
{
    return unsubscribe(r, PUBSUB_SHARD);
}

/* ---- publishing ---- */

/* A PUBLISH that is answered when a loop has delivered what it had. */
struct wait {
    struct request *request;
    struct chan_tx home;
    int64_t n_receivers;
};

static void finish(void *arg)
{
    struct wait *wait = arg;

    reply_integer(&wait->request->reply, wait->n_receivers);
    request_finish(wait->request);
    free(wait);
}

/* On the loop that was waited for. */
static void go_home(void *arg)
{
    struct wait *wait = arg;

    if (!task_post(wait->home, finish, wait)) {
        finish(wait); /* It has ended, and its clients with it. */
    }
}

/* Answers 'n' when all that was sent to 'where' so far is delivered. */
static enum command_status answer_after(struct request *r, struct chan_tx where,
                                        int64_t n)
{
    struct wait *wait = xmalloc(sizeof *wait);

    *wait =
        (struct wait){.request = r, .home = r->client->home, .n_receivers = n};
    r->pushes_first = true;
    if (task_post(where, go_home, wait)) {
        return COMMAND_PENDING;
    }
    free(wait);
    reply_integer(&r->reply, n);
    return COMMAND_DONE;
}

static enum command_status publish(struct request *r, enum pubsub_kind kind)
{
    struct chan_tx crowded;
    const int64_t n = (int64_t)pubsub_publish(pubsub_of(r), kind, r->argv[1],
                                              r->argv[2], &crowded);

    if (r->execution == NULL && crowded.chan != NULL) {
        return answer_after(r, crowded, n);
    }
    if (r->execution == NULL && client_is_subscriber(r->client)) {
        /* The message comes before the reply, as in Redis. */
        return answer_after(r, r->client->home, n);
    }
    reply_integer(&r->reply, n);
    return COMMAND_DONE;
}

enum command_status cmd_publish(struct request *r)
{
    return publish(r, PUBSUB_CHANNEL);
}

enum command_status cmd_spublish(struct request *r)
{
    return publish(r, PUBSUB_SHARD);
}

/* ---- PUBSUB ---- */

struct names {
    struct buf list;
    struct reply reply;
    size_t n;
};

static void add_name(void *arg, struct slice name)
{
    struct names *names = arg;

    reply_bulk(&names->reply, name);
    names->n++;
}

static enum command_status reply_names(struct request *r, enum pubsub_kind kind)
{
    struct names names = {.reply.protocol = r->reply.protocol};

    if (r->argc > 3) {
        reply_errorf(&r->reply,
                     "ERR unknown subcommand or wrong number of arguments for "
                     "'%.*s'. Try PUBSUB HELP.",
                     shown(r->argv[1]), r->argv[1].data);
        return COMMAND_DONE;
    }
    names.reply.out = &names.list;
    pubsub_visit(pubsub_of(r), kind, r->argc == 3 ? r->argv[2] : SLICE("*"),
                 add_name, &names);
    reply_array(&r->reply, names.n);
    buf_append_slice(r->reply.out, buf_slice(&names.list));
    buf_destroy(&names.list);
    return COMMAND_DONE;
}

static enum command_status reply_counts(struct request *r,
                                        enum pubsub_kind kind)
{
    reply_array(&r->reply, 2 * (r->argc - 2));
    for (size_t i = 2; i < r->argc; i++) {
        reply_bulk(&r->reply, r->argv[i]);
        reply_integer(&r->reply, (int64_t)pubsub_subscribers(pubsub_of(r), kind,
                                                             r->argv[i]));
    }
    return COMMAND_DONE;
}

enum command_status cmd_pubsub_channels(struct request *r)
{
    return reply_names(r, PUBSUB_CHANNEL);
}

enum command_status cmd_pubsub_shardchannels(struct request *r)
{
    return reply_names(r, PUBSUB_SHARD);
}

enum command_status cmd_pubsub_numsub(struct request *r)
{
    return reply_counts(r, PUBSUB_CHANNEL);
}

enum command_status cmd_pubsub_shardnumsub(struct request *r)
{
    return reply_counts(r, PUBSUB_SHARD);
}

enum command_status cmd_pubsub_numpat(struct request *r)
{
    reply_integer(&r->reply,
                  (int64_t)pubsub_count(pubsub_of(r), PUBSUB_PATTERN));
    return COMMAND_DONE;
}

enum command_status cmd_pubsub_help(struct request *r)
{
    command_reply_help(r, "pubsub");
    return COMMAND_DONE;
}
