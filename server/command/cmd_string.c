/* SPDX-License-Identifier: MIT */
/*
 * GET MGET STRLEN SET: plain keys as bytes, records as JSON objects.
 */
#include "common/clock.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/read.h"
#include "server/command/write.h"
#include "server/lookup/record.h"

/* What GET answers: the bytes of a plain key, the JSON object of a record. */
static struct slice text_of(const struct answer *a)
{
    return a->mapping != NULL ? record_json(a->bytes) : a->bytes;
}

void reply_answer_text(struct reply *reply, const struct answer *a)
{
    if (a->outcome == LOOKUP_FOUND) {
        reply_bulk(reply, text_of(a));
    } else {
        reply_null(reply);
    }
}

static void answer_get(struct request *r, const struct answer *a)
{
    reply_answer_text(&r->reply, a);
}

enum command_status cmd_get(struct request *r)
{
    return read_key(r, r->argv[1], answer_get);
}

static void answer_mget(struct request *r, const struct answer *answers,
                        size_t n)
{
    reply_array(&r->reply, n);
    for (size_t i = 0; i < n; i++) {
        reply_answer_text(&r->reply, &answers[i]);
    }
}

enum command_status cmd_mget(struct request *r)
{
    return read_keys(r, r->argv + 1, r->argc - 1, true, answer_mget);
}

static void answer_strlen(struct request *r, const struct answer *a)
{
    reply_integer(&r->reply,
                  a->outcome == LOOKUP_FOUND ? (int64_t)text_of(a).size : 0);
}

enum command_status cmd_strlen(struct request *r)
{
    return read_key(r, r->argv[1], answer_strlen);
}

/* ---- SET ---- */

static const struct expiry_option {
    const char *name;
    int64_t unit_ms;
    bool absolute;
} expiry_options[] = {
    {"EX", 1000, false},
    {"PX", 1, false},
    {"EXAT", 1000, true},
    {"PXAT", 1, true},
};

/* Reads the options of SET into '*expires_ms' (0: never); replies on error. */
static bool set_options(struct request *r, int64_t *expires_ms)
{
    *expires_ms = 0;
    for (size_t i = 3; i < r->argc; i++) {
        const struct expiry_option *option = NULL;
        int64_t n;
        for (size_t k = 0; k < ARRAY_LEN(expiry_options); k++) {
            if (arg_is(r, i, expiry_options[k].name)) {
                option = &expiry_options[k];
            }
        }
        if (arg_is(r, i, "NX") || arg_is(r, i, "XX") || arg_is(r, i, "GET") ||
            arg_is(r, i, "KEEPTTL")) {
            reply_errorf(&r->reply,
                         "ERR SET %.*s is not supported; SET takes EX, PX, "
                         "EXAT and PXAT",
                         shown(r->argv[i]), r->argv[i].data);
            return false;
        }
        if (option == NULL || *expires_ms != 0 || i + 1 == r->argc) {
            reply_error(&r->reply, "ERR syntax error");
            return false;
        }
        if (!arg_integer(r, ++i, &n)) {
            return false;
        }
        const int64_t base_ms = option->absolute ? 0 : clock_wall_ms();
        if (n <= 0 || __builtin_mul_overflow(n, option->unit_ms, &n) ||
            __builtin_add_overflow(n, base_ms, &n)) {
            reply_error(&r->reply, "ERR invalid expire time in 'set' command");
            return false;
        }
        *expires_ms = n;
    }
    return true;
}

static void answer_set(struct request *r, const struct update_result *result)
{
    (void)result;
    reply_ok(&r->reply);
}

enum command_status cmd_set(struct request *r)
{
    struct update update = {
        .op = STORE_PUT_PLAIN, .key = r->argv[1], .value = r->argv[2]};

    if (!set_options(r, &update.expires_ms)) {
        return COMMAND_DONE;
    }
    if (write_is_record(r, r->argv[1])) {
        if (update.expires_ms != 0) {
            reply_error(&r->reply, "ERR a record cannot expire: it is a row of "
                                   "a table");
            return COMMAND_DONE;
        }
        update.op = STORE_PUT_ROW;
    }
    return write_key(r, &update, answer_set);
}
