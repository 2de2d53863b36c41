/* SPDX-License-Identifier: MIT */
/*
 * A bar on standard error, if that is a terminal, for work that takes a while.
 *
 * Thread-safety: none; one owner.
 */
#ifndef CLIENT_PROGRESS_H
#define CLIENT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *unit; /* "books" */
    int64_t total;    /* Of the work; 0 if nobody knows. */
    int64_t start_us;
    int64_t shown_us; /* When it was last drawn. */
    bool visible;     /* Something stands on the line. */
};

/* Nothing is shown before the work has taken a moment. */
void progress_init(struct progress *progress, const char *unit, int64_t total);

/* 'done' of the total is done, which came to 'count' units.  Draws at most
 * ten times a second. */
void progress_update(struct progress *progress, int64_t done, int64_t count);

/* Wipes the bar, so that something else can be written. */
void progress_clear(struct progress *progress);

#endif
