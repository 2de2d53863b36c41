/* SPDX-License-Identifier: MIT */
#include "server/cache/budget.h"

static int64_t share(const struct budget *b)
{
    return atomic_load_explicit(&b->negative_share, memory_order_relaxed);
}

/* The share in bytes, rounded down; no product passes SIZE_MAX. */
static size_t share_bytes(const struct budget *b)
{
    const size_t max_bytes = budget_load(&b->max_bytes);
    const size_t millionths = (size_t)share(b);

    return max_bytes / 1000000 * millionths +
           max_bytes % 1000000 * millionths / 1000000;
}

bool budget_has_share(const struct budget *b)
{
    return share(b) > 0;
}

size_t budget_max_negative(const struct budget *b)
{
    return budget_has_share(b) ? share_bytes(b) : SIZE_MAX;
}

bool budget_share_exceeded(const struct budget *b)
{
    return budget_load(&b->negative_bytes) > share_bytes(b);
}

bool budget_limit_exceeded(const struct budget *b)
{
    return budget_load(&b->used_bytes) > budget_load(&b->max_bytes) ||
           budget_load(&b->n_entries) > budget_load(&b->max_entries);
}

bool budget_exceeded(const struct budget *b)
{
    return budget_share_exceeded(b) || budget_limit_exceeded(b);
}
