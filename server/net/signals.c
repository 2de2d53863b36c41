/* SPDX-License-Identifier: MIT */
#include "server/net/signals.h"

#include "common/mem.h"
#include "server/net/loop.h"

#include <event2/event.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct signals {
    int fd;
    struct event *event;
    sigset_t before; /* The thread's mask before we came. */
    void (*fn)(int signo, void *arg);
    void *arg;
};

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct signals *signals = arg;
    struct signalfd_siginfo info;
    /* One at a time: 'fn' may close 'signals'.  The fd stays readable. */
    if (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        signals->fn((int)info.ssi_signo, signals->arg);
    }
}

struct signals *signals_watch(struct loop *loop, const int *signals, size_t n,
                              void (*fn)(int signo, void *arg), void *arg)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < n; i++) {
        sigaddset(&set, signals[i]);
    }
    struct signals *s = xmalloc(sizeof(*s));
    *s = (struct signals){.fd = -1, .fn = fn, .arg = arg};
    signal(SIGPIPE, SIG_IGN);
    int error = pthread_sigmask(SIG_BLOCK, &set, &s->before);
    if (error != 0) {
        free(s);
        errno = error;
        return NULL;
    }
    s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->fd >= 0) {
        s->event = event_new(loop_base(loop), s->fd, EV_READ | EV_PERSIST,
                             on_signal, s);
    }
    if (s->event == NULL || event_add(s->event, NULL) != 0) {
        error = errno;
        signals_close(s);
        errno = error;
        return NULL;
    }
    return s;
}

void signals_close(struct signals *signals)
{
    if (signals == NULL) {
        return;
    }
    if (signals->event != NULL) {
        event_free(signals->event);
    }
    if (signals->fd >= 0) {
        close(signals->fd);
    }
    pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
    free(signals);
}
