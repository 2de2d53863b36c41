/* SPDX-License-Identifier: MIT */
/*
 * What was read on a loop, and by whom.
 */
#include "server/command/tracking_internal.h"

#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/command/parts.h"
#include "server/store/store.h"

#include <assert.h>
#include <stdlib.h>

/* More keys of one mapping than this are not told one by one. */
#define NAMED_MAX STEP

/* ---- finding ---- */

struct space *space_new(size_t n_lists)
{
    struct space *space =
        xcalloc(1, sizeof *space + n_lists * sizeof space->of_mapping[0]);

    space->n_lists = n_lists;
    return space;
}

static struct tracked_list *list_of(const struct hub *hub, struct slice key)
{
    const struct mappings *all = store_mappings(hub->tracking->server->store);
    struct slice id;
    const struct mapping *mapping = mapping_find(all, key, &id);

    return &hub->space
                ->of_mapping[mapping != NULL ? mapping->index : all->count];
}

static struct tracked *find_key(const struct space *space, struct slice key,
                                uint64_t hash)
{
    struct table_node *node = table_first(&space->keys, hash);

    while (node != NULL &&
           !slice_equal(tracked_key(container_of(node, struct tracked, node)),
                        key)) {
        node = table_next(node);
    }
    return node == NULL ? NULL : container_of(node, struct tracked, node);
}

/* Ids differ in their low bits, hashes of keys in all. */
static uint64_t mixed(const struct tracker *t, uint64_t hash)
{
    return hash ^ (t->id * UINT64_C(0x9e3779b97f4a7c15));
}

struct tracked *hub_find(struct hub *hub, const struct tracker *t,
                         struct slice key, uint64_t hash)
{
    struct table_node *node =
        table_first(&hub->space->interests, mixed(t, hash));

    for (; node != NULL; node = table_next(node)) {
        const struct interest *i = container_of(node, struct interest, node);
        if (i->tracker == t && slice_equal(tracked_key(i->tracked), key)) {
            return i->tracked;
        }
    }
    return NULL;
}

/* ---- entering and forgetting ---- */

static void publish(struct hub *hub)
{
    atomic_store_explicit(&hub->n_keys, hub->space->keys.count,
                          memory_order_relaxed);
    atomic_store_explicit(&hub->n_items, hub->space->interests.count,
                          memory_order_relaxed);
}

static struct tracked *add_key(struct hub *hub, struct slice key, uint64_t hash)
{
    struct tracked *k = try_malloc(sizeof *k + key.size);

    if (k == NULL) {
        return NULL;
    }
    *k = (struct tracked){.space = hub->space, .size = key.size};
    if (key.size > 0) {
        memcpy(k->key, key.data, key.size);
    }
    table_insert(&hub->space->keys, &k->node, hash);
    LIST_INSERT_HEAD(list_of(hub, key), k, of_mapping);
    COUNT(hub->n_seen[hash % FILTER_SLOTS], 1);
    return k;
}

static void leave_wheel(struct hub *hub, struct tracked *k)
{
    if (k->expires_ms != 0) {
        LIST_REMOVE(k, of_wheel);
        k->expires_ms = 0;
        COUNT(hub->n_expiring, (size_t)-1);
    }
}

static void remove_key(struct hub *hub, struct tracked *k)
{
    leave_wheel(hub, k);
    LIST_REMOVE(k, of_mapping);
    COUNT(hub->n_seen[k->node.hash % FILTER_SLOTS], (uint32_t)-1);
    table_remove(&k->space->keys, &k->node);
    free(k);
}

/* Frees the key with the last who has read it. */
static void forget(struct hub *hub, struct interest *i)
{
    struct tracked *k = i->tracked;

    LIST_REMOVE(i, of_key);
    LIST_REMOVE(i, of_tracker);
    table_remove(&k->space->interests, &i->node);
    free(i);
    if (LIST_EMPTY(&k->interests)) {
        remove_key(hub, k);
    }
}

bool hub_enter(struct hub *hub, struct tracker *t, struct slice key,
               uint64_t hash)
{
    if (hub_find(hub, t, key, hash) != NULL) {
        return true;
    }
    struct interest *i = try_malloc(sizeof *i);
    struct tracked *k = find_key(hub->space, key, hash);
    const bool is_new = k == NULL;
    if (is_new) {
        k = add_key(hub, key, hash);
    }
    if (i == NULL || k == NULL) {
        free(i);
        if (is_new && k != NULL) {
            remove_key(hub, k);
        }
        return false;
    }
    *i = (struct interest){.tracked = k, .tracker = t};
    table_insert(&hub->space->interests, &i->node, mixed(t, hash));
    LIST_INSERT_HEAD(&k->interests, i, of_key);
    LIST_INSERT_HEAD(&t->interests, i, of_tracker);
    publish(hub);
    if (is_new) {
        tracking_check_bound(hub->tracking);
    }
    return true;
}

