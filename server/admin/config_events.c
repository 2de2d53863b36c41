/* SPDX-License-Identifier: MIT */
#include "server/admin/config_events.h"

#include "server/admin/config.h"

struct letter {
    char letter;
    int64_t event;
};

/* In the order of printing.  Source: Redis, keyspaceEventsFlagsToString(). */
static const struct letter classes[] = {
    {'g', EVENTS_GENERIC}, {'$', EVENTS_STRING},  {'l', EVENTS_LIST},
    {'s', EVENTS_SET},     {'h', EVENTS_HASH},    {'z', EVENTS_ZSET},
    {'x', EVENTS_EXPIRED}, {'e', EVENTS_EVICTED}, {'t', EVENTS_STREAM},
    {'d', EVENTS_MODULE},  {'n', EVENTS_NEW},
};

static const struct letter others[] = {
    {'K', EVENTS_KEYSPACE},
    {'E', EVENTS_KEYEVENT},
    {'m', EVENTS_MISS},
};

static int64_t find(const struct letter *list, size_t n, char letter)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].letter == letter) {
            return list[i].event;
        }
    }
    return 0;
}

bool config_events_parse(struct slice text, int64_t *events)
{
    int64_t all = 0;

    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        const int64_t event = c == 'A' ? EVENTS_ALL
                                       : find(classes, ARRAY_LEN(classes), c) |
                                             find(others, ARRAY_LEN(others), c);
        if (event == 0) {
            return false;
        }
        all |= event;
    }
    *events = all;
    return true;
}

static void append(const struct letter *list, size_t n, int64_t events,
                   struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if ((events & list[i].event) != 0) {
            buf_append_char(out, list[i].letter);
        }
    }
}

void config_events_format(int64_t events, struct buf *out)
{
    if ((events & EVENTS_ALL) == EVENTS_ALL) {
        buf_append_char(out, 'A'); /* Redis then leaves 'n' out. */
    } else {
        append(classes, ARRAY_LEN(classes), events, out);
    }
    append(others, ARRAY_LEN(others), events, out);
}
