/* SPDX-License-Identifier: MIT */
/*
 * WAIT: for replicas to have what was written.  There are none, so who waits for
 * any waits until he has had enough.
 *
 * Only the timer runs on another thread; it sends a task home.  Whichever comes
 * first, that task or the client's leaving, ends the request.
 */
#include "common/clock.h"
#include "common/task.h"
#include "common/timer.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/lookup/lookup.h"

/* Some three hundred years: a later end would overflow, and is none. */
#define FOREVER_MS (INT64_MAX / 1000000)

/* Lives with the request. */
struct waiting {
    struct timer timer;
    struct timers *timers;
    struct request *request;
    struct chan_tx home;
};

static void end(void *arg)
{
    struct request *r = arg;

    if (r->client != NULL) {
        reply_integer(&r->reply, 0);
    }
    request_finish(r);
}

/* On the timer's thread. */
static void on_time(struct timer *timer)
{
    struct waiting *w = container_of(timer, struct waiting, timer);

    (void)task_post(w->home, end, w->request);
}

/* True if it waits no more, false if its task is on its way. */
static bool stop_waiting(struct waiting *w)
{
    return w->timer.fire == NULL || timers_cancel(w->timers, &w->timer);
}

static void on_cancel(struct request *r)
{
    if (stop_waiting(r->state)) {
        request_finish(r);
    }
}

static void on_unblock(struct request *r, bool with_error)
{
    if (!stop_waiting(r->state)) {
        return;
    }
    if (with_error) {
        reply_error(&r->reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    } else {
        reply_integer(&r->reply, 0);
    }
    request_finish(r);
}

static bool timeout_arg(struct request *r, size_t i, int64_t *timeout_ms)
{
    if (!slice_to_int64(r->argv[i], timeout_ms)) {
        reply_error(&r->reply, "ERR timeout is not an integer or out of range");
        return false;
    }
    if (*timeout_ms < 0) {
        reply_error(&r->reply, "ERR timeout is negative");
        return false;
    }
    return true;
}

enum command_status cmd_wait(struct request *r)
{
    int64_t n_replicas;
    int64_t timeout_ms;

    if (!arg_integer(r, 1, &n_replicas) || !timeout_arg(r, 2, &timeout_ms)) {
        return COMMAND_DONE;
    }
    if (n_replicas <= 0 || r->execution != NULL) {
        reply_integer(&r->reply, 0);
        return COMMAND_DONE;
    }
    struct waiting *w = request_room(r, sizeof *w);
    if (w == NULL) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return COMMAND_DONE;
    }
    *w = (struct waiting){.timers =
                              lookup_parts(r->client->server->lookup)->timers,
                          .request = r,
                          .home = r->client->home};
    r->state = w;
    r->on_cancel = on_cancel;
    r->on_unblock = on_unblock;
    if (timeout_ms > 0 && timeout_ms < FOREVER_MS) {
        timers_add(w->timers, &w->timer, clock_now_us() + timeout_ms * 1000,
                   on_time);
    }
    return COMMAND_PENDING;
}
