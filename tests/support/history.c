/* SPDX-License-Identifier: MIT */
/*
 * All loads and stores that have no order named are sequentially consistent,
 * which history_end() and history_found() need of 'fate' and 'seen': whichever
 * comes second notices.
 */
#include "tests/support/history.h"

#include <stddef.h>

#define NOT_YET UINT64_MAX

static struct history_write *write_at(struct history *h, uint64_t number)
{
    return &h->writes[number % HISTORY_SIZE];
}

static const struct history_write *const_write_at(const struct history *h,
                                                  uint64_t number)
{
    return &h->writes[number % HISTORY_SIZE];
}

/* True if write 'number' may have been overwritten by a later one.  With half
 * of the places to spare, nobody who asks first overtakes the writer. */
static bool is_forgotten(const struct history *h, uint64_t number)
{
    return h->begun - number > HISTORY_SIZE / 2;
}

void history_init(struct history *h, bool exists)
{
    h->writes[0].change = exists ? CHANGE_PUT : CHANGE_DELETE;
    h->writes[0].fate = FATE_DONE;
}

uint64_t history_begin(struct history *h, enum history_change change,
                       int64_t expires_ms)
{
    const uint64_t number = h->begun + 1;
    struct history_write *w = write_at(h, number);

    w->change = change;
    w->fate = FATE_OPEN;
    w->seen = false;
    w->expires_ms = expires_ms;
    w->clear_before = h->clears == NULL ? 0
                      : h->in_order     ? h->clears->begun
                                        : h->clears->ended;
    w->clear_begun = NOT_YET;
    h->begun = number;
    return number;
}

const char *history_end(struct history *h, uint64_t number, bool done)
{
    struct history_write *w = write_at(h, number);

    w->fate = done ? FATE_DONE : FATE_FAILED;
    if (!done) {
        return w->seen ? "a write that failed was seen" : NULL;
    }
    w->clear_begun = h->clears != NULL ? h->clears->begun : 0;
    if (h->acknowledged < number) {
        atomic_store_explicit(&h->acknowledged, number, memory_order_release);
    }
    return NULL;
}

uint64_t history_clear_begin(struct history_clears *clears)
{
    return ++clears->begun;
}

void history_clear_end(struct history_clears *clears, uint64_t number,
                       bool done)
{
    if (done) {
        clears->succeeded = number;
    }
    clears->ended = number;
}

struct history_look history_look(const struct history *h, int64_t wall_ms)
{
    /* Acknowledged first: what is known of clears may be younger. */
    const uint64_t acknowledged =
        atomic_load_explicit(&h->acknowledged, memory_order_acquire);

    return (struct history_look){
        .acknowledged = acknowledged,
        .cleared = h->clears != NULL ? h->clears->succeeded : 0,
        .wall_ms = wall_ms};
}

const char *history_found(struct history *h, const struct history_look *look,
                          uint64_t number)
{
    struct history_write *w = write_at(h, number);

    if (number > h->begun) {
        return "a value that nobody wrote";
    }
    if (number < look->acknowledged) {
        return "an older value than one acknowledged before the lookup";
    }
    if (is_forgotten(h, number)) {
        return NULL;
    }
    w->seen = true;
    if (w->fate == FATE_FAILED) {
        return "the value of a write that failed";
    }
    if (w->change == CHANGE_DELETE) {
        return "a value where there was a delete";
    }
    if (w->clear_begun < look->cleared) {
        return "a value that was cleared before the lookup";
    }
    if (w->expires_ms != 0 && w->expires_ms <= look->wall_ms) {
        return "a value that expired before the lookup";
    }
    return NULL;
}

/* True if write 'number' can be why there is nothing. */
static bool leaves_nothing(const struct history *h, uint64_t number,
                           int64_t wall_ms)
{
    const struct history_write *w = const_write_at(h, number);

    if (w->fate == FATE_FAILED) {
        return false;
    }
    return w->change == CHANGE_DELETE ||
           (w->expires_ms != 0 && w->expires_ms <= wall_ms);
}

const char *history_missed(const struct history *h,
                           const struct history_look *look, int64_t wall_ms)
{
    const uint64_t first = look->acknowledged;
    const uint64_t last = h->begun;

    if (h->forgetful || is_forgotten(h, first)) {
        return NULL;
    }
    for (uint64_t number = first; number <= last; number++) {
        if (leaves_nothing(h, number, wall_ms)) {
            return NULL;
        }
    }
    if (h->clears != NULL &&
        h->clears->begun > const_write_at(h, first)->clear_before) {
        return NULL;
    }
    return "nothing, where there was a value";
}
