/* SPDX-License-Identifier: MIT */
/*
 * LATENCY: what took long, and how long commands take.
 */
#include "common/clock.h"
#include "server/admin/config.h"
#include "server/admin/latency.h"
#include "server/command/args.h"
#include "server/command/calls.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"

#include <stdio.h>

static enum latency_event event_at(const struct request *r, size_t i)
{
    return latency_find(r->argv[i].data, r->argv[i].size);
}

/* ---- samples ---- */

enum command_status cmd_latency_latest(struct request *r)
{
    struct latency_history h[LATENCY_COUNT];
    size_t n = 0;

    for (enum latency_event e = 0; e < LATENCY_COUNT; e++) {
        n += latency_get(e, &h[e]);
    }
    reply_array(&r->reply, n);
    for (enum latency_event e = 0; e < LATENCY_COUNT; e++) {
        if (h[e].n > 0) {
            const struct latency_sample last = h[e].samples[h[e].n - 1];
            reply_array(&r->reply, 4);
            reply_bulk_string(&r->reply, latency_rows[e].name);
            reply_integer(&r->reply, last.at_s);
            reply_integer(&r->reply, last.took_ms);
            reply_integer(&r->reply, h[e].max_ms);
        }
    }
    return COMMAND_DONE;
}

enum command_status cmd_latency_history(struct request *r)
{
    const enum latency_event event = event_at(r, 2);
    struct latency_history h = {0};

    if (event == LATENCY_COUNT || !latency_get(event, &h)) {
        reply_array(&r->reply, 0);
        return COMMAND_DONE;
    }
    reply_array(&r->reply, h.n);
    for (size_t i = 0; i < h.n; i++) {
        reply_array(&r->reply, 2);
        reply_integer(&r->reply, h.samples[i].at_s);
        reply_integer(&r->reply, h.samples[i].took_ms);
    }
    return COMMAND_DONE;
}

enum command_status cmd_latency_reset(struct request *r)
{
    int64_t n = 0;

    if (r->argc == 2) {
        for (enum latency_event e = 0; e < LATENCY_COUNT; e++) {
            n += latency_reset(e);
        }
    }
    for (size_t i = 2; i < r->argc; i++) {
        const enum latency_event event = event_at(r, i);
        n += event != LATENCY_COUNT && latency_reset(event);
    }
    reply_integer(&r->reply, n);
    return COMMAND_DONE;
}

/* ---- for people ---- */

#define GRAPH_ROWS 4
#define GRAPH_COLUMNS 80 /* The newest samples. */

static int64_t smallest(const struct latency_sample *samples, size_t n)
{
    int64_t min = INT64_MAX;

    for (size_t i = 0; i < n; i++) {
        min = samples[i].took_ms < min ? samples[i].took_ms : min;
    }
    return min;
}

static int64_t largest(const struct latency_sample *samples, size_t n)
{
    int64_t max = 0;

    for (size_t i = 0; i < n; i++) {
        max = samples[i].took_ms > max ? samples[i].took_ms : max;
    }
    return max;
}

/* "5s", "12m", "3h", "9d": two or three characters, read downwards. */
static void print_ages(const struct latency_sample *samples, size_t n,
                       struct buf *out)
{
    const int64_t now_s = clock_wall_ms() / 1000;
    char ages[GRAPH_COLUMNS][24]; /* Room for any number. */

    for (size_t i = 0; i < n; i++) {
        const int64_t s = now_s > samples[i].at_s ? now_s - samples[i].at_s : 0;
        const int64_t age = s < 60      ? s
                            : s < 3600  ? s / 60
                            : s < 86400 ? s / 3600
                                        : s / 86400;
        (void)snprintf(ages[i], sizeof ages[i], "%lld%c",
                       (long long)(age < 999 ? age : 999),
                       s < 60      ? 's'
                       : s < 3600  ? 'm'
                       : s < 86400 ? 'h'
                                   : 'd');
    }
    for (size_t row = 0; row < 4; row++) {
        for (size_t i = 0; i < n; i++) {
            buf_append_char(out, row < strlen(ages[i]) ? ages[i][row] : ' ');
        }
        buf_append_char(out, '\n');
    }
}

/* A column for each sample, from '_' (the smallest) to '#'. */
static void print_graph(const struct latency_sample *samples, size_t n,
                        struct buf *out)
{
    const int64_t low = smallest(samples, n);
    const int64_t span = largest(samples, n) - low;

    for (int64_t row = GRAPH_ROWS - 1; row >= 0; row--) {
        for (size_t i = 0; i < n; i++) {
            const int64_t height = span == 0 ? 0
                                             : (samples[i].took_ms - low) *
                                                   (GRAPH_ROWS - 1) / span;
            buf_append_char(out, height < row   ? ' '
                                 : height > row ? '|'
                                 : row == 0     ? '_'
                                                : '#');
        }
        buf_append_char(out, '\n');
    }
    buf_append_char(out, '\n');
    print_ages(samples, n, out);
}

enum command_status cmd_latency_graph(struct request *r)
{
    const enum latency_event event = event_at(r, 2);
    struct latency_history h = {0};
    struct buf text = {0};