/* ---- telling ---- */

/* Tells all who have read it. */
static void invalidate(struct hub *hub, struct tracked *k)
{
    struct interest *next;

    for (struct interest *i = LIST_FIRST(&k->interests); i != NULL; i = next) {
        next = LIST_NEXT(i, of_key);
        tracker_tell(i->tracker, tracked_key(k));
        forget(hub, i);
    }
}

void hub_changed(struct hub *hub, struct slice key, uint64_t hash,
                 uint64_t origin)
{
    struct tracked *k = find_key(hub->space, key, hash);
    struct interest *next;

    if (k == NULL) {
        return;
    }
    for (struct interest *i = LIST_FIRST(&k->interests); i != NULL; i = next) {
        struct tracker *t = i->tracker;
        next = LIST_NEXT(i, of_key);
        if (t->options.noloop && t->id == origin) {
            continue; /* It knows, and wants to know of the next change. */
        }
        if (!t->options.bcast) { /* Else it is told by its prefix. */
            tracker_tell(t, key);
        }
        forget(hub, i);
    }
    publish(hub);
}

static void tell_all_of(struct tracker_list *list)
{
    struct tracker *t;

    LIST_FOREACH(t, list, siblings)
    {
        tracker_tell_all(t);
    }
}

void hub_changed_all(struct hub *hub)
{
    tell_all_of(&hub->trackers);
    tell_all_of(&hub->broadcast);
    if (hub->space->keys.count > 0) {
        LIST_INSERT_HEAD(&hub->aside, hub->space, siblings);
        hub->space = space_new(hub->space->n_lists);
    }
    publish(hub);
}

static bool may_begin_alike(const struct tracker *t, struct slice prefix)
{
    for (const struct prefix *p = t->prefixes; p != NULL; p = p->next) {
        const struct slice other = slice_make(p->bytes, p->size);
        if (slice_has_prefix(other, prefix) ||
            slice_has_prefix(prefix, other)) {
            return true;
        }
    }
    return false;
}

void hub_changed_mapping(struct hub *hub, const struct mapping *mapping)
{
    struct tracked_list *list = &hub->space->of_mapping[mapping->index];
    struct tracker *t;
    size_t n = 0;

    while (!LIST_EMPTY(list) && n++ < NAMED_MAX) {
        invalidate(hub, LIST_FIRST(list));
    }
    if (!LIST_EMPTY(list)) {
        hub_changed_all(hub);
        return;
    }
    LIST_FOREACH(t, &hub->broadcast, siblings)
    {
        if (may_begin_alike(t, mapping->prefix)) {
            tracker_tell_all(t);
        }
    }
    publish(hub);
}

/* ---- expiry ---- */

void hub_expires(struct hub *hub, struct tracked *k, int64_t expires_ms)
{
    const int64_t slot = expires_ms / WHEEL_SLOT_MS;
    const int64_t soonest = hub->visited + 1;

    /* The earliest counts: an answer that was on its way for long may speak of
     * a time that a later write has changed. */
    if (k->expires_ms != 0 && k->expires_ms <= expires_ms) {
        return;
    }
    leave_wheel(hub, k);
    k->expires_ms = expires_ms;
    COUNT(hub->n_expiring, 1);
    LIST_INSERT_HEAD(
        &hub->wheel[(slot > soonest ? slot : soonest) % WHEEL_SLOTS], k,
        of_wheel);
}

static void expire_slot(struct hub *hub, struct tracked_list *list,
                        int64_t now_ms)
{
    struct tracked *next;

    for (struct tracked *k = LIST_FIRST(list); k != NULL; k = next) {
        next = LIST_NEXT(k, of_wheel);
        /* Others come round again. */
        if (k->expires_ms <= now_ms && k->space == hub->space) {
            invalidate(hub, k);
        }
    }
}

/* Visits the slots that are over. */
static void expire(struct hub *hub)
{
    const int64_t now_ms = clock_wall_ms();
    const int64_t last = now_ms / WHEEL_SLOT_MS - 1;

    if (READ(hub->n_expiring) == 0 || last < hub->visited) {
        hub->visited = last; /* The clock was set back, perhaps. */
    } else if (last - hub->visited > WHEEL_SLOTS) {
        hub->visited = last - WHEEL_SLOTS; /* One round sees all. */
    }
    while (hub->visited < last) {
        hub->visited++;
        expire_slot(hub, &hub->wheel[hub->visited % WHEEL_SLOTS], now_ms);
    }
}

