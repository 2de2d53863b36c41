/* SPDX-License-Identifier: MIT */
/*
 * The log: one event, one line, one write(2), to stderr.
 *
 * Text is "module: event key=value …".  Under systemd (JOURNAL_STREAM names
 * our stderr) each line starts with the level prefix of sd-daemon(3), "<4>";
 * elsewhere with a timestamp and the level's name.
 *
 * Levels: debug what a developer follows; info a part started, stopped,
 * reloaded; notice a client did something wrong; warn one request suffered;
 * error a whole part is unusable.  Keys and values of users appear at debug
 * only.
 *
 * Thread-safety: any thread; the level may change at any time.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/attr.h"

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR
};

/* Looks at the environment once; call first in main(). */
void log_init(void);
void log_set_level(enum log_level level);
enum log_level log_level(void);

/* Writes one line, whatever the level; callers use the macros below.  Control
 * bytes are spelled "\n" or "\x1b"; a line above 2 KiB is cut with "…".  Leaves
 * errno alone. */
void log_write(enum log_level level, const char *format, ...) PRINTF(2, 3);

/* Writes an error line and aborts: for a broken rule of the program itself,
 * never for what a client or the system did. */
NORETURN void log_fatal(const char *format, ...) PRINTF(1, 2);

#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_notice(...) log_at(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_warn(...) log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_at(level, ...)                 \
    do {                                   \
        if ((level) >= log_level()) {      \
            log_write(level, __VA_ARGS__); \
        }                                  \
    } while (0)

#endif
