/* SPDX-License-Identifier: MIT */
/*
 * HRANDFIELD: fields drawn by lot.  A positive count draws different ones, as
 * many as there are at most; a negative one may draw a field many times.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/mem.h"
#include "common/random.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/hash_read.h"
#include "server/command/read.h"

#include <assert.h>

/* Bytes of a reply beside a name, or a value: its size and line ends. */
#define ELEMENT_BYTES 16

struct pair {
    struct slice name, value;
};

struct lot {
    struct pair *pairs; /* All fields; those drawn come to the front. */
    size_t n;
    uint64_t random;
    bool with_values;
};

/* From 0 to n - 1. */
static size_t draw(struct lot *lot, size_t n)
{
    return (size_t)(random_next(&lot->random) % n);
}

/* The hash has a secret, so nobody outside knows what is drawn. */
static uint64_t seed_of(const struct request *r)
{
    const uint64_t parts[] = {r->client->id, (uint64_t)clock_now_us(),
                              (uint64_t)(uintptr_t)r};

    return hash_bytes(slice_make((const char *)parts, sizeof parts));
}

static bool lot_init(struct lot *lot, const struct request *r,
                     struct fields fields)
{
    const size_t n = fields_count(&fields);
    size_t i = 0;

    assert(n > 0); /* A record has its key. */
    *lot = (struct lot){.pairs = try_malloc(n * sizeof lot->pairs[0]),
                        .n = n,
                        .random = seed_of(r)};
    if (lot->pairs == NULL) {
        return false;
    }
    while (i < n &&
           fields_next(&fields, &lot->pairs[i].name, &lot->pairs[i].value)) {
        i++;
    }
    return true;
}

static void reply_pair(struct request *r, const struct lot *lot, size_t i)
{
    if (lot->with_values && r->reply.protocol == 3) {
        reply_array(&r->reply, 2);
    }
    reply_bulk(&r->reply, lot->pairs[i].name);
    if (lot->with_values) {
        reply_bulk(&r->reply, lot->pairs[i].value);
    }
}

static void reply_header(struct request *r, const struct lot *lot, size_t n)
{
    const bool is_flat = lot->with_values && r->reply.protocol != 3;

    reply_array(&r->reply, is_flat ? 2 * n : n);
}

/* All in their order, or some by lot. */
static void reply_different(struct request *r, struct lot *lot, size_t count)
{
    const size_t n = count < lot->n ? count : lot->n;

    reply_header(r, lot, n);
    for (size_t i = 0; i < n; i++) {
        if (n < lot->n) {
            const size_t other = i + draw(lot, lot->n - i);
            const struct pair pair = lot->pairs[other];
            lot->pairs[other] = lot->pairs[i];
            lot->pairs[i] = pair;
        }
        reply_pair(r, lot, i);
    }
}

/* Would so many be too much of a reply? */
static bool are_too_many(const struct lot *lot, uint64_t count)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < lot->n; i++) {
        bytes += lot->pairs[i].name.size + ELEMENT_BYTES;
        bytes +=
            lot->with_values ? lot->pairs[i].value.size + ELEMENT_BYTES : 0;
    }
    return __builtin_mul_overflow(bytes / lot->n, count, &bytes) ||
           bytes > READ_BYTES_MAX;
}

static void reply_repeated(struct request *r, struct lot *lot, uint64_t count)
{
    if (are_too_many(lot, count)) {
        reply_err(&r->reply, ERR_TOO_BIG, "ask for fewer fields at once");
        return;
    }
    reply_header(r, lot, (size_t)count);
    for (uint64_t i = 0; i < count; i++) {
        reply_pair(r, lot, draw(lot, lot->n));
    }
}

static void empty_array(struct reply *reply)
{
    reply_array(reply, 0);
}

static void answer(struct request *r, const struct answer *a)
{
    struct fields fields;
    struct lot lot;
    int64_t count = 0;

    if (!hash_read(r, a, r->argc == 2 ? reply_null : empty_array, &fields)) {
        return;
    }
    if (!lot_init(&lot, r, fields)) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return;
    }
    lot.with_values = r->argc == 4;
    if (r->argc == 2) {
        reply_pair(r, &lot, draw(&lot, lot.n));
    } else if (slice_to_int64(r->argv[2], &count) && count < 0) {
        reply_repeated(r, &lot, -(uint64_t)count);
    } else {
        reply_different(r, &lot, (size_t)count);
    }
    free(lot.pairs);
}

enum command_status cmd_hrandfield(struct request *r)
{
    int64_t count;

    if (r->argc == 2) {
        return read_key(r, r->argv[1], answer);
    }
    if (!arg_integer(r, 2, &count)) {
        return COMMAND_DONE;
    }
    if (count == INT64_MIN) {
        reply_errorf(&r->reply,
                     "ERR value is out of range, value must between %lld and "
                     "%lld",
                     (long long)-INT64_MAX, (long long)INT64_MAX);
        return COMMAND_DONE;
    }
    if (r->argc > 4 || (r->argc == 4 && !arg_is(r, 3, "WITHVALUES"))) {
        return done_syntax_error(r);
    }
    if (r->argc == 4 && (count < -INT64_MAX / 2 || count > INT64_MAX / 2)) {
        reply_error(&r->reply, "ERR value is out of range");
        return COMMAND_DONE;
    }
    return read_key(r, r->argv[1], answer);
}
