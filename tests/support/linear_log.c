/* SPDX-License-Identifier: MIT */
/*
 * Logs of operations, as threads record them; put together and sorted by key
 * they are histories.
 */
#include "tests/support/linear.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct linear_op *make_room(struct linear_log *log, size_t n)
{
    if (log->n + n > log->room) {
        log->room = (log->n + n) * 2;
        log->ops = realloc(log->ops, log->room * sizeof *log->ops);
        if (log->ops == NULL) {
            abort();
        }
    }
    log->n += n;
    return &log->ops[log->n - n];
}

struct linear_op *linear_log_add(struct linear_log *log)
{
    struct linear_op *op = make_room(log, 1);

    *op = (struct linear_op){.kind = LINEAR_READ};
    return op;
}

void linear_log_append(struct linear_log *log, const struct linear_log *from)
{
    if (from->n > 0) {
        memcpy(make_room(log, from->n), from->ops, from->n * sizeof *log->ops);
    }
}

void linear_log_destroy(struct linear_log *log)
{
    free(log->ops);
    *log = (struct linear_log){0};
}

static int by_key(const void *a, const void *b)
{
    const struct linear_op *x = a, *y = b;

    return x->key < y->key ? -1 : x->key > y->key;
}

size_t linear_log_check(struct linear_log *log,
                        const struct linear_rules *(*rules_of)(void *arg,
                                                               uint32_t key),
                        void *arg, struct buf *why)
{
    size_t n_wrong = 0;
    size_t end;

    if (log->n > 0) {
        qsort(log->ops, log->n, sizeof *log->ops, by_key);
    }
    for (size_t i = 0; i < log->n; i = end) {
        const uint32_t key = log->ops[i].key;
        struct buf reason = {0};
        end = i;
        while (end < log->n && log->ops[end].key == key) {
            end++;
        }
        if (!linear_check(&log->ops[i], end - i, rules_of(arg, key), &reason)) {
            n_wrong++;
            buf_printf(why, "key %u: ", key);
            buf_append_slice(why, buf_slice(&reason));
            buf_append_char(why, '\n');
        }
        buf_destroy(&reason);
    }
    return n_wrong;
}

int64_t linear_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
