/* SPDX-License-Identifier: MIT */
/*
 * OBJECT: how Redis would keep a value.  bookd keeps all values alike, so the
 * answers are worked out from the value as it is now, by the rules that Redis
 * has for one that is just written.
 */
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/read.h"
#include "server/lookup/hash_value.h"

#include <limits.h>

/* Source: Redis 7.0, object.c, and its defaults for hash-max-listpack-entries
 * and hash-max-listpack-value. */
#define EMBEDDED_BYTES_MAX 44
#define LISTPACK_FIELDS_MAX 512
#define LISTPACK_BYTES_MAX 64
#define SHARED_INTEGERS 10000

static bool is_missing(struct request *r, const struct answer *a)
{
    if (a->outcome != LOOKUP_FOUND) {
        reply_null(&r->reply);
    }
    return a->outcome != LOOKUP_FOUND;
}

static const char *encoding_of_hash(struct slice hash)
{
    struct slice fields = hash_value_fields(hash);
    bool small = hash_value_count(hash) <= LISTPACK_FIELDS_MAX;
    struct slice name;
    struct slice value;

    while (small && hash_value_next(&fields, &name, &value)) {
        small =
            name.size <= LISTPACK_BYTES_MAX && value.size <= LISTPACK_BYTES_MAX;
    }
    return small ? "listpack" : "hashtable";
}

static const char *encoding_of_string(struct slice value)
{
    int64_t integer;

    if (slice_to_int64(value, &integer)) {
        return "int";
    }
    return value.size <= EMBEDDED_BYTES_MAX ? "embstr" : "raw";
}

static void answer_encoding(struct request *r, const struct answer *a)
{
    if (is_missing(r, a)) {
        return;
    }
    reply_bulk_string(&r->reply,
                      a->kind == COPY_STRING ? encoding_of_string(a->bytes)
                      : a->kind == COPY_HASH ? encoding_of_hash(a->bytes)
                                             : "hashtable");
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
