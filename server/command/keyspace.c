/* SPDX-License-Identifier: MIT */
/*
 * One count at a time: who asks while one is under way waits for it, and who
 * asks soon afterwards gets its figures.  A count that took long is not repeated
 * before ten times as long has passed, so that INFO every second does not keep a
 * thread of the store busy.
 *
 *     refresh ─► fresh enough? ─yes─► at once
 *                   │no
 *                   ├─► under way? ─no─► the store counts ─► all who wait
 *                   └─► waits, with a timer ───────────────► he who waits
 *
 * A waiter is ended by whoever gets him: the count, if it can cancel his timer,
 * or else the timer.
 */
#include "server/command/keyspace.h"

#include "common/clock.h"
#include "common/lock.h"
#include "common/mem.h"
#include "common/task.h"
#include "common/timer.h"
#include "server/admin/config.h"
#include "server/cache/cache.h"
#include "server/command/args.h"
#include "server/command/databases.h"
#include "server/lookup/lookup.h"
#include "server/store/store.h"

#include <stdlib.h>

/* How long INFO waits. */
#define PATIENCE_US 100000

/* A count that is over sooner may be repeated at once; … */
#define SMALL_US 2000

/* … any other takes one part in so many of the time of a thread. */
#define SHARE 10

struct waiter {
    struct timer timer;
    struct keyspace *keyspace;
    struct request *request;
    keyspace_ready_fn *ready;
    struct chan_tx home;
    struct waiter *next;
};

struct keyspace {
    const struct server *server; /* Borrowed. */
    struct store_walk walk;      /* While 'counting'; as the next. */
    struct store_figures counted[PLAIN_KEY_DATABASES];

    struct mutex lock; /* Rank LOCK_KEYSPACE; held for a few instructions. */
    struct store_figures figures[PLAIN_KEY_DATABASES] GUARDED_BY(lock);
    int64_t n_records GUARDED_BY(lock);
    bool counting GUARDED_BY(lock);
    struct cond ended;                 /* 'counting' is over. */
    int64_t again_us GUARDED_BY(lock); /* Not before this. */
    struct waiter *waiters GUARDED_BY(lock);
};

struct keyspace *keyspace_new(const struct server *server)
{
    struct keyspace *k = xcalloc(1, sizeof *k);

    k->server = server;
    mutex_init(&k->lock, LOCK_KEYSPACE, "keyspace");
    cond_init(&k->ended);
    return k;
}

void keyspace_free(struct keyspace *keyspace)
{
    if (keyspace == NULL) {
        return;
    }
    mutex_lock(&keyspace->lock);
    while (keyspace->counting) {
        cond_wait(&keyspace->ended, &keyspace->lock);
    }
    mutex_unlock(&keyspace->lock);
    cond_destroy(&keyspace->ended);
    mutex_destroy(&keyspace->lock);
    free(keyspace);
}

static struct timers *timers_of(const struct keyspace *k)
{
    return lookup_parts(k->server->lookup)->timers;
}

/* ---- who waits ---- */

/* On the loop. */
static void wake(void *arg)
{
    struct waiter *waiter = arg;

    waiter->ready(waiter->request);
    free(waiter);
}

static void send_home(struct waiter *waiter)
{
    if (!task_post(waiter->home, wake, waiter)) {
        free(waiter); /* The loop has stopped, and the request with it. */
    }
}

/* On the timer's thread. */
static void on_impatience(struct timer *timer)
{
    struct waiter *waiter = container_of(timer, struct waiter, timer);
    struct keyspace *k = waiter->keyspace;

    mutex_lock(&k->lock);
    struct waiter **at = &k->waiters;
    while (*at != waiter) {
        at = &(*at)->next;
    }
    *at = waiter->next;
    mutex_unlock(&k->lock);
    send_home(waiter);
}

/* Takes those who are not the timer's already. */
static struct waiter *take_waiters(struct keyspace *k) REQUIRES(k->lock)
{
    struct waiter **at = &k->waiters;
    struct waiter *taken = NULL;

    while (*at != NULL) {
        struct waiter *waiter = *at;
        if (timers_cancel(timers_of(k), &waiter->timer)) {
            *at = waiter->next;
            waiter->next = taken;
            taken = waiter;
        } else {
            at = &waiter->next;
        }
    }
    return taken;
}

/* ---- counting ---- */

