/* SPDX-License-Identifier: MIT */
#include "server/command/channels.h"

#include "server/command/handlers.h"

struct channel_places command_channels(const struct request *request)
{
    static const struct {
        command_fn *run;
        bool only_one; /* Not all up to the end. */
        bool are_patterns;
    } rows[] = {
        {cmd_subscribe, false, false},  {cmd_psubscribe, false, true},
        {cmd_ssubscribe, false, false}, {cmd_publish, true, false},
        {cmd_spublish, true, false},
    };
    struct channel_places places = {0};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (request->command->run == rows[i].run) {
            places = (struct channel_places){
                .first = 1,
                .end = rows[i].only_one ? 2 : request->argc,
                .are_patterns = rows[i].are_patterns};
        }
    }
    return places;
}