/* ---- bounds ---- */

/* How many keys too many there are. */
static size_t excess(const struct tracking *tracking, struct hub **largest)
{
    const size_t max = (size_t)config_number(tracking->server->config,
                                             CONFIG_tracking_table_max_keys);
    size_t most = 0;
    size_t n = 0;

    *largest = NULL;
    for (struct hub *hub = first_hub(tracking); hub != NULL; hub = hub->next) {
        const size_t here = READ(hub->n_keys);
        n += here;
        if (here > most) {
            most = here;
            *largest = hub;
        }
    }
    return max == 0 || n <= max ? 0 : n - max;
}

void tracking_check_bound(const struct tracking *tracking)
{
    struct hub *largest;

    if (excess(tracking, &largest) > 0) {
        hub_wake(largest);
    }
}

static struct tracked *any_key(struct hub *hub)
{
    const struct table *keys = &hub->space->keys;

    hub->random = hub->random * UINT64_C(6364136223846793005) + 1;
    size_t at = hub->random >> 32;
    while (keys->chains[at & (keys->n_chains - 1)] == NULL) {
        at++;
    }
    return container_of(keys->chains[at & (keys->n_chains - 1)], struct tracked,
                        node);
}

/* True if there is more to do. */
static bool shrink(struct hub *hub)
{
    struct hub *largest;
    size_t n = excess(hub->tracking, &largest);
    const bool more = n > STEP;

    if (n == 0 || largest != hub) {
        return false;
    }
    for (n = more ? STEP : n; n > 0 && hub->space->keys.count > 0; n--) {
        invalidate(hub, any_key(hub));
    }
    return more;
}

/* ---- forgetting ---- */

static struct tracked *first_of(const struct space *space)
{
    for (size_t i = 0; i < space->n_lists; i++) {
        if (!LIST_EMPTY(&space->of_mapping[i])) {
            return LIST_FIRST(&space->of_mapping[i]);
        }
    }
    return NULL;
}

static void forget_key(struct hub *hub, struct tracked *k)
{
    struct interest *next;

    for (struct interest *i = LIST_FIRST(&k->interests); i != NULL; i = next) {
        next = LIST_NEXT(i, of_key);
        forget(hub, i);
    }
}

static void space_free(struct space *space)
{
    table_destroy(&space->keys);
    table_destroy(&space->interests);
    free(space);
}

/* Forgets up to 'n' keys of 'space'; true if it is empty then. */
static bool empty(struct hub *hub, struct space *space, size_t n)
{
    struct tracked *k = first_of(space);

    while (k != NULL && n-- > 0) {
        forget_key(hub, k);
        k = first_of(space);
    }
    return k == NULL;
}

static void empty_aside(struct hub *hub)
{
    struct space *space = LIST_FIRST(&hub->aside);

    if (space != NULL && empty(hub, space, STEP)) {
        LIST_REMOVE(space, siblings);
        space_free(space);
    }
}

/* One with something to do: who waits for a message to come back is looked
 * after then. */
static struct tracker *next_leaving(const struct hub *hub)
{
    struct tracker *t = LIST_FIRST(&hub->leaving);

    while (t != NULL && t->under_way && LIST_EMPTY(&t->interests)) {
        t = LIST_NEXT(t, siblings);
    }
    return t;
}

static void forget_leaving(struct hub *hub)
{
    struct tracker *t = next_leaving(hub);

    for (size_t n = 0; t != NULL && n < STEP && !LIST_EMPTY(&t->interests);
         n++) {
        forget(hub, LIST_FIRST(&t->interests));
    }
    if (t != NULL) {
        tracker_try_free(t);
    }
}

bool hub_tidy(struct hub *hub)
{
    expire(hub);
    const bool more = shrink(hub);
    empty_aside(hub);
    forget_leaving(hub);
    publish(hub);
    return more || !LIST_EMPTY(&hub->aside) || next_leaving(hub) != NULL;
}

void hub_clear(struct hub *hub)
{
    (void)empty(hub, hub->space, SIZE_MAX);
    space_free(hub->space);
    while (!LIST_EMPTY(&hub->aside)) {
        struct space *space = LIST_FIRST(&hub->aside);
        LIST_REMOVE(space, siblings);
        (void)empty(hub, space, SIZE_MAX);
        space_free(space);
    }
}
