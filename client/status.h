/* SPDX-License-Identifier: MIT */
/*
 * How a run of bookctl ended: its exit status, expanded from manual.def.
 *
 * When several things went wrong the greatest number is the one reported.
 */
#ifndef CLIENT_STATUS_H
#define CLIENT_STATUS_H

enum status {
#define EXIT(name, code, text) STATUS_##name = (code),
#include "client/manual.def"
};

static inline enum status status_worse(enum status a, enum status b)
{
    return a > b ? a : b;
}

#endif
