/* SPDX-License-Identifier: MIT */
/*
 * DEL UNLINK EXISTS TOUCH TYPE: about keys, whatever they hold.
 */
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
    const struct update update = {
        .op = STORE_DELETE_PLAIN, .event = "del", .class = CHANGE_GENERIC};

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
                            : a->kind == COPY_STRING   ? "string"
                                                       : "hash");
}

enum command_status cmd_type(struct request *r)
{
    return read_key(r, r->argv[1], answer_type);
}
