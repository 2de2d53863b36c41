/* SPDX-License-Identifier: MIT */
/*
 * Who subscribed to what.
 */
#include "server/command/pubsub.h"

#include "common/glob.h"
#include "common/hash.h"
#include "common/mem.h"
#include "server/command/pubsub_internal.h"

#include <assert.h>

/* ---- life ---- */

struct pubsub *pubsub_new(void)
{
    struct pubsub *ps = xcalloc(1, sizeof(*ps));

    rwlock_init(&ps->lock, LOCK_PUBSUB, "pubsub");
    return ps;
}

void pubsub_free(struct pubsub *ps)
{
    if (ps == NULL) {
        return;
    }
    rwlock_wrlock(&ps->lock);
    while (ps->hubs != NULL) {
        struct hub *hub = ps->hubs;
        ps->hubs = hub->next;
        assert(hub->subscriptions.count == 0);
        table_destroy(&hub->subscriptions);
        free(hub);
    }
    for (size_t i = 0; i < PUBSUB_KINDS; i++) {
        table_destroy(&ps->topics[i]);
    }
    rwlock_wrunlock(&ps->lock);
    rwlock_destroy(&ps->lock);
    free(ps);
}

/* ---- topics ---- */

struct topic *pubsub_topic(const struct pubsub *ps, enum pubsub_kind kind,
                           struct slice name, uint64_t hash)
{
    struct table_node *node = table_first(&ps->topics[kind], hash);

    while (node != NULL &&
           !slice_equal(topic_name(container_of(node, struct topic, node)),
                        name)) {
        node = table_next(node);
    }
    return node == NULL ? NULL : container_of(node, struct topic, node);
}

/* The bytes that everything 'name' stands for begins with. */
static struct slice literal_prefix(enum pubsub_kind kind, struct slice name)
{
    size_t size = 0;

    if (kind != PUBSUB_PATTERN) {
        return name;
    }
    while (size < name.size && memchr("*?[\\", name.data[size], 4) == NULL) {
        size++;
    }
    return slice_make(name.data, size);
}

/* Can it be, or match, a channel that changes are told on?  Too many is
 * harmless. */
static bool may_hear_changes(enum pubsub_kind kind, struct slice name)
{
    static const struct slice start = {.data = "__key", .size = 5};
    const struct slice prefix = literal_prefix(kind, name);
    const size_t size = prefix.size < start.size ? prefix.size : start.size;

    return kind != PUBSUB_SHARD && memcmp(prefix.data, start.data, size) == 0 &&
           (kind == PUBSUB_PATTERN || size == start.size);
}

static size_t first_byte(const struct topic *pattern)
{
    const struct slice prefix =
        literal_prefix(PUBSUB_PATTERN, topic_name(pattern));

    return prefix.size == 0 ? PUBSUB_ANY_BYTE : (unsigned char)prefix.data[0];
}

static void count(_Atomic size_t *counter, ptrdiff_t by)
{
    atomic_fetch_add_explicit(counter, (size_t)by, memory_order_relaxed);
}

/* NULL: out of memory. */
static struct topic *add_topic(struct pubsub *ps, enum pubsub_kind kind,
                               struct slice name, uint64_t hash)
    REQUIRES(ps->lock)
{
    struct topic *topic = try_malloc(sizeof(*topic) + name.size);

    if (topic == NULL) {
        return NULL;
    }
    *topic = (struct topic){.kind = kind,
                            .hears_changes = may_hear_changes(kind, name),
                            .name_size = name.size};
    if (name.size > 0) {
        memcpy(topic->name, name.data, name.size);
    }
    table_insert(&ps->topics[kind], &topic->node, hash);
    if (kind == PUBSUB_PATTERN) {
        LIST_INSERT_HEAD(&ps->patterns[first_byte(topic)], topic, siblings);
    }
    count(&ps->n_topics[kind], 1);
    count(&ps->n_hear_changes, topic->hears_changes);
    return topic;
}

static void remove_topic(struct pubsub *ps, struct topic *topic)
    REQUIRES(ps->lock)
{
    count(&ps->n_topics[topic->kind], -1);
    count(&ps->n_hear_changes, -(ptrdiff_t)topic->hears_changes);
    if (topic->kind == PUBSUB_PATTERN) {
        LIST_REMOVE(topic, siblings);
    }
    table_remove(&ps->topics[topic->kind], &topic->node);
    free(topic);
}

/* ---- parts ---- */

static struct part *part_of(struct topic *topic, struct hub *hub)
{
    struct part *part = topic->parts;

    while (part != NULL && part->hub != hub) {
        part = part->next;
    }
    if (part == NULL) {
        part = xmalloc(sizeof(*part));
        *part = (struct part){
            .next = topic->parts, .topic = topic, .hub = hub, .refs = 1};
        topic->parts = part;
    }
    return part;
}

void part_unref(struct part *part)
{
    if (atomic_fetch_sub_explicit(&part->refs, 1, memory_order_acq_rel) == 1) {
        free(part);
    }
}

static void remove_part(struct part *part)
{
    struct part **link = &part->topic->parts;

    while (*link != part) {
        link = &(*link)->next;
    }
    *link = part->next;
    part_unref(part);
}

/* ---- subscriptions ---- */

static struct hub *hub_of(struct pubsub *ps, struct chan_tx home)
    REQUIRES(ps->lock)
{
    struct hub *hub = ps->hubs;

    while (hub != NULL && hub->home.chan != home.chan) {
        hub = hub->next;
    }
    if (hub == NULL) {
        hub = xcalloc(1, sizeof(*hub));
        hub->home = home;
        hub->next = ps->hubs;
        ps->hubs = hub;
    }
    return hub;
}

