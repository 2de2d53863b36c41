/* SPDX-License-Identifier: MIT */
/*
 * A user: a name, passwords, and what whoever gave one of them may do.
 *
 *     user_new()/user_copy() ─► user_change(): rule by rule ─► shared: constant
 *                                                              user_ref/_unref
 *
 * A user who is shared never changes: a copy with the changes takes his place
 * (acl.h), and who looks at the old one goes on doing so in peace.
 *
 * Thread-safety: one owner while it changes; then any thread.
 */
#ifndef SERVER_COMMAND_USER_H
#define SERVER_COMMAND_USER_H

#include "server/command/selector.h"

#include <stdatomic.h>

/* The user of those who did not say who they are. */
#define USER_DEFAULT "default"

/* What is said of payloads, which bookd has none of. */
enum user_payloads { PAYLOADS_UNSAID, PAYLOADS_SANITIZED, PAYLOADS_TRUSTED };

struct user {
    _Atomic unsigned refs;
    uint64_t id; /* Of this user with all changes; another one of the same
                       name, later, has another. */
    bool enabled;
    bool any_password; /* Every password is right. */
    bool unrestricted; /* May do everything: nothing has to be judged. */
    enum user_payloads payloads;
    struct buf passwords;       /* Digests, DIGEST_LEN bytes each. */
    struct selector *selectors; /* Owned; the root is the first. */
    size_t n_selectors;
    size_t name_size;
    char name[]; /* With a NUL behind it. */
};

/* A user without any right, but with 'all_channels' for all channels.  NULL:
 * out of memory. */
NODISCARD
struct user *user_new(struct slice name, uint64_t id, bool all_channels);
/* The user everybody is at first: he may do everything, with any password. */
struct user *user_new_default(uint64_t id);
/* Another of the same name, id and rights, to be changed.  NULL: out of
 * memory. */
NODISCARD
struct user *user_copy(const struct user *user);

struct user *user_ref(struct user *user);
/* user_unref(NULL) is fine. */
void user_unref(struct user *user);

static inline struct slice user_name(const struct user *user)
{
    return slice_make(user->name, user->name_size);
}

/* Can a user be called this? */
bool user_name_is_valid(struct slice name);

/* What went wrong in user_change(). */
struct rule_failure {
    enum rule_error error; /* RULE_OK: a parenthesis was not closed. */
    struct buf rule;       /* In which rule; to be destroyed. */
};

/* Changes 'user' by 'n' words, each a rule; a selector in parentheses may be
 * several words.  'all_channels' is what acl-pubsub-default says.  False with
 * '*failure' filled in, and then 'user' is of no use. */
NODISCARD
bool user_change(struct user *user, const struct slice *words, size_t n,
                 bool all_channels, struct rule_failure *failure);

/* Nothing but the password 'text', or any if it is empty: requirepass.  False:
 * out of memory. */
NODISCARD
bool user_set_password(struct user *user, struct slice text);

/* Is it his password, and may he log in? */
bool user_admits(const struct user *user, struct slice password);

/* All rules, as ACL LIST shows them behind the name. */
void user_print(const struct user *user, struct buf *out);

/* As selector_judge(), for the selector that allows most. */
enum verdict user_judge(const struct user *user, const struct request *request,
                        size_t *place);
/* As selector_allows_channel(). */
bool user_may_hear(const struct user *user, struct slice name, bool is_pattern);

#endif
