/* SPDX-License-Identifier: MIT */
#include "server/command/clients.h"

#include "common/clock.h"
#include "common/lock.h"
#include "common/mem.h"
#include "common/task.h"
#include "server/command/command.h"
#include "server/command/transaction.h"
#include "server/command/user.h"

#include <assert.h>

struct clients {
    struct mutex lock; /* Rank LOCK_CLIENTS; held over the formatting of one
                          CLIENT LIST at the longest. */
    struct client *first GUARDED_BY(lock);
    struct client *last GUARDED_BY(lock);
    struct table by_id GUARDED_BY(lock);
    size_t count GUARDED_BY(lock);
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
        table_insert(&clients->by_id, &client->by_id, client->id);
        clients->count++;
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
    table_remove(&clients->by_id, &client->by_id);
    clients->count--;
    mutex_unlock(&clients->lock);

    free(client->name);
    free(client->library_name);
    free(client->library_version);
    user_unref(client->user);
    client->user = NULL;
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

/* A command of its waits for what CLIENT UNBLOCK or UNPAUSE would end. */
static bool is_blocked(const struct client *c)
{
    return SHOWN(blocked_requests) > 0 || client_has_flag(c, CLIENT_PAUSED);
}

struct clients_usage clients_usage(struct clients *clients)
{
    struct clients_usage usage = {0};

