/* SPDX-License-Identifier: MIT */
/*
 * demo: the exercise's main loop.  For each of the random ids a thread asks
 * bookd on a connection of its own; the answers come back through a channel in
 * the order they arrive, and the main thread shows them.
 *
 *     main ──wg_go──► asker 1 ──┐
 *          ──wg_go──► asker 2 ──┼──► [ channel ] ──► main: for each, print
 *          ──wg_go──► asker n ──┘         ▲
 *          ──start──► closer: wg_wait, then chan_close: no more will come
 *
 * Nothing sleeps and nothing is shared but the channel: an asker owns its
 * session, and gives each answer away by sending it.
 */
#include "client/client.h"
#include "client/book.h"
#include "client/print.h"
#include "common/chan.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/random.h"
#include "common/waitgroup.h"

#include <inttypes.h>
#include <stdlib.h>

#define COUNT_MAX 1000 /* Threads and connections. */

enum source { SOURCE_CACHE, SOURCE_STORE, SOURCE_NONE, SOURCE_FAILED };

struct answer {
    int64_t id;
    int64_t took_us; /* From question to answer, the way included. */
    enum source source;
    enum status status; /* If it failed. */
    struct buf text;    /* The book as people read it, or what failed; owned by
                           whoever has the answer. */
};

struct asker {
    const struct target *target;
    int64_t timeout_us;
    int64_t id;              /* To ask for in this round. */
    struct session *session; /* Opened by its first question. */
    struct chan_tx answers;
};

struct totals {
    int64_t n[4]; /* By enum source. */
    int64_t slowest_us;
    enum status status;
};

/* ---- asking ---- */

static void append_cell(struct buf *b, const char *before,
                        const struct cell *cell, const char *after)
{
    if (!cell->missing) {
        buf_append_string(b, before);
        print_safe(b, cell->text);
        buf_append_string(b, after);
    }
}

/* "A Tale of Two Cities — Charles Dickens (1859)" */
static bool describe(struct slice json, struct buf *b)
{
    struct buf text = {0};
    struct book book;
    const bool ok = book_from_json(&book, json, &text);

    if (ok) {
        append_cell(b, "", &book.cells[BOOK_TITLE], "");
        append_cell(b, " \xE2\x80\x94 ", &book.cells[BOOK_AUTHOR], "");
        append_cell(b, " (", &book.cells[BOOK_YEAR], ")");
    }
    buf_destroy(&text);
    return ok;
}

static void fail(struct answer *answer, enum status status, struct slice why)
{
    answer->source = SOURCE_FAILED;
    answer->status = status;
    buf_clear(&answer->text);
    buf_append_slice(&answer->text, why);
}

/* Reads what BOOK.GET answered. */
static void read_answer(struct answer *answer, const struct reply *reply)
{
    const struct reply *value = reply_field(reply, "value");
    const struct reply *source = reply_field(reply, "source");

    if (reply_kind(reply) == REPLY_ERROR) {
        fail(answer, STATUS_SERVER, reply_text(reply));
    } else if (value == NULL || source == NULL) {
        fail(answer, STATUS_SERVER, SLICE("an answer without value or source"));
    } else if (reply_kind(value) == REPLY_NIL) {
        answer->source = SOURCE_NONE;
    } else if (!describe(reply_text(value), &answer->text)) {
        fail(answer, STATUS_SERVER, SLICE("an answer that is no book"));
    } else {
        answer->source = slice_equal(reply_text(source), SLICE("cache"))
                             ? SOURCE_CACHE
                             : SOURCE_STORE;
    }
}

static void ask(struct asker *asker, struct answer *answer)
{
    struct buf key = {0};
    struct reply *reply;
    int64_t start_us;

    book_key(&key, asker->id);
    start_us = clock_now_us();
    reply = session_ask(asker->session, "BOOK.GET", buf_string(&key), NULL);
    answer->took_us = clock_now_us() - start_us;
    if (reply == NULL) {
        fail(answer, STATUS_CONNECTION,
             slice_from_string(session_error(asker->session)));
    } else {
        read_answer(answer, reply);
    }
    reply_free(reply);
    buf_destroy(&key);
}

/* An asker's thread: one question, one answer. */
static void run_asker(void *arg)
{
    struct asker *asker = arg;
    struct answer answer = {.id = asker->id};
    struct buf why = {0};
    enum status status = STATUS_OK;

    if (asker->session == NULL) {
        status = session_open(&asker->session, asker->target, asker->timeout_us,
                              &why);
    }
    if (status == STATUS_OK) {
        ask(asker, &answer);
    } else {
        fail(&answer, status, buf_slice(&why));
    }
    buf_destroy(&why);
    if (chan_send(asker->answers, &answer) != ERR_OK) {
        buf_destroy(&answer.text); /* Nobody closes it before we are done. */
    }
}

/* ---- showing ---- */

