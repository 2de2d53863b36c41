/* SPDX-License-Identifier: MIT */
/*
 * A hash table of nodes that lie inside the caller's structs: chained, doubled
 * when it is full, halved when it is nearly empty.
 *
 *     struct topic { struct table_node node; … };
 *     for (n = table_first(&t, hash); n != NULL; n = table_next(n)) {
 *         struct topic *topic = container_of(n, struct topic, node);
 *         … is it the one?  Only the hashes are known to be equal.
 *     }
 *
 * A zeroed struct is an empty table.
 *
 * Thread-safety: none; one owner, or a lock of the caller's.
 */
#ifndef COMMON_TABLE_H
#define COMMON_TABLE_H

#include "common/attr.h"

#include <stddef.h>
#include <stdint.h>

struct table_node {
    struct table_node *next; /* In its chain. */
    uint64_t hash;
};

struct table {
    struct table_node **chains; /* Owned; n_chains, a power of two, or 0. */
    size_t n_chains;
    size_t count; /* Nodes. */
};

/* Frees what the table has for itself; the nodes are the caller's. */
void table_destroy(struct table *t);

/* Adds a node, also if there are others of the same hash. */
void table_insert(struct table *t, struct table_node *node, uint64_t hash);
/* Takes out a node that is in. */
void table_remove(struct table *t, struct table_node *node);

/* The first node of 'hash', and the next one of the same; NULL: no more. */
struct table_node *table_first(const struct table *t, uint64_t hash);
struct table_node *table_next(const struct table_node *node);

/* All nodes, in no order: table_any() begins, NULL ends.  The table must not
 * be changed meanwhile. */
struct table_node *table_any(const struct table *t);
struct table_node *table_another(const struct table *t,
                                 const struct table_node *node);

#endif
