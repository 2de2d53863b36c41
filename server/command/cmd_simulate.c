/* SPDX-License-Identifier: MIT */
/*
 * BOOK.SIMULATE: makes the store slow, failing, hung or gone for a while, all
 * of it or none.  It is a shorter way to say CONFIG SET store-delay and so on,
 * and is refused unless 'enable-simulate-command' allows it.
 */
#include "server/admin/config.h"
#include "server/admin/config_scalar.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"

#include <assert.h>

struct simulation {
    struct request *request;
    struct config_batch *batch;
    bool has_outage;
};

/* Adds one directive; replies on error. */
static bool add(const struct simulation *s, enum config_id id,
                struct slice value)
{
    struct buf detail = {0};
    const bool added = config_batch_add(s->batch, id, value, &detail) == ERR_OK;

    if (!added) {
        reply_errorf(&s->request->reply, "ERR %s", buf_string(&detail));
    }
    buf_destroy(&detail);
    return added;
}

/* Cuts 'whole' at the first 'mark' in two. */
static bool cut(struct slice whole, const char *mark, struct slice *left,
                struct slice *right)
{
    const size_t size = strlen(mark);
    const char *at = memmem(whole.data, whole.size, mark, size);

    if (at == NULL) {
        return false;
    }
    *left = slice_make(whole.data, (size_t)(at - whole.data));
    *right = slice_make(at + size, whole.size - left->size - size);
    return true;
}

/* "1%x10": a share of the reads, so many times slower. */
static bool add_tail(const struct simulation *s, struct slice value)
{
    struct slice rate, factor;

    if (!cut(value, "x", &rate, &factor)) {
        reply_error(&s->request->reply,
                    "ERR tail takes a share and a factor, like 1%x10");
        return false;
    }
    return add(s, CONFIG_store_tail_rate, rate) &&
           add(s, CONFIG_store_tail_factor, factor);
}

static bool duration(struct slice text, int64_t *us)
{
    return config_scalar_parse(&config_directives[CONFIG_store_outage_after],
                               text, us) == ERR_OK;
}

/* "5s..35s": from then to then, counted from now. */
static bool add_outage(struct simulation *s, struct slice value)
{
    struct slice from, to;
    struct buf length = {0};
    int64_t from_us = 0, to_us = 0;

    if (!cut(value, "..", &from, &to) || !duration(from, &from_us) ||
        !duration(to, &to_us) || from_us >= to_us) {
        reply_error(&s->request->reply,
                    "ERR outage takes its begin and its end, counted from now, "
                    "like 5s..35s");
        return false;
    }
    buf_printf(&length, "%lldus", (long long)(to_us - from_us));
    const bool added = add(s, CONFIG_store_outage_after, from) &&
                       add(s, CONFIG_store_outage_for, buf_slice(&length));
    buf_destroy(&length);
    s->has_outage = added;
    return added;
}

/* Ends the outage that there is: one of the same length would be no change,
 * and not be counted anew. */
static void end_outage(struct config *config)
{
    struct buf detail = {0};
    const enum err err =
        config_set(config, CONFIG_store_outage_for, SLICE("0s"), &detail);

    assert(err == ERR_OK);
    (void)err;
    buf_destroy(&detail);
}

/* Everything as a store that works. */
static bool add_off(const struct simulation *s)
{
    return add(s, CONFIG_store_delay, SLICE("0ms")) &&
           add(s, CONFIG_store_jitter, SLICE("0ms")) &&
           add(s, CONFIG_store_error_rate, SLICE("0%")) &&
           add(s, CONFIG_store_tail_rate, SLICE("0%")) &&
           add(s, CONFIG_store_hang, SLICE("no")) &&
           add(s, CONFIG_store_outage_for, SLICE("0s"));
}

static bool add_option(struct simulation *s, size_t i)
{
    struct request *r = s->request;

    if (i + 1 == r->argc) {
        reply_error(&r->reply, "ERR syntax error");
        return false;
    }
    const struct slice value = r->argv[i + 1];
    if (arg_is(r, i, "delay")) {
        return add(s, CONFIG_store_delay, value);
    }
    if (arg_is(r, i, "jitter")) {
        return add(s, CONFIG_store_jitter, value);
    }
    if (arg_is(r, i, "errors")) {
        return add(s, CONFIG_store_error_rate, value);
    }
    if (arg_is(r, i, "hang")) {
        return add(s, CONFIG_store_hang, value);
    }
    if (arg_is(r, i, "tail")) {
        return add_tail(s, value);
    }
    if (arg_is(r, i, "outage")) {
        return add_outage(s, value);
    }
    reply_error(&r->reply, "ERR syntax error");
    return false;
}

enum command_status cmd_book_simulate(struct request *r)
{
    struct config *config = r->client->server->config;

    if (!config_switch(config, CONFIG_enable_simulate_command)) {
        reply_error(&r->reply,
                    "ERR BOOK.SIMULATE is not enabled; start bookd with "
                    "enable-simulate-command yes");
        return COMMAND_DONE;
    }
    struct simulation s = {.request = r, .batch = config_batch_new()};
    bool good = true;
    if (r->argc == 2 && arg_is(r, 1, "off")) {
        good = add_off(&s);
    } else {
        for (size_t i = 1; good && i < r->argc; i += 2) {
            good = add_option(&s, i);
        }
    }
    if (good) {
        if (s.has_outage) {
            end_outage(config);
        }
        config_commit(config, s.batch);
        reply_ok(&r->reply);
    }
    config_batch_free(s.batch);
    return COMMAND_DONE;
}
