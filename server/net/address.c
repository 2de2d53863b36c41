/* SPDX-License-Identifier: MIT */
#include "server/net/address.h"

#include "common/log.h"
#include "common/mem.h"
#include "server/net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_FLAGS (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)

/* The first descriptor a service manager passes.  Source: sd_listen_fds(3). */
#define INHERITED_FIRST 3

static struct address *add(struct addresses *list, int fd)
{
    list->items = xrealloc(list->items, (list->n + 1) * sizeof(*list->items));
    struct address *address = &list->items[list->n++];
    *address = (struct address){.fd = fd};
    return address;
}

static enum err err_from_errno(int error)
{
    switch (error) {
    case EADDRINUSE:
        return ERR_ADDRESS_IN_USE;
    case EACCES:
    case EPERM:
        return ERR_PERMISSION;
    default:
        return ERR_SYSTEM;
    }
}

/* ---- inherited ---- */

/* Reads a decimal number of the environment; -1 when there is none. */
static int64_t number_from_env(const char *name)
{
    const char *text = getenv(name);
    int64_t value;
    return text != NULL && slice_to_int64(slice_from_string(text), &value)
               ? value
               : -1;
}

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t size = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

enum err addresses_inherit(struct addresses *list, struct buf *detail)
{
    int64_t pid = number_from_env("LISTEN_PID");
    int64_t n = number_from_env("LISTEN_FDS");
    /* They are meant for us only, not for what we may start. */
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (pid != getpid() || n <= 0) {
        return ERR_OK;
    }
    if (n > INT16_MAX) {
        buf_printf(detail, "LISTEN_FDS=%lld is not a number of sockets",
                   (long long)n);
        return ERR_INVALID;
    }
    for (int fd = INHERITED_FIRST; fd < INHERITED_FIRST + (int)n; fd++) {
        if (socket_option(fd, SO_ACCEPTCONN) != 1 ||
            socket_option(fd, SO_TYPE) != SOCK_STREAM) {
            buf_printf(detail,
                       "descriptor %d of LISTEN_FDS is no listening stream "
                       "socket; use ListenStream= in the socket unit",
                       fd);
            return ERR_INVALID;
        }
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        add(list, fd);
    }
    return ERR_OK;
}

/* ---- TCP ---- */

static void say_why(struct buf *detail, int error, const char *host, int port)
{
    if (error == EADDRINUSE) {
        buf_printf(detail,
                   "port %d on %s is in use by another program; choose "
                   "another with --port",
                   port, host);
    } else if (error == EADDRNOTAVAIL) {
        buf_printf(detail,
                   "address %s is not one of this machine; correct 'bind', "
                   "or write -%s if it may be missing",
                   host, host);
    } else if (error == EACCES) {
        buf_printf(detail,
                   "no permission for port %d on %s; choose one above 1023 "
                   "with --port",
                   port, host);
    } else {
        buf_printf(detail, "cannot listen on port %d of %s: %s", port, host,
                   strerror(error));
    }
}

/* The machine does not have this address, or not this kind of address. */
static bool is_missing(int error)
{
    return error == EADDRNOTAVAIL || error == EAFNOSUPPORT ||
           error == EPROTONOSUPPORT;
}

