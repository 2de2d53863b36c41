/* SPDX-License-Identifier: MIT */
#include "server/command/transaction.h"

#include "common/clock.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/command/parts.h"
#include "server/lookup/watch.h"

/* ---- watched keys ---- */

bool watch_set_unchanged(const struct watch_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct watch *w = &set->list[i];
        if (watched_version(w->watched) != w->version ||
            (w->expires_ms != 0 && w->expires_ms <= clock_wall_ms())) {
            return false;
        }
    }
    return true;
}

void watch_set_destroy(struct watch_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        watches_remove(set->watches, set->list[i].watched);
    }
    free(set->list);
    *set = (struct watch_set){0};
}

/* One key after the other, of each the oldest version first. */
static int compare(const void *left, const void *right)
{
    const struct watch *a = left;
    const struct watch *b = right;

    if (a->watched != b->watched) {
        return (uintptr_t)a->watched < (uintptr_t)b->watched ? -1 : 1;
    }
    return a->version < b->version ? -1 : a->version > b->version;
}

/* Who watches a key again and again still watches it once, as it was first. */
static void drop_repeated(struct watch_set *set)
{
    size_t n = 0;

    qsort(set->list, set->n, sizeof set->list[0], compare);
    for (size_t i = 0; i < set->n; i++) {
        if (n > 0 && set->list[n - 1].watched == set->list[i].watched) {
            watches_remove(set->watches, set->list[i].watched);
        } else {
            set->list[n++] = set->list[i];
        }
    }
    set->n = n;
}

/* ---- the state of a client ---- */

static struct transaction *transaction_of(struct client *client)
{
    if (client->transaction == NULL) {
        client->transaction = xcalloc(1, sizeof *client->transaction);
    }
    return client->transaction;
}

/* Lets CLIENT LIST see queue and watched keys. */
static void publish(struct client *client)
{
    const struct transaction *t = client->transaction;
    const bool open = transaction_is_open(client);

    atomic_store_explicit(&client->queued_commands,
                          open ? (int)t->n_queued + 1 : 0,
                          memory_order_relaxed);
    atomic_store_explicit(&client->queued_bytes, open ? t->bytes : 0,
                          memory_order_relaxed);
    atomic_store_explicit(&client->watched_keys, t != NULL ? t->watched.n : 0,
                          memory_order_relaxed);
}

void transaction_watch(struct client *client, struct watch_set *set)
{
    struct watch_set *all = &transaction_of(client)->watched;

    if (all->n == 0) {
        *all = *set;
    } else {
        all->list =
            xrealloc(all->list, (all->n + set->n) * sizeof all->list[0]);
        memcpy(all->list + all->n, set->list, set->n * sizeof set->list[0]);
        all->n += set->n;
        free(set->list);
    }
    *set = (struct watch_set){0};
    drop_repeated(all);
    publish(client);
}

void transaction_unwatch(struct client *client)
{
    if (client->transaction != NULL) {
        watch_set_destroy(&client->transaction->watched);
        publish(client);
    }
}

bool transaction_begin(struct client *client)
{
    struct transaction *t = transaction_of(client);

    if (t->open) {
        return false;
    }
    t->open = true;
    publish(client);
    return true;
}

void transaction_fail(struct client *client)
{
    if (transaction_is_open(client)) {
        client->transaction->failed = true;
    }
}

struct transaction *transaction_take(struct client *client)
{
    struct transaction *t = client->transaction;

    client->transaction = NULL;
    publish(client);
    return t;
}

void transaction_end(struct client *client)
{
    transaction_free(transaction_take(client));
}

void transaction_free(struct transaction *t)
{
    if (t == NULL) {
        return;
    }
    while (t->first != NULL) {
        struct queued *queued = t->first;
        t->first = queued->next;
        request_clear(&queued->request);
        buf_destroy(&queued->request.own);
        free(queued);
    }
    watch_set_destroy(&t->watched);
    free(t);
}

/* ---- the queue ---- */

static size_t cost(const struct request *r)
{
    size_t bytes = sizeof(struct queued) + r->argc * sizeof r->argv[0];

    for (size_t i = 0; i < r->argc; i++) {
        bytes += r->argv[i].size;
    }
    return bytes;
}

enum command_status transaction_queue(struct request *r)
{
    struct transaction *t = r->client->transaction;
    const size_t bytes = cost(r);
    const size_t limit = (size_t)config_number(
        r->client->server->config, CONFIG_client_query_buffer_limit);

    if (t->failed) { /* EXEC will not look at it. */
        reply_simple(&r->reply, "QUEUED");
        return COMMAND_DONE;
    }
    /* The limit may be lower than it was. */
    if (bytes > limit || t->bytes > limit - bytes) {
        t->failed = true;
        reply_err(&r->reply, ERR_TOO_BIG,
                  "a transaction is at most client-query-buffer-limit");
        return COMMAND_DONE;
    }
    struct queued *queued = xcalloc(1, sizeof *queued);
    queued->request = (struct request){.command = r->command,
                                       .class = r->class,
                                       .argv = r->argv,
                                       .argc = r->argc};
    request_keep_args(&queued->request);
    if (t->first == NULL) {
        t->first = queued;
    } else {
        t->last->next = queued;
    }
    t->last = queued;
    t->n_queued++;
    t->bytes += bytes;
    publish(r->client);
    reply_simple(&r->reply, "QUEUED");
    return COMMAND_DONE;
}
