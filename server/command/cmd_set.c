/* SPDX-License-Identifier: MIT */
/*
 * SET SETNX SETEX PSETEX GETSET GETDEL GETEX: a whole value in place of what
 * was there, under conditions.
 *
 * A record is set with a JSON object; it cannot expire.
 */
#include "common/clock.h"
#include "server/command/args.h"
#include "server/command/decide.h"
#include "server/command/expiry.h"
#include "server/command/handlers.h"
#include "server/command/write.h"

enum {
    SET_NX = 1 << 0,
    SET_XX = 1 << 1,
    SET_GET = 1 << 2,
    SET_KEEPTTL = 1 << 3,
    SET_PERSIST = 1 << 4 /* GETEX. */
};

/* What was asked for, and what came of it. */
struct setting {
    struct decision decision;
    unsigned flags;
    struct expiry expiry;
    /* GETEX: what to do with a key that is there. */
    int64_t expires_ms;
    bool expiry_wrong;
    char expiry_error[EXPIRY_ERROR_SIZE];
    /* What came of it. */
    bool found; /* There was a value; it is request->found if asked for. */
    bool written;
};

#define RECORD_EXPIRES "ERR a record cannot expire: it is a row of a table"

/* Reads the options from argument 'first' on; replies on error. */
static bool options(struct request *r, size_t first, bool is_set,
                    struct setting *s)
{
    for (size_t i = first; i < r->argc; i++) {
        const bool keeps = (s->flags & (SET_KEEPTTL | SET_PERSIST)) != 0;
        if (is_set && arg_is(r, i, "NX") && (s->flags & SET_XX) == 0) {
            s->flags |= SET_NX;
        } else if (is_set && arg_is(r, i, "XX") && (s->flags & SET_NX) == 0) {
            s->flags |= SET_XX;
        } else if (is_set && arg_is(r, i, "GET")) {
            s->flags |= SET_GET;
        } else if (is_set && arg_is(r, i, "KEEPTTL") &&
                   !expiry_given(&s->expiry)) {
            s->flags |= SET_KEEPTTL;
        } else if (!is_set && arg_is(r, i, "PERSIST") &&
                   !expiry_given(&s->expiry)) {
            s->flags |= SET_PERSIST;
        } else if (!keeps && expiry_option(r, i, &s->expiry)) {
            i++;
        } else {
            reply_err(&r->reply, ERR_SYNTAX, NULL);
            return false;
        }
    }
    return true;
}

/* ---- SET and its relatives ---- */

static enum err decide_set(void *context, const struct present *now,
                           struct update *update, struct buf *room,
                           struct buf *detail)
{
    struct setting *s = context;

    (void)room;
    (void)detail;
    s->found = now->kind != COPY_NEGATIVE;
    s->written = s->found ? (s->flags & SET_NX) == 0 : (s->flags & SET_XX) == 0;
    decision_begin(&s->decision);
    if ((s->flags & SET_GET) != 0 && decision_is_hash(now)) {
        return decision_refuse(&s->decision, update, DECISION_WRONG_TYPE);
    }
    if (s->found && (s->flags & SET_GET) != 0 &&
        !decision_keep(&s->decision, update, decision_text(now))) {
        return ERR_OK;
    }
    if (!s->written) {
        return decision_nothing(update);
    }
    if ((s->flags & SET_KEEPTTL) != 0 && s->found) {
        update->expires_ms = now->expires_ms;
    }
    return ERR_OK;
}

static void answer_found(struct request *r, const struct update_result *result)
{
    const struct setting *s = r->state;

    (void)result;
    if (decision_failed(&s->decision)) {
        return;
    }
    if (s->found) {
        reply_bulk(&r->reply, buf_slice(&r->found));
    } else {
        reply_null(&r->reply);
    }
}

static void answer_set(struct request *r, const struct update_result *result)
{
    const struct setting *s = r->state;

    if ((s->flags & SET_GET) != 0) {
        answer_found(r, result);
    } else if (decision_failed(&s->decision)) {
        return;
    } else if (s->written) {
        reply_ok(&r->reply);
    } else {
        reply_null(&r->reply);
    }
}

static void answer_ok(struct request *r, const struct update_result *result)
{
    (void)result;
    reply_ok(&r->reply);
}

static void answer_setnx(struct request *r, const struct update_result *result)
{
    const struct setting *s = r->state;

    (void)result;
    reply_integer(&r->reply, s->written);
}

