/* SPDX-License-Identifier: MIT */
/*
 * Users as text: lines of the directive 'user', and of the file 'aclfile'.
 *
 *     aclfile     =  { "user" NAME { RULE } newline }, and empty lines
 *     directive   =  NAME { RULE }; words in quotes as in a configuration file
 *
 * Thread-safety: functions of their arguments; any thread.
 */
#ifndef SERVER_COMMAND_ACL_FILE_H
#define SERVER_COMMAND_ACL_FILE_H

#include "common/err.h"
#include "server/command/user_set.h"

struct config;

/* Is there to be such a file? */
bool acl_file_is_configured(const struct config *config);

/* Reads the users of the file, and the default user if it does not speak of
 * him, into the empty 'users'.  False, with all that is wrong in 'why', in
 * Redis' words: "ERR …". */
NODISCARD
bool acl_file_read(const struct config *config, bool all_channels,
                   struct user_set *users, struct buf *why);

/* Makes 'text' the content of the file.  False: the log says why. */
NODISCARD
bool acl_file_write(const struct config *config, struct slice text);

/* Makes lines "user NAME RULE…" what the directive 'user' says. */
void acl_config_print(struct buf *lines);

/* Reads the users of the directive 'user' into the empty 'users'.  Errors:
 * ERR_INVALID with what is wrong in 'detail', also if there is a file as well.
 */
NODISCARD
enum err acl_config_read(const struct config *config, bool all_channels,
                         struct user_set *users, struct buf *detail);

#endif
