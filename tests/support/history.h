/* SPDX-License-Identifier: MIT */
/*
 * What was written to one key, and so what a lookup of it may answer.
 *
 * The writes of a key are numbered 1, 2, 3 … by the one thread that makes
 * them; a value written says its number.  Write 0 is how the key began.
 *
 *     begun 7 ─────────────────────────────────────── under way: may be seen
 *     acknowledged 5 ──── a lookup begun from now on sees 5, 6 or 7, never 4
 *
 * "No such key" counts as the number of a delete in that range.  A write that
 * failed is never seen, before or after that was known.
 *
 * Some keys are also cleared, expire, or may be forgotten, from outside of
 * their numbers; then "no such key" is right more often, and an old value
 * still never is.
 *
 * Thread-safety: any thread looks and checks; one thread at a time writes.
 * The numbers are atomic and there is no lock, so that ThreadSanitizer is not
 * led to believe in an order that the program under test does not make.
 */
#ifndef TESTS_SUPPORT_HISTORY_H
#define TESTS_SUPPORT_HISTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Writes remembered; a lookup during which more are begun is not checked. */
#define HISTORY_SIZE 1024

enum history_change { CHANGE_PUT, CHANGE_DELETE };
enum fate { FATE_OPEN, FATE_DONE, FATE_FAILED };

struct history_write {
    _Atomic int change;            /* enum history_change. */
    _Atomic int fate;              /* enum fate. */
    _Atomic bool seen;             /* A lookup answered it. */
    _Atomic int64_t expires_ms;    /* 0: never. */
    _Atomic uint64_t clear_before; /* The last clear that it comes after … */
    _Atomic uint64_t clear_begun; /* … and the last begun when it was done. */
};

/* Clears of all keys that can be cleared: numbered from 1, one at a time. */
struct history_clears {
    _Atomic uint64_t begun;
    _Atomic uint64_t ended;
    _Atomic uint64_t succeeded;
};

struct history {
    struct history_clears *clears; /* Borrowed; NULL: it is never cleared. */
    bool in_order;  /* Whoever writes it begins the clears too, so its writes
                       come after those begun, not only those ended. */
    bool forgetful; /* May be gone at any time. */
    _Atomic uint64_t begun;        /* The last number. */
    _Atomic uint64_t acknowledged; /* The highest.  Release/acquire. */
    struct history_write writes[HISTORY_SIZE]; /* By number, the last ones. */
};

/* Before any thread looks; 'h' is zeroed but for its first fields. */
void history_init(struct history *h, bool exists);

/* Before a write; returns its number. */
uint64_t history_begin(struct history *h, enum history_change change,
                       int64_t expires_ms);
/* When it was acknowledged, or refused or failed.  Returns what is wrong, or
 * NULL. */
const char *history_end(struct history *h, uint64_t number, bool done);

uint64_t history_clear_begin(struct history_clears *clears);
void history_clear_end(struct history_clears *clears, uint64_t number,
                       bool done);

/* What is known when a lookup begins. */
struct history_look {
    uint64_t acknowledged;
    uint64_t cleared;
    int64_t wall_ms;
};
struct history_look history_look(const struct history *h, int64_t wall_ms);

/* The lookup that began with 'look' was answered with value 'number'.
 * Returns what is wrong, or NULL. */
const char *history_found(struct history *h, const struct history_look *look,
                          uint64_t number);
/* Likewise, "no such key". */
const char *history_missed(const struct history *h,
                           const struct history_look *look, int64_t wall_ms);

#endif
