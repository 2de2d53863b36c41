/* SPDX-License-Identifier: MIT */
/*
 * Clients who track, and with which options.
 */
#include "server/command/tracking.h"

#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "server/command/clients.h"
#include "server/command/parts.h"
#include "server/command/tracking_internal.h"
#include "server/lookup/lost.h"
#include "server/store/store.h"

#include <assert.h>
#include <stdlib.h>

/* ---- hubs ---- */

struct tracking *tracking_new(const struct server *server)
{
    struct tracking *tracking = xcalloc(1, sizeof *tracking);

    tracking->server = server;
    mutex_init(&tracking->lock, LOCK_LEAF, "tracking");
    return tracking;
}

static void free_trackers(struct tracker_list *list)
{
    while (!LIST_EMPTY(list)) {
        struct tracker *t = LIST_FIRST(list);
        t->under_way = false;
        tracker_try_free(t);
    }
}

static void hub_free(struct hub *hub)
{
    assert(LIST_EMPTY(&hub->trackers) && LIST_EMPTY(&hub->broadcast));
    hub_clear(hub);
    free_trackers(&hub->leaving);
    mutex_lock(&hub->lock);
    buf_destroy(&hub->inbox);
    mutex_unlock(&hub->lock);
    mutex_destroy(&hub->lock);
    free(hub);
}

void tracking_free(struct tracking *tracking)
{
    if (tracking == NULL) {
        return;
    }
    for (struct hub *hub = first_hub(tracking), *next; hub != NULL;
         hub = next) {
        next = hub->next;
        hub_free(hub);
    }
    mutex_destroy(&tracking->lock);
    free(tracking);
}

static struct hub *find_hub(const struct tracking *tracking,
                            struct chan_tx home)
{
    struct hub *hub = first_hub(tracking);

    while (hub != NULL && hub->home.chan != home.chan) {
        hub = hub->next;
    }
    return hub;
}

/* Only a loop adds its own. */
static struct hub *hub_of(struct tracking *tracking, struct chan_tx home)
{
    struct hub *hub = find_hub(tracking, home);

    if (hub != NULL) {
        return hub;
    }
    hub = xcalloc(1, sizeof *hub);
    hub->tracking = tracking;
    hub->home = home;
    mutex_init(&hub->lock, LOCK_LEAF, "tracking hub");
    hub->space = space_new(store_mappings(tracking->server->store)->count + 1);
    hub->visited = clock_wall_ms() / WHEEL_SLOT_MS - 1;
    TAILQ_INIT(&hub->touched);
    mutex_lock(&tracking->lock);
    hub->next = first_hub(tracking);
    atomic_store_explicit(&tracking->hubs, hub, memory_order_release);
    mutex_unlock(&tracking->lock);
    return hub;
}

/* Counts a client more or less.  What is lost from the cache matters while
 * there are any. */
static void count_client(struct hub *hub, int by)
{
    struct tracking *tracking = hub->tracking;

    mutex_lock(&tracking->lock);
    COUNT(hub->n_trackers, (size_t)by);
    tracking->n_clients += (size_t)by;
    lost_want(tracking->server->lookup, LOSSES_FOR_TRACKING,
              tracking->n_clients > 0);
    mutex_unlock(&tracking->lock);
}

/* ---- prefixes ---- */

static void count_prefix(struct hub *hub, const struct prefix *p, int by)
{
    const size_t slot = p->size > 0 ? (unsigned char)p->bytes[0] : ANY_BYTE;

    COUNT(hub->n_prefixed[slot], (uint32_t)by);
    COUNT(hub->n_prefixes, (size_t)by);
}

static struct slice prefix_slice(const struct prefix *p)
{
    return slice_make(p->bytes, p->size);
}

/* False without memory. */
static bool add_prefix(struct prefix **list, struct slice bytes)
{
    while (*list != NULL && slice_compare(prefix_slice(*list), bytes) < 0) {
        list = &(*list)->next;
    }
    if (*list != NULL && slice_equal(prefix_slice(*list), bytes)) {
        return true;
    }
    struct prefix *p = try_malloc(sizeof *p + bytes.size);
    if (p == NULL) {
        return false;
    }
    p->next = *list;
    p->size = bytes.size;
    if (bytes.size > 0) {
        memcpy(p->bytes, bytes.data, bytes.size);
    }
    *list = p;
    return true;
}

static void free_prefixes(struct prefix *list)
{
    while (list != NULL) {
        struct prefix *p = list;
        list = p->next;
        free(p);
    }
}

/* Copies what there is, and adds 'prefixes'; false without memory. */
static bool gather_prefixes(struct prefix **all, const struct prefix *old,
                            const struct slice *prefixes, size_t n)
{
    bool ok = true;

    *all = NULL;
    for (; old != NULL; old = old->next) {
        ok = ok && add_prefix(all, prefix_slice(old));
    }
    for (size_t i = 0; i < n; i++) {
        ok = ok && add_prefix(all, prefixes[i]);
    }
    if (n == 0) {
        ok = ok && add_prefix(all, SLICE("")); /* All keys. */
    }
    if (!ok) {
        free_prefixes(*all);
    }
    return ok;
}

