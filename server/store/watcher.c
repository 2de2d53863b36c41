/* SPDX-License-Identifier: MIT */
/*
 * When the thread looks, 't' being the time since somebody was last seen
 * writing:
 *
 *     woken ─► at once, but a millisecond after the last look
 *     else  ─► after t/8, from a millisecond up to a tenth of a second
 *
 * A commit becomes visible when the last of it is safe on the disk, which takes
 * as long as the disk needs and wakes nobody: looking at eighths of that time
 * finds it late by an eighth of it.  A database at rest costs ten looks a
 * second, one that is written to all the time at most a thousand.
 */
#include "server/store/watcher.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"

#define LOOK_MIN_US 1000
#define LOOK_MAX_US 100000
#define LOOK_SHARE 8

/* Where nothing wakes us: 200 looks a second, a thousandth of a core. */
#define POLL_US 5000

/* One look tells a thousand rows in a millisecond.  After so many in a row, a
 * copy of what is told last would be old for too long: all copies are given
 * up, and the rows are told for those who listen. */
#define LOOKS_TO_CATCH_UP 8

/* The writer answers within this time, unless it answers "no": that is not
 * told. */
#define ANSWER_US 200000

/* How long a store that closes waits until one file is left for another.  The
 * file is being written, or somebody reads it; the engine has to part with it
 * as it is then. */
#define STOP_US 2000000

enum feed_state { FEED_OK, FEED_POLLING, FEED_FAILING };

struct watcher {
    struct watcher_options with;
    struct engine_watch *watch;
    struct thread thread;
    bool stopped; /* Of the owner. */
    int wake;     /* An eventfd: 'stopping' or 'foreign' was set. */

    /* Set (release) before 'wake' is written to, looked at (acquire) after it
     * was read. */
    _Atomic bool stopping;
    _Atomic bool foreign;
    /* enum feed_state, for INFO; relaxed. */
    _Atomic int state;

    /* ---- of the thread ---- */
    int64_t looked_us;    /* When the last look began; clock_real_us(). */
    int64_t stirred_us;   /* When somebody was last seen writing. */
    int64_t asked_us;     /* When what the writer was asked about can have
                             begun; or INT64_MIN. */
    int64_t behind_us;    /* Since when what is left to tell may be there. */
    unsigned catching_up; /* Looks in a row that left more to tell. */
    int64_t stop_by_us;   /* Once it is stopped: the end of patience. */
    struct engine_sight sight; /* Of the last look. */
    struct buf detail;
};

/* ---- telling ---- */

static void tell_lag(struct watcher *w, int64_t since_us)
{
    const struct store_observer *observer = &w->with.observer;
    const int64_t lag_us = clock_real_us() - since_us;

    observer->lag(observer->arg, lag_us > 0 ? lag_us : 0);
}

/* Gives up the copies of every mapping, and of plain keys, of which 'covers'
 * says 'covered'; false if there are none. */
static bool tell_all(struct watcher *w, bool covered)
{
    const struct store_observer *observer = &w->with.observer;
    const struct engine *engine = w->with.engine;
    bool told = false;

    if (!covered && !engine->watch_covers(w->watch, NULL)) {
        /* There is no way to speak of plain keys alone. */
        observer->changed_all(observer->arg, NULL);
        return true;
    }
    for (size_t i = 0; i < w->with.mappings->count; i++) {
        const struct mapping *mapping = &w->with.mappings->list[i];
        if (engine->watch_covers(w->watch, mapping) == covered) {
            observer->changed_all(observer->arg, mapping);
            told = true;
        }
    }
    return told;
}

/* The writer has found somebody else's commit: because he was asked, or before
 * that; perhaps one that is told already. */
static void tell_foreign(struct watcher *w)
{
    const bool was_asked = w->asked_us >= w->looked_us - ANSWER_US;

    if (tell_all(w, false)) {
        tell_lag(w, was_asked ? w->asked_us : w->looked_us);
    }
    w->asked_us = INT64_MIN;
}

