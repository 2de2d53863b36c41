/* SPDX-License-Identifier: MIT */
/*
 * A victim is looked for at the heads of the two queues.  Who may stay moves
 * to the tail of 'main': first for having been visited, and when that took too
 * many steps, only for being pinned.  So one eviction costs a bounded number of
 * steps, also when everybody is popular.
 */
#include "server/cache/policy.h"

/* The small queue holds one entry of this many. */
#define SMALL_SHARE 10

/* Visits that take an entry from 'small' to 'main'. */
#define VISITS_TO_MAIN 2

/* Heads looked at in search of one that was not visited, and again as many for
 * any that is not pinned; fewer if that has been once round everybody. */
#define STEPS_MAX 64

void policy_destroy(struct policy *p)
{
    ring_destroy(&p->small);
    ring_destroy(&p->main);
    ring_destroy(&p->negative);
    ghost_destroy(&p->ghost);
}

/* Those that do not stand apart. */
static uint32_t n_entries(const struct policy *p)
{
    return ring_count(&p->small) + ring_count(&p->main);
}

static struct ring *queue_of(struct policy *p, const struct entry *e)
{
    switch ((enum policy_queue)e->queue) {
    case QUEUE_MAIN:
        return &p->main;
    case QUEUE_NEGATIVE:
        return &p->negative;
    case QUEUE_SMALL:
        break;
    }
    return &p->small;
}

bool policy_stands_apart(const struct entry *e)
{
    return e->queue == QUEUE_NEGATIVE;
}

bool policy_insert(struct policy *p, struct entry *e, bool apart)
{
    if (apart) {
        e->queue = QUEUE_NEGATIVE;
    } else {
        e->queue = ghost_take(&p->ghost, e->hash) ? QUEUE_MAIN : QUEUE_SMALL;
    }
    return ring_push(queue_of(p, e), e);
}

bool policy_replace(struct policy *p, struct entry *old, struct entry *e,
                    bool apart)
{
    if (policy_stands_apart(old) == apart) {
        e->queue = old->queue;
        ring_replace(queue_of(p, old), old, e);
    } else if (policy_insert(p, e, apart)) {
        ring_remove(queue_of(p, old), old);
    } else {
        return false;
    }
    atomic_store_explicit(
        &e->visits, atomic_load_explicit(&old->visits, memory_order_relaxed),
        memory_order_relaxed);
    policy_visit(e);
    return true;
}

void policy_remove(struct policy *p, struct entry *e)
{
    ring_remove(queue_of(p, e), e);
}

/* Moves 'e' to the tail of another queue, or of the same.  False when memory is
 * exhausted; then nothing has changed. */
static bool move(struct policy *p, struct entry *e, struct ring *to,
                 enum policy_queue queue)
{
    const uint32_t place = e->place;

    if (!ring_push(to, e)) {
        return false;
    }
    const uint32_t new_place = e->place;
    e->place = place;
    ring_remove(queue_of(p, e), e);
    e->place = new_place;
    e->queue = queue;
    return true;
}

bool policy_set_apart(struct policy *p, struct entry *e)
{
    return move(p, e, &p->negative, QUEUE_NEGATIVE);
}

/* Moves 'e', the head of its queue, to the tail of 'main' with 'visits'.
 * False when memory is exhausted; then nothing has changed. */
static bool move_to_main(struct policy *p, struct entry *e, uint8_t visits)
{
    if (!move(p, e, &p->main, QUEUE_MAIN)) {
        return false;
    }
    atomic_store_explicit(&e->visits, visits, memory_order_relaxed);
    return true;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

struct entry *policy_victim(struct policy *p, const struct entry *keep,
                            int64_t wall_ms)
{
    const uint32_t n = n_entries(p);
    /* Who is given one chance for each visit has none left after so many. */
    const uint32_t patient = least(STEPS_MAX, n * (VISITS_MAX + 1));
    const uint32_t steps = patient + least(STEPS_MAX, n);

    for (uint32_t step = 0; step < steps; step++) {
        const bool small = ring_count(&p->main) == 0 ||
                           ring_count(&p->small) > n / SMALL_SHARE;
        struct ring *const queue = small ? &p->small : &p->main;
        struct entry *const e = ring_head(queue);
        const uint8_t visits =
            atomic_load_explicit(&e->visits, memory_order_relaxed);
        const bool pinned = e->dirty || e == keep;
        const bool expired = entry_expired(e, wall_ms);
        const bool visited = visits >= (small ? VISITS_TO_MAIN : 1);

        if (!pinned && (!visited || expired || step >= patient)) {
            ring_remove(queue, e);
            if (small && !expired) {
                ghost_add(&p->ghost, e->hash, n);
            }
            return e;
        }
        if (!move_to_main(p, e, small || visits == 0 ? 0 : visits - 1)) {
            return NULL;
        }
    }
    return NULL;
}

struct entry *policy_oldest_apart(struct policy *p, const struct entry *keep)
{
    if (ring_count(&p->negative) == 0) {
        return NULL;
    }
    struct entry *const e = ring_head(&p->negative);
    if (e == keep) {
        return NULL;
    }
    ring_remove(&p->negative, e);
    return e;
}

size_t policy_size(const struct policy *p)
{
    return ring_size(&p->small) + ring_size(&p->main) +
           ring_size(&p->negative) + ghost_size(&p->ghost);
}
