/* SPDX-License-Identifier: MIT */
/*
 * watch: a line for each change of a key, as it happens.
 *
 *     2026-11-23T20:31:05.123Z   hset   book:3
 *
 * Whoever made the change, and with whatever program, bookd publishes it on
 * __keyspace@0__:KEY; this subscribes to those channels.  In RESP2 a connection
 * with subscriptions takes no other commands, so --values asks on one of its
 * own.
 */
#include "client/client.h"
#include "client/print.h"
#include "common/clock.h"
#include "common/glob.h"
#include "common/mem.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define KEYSPACE "__keyspace@0__:"
/* What bookd says when anything may have changed. */
#define RESYNC "resync"
#define RESYNC_CHANNEL "__keyevent@0__:" RESYNC

struct watch {
    const struct args *args;
    struct session *session; /* With the subscriptions. */
    struct session *values;  /* For --values; else NULL. */
    struct slice *patterns;  /* Of keys. */
    size_t n_patterns;
};

/* ---- a line ---- */

struct line {
    struct slice event;
    struct slice key;
    struct slice value;
    bool has_value;
};

/* In a pipe in UTC and whole; for people the time of day where they are. */
static void append_time(struct buf *b, bool whole)
{
    const int64_t now_ms = clock_wall_ms();
    const time_t now_s = (time_t)(now_ms / 1000);
    struct tm parts;
    char text[32];

    if (whole) {
        (void)gmtime_r(&now_s, &parts);
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    } else {
        (void)localtime_r(&now_s, &parts);
        (void)strftime(text, sizeof(text), "%H:%M:%S", &parts);
    }
    buf_printf(b, "%s.%03d%s", text, (int)(now_ms % 1000), whole ? "Z" : "");
}

static void append_json(struct buf *b, const struct line *line, bool with_value)
{
    buf_append_string(b, "{\"time\":\"");
    append_time(b, true);
    buf_append_string(b, "\",\"event\":");
    buf_append_json(b, line->event);
    buf_append_string(b, ",\"key\":");
    buf_append_json(b, line->key);
    if (with_value) {
        buf_append_string(b, ",\"value\":");
        if (line->has_value) {
            buf_append_json(b, line->value);
        } else {
            buf_append_string(b, "null");
        }
    }
    buf_append_char(b, '}');
}

static void append_tsv(struct buf *b, const struct line *line, bool with_value)
{
    append_time(b, true);
    buf_append_char(b, '\t');
    print_tsv(b, line->event);
    buf_append_char(b, '\t');
    print_tsv(b, line->key);
    if (with_value) {
        buf_append_char(b, '\t');
        print_tsv(b, line->value);
    }
}

static enum style style_of(struct slice event)
{
    return slice_equal(event, SLICE("del")) ||
                   slice_equal(event, SLICE("expired")) ||
                   slice_equal(event, SLICE("evicted"))
               ? STYLE_RED
           : slice_equal(event, SLICE(RESYNC)) ? STYLE_YELLOW
                                               : STYLE_GREEN;
}

#define EVENT_WIDTH 12 /* "hincrbyfloat" */

static void append_text(struct buf *b, const struct line *line)
{
    struct buf event = {0};
    struct buf cell = {0};

    append_time(b, false);
    buf_append_string(b, "  ");
    print_safe(&event, line->event);
    print_cell(&cell, buf_slice(&event), EVENT_WIDTH, ALIGN_LEFT);
    print_styled(b, print_stdout(), style_of(line->event), buf_string(&cell));
    buf_append_string(b, "  ");
    print_safe(b, line->key);
    if (line->has_value) {
        buf_append_string(b, "  ");
        print_safe(b, line->value);
    }
    buf_destroy(&event);
    buf_destroy(&cell);
}

static void show(const struct watch *w, const struct line *line)
{
    const struct options *options = &w->args->options;
    struct buf b = {0};

    if (options->json) {
        append_json(&b, line, options->values);
    } else if (print_stdout()->is_terminal) {
        append_text(&b, line);
    } else {
        append_tsv(&b, line, options->values);
    }
    buf_append_char(&b, '\n');
    print_write(stdout, &b);
    (void)fflush(stdout);
    buf_destroy(&b);
}

