/* SPDX-License-Identifier: MIT */
/*
 * DEL EXISTS TYPE TTL: about single keys, whatever they hold.
 */
#include "common/clock.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/read.h"
#include "server/command/write.h"

static void answer_del(struct request *r, const struct update_result *result)
{
    reply_integer(&r->reply, result->n_changed);
}

enum command_status cmd_del(struct request *r)
{
    const struct update update = {.op = STORE_DELETE_PLAIN};

    return write_keys(r, &update, r->argv + 1, r->argc - 1, answer_del);
}

static void answer_exists(struct request *r, const struct answer *answers,
                          size_t n)
{
    int64_t found = 0;

    for (size_t i = 0; i < n; i++) {
        found += answers[i].outcome == LOOKUP_FOUND;
    }
    reply_integer(&r->reply, found);
}

enum command_status cmd_exists(struct request *r)
{
    return read_keys(r, r->argv + 1, r->argc - 1, false, answer_exists);
}

static void answer_type(struct request *r, const struct answer *a)
{
    reply_simple(&r->reply, a->outcome != LOOKUP_FOUND ? "none"
                            : a->mapping != NULL       ? "hash"
                                                       : "string");
}

enum command_status cmd_type(struct request *r)
{
    return read_key(r, r->argv[1], answer_type);
}

/* Source: TTL in Redis: -2 no such key, -1 no expiry, else rounded seconds. */
static void answer_ttl(struct request *r, const struct answer *a)
{
    if (a->outcome != LOOKUP_FOUND) {
        reply_integer(&r->reply, -2);
    } else if (a->expires_ms == 0) {
        reply_integer(&r->reply, -1);
    } else {
        const int64_t left_ms = a->expires_ms - clock_wall_ms();
        reply_integer(&r->reply, left_ms > 0 ? (left_ms + 500) / 1000 : 0);
    }
}

enum command_status cmd_ttl(struct request *r)
{
    return read_key(r, r->argv[1], answer_ttl);
}
