/* SPDX-License-Identifier: MIT */
/*
 * What a selector says of a command: its row, then its keys, then its channels.
 */
#include "server/command/selector.h"

#include "common/glob.h"
#include "server/command/channels.h"
#include "server/command/pack.h"

static bool has_row(const struct selector *s, size_t row)
{
    return (s->rows[row / 64] >> (row % 64) & 1) != 0;
}

static bool allows_command(const struct selector *s,
                           const struct request *request)
{
    const size_t row = (size_t)(request->command - commands);
    struct pack_item word;
    size_t at = 0;

    if (has_row(s, row) || (request->command->flags & CMD_NO_AUTH) != 0) {
        return true;
    }
    while (request->argc > 1 && pack_next(&s->words, &at, &word)) {
        if (word.tag == row &&
            slice_equal_nocase(word.text, request->argv[1])) {
            return true;
        }
    }
    return false;
}

static bool allows_key(const struct selector *s, struct slice key,
                       unsigned what)
{
    const unsigned rights =
        ((what & KEY_ACCESS) != 0 ? SELECTOR_READ : 0) |
        ((what & (KEY_INSERT | KEY_DELETE | KEY_UPDATE)) != 0 ? SELECTOR_WRITE
                                                              : 0);
    struct pack_item item;
    size_t at = 0;

    while (pack_next(&s->keys, &at, &item)) {
        if ((item.tag & rights) == rights &&
            glob_match(item.text, key, false)) {
            return true;
        }
    }
    return false;
}

bool selector_allows_channel(const struct selector *s, struct slice name,
                             bool is_pattern)
{
    struct pack_item item;
    size_t at = 0;

    if (s->all_channels) {
        return true;
    }
    if (is_pattern) {
        return pack_find(&s->channels, name, &item);
    }
    while (pack_next(&s->channels, &at, &item)) {
        if (glob_match(item.text, name, false)) {
            return true;
        }
    }
    return false;
}

enum verdict selector_judge(const struct selector *s,
                            const struct request *request, size_t *place)
{
    if (!allows_command(s, request)) {
        return VERDICT_NO_COMMAND;
    }
    if (!s->all_keys) {
        const struct key_places keys = command_keys(request);
        for (size_t i = keys.first; i < keys.end; i += keys.step) {
            if (!allows_key(s, request->argv[i],
                            command_key_flags(request, i))) {
                *place = i;
                return VERDICT_NO_KEY;
            }
        }
    }
    if (!s->all_channels) {
        const struct channel_places channels = command_channels(request);
        for (size_t i = channels.first; i < channels.end; i++) {
            if (!selector_allows_channel(s, request->argv[i],
                                         channels.are_patterns)) {
                *place = i;
                return VERDICT_NO_CHANNEL;
            }
        }
    }
    return VERDICT_ALLOWED;
}