/* Returns the listening socket, or -1 with errno. */
static int listen_at(const struct addrinfo *at, int backlog)
{
    const int on = 1;
    int fd = socket(at->ai_family, SOCKET_FLAGS, 0);
    if (fd < 0) {
        return -1;
    }
    /* IPv6 means IPv6: "*" and "::*" together must not collide. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (at->ai_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
        bind(fd, at->ai_addr, at->ai_addrlen) == 0 &&
        listen(fd, backlog) == 0) {
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* 'host' is one word of 'bind'. */
static enum err open_host(struct addresses *list, const char *host, int port,
                          int backlog, struct buf *detail)
{
    bool optional = host[0] == '-';
    host += optional ? 1 : 0;
    const char *name = strcmp(host, "*") == 0     ? "0.0.0.0"
                       : strcmp(host, "::*") == 0 ? "::"
                                                  : host;
    char service[16];
    snprintf(service, sizeof(service), "%d", port);
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct addrinfo *found;
    int failure = getaddrinfo(name, service, &hints, &found);
    if (failure != 0) {
        if (optional) {
            return ERR_OK;
        }
        buf_printf(detail, "'%s' of 'bind' is no address: %s", host,
                   gai_strerror(failure));
        return ERR_INVALID;
    }
    int error = 0;
    size_t opened = 0;
    for (struct addrinfo *at = found; at != NULL && error == 0;
         at = at->ai_next) {
        int fd = listen_at(at, backlog);
        if (fd >= 0) {
            add(list, fd);
            opened++;
        } else if (!is_missing(errno) ||
                   (at->ai_next == NULL && opened == 0 && !optional)) {
            error = errno;
        }
    }
    freeaddrinfo(found);
    if (error == 0) {
        return ERR_OK;
    }
    say_why(detail, error, host, port);
    return err_from_errno(error);
}

enum err addresses_open_tcp(struct addresses *list, const char *bind, int port,
                            int backlog, struct buf *detail)
{
    size_t before = list->n;
    enum err err = ERR_OK;
    char *words = xstrdup(bind);
    char *rest = NULL;
    for (char *host = strtok_r(words, " ", &rest);
         host != NULL && err == ERR_OK; host = strtok_r(NULL, " ", &rest)) {
        int wanted = port;
        if (port < 0) {
            wanted = addresses_port(list); /* 0 at first: any free one. */
        }
        err = open_host(list, host, wanted, backlog, detail);
    }
    free(words);
    if (err == ERR_OK && list->n == before) {
        buf_printf(detail,
                   "none of the addresses in 'bind' (\"%s\") is on "
                   "this machine",
                   bind);
        err = ERR_INVALID;
    }
    return err;
}

void addresses_mark_tls(struct addresses *list, size_t n)
{
    for (size_t i = n; i < list->n; i++) {
        list->items[i].is_tls = true;
    }
}

int addresses_port(const struct addresses *list)
{
    for (size_t i = 0; i < list->n; i++) {
        union {
            struct sockaddr any;
            struct sockaddr_in in;
            struct sockaddr_in6 in6;
            struct sockaddr_storage space;
        } name = {.space = {0}};
        socklen_t size = sizeof(name);
        if (getsockname(list->items[i].fd, &name.any, &size) != 0) {
            continue;
        }
        if (name.any.sa_family == AF_INET) {
            return ntohs(name.in.sin_port);
        }
        if (name.any.sa_family == AF_INET6) {
            return ntohs(name.in6.sin6_port);
        }
    }
    return 0;
}

/* ---- unix ---- */

/* Makes way for a new socket file: removes one that was left behind.  Asking
 * whether somebody accepts is the only way to tell. */
static enum err clear_path(const struct sockaddr_un *at, struct buf *detail)
{
    struct stat file;
    if (lstat(at->sun_path, &file) != 0) {
        return ERR_OK; /* Nothing there; if it is worse, bind() will say. */
    }
    if (!S_ISSOCK(file.st_mode)) {
        buf_printf(detail,
                   "%s exists and is no socket; remove it, or choose "
                   "another path with --unixsocket",
                   at->sun_path);
        return ERR_ADDRESS_IN_USE;
    }
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0) {
        buf_printf(detail, "cannot make a unix socket: %s", strerror(errno));
        return ERR_SYSTEM;
    }
    bool refused = connect(fd, (const struct sockaddr *)at, sizeof(*at)) != 0 &&
                   errno == ECONNREFUSED;
    close(fd);
    if (!refused) {
        buf_printf(detail,
                   "unix socket %s is in use by another program; "
                   "choose another with --unixsocket",
                   at->sun_path);
        return ERR_ADDRESS_IN_USE;
    }
    if (unlink(at->sun_path) != 0) {
        buf_printf(detail, "cannot remove the old unix socket %s: %s",
                   at->sun_path, strerror(errno));
        return err_from_errno(errno);
    }
    return ERR_OK;
}

enum err addresses_open_unix(struct addresses *list, const char *path, int mode,
                             int backlog, struct buf *detail)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(at.sun_path)) {
        buf_printf(detail, "the path of 'unixsocket' is longer than %zu bytes",
                   sizeof(at.sun_path) - 1);
        return ERR_INVALID;
    }
    memcpy(at.sun_path, path, strlen(path));
    enum err err = clear_path(&at, detail);
    if (err != ERR_OK) {
        return err;
    }
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    if (fd < 0) {
        buf_printf(detail, "cannot make a unix socket: %s", strerror(errno));
        return ERR_SYSTEM;
    }
    /* Nobody can connect before listen(), so the mode is never too wide. */
    bool bound = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    struct stat file;
    if (!bound || chmod(path, (mode_t)mode) != 0 || lstat(path, &file) != 0 ||
        listen(fd, backlog) != 0) {
        int error = errno;
        buf_printf(detail, "cannot listen on unix socket %s: %s", path,
                   strerror(error));
        close(fd);
        if (bound) {
            unlink(path);
        }
        return err_from_errno(error);
    }
    struct address *address = add(list, fd);
    address->unix_path = xstrdup(path);
    address->device = file.st_dev;
    address->inode = file.st_ino;
    return ERR_OK;
}

void addresses_close(struct addresses *list)
{
    for (size_t i = 0; i < list->n; i++) {
        struct address *address = &list->items[i];
        struct stat file;
        if (address->unix_path != NULL &&
            lstat(address->unix_path, &file) == 0 &&
            file.st_dev == address->device && file.st_ino == address->inode) {
            unlink(address->unix_path);
        }
        close(address->fd);
        free(address->unix_path);
    }
    free(list->items);
    *list = (struct addresses){0};
}
