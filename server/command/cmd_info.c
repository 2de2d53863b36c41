/* SPDX-License-Identifier: MIT */
/*
 * INFO: sections of "name:value" lines, under Redis' names where Redis has
 * the figure too.  One section may have to wait for the store, for a short
 * while at most (keyspace.h).
 */
#include "common/clock.h"
#include "common/config.h"
#include "server/admin/config.h"
#include "common/mem.h"
#include "server/admin/memory.h"
#include "server/admin/outcomes.h"
#include "server/admin/stats.h"
#include "server/cache/cache.h"
#include "server/command/args.h"
#include "server/command/clients.h"
#include "server/command/handlers.h"
#include "server/command/keyspace.h"
#include "server/command/parts.h"
#include "server/command/pubsub.h"
#include "server/command/redis.h"
#include "server/lookup/lookup.h"
#include "server/store/store.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

typedef void section_fn(const struct server *server, struct buf *out);

static void line_int(struct buf *out, const char *name, int64_t value)
{
    buf_printf(out, "%s:%lld\r\n", name, (long long)value);
}

/* "1.50M": as Redis writes sizes for people. */
static void line_human(struct buf *out, const char *name, size_t bytes)
{
    static const char units[] = "BKMGTP";
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 2 < sizeof units) {
        value /= 1024;
        unit++;
    }
    buf_printf(out, "%s:%.*f%c\r\n", name, unit == 0 ? 0 : 2, value,
               units[unit]);
}

static void info_server(const struct server *server, struct buf *out)
{
    const int64_t up_s = (clock_now_us() - server->started_us) / 1000000;
    struct utsname name;

    buf_printf(out,
               "redis_version:%s\r\nredis_mode:standalone\r\n"
               "bookd_version:%s\r\n",
               REDIS_VERSION, VERSION);
    if (uname(&name) == 0) {
        buf_printf(out, "os:%s %s %s\r\n", name.sysname, name.release,
                   name.machine);
    }
    buf_printf(out, "arch_bits:%zu\r\nmultiplexing_api:libevent\r\n",
               8 * sizeof(void *));
    line_int(out, "process_id", getpid());
    buf_printf(out, "run_id:%s\r\n", server->run_id);
    line_int(out, "tcp_port", server->port);
    line_int(out, "server_time_usec", clock_wall_ms() * 1000);
    line_int(out, "uptime_in_seconds", up_s);
    line_int(out, "uptime_in_days", up_s / 86400);
    line_int(out, "io_threads",
             config_number(server->config, CONFIG_io_threads));
    buf_printf(out, "config_file:%s\r\n", server->config_path);
}

static void info_clients(const struct server *server, struct buf *out)
{
    line_int(out, "connected_clients", (int64_t)clients_count(server->clients));
    line_int(out, "maxclients",
             config_number(server->config, CONFIG_maxclients));
}

static void info_memory(const struct server *server, struct buf *out)
{
    const size_t used = memory_used_bytes();
    const int64_t max = config_number(server->config, CONFIG_maxmemory);

    line_int(out, "used_memory", (int64_t)used);
    line_human(out, "used_memory_human", used);
    line_int(out, "used_memory_rss", (int64_t)memory_rss_bytes());
    line_human(out, "used_memory_rss_human", memory_rss_bytes());
    line_int(out, "used_memory_peak", (int64_t)memory_peak_bytes());
    line_human(out, "used_memory_peak_human", memory_peak_bytes());
    line_int(out, "total_system_memory", (int64_t)memory_system_bytes());
    line_int(out, "maxmemory", max);
    line_human(out, "maxmemory_human", (size_t)max);
    buf_printf(out, "mem_fragmentation_ratio:%.2f\r\nmem_allocator:%s\r\n",
               memory_fragmentation(), memory_allocator());
}

static void info_stats(const struct server *server, struct buf *out)
{
    struct cache_usage usage;

    stats_print("Stats", out);
    cache_usage(server->cache, &usage);
    line_int(out, "expired_keys", (int64_t)usage.expirations);
    line_int(out, "evicted_keys", (int64_t)usage.evictions);
    line_int(out, "pubsub_channels",
             (int64_t)pubsub_count(server->pubsub, PUBSUB_CHANNEL));
    line_int(out, "pubsub_patterns",
             (int64_t)pubsub_count(server->pubsub, PUBSUB_PATTERN));
    line_int(out, "pubsubshard_channels",
             (int64_t)pubsub_count(server->pubsub, PUBSUB_SHARD));
}

