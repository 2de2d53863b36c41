/* SPDX-License-Identifier: MIT */
/*
 * Any bytes, as what a client sends: whatever they are, bookd lives, leaks
 * nothing, and answers each request with one well-formed reply, in the
 * protocol that the client has chosen.
 *
 *     bytes ─► resp_parse ─► command_find, command_run ─► reply ─► parsed back
 *
 * over a whole lookup and a store in memory.  The first byte chooses where to
 * begin: bit 0 is RESP3, bits 1 and 2 how plain keys are written.  The rest is
 * what the client sends.  Time stands still but for requests that wait for it.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/task.h"
#include "server/resp/parse.h"
#include "tests/support/fake_client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                      \
    do {                                                        \
        if (!(condition)) {                                     \
            fprintf(stderr, "fuzz_dispatch: %s\n", #condition); \
            abort();                                            \
        }                                                       \
    } while (0)

/* Small, so that a fuzzer reaches them. */
static const struct resp_limits limits = {
    .max_args = 64,
    .max_bulk_bytes = 4096,
    .max_inline_bytes = 1024,
    .max_command_bytes = 8192,
};

/* ---- replies, parsed back ---- */

/* Deeper than any reply nests. */
#define DEPTH_MAX 16

/* Takes a line's end; returns its length, or requires one. */
static size_t line_size(struct slice in)
{
    const char *end = memchr(in.data, '\n', in.size);

    REQUIRE(end != NULL && end > in.data && end[-1] == '\r');
    return (size_t)(end - in.data) - 1;
}

static long number(struct slice line)
{
    int64_t n;

    REQUIRE(slice_to_int64(line, &n));
    return (long)n;
}

static size_t value_size(struct slice in, int protocol, int depth);

static size_t aggregate_size(struct slice in, size_t used, long n, int protocol,
                             int depth)
{
    REQUIRE(n >= 0 && depth < DEPTH_MAX);
    for (long i = 0; i < n; i++) {
        used += value_size(slice_make(in.data + used, in.size - used), protocol,
                           depth + 1);
    }
    return used;
}

/* The bytes of the value that 'in' begins with. */
static size_t value_size(struct slice in, int protocol, int depth)
{
    REQUIRE(in.size >= 3);
    const size_t size = line_size(in);
    const struct slice rest = slice_make(in.data + 1, size - 1);
    const size_t used = size + 2;

    switch (in.data[0]) {
    case '+':
    case '-':
        REQUIRE(memchr(rest.data, '\r', rest.size) == NULL);
        return used;
    case ':':
        (void)number(rest);
        return used;
    case '=':
    case '$': {
        const long n = number(rest);
        REQUIRE(in.data[0] == '$' || protocol == 3);
        if (n == -1 && protocol == 2) {
            return used;
        }
        REQUIRE(n >= 0 && in.size - used >= (size_t)n + 2);
        REQUIRE(memcmp(in.data + used + n, "\r\n", 2) == 0);
        return used + (size_t)n + 2;
    }
    case '*':
        if (protocol == 2 && slice_equal(rest, SLICE("-1"))) {
            return used;
        }
        return aggregate_size(in, used, number(rest), protocol, depth);
    case '|': { /* An attribute, and what it is about. */
        REQUIRE(protocol == 3);
        const size_t all =
            aggregate_size(in, used, 2 * number(rest), protocol, depth);
        return all + value_size(slice_make(in.data + all, in.size - all),
                                protocol, depth);
    }
    case '%':
        REQUIRE(protocol == 3);
        return aggregate_size(in, used, 2 * number(rest), protocol, depth);
    case '~':
    case '>':
        REQUIRE(protocol == 3);
        return aggregate_size(in, used, number(rest), protocol, depth);
    case ',':
    case '#':
    case '_':
    case '(':
        REQUIRE(protocol == 3);
        return used;
    default:
        REQUIRE(!"a known type");
        return 0;
    }
}

