/* SPDX-License-Identifier: MIT */
/*
 * CONFIG: the directives, read and changed at run time, and written back into
 * their file.
 */
#include "common/glob.h"
#include "common/log.h"
#include "server/admin/config.h"
#include "server/command/account.h"
#include "server/command/acl.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/info.h"
#include "server/command/parts.h"

#include <inttypes.h>

/* True if one of the patterns from argument 2 on matches.  Users are shown by
 * ACL LIST, without passwords. */
static bool is_asked(const struct request *r,
                     const struct config_directive *directive)
{
    const char *name = directive->name;

    if (directive->kind == CONFIG_USERS) {
        return false;
    }
    for (size_t i = 2; i < r->argc; i++) {
        if (glob_match(r->argv[i], slice_from_string(name), true)) {
            return true;
        }
    }
    return false;
}

enum command_status cmd_config_get(struct request *r)
{
    const struct config *config = r->client->server->config;
    struct buf value = {0};
    size_t n = 0;

    for (size_t id = 0; id < CONFIG_COUNT; id++) {
        n += is_asked(r, &config_directives[id]);
    }
    reply_map(&r->reply, n);
    for (size_t id = 0; id < CONFIG_COUNT; id++) {
        if (!is_asked(r, &config_directives[id])) {
            continue;
        }
        buf_clear(&value);
        config_format_redis(config, (enum config_id)id, &value);
        reply_bulk_string(&r->reply, config_directives[id].name);
        reply_bulk(&r->reply, buf_slice(&value));
    }
    buf_destroy(&value);
    return COMMAND_DONE;
}

/* What is wrong with 'value' in Redis' words, where it has such a kind of
 * value; else as config_check() tells it. */
static void describe_refusal(const struct config_directive *d, enum err err,
                             struct buf *detail)
{
    /* What is kept in other units than it counts in Redis. */
    const int64_t unit = d->bare > 0 ? d->bare : 1;
    const bool is_number = d->kind == CONFIG_INTEGER ||
                           d->kind == CONFIG_SIZE ||
                           (d->kind == CONFIG_DURATION && d->bare > 0);

    if (d->kind == CONFIG_SIZE && d->min < 0) {
        buf_clear(detail);
        buf_append_string(detail, "argument must be a memory or percent value");
    } else if (is_number && err == ERR_RANGE) {
        buf_clear(detail);
        buf_printf(detail,
                   "argument must be between %" PRId64 " and %" PRId64
                   " inclusive",
                   d->min / unit, d->max / unit);
    } else if (d->kind == CONFIG_SIZE) {
        buf_clear(detail);
        buf_append_string(detail, "argument must be a memory value");
    } else if (is_number) {
        buf_clear(detail);
        buf_append_string(detail,
                          "argument couldn't be parsed into an integer");
    } else if (d->kind == CONFIG_SWITCH) {
        buf_clear(detail);
        buf_append_string(detail, "argument must be 'yes' or 'no'");
    } else if (d->kind == CONFIG_CHOICE) {
        buf_clear(detail);
        buf_append_string(detail, "argument(s) must be one of the following: ");
        for (const char *c = d->choices; *c != '\0'; c++) {
            buf_append_string(detail, *c == ' ' ? ", " : (char[]){*c, '\0'});
        }
    }
}

static bool reply_failed(struct request *r, enum config_id id, const char *why)
{
    reply_errorf(&r->reply,
                 "ERR CONFIG SET failed (possibly related to argument '%s') - "
                 "%s",
                 config_directives[id].name, why);
    return false;
}

/* Adds the pair at argument 'i' to 'batch'; false on error, which is replied. */
static bool add_pair(struct request *r, struct config_batch *batch, size_t i)
{
    const struct slice name = r->argv[i];
    const struct slice value = r->argv[i + 1];
    const enum config_id id = config_find(name);
    struct buf detail = {0};

    if (id == CONFIG_COUNT) {
        reply_errorf(&r->reply,
                     "ERR Unknown option or number of arguments for CONFIG SET "
                     "- '%.*s'",
                     shown(name), name.data);
        return false;
    }
    if (!config_directives[id].at_run_time) {
        return reply_failed(r, id, "can't set immutable config");
    }
    for (size_t k = 2; k < i; k += 2) {
        if (config_find(r->argv[k]) == id) {
            return reply_failed(r, id, "duplicate parameter");
        }
    }
    enum err err = config_check(r->client->server->config, id, value, &detail);
    if (err == ERR_OK) {
        err = config_batch_add(batch, id, value, &detail);
    }
    if (err != ERR_OK) {
        describe_refusal(&config_directives[id], err, &detail);
        reply_failed(r, id, buf_string(&detail));
    }
    buf_destroy(&detail);
    return err == ERR_OK;
}

enum command_status cmd_config_set(struct request *r)
{
    struct config_batch *batch;
    bool good = true;

    if (r->argc % 2 != 0) {
        return done_syntax_error(r);
    }
    batch = config_batch_new();
    for (size_t i = 2; good && i < r->argc; i += 2) {
        good = add_pair(r, batch, i);
    }
    if (good) {
        config_commit(r->client->server->config, batch);
        reply_ok(&r->reply);
    }
    config_batch_free(batch);
    return COMMAND_DONE;
}

enum command_status cmd_config_rewrite(struct request *r)
{
    const struct server *server = r->client->server;
    struct buf detail = {0};

    if (server->config_path[0] == '\0') {
        reply_error(&r->reply, "ERR The server is running without a config "
                               "file");
        return COMMAND_DONE;
    }
    acl_tell_config(server->acl, server->config);
    if (config_rewrite(server->config, server->config_path, &detail) ==
        ERR_OK) {
        log_info("config: rewritten path=%s", server->config_path);
        reply_ok(&r->reply);
    } else {
        log_warn("config: not rewritten path=%s: %s", server->config_path,
                 buf_string(&detail));
        reply_errorf(&r->reply, "ERR Rewriting config file: %s",
                     buf_string(&detail));
    }
    buf_destroy(&detail);
    return COMMAND_DONE;
}

enum command_status cmd_config_resetstat(struct request *r)
{
    account_reset();
    info_reset(r->client->server);
    return done_ok(r);
}

enum command_status cmd_config_help(struct request *r)
{
    command_reply_help(r, "config");
    return COMMAND_DONE;
}