static void show(const struct answer *answer)
{
    static const struct {
        const char *text;
        enum style style;
    } sources[] = {[SOURCE_CACHE] = {"from cache   ", STYLE_GREEN},
                   [SOURCE_STORE] = {"from database", STYLE_YELLOW}};
    const struct terminal *terminal = print_stdout();
    struct buf line = {0};

    if (answer->source == SOURCE_FAILED) {
        complain("id %" PRId64 ": %.*s", answer->id, (int)answer->text.size,
                 buf_slice(&answer->text).data);
        return;
    }
    if (answer->source == SOURCE_NONE) {
        buf_printf(&line, "Book not found id: %" PRId64, answer->id);
    } else {
        print_styled(&line, terminal, sources[answer->source].style,
                     sources[answer->source].text);
        buf_printf(&line, "  #%-4" PRId64 "  ", answer->id);
        buf_append_slice(&line, buf_slice(&answer->text));
    }
    buf_printf(&line, "  %.1f ms\n", (double)answer->took_us / 1000);
    print_write(stdout, &line);
    (void)fflush(stdout); /* As it arrives, also into a pipe. */
    buf_destroy(&line);
}

static void count(struct totals *totals, const struct answer *answer)
{
    totals->n[answer->source]++;
    totals->status = status_worse(totals->status, answer->status);
    if (answer->took_us > totals->slowest_us) {
        totals->slowest_us = answer->took_us;
    }
}

static void show_totals(const struct totals *totals, int64_t took_us)
{
    struct buf line = {0};

    print_count(&line,
                totals->n[SOURCE_CACHE] + totals->n[SOURCE_STORE] +
                    totals->n[SOURCE_NONE],
                "answer", "answers");
    buf_printf(&line,
               ": %" PRId64 " from cache, %" PRId64 " from database, %" PRId64
               " not found",
               totals->n[SOURCE_CACHE], totals->n[SOURCE_STORE],
               totals->n[SOURCE_NONE]);
    if (totals->n[SOURCE_FAILED] > 0) {
        buf_printf(&line, ", %" PRId64 " failed", totals->n[SOURCE_FAILED]);
    }
    buf_printf(&line, "; slowest %.1f ms, all in %.1f ms\n",
               (double)totals->slowest_us / 1000, (double)took_us / 1000);
    print_write(stdout, &line);
    buf_destroy(&line);
}

/* ---- rounds ---- */

struct closer {
    struct waitgroup *askers;
    struct chan_tx answers;
};

/* Says that no more answers will come, once the last asker is done. */
static void run_closer(void *arg)
{
    const struct closer *closer = arg;

    wg_wait(closer->askers);
    chan_close(closer->answers);
}

/* One round: all askers ask at the same time. */
static void run_round(struct asker *askers, size_t n, struct totals *totals)
{
    struct chan *answers = chan_new(sizeof(struct answer), 0);
    struct waitgroup wg;
    struct closer closer = {.askers = &wg, .answers = chan_tx(answers)};
    struct thread closing;
    struct answer answer;
    enum err err = ERR_OK;

    wg_init(&wg);
    for (size_t i = 0; i < n && err == ERR_OK; i++) {
        askers[i].answers = chan_tx(answers);
        err = wg_go(&wg, "asker", run_asker, &askers[i]);
    }
    if (err != ERR_OK ||
        thread_start(&closing, "closer", run_closer, &closer) != ERR_OK) {
        complain("the system has no thread to give");
        exit(STATUS_REFUSED); /* With askers waiting for somebody to listen. */
    }
    while (chan_recv(chan_rx(answers), &answer)) {
        show(&answer);
        count(totals, &answer);
        buf_destroy(&answer.text);
    }
    thread_join(&closing);
    wg_destroy(&wg);
    chan_free(answers);
}

static void run_rounds(const struct options *options, struct asker *askers,
                       uint64_t seed, struct totals *totals)
{
    for (int64_t round = 0;
         round < options->rounds && totals->status != STATUS_CONNECTION;
         round++) {
        for (int64_t i = 0; i < options->count; i++) {
            askers[i].id =
                1 + (int64_t)(random_next(&seed) % (uint64_t)options->ids);
        }
        run_round(askers, (size_t)options->count, totals);
    }
}

enum status command_demo(struct client *client)
{
    const struct options *options = &client->args->options;
    const uint64_t seed =
        client->args->given[OPTION_seed]
            ? (uint64_t)options->seed
            : (uint64_t)clock_wall_ms() ^ (uint64_t)clock_now_us();
    struct totals totals = {0};
    struct asker *askers;
    int64_t start_us;

    if (options->count < 1 || options->count > COUNT_MAX || options->ids < 1) {
        complain("--count is from 1 to %d, --ids from 1 on", COUNT_MAX);
        return STATUS_USAGE;
    }
    askers = xcalloc((size_t)options->count, sizeof(*askers));
    for (int64_t i = 0; i < options->count; i++) {
        askers[i].target = client->target;
        askers[i].timeout_us = options->timeout_us;
    }
    start_us = clock_now_us();
    run_rounds(options, askers, seed, &totals);
    show_totals(&totals, clock_now_us() - start_us);
    for (int64_t i = 0; i < options->count; i++) {
        session_close(askers[i].session);
    }
    free(askers);
    return totals.status;
}
