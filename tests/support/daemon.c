/* SPDX-License-Identifier: MIT */
#include "tests/support/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/stress.h"

/* The first descriptor that a service manager passes. */
#define PASSED_FD 3

#define ARGS_MAX 32

static void log_path(const struct daemon *d, char *path, size_t size)
{
    snprintf(path, size, "%s/log", d->dir);
}

/* Shows what bookd said. */
static void show_log(const struct daemon *d)
{
    char path[512];
    char line[4096];

    log_path(d, path, sizeof path);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        fputs(line, stderr);
    }
    if (file != NULL) {
        fclose(file);
    }
}

static int listen_somewhere(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(listen(fd, 4096) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    *port = ntohs(at.sin_port);
    return fd;
}

/* In the child, with nothing to listen on if 'listener' is -1: then it is to do
 * 'task' instead. */
static void become_bookd(const struct daemon *d, int listener, const char *task,
                         const char *const *args)
{
    const char *build = getenv("BOOKD_BUILD");
    char program[1024];
    char path[512];
    char pid[32];
    const char *argv[ARGS_MAX + 6] = {program};
    size_t argc = 1;

    if (d->config != NULL) {
        argv[argc++] = d->config;
    }
    if (task != NULL) {
        argv[argc++] = task;
    }
    argv[argc++] = "--dir";
    argv[argc++] = d->dir;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* Of a test that failed, too. */
    snprintf(program, sizeof program, "%s/bookd", build == NULL ? "." : build);
    while (*args != NULL && argc < ARGS_MAX) {
        argv[argc++] = *args++;
    }
    log_path(d, path, sizeof path);
    const int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0) {
        _exit(127);
    }
    /* dup2() of a descriptor onto itself would leave it close-on-exec. */
    if (listener == PASSED_FD ? fcntl(listener, F_SETFD, 0) != 0
        : listener >= 0       ? dup2(listener, PASSED_FD) < 0
                              : false) {
        _exit(127);
    }
    if (task != NULL && dup2(log, STDOUT_FILENO) < 0) {
        _exit(127);
    }
    if (listener >= 0) {
        snprintf(pid, sizeof pid, "%ld", (long)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
    }
    if (d->notify != NULL) {
        setenv("NOTIFY_SOCKET", d->notify, 1);
    }
    execv(program, (char *const *)(uintptr_t)argv);
    fprintf(stderr, "cannot run %s: %s\n", program, strerror(errno));
    _exit(127);
}

void daemon_start(struct daemon *d, const char *const *args)
{
    if (d->dir[0] == '\0') {
        const char *base = getenv("TMPDIR");
        snprintf(d->dir, sizeof d->dir, "%s/bookd-XXXXXX",
                 base == NULL ? "/tmp" : base);
        CHECK(mkdtemp(d->dir) != NULL);
    }
    const int listener = listen_somewhere(&d->port);
    d->pid = fork();
    CHECK(d->pid >= 0);
    if (d->pid == 0) {
        become_bookd(d, listener, NULL, args);
    }
    close(listener);
}

void daemon_run(struct daemon *d, const char *task, const char *const *args)
{
    int status = -1;

    d->pid = fork();
    CHECK(d->pid >= 0);
    if (d->pid == 0) {
        become_bookd(d, -1, task, args);
    }
    CHECK(waitpid(d->pid, &status, 0) == d->pid);
    d->pid = 0;
    if (status != 0) {
        show_log(d);
        CHECK(!"bookd did what it was to do");
    }
}

/* True if a sanitizer or an assertion had something to say. */
static bool log_is_bad(const struct daemon *d)
{
    static const char *const bad[] = {"Sanitizer",
                                      "runtime error:", "Assertion"};
    char path[512];
    char line[4096];
    bool found = false;

    log_path(d, path, sizeof path);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    while (!found && fgets(line, sizeof line, file) != NULL) {
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            found = found || strstr(line, bad[i]) != NULL;
        }
    }
    fclose(file);
    return found;
}

/* Waits for the end of a bookd that was sent a signal. */
static int wait_end(struct daemon *d)
{
    int status = -1;

    CHECK(waitpid(d->pid, &status, 0) == d->pid);
    d->pid = 0;
    return status;
}

void daemon_stop(struct daemon *d)
{
    CHECK(kill(d->pid, SIGTERM) == 0);
    const int status = wait_end(d);
    if (status != 0 || log_is_bad(d)) {
        show_log(d);
        CHECK(!"bookd ended well");
    }
}

void daemon_remove(struct daemon *d)
{
    static const char *const names[] = {"log", "bookd.db", "bookd.db-wal",
                                        "bookd.db-shm"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", d->dir, names[i]);
        unlink(path);
    }
    rmdir(d->dir);
    d->dir[0] = '\0';
}

void daemon_kill(struct daemon *d)
{
    CHECK(kill(d->pid, SIGKILL) == 0);
    const int status = wait_end(d);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL || log_is_bad(d)) {
        show_log(d);
        CHECK(!"bookd lived until it was killed");
    }
}

void daemon_path(const struct daemon *d, const char *name, char *path,
                 size_t size)
{
    snprintf(path, size, "%s/%s", d->dir, name);
}

int daemon_try_connect(const struct daemon *d)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)d->port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = 60};
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        close(fd);
        return -1;
    }
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) ==
          0);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    return fd;
}

int daemon_connect(const struct daemon *d)
{
    const int fd = daemon_try_connect(d);

    if (fd < 0) {
        show_log(d);
        CHECK(!"connected");
    }
    return fd;
}

int64_t daemon_info(const struct daemon *d, const char *name)
{
    static const char request[] = "INFO\r\nQUIT\r\n";
    char text[16384];
    char line[128];
    size_t size = 0;
    ssize_t n;
    const int fd = daemon_connect(d);

    CHECK(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) ==
          (ssize_t)sizeof request - 1);
    while ((n = recv(fd, text + size, sizeof text - 1 - size, 0)) > 0) {
        size += (size_t)n;
    }
    close(fd);
    text[size] = '\0';
    snprintf(line, sizeof line, "\n%s:", name);
    const char *found = strstr(text, line);
    if (found == NULL) {
        show_log(d);
        log_fatal("INFO has no %s", name);
    }
    return strtoll(found + strlen(line), NULL, 10);
}

int64_t daemon_cpu_us(pid_t pid, int64_t *user_us)
{
    char path[64];
    char text[1024] = "";
    unsigned long long user;
    unsigned long long system;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK(fgets(text, sizeof text, file) != NULL);
    fclose(file);
    /* The name, in parentheses, may hold anything; counting begins behind. */
    const char *rest = strrchr(text, ')');
    CHECK(rest != NULL);
    CHECK(sscanf(rest + 2,
                 "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                 &system) == 2);
    const int64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);
    *user_us = (int64_t)user * tick_us;
    return (int64_t)(user + system) * tick_us;
}

void daemon_raise_files(void)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}
