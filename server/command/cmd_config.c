/* SPDX-License-Identifier: MIT */
/*
 * CONFIG: the directives, read and changed at run time.
 */
#include "common/glob.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"

/* True if one of the patterns from argument 2 on matches. */
static bool is_asked(const struct request *r, const char *name)
{
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
        n += is_asked(r, config_directives[id].name);
    }
    reply_map(&r->reply, n);
    for (size_t id = 0; id < CONFIG_COUNT; id++) {
        if (!is_asked(r, config_directives[id].name)) {
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

/* Adds one pair to 'batch'; replies on error. */
static bool add_pair(struct request *r, struct config_batch *batch,
                     struct slice name, struct slice value)
{
    const enum config_id id = config_find(name);
    struct buf detail = {0};
    bool added = false;

    if (id == CONFIG_COUNT) {
        reply_errorf(&r->reply,
                     "ERR Unknown option or number of arguments for CONFIG SET "
                     "- '%.*s'",
                     shown(name), name.data);
    } else if (!config_directives[id].at_run_time) {
        reply_errorf(&r->reply,
                     "ERR CONFIG SET failed (possibly related to argument "
                     "'%s') - can't set immutable config: change it in the "
                     "file and restart",
                     config_directives[id].name);
    } else if (config_check(r->client->server->config, id, value, &detail) !=
                   ERR_OK ||
               config_batch_add(batch, id, value, &detail) != ERR_OK) {
        reply_errorf(&r->reply,
                     "ERR CONFIG SET failed (possibly related to argument "
                     "'%s') - %s",
                     config_directives[id].name, buf_string(&detail));
    } else {
        added = true;
    }
    buf_destroy(&detail);
    return added;
}

enum command_status cmd_config_set(struct request *r)
{
    struct config_batch *batch;
    bool good = true;

    if (r->argc % 2 != 0) {
        return done_wrong_count(r);
    }
    batch = config_batch_new();
    for (size_t i = 2; good && i < r->argc; i += 2) {
        good = add_pair(r, batch, r->argv[i], r->argv[i + 1]);
    }
    if (good) {
        config_commit(r->client->server->config, batch);
        reply_ok(&r->reply);
    }
    config_batch_free(batch);
    return COMMAND_DONE;
}

enum command_status cmd_config_resetstat(struct request *r)
{
    stats_reset();
    return done_ok(r);
}

enum command_status cmd_config_help(struct request *r)
{
    command_reply_help(r, "config");
    return COMMAND_DONE;
}
