/* SPDX-License-Identifier: MIT */
#include "server/command/names.h"

#include "common/hash.h"
#include "common/mem.h"
#include "server/lookup/fields.h"

#include <string.h>

/* Fewer are compared with one after the other, which is faster than hashing. */
#define FEW 8

static struct slice name_at(const struct names *names, size_t place)
{
    return names->list[place * names->step];
}

/* The slot of that name, or the free one where it would be. */
static uint32_t *slot_of(const struct names *names, struct slice name)
{
    const size_t mask = names->n_slots - 1;
    size_t i = (size_t)hash_bytes(name) & mask;

    while (names->slots[i] != 0 &&
           !slice_equal(name_at(names, names->slots[i] - 1), name)) {
        i = (i + 1) & mask;
    }
    return &names->slots[i];
}

bool names_init(struct names *names, const struct slice *list, size_t n,
                size_t step)
{
    *names = (struct names){.list = list, .n = n, .step = step};
    if (n <= FEW) {
        return true;
    }
    names->n_slots = 4 * FEW;
    while (names->n_slots < 2 * n) {
        names->n_slots *= 2;
    }
    const size_t bytes = names->n_slots * sizeof names->slots[0];
    names->slots = n < UINT32_MAX ? try_malloc(bytes) : NULL;
    if (names->slots == NULL) {
        return false;
    }
    memset(names->slots, 0, bytes);
    for (size_t i = 0; i < n; i++) {
        uint32_t *slot = slot_of(names, name_at(names, i));
        if (*slot == 0) {
            *slot = (uint32_t)(i + 1);
        }
    }
    return true;
}

void names_destroy(struct names *names)
{
    free(names->slots);
    names->slots = NULL;
}

size_t names_find(const struct names *names, struct slice name)
{
    if (names->slots != NULL) {
        const uint32_t place = *slot_of(names, name);
        return place == 0 ? names->n : place - 1;
    }
    size_t i = 0;
    while (i < names->n && !slice_equal(name_at(names, i), name)) {
        i++;
    }
    return i;
}

void names_pick(const struct names *names, struct fields fields,
                struct slice *values)
{
    struct slice name;
    struct slice value;

    while (fields_next(&fields, &name, &value)) {
        const size_t place = names_find(names, name);
        if (place < names->n) {
            values[place] = value;
        }
    }
}
