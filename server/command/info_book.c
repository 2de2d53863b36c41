/* SPDX-License-Identifier: MIT */
/*
 * The sections that Redis does not have.
 */
#include "server/command/info.h"

#include "common/mem.h"
#include "server/admin/outcomes.h"
#include "server/admin/stats.h"
#include "server/cache/cache.h"
#include "server/lookup/lookup.h"
#include "server/store/store.h"

void info_cache(const struct server *server, struct buf *out)
{
    struct cache_usage usage;

    cache_usage(server->cache, &usage);
    info_line(out, "cache_entries", (int64_t)usage.entries);
    info_line(out, "cache_negative_entries", (int64_t)usage.negative_entries);
    info_line(out, "cache_memory_only_entries",
              (int64_t)usage.memory_only_entries);
    info_line(out, "dirty_keys", (int64_t)usage.dirty_entries);
    info_line(out, "cache_used_bytes", (int64_t)usage.used_bytes);
    info_line(out, "cache_max_bytes", (int64_t)usage.max_bytes);
}

void info_lookup(const struct server *server, struct buf *out)
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

void info_latency(const struct server *server, struct buf *out)
{
    (void)server;
    outcomes_print_latency(out);
}

void info_store(const struct server *server, struct buf *out)
{
    store_describe(server->store, out);
}

/* redis_exporter knows the names of KeyDB's figures for keys that memory did
 * not have, and takes any name that begins with "db"; not db_keys and its kin,
 * which it makes of the keyspace.
 * Source: exporter/metrics.go of oliver006/redis_exporter. */
void info_exported(const struct server *server, struct buf *out)
{
    struct store_progress progress;
    struct cache_usage usage;
    int64_t sums[STATS_COUNT];

    stats_sums(sums);
    cache_usage(server->cache, &usage);
    store_progress(server->store, &progress);
    info_line(out, "storage_provider_read_hits",
              sums[STATS_store_answers_found]);
    info_line(out, "storage_provider_read_misses",
              sums[STATS_lookup_store_answers] -
                  sums[STATS_store_answers_found]);
    info_line(out, "db_cache_answers", sums[STATS_lookup_cache_answers]);
    info_line(out, "db_store_answers", sums[STATS_lookup_store_answers]);
    info_line(out, "db_store_reads", sums[STATS_store_reads]);
    info_line(out, "db_store_writes", sums[STATS_store_writes]);
    info_line(out, "db_store_commits", sums[STATS_store_commits]);
    info_line(out, "db_store_errors", sums[STATS_store_errors]);
    info_line(out, "db_store_writes_waiting", (int64_t)progress.n_waiting);
    info_line(out, "db_store_failing", progress.failing);
    info_line(out, "db_cache_entries", (int64_t)usage.entries);
    info_line(out, "db_cache_used_bytes", (int64_t)usage.used_bytes);
    info_line(out, "db_cache_dirty_entries", (int64_t)usage.dirty_entries);
}
