/* SPDX-License-Identifier: MIT */
#include "server/command/info.h"

#include "server/admin/config.h"
#include "server/admin/memory.h"
#include "server/cache/cache.h"
#include "server/command/clients.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t less(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

double percent_of(size_t part, size_t whole)
{
    return whole == 0 ? 0 : 100 * (double)part / (double)whole;
}

double ratio_of(size_t a, size_t b)
{
    return b == 0 ? 0 : (double)a / (double)b;
}

struct memory_figures memory_figures(const struct server *server)
{
    struct memory_figures m = {.used = memory_used_bytes(),
                               .rss = memory_rss_bytes()};
    const struct memory_pages pages = memory_pages();
    struct cache_usage cache;

    cache_usage(server->cache, &cache);
    m.used_peak = memory_used_peak_bytes();
    m.startup =
        atomic_load_explicit(&server->startup_bytes, memory_order_relaxed);
    m.dataset = cache.used_bytes;
    m.overhead = less(m.used, m.dataset);
    m.clients = clients_usage(server->clients).bytes;
    m.active = larger(pages.active, m.used);
    m.resident = larger(pages.resident, m.active);
    m.entries = cache.entries;
    m.max = cache.max_bytes;
    return m;
}

static void line_size(struct buf *out, const char *name, size_t bytes)
{
    info_line(out, name, (int64_t)bytes);
}

static void print_allocator(const struct memory_figures *m, struct buf *out)
{
    line_size(out, "allocator_allocated", m->used);
    line_size(out, "allocator_active", m->active);
    line_size(out, "allocator_resident", m->resident);
    buf_printf(out, "allocator_frag_ratio:%.2f\r\n",
               ratio_of(m->active, m->used));
    line_size(out, "allocator_frag_bytes", m->active - m->used);
    buf_printf(out, "allocator_rss_ratio:%.2f\r\n",
               ratio_of(m->resident, m->active));
    line_size(out, "allocator_rss_bytes", m->resident - m->active);
    buf_printf(out, "rss_overhead_ratio:%.2f\r\n",
               ratio_of(m->rss, m->resident));
    info_line(out, "rss_overhead_bytes",
              (int64_t)m->rss - (int64_t)m->resident);
    buf_printf(out, "mem_fragmentation_ratio:%.2f\r\n",
               ratio_of(m->rss, m->used));
    info_line(out, "mem_fragmentation_bytes",
              (int64_t)m->rss - (int64_t)m->used);
    buf_printf(out, "mem_allocator:%s\r\n", memory_allocator());
}

static void print_policy(const struct config *config, struct buf *out)
{
    buf_append_string(out, "maxmemory_policy:");
    config_format(config, CONFIG_maxmemory_policy, out);
    buf_append_string(out, "\r\n");
}

void info_memory(const struct server *server, struct buf *out)
{
    const struct memory_figures m = memory_figures(server);
    const size_t max = (size_t)config_number(server->config, CONFIG_maxmemory);

    line_size(out, "used_memory", m.used);
    info_line_human(out, "used_memory_human", m.used);
    line_size(out, "used_memory_rss", m.rss);
    info_line_human(out, "used_memory_rss_human", m.rss);
    line_size(out, "used_memory_peak", m.used_peak);
    info_line_human(out, "used_memory_peak_human", m.used_peak);
    buf_printf(out, "used_memory_peak_perc:%.2f%%\r\n",
               percent_of(m.used, m.used_peak));
    line_size(out, "used_memory_rss_peak", memory_peak_bytes());
    line_size(out, "used_memory_overhead", m.overhead);
    line_size(out, "used_memory_startup", m.startup);
    line_size(out, "used_memory_dataset", m.dataset);
    buf_printf(out, "used_memory_dataset_perc:%.2f%%\r\n",
               percent_of(m.dataset, less(m.used, m.startup)));
    line_size(out, "total_system_memory", memory_system_bytes());
    info_line_human(out, "total_system_memory_human", memory_system_bytes());
    line_size(out, "maxmemory", max);
    info_line_human(out, "maxmemory_human", max);
    print_policy(server->config, out);
    line_size(out, "mem_clients_normal", m.clients);
    print_allocator(&m, out);
    info_constants("Memory", out);
}
