/* SPDX-License-Identifier: MIT */
#include "server/command/account.h"

#include "common/clock.h"
#include "server/admin/config.h"
#include "server/admin/latency.h"
#include "server/admin/stats.h"
#include "server/command/calls.h"
#include "server/command/parts.h"
#include "server/command/slowlog.h"

/* When the last command of this thread ended, or gave the loop back. */
static _Thread_local int64_t last_us;

void account_now(void)
{
    last_us = clock_now_us();
}

void account_begin(struct request *r)
{
    /* The first of a batch begins when the batch was read. */
    r->begun_us = r->start_us > last_us ? r->start_us : last_us;
    r->begun = true;
}

static bool logs_slow(const struct server *server, int64_t took_us)
{
    const int64_t limit_us =
        config_number(server->config, CONFIG_slowlog_log_slower_than);

    return limit_us >= 0 && took_us >= limit_us;
}

void account_pending(struct request *r)
{
    account_now();
    if (r->kept_args == NULL && logs_slow(r->client->server, INT64_MAX)) {
        slowlog_keep_args(r);
    }
}

static void end_call(const struct request *r)
{
    /* Who has gone has seen nothing slow. */
    const struct server *server = r->client != NULL ? r->client->server : NULL;

    last_us = r->ended_us != 0 ? r->ended_us : clock_now_us();
    const int64_t took_us = last_us > r->begun_us ? last_us - r->begun_us : 0;
    stats_count(STATS_total_commands_processed);
    calls_ended(r->command, took_us, r->reply.n_errors > 0,
                server != NULL &&
                    config_switch(server->config, CONFIG_latency_tracking));
    if (server == NULL) {
        return;
    }
    latency_note((r->command->flags & CMD_FAST) != 0 ? LATENCY_fast_command
                                                     : LATENCY_command,
                 took_us);
    if (logs_slow(server, took_us)) {
        slowlog_add(server->slowlog, r, took_us);
    }
}

void account_end(const struct request *r)
{
    const unsigned n_errors = r->reply.n_errors;

    if (r->begun) {
        end_call(r);
    } else if (r->command != NULL && n_errors > 0) {
        calls_rejected(r->command);
    }
    if (n_errors > 0) {
        stats_add(STATS_total_error_replies, n_errors);
        calls_error(r->reply.error_code, n_errors);
    }
}

void account_reset(void)
{
    stats_reset();
    calls_reset();
}
