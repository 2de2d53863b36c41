/* SPDX-License-Identifier: MIT */
/*
 * How a line of the log is made: formatted on the stack of the caller, cleaned
 * of control bytes, written with one write(2).  Nothing is allocated and no
 * lock is taken, so every part may log from anywhere, locks held or not, and
 * the kernel keeps lines of different threads apart (they are shorter than
 * PIPE_BUF).
 */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Whole line with its prefix and newline.  At most PIPE_BUF (4096), up to
 * which a write to a pipe is not torn; journald cuts at 48k. */
#define LINE_MAX_SIZE ((size_t)2048)
#define ELLIPSIS "\xE2\x80\xA6" /* U+2026 in UTF-8. */

static const struct {
    int priority; /* Of syslog, as sd-daemon(3) prints it. */
    const char *name;
} levels[] = {
    [LOG_LEVEL_DEBUG] = {7, "debug"},   [LOG_LEVEL_INFO] = {6, "info"},
    [LOG_LEVEL_NOTICE] = {5, "notice"}, [LOG_LEVEL_WARN] = {4, "warn"},
    [LOG_LEVEL_ERROR] = {3, "error"},
};

/* Read at every log statement, changed by CONFIG SET.  Relaxed: a statement
 * that sees the old level a moment longer does no harm. */
static _Atomic int threshold = LOG_LEVEL_INFO;

/* Whether stderr goes to the journal; set once by log_init().  Relaxed: set
 * before any other thread starts. */
static _Atomic bool to_journal;

/* A line being made. */
struct line {
    char bytes[LINE_MAX_SIZE];
    size_t size;
};

/* True if JOURNAL_STREAM names the very file that stderr is: a child that
 * redirected its stderr inherits the variable but not the journal. */
static bool stderr_is_journal(void)
{
    const char *const stream = getenv("JOURNAL_STREAM");
    unsigned long long device;
    unsigned long long inode;
    struct stat status;
    char rest;

    return stream != NULL &&
           sscanf(stream, "%llu:%llu%c", &device, &inode, &rest) == 2 &&
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
           status.st_ino == inode;
}

void log_init(void)
{
    atomic_store_explicit(&to_journal, stderr_is_journal(),
                          memory_order_relaxed);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&threshold,
                                                memory_order_relaxed);
}

static void add_prefix(struct line *line, enum log_level level)
{
    struct timespec now;
    struct tm utc;
    int size;

    if (atomic_load_explicit(&to_journal, memory_order_relaxed)) {
        size = snprintf(line->bytes, sizeof(line->bytes), "<%d>",
                        levels[level].priority);
    } else {
        (void)clock_gettime(CLOCK_REALTIME, &now);
        (void)gmtime_r(&now.tv_sec, &utc);
        size = snprintf(
            line->bytes, sizeof(line->bytes),
            "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s: ", utc.tm_year + 1900,
            utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
            now.tv_nsec / 1000000, levels[level].name);
    }
    line->size = (size_t)size;
}

/* Appends 'text', its control bytes spelled out: one event stays one line,
 * and no message can talk to the terminal.  Returns false when it did not
 * fit; then the line is full of what did. */
static bool add_text(struct line *line, const char *text)
{
    const size_t limit = sizeof(line->bytes) - sizeof(ELLIPSIS "\n");

    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        char spelled[5] = {*text, '\0'};

        if (c == '\n') {
            memcpy(spelled, "\\n", 3);
        } else if (c == '\r') {
            memcpy(spelled, "\\r", 3);
        } else if (c == '\t') {
            memcpy(spelled, "\\t", 3);
        } else if (c < 0x20 || c == 0x7F) {
            (void)snprintf(spelled, sizeof(spelled), "\\x%02x", c);
        }
        const size_t size = strlen(spelled);
        if (line->size + size > limit) {
            return false;
        }
        memcpy(line->bytes + line->size, spelled, size);
        line->size += size;
    }
    return true;
}

/* Replaces the end by "…", without leaving half a UTF-8 character before. */
static void add_ellipsis(struct line *line)
{
    size_t end = line->size;

    while (end > 0 && ((unsigned char)line->bytes[end - 1] & 0xC0) == 0x80) {
        end--;
    }
    if (end > 0 && (unsigned char)line->bytes[end - 1] >= 0xC0) {
        line->size = end - 1;
    }
    memcpy(line->bytes + line->size, ELLIPSIS, sizeof(ELLIPSIS) - 1);
    line->size += sizeof(ELLIPSIS) - 1;
}

/* If stderr is gone there is nobody left to tell. */
static void put(const struct line *line)
{
    size_t done = 0;

    while (done < line->size) {
        const ssize_t n =
            write(STDERR_FILENO, line->bytes + done, line->size - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return;
        }
    }
}

static void write_line(enum log_level level, const char *format, va_list args)
    PRINTF(2, 0);

static void write_line(enum log_level level, const char *format, va_list args)
{
    const int saved_errno = errno;
    char text[LINE_MAX_SIZE];
    struct line line;

    const int size = vsnprintf(text, sizeof(text), format, args);
    if (size < 0) {
        (void)snprintf(text, sizeof(text), "log: bad format \"%s\"", format);
    }
    add_prefix(&line, level);
    if (!add_text(&line, text)) {
        add_ellipsis(&line);
    }
    line.bytes[line.size++] = '\n';
    put(&line);
    errno = saved_errno;
}

void log_write(enum log_level level, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(level, format, args);
    va_end(args);
}

void log_fatal(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(LOG_LEVEL_ERROR, format, args);
    va_end(args);
    abort();
}
