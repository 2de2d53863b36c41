/* SPDX-License-Identifier: MIT */
/*
 * Starting a thread: its name and signal mask are settled before its function
 * runs.
 */
#include "common/thread.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"

#define NAME_SIZE 16 /* The kernel's limit, NUL included: prctl(2). */

/* What the new thread is told; it frees it. */
struct start {
    thread_fn *fn;
    void *arg;
    char name[NAME_SIZE];
};

static void *run(void *arg)
{
    const struct start start = *(struct start *)arg;

    free(arg);
    /* The name is for people; a thread without one works as well. */
    (void)pthread_setname_np(pthread_self(), start.name);
    start.fn(start.arg);
    return NULL;
}

/* All signals but those an instruction of the thread itself raises: blocking
 * these would only take the fault report from the sanitizers. */
static void fill_blocked(sigset_t *set)
{
    static const int own[] = {SIGSEGV, SIGBUS,  SIGFPE,
                              SIGILL,  SIGTRAP, SIGABRT};

    (void)sigfillset(set);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        (void)sigdelset(set, own[i]);
    }
}

static enum err create(pthread_t *raw, const char *name, thread_fn *fn,
                       void *arg, bool detached)
{
    struct start *const start = xmalloc(sizeof(*start));
    pthread_attr_t attr;
    sigset_t blocked;
    sigset_t before;

    *start = (struct start){.fn = fn, .arg = arg};
    (void)snprintf(start->name, sizeof(start->name), "%s", name);
    fill_blocked(&blocked);

    if (pthread_attr_init(&attr) != 0) {
        log_fatal("thread: no attributes for a thread name=%s", name);
    }
    (void)pthread_attr_setdetachstate(
        &attr, detached ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE);
    /* A thread inherits the mask of its maker, so no signal finds it unblocked
     * even at its very first instruction. */
    (void)pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const int error = pthread_create(raw, &attr, run, start);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);

    if (error != 0) {
        free(start);
        return ERR_SYSTEM;
    }
    return ERR_OK;
}

enum err thread_start(struct thread *t, const char *name, thread_fn *fn,
                      void *arg)
{
    return create(&t->raw, name, fn, arg, false);
}

enum err thread_start_detached(const char *name, thread_fn *fn, void *arg)
{
    pthread_t raw;

    return create(&raw, name, fn, arg, true);
}

void thread_join(struct thread *t)
{
    if (pthread_equal(t->raw, pthread_self())) {
        log_fatal("thread: a thread would wait for itself");
    }
    const int error = pthread_join(t->raw, NULL);

    if (error != 0) {
        log_fatal("thread: join failed: %s", strerror(error));
    }
}
