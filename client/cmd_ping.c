/* SPDX-License-Identifier: MIT */
/*
 * ping: does bookd answer, and how fast.
 *
 * With --wait it asks again until the time is over.  A listening socket sends
 * no event to those who wait for it to appear, on this machine or another, so
 * this is the one place that pauses: 10 ms at first, twice as long each time,
 * 200 ms at most.
 */
#include "client/client.h"
#include "client/print.h"
#include "common/clock.h"

#include <poll.h>

#define PAUSE_FIRST_US 10000
#define PAUSE_MAX_US 200000

/* One attempt: connects, sends PING, measures the answer. */
static enum status ping(const struct client *client, int64_t timeout_us,
                        int64_t *took_us, struct buf *why)
{
    struct session *session = NULL;
    struct reply *reply = NULL;
    enum status status;
    int64_t start_us;

    status = session_open(&session, client->target, timeout_us, why);
    if (status != STATUS_OK) {
        return status;
    }
    start_us = clock_now_us();
    reply = session_ask(session, "PING", NULL);
    *took_us = clock_now_us() - start_us;
    if (reply == NULL) {
        buf_append_string(why, session_error(session));
        status = STATUS_CONNECTION;
    } else if (reply_kind(reply) == REPLY_ERROR) {
        buf_printf(why, "%s answered: ", session_place(session));
        buf_append_slice(why, reply_text(reply));
        status = STATUS_SERVER;
    }
    reply_free(reply);
    session_close(session);
    return status;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Attempts until one succeeds or 'wait_us' is over; an attempt takes no longer
 * than what is left. */
static enum status ping_until(const struct client *client, int64_t wait_us,
                              int64_t *took_us, struct buf *why)
{
    const int64_t timeout_us = client->args->options.timeout_us;
    const int64_t deadline_us = clock_now_us() + wait_us;
    int64_t pause_us = PAUSE_FIRST_US;
    int64_t left_us = wait_us;

    for (;;) {
        enum status status;

        buf_clear(why);
        status =
            ping(client,
                 timeout_us > 0 && timeout_us < left_us ? timeout_us : left_us,
                 took_us, why);
        left_us = deadline_us - clock_now_us();
        if (status != STATUS_CONNECTION || left_us <= 0) {
            return status;
        }
        (void)poll(NULL, 0, (int)(smaller(pause_us, left_us) / 1000) + 1);
        pause_us = smaller(pause_us * 2, PAUSE_MAX_US);
        left_us = deadline_us - clock_now_us();
        left_us = left_us > PAUSE_FIRST_US ? left_us : PAUSE_FIRST_US;
    }
}

enum status command_ping(struct client *client)
{
    const struct options *options = &client->args->options;
    struct buf why = {0};
    struct buf line = {0};
    int64_t took_us = 0;
    enum status status;

    status = options->wait_us > 0
                 ? ping_until(client, options->wait_us, &took_us, &why)
                 : ping(client, options->timeout_us, &took_us, &why);
    if (status != STATUS_OK) {
        complain("%s", buf_string(&why));
    } else if (options->json) {
        buf_printf(&line, "{\"ms\":%.3f}\n", (double)took_us / 1000);
    } else {
        target_describe(client->target, &line);
        buf_printf(&line, " answered in %.3f ms\n", (double)took_us / 1000);
    }
    print_write(stdout, &line);
    buf_destroy(&line);
    buf_destroy(&why);
    return status;
}
