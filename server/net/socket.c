/* SPDX-License-Identifier: MIT */
#include "server/net/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Unread input thrown away by a goodbye: what a socket usually holds. */
#define GOODBYE_READS 16
#define GOODBYE_READ_BYTES 16384

/* Probes without an answer until the kernel gives a peer up, as Redis. */
#define KEEPALIVE_PROBES 3

void socket_format(const struct sockaddr *address, size_t address_size,
                   char *text, size_t text_size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const void *raw = address;
    switch (address->sa_family) {
    case AF_INET: {
        const struct sockaddr_in *in = raw;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(text, text_size, "%s:%d", host, ntohs(in->sin_port));
        break;
    }
    case AF_INET6: {
        const struct sockaddr_in6 *in6 = raw;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(text, text_size, "[%s]:%d", host, ntohs(in6->sin6_port));
        break;
    }
    case AF_UNIX: {
        const struct sockaddr_un *un = raw;
        size_t path_size =
            address_size - offsetof(struct sockaddr_un, sun_path);
        snprintf(text, text_size, "%.*s:0", (int)path_size, un->sun_path);
        break;
    }
    default:
        snprintf(text, text_size, "?:0");
    }
}

void socket_names(int fd, char *peer, char *local, size_t text_size)
{
    struct sockaddr_storage address;
    struct sockaddr *raw = (struct sockaddr *)&address;
    socklen_t size = sizeof(address);
    snprintf(local, text_size, "?:0");
    if (getsockname(fd, raw, &size) == 0) {
        socket_format(raw, size, local, text_size);
    }
    size = sizeof(address);
    if (getpeername(fd, raw, &size) == 0 && size > sizeof(sa_family_t)) {
        socket_format(raw, size, peer, text_size);
    } else {
        snprintf(peer, text_size, "%s", local);
    }
}

bool socket_is_unix(int fd)
{
    int domain = 0;
    socklen_t size = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           domain == AF_UNIX;
}

static bool is_loopback4(uint32_t address)
{
    return ntohl(address) >> 24 == 127;
}

bool socket_is_local(int fd)
{
    struct sockaddr_storage address;
    const void *raw = &address;
    socklen_t size = sizeof(address);

    if (getpeername(fd, (struct sockaddr *)&address, &size) != 0) {
        return false;
    }
    switch (address.ss_family) {
    case AF_UNIX:
        return true;
    case AF_INET: {
        const struct sockaddr_in *in = raw;
        return is_loopback4(in->sin_addr.s_addr);
    }
    case AF_INET6: {
        const struct in6_addr *in6 =
            &((const struct sockaddr_in6 *)raw)->sin6_addr;
        uint32_t last;
        memcpy(&last, &in6->s6_addr[12], sizeof(last));
        return IN6_IS_ADDR_LOOPBACK(in6) ||
               (IN6_IS_ADDR_V4MAPPED(in6) && is_loopback4(last));
    }
    default:
        return false;
    }
}

void socket_tune(int fd, int64_t keepalive_us)
{
    const int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
        return; /* Not TCP. */
    }
    if (keepalive_us <= 0) {
        return;
    }
    /* The kernel takes seconds: 1 to 32767. */
    int64_t seconds = keepalive_us / 1000000;
    const int idle = seconds < 1 ? 1 : seconds > 32767 ? 32767 : (int)seconds;
    const int interval = idle < 3 ? 1 : idle / 3;
    const int probes = KEEPALIVE_PROBES;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

void socket_hang_up(int fd)
{
    char ignored[GOODBYE_READ_BYTES];
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < GOODBYE_READS; i++) {
        if (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) <= 0) {
            break;
        }
    }
    close(fd);
}
