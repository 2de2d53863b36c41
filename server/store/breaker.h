/* SPDX-License-Identifier: MIT */
/*
 * The breaker: stops asking a store that fails, and begins again with care.
 *
 *              so many failures in a row
 *     CLOSED ─────────────────────────────► OPEN ──┐ one probe per interval;
 *       ▲                                   ▲  │ ◄─┘ all else is refused
 *       │ slots are many enough     failure │  │ a probe succeeds
 *       └────────────────────────────── HALF_OPEN
 *                                    1 slot, 2, 4 … doubled by each round of
 *                                    as many successes
 *
 * An era begins whenever the breaker opens or half opens.  A read belongs to
 * the era it began in, and only the results of this era count: what was asked
 * of the store before says nothing about how it is now.
 *
 * It is the decisions only: time, results and rules are handed in.
 *
 * Thread-safety: none; pool.c holds its lock around it.
 */
#ifndef SERVER_STORE_BREAKER_H
#define SERVER_STORE_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/* Read from the configuration at each call, so that changes count at once. */
struct breaker_rules {
    int64_t failures;    /* In a row, that open it; 0: it never opens. */
    int64_t interval_us; /* Between probes. */
    size_t slots;        /* Reads at a time when all is well. */
};

/* Zeroed: closed. */
struct breaker {
    enum breaker_state state;
    uint32_t era;
    int64_t n_opened;
    int64_t n_failures; /* CLOSED: in a row. */
    int64_t asked_us;   /* OPEN: when it opened, or of the last probe. */
    size_t slots;       /* HALF_OPEN: reads at a time. */
    size_t n_good;      /* HALF_OPEN: successes of this round. */
};

/* "closed", "open" or "half-open". */
const char *breaker_name(enum breaker_state state);

/* Reads of this era that may run at a time; 0 while open. */
size_t breaker_slots(const struct breaker *b,
                     const struct breaker_rules *rules);

/* While open: true if a probe is due, which the caller then has to send. */
bool breaker_probe(struct breaker *b, const struct breaker_rules *rules,
                   int64_t now_us);

/* A read of 'era' was answered; 'waiting': others wait for a slot. */
void breaker_succeeded(struct breaker *b, const struct breaker_rules *rules,
                       uint32_t era, bool waiting);
/* A read of 'era' failed, or is out for too long. */
void breaker_failed(struct breaker *b, const struct breaker_rules *rules,
                    uint32_t era, int64_t now_us);
/* Closes a breaker that the rules have switched off meanwhile. */
void breaker_follow(struct breaker *b, const struct breaker_rules *rules);

#endif