/* ---- looking ---- */

static void set_state(struct watcher *w, enum feed_state state)
{
    const int before =
        atomic_exchange_explicit(&w->state, (int)state, memory_order_relaxed);

    if (before == (int)state) {
        return;
    }
    switch (state) {
    case FEED_OK:
        log_info("watcher: changes by others are seen again");
        break;
    case FEED_POLLING:
        log_warn("watcher: nothing wakes it, it looks every %d ms",
                 POLL_US / 1000);
        break;
    case FEED_FAILING:
        log_error("watcher: changes by others cannot be seen, copies are good "
                  "until max-age detail=\"%s\"",
                  buf_string(&w->detail));
        break;
    }
}

/* The earliest moment at which what this look found can have been there. */
static int64_t since(const struct watcher *w, int64_t last_look_us)
{
    if (w->catching_up > 0) {
        return w->behind_us;
    }
    return w->sight.since_us > last_look_us ? w->sight.since_us : last_look_us;
}

static void tell_sight(struct watcher *w, int64_t last_look_us)
{
    const struct engine_sight *sight = &w->sight;
    const struct store_observer *observer = &w->with.observer;
    const int64_t since_us = since(w, last_look_us);

    if (sight->anew) {
        observer->changed_all(observer->arg, NULL);
    }
    if ((sight->foreign && tell_all(w, false)) || sight->anew ||
        sight->n_told > 0) {
        tell_lag(w, since_us);
    }
    if (sight->ask) {
        w->asked_us = sight->changed ? since_us : INT64_MIN;
        w->with.ask(w->with.arg);
    }
    w->behind_us = since_us;
    w->catching_up = sight->more ? w->catching_up + 1 : 0;
    if (w->catching_up == LOOKS_TO_CATCH_UP) {
        (void)tell_all(w, true);
    }
}

static void look(struct watcher *w)
{
    const struct engine *engine = w->with.engine;
    const int64_t last_look_us = w->looked_us;

    buf_clear(&w->detail);
    w->sight = (struct engine_sight){.since_us = INT64_MIN};
    w->looked_us = clock_real_us();
    const enum err err =
        engine->watch_look(w->watch, &w->with.observer, &w->sight, &w->detail);
    if (w->sight.stirred) {
        w->stirred_us = w->looked_us;
    }
    tell_sight(w, last_look_us);
    set_state(w, err != ERR_OK                            ? FEED_FAILING
                 : engine->watch_descriptor(w->watch) < 0 ? FEED_POLLING
                                                          : FEED_OK);
    if (err != ERR_OK) {
        w->looked_us = last_look_us; /* Nothing is known since then. */
    }
}

/* ---- resting ---- */

static int64_t interval_us(const struct watcher *w, int64_t now_us)
{
    const int64_t share_us = (now_us - w->stirred_us) / LOOK_SHARE;

    switch (atomic_load_explicit(&w->state, memory_order_relaxed)) {
    case FEED_FAILING:
        return LOOK_MAX_US;
    case FEED_POLLING:
        return POLL_US;
    default:
        return share_us < LOOK_MIN_US   ? LOOK_MIN_US
               : share_us > LOOK_MAX_US ? LOOK_MAX_US
                                        : share_us;
    }
}

/* Sleeps for 'us', or until the engine's descriptor (if not -1) or our own is
 * readable; true if it is our own. */
static bool sleep_on(struct watcher *w, int descriptor, int64_t us)
{
    const struct timespec timeout = {.tv_sec = us / 1000000,
                                     .tv_nsec = us % 1000000 * 1000};
    struct pollfd fds[] = {{.fd = w->wake, .events = POLLIN},
                           {.fd = descriptor, .events = POLLIN}};
    uint64_t count;

    if (ppoll(fds, ARRAY_LEN(fds), &timeout, NULL) <= 0 ||
        fds[0].revents == 0) {
        return false;
    }
    return read(w->wake, &count, sizeof count) == (ssize_t)sizeof count;
}

