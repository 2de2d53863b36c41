/* SPDX-License-Identifier: MIT */
/*
 * EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST TTL PTTL EXPIRETIME PEXPIRETIME:
 * until when a plain key lives.  A record lives as long as its row.
 */
#include "common/clock.h"
#include "server/command/args.h"
#include "server/command/decide.h"
#include "server/command/handlers.h"
#include "server/command/read.h"
#include "server/command/write.h"

enum {
    ONLY_NEW = 1 << 0,     /* NX: there is no expiry. */
    ONLY_OLD = 1 << 1,     /* XX: there is one. */
    ONLY_LATER = 1 << 2,   /* GT; no expiry is the latest. */
    ONLY_EARLIER = 1 << 3, /* LT */
};

struct expiring {
    struct decision decision;
    unsigned conditions;
    int64_t expires_ms;
    bool done;
};

/* Reads the conditions from argument 3 on; replies on error. */
static bool read_conditions(struct request *r, unsigned *conditions)
{
    static const struct {
        const char *name;
        unsigned condition;
    } all[] = {{"NX", ONLY_NEW},
               {"XX", ONLY_OLD},
               {"GT", ONLY_LATER},
               {"LT", ONLY_EARLIER}};

    for (size_t i = 3; i < r->argc; i++) {
        unsigned found = 0;
        for (size_t k = 0; k < ARRAY_LEN(all); k++) {
            found |= arg_is(r, i, all[k].name) ? all[k].condition : 0;
        }
        if (found == 0) {
            reply_errorf(&r->reply, "ERR Unsupported option %.*s",
                         shown(r->argv[i]), r->argv[i].data);
            return false;
        }
        *conditions |= found;
    }
    if ((*conditions & ONLY_NEW) != 0 && *conditions != ONLY_NEW) {
        reply_error(&r->reply, "ERR NX and XX, GT or LT options at the same "
                               "time are not compatible");
        return false;
    }
    if ((~*conditions & (ONLY_LATER | ONLY_EARLIER)) == 0) {
        reply_error(&r->reply, "ERR GT and LT options at the same time are not "
                               "compatible");
        return false;
    }
    return true;
}

/* True if an expiry 'now_ms' (0: none) may become 'then_ms'. */
static bool allowed(unsigned conditions, int64_t now_ms, int64_t then_ms)
{
    const bool none = now_ms == 0;

    return !((conditions & ONLY_NEW) != 0 && !none) &&
           !((conditions & ONLY_OLD) != 0 && none) &&
           !((conditions & ONLY_LATER) != 0 && (none || then_ms <= now_ms)) &&
           !((conditions & ONLY_EARLIER) != 0 && !none && then_ms >= now_ms);
}

static enum err decide_expire(void *context, const struct present *now,
                              struct update *update, struct buf *room,
                              struct buf *detail)
{
    struct expiring *e = context;

    (void)detail;
    decision_begin(&e->decision);
    e->done = now->kind != COPY_NEGATIVE &&
              allowed(e->conditions, now->expires_ms, e->expires_ms);
    return e->done
               ? decision_expire(&e->decision, now, e->expires_ms, update, room)
               : decision_nothing(update);
}

static void answer_done(struct request *r, const struct update_result *result)
{
    const struct expiring *e = r->state;

    (void)result;
    if (!decision_failed(&e->decision)) {
        reply_integer(&r->reply, e->done);
    }
}

/* Replies, unless argument 1 is a plain key. */
static bool can_expire(struct request *r)
{
    if (write_is_record(r, r->argv[1])) {
        reply_error(&r->reply,
                    "ERR a record cannot expire: it is a row of a table");
        return false;
    }
    return true;
}

static enum command_status expire(struct request *r, int64_t unit_ms,
                                  int64_t base_ms)
{
    struct expiring *e = can_expire(r) ? decision_new(r, sizeof *e) : NULL;
    const struct update update = {.op = STORE_PUT_PLAIN,
                                  .key = r->argv[1],
                                  .context = e,
                                  .decide = decide_expire};
    int64_t n;

    if (e == NULL || !read_conditions(r, &e->conditions) ||
        !arg_integer(r, 2, &n)) {
        return COMMAND_DONE;
    }
    if (__builtin_mul_overflow(n, unit_ms, &n) ||
        __builtin_add_overflow(n, base_ms, &n)) {
        reply_errorf(&r->reply, "ERR invalid expire time in '%s' command",
                     r->command->name);
        return COMMAND_DONE;
    }
    /* 0 would be no expiry at all; any time that has passed is as good. */
    e->expires_ms = n > 0 ? n : 1;
    return write_key(r, &update, answer_done);
}

enum command_status cmd_expire(struct request *r)
{
    return expire(r, 1000, clock_wall_ms());
}

enum command_status cmd_pexpire(struct request *r)
{
    return expire(r, 1, clock_wall_ms());
}

enum command_status cmd_expireat(struct request *r)
{
    return expire(r, 1000, 0);
}

enum command_status cmd_pexpireat(struct request *r)
{
    return expire(r, 1, 0);
}

static enum err decide_persist(void *context, const struct present *now,
                               struct update *update, struct buf *room,
                               struct buf *detail)
{
    struct expiring *e = context;

    (void)detail;
    decision_begin(&e->decision);
    e->done = now->kind != COPY_NEGATIVE && now->expires_ms != 0;
    return e->done ? decision_expire(&e->decision, now, 0, update, room)
                   : decision_nothing(update);
}

enum command_status cmd_persist(struct request *r)
{
    if (write_is_record(r, r->argv[1])) {
        reply_integer(&r->reply, 0); /* It never expires. */
        return COMMAND_DONE;
    }
    struct expiring *e = decision_new(r, sizeof *e);
    const struct update update = {.op = STORE_PUT_PLAIN,
                                  .key = r->argv[1],
                                  .context = e,
                                  .decide = decide_persist};

    return e == NULL ? COMMAND_DONE : write_key(r, &update, answer_done);
}

/* ---- what is left ---- */

/* Source: -2 no such key, -1 no expiry, else the time, seconds rounded. */
static void reply_time(struct request *r, const struct answer *a,
                       int64_t base_ms, int64_t unit_ms)
{
    if (a->outcome != LOOKUP_FOUND) {
        reply_integer(&r->reply, -2);
    } else if (a->expires_ms == 0) {
        reply_integer(&r->reply, -1);
    } else {
        const int64_t ms =
            a->expires_ms > base_ms ? a->expires_ms - base_ms : 0;
        const bool up = ms % unit_ms > 0 && ms % unit_ms >= unit_ms / 2;
        reply_integer(&r->reply, ms / unit_ms + up);
    }
}

static void answer_ttl(struct request *r, const struct answer *a)
{
    reply_time(r, a, clock_wall_ms(), 1000);
}

static void answer_pttl(struct request *r, const struct answer *a)
{
    reply_time(r, a, clock_wall_ms(), 1);
}

static void answer_expiretime(struct request *r, const struct answer *a)
{
    reply_time(r, a, 0, 1000);
}

static void answer_pexpiretime(struct request *r, const struct answer *a)
{
    reply_time(r, a, 0, 1);
}

enum command_status cmd_ttl(struct request *r)
{
    return read_key(r, r->argv[1], answer_ttl);
}

enum command_status cmd_pttl(struct request *r)
{
    return read_key(r, r->argv[1], answer_pttl);
}

enum command_status cmd_expiretime(struct request *r)
{
    return read_key(r, r->argv[1], answer_expiretime);
}

enum command_status cmd_pexpiretime(struct request *r)
{
    return read_key(r, r->argv[1], answer_pexpiretime);
}