/* Takes 'all' over. */
static void replace_prefixes(struct tracker *t, struct prefix *all)
{
    for (const struct prefix *p = all; p != NULL; p = p->next) {
        count_prefix(t->hub, p, 1);
    }
    for (const struct prefix *p = t->prefixes; p != NULL; p = p->next) {
        count_prefix(t->hub, p, -1);
    }
    free_prefixes(t->prefixes);
    t->prefixes = all;
}

bool tracker_has_prefix_of(const struct tracker *t, struct slice shown)
{
    for (const struct prefix *p = t->prefixes; p != NULL; p = p->next) {
        if (slice_has_prefix(shown, prefix_slice(p))) {
            return true;
        }
    }
    return false;
}

size_t tracking_n_prefixes(const struct client *client)
{
    size_t n = 0;

    if (tracking_is_on(client)) {
        for (const struct prefix *p = client->tracker->prefixes; p != NULL;
             p = p->next) {
            n++;
        }
    }
    return n;
}

void tracking_visit_prefixes(const struct client *client,
                             void (*visit)(void *arg, struct slice prefix),
                             void *arg)
{
    if (tracking_is_on(client)) {
        for (const struct prefix *p = client->tracker->prefixes; p != NULL;
             p = p->next) {
            visit(arg, prefix_slice(p));
        }
    }
}

/* ---- clients ---- */

void tracker_publish(struct tracker *t)
{
    struct client *client = t->client;

    client_set_flag(client, CLIENT_TRACKS, true);
    client_set_flag(client, CLIENT_BROKEN, t->broken);
    client_set_flag(client, CLIENT_BCASTS, t->options.bcast);
    atomic_store_explicit(&client->shown_redirect, (int64_t)t->options.redirect,
                          memory_order_relaxed);
}

static struct tracker *tracker_new(struct client *client, bool bcast)
{
    struct tracker *t = xcalloc(1, sizeof *t);

    t->hub = hub_of(client->server->tracking, client->home);
    t->client = client;
    t->id = client->id;
    LIST_INSERT_HEAD(bcast ? &t->hub->broadcast : &t->hub->trackers, t,
                     siblings);
    count_client(t->hub, 1);
    return t;
}

bool tracking_start(struct client *client,
                    const struct tracking_options *options,
                    const struct slice *prefixes, size_t n_prefixes)
{
    struct tracker *t = client->tracker;
    struct chan_tx redirect_home = {0};
    struct prefix *all = NULL;

    assert(t == NULL || t->options.bcast == options->bcast);
    if (options->redirect != 0 &&
        !clients_home(client->server->clients, options->redirect,
                      &redirect_home)) {
        return false;
    }
    if (options->bcast && !gather_prefixes(&all, t == NULL ? NULL : t->prefixes,
                                           prefixes, n_prefixes)) {
        return false;
    }
    if (t == NULL) {
        t = client->tracker = tracker_new(client, options->bcast);
    }
    t->options = *options;
    t->redirect_home = redirect_home;
    t->broken = false;
    t->caching = false;
    replace_prefixes(t, all);
    tracker_publish(t);
    return true;
}

void tracker_try_free(struct tracker *t)
{
    assert(t->client == NULL);
    if (!t->under_way && LIST_EMPTY(&t->interests)) {
        LIST_REMOVE(t, siblings);
        free(t);
    }
}

void tracking_stop(struct client *client)
{
    struct tracker *t = client->tracker;

    if (t == NULL) {
        return;
    }
    struct hub *hub = t->hub;
    client->tracker = NULL;
    client_set_flag(client, CLIENT_TRACKS, false);
    client_set_flag(client, CLIENT_BROKEN, false);
    client_set_flag(client, CLIENT_BCASTS, false);
    tracker_tell_nothing(t);
    replace_prefixes(t, NULL);
    t->client = NULL;
    LIST_REMOVE(t, siblings);
    LIST_INSERT_HEAD(&hub->leaving, t, siblings);
    count_client(hub, -1);
    hub_wake(hub);
}

struct tracking_options tracking_options(const struct client *client)
{
    return tracking_is_on(client) ? client->tracker->options
                                  : (struct tracking_options){0};
}

bool tracking_is_broken(const struct client *client)
{
    return tracking_is_on(client) && client->tracker->broken;
}

void tracking_set_caching(struct client *client)
{
    client->tracker->caching = true;
}

bool tracking_caching(const struct client *client)
{
    return tracking_is_on(client) && client->tracker->caching;
}

void tracking_end_caching(struct client *client)
{
    if (tracking_is_on(client)) {
        client->tracker->caching = false;
    }
}

/* ---- any thread ---- */

void tracking_tick(struct tracking *tracking)
{
    for (struct hub *hub = first_hub(tracking); hub != NULL; hub = hub->next) {
        if (READ(hub->n_expiring) > 0) {
            hub_wake(hub);
        }
    }
    tracking_check_bound(tracking);
}

struct tracking_figures tracking_figures(const struct tracking *tracking)
{
    struct tracking_figures f = {0};

    for (const struct hub *hub = first_hub(tracking); hub != NULL;
         hub = hub->next) {
        f.n_clients += READ(hub->n_trackers);
        f.n_keys += READ(hub->n_keys);
        f.n_items += READ(hub->n_items);
        f.n_prefixes += READ(hub->n_prefixes);
    }
    return f;
}
