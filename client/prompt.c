/* SPDX-License-Identifier: MIT */
#include "client/prompt.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int fatal_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static volatile sig_atomic_t caught;

static void on_signal(int signo)
{
    caught = signo;
}

/* Reads up to the end of the line; false at the end of input, or when a signal
 * came. */
static bool read_line(int fd, struct buf *line)
{
    char c;

    while (caught == 0) {
        const ssize_t n = read(fd, &c, 1);
        if (n == 1 && c == '\n') {
            return true;
        }
        if (n == 1) {
            buf_append_char(line, c);
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return false;
}

static void say(int fd, const char *text)
{
    /* A terminal that takes no question may still give an answer. */
    (void)!write(fd, text, strlen(text));
}

/* With the terminal silent, and a signal only noted. */
static bool ask(int fd, const char *question, struct buf *line)
{
    struct termios before;
    struct sigaction old[ARRAY_LEN(fatal_signals)];
    const struct sigaction note = {.sa_handler = on_signal};

    if (tcgetattr(fd, &before) != 0) {
        return false;
    }
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    caught = 0;
    for (size_t i = 0; i < ARRAY_LEN(fatal_signals); i++) {
        (void)sigaction(fatal_signals[i], &note, &old[i]);
    }
    const bool is_silent = tcsetattr(fd, TCSAFLUSH, &silent) == 0;
    say(fd, question);
    const bool answered = is_silent && read_line(fd, line);
    say(fd, "\n");
    (void)tcsetattr(fd, TCSAFLUSH, &before);
    for (size_t i = 0; i < ARRAY_LEN(fatal_signals); i++) {
        (void)sigaction(fatal_signals[i], &old[i], NULL);
    }
    if (caught != 0) {
        (void)raise(caught);
    }
    return answered;
}

enum err prompt_password(const char *question, char **passwordp,
                         struct buf *why)
{
    struct buf line = {0};
    const int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    const bool answered = fd >= 0 && ask(fd, question, &line);

    if (fd >= 0) {
        (void)close(fd);
    }
    if (answered) {
        *passwordp = xslicedup(buf_slice(&line));
    } else {
        buf_append_string(why, "there is no terminal to ask for the password");
    }
    buf_destroy(&line);
    return answered ? ERR_OK : ERR_IO;
}
