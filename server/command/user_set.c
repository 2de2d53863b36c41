/* SPDX-License-Identifier: MIT */
#include "server/command/user_set.h"

#include "common/mem.h"

void user_set_destroy(struct user_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        user_unref(set->list[i]);
    }
    free(set->list);
    *set = (struct user_set){0};
}

/* Where the user of this name is, or belongs. */
static size_t place_of(const struct user_set *set, struct slice name)
{
    size_t low = 0;
    size_t high = set->n;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (slice_compare(user_name(set->list[middle]), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct user_set *set, size_t place, struct slice name)
{
    return place < set->n && slice_equal(user_name(set->list[place]), name);
}

struct user *user_set_find(const struct user_set *set, struct slice name)
{
    const size_t place = place_of(set, name);

    return is_at(set, place, name) ? set->list[place] : NULL;
}

bool user_set_put(struct user_set *set, struct user *user)
{
    const size_t place = place_of(set, user_name(user));

    if (is_at(set, place, user_name(user))) {
        user_unref(set->list[place]);
        set->list[place] = user;
        return true;
    }
    struct user **more =
        try_realloc(set->list, (set->n + 1) * sizeof(struct user *));
    if (more == NULL) {
        return false;
    }
    memmove(more + place + 1, more + place,
            (set->n - place) * sizeof(struct user *));
    more[place] = user;
    set->list = more;
    set->n++;
    return true;
}

bool user_set_remove(struct user_set *set, struct slice name)
{
    const size_t place = place_of(set, name);

    if (!is_at(set, place, name)) {
        return false;
    }
    user_unref(set->list[place]);
    set->n--;
    memmove(set->list + place, set->list + place + 1,
            (set->n - place) * sizeof(struct user *));
    return true;
}
