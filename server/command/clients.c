/* SPDX-License-Identifier: MIT */
#include "server/command/clients.h"

#include "common/clock.h"
#include "common/lock.h"
#include "common/mem.h"
#include "server/command/command.h"
#include "server/command/transaction.h"

#include <assert.h>

struct clients {
    struct mutex lock; /* Rank LOCK_CLIENTS; held over the formatting of one
                          CLIENT LIST at the longest. */
    struct client *first GUARDED_BY(lock);
    struct client *last GUARDED_BY(lock);
    size_t count GUARDED_BY(lock);
    struct table by_id GUARDED_BY(lock);
    uint64_t last_id GUARDED_BY(lock);
};

struct clients *clients_new(void)
{
    struct clients *clients = xcalloc(1, sizeof *clients);

    mutex_init(&clients->lock, LOCK_CLIENTS, "clients");
    return clients;
}

void clients_free(struct clients *clients)
{
    if (clients == NULL) {
        return;
    }
    mutex_lock(&clients->lock);
    table_destroy(&clients->by_id);
    mutex_unlock(&clients->lock);
    mutex_destroy(&clients->lock);
    free(clients);
}

bool clients_add(struct clients *clients, struct client *client, size_t max)
{
    mutex_lock(&clients->lock);
    const bool room = clients->count < max;
    if (room) {
        client->id = ++clients->last_id;
        client->previous = clients->last;
        client->next = NULL;
        if (clients->last != NULL) {
            clients->last->next = client;
        } else {
            clients->first = client;
        }
        clients->last = client;
        clients->count++;
        table_insert(&clients->by_id, &client->by_id, client->id);
    }
    mutex_unlock(&clients->lock);
    return room;
}

void clients_remove(struct clients *clients, struct client *client)
{
    transaction_end(client);
    mutex_lock(&clients->lock);
    if (client->previous != NULL) {
        client->previous->next = client->next;
    } else {
        clients->first = client->next;
    }
    if (client->next != NULL) {
        client->next->previous = client->previous;
    } else {
        clients->last = client->previous;
    }
    clients->count--;
    table_remove(&clients->by_id, &client->by_id);
    mutex_unlock(&clients->lock);

    free(client->name);
    free(client->library_name);
    free(client->library_version);
}

size_t clients_count(struct clients *clients)
{
    mutex_lock(&clients->lock);
    const size_t count = clients->count;
    mutex_unlock(&clients->lock);
    return count;
}

/* Ids are their own hashes. */
static struct client *find(struct clients *clients, uint64_t id)
    REQUIRES(clients->lock)
{
    struct table_node *node = table_first(&clients->by_id, id);

    return node == NULL ? NULL : container_of(node, struct client, by_id);
}

struct client *clients_find(struct clients *clients, uint64_t id)
{
    mutex_lock(&clients->lock);
    struct client *client = find(clients, id);
    mutex_unlock(&clients->lock);
    return client;
}

bool clients_home(struct clients *clients, uint64_t id, struct chan_tx *home)
{
    mutex_lock(&clients->lock);
    const struct client *client = find(clients, id);
    if (client != NULL) {
        *home = client->home;
    }
    mutex_unlock(&clients->lock);
    return client != NULL;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

#define SHOWN(field) atomic_load_explicit(&c->field, memory_order_relaxed)

struct clients_usage clients_usage(struct clients *clients)
{
    struct clients_usage usage = {0};

    mutex_lock(&clients->lock);
    usage.count = clients->count;
    for (const struct client *c = clients->first; c != NULL; c = c->next) {
        const size_t input = SHOWN(input_capacity);
        const size_t output = SHOWN(output_bytes);
        usage.n_subscribers += SHOWN(n_subscriptions[PUBSUB_CHANNEL]) +
                                   SHOWN(n_subscriptions[PUBSUB_PATTERN]) +
                                   SHOWN(n_subscriptions[PUBSUB_SHARD]) >
                               0;
        usage.n_waiting += SHOWN(pending_requests) > 0;
        usage.bytes += sizeof *c + input + output + SHOWN(queued_bytes);
        usage.max_input_bytes = larger(usage.max_input_bytes, input);
        usage.max_output_bytes = larger(usage.max_output_bytes, output);
    }
    mutex_unlock(&clients->lock);
    return usage;
}

#undef SHOWN

void clients_set_name(struct clients *clients, char **which, struct slice name)
{
    char *copy = name.size > 0 ? xslicedup(name) : NULL;

    mutex_lock(&clients->lock);
    char *old = *which;
    *which = copy;
    mutex_unlock(&clients->lock);
    free(old);
}

/* The two are stored one after the other, so their difference may be off. */
static size_t free_bytes(size_t capacity, size_t used)
{
    return capacity > used ? capacity - used : 0;
}

static const char *or_empty(const char *string)
{
    return string != NULL ? string : "";
}

#define SHOWN(field) atomic_load_explicit(&c->field, memory_order_relaxed)

/* What the client is at: letters, at least one. */
static const char *flags_of(const struct client *c)
{
    const bool subscribed = SHOWN(n_subscriptions[PUBSUB_CHANNEL]) +
                                SHOWN(n_subscriptions[PUBSUB_PATTERN]) +
                                SHOWN(n_subscriptions[PUBSUB_SHARD]) >
                            0;
    const bool queues = SHOWN(queued_commands) > 0;

    return subscribed && queues ? "xP" : subscribed ? "P" : queues ? "x" : "N";
}

/* The lock is held: names do not change.  Source: the fields of CLIENT LIST
 * in Redis 7.2. */
static void describe(struct client *c, int64_t now_us, struct buf *out)
{
    const struct command *command =
        atomic_load_explicit(&c->last_command, memory_order_relaxed);

    buf_printf(out,
               "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld "
               "flags=%s db=0 sub=%zu psub=%zu ssub=%zu multi=%d qbuf=%zu "
               "qbuf-free=%zu argv-mem=0 multi-mem=%zu rbs=0 rbp=0 obl=%zu "
               "oll=0 omem=0 tot-mem=%zu events=r cmd=%s user=default "
               "redir=-1 resp=%d lib-name=%s lib-ver=%s pending=%zu\n",
               (unsigned long long)c->id, c->address, c->local_address, c->fd,
               or_empty(c->name),
               (long long)((now_us - c->created_us) / 1000000),
               (long long)((now_us - SHOWN(last_active_us)) / 1000000),
               flags_of(c), SHOWN(n_subscriptions[PUBSUB_CHANNEL]),
               SHOWN(n_subscriptions[PUBSUB_PATTERN]),
               SHOWN(n_subscriptions[PUBSUB_SHARD]), SHOWN(queued_commands) - 1,
               SHOWN(input_bytes),
               free_bytes(SHOWN(input_capacity), SHOWN(input_bytes)),
               SHOWN(queued_bytes), SHOWN(output_bytes),
               sizeof *c + SHOWN(input_capacity) + SHOWN(output_bytes),
               command != NULL ? command->name : "NULL", SHOWN(shown_protocol),
               or_empty(c->library_name), or_empty(c->library_version),
               SHOWN(pending_requests));
}

#undef SHOWN

void clients_describe(struct clients *clients, struct client *client,
                      struct buf *out)
{
    const int64_t now_us = clock_now_us();

    mutex_lock(&clients->lock);
    if (client != NULL) {
        describe(client, now_us, out);
    } else {
        for (struct client *c = clients->first; c != NULL; c = c->next) {
            describe(c, now_us, out);
        }
    }
    mutex_unlock(&clients->lock);
}
