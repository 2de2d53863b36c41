/* SPDX-License-Identifier: MIT */
/*
 * The sections that say what the process is and how safe its data are.
 */
#include "server/command/info.h"

#include "common/attr.h"
#include "common/clock.h"
#include "common/config.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"
#include "server/command/clients.h"
#include "server/command/redis.h"
#include "server/command/tracking.h"
#include "server/store/store.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

/* ---- lines ---- */

void info_line(struct buf *out, const char *name, int64_t value)
{
    buf_printf(out, "%s:%lld\r\n", name, (long long)value);
}

void info_line_human(struct buf *out, const char *name, size_t bytes)
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

static const struct {
    const char *section;
    const char *name;
    const char *value;
    const char *why;
} fields[] = {
#define FIELD(section_, name_, value_, why_) \
    {.section = section_, .name = name_, .value = value_, .why = why_},
#include "server/command/info.def"
#undef FIELD
};

void info_constants(const char *section, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(fields[i].section, section) == 0) {
            buf_printf(out, "%s:%s\r\n", fields[i].name, fields[i].value);
        }
    }
}

void info_print_docs(struct buf *out)
{
    const char *why = "";

    buf_append_string(out, "| section | always | because |\n|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(fields[i].why, "likewise") != 0) {
            why = fields[i].why;
        }
        buf_printf(out, "| %s | `%s:%s` | %s |\n", fields[i].section,
                   fields[i].name, fields[i].value, why);
    }
}

/* ---- Server ---- */

static void print_compiler(struct buf *out)
{
#ifdef __clang__
    buf_printf(out, "gcc_version:0.0.0\r\nclang_version:%d.%d.%d\r\n",
               __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    buf_printf(out, "gcc_version:%d.%d.%d\r\n", __GNUC__, __GNUC_MINOR__,
               __GNUC_PATCHLEVEL__);
#endif
}

static void print_executable(struct buf *out)
{
    char path[4096];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path);

    buf_printf(out, "executable:%.*s\r\n", n > 0 ? (int)n : 0, path);
}

void info_server(const struct server *server, struct buf *out)
{
    const int64_t up_s = (clock_now_us() - server->started_us) / 1000000;
    const int64_t wall_ms = clock_wall_ms();
    const int64_t n_threads = config_number(server->config, CONFIG_io_threads);
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
    print_compiler(out);
    info_line(out, "process_id", getpid());
    buf_printf(out, "process_supervised:%s\r\n",
               getenv("NOTIFY_SOCKET") != NULL ? "systemd" : "no");
    buf_printf(out, "run_id:%s\r\n", server->run_id);
    info_line(out, "tcp_port", server->port);
    info_line(out, "server_time_usec", clock_wall_us());
    info_line(out, "uptime_in_seconds", up_s);
    info_line(out, "uptime_in_days", up_s / 86400);
    info_line(out, "configured_hz", config_number(server->config, CONFIG_hz));
    /* Redis' clock for ages of keys: seconds, in 24 bits. */
    info_line(out, "lru_clock", wall_ms / 1000 & 0xffffff);
    print_executable(out);
    buf_printf(out, "config_file:%s\r\n", server->config_path);
    info_line(out, "io_threads", n_threads);
    info_line(out, "io_threads_active", n_threads > 1);
    info_constants("Server", out);
}

/* ---- Clients ---- */

void info_clients(const struct server *server, struct buf *out)
{
    const struct clients_usage usage = clients_usage(server->clients);

    info_line(out, "connected_clients", (int64_t)usage.count);
    info_line(out, "maxclients",
              config_number(server->config, CONFIG_maxclients));
    info_line(out, "tracking_clients",
              (int64_t)tracking_figures(server->tracking).n_clients);
    info_line(out, "client_recent_max_input_buffer",
              (int64_t)usage.max_input_bytes);
    info_line(out, "client_recent_max_output_buffer",
              (int64_t)usage.max_output_bytes);
    info_line(out, "blocked_clients", (int64_t)usage.n_blocked);
    info_line(out, "pubsub_clients", (int64_t)usage.n_subscribers);
    info_constants("Clients", out);
}

/* ---- Persistence ---- */

int64_t info_last_save_s(const struct server *server)
{
    struct store_progress progress;

    store_progress(server->store, &progress);
    return progress.committed_ms != 0
               ? progress.committed_ms / 1000
               : (clock_wall_ms() -
                  (clock_now_us() - server->started_us) / 1000) /
                     1000;
}

void info_persistence(const struct server *server, struct buf *out)
{
    struct store_progress progress;

    store_progress(server->store, &progress);
    const char *status = progress.failing ? "err" : "ok";
    info_line(out, "rdb_changes_since_last_save", (int64_t)progress.n_waiting);
    info_line(out, "rdb_last_save_time", info_last_save_s(server));
    buf_printf(out, "rdb_last_bgsave_status:%s\r\n", status);
    info_line(out, "rdb_saves", stats_sum(STATS_store_commits));
    buf_printf(out, "aof_last_write_status:%s\r\n", status);
    info_constants("Persistence", out);
}

/* ---- Replication, CPU ---- */

void info_replication(const struct server *server, struct buf *out)
{
    buf_printf(out, "master_replid:%s\r\n", server->run_id);
    info_constants("Replication", out);
}

static void line_seconds(struct buf *out, const char *name,
                         const struct timeval *time)
{
    buf_printf(out, "%s:%lld.%06lld\r\n", name, (long long)time->tv_sec,
               (long long)time->tv_usec);
}

static void print_cpu(int who, const char *sys, const char *user,
                      struct buf *out)
{
    struct rusage usage;

    if (getrusage(who, &usage) == 0) {
        line_seconds(out, sys, &usage.ru_stime);
        line_seconds(out, user, &usage.ru_utime);
    }
}

void info_cpu(const struct server *server, struct buf *out)
{
    (void)server;
    print_cpu(RUSAGE_SELF, "used_cpu_sys", "used_cpu_user", out);
    print_cpu(RUSAGE_CHILDREN, "used_cpu_sys_children",
              "used_cpu_user_children", out);
    /* Of the thread that asks: any of the I/O threads. */
    print_cpu(RUSAGE_THREAD, "used_cpu_sys_main_thread",
              "used_cpu_user_main_thread", out);
}
