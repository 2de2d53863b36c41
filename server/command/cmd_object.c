/* SPDX-License-Identifier: MIT */
/*
 * OBJECT: how Redis would keep a value; see encoding.h.
 */
#include "server/command/args.h"
#include "server/command/encoding.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/command/read.h"

#include <limits.h>

/* Source: Redis 7.0, server.h. */
#define SHARED_INTEGERS 10000

static bool is_missing(struct request *r, const struct answer *a)
{
    if (a->outcome != LOOKUP_FOUND) {
        reply_null(&r->reply);
    }
    return a->outcome != LOOKUP_FOUND;
}

static void answer_encoding(struct request *r, const struct answer *a)
{
    if (!is_missing(r, a)) {
        reply_bulk_string(&r->reply, encoding_of(r->client->server->config, a));
    }
}

enum command_status cmd_object_encoding(struct request *r)
{
    return read_key(r, r->argv[2], answer_encoding);
}

static void answer_freq(struct request *r, const struct answer *a)
{
    if (!is_missing(r, a)) {
        reply_error(&r->reply,
                    "ERR An LFU maxmemory policy is not selected, access "
                    "frequency not tracked. Please note that when switching "
                    "between policies at runtime LRU and LFU data will take "
                    "some time to adjust.");
    }
}

enum command_status cmd_object_freq(struct request *r)
{
    return read_key(r, r->argv[2], answer_freq);
}

static void answer_idletime(struct request *r, const struct answer *a)
{
    if (!is_missing(r, a)) {
        reply_integer(&r->reply, a->age_us / 1000000);
    }
}

enum command_status cmd_object_idletime(struct request *r)
{
    return read_key(r, r->argv[2], answer_idletime);
}

static void answer_refcount(struct request *r, const struct answer *a)
{
    int64_t integer;

    if (!is_missing(r, a)) {
        const bool shared = a->kind == COPY_STRING &&
                            slice_to_int64(a->bytes, &integer) &&
                            integer >= 0 && integer < SHARED_INTEGERS;
        reply_integer(&r->reply, shared ? INT_MAX : 1);
    }
}

enum command_status cmd_object_refcount(struct request *r)
{
    return read_key(r, r->argv[2], answer_refcount);
}

enum command_status cmd_object_help(struct request *r)
{
    command_reply_help(r, "object");
    return COMMAND_DONE;
}