/* Sets argument 1 to 'value' as 's' says. */
static enum command_status set(struct request *r, struct slice value,
                               const struct setting *s,
                               write_answer_fn *on_answer)
{
    struct update update = {.op = STORE_PUT_PLAIN,
                            .key = r->argv[1],
                            .value = value,
                            .event = "set",
                            .class = CHANGE_STRING};

    if (write_is_record(r, r->argv[1])) {
        if (expiry_given(&s->expiry) || (s->flags & SET_KEEPTTL) != 0) {
            reply_error(&r->reply, RECORD_EXPIRES);
            return COMMAND_DONE;
        }
        update.op = STORE_PUT_ROW;
        update.event = "hset";
        update.class = CHANGE_HASH;
    } else if (!expiry_read(r, &s->expiry, &update.expires_ms)) {
        return COMMAND_DONE;
    } else if (update.expires_ms != 0 && update.expires_ms <= clock_wall_ms()) {
        update.op = STORE_DELETE_PLAIN; /* Already over. */
        update.event = "del";
        update.class = CHANGE_GENERIC;
    }
    if (s->flags == 0) { /* Whatever was there. */
        return write_key(r, &update, answer_ok);
    }
    struct setting *kept = decision_new(r, sizeof *kept);
    if (kept == NULL) {
        return COMMAND_DONE;
    }
    kept->flags = s->flags;
    update.context = kept;
    update.decide = decide_set;
    return write_key(r, &update, on_answer);
}

enum command_status cmd_set(struct request *r)
{
    struct setting s = {.flags = 0};

    if (!options(r, 3, true, &s)) {
        return COMMAND_DONE;
    }
    return set(r, r->argv[2], &s, answer_set);
}

enum command_status cmd_setnx(struct request *r)
{
    const struct setting s = {.flags = SET_NX};

    return set(r, r->argv[2], &s, answer_setnx);
}

enum command_status cmd_setex(struct request *r)
{
    const struct setting s = {.expiry = {.argument = 2, .unit_ms = 1000}};

    return set(r, r->argv[3], &s, answer_set);
}

enum command_status cmd_psetex(struct request *r)
{
    const struct setting s = {.expiry = {.argument = 2, .unit_ms = 1}};

    return set(r, r->argv[3], &s, answer_set);
}

enum command_status cmd_getset(struct request *r)
{
    const struct setting s = {.flags = SET_GET};

    return set(r, r->argv[2], &s, answer_set);
}

/* ---- GETDEL and GETEX ---- */

/* Keeps what GET would answer.  False: there is nothing, or it is refused, and
 * nothing will be done. */
static bool keep_found(struct setting *s, const struct present *now,
                       struct update *update)
{
    s->found = now->kind != COPY_NEGATIVE;
    decision_begin(&s->decision);
    if (!s->found) {
        (void)decision_nothing(update);
        return false;
    }
    if (decision_is_hash(now)) {
        (void)decision_refuse(&s->decision, update, DECISION_WRONG_TYPE);
        return false;
    }
    return decision_keep(&s->decision, update, decision_text(now));
}

/* GETDEL, and GETEX without options. */
static enum err decide_found(void *context, const struct present *now,
                             struct update *update, struct buf *room,
                             struct buf *detail)
{
    (void)room;
    (void)detail;
    (void)keep_found(context, now, update);
    return ERR_OK;
}

enum command_status cmd_getdel(struct request *r)
{
    struct setting *s = decision_new(r, sizeof *s);
    const struct update update = {.op = write_is_record(r, r->argv[1])
                                            ? STORE_DELETE_ROW
                                            : STORE_DELETE_PLAIN,
                                  .key = r->argv[1],
                                  .event = "del",
                                  .class = CHANGE_GENERIC,
                                  .context = s,
                                  .decide = decide_found};

    return s == NULL ? COMMAND_DONE : write_key(r, &update, answer_found);
}

static enum err decide_getex(void *context, const struct present *now,
                             struct update *update, struct buf *room,
                             struct buf *detail)
{
    struct setting *s = context;

    (void)detail;
    if (!keep_found(s, now, update)) {
        return ERR_OK;
    }
    if (s->expiry_wrong) {
        return decision_refuse(&s->decision, update, s->expiry_error);
    }
    if (s->expires_ms == now->expires_ms) {
        return decision_nothing(update);
    }
    return decision_expire(&s->decision, now, s->expires_ms, update, room);
}

enum command_status cmd_getex(struct request *r)
{
    struct setting *s = decision_new(r, sizeof *s);
    const bool is_record = write_is_record(r, r->argv[1]);
    struct update update = {.op = STORE_PUT_PLAIN,
                            .key = r->argv[1],
                            .context = s,
                            .decide = decide_getex};

    if (s == NULL || !options(r, 2, false, s)) {
        return COMMAND_DONE;
    }
    if (s->flags == 0 && !expiry_given(&s->expiry)) {
        /* Not GET: writes of this connection may be under way. */
        update.op = STORE_READ;
        update.decide = decide_found;
    } else if (is_record) {
        reply_error(&r->reply, RECORD_EXPIRES);
        return COMMAND_DONE;
    }
    s->expiry_wrong =
        !expiry_parse(r, &s->expiry, &s->expires_ms, s->expiry_error);
    return write_key(r, &update, answer_found);
}