/* ---- what comes ---- */

/* Shows the change, with the value that the key has now if that is wanted. */
static enum status show_change(const struct watch *w, struct line *line)
{
    /* Not GET: a hash has a value here, too. */
    const struct slice words[] = {SLICE("BOOK.GET"), line->key};

    if (w->values == NULL || slice_equal(line->event, SLICE(RESYNC))) {
        show(w, line);
        return STATUS_OK;
    }
    session_send(w->values, words, ARRAY_LEN(words));
    struct reply *reply = session_receive(w->values);
    if (reply == NULL) {
        return session_check(w->values, reply);
    }
    const struct reply *const value = reply_field(reply, "value");
    line->has_value = value != NULL && reply_kind(value) == REPLY_STRING;
    line->value = line->has_value ? reply_text(value) : SLICE("");
    if (reply_kind(reply) == REPLY_ERROR) {
        (void)session_check(w->values, reply);
    }
    show(w, line);
    reply_free(reply);
    return STATUS_OK;
}

/* A key that several patterns match comes with each of them; the first
 * counts. */
static bool is_repeated(const struct watch *w, struct slice pattern,
                        struct slice key)
{
    for (size_t i = 0; i < w->n_patterns; i++) {
        if (slice_equal(w->patterns[i], pattern)) {
            return false;
        }
        if (glob_match(w->patterns[i], key, false)) {
            return true;
        }
    }
    return false;
}

static struct slice without_prefix(struct slice channel)
{
    const size_t size = sizeof(KEYSPACE) - 1;

    return slice_has_prefix(channel, SLICE(KEYSPACE))
               ? slice_make(channel.data + size, channel.size - size)
               : channel;
}

/* What is no message (the beginning of a subscription, a pong) is passed
 * over. */
static enum status take(const struct watch *w, const struct reply *reply)
{
    const struct slice kind =
        reply_count(reply) > 0 ? reply_text(reply_at(reply, 0)) : SLICE("");

    if (reply_kind(reply) == REPLY_ERROR) {
        return session_check(w->session, reply);
    }
    if (slice_equal(kind, SLICE("pmessage")) && reply_count(reply) == 4) {
        struct line line = {.event = reply_text(reply_at(reply, 3)),
                            .key =
                                without_prefix(reply_text(reply_at(reply, 2))),
                            .value = SLICE("")};
        if (!is_repeated(w, without_prefix(reply_text(reply_at(reply, 1))),
                         line.key)) {
            return show_change(w, &line);
        }
    }
    if (slice_equal(kind, SLICE("message")) && reply_count(reply) == 3) {
        struct line line = {.event = SLICE(RESYNC),
                            .key = reply_text(reply_at(reply, 2)),
                            .value = SLICE("")};
        return show_change(w, &line);
    }
    return STATUS_OK;
}

/* Until 'stop_fd' is readable, nobody reads, or the server goes.  A server that
 * is quiet for as long as a reply may take is asked whether it is there. */
static enum status follow(const struct watch *w, int stop_fd)
{
    const int64_t timeout_us = w->args->options.timeout_us;
    const struct slice ping = SLICE("PING");
    enum status status = STATUS_OK;
    bool asked = false;

    while (status == STATUS_OK && !ferror(stdout)) {
        struct reply *reply = NULL;
        switch (session_await(w->session, stop_fd, timeout_us, &reply)) {
        case SESSION_REPLY:
            asked = false;
            status = take(w, reply);
            reply_free(reply);
            break;
        case SESSION_WOKEN:
            return STATUS_OK;
        case SESSION_QUIET:
            if (asked) {
                complain("%s did not answer within %.3g s",
                         session_place(w->session), (double)timeout_us / 1e6);
                return STATUS_CONNECTION;
            }
            asked = true;
            session_send(w->session, &ping, 1);
            break;
        case SESSION_LOST:
            return session_check(w->session, NULL);
        }
    }
    return status;
}

/* ---- the beginning ---- */

