/* SPDX-License-Identifier: MIT */
/*
 * The names of fields that a command gives, to be found by: a hash with many
 * fields is gone through once, however many of them are asked for.
 *
 *     if (names_init(&names, argv + 2, n, 2)) {            HSET: every second
 *         place = names_find(&names, name);           n: it is none of them
 *         names_destroy(&names);
 *     }
 *
 * Thread-safety: constant once begun; whoever has one may read it.
 */
#ifndef SERVER_COMMAND_NAMES_H
#define SERVER_COMMAND_NAMES_H

#include "common/attr.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct fields;

struct names {
    const struct slice *list; /* Borrowed: list[0], list[step] … */
    size_t n, step;
    uint32_t *slots; /* Place + 1 of a name; 0: free.  NULL: there are few. */
    size_t n_slots;  /* A power of two. */
};

/* False without memory; then there is nothing to destroy. */
NODISCARD
bool names_init(struct names *names, const struct slice *list, size_t n,
                size_t step);
void names_destroy(struct names *names);

/* Where 'name' stands first, from 0 on; names->n: nowhere. */
size_t names_find(const struct names *names, struct slice name);

/* Puts the values of those that 'fields' has into values[place]. */
void names_pick(const struct names *names, struct fields fields,
                struct slice *values);

#endif