    if (event == LATENCY_COUNT || !latency_get(event, &h)) {
        reply_errorf(&r->reply, "ERR No samples available for event '%.*s'",
                     shown(r->argv[2]), r->argv[2].data);
        return COMMAND_DONE;
    }
    const size_t n = h.n < GRAPH_COLUMNS ? h.n : GRAPH_COLUMNS;
    const struct latency_sample *samples = h.samples + h.n - n;
    buf_printf(&text,
               "%s - high %lld ms, low %lld ms (all time high %lld ms)\n",
               latency_rows[event].name, (long long)largest(samples, n),
               (long long)smallest(samples, n), (long long)h.max_ms);
    for (int i = 0; i < GRAPH_COLUMNS; i++) {
        buf_append_char(&text, '-');
    }
    buf_append_char(&text, '\n');
    print_graph(samples, n, &text);
    reply_verbatim(&r->reply, "txt", buf_slice(&text));
    buf_destroy(&text);
    return COMMAND_DONE;
}

static void describe_event(enum latency_event event,
                           const struct latency_history *h, struct buf *out)
{
    int64_t sum_ms = 0;

    for (size_t i = 0; i < h->n; i++) {
        sum_ms += h->samples[i].took_ms;
    }
    const int64_t spread_s = h->samples[h->n - 1].at_s - h->samples[0].at_s;
    buf_printf(out,
               "\n%s: %s\n"
               "  %zu seconds with spikes, %lld ms on average, at most %lld "
               "ms; %lld seconds from the first to the last.\n"
               "  %s\n",
               latency_rows[event].name, latency_rows[event].summary, h->n,
               (long long)(sum_ms / (int64_t)h->n), (long long)h->max_ms,
               (long long)spread_s, latency_rows[event].advice);
}

enum command_status cmd_latency_doctor(struct request *r)
{
    const int64_t threshold_ms = config_number(
        r->client->server->config, CONFIG_latency_monitor_threshold);
    struct buf text = {0};
    bool any = false;

    for (enum latency_event e = 0; e < LATENCY_COUNT; e++) {
        struct latency_history h;
        if (latency_get(e, &h)) {
            describe_event(e, &h, &text);
            any = true;
        }
    }
    if (threshold_ms == 0) {
        buf_append_string(&text,
                          "The latency monitor is off. CONFIG SET "
                          "latency-monitor-threshold <milliseconds> turns it "
                          "on.\n");
    } else if (!any) {
        buf_printf(&text,
                   "Nothing took %lld ms or more since the monitor was turned "
                   "on, or since the last LATENCY RESET.\n",
                   (long long)threshold_ms);
    }
    reply_verbatim(&r->reply, "txt", buf_slice(&text));
    buf_destroy(&text);
    return COMMAND_DONE;
}

/* ---- histograms ---- */

/* As far as a histogram reaches. */
#define BOUND_MAX (INT64_C(1) << 40)

/* Calls that took at most 1, 2, 4 … microseconds, where that is more than
 * before. */
static void reply_buckets(struct reply *reply, const struct histogram *h)
{
    const uint64_t all = histogram_count(h);
    uint64_t before = 0;
    size_t n = 0;

    for (int64_t to = 1; before < all && to <= BOUND_MAX; to *= 2) {
        const uint64_t count = histogram_count_to(h, to);
        n += count > before;
        before = count;
    }
    reply_map(reply, n);
    before = 0;
    for (int64_t to = 1; n > 0 && to <= BOUND_MAX; to *= 2) {
        const uint64_t count = histogram_count_to(h, to);
        if (count > before) {
            reply_integer(reply, to);
            reply_integer(reply, (int64_t)count);
            before = count;
            n--;
        }
    }
}

static void reply_command(struct reply *reply, const struct command *command,
                          const struct call_counts *counts)
{
    reply_bulk_string(reply, command->name);
    reply_map(reply, 2);
    reply_bulk_string(reply, "calls");
    reply_integer(reply, (int64_t)histogram_count(counts->latency_us));
    reply_bulk_string(reply, "histogram_usec");
    reply_buckets(reply, counts->latency_us);
}

/* A container stands for its subcommands. */
static bool is_asked(const struct request *r, const struct command *command)
{
    for (size_t i = 2; i < r->argc; i++) {
        const struct command *asked = command_by_name(r->argv[i]);
        if (asked != NULL &&
            (asked == command || command_is_child(command, asked))) {
            return true;
        }
    }
    return r->argc == 2;
}

enum command_status cmd_latency_histogram(struct request *r)
{
    struct calls_sum *sum = calls_sum();
    size_t n = 0;

    for (const struct command *c = commands; c < commands + n_commands; c++) {
        n += is_asked(r, c) && calls_of(sum, c).latency_us != NULL;
    }
    reply_map(&r->reply, n);
    for (const struct command *c = commands; c < commands + n_commands; c++) {
        const struct call_counts counts = calls_of(sum, c);
        if (is_asked(r, c) && counts.latency_us != NULL) {
            reply_command(&r->reply, c, &counts);
        }
    }
    calls_sum_free(sum);
    return COMMAND_DONE;
}

enum command_status cmd_latency_help(struct request *r)
{
    command_reply_help(r, "latency");
    return COMMAND_DONE;
}
