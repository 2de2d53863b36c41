/* SPDX-License-Identifier: MIT */
/*
 * A real bookd for tests and measurements in C, over a store of its own.
 *
 * The listening socket is made here and passed on as a service manager would,
 * so there is no port to collide over and nothing to wait for: who connects
 * before bookd serves waits in the kernel's queue.
 *
 * What goes wrong ends the program with the log of bookd.
 *
 * Thread-safety: one thread.
 */
#ifndef TESTS_SUPPORT_DAEMON_H
#define TESTS_SUPPORT_DAEMON_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct daemon {
    pid_t pid;
    int port;
    char dir[256];      /* Of the store and the log; removed by the end. */
    const char *notify; /* NOTIFY_SOCKET for it, or NULL. */
    const char *config; /* A configuration file, or NULL. */
};

/* Starts the bookd of BOOKD_BUILD with 'args', which NULL ends, in a new
 * directory; or, if 'd' was stopped or killed, in the same again. */
void daemon_start(struct daemon *d, const char *const *args);

/* Has the bookd of BOOKD_BUILD do 'task' ("--remove-change-feed") over the
 * store of 'd', and waits for it to end with status 0. */
void daemon_run(struct daemon *d, const char *task, const char *const *args);

/* SIGTERM; bookd must end with status 0 and with nothing said by a sanitizer.
 */
void daemon_stop(struct daemon *d);

/* SIGKILL, as near as a process comes to a power failure; it must have lived
 * until then. */
void daemon_kill(struct daemon *d);

/* The path of a file in the directory of 'd'. */
void daemon_path(const struct daemon *d, const char *name, char *path,
                 size_t size);

/* Removes what a stopped bookd left. */
void daemon_remove(struct daemon *d);

/* A connected blocking socket that gives up reads after a minute. */
int daemon_connect(const struct daemon *d);
/* The same of a bookd that may be gone: -1. */
int daemon_try_connect(const struct daemon *d);

/* A counter of INFO. */
int64_t daemon_info(const struct daemon *d, const char *name);

/* CPU time of bookd so far, user and system. */
int64_t daemon_cpu_us(pid_t pid, int64_t *user_us);

/* Lets this program, and the bookd it starts, have as many files as the
 * system allows. */
void daemon_raise_files(void);

#endif
