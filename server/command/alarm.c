/* SPDX-License-Identifier: MIT */
/*
 * The timer fires on the timers' thread, and only sends the alarm home.  Who
 * cancels the timer in time takes its place; otherwise the task that is on its
 * way ends the request.
 */
#include "server/command/alarm.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/task.h"
#include "common/timer.h"
#include "server/command/parts.h"

#include <assert.h>

struct alarm {
    struct timer timer;
    struct timers *timers;
    struct chan_tx home;
    struct request *request;
    alarm_fn *woken;
};

/* On the loop. */
static void ring(void *arg)
{
    struct alarm *alarm = arg;
    struct request *request = alarm->request;

    if (request->client != NULL) {
        alarm->woken(request);
    }
    free(alarm);
    request_finish(request);
}

static void fire(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);

    if (!task_post(alarm->home, ring, alarm)) {
        free(alarm); /* The loop has stopped, and the request with it. */
    }
}

static void cancel(struct request *request)
{
    (void)alarm_wake(request, NULL);
}

enum command_status alarm_set(struct request *request, int64_t delay_us,
                              alarm_fn *woken)
{
    struct client *client = request->client;
    struct alarm *alarm = xcalloc(1, sizeof *alarm);
    int64_t due_us;

    assert(request->execution == NULL);
    if (__builtin_add_overflow(clock_now_us(), delay_us, &due_us)) {
        due_us = INT64_MAX;
    }
    alarm->timers = client->server->timers;
    alarm->home = client->home;
    alarm->request = request;
    alarm->woken = woken;
    request->state = alarm;
    request->on_cancel = cancel;
    timers_add(alarm->timers, &alarm->timer, due_us, fire);
    return COMMAND_PENDING;
}

bool alarm_wake(struct request *request, alarm_fn *woken)
{
    struct alarm *alarm = request->state;

    /* Once the timer has fired the alarm is on its way here. */
    if (!timers_cancel(alarm->timers, &alarm->timer)) {
        return false;
    }
    if (woken != NULL) {
        alarm->woken = woken;
    }
    ring(alarm);
    return true;
}
