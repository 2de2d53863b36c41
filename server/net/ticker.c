/* SPDX-License-Identifier: MIT */
#include "server/net/ticker.h"

#include "common/mem.h"
#include "server/net/loop.h"

#include <event2/event.h>

#include <assert.h>

struct ticker {
    struct event *event;
    task_fn *fn;
    void *arg;
};

static void tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct ticker *ticker = arg;
    ticker->fn(ticker->arg); /* May have cancelled: do not touch it again. */
}

struct ticker *loop_every(struct loop *loop, int64_t interval_us, task_fn *fn,
                          void *arg)
{
    assert(interval_us > 0);
    struct ticker *ticker = xmalloc(sizeof(*ticker));
    *ticker = (struct ticker){.fn = fn, .arg = arg};
    const struct timeval interval = {
        .tv_sec = interval_us / 1000000,
        .tv_usec = interval_us % 1000000,
    };
    ticker->event = event_new(loop_base(loop), -1, EV_PERSIST, tick, ticker);
    if (ticker->event == NULL || event_add(ticker->event, &interval) != 0) {
        ticker_cancel(ticker);
        return NULL;
    }
    return ticker;
}

void ticker_cancel(struct ticker *ticker)
{
    if (ticker == NULL) {
        return;
    }
    if (ticker->event != NULL) {
        event_free(ticker->event);
    }
    free(ticker);
}
