/* SPDX-License-Identifier: MIT */
/*
 * Which arguments of a request are channels that it publishes on or wants to
 * hear.  (Who only ends a subscription needs no right to it.)
 *
 * Thread-safety: pure functions.
 */
#ifndef SERVER_COMMAND_CHANNELS_H
#define SERVER_COMMAND_CHANNELS_H

#include "server/command/command.h"

/* From 'first' up to below 'end'; none if 'first' is not below 'end'. */
struct channel_places {
    size_t first, end;
    bool are_patterns;
};

struct channel_places command_channels(const struct request *request);

#endif