/* Of a subscription in its hub: ids differ in their low bits, names in all. */
static uint64_t mixed(const struct client *client, uint64_t name_hash)
{
    return name_hash ^ (client->id * UINT64_C(0x9e3779b97f4a7c15));
}

static struct subscription *find(const struct client *client,
                                 enum pubsub_kind kind, struct slice name,
                                 uint64_t name_hash)
{
    if (client->hub == NULL) {
        return NULL;
    }
    struct table_node *node =
        table_first(&client->hub->subscriptions, mixed(client, name_hash));
    for (; node != NULL; node = table_next(node)) {
        struct subscription *s = container_of(node, struct subscription, node);
        const struct topic *topic = s->part->topic;
        if (s->client == client && topic->kind == kind &&
            slice_equal(topic_name(topic), name)) {
            return s;
        }
    }
    return NULL;
}

/* How many 'client' has of 'kind' changes; only its loop writes it. */
static void recount(struct client *client, enum pubsub_kind kind, ptrdiff_t by)
{
    _Atomic size_t *n = &client->n_subscriptions[kind];

    atomic_store_explicit(
        n, atomic_load_explicit(n, memory_order_relaxed) + (size_t)by,
        memory_order_relaxed);
}

static void enter(struct subscription *s, struct pubsub *ps,
                  struct topic *topic) REQUIRES(ps->lock)
{
    s->part = part_of(topic, s->client->hub);
    s->number = ++ps->last_number;
    LIST_INSERT_HEAD(&s->part->list, s, of_part);
    s->part->n++;
    topic->n++;
}

bool pubsub_subscribe(struct pubsub *ps, struct client *client,
                      enum pubsub_kind kind, struct slice name)
{
    const uint64_t hash = hash_bytes(name);

    if (find(client, kind, name, hash) != NULL) {
        return true;
    }
    struct subscription *s = xmalloc(sizeof(*s));
    *s = (struct subscription){.client = client};
    rwlock_wrlock(&ps->lock);
    if (client->hub == NULL) {
        client->hub = hub_of(ps, client->home);
    }
    struct topic *topic = pubsub_topic(ps, kind, name, hash);
    if (topic == NULL) {
        topic = add_topic(ps, kind, name, hash);
    }
    if (topic != NULL) {
        enter(s, ps, topic);
    }
    rwlock_wrunlock(&ps->lock);
    if (topic == NULL) {
        free(s);
        return false;
    }
    table_insert(&client->hub->subscriptions, &s->node, mixed(client, hash));
    LIST_INSERT_HEAD(&client->subscriptions, s, of_client);
    recount(client, kind, 1);
    return true;
}

void pubsub_end(struct pubsub *ps, struct subscription *s)
{
    struct part *part = s->part;
    struct topic *topic = part->topic;

    recount(s->client, topic->kind, -1);
    table_remove(&s->client->hub->subscriptions, &s->node);
    LIST_REMOVE(s, of_client);
    LIST_REMOVE(s, of_part);
    free(s);
    rwlock_wrlock(&ps->lock);
    if (--part->n == 0) {
        remove_part(part);
    }
    if (--topic->n == 0) {
        remove_topic(ps, topic);
    }
    rwlock_wrunlock(&ps->lock);
}

struct subscription *pubsub_find(const struct client *client,
                                 enum pubsub_kind kind, struct slice name)
{
    return find(client, kind, name, hash_bytes(name));
}

static struct subscription *of_kind(struct subscription *s,
                                    enum pubsub_kind kind)
{
    while (s != NULL && s->part->topic->kind != kind) {
        s = LIST_NEXT(s, of_client);
    }
    return s;
}

struct subscription *pubsub_first(const struct client *client,
                                  enum pubsub_kind kind)
{
    return of_kind(LIST_FIRST(&client->subscriptions), kind);
}

struct subscription *pubsub_next(const struct subscription *s)
{
    return of_kind(LIST_NEXT(s, of_client), s->part->topic->kind);
}

struct slice pubsub_name(const struct subscription *s)
{
    return topic_name(s->part->topic);
}

void pubsub_leave(struct pubsub *ps, struct client *client)
{
    while (!LIST_EMPTY(&client->subscriptions)) {
        pubsub_end(ps, LIST_FIRST(&client->subscriptions));
    }
}

/* ---- figures ---- */

bool pubsub_hears_changes(const struct pubsub *ps)
{
    return atomic_load_explicit(&ps->n_hear_changes, memory_order_relaxed) > 0;
}

size_t pubsub_count(const struct pubsub *ps, enum pubsub_kind kind)
{
    return atomic_load_explicit(&ps->n_topics[kind], memory_order_relaxed);
}

void pubsub_visit(struct pubsub *ps, enum pubsub_kind kind,
                  struct slice pattern,
                  void (*visit)(void *arg, struct slice name), void *arg)
{
    rwlock_rdlock(&ps->lock);
    const struct table *topics = &ps->topics[kind];
    for (struct table_node *node = table_any(topics); node != NULL;
         node = table_another(topics, node)) {
        const struct slice name =
            topic_name(container_of(node, struct topic, node));
        if (glob_match(pattern, name, false)) {
            visit(arg, name);
        }
    }
    rwlock_rdunlock(&ps->lock);
}

size_t pubsub_subscribers(struct pubsub *ps, enum pubsub_kind kind,
                          struct slice name)
{
    const uint64_t hash = hash_bytes(name);

    rwlock_rdlock(&ps->lock);
    const struct topic *topic = pubsub_topic(ps, kind, name, hash);
    const size_t n = topic == NULL ? 0 : topic->n;
    rwlock_rdunlock(&ps->lock);
    return n;
}
