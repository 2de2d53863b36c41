/* SPDX-License-Identifier: MIT */
/*
 * The subcommands, as a table expanded from subcommands.def.
 *
 * Thread-safety: constant.
 */
#ifndef CLIENT_SUBCOMMAND_H
#define CLIENT_SUBCOMMAND_H

#include "client/status.h"

#include <stddef.h>

struct client;

enum subcommand_id {
#define SUBCOMMAND(name, ...) SUBCOMMAND_##name,
#include "client/subcommands.def"
    SUBCOMMAND_COUNT
};

typedef enum status subcommand_fn(struct client *client);

struct subcommand {
    const char *name;
    const char *arguments; /* For people: "ID COLUMN=VALUE...". */
    size_t min, max;       /* How many arguments; SIZE_MAX for any number. */
    const char *summary;   /* One sentence. */
    const char *details;   /* Paragraphs, or "". */
    const char *examples;  /* Command lines, one a line. */
};

extern const struct subcommand subcommands[SUBCOMMAND_COUNT];

#define SUBCOMMAND(name, ...) subcommand_fn command_##name;
#include "client/subcommands.def"

#endif
