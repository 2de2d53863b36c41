/* SPDX-License-Identifier: MIT */
/*
 * While half open the slots double until they are all there, which takes twice
 * as many reads.  Where so many do not come, it closes earlier: when at least
 * SLOTS_ENOUGH did well and nobody waits, there is no stampede to fear.
 */
#include "server/store/breaker.h"

#define SLOTS_ENOUGH 16

const char *breaker_name(enum breaker_state state)
{
    static const char *const names[] = {[BREAKER_CLOSED] = "closed",
                                        [BREAKER_OPEN] = "open",
                                        [BREAKER_HALF_OPEN] = "half-open"};
    return names[state];
}

static void close_it(struct breaker *b)
{
    b->state = BREAKER_CLOSED;
    b->n_failures = 0;
}

static void open_it(struct breaker *b, int64_t now_us)
{
    b->state = BREAKER_OPEN;
    b->era++;
    b->n_opened++;
    b->asked_us = now_us;
}

static void half_open_it(struct breaker *b)
{
    b->state = BREAKER_HALF_OPEN;
    b->era++;
    b->slots = 1;
    b->n_good = 0;
}

size_t breaker_slots(const struct breaker *b, const struct breaker_rules *rules)
{
    switch (b->state) {
    case BREAKER_OPEN:
        return 0;
    case BREAKER_HALF_OPEN:
        return b->slots < rules->slots ? b->slots : rules->slots;
    case BREAKER_CLOSED:
        break;
    }
    return rules->slots;
}

bool breaker_probe(struct breaker *b, const struct breaker_rules *rules,
                   int64_t now_us)
{
    if (b->state != BREAKER_OPEN || now_us - b->asked_us < rules->interval_us) {
        return false;
    }
    b->asked_us = now_us;
    return true;
}

void breaker_succeeded(struct breaker *b, const struct breaker_rules *rules,
                       uint32_t era, bool waiting)
{
    if (era != b->era) {
        return;
    }
    switch (b->state) {
    case BREAKER_CLOSED:
        b->n_failures = 0;
        break;
    case BREAKER_OPEN:
        half_open_it(b);
        break;
    case BREAKER_HALF_OPEN:
        b->n_good++;
        if (b->n_good < b->slots) {
            break;
        }
        b->n_good = 0;
        b->slots *= 2;
        if (b->slots >= rules->slots || (b->slots > SLOTS_ENOUGH && !waiting)) {
            close_it(b);
        }
        break;
    }
}

void breaker_failed(struct breaker *b, const struct breaker_rules *rules,
                    uint32_t era, int64_t now_us)
{
    if (era != b->era || rules->failures == 0) {
        return;
    }
    switch (b->state) {
    case BREAKER_CLOSED:
        b->n_failures++;
        if (b->n_failures >= rules->failures) {
            open_it(b, now_us);
        }
        break;
    case BREAKER_OPEN:
        break; /* A probe; the next is due an interval after it. */
    case BREAKER_HALF_OPEN:
        open_it(b, now_us);
        break;
    }
}

void breaker_follow(struct breaker *b, const struct breaker_rules *rules)
{
    if (rules->failures == 0 && b->state != BREAKER_CLOSED) {
        close_it(b);
    }
}
