/* SPDX-License-Identifier: MIT */
#include "server/admin/latency.h"

#include "common/clock.h"
#include "common/lock.h"
#include "common/slice.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

const struct latency_row latency_rows[LATENCY_COUNT] = {
#define LATENCY(id, name_, summary_, advice_) \
    [LATENCY_##id] = {.name = name_, .summary = summary_, .advice = advice_},
#include "server/admin/latency.def"
#undef LATENCY
};

_Atomic int64_t latency_threshold_us = INT64_MAX;

struct event {
    struct latency_sample ring[LATENCY_SAMPLES];
    size_t next; /* Where the next sample goes. */
    size_t n;
    int64_t max_ms;
};

static struct mutex lock; /* Rank LOCK_LEAF; held for one event. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct event events[LATENCY_COUNT] GUARDED_BY(lock);

static void init(void)
{
    mutex_init(&lock, LOCK_LEAF, "latency");
}

static void take_lock(void) ACQUIRE(lock)
{
    if (pthread_once(&once, init) != 0) {
        abort();
    }
    mutex_lock(&lock);
}

void latency_set_threshold(int64_t threshold_ms)
{
    const int64_t threshold_us =
        threshold_ms <= 0 || threshold_ms > INT64_MAX / 1000
            ? INT64_MAX
            : threshold_ms * 1000;

    atomic_store_explicit(&latency_threshold_us, threshold_us,
                          memory_order_relaxed);
}

static struct latency_sample *newest(struct event *e)
{
    return &e->ring[(e->next + LATENCY_SAMPLES - 1) % LATENCY_SAMPLES];
}

void latency_add(enum latency_event event, int64_t took_us)
{
    const struct latency_sample sample = {.at_s = clock_wall_ms() / 1000,
                                          .took_ms = took_us / 1000};

    assert(event < LATENCY_COUNT);
    take_lock();
    struct event *e = &events[event];
    if (sample.took_ms > e->max_ms) {
        e->max_ms = sample.took_ms;
    }
    if (e->n > 0 && newest(e)->at_s == sample.at_s) {
        if (sample.took_ms > newest(e)->took_ms) {
            newest(e)->took_ms = sample.took_ms;
        }
    } else {
        e->ring[e->next] = sample;
        e->next = (e->next + 1) % LATENCY_SAMPLES;
        e->n += e->n < LATENCY_SAMPLES;
    }
    mutex_unlock(&lock);
}

enum latency_event latency_find(const char *name, size_t size)
{
    for (enum latency_event event = 0; event < LATENCY_COUNT; event++) {
        if (slice_equal_nocase(slice_make(name, size),
                               slice_from_string(latency_rows[event].name))) {
            return event;
        }
    }
    return LATENCY_COUNT;
}

bool latency_get(enum latency_event event, struct latency_history *history)
{
    take_lock();
    const struct event *e = &events[event];
    const size_t n = e->n;
    history->n = n;
    history->max_ms = e->max_ms;
    for (size_t i = 0; i < n; i++) {
        history->samples[i] =
            e->ring[(e->next + LATENCY_SAMPLES - n + i) % LATENCY_SAMPLES];
    }
    mutex_unlock(&lock);
    return n > 0;
}

bool latency_reset(enum latency_event event)
{
    take_lock();
    const bool any = events[event].n > 0;
    events[event] = (struct event){0};
    mutex_unlock(&lock);
    return any;
}