/* A plain key that is in memory only. */
static void visit_copy(void *context, struct slice key, const struct copy *copy)
{
    const int64_t now_ms = clock_wall_ms();
    struct keyspace *k = context;
    struct store_figures *f = &k->counted[plain_key_database(key)];

    if (!copy->memory_only ||
        (copy->expires_ms != 0 && copy->expires_ms <= now_ms)) {
        return;
    }
    f->n_keys++;
    if (copy->expires_ms != 0) {
        f->n_expiring++;
        f->sum_ttl_ms += copy->expires_ms - now_ms;
    }
}

/* What the store has of plain keys is from another way to write them. */
static void count_cache(struct keyspace *k)
{
    uint64_t cursor = 0;

    memset(k->counted, 0, sizeof k->counted);
    do {
        cache_scan(k->server->cache, &cursor, 1024, visit_copy, k);
    } while (cursor != 0);
}

static void end_count(struct keyspace *k, enum err err, int64_t took_us)
{
    const int64_t rest_us = took_us <= SMALL_US ? 0 : SHARE * took_us;

    mutex_lock(&k->lock);
    if (err == ERR_OK) {
        memcpy(k->figures, k->counted, sizeof k->figures);
        k->n_records = k->walk.n_keys;
    }
    k->counting = false;
    k->again_us = clock_now_us() + rest_us;
    struct waiter *waiter = take_waiters(k);
    cond_broadcast(&k->ended);
    mutex_unlock(&k->lock);

    while (waiter != NULL) {
        struct waiter *next = waiter->next;
        send_home(waiter);
        waiter = next;
    }
}

/* On a thread of the store. */
static void on_counted(struct store_walk *walk, enum err err)
{
    struct keyspace *k = container_of(walk, struct keyspace, walk);
    const struct config *config = k->server->config;
    const int64_t start_us = clock_now_us();

    if (err == ERR_OK &&
        config_number(config, CONFIG_plain_writes) == WRITES_NONE) {
        count_cache(k);
    }
    end_count(k, err, walk->took_us + clock_now_us() - start_us);
}

/* Who asks for these figures and nothing else wants to know, also if that has
 * writes committed earlier than need be.  What is looked at every second must
 * not do that. */
static bool is_asked_for(const struct request *request)
{
    return request->argc == 2 && arg_is(request, 1, "keyspace");
}

bool keyspace_refresh(struct request *request, keyspace_ready_fn *ready)
{
    struct keyspace *k = request->client->server->keyspace;
    const int64_t now_us = clock_now_us();
    struct waiter *waiter = xcalloc(1, sizeof *waiter);

    mutex_lock(&k->lock);
    const bool begins = !k->counting && now_us >= k->again_us;
    const bool waits = begins || k->counting;
    if (waits) {
        *waiter = (struct waiter){.keyspace = k,
                                  .request = request,
                                  .ready = ready,
                                  .home = request->client->home,
                                  .next = k->waiters};
        k->waiters = waiter;
        k->counting = true;
        timers_add(timers_of(k), &waiter->timer, now_us + PATIENCE_US,
                   on_impatience);
    }
    mutex_unlock(&k->lock);

    if (!waits) {
        free(waiter);
    }
    if (begins) {
        k->walk = (struct store_walk){.kind = STORE_KEYSPACE,
                                      .as_it_is = !is_asked_for(request),
                                      .figures = k->counted,
                                      .done = on_counted};
        const enum err err = store_walk_start(k->server->store, &k->walk);
        if (err != ERR_OK) {
            end_count(k, err, 0);
        }
    }
    return !waits;
}

void keyspace_print(const struct server *server, struct buf *out)
{
    struct keyspace *k = server->keyspace;

    mutex_lock(&k->lock);
    for (unsigned i = 0; i < server->databases->n; i++) {
        const struct store_figures *f =
            &k->figures[databases_stored(server->databases, i)];
        const int64_t n_keys = f->n_keys + (i == 0 ? k->n_records : 0);
        const int64_t avg_ttl_ms =
            f->n_expiring == 0 ? 0 : f->sum_ttl_ms / f->n_expiring;
        if (n_keys > 0) {
            buf_printf(out, "db%u:keys=%lld,expires=%lld,avg_ttl=%lld\r\n", i,
                       (long long)n_keys, (long long)f->n_expiring,
                       (long long)avg_ttl_ms);
        }
    }
    mutex_unlock(&k->lock);
}