static void info_replication(const struct server *server, struct buf *out)
{
    (void)server;
    buf_append_string(out, "role:master\r\nconnected_slaves:0\r\n");
}

static void info_cpu(const struct server *server, struct buf *out)
{
    struct rusage usage;

    (void)server;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        buf_printf(out, "used_cpu_sys:%lld.%06lld\r\n",
                   (long long)usage.ru_stime.tv_sec,
                   (long long)usage.ru_stime.tv_usec);
        buf_printf(out, "used_cpu_user:%lld.%06lld\r\n",
                   (long long)usage.ru_utime.tv_sec,
                   (long long)usage.ru_utime.tv_usec);
    }
}

static void info_cluster(const struct server *server, struct buf *out)
{
    (void)server;
    buf_append_string(out, "cluster_enabled:0\r\n");
}

static void info_cache(const struct server *server, struct buf *out)
{
    struct cache_usage usage;

    cache_usage(server->cache, &usage);
    line_int(out, "cache_entries", (int64_t)usage.entries);
    line_int(out, "cache_negative_entries", (int64_t)usage.negative_entries);
    line_int(out, "cache_memory_only_entries",
             (int64_t)usage.memory_only_entries);
    line_int(out, "dirty_keys", (int64_t)usage.dirty_entries);
    line_int(out, "cache_used_bytes", (int64_t)usage.used_bytes);
    line_int(out, "cache_max_bytes", (int64_t)usage.max_bytes);
}

static void info_lookup(const struct server *server, struct buf *out)
{
    const struct mappings *mappings = store_mappings(server->store);
    const char **tables = xmalloc(mappings->count * sizeof *tables);

    for (size_t i = 0; i < mappings->count; i++) {
        tables[i] = mappings->list[i].table;
    }
    outcomes_print(tables, mappings->count, out);
    stats_print("Lookup", out);
    lookup_describe(server->lookup, out);
    free(tables);
}

static void info_latency(const struct server *server, struct buf *out)
{
    (void)server;
    outcomes_print_latency(out);
}

static void info_store(const struct server *server, struct buf *out)
{
    store_describe(server->store, out);
}

static void info_keyspace(const struct server *server, struct buf *out)
{
    keyspace_print(server, out);
}

static const struct {
    const char *name;
    section_fn *print;
} sections[] = {
    {"Server", info_server},
    {"Clients", info_clients},
    {"Memory", info_memory},
    {"Stats", info_stats},
    {"Replication", info_replication},
    {"CPU", info_cpu},
    {"Cluster", info_cluster},
    {"Keyspace", info_keyspace},
    {"Cache", info_cache},
    {"Lookup", info_lookup},
    {"Latency", info_latency},
    {"Store", info_store},
};

static bool is_asked(const struct request *r, const char *name)
{
    if (r->argc == 1) {
        return true;
    }
    for (size_t i = 1; i < r->argc; i++) {
        if (arg_is(r, i, name) || arg_is(r, i, "all") ||
            arg_is(r, i, "everything") || arg_is(r, i, "default")) {
            return true;
        }
    }
    return false;
}

static void reply_sections(struct request *r)
{
    struct buf text = {0};

    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (!is_asked(r, sections[i].name)) {
            continue;
        }
        buf_printf(&text, "%s# %s\r\n", text.size > 0 ? "\r\n" : "",
                   sections[i].name);
        sections[i].print(r->client->server, &text);
    }
    reply_verbatim(&r->reply, "txt", buf_slice(&text));
    buf_destroy(&text);
}

static void on_keyspace(struct request *r)
{
    if (r->client != NULL) {
        reply_sections(r);
    }
    request_finish(r);
}

enum command_status cmd_info(struct request *r)
{
    if (is_asked(r, "Keyspace") && r->execution == NULL) {
        request_keep_args(r);
        if (!keyspace_refresh(r, on_keyspace)) {
            return COMMAND_PENDING;
        }
    }
    reply_sections(r);
    return COMMAND_DONE;
}