    mutex_lock(&clients->lock);
    usage.count = clients->count;
    for (const struct client *c = clients->first; c != NULL; c = c->next) {
        const size_t input = SHOWN(input_capacity);
        const size_t output = SHOWN(output_bytes) + SHOWN(held_bytes);
        usage.n_subscribers += SHOWN(n_subscriptions[PUBSUB_CHANNEL]) +
                                   SHOWN(n_subscriptions[PUBSUB_PATTERN]) +
                                   SHOWN(n_subscriptions[PUBSUB_SHARD]) >
                               0;
        usage.n_blocked += is_blocked(c);
        usage.bytes += SHOWN(memory_bytes) + SHOWN(queued_bytes);
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

void clients_set_user(struct clients *clients, struct client *client,
                      struct user *user)
{
    mutex_lock(&clients->lock);
    struct user *old = client->user;
    client->user = user;
    mutex_unlock(&clients->lock);
    user_unref(old);
}

/* ---- in words ---- */

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

static bool has_subscribed(const struct client *c)
{
    return client_subscriptions(c, PUBSUB_CHANNEL) +
               client_subscriptions(c, PUBSUB_PATTERN) +
               client_subscriptions(c, PUBSUB_SHARD) >
           0;
}

/* What the client is at: letters, at least one.  Source: Redis 7.2. */
static void append_flags(const struct client *c, struct buf *out)
{
    static const struct {
        enum client_flag flag;
        char letter;
    } later[] = {
        {CLIENT_TRACKS, 't'},   {CLIENT_BROKEN, 'R'}, {CLIENT_BCASTS, 'B'},
        {CLIENT_CLOSES, 'c'},   {CLIENT_UNIX, 'U'},   {CLIENT_NO_EVICT, 'e'},
        {CLIENT_NO_TOUCH, 'T'},
    };
    const size_t before = out->size;

    if (client_has_flag(c, CLIENT_MONITORS)) {
        buf_append_char(out, 'O');
    }
    if (has_subscribed(c)) {
        buf_append_char(out, 'P');
    }
    if (SHOWN(queued_commands) > 0) {
        buf_append_char(out, 'x');
    }
    if (is_blocked(c)) {
        buf_append_char(out, 'b');
    }
    for (size_t i = 0; i < ARRAY_LEN(later); i++) {
        if (client_has_flag(c, later[i].flag)) {
            buf_append_char(out, later[i].letter);
        }
    }
    if (out->size == before) {
        buf_append_char(out, 'N');
    }
}

static const char *events_of(const struct client *c)
{
    const bool reads = client_has_flag(c, CLIENT_READS);
    const bool writes = client_has_flag(c, CLIENT_WRITES);

    return reads && writes ? "rw" : reads ? "r" : writes ? "w" : "";
}

/* The lock is held: names do not change.  Source: the fields of CLIENT LIST
 * in Redis 7.2, and its 'watch' of 7.4. */
static void describe(struct client *c, int64_t now_us, struct buf *out)
{
    const struct command *command =
        atomic_load_explicit(&c->last_command, memory_order_relaxed);

    buf_printf(out,
               "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld "
               "flags=",
               (unsigned long long)c->id, c->address, c->local_address, c->fd,
               or_empty(c->name),
               (long long)((now_us - c->created_us) / 1000000),
               (long long)((now_us - SHOWN(last_active_us)) / 1000000));
    append_flags(c, out);
    buf_printf(out,
               " db=%d sub=%zu psub=%zu ssub=%zu multi=%d watch=%zu qbuf=%zu "
               "qbuf-free=%zu argv-mem=0 multi-mem=%zu rbs=%zu rbp=%zu "
               "obl=%zu oll=%zu omem=%zu tot-mem=%zu events=%s cmd=%s ",
               SHOWN(database), client_subscriptions(c, PUBSUB_CHANNEL),
               client_subscriptions(c, PUBSUB_PATTERN),
               client_subscriptions(c, PUBSUB_SHARD),
               SHOWN(queued_commands) - 1, SHOWN(watched_keys),
               SHOWN(input_bytes),
               free_bytes(SHOWN(input_capacity), SHOWN(input_bytes)),
               SHOWN(queued_bytes), SHOWN(output_capacity), SHOWN(output_peak),
               SHOWN(output_bytes), SHOWN(held_replies), SHOWN(held_bytes),
               SHOWN(memory_bytes) + SHOWN(queued_bytes), events_of(c),
               command != NULL ? command->name : "NULL");
    buf_printf(
        out, "user=%s redir=%lld resp=%d lib-name=%s lib-ver=%s pending=%zu\n",
        c->user->name,
        client_has_flag(c, CLIENT_TRACKS) ? (long long)SHOWN(shown_redirect)
                                          : -1LL,
        SHOWN(shown_protocol), or_empty(c->library_name),
        or_empty(c->library_version), SHOWN(pending_requests));
}

#undef SHOWN

void clients_describe(struct clients *clients, struct client *client,
                      struct buf *out)
{
    mutex_lock(&clients->lock);
    describe(client, clock_now_us(), out);
    mutex_unlock(&clients->lock);
}

/* ---- which ---- */

static bool is_named(struct slice wanted, const char *name)
{
    return wanted.data == NULL || slice_equal(wanted, slice_from_string(name));
}

static enum client_type type_of(const struct client *c)
{
    return has_subscribed(c) ? CLIENT_TYPE_PUBSUB : CLIENT_TYPE_NORMAL;
}

static bool matches(const struct client *c, const struct client_filter *f,
                    int64_t now_us)
{
    return (f->id == 0 || c->id == f->id) && c != f->other_than &&
           (f->type == CLIENT_TYPE_ANY || f->type == type_of(c)) &&
           is_named(f->address, c->address) &&
           is_named(f->local_address, c->local_address) &&
           is_named(f->user, c->user->name) &&
           now_us - c->created_us >= f->min_age_us;
}

typedef void visit_fn(struct client *client, int64_t now_us, struct buf *out);

/* Calls 'visit', under the lock, for each that 'filter' is true of. */
static void each(struct clients *clients, const struct client_filter *filter,
                 visit_fn *visit, struct buf *out)
{
    const int64_t now_us = clock_now_us();
    const bool by_id = filter->id != 0;

    mutex_lock(&clients->lock);
    struct client *c = by_id ? find(clients, filter->id) : clients->first;
    for (; c != NULL; c = by_id ? NULL : c->next) {
        if (matches(c, filter, now_us)) {
            visit(c, now_us, out);
        }
    }
    mutex_unlock(&clients->lock);
}

void clients_list(struct clients *clients, const struct client_filter *filter,
                  struct buf *out)
{
    each(clients, filter, describe, out);
}

static void add_id(struct client *c, int64_t now_us, struct buf *out)
{
    (void)now_us;
    buf_append(out, &c->id, sizeof c->id);
}

uint64_t *clients_select(struct clients *clients,
                         const struct client_filter *filter, size_t *n)
{
    struct buf ids = {0};

    each(clients, filter, add_id, &ids);
    *n = ids.size / sizeof(uint64_t);
    return (uint64_t *)(void *)ids.storage;
}

/* ---- on its loop ---- */

struct errand {
    struct clients *clients;
    uint64_t id;
    client_task_fn *run;
    void *arg;
};

static void arrive(void *arg)
{
    struct errand *errand = arg;

    errand->run(clients_find(errand->clients, errand->id), errand->arg);
    free(errand);
}

bool clients_send(struct clients *clients, uint64_t id, client_task_fn *run,
                  void *arg)
{
    struct chan_tx home;

    if (!clients_home(clients, id, &home)) {
        return false;
    }
    struct errand *errand = xmalloc(sizeof *errand);
    *errand =
        (struct errand){.clients = clients, .id = id, .run = run, .arg = arg};
    if (!task_post(home, arrive, errand)) {
        free(errand);
        return false;
    }
    return true;
}
