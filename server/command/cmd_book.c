/* SPDX-License-Identifier: MIT */
/*
 * BOOK.GET and BOOK.EVICT: what Redis has no words for.
 */
#include "common/clock.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/command/read.h"

static void answer_book_get(struct request *r, const struct answer *a)
{
    struct reply *reply = &r->reply;

    reply_map(reply, 4);
    reply_bulk_string(reply, "value");
    reply_answer_text(reply, a);
    reply_bulk_string(reply, "source");
    reply_bulk_string(reply, a->source == LOOKUP_CACHE ? "cache" : "store");
    reply_bulk_string(reply, "age-ms");
    reply_integer(reply, a->age_us / 1000);
    reply_bulk_string(reply, "took-us");
    reply_integer(reply, clock_now_us() - a->start_us);
}

enum command_status cmd_book_get(struct request *r)
{
    return read_key(r, r->argv[1], answer_book_get);
}

enum command_status cmd_book_evict(struct request *r)
{
    int64_t n = 0;

    for (size_t i = 1; i < r->argc; i++) {
        n += lookup_evict(r->client->server->lookup, r->argv[i]);
    }
    reply_integer(&r->reply, n);
    return COMMAND_DONE;
}
