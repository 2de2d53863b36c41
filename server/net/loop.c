/* SPDX-License-Identifier: MIT */
/*
 *      loop_post() ─► [ channel of tasks ] ─► eventfd ─► base ─► run the tasks
 *                                             sockets ─►      ─► conn.c …
 *
 * The base is made without locks: nothing of libevent is called from another
 * thread.  Whoever wants something of a loop, even its end, sends it a task.
 */
#include "server/net/loop.h"

#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"

#include <event2/event.h>

#include <assert.h>

/* Tasks run before sockets get their turn again, so that tasks which post
 * tasks starve nobody.  Beyond any burst that is seen: ten thousand store
 * reads end in a few rounds. */
#define TASKS_PER_ROUND 4096

struct loop {
    struct event_base *base; /* Touched by the loop's thread only. */
    struct event *wakeup;    /* The channel's eventfd. */
    struct chan *tasks;      /* Unbounded; a send never waits. */
    void *attached;          /* conn.c's part, or NULL. */
    task_fn *close_attached;
    char *name;
    struct thread thread;
    bool has_thread; /* These two: the thread that made the loop. */
    bool stopped;
    bool closed;
};

/* The loop that the calling thread runs, or NULL. */
static _Thread_local const struct loop *current;

static void run_tasks(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct loop *loop = arg;
    struct task task;
    for (int i = 0; i < TASKS_PER_ROUND; i++) {
        if (chan_try_recv(chan_rx(loop->tasks), &task) != ERR_OK) {
            return;
        }
        task.run(task.arg);
    }
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

enum err loop_new(struct loop **loopp, const char *name)
{
    struct loop *loop = xcalloc(1, sizeof(*loop));
    loop->name = xstrdup(name);
    loop->tasks = chan_new(sizeof(struct task), CHAN_UNBOUNDED);
    loop->base = new_base();
    if (loop->base == NULL) {
        goto fail;
    }
    int fd = chan_event_fd(chan_rx(loop->tasks));
    if (fd < 0) {
        goto fail;
    }
    loop->wakeup =
        event_new(loop->base, fd, EV_READ | EV_PERSIST, run_tasks, loop);
    if (loop->wakeup == NULL || event_add(loop->wakeup, NULL) != 0) {
        goto fail;
    }
    *loopp = loop;
    return ERR_OK;

fail:
    log_error("loop: cannot be made name=%s", name);
    loop_free(loop);
    return ERR_SYSTEM;
}

void loop_run(struct loop *loop)
{
    const struct loop *outer = current;
    current = loop;
    if (event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
        log_error("loop: stopped by an error name=%s", loop->name);
    }
    current = outer;
}

static void run_thread(void *arg)
{
    loop_run(arg);
}

enum err loop_start(struct loop *loop)
{
    assert(!loop->has_thread && !loop->stopped);
    enum err err = thread_start(&loop->thread, loop->name, run_thread, loop);
    loop->has_thread = err == ERR_OK;
    return err;
}

static void break_here(void *arg)
{
    struct loop *loop = arg;
    event_base_loopbreak(loop->base);
}

void loop_break(struct loop *loop)
{
    /* A loop that is being freed has returned already. */
    (void)loop_post(loop, break_here, loop);
}

void loop_stop(struct loop *loop)
{
    if (loop->stopped) {
        return;
    }
    assert(!loop_is_current(loop));
    loop->stopped = true;
    if (loop->has_thread) {
        loop_break(loop);
        thread_join(&loop->thread);
        loop->has_thread = false;
    }
}

void loop_close(struct loop *loop)
{
    if (loop->closed) {
        return;
    }
    loop_stop(loop);
    loop->closed = true;
    chan_close(chan_tx(loop->tasks));

    const struct loop *outer = current;
    current = loop;
    struct task task;
    while (chan_recv(chan_rx(loop->tasks), &task)) {
        task.run(task.arg);
    }
    if (loop->attached != NULL) {
        loop->close_attached(loop->attached);
    }
    current = outer;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    loop_close(loop);
    if (loop->wakeup != NULL) {
        event_free(loop->wakeup);
    }
    if (loop->base != NULL) {
        event_base_free(loop->base);
    }
    chan_free(loop->tasks);
    free(loop->name);
    free(loop);
}

bool loop_post(struct loop *loop, task_fn *run, void *arg)
{
    return task_post(chan_tx(loop->tasks), run, arg);
}

struct chan_tx loop_home(struct loop *loop)
{
    return chan_tx(loop->tasks);
}

bool loop_is_current(const struct loop *loop)
{
    return current == loop;
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

void loop_attach(struct loop *loop, void *part, task_fn *close)
{
    assert(loop->attached == NULL && part != NULL);
    loop->attached = part;
    loop->close_attached = close;
}

void *loop_attached(const struct loop *loop)
{
    return loop->attached;
}
