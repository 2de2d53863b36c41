/* SPDX-License-Identifier: MIT */
/*
 * stat: INFO for people: a few lines that say how bookd is doing, or one line
 * for each interval.
 */
#include "client/client.h"
#include "client/info.h"
#include "client/print.h"
#include "common/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#define LABEL_WIDTH 10
#define HEADING_EVERY 20 /* Lines, as vmstat does. */

/* ---- summary ---- */

static void append_label(struct buf *b, const char *label)
{
    struct buf padded = {0};

    print_cell(&padded, slice_from_string(label), LABEL_WIDTH, ALIGN_LEFT);
    print_styled(b, print_stdout(), STYLE_BOLD, buf_string(&padded));
    buf_destroy(&padded);
}

static void append_size(struct buf *b, int64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1024;
        unit++;
    }
    buf_printf(b, "%.*f %s", unit == 0 ? 0 : 1, value, units[unit]);
}

static double percent(int64_t part, int64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void append_text(struct buf *b, const struct info *info,
                        const char *name)
{
    print_safe(b, info_text(info, name));
}

static void append_server(struct buf *b, const struct info *info,
                          const struct session *session)
{
    append_label(b, "bookd");
    append_text(b, info, "bookd_version");
    buf_printf(b, " on %s, process %" PRId64 ", up ", session_place(session),
               info_number(info, "process_id"));
    print_duration(b, 1000 * info_number(info, "uptime_in_seconds"));
    buf_append_char(b, '\n');

    append_label(b, "clients");
    buf_printf(b, "%" PRId64 " now, %" PRId64 " since start; ",
               info_number(info, "connected_clients"),
               info_number(info, "total_connections_received"));
    print_count(b, info_number(info, "total_commands_processed"), "command, ",
                "commands, ");
    print_count(b, info_number(info, "total_error_replies"), "error\n",
                "errors\n");
}

static void append_cache(struct buf *b, const struct info *info)
{
    append_label(b, "cache");
    print_count(b, info_number(info, "cache_entries"), "copy, ", "copies, ");
    append_size(b, info_number(info, "cache_used_bytes"));
    buf_append_string(b, " of ");
    append_size(b, info_number(info, "cache_max_bytes"));
    buf_printf(b, "; %" PRId64 " evicted\n", info_number(info, "evicted_keys"));

    append_label(b, "memory");
    append_size(b, info_number(info, "used_memory"));
    buf_append_string(b, " used, ");
    append_size(b, info_number(info, "used_memory_rss"));
    buf_append_string(b, " resident\n");
}

/* Lookups that ended with an error. */
static int64_t failures(const struct info *info)
{
    return info_number(info, "outcome_timeout") +
           info_number(info, "outcome_busy") +
           info_number(info, "outcome_down");
}

static void append_lookups(struct buf *b, const struct info *info)
{
    const int64_t lookups = info_number(info, "lookups");

    append_label(b, "lookups");
    buf_printf(b,
               "%" PRId64 "; %.1f%% from the cache, %.1f%% from the store, "
               "%.1f%% failed\n",
               lookups,
               percent(info_number(info, "lookup_cache_answers"), lookups),
               percent(info_number(info, "lookup_store_answers"), lookups),
               percent(failures(info), lookups));
    append_label(b, "races");
    buf_printf(b,
               "%" PRId64 "; %" PRId64 " won by the cache, %" PRId64
               " by the store; ",
               info_number(info, "lookup_races"),
               info_number(info, "outcome_race_cache"),
               info_number(info, "outcome_race_store"));
    print_count(b, info_number(info, "flights_joined"), "lookup", "lookups");
    buf_append_string(b, " joined a read under way\n");
    append_label(b, "failures");
    print_count(b, info_number(info, "outcome_timeout"), "timeout, ",
                "timeouts, ");
    buf_printf(b, "%" PRId64 " busy, %" PRId64 " down; ",
               info_number(info, "outcome_busy"),
               info_number(info, "outcome_down"));
    print_count(b, info_number(info, "outcome_stale_if_error"),
                "more lookup was", "more lookups were");
    buf_append_string(b, " answered by an older copy\n");
}

static void append_store(struct buf *b, const struct info *info)
{
    append_label(b, "store");
    append_text(b, info, "store_engine");
    buf_append_char(b, ':');
    append_text(b, info, "store_location");
    buf_append_string(b, "; ");
    print_count(b, info_number(info, "store_reads"), "read, ", "reads, ");
    print_count(b, info_number(info, "store_writes"), "write, ", "writes, ");
    print_count(b, info_number(info, "store_errors"), "error\n", "errors\n");
}

static void show_summary(const struct info *info, const struct session *session)
{
    struct buf b = {0};

    append_server(&b, info, session);
    append_cache(&b, info);
    append_lookups(&b, info);
    append_store(&b, info);
    print_write(stdout, &b);
    buf_destroy(&b);
}

/* ---- watch ---- */

/* What has happened since start, of which lines show the increase. */
struct sample {
    int64_t time_us;
    int64_t lookups, from_cache, reads, writes, errors;
};

static struct sample take_sample(const struct info *info)
{
    return (struct sample){.time_us = clock_now_us(),
                           .lookups = info_number(info, "lookups"),
                           .from_cache =
                               info_number(info, "lookup_cache_answers"),
                           .reads = info_number(info, "store_reads"),
                           .writes = info_number(info, "store_writes"),
                           .errors = info_number(info, "total_error_replies")};
}

static void show_interval(const struct info *info, const struct sample *then,
                          const struct sample *now, int64_t line)
{
    const double s = (double)(now->time_us - then->time_us) / 1e6;
    struct buf b = {0};

    if (line % HEADING_EVERY == 0) {
        print_styled(&b, print_stdout(), STYLE_BOLD,
                     "lookups/s  cache %    reads/s   writes/s   errors/s  "
                     "clients      copies");
        buf_append_char(&b, '\n');
    }
    buf_printf(&b,
               "%9.0f  %6.1f%%  %9.0f  %9.0f  %9.0f  %7" PRId64 "  %10" PRId64
               "\n",
               (double)(now->lookups - then->lookups) / s,
               percent(now->from_cache - then->from_cache,
                       now->lookups - then->lookups),
               (double)(now->reads - then->reads) / s,
               (double)(now->writes - then->writes) / s,
               (double)(now->errors - then->errors) / s,
               info_number(info, "connected_clients"),
               info_number(info, "cache_entries"));
    print_write(stdout, &b);
    (void)fflush(stdout);
    buf_destroy(&b);
}

/* Until interrupted, or nobody reads. */
static enum status watch(struct session *session, struct info *info,
                         int64_t interval_us)
{
    struct sample then = take_sample(info);
    enum status status = STATUS_OK;

    for (int64_t line = 0; status == STATUS_OK && !ferror(stdout); line++) {
        (void)poll(NULL, 0, (int)(interval_us / 1000));
        status = info_fetch(info, session);
        if (status == STATUS_OK) {
            const struct sample now = take_sample(info);
            show_interval(info, &then, &now, line);
            then = now;
        }
    }
    return status;
}

enum status command_stat(struct client *client)
{
    const struct options *options = &client->args->options;
    const bool watches = client->args->given[OPTION_watch_us];
    struct info info = {0};
    struct buf b = {0};
    enum status status;

    if (watches && (options->json || options->watch_us < 1000 ||
                    options->watch_us / 1000 > INT32_MAX)) {
        complain("--watch goes without --json, and from 1ms on");
        return STATUS_USAGE;
    }
    status = client_connect(client);
    if (status == STATUS_OK) {
        status = info_fetch(&info, client->session);
    }
    if (status == STATUS_OK && watches) {
        status = watch(client->session, &info, options->watch_us);
    } else if (status == STATUS_OK && options->json) {
        info_json(&info, &b);
        print_write(stdout, &b);
    } else if (status == STATUS_OK) {
        show_summary(&info, client->session);
    }
    info_destroy(&info);
    buf_destroy(&b);
    return status;
}