static void subscribe(const struct watch *w)
{
    struct slice *words = xcalloc(1 + w->n_patterns, sizeof(*words));
    struct buf *channels = xcalloc(w->n_patterns, sizeof(*channels));
    const struct slice resync[] = {SLICE("SUBSCRIBE"), SLICE(RESYNC_CHANNEL)};

    words[0] = SLICE("PSUBSCRIBE");
    for (size_t i = 0; i < w->n_patterns; i++) {
        buf_append_string(&channels[i], KEYSPACE);
        buf_append_slice(&channels[i], w->patterns[i]);
        words[1 + i] = buf_slice(&channels[i]);
    }
    session_send(w->session, words, 1 + w->n_patterns);
    session_send(w->session, resync, ARRAY_LEN(resync));
    for (size_t i = 0; i < w->n_patterns; i++) {
        buf_destroy(&channels[i]);
    }
    free(channels);
    free(words);
}

/* Says so if bookd is set not to tell what is watched. */
static enum status check_setting(struct session *session)
{
    struct reply *reply =
        session_ask(session, "CONFIG", "GET", "notify-keyspace-events", NULL);
    if (reply == NULL) {
        return session_check(session, reply);
    }
    const struct reply *value = reply_field(reply, "notify-keyspace-events");
    if (value != NULL) {
        const struct slice letters = reply_text(value);
        if (letters.size == 0 ||
            memchr(letters.data, 'K', letters.size) == NULL ||
            memchr(letters.data, 'A', letters.size) == NULL) {
            complain("notify-keyspace-events is \"%.*s\": bookd does not tell "
                     "all changes; with \"AKE\" it does",
                     (int)letters.size, letters.data);
        }
    }
    reply_free(reply);
    return STATUS_OK;
}

/* A descriptor that is readable once we are told to stop; -1 if the system has
 * none, and then the signals end us as ever. */
static int catch_stop(void)
{
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    const int fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (fd >= 0) {
        (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    }
    return fd;
}

static enum status connect_values(struct watch *w, const struct client *client)
{
    struct buf why = {0};
    const enum status status = session_open(
        &w->values, client->target, client->args->options.timeout_us, &why);

    if (status != STATUS_OK) {
        complain("%s", buf_string(&why));
    }
    buf_destroy(&why);
    return status;
}

static void show_heading(const struct watch *w)
{
    struct buf text = {0};
    struct buf b = {0};

    if (w->args->options.json || !print_stdout()->is_terminal) {
        return;
    }
    buf_append_string(&text, "Changes of ");
    for (size_t i = 0; i < w->n_patterns; i++) {
        buf_append_string(&text, i > 0 ? " " : "");
        print_safe(&text, w->patterns[i]);
    }
    buf_printf(&text, " on %s, until Ctrl-C:", session_place(w->session));
    print_styled(&b, print_stdout(), STYLE_DIM, buf_string(&text));
    buf_append_char(&b, '\n');
    print_write(stdout, &b);
    (void)fflush(stdout);
    buf_destroy(&text);
    buf_destroy(&b);
}

enum status command_watch(struct client *client)
{
    const struct args *args = client->args;
    struct slice all = SLICE("*");
    struct watch w = {.args = args, .patterns = &all, .n_patterns = 1};
    const int stop_fd = catch_stop();
    enum status status = client_connect(client);

    if (args->n_words > 0) {
        w.n_patterns = args->n_words;
        w.patterns = xcalloc(w.n_patterns, sizeof(*w.patterns));
        for (size_t i = 0; i < w.n_patterns; i++) {
            w.patterns[i] = slice_from_string(args->words[i]);
        }
    }
    w.session = client->session;
    if (status == STATUS_OK && args->options.values) {
        status = connect_values(&w, client);
    }
    if (status == STATUS_OK) {
        status = check_setting(w.session);
    }
    if (status == STATUS_OK) {
        show_heading(&w);
        subscribe(&w);
        status = follow(&w, stop_fd);
    }
    session_close(w.values);
    if (w.patterns != &all) {
        free(w.patterns);
    }
    if (stop_fd >= 0) {
        (void)close(stop_fd);
    }
    return status;
}
