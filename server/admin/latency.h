/* SPDX-License-Identifier: MIT */
/*
 * The latency monitor: what took longer than latency-monitor-threshold, by
 * kind of event (latency.def); LATENCY shows it.
 *
 * As in Redis, an event keeps one sample a second, the longest, and the last
 * 160 of these.
 *
 * Thread-safety: any thread, and with locks held: the one lock here has rank
 * LOCK_LEAF and is taken only for what took too long.
 * Source: the LATENCY commands of Redis 7.0.
 */
#ifndef SERVER_ADMIN_LATENCY_H
#define SERVER_ADMIN_LATENCY_H

#include "common/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum latency_event {
#define LATENCY(id, name, summary, advice) LATENCY_##id,
#include "server/admin/latency.def"
#undef LATENCY
    LATENCY_COUNT
};

struct latency_row {
    const char *name;    /* "fast-command" */
    const char *summary; /* What it is, */
    const char *advice;  /* and what to do when it takes long. */
};
extern const struct latency_row latency_rows[LATENCY_COUNT];

#define LATENCY_SAMPLES 160 /* Of an event; as in Redis. */

struct latency_sample {
    int64_t at_s; /* Wall clock. */
    int64_t took_ms;
};

/* What is known of one event, the oldest sample first. */
struct latency_history {
    size_t n;
    struct latency_sample samples[LATENCY_SAMPLES];
    int64_t max_ms; /* Since start or the last reset. */
};

/* INT64_MAX: nothing takes too long.  Relaxed: it stands alone. */
extern _Atomic int64_t latency_threshold_us;

/* 'threshold_ms' as in latency-monitor-threshold: 0 switches it off. */
void latency_set_threshold(int64_t threshold_ms);

/* For latency_note(). */
void latency_add(enum latency_event event, int64_t took_us);

/* 'event' took so long; kept if that is too long. */
static inline void latency_note(enum latency_event event, int64_t took_us)
{
    if (took_us >=
        atomic_load_explicit(&latency_threshold_us, memory_order_relaxed)) {
        latency_add(event, took_us);
    }
}

/* The event called 'name', in any case; LATENCY_COUNT if there is none. */
enum latency_event latency_find(const char *name, size_t size);

/* False: nothing was kept of it. */
NODISCARD
bool latency_get(enum latency_event event, struct latency_history *history);

/* Forgets the event; false if nothing was kept. */
bool latency_reset(enum latency_event event);

#endif
