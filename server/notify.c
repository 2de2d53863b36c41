/* SPDX-License-Identifier: MIT */
#include "server/notify.h"

#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address;
static socklen_t address_size; /* 0: nobody listens. */
static int64_t watchdog_us;

static void read_socket(void)
{
    const char *path = getenv("NOTIFY_SOCKET");

    if (path == NULL || path[0] == '\0') {
        return;
    }
    const size_t size = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || size >= sizeof address.sun_path) {
        log_warn("notify: NOTIFY_SOCKET is no unix socket address");
        return;
    }
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* The abstract namespace. */
    }
    address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

static void read_watchdog(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");

    if (usec != NULL && (pid == NULL || atol(pid) == (long)getpid())) {
        watchdog_us = atoll(usec);
    }
}

void notify_init(void)
{
    read_socket();
    read_watchdog();
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

int64_t notify_watchdog_us(void)
{
    return watchdog_us;
}

void notify_send(const char *format, ...)
{
    char text[512];
    va_list args;

    if (address_size == 0) {
        return;
    }
    va_start(args, format);
    const int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof text) {
        return;
    }
    const int fd =
        socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1 ||
        sendto(fd, text, (size_t)size, MSG_NOSIGNAL,
               (const struct sockaddr *)&address, address_size) == -1) {
        log_warn("notify: cannot tell the service manager err=%s",
                 strerror(errno));
    }
    if (fd != -1) {
        close(fd);
    }
}
