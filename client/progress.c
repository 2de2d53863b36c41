/* SPDX-License-Identifier: MIT */
/*
 *     [##########              ]  41%   4100 books   12300/s
 */
#include "client/progress.h"

#include "client/print.h"
#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define INTERVAL_US 100000
#define BAR_WIDTH 30

void progress_init(struct progress *progress, const char *unit, int64_t total)
{
    const int64_t now = clock_now_us();

    *progress = (struct progress){
        .unit = unit, .total = total, .start_us = now, .shown_us = now};
}

static void append_bar(struct buf *b, int64_t done, int64_t total)
{
    const double part = done < total ? (double)done / (double)total : 1;
    const int filled = (int)(part * BAR_WIDTH);

    buf_append_char(b, '[');
    for (int i = 0; i < BAR_WIDTH; i++) {
        buf_append_char(b, i < filled ? '#' : ' ');
    }
    buf_printf(b, "] %3d%%  ", (int)(part * 100));
}

void progress_update(struct progress *progress, int64_t done, int64_t count)
{
    const int64_t now = clock_now_us();
    struct buf line = {0};

    if (!print_stderr()->is_terminal ||
        now - progress->shown_us < INTERVAL_US) {
        return;
    }
    buf_append_string(&line, "\r\x1b[K");
    if (progress->total > 0) {
        append_bar(&line, done, progress->total);
    }
    buf_printf(&line, "%7" PRId64 " %s  %7.0f/s", count, progress->unit,
               (double)count * 1e6 / (double)(now - progress->start_us));
    (void)fwrite(buf_data(&line), 1, line.size, stderr);
    buf_destroy(&line);
    progress->shown_us = now;
    progress->visible = true;
}

void progress_clear(struct progress *progress)
{
    if (progress->visible) {
        (void)fputs("\r\x1b[K", stderr);
        progress->visible = false;
    }
}
