/* SPDX-License-Identifier: MIT */
/*
 * Users by name, in the order of their names' bytes.
 *
 * Thread-safety: none; one owner, or a lock of the caller's.
 */
#ifndef SERVER_COMMAND_USER_SET_H
#define SERVER_COMMAND_USER_SET_H

#include "server/command/user.h"

/* Zeroed means empty. */
struct user_set {
    struct user **list; /* Owned, with a reference to each. */
    size_t n;
};

void user_set_destroy(struct user_set *set);

/* The user of this name, no new reference; NULL: there is none. */
struct user *user_set_find(const struct user_set *set, struct slice name);

/* Takes the caller's reference: 'user' is in the set, in place of another of
 * his name.  False: out of memory, and the reference is still the caller's. */
NODISCARD
bool user_set_put(struct user_set *set, struct user *user);

/* Takes the user of this name out; false if there was none. */
bool user_set_remove(struct user_set *set, struct slice name);

#endif
