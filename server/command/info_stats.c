/* SPDX-License-Identifier: MIT */
/*
 * The sections that count what was done.
 */
#include "server/command/info.h"

#include <stdatomic.h>

#include "server/admin/config.h"
#include "server/admin/rates.h"
#include "server/admin/stats.h"
#include "server/cache/cache.h"
#include "server/command/calls.h"
#include "server/command/pubsub.h"
#include "server/command/tracking.h"

/* The cache counts from its start; what it had counted at the last reset.
 * Relaxed: figures for people. */
static _Atomic uint64_t expirations_before;
static _Atomic uint64_t evictions_before;

void info_reset(const struct server *server)
{
    struct cache_usage usage;

    cache_usage(server->cache, &usage);
    atomic_store_explicit(&expirations_before, usage.expirations,
                          memory_order_relaxed);
    atomic_store_explicit(&evictions_before, usage.evictions,
                          memory_order_relaxed);
}

static void line_since(struct buf *out, const char *name, uint64_t count,
                       const _Atomic uint64_t *before)
{
    const uint64_t then = atomic_load_explicit(before, memory_order_relaxed);

    info_line(out, name, count > then ? (int64_t)(count - then) : 0);
}

static void print_rates(struct buf *out)
{
    const struct rates now = rates_now();

    buf_printf(out,
               "instantaneous_ops_per_sec:%.0f\r\n"
               "instantaneous_input_kbps:%.2f\r\n"
               "instantaneous_output_kbps:%.2f\r\n",
               now.commands, now.input_bytes / 1024, now.output_bytes / 1024);
}

void info_stats(const struct server *server, struct buf *out)
{
    struct cache_usage usage;

    stats_print("Stats", out);
    print_rates(out);
    /* All of them are done by I/O threads. */
    info_line(out, "io_threaded_reads_processed",
              stats_sum(STATS_total_reads_processed));
    info_line(out, "io_threaded_writes_processed",
              stats_sum(STATS_total_writes_processed));
    cache_usage(server->cache, &usage);
    line_since(out, "expired_keys", usage.expirations, &expirations_before);
    line_since(out, "evicted_keys", usage.evictions, &evictions_before);
    info_line(out, "pubsub_channels",
              (int64_t)pubsub_count(server->pubsub, PUBSUB_CHANNEL));
    info_line(out, "pubsub_patterns",
              (int64_t)pubsub_count(server->pubsub, PUBSUB_PATTERN));
    info_line(out, "pubsubshard_channels",
              (int64_t)pubsub_count(server->pubsub, PUBSUB_SHARD));
    const struct tracking_figures tracked = tracking_figures(server->tracking);
    info_line(out, "tracking_total_keys", (int64_t)tracked.n_keys);
    info_line(out, "tracking_total_items", (int64_t)tracked.n_items);
    info_line(out, "tracking_total_prefixes", (int64_t)tracked.n_prefixes);
    info_constants("Stats", out);
}

void info_commandstats(const struct server *server, struct buf *out)
{
    (void)server;
    calls_print(out);
}

void info_errorstats(const struct server *server, struct buf *out)
{
    (void)server;
    calls_print_errors(out);
}

void info_latencystats(const struct server *server, struct buf *out)
{
    struct buf percentiles = {0};

    if (config_switch(server->config, CONFIG_latency_tracking)) {
        config_string(server->config, CONFIG_latency_tracking_info_percentiles,
                      &percentiles);
        calls_print_latency(buf_string(&percentiles), out);
    }
    buf_destroy(&percentiles);
}