static void rest(struct watcher *w)
{
    const int64_t interval = interval_us(w, clock_real_us());

    if (w->sight.more || sleep_on(w, -1, LOOK_MIN_US) ||
        interval <= LOOK_MIN_US) {
        return;
    }
    (void)sleep_on(w, w->with.engine->watch_descriptor(w->watch),
                   interval - LOOK_MIN_US);
}

/* After a look: was it the last? */
static bool is_over(struct watcher *w, bool stopping)
{
    const int64_t now_us = clock_real_us();

    if (stopping && w->stop_by_us == 0) {
        w->stop_by_us = now_us + STOP_US;
    }
    return stopping && (!w->sight.leaving || now_us >= w->stop_by_us);
}

/* The last look is after the stop: a store that closes writes to its file once
 * more, and must not if that has become another's. */
static void run(void *arg)
{
    struct watcher *w = arg;
    bool stopping = false;

    while (true) {
        stopping = atomic_load_explicit(&w->stopping, memory_order_acquire);
        if (atomic_exchange_explicit(&w->foreign, false,
                                     memory_order_acquire)) {
            tell_foreign(w);
        }
        look(w);
        if (is_over(w, stopping)) {
            break;
        }
        rest(w);
    }
}

static void wake(struct watcher *w)
{
    const uint64_t one = 1;

    /* Fails only when it is readable anyway. */
    (void)!write(w->wake, &one, sizeof one);
}

/* ---- the interface ---- */

void watcher_foreign_commit(struct watcher *w)
{
    atomic_store_explicit(&w->foreign, true, memory_order_release);
    wake(w);
}

static void destroy(struct watcher *w)
{
    if (w->wake >= 0) {
        close(w->wake);
    }
    buf_destroy(&w->detail);
    free(w);
}

enum err watcher_open(struct watcher **watcherp,
                      const struct watcher_options *options, struct buf *detail)
{
    struct watcher *w = xmalloc(sizeof *w);
    const int64_t now_us = clock_real_us();

    *w = (struct watcher){.with = *options,
                          .looked_us = now_us,
                          .stirred_us = now_us,
                          .asked_us = INT64_MIN,
                          .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    enum err err = w->wake < 0 ? ERR_SYSTEM : ERR_OK;
    if (err != ERR_OK) {
        buf_printf(detail, "no eventfd: %s", strerror(errno));
    }
    if (err == ERR_OK) {
        err = options->engine->watch_open(options->database, &w->watch, detail);
    }
    if (err == ERR_OK) {
        err = thread_start(&w->thread, "store-watcher", run, w);
        if (err != ERR_OK) {
            buf_append_string(detail, "cannot start the store's watcher");
        }
    }
    if (err != ERR_OK) {
        if (w->watch != NULL) {
            options->engine->watch_close(w->watch);
        }
        destroy(w);
        return err;
    }
    *watcherp = w;
    return ERR_OK;
}

void watcher_stop(struct watcher *w)
{
    if (!w->stopped) {
        w->stopped = true;
        atomic_store_explicit(&w->stopping, true, memory_order_release);
        wake(w);
        thread_join(&w->thread);
        w->with.engine->watch_close(w->watch);
    }
}

void watcher_close(struct watcher *w)
{
    if (w != NULL) {
        watcher_stop(w);
        destroy(w);
    }
}

void watcher_describe(const struct watcher *w, struct buf *out)
{
    static const char *const states[] = {[FEED_OK] = "ok",
                                         [FEED_POLLING] = "polling",
                                         [FEED_FAILING] = "failing"};

    buf_printf(out, "feed:%s\r\n",
               states[atomic_load_explicit(&w->state, memory_order_relaxed)]);
}