/* How many values 'text' is; none may be left half. */
static size_t count_values(struct slice text, int protocol)
{
    size_t n = 0;

    while (text.size > 0) {
        const size_t used = value_size(text, protocol, 0);
        text = slice_make(text.data + used, text.size - used);
        n++;
    }
    return n;
}

/* ---- requests ---- */

/* Answers a value for each channel. */
static bool answers_many(const struct command *command)
{
    return command != NULL && strstr(command->name, "subscribe") != NULL;
}

/* Or not: CLIENT REPLY OFF. */
static bool answers_nothing(const struct command *command)
{
    return command != NULL && strcmp(command->name, "client|reply") == 0;
}

/* Time passes in larger and larger steps, up to this: three years. */
#define STEP_MAX_US INT64_C(100000000000000)
/* Real time after which a request is stuck, however busy the machine. */
#define PATIENCE_US 20000000

/* Runs what comes home until 'request' is finished.  If nothing comes, it waits
 * for time to pass; what would wait for ever (WAIT 1 0) is unblocked. */
static void finish(struct fixture *f, struct request *request)
{
    struct task task;
    struct pollfd home = {.fd = chan_event_fd(chan_rx(f->home)),
                          .events = POLLIN};

    int64_t step_us = 1000;
    const int64_t end_us = clock_real_us() + PATIENCE_US;

    while (!request->finished) {
        if (chan_try_recv(chan_rx(f->home), &task) == ERR_OK) {
            task.run(task.arg);
        } else if (poll(&home, 1, 2) == 0) {
            clock_advance(step_us);
            if (step_us < STEP_MAX_US) {
                step_us *= 2;
            } else if (request->on_unblock != NULL) {
                request->on_unblock(request, false);
            }
            REQUIRE(clock_real_us() < end_us);
        }
    }
}

static void run_one(struct fixture *f, struct fake_client *c,
                    const struct resp_parser *parser)
{
    const int protocol = c->client.protocol;
    struct request *request =
        fake_client_begin_args(c, parser->argv, parser->argc);
    const struct command *command = request->command;

    finish(f, request);
    const int protocol_now = c->client.protocol;
    fake_client_take(c, request);
    /* HELLO and RESET answer in the protocol that they choose. */
    const size_t n =
        count_values(buf_slice(&c->text),
                     protocol != protocol_now ? protocol_now : protocol);
    if (answers_many(command)) {
        REQUIRE(n >= 1);
    } else {
        REQUIRE(n == 1 || (n == 0 && (c->client.close_after_reply ||
                                      answers_nothing(command))));
    }
    (void)count_values(buf_slice(&c->pushed), protocol);
    buf_clear(&c->pushed);
}

static void run(struct fixture *f, struct fake_client *c, struct slice input)
{
    enum resp_status status = RESP_COMMAND;
    struct resp_parser parser;

    resp_parser_init(&parser);
    while (input.size > 0 && !c->client.close_after_reply && !c->stopped) {
        status = resp_parse(&parser, &limits, input);
        if (status == RESP_COMMAND) {
            run_one(f, c, &parser);
        }
        if (status != RESP_COMMAND && status != RESP_NOTHING) {
            break;
        }
        input = slice_make(input.data + parser.used_bytes,
                           input.size - parser.used_bytes);
    }
    resp_parser_destroy(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const ways[] = {
        "plain-writes through", "plain-writes behind", "plain-writes none",
        "record-writes behind"};
    const char *directives[] = {"store-threads 1",
                                "enable-simulate-command yes",
                                "enable-debug-command yes", NULL, NULL};

    if (size == 0) {
        return 0;
    }
    directives[3] = ways[data[0] >> 1 & 3];
    log_set_level(LOG_LEVEL_ERROR);
    clock_set_manual(1000000);
    struct fixture *f = fixture_new(directives);
    fake_store_set_book(f->fake, "3", "A Tale of Two Cities", "Charles Dickens",
                        "1859");
    struct fake_client *c = fake_client_new(f, (data[0] & 1) != 0 ? 3 : 2);
    run(f, c, slice_make((const char *)data + 1, size - 1));
    fake_client_free(c);
    fixture_free(f);
    clock_set_real();
    return 0;
}
