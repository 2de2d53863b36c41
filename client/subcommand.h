/* SPDX-License-Identifier: MIT */
/*
 * The subcommands, as a table expanded from subcommands.def, and what each is
 * given when it runs.
 *
 * Thread-safety: the table is constant; a struct client belongs to one thread.
 */
#ifndef CLIENT_SUBCOMMAND_H
#define CLIENT_SUBCOMMAND_H

#include "client/status.h"

#include <stdbool.h>
#include <stddef.h>

struct args;
struct client;
struct session;
struct target;

enum subcommand_id {
#define SUBCOMMAND(name, ...) SUBCOMMAND_##name,
#include "client/subcommands.def"
    SUBCOMMAND_COUNT
};

typedef enum status subcommand_fn(const struct client *client);

struct subcommand {
    const char *name;
    const char *arguments; /* For people: "ID COLUMN=VALUE...". */
    size_t min, max;       /* How many arguments; SIZE_MAX for any number. */
    bool connects;         /* Wants client->session. */
    const char *summary;   /* One sentence. */
    const char *details;   /* Paragraphs, or "". */
    const char *examples;  /* Command lines, one a line. */
};

extern const struct subcommand subcommands[SUBCOMMAND_COUNT];

/* What a subcommand works with; all borrowed from main(). */
struct client {
    const struct args *args;
    const struct target *target;
    struct session *session; /* NULL unless the subcommand connects. */
};

#define SUBCOMMAND(name, ...) subcommand_fn command_##name;
#include "client/subcommands.def"

#endif
