/* SPDX-License-Identifier: MIT */
#include "server/command/client_memory.h"

#include "common/buf.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"
#include "server/command/clients.h"
#include "server/command/parts.h"

#include <assert.h>

/* All below 16 KiB are one class; those of 4 GiB and more another. */
#define SMALL_BITS 14
#define N_CLASSES 19

LIST_HEAD(class, client);

struct client_memory {
    /* Relaxed: a sum that decides who looks; changed by every loop. */
    _Atomic size_t total_bytes;
    struct mutex lock; /* Rank LOCK_LEAF. */
    struct class classes[N_CLASSES] GUARDED_BY(lock);
    size_t leaving_bytes GUARDED_BY(lock); /* Of those sent away. */
};

struct client_memory *client_memory_new(void)
{
    struct client_memory *m = xcalloc(1, sizeof *m);

    mutex_init(&m->lock, LOCK_LEAF, "client memory");
    return m;
}

void client_memory_free(struct client_memory *m)
{
    if (m == NULL) {
        return;
    }
    assert(client_memory_total(m) == 0);
    mutex_destroy(&m->lock);
    free(m);
}

size_t client_memory_total(const struct client_memory *m)
{
    return atomic_load_explicit(&m->total_bytes, memory_order_relaxed);
}

/* ---- who costs what ---- */

/* 1 … N_CLASSES; 0 is of clients that are in no list. */
static unsigned class_of(size_t bytes)
{
    unsigned class = 1;

    for (bytes >>= SMALL_BITS; bytes > 0 && class < N_CLASSES; bytes >>= 1) {
        class ++;
    }
    return class;
}

static void move(struct client_memory *m, struct client *client, unsigned class)
    REQUIRES(m->lock)
{
    if (client->size_class != 0) {
        LIST_REMOVE(client, same_size);
    }
    client->size_class = class;
    if (class != 0) {
        LIST_INSERT_HEAD(&m->classes[class - 1], client, same_size);
    }
}

static size_t charged(const struct client *client)
{
    return atomic_load_explicit(&client->charged_bytes, memory_order_relaxed);
}

static void charge(struct client_memory *m, struct client *client, size_t bytes)
{
    atomic_fetch_add_explicit(&m->total_bytes, bytes - charged(client),
                              memory_order_relaxed);
    atomic_store_explicit(&client->charged_bytes, bytes, memory_order_relaxed);
}

void client_memory_charge(struct client_memory *m, struct client *client,
                          size_t bytes)
{
    const size_t before = charged(client);
    const unsigned class = class_of(bytes);

    if (bytes == before) {
        return;
    }
    charge(m, client, bytes);
    if (before == 0 || class != class_of(before)) {
        mutex_lock(&m->lock);
        if (!client->is_sent_away) {
            move(m, client, class);
        }
        mutex_unlock(&m->lock);
    }
    if (bytes > before) {
        client_memory_enforce(client->server);
    }
}

void client_memory_leave(struct client_memory *m, struct client *client)
{
    mutex_lock(&m->lock);
    move(m, client, 0);
    if (client->is_sent_away) {
        m->leaving_bytes -= client->sent_away_bytes;
    }
    mutex_unlock(&m->lock);
    charge(m, client, 0);
}

/* ---- who goes ---- */

/* The limit in bytes; 0: there is none. */
static size_t limit_of(const struct config *config)
{
    const int64_t limit = config_number(config, CONFIG_maxmemory_clients);

    if (limit >= 0) {
        return (size_t)limit;
    }
    const double share = (double)-limit / 1e6;
    return (size_t)(share * (double)config_number(config, CONFIG_maxmemory));
}

/* Takes the largest out of the lists until the rest is within 'max_bytes';
 * their numbers are appended to 'ids'. */
static void choose(struct client_memory *m, size_t max_bytes, struct buf *ids)
    REQUIRES(m->lock)
{
    size_t total = client_memory_total(m) - m->leaving_bytes;

    for (size_t i = N_CLASSES; i-- > 0 && total > max_bytes;) {
        struct client *client = LIST_FIRST(&m->classes[i]);
        while (client != NULL && total > max_bytes) {
            struct client *next = LIST_NEXT(client, same_size);
            if (!client_has_flag(client, CLIENT_NO_EVICT)) {
                const size_t bytes = charged(client);
                buf_append(ids, &client->id, sizeof client->id);
                move(m, client, 0);
                client->is_sent_away = true;
                client->sent_away_bytes = bytes;
                m->leaving_bytes += bytes;
                total -= bytes < total ? bytes : total;
            }
            client = next;
        }
    }
}

static void send_away(struct client *client, void *arg)
{
    (void)arg;
    if (client == NULL) {
        return;
    }
    stats_count(STATS_evicted_clients);
    log_notice("conn: closed, it takes too much of maxmemory-clients addr=%s "
               "bytes=%zu",
               client->address, charged(client));
    client->on_kill(client);
}

void client_memory_enforce(const struct server *server)
{
    struct client_memory *m = server->client_memory;
    const size_t max_bytes = limit_of(server->config);
    struct buf ids = {0};

    if (max_bytes == 0 || client_memory_total(m) <= max_bytes) {
        return;
    }
    mutex_lock(&m->lock);
    choose(m, max_bytes, &ids);
    mutex_unlock(&m->lock);
    for (size_t at = 0; at < ids.size; at += sizeof(uint64_t)) {
        uint64_t id;
        memcpy(&id, buf_data(&ids) + at, sizeof id);
        /* If it has gone, or its loop has, that is as good. */
        (void)!clients_send(server->clients, id, send_away, NULL);
    }
    buf_destroy(&ids);
}
