/* SPDX-License-Identifier: MIT */
/*
 * The question of linear.h answered by trying all orders, as long as there are
 * few: from what was done so far and the value it left, each operation that may
 * come next; what has led nowhere is remembered.
 */
#include "tests/support/linear.h"

#include <stdlib.h>

#include "common/mem.h"

struct attempt {
    const struct linear_op *ops;
    size_t n;
    uint32_t must; /* The operations that have happened for sure. */
    /* States known to lead nowhere: by those done, the last that changed it. */
    bool *dead;
};

/* The value after op 'i' on 'value'; false if that cannot be. */
static bool step(const struct linear_op *op, uint64_t *value)
{
    switch (op->kind) {
    case LINEAR_READ:
        return *value == op->value;
    case LINEAR_WRITE:
        break;
    case LINEAR_CREATE:
        if (*value != LINEAR_ABSENT) {
            return op->unknown; /* Then it did nothing. */
        }
        break;
    case LINEAR_DELETE:
        *value = LINEAR_ABSENT;
        return true;
    case LINEAR_ADD:
        ++*value;
        return op->unknown || *value == op->value;
    }
    *value = op->value;
    return true;
}

/* May op 'i' come next, after all of 'done'? */
static bool may_follow(const struct attempt *a, uint32_t done, size_t i)
{
    for (size_t j = 0; j < a->n; j++) {
        const bool is_done = (done >> j & 1) != 0;
        const bool must = (a->must >> j & 1) != 0;
        if (is_done ? a->ops[i].end_ns < a->ops[j].begin_ns
                    : must && a->ops[j].end_ns < a->ops[i].begin_ns) {
            return false;
        }
    }
    return true;
}

static bool try_from(const struct attempt *a, uint32_t done, size_t last,
                     uint64_t value)
{
    bool *dead = &a->dead[done * (LINEAR_TRY_MAX + 1) + last];

    if ((done & a->must) == a->must) {
        return true;
    }
    if (*dead) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        uint64_t after = value;
        if ((done >> i & 1) == 0 && may_follow(a, done, i) &&
            step(&a->ops[i], &after) &&
            try_from(a, done | 1U << i, after == value ? last : i + 1, after)) {
            return true;
        }
    }
    *dead = true;
    return false;
}

bool linear_try_all(const struct linear_op *ops, size_t n)
{
    struct attempt a = {.ops = ops, .n = n};

    if (n > LINEAR_TRY_MAX) {
        abort();
    }
    a.dead = xcalloc((size_t)(LINEAR_TRY_MAX + 1) << n, sizeof *a.dead);
    for (size_t i = 0; i < n; i++) {
        a.must |= ops[i].unknown ? 0 : 1U << i;
    }
    const bool good = try_from(&a, 0, 0, LINEAR_ABSENT);
    free(a.dead);
    return good;
}
