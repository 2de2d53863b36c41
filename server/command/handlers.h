/* SPDX-License-Identifier: MIT */
/*
 * The handlers of all commands, declared from the table: cmd_get() and so on,
 * each in one of the cmd_*.c files.
 *
 * A handler runs on the loop of its client, with the argument count checked.
 */
#ifndef SERVER_COMMAND_HANDLERS_H
#define SERVER_COMMAND_HANDLERS_H

#include "server/command/command.h"

/* Several rows may share a handler; C allows to declare it again. */
#define COMMAND(name, handler, ...) command_fn cmd_##handler;
#include "server/command/commands.def"
#undef COMMAND

#endif
