/* SPDX-License-Identifier: MIT */
/*
 * What bookctl says about itself, all of it expanded from subcommands.def,
 * options.def and manual.def: help for people, the manual page, and the
 * completion for bash.  Everything goes to standard output.
 *
 * Thread-safety: main thread.
 */
#ifndef CLIENT_HELP_H
#define CLIENT_HELP_H

#include "client/subcommand.h"

/* A paragraph of the manual that belongs to no subcommand. */
struct help_topic {
    const char *name;  /* For `bookctl help NAME`. */
    const char *title; /* Heading. */
    const char *text;  /* Paragraphs. */
};

/* An exit status or a variable of the environment. */
struct help_item {
    const char *name;
    const char *text;
};

extern const struct help_topic help_topics[];
extern const size_t help_n_topics;
extern const struct help_item help_exits[];
extern const size_t help_n_exits;
extern const struct help_item help_variables[];
extern const size_t help_n_variables;

void help_overview(void);
void help_subcommand(const struct subcommand *subcommand);
/* The page bookctl(1) as mdoc. */
void help_manual(void);
void help_completion(void);

#endif
