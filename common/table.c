/* SPDX-License-Identifier: MIT */
#include "common/table.h"

#include "common/mem.h"

#define CHAINS_MIN 16

void table_destroy(struct table *t)
{
    free(t->chains);
    *t = (struct table){.chains = NULL};
}

static struct table_node **chain_of(const struct table *t, uint64_t hash)
{
    return &t->chains[hash & (t->n_chains - 1)];
}

static void resize(struct table *t, size_t n_chains)
{
    const struct table old = *t;

    t->chains = xcalloc(n_chains, sizeof(*t->chains));
    t->n_chains = n_chains;
    for (size_t i = 0; i < old.n_chains; i++) {
        struct table_node *node = old.chains[i];
        while (node != NULL) {
            struct table_node *next = node->next;
            struct table_node **chain = chain_of(t, node->hash);
            node->next = *chain;
            *chain = node;
            node = next;
        }
    }
    free(old.chains);
}

void table_insert(struct table *t, struct table_node *node, uint64_t hash)
{
    if (t->count == t->n_chains) {
        resize(t, t->n_chains == 0 ? CHAINS_MIN : 2 * t->n_chains);
    }
    struct table_node **chain = chain_of(t, hash);
    *node = (struct table_node){.next = *chain, .hash = hash};
    *chain = node;
    t->count++;
}

void table_remove(struct table *t, struct table_node *node)
{
    struct table_node **link = chain_of(t, node->hash);

    while (*link != node) {
        link = &(*link)->next;
    }
    *link = node->next;
    t->count--;
    /* An eighth, so that a count that goes up and down does not resize each
     * time. */
    if (t->n_chains > CHAINS_MIN && t->count < t->n_chains / 8) {
        resize(t, t->n_chains / 2);
    }
}

static struct table_node *skip(struct table_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash) {
        node = node->next;
    }
    return node;
}

struct table_node *table_first(const struct table *t, uint64_t hash)
{
    return t->n_chains == 0 ? NULL : skip(*chain_of(t, hash), hash);
}

struct table_node *table_next(const struct table_node *node)
{
    return skip(node->next, node->hash);
}

static struct table_node *first_from(const struct table *t, size_t chain)
{
    while (chain < t->n_chains && t->chains[chain] == NULL) {
        chain++;
    }
    return chain < t->n_chains ? t->chains[chain] : NULL;
}

struct table_node *table_any(const struct table *t)
{
    return first_from(t, 0);
}

struct table_node *table_another(const struct table *t,
                                 const struct table_node *node)
{
    return node->next != NULL
               ? node->next
               : first_from(t, (node->hash & (t->n_chains - 1)) + 1);
}
