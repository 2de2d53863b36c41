/* SPDX-License-Identifier: MIT */
/*
 * Who may do what: the users, who of them a client is, and whether his command
 * may run.
 *
 *     acl_change()… ─► a copy of the user, changed ─► takes his place
 *                                                  └► the generation is another
 *     command_run() ─► acl_is_trusted(): the generation is that in which the
 *                      client was found to be allowed everything: one load
 *                 else acl_admit(): is the user still the one he was?  Has the
 *                      client authenticated?  Command, keys, channels?
 *
 * A client has a reference to its user as he was when it looked last, and looks
 * again when the generation has changed: with its next command at the latest.
 * Those whose user is gone, or who hear channels that their user may no longer
 * hear, are disconnected by acl_recheck().
 *
 * Thread-safety: any thread may ask and change, one lock of rank LOCK_ACL; what
 * is about a client, on its loop.
 */
#ifndef SERVER_COMMAND_ACL_H
#define SERVER_COMMAND_ACL_H

#include "server/command/acl_log.h"
#include "server/command/client.h"
#include "server/command/command.h"
#include "server/command/parts.h"
#include "server/command/user.h"

struct config;
struct acl_rest;

#define ACL_WRONGPASS \
    "WRONGPASS invalid username-password pair or user is disabled."

/* Made by acl_new(); the fields are for the functions below. */
struct acl {
    /* Counts changes of users, from 1.  Release where a user has taken his
     * place; acquire where a client looks whether he has. */
    _Atomic uint64_t generation;
    /* Does the default user need a password, and is he off?  Relaxed: they
     * change with the generation. */
    _Atomic bool default_needs_password;
    _Atomic bool default_is_off;
    struct acl_log *log;
    struct acl_rest *rest; /* The users, and the lock over them. */
};

/* With the default user only, who may do everything. */
struct acl *acl_new(const struct config *config);
/* acl_free(NULL) is fine. */
void acl_free(struct acl *acl);

/* ---- the users; any thread ---- */

/* Makes the users be what 'requirepass', and then 'user' or 'aclfile' say.
 * Errors: ERR_INVALID, ERR_IO, with 'detail' filled in. */
NODISCARD
enum err acl_load_configured(struct acl *acl, struct buf *detail);

/* Checks what the directive 'user' says.  Errors: ERR_INVALID, with a line in
 * 'detail' for each. */
NODISCARD
enum err acl_check_config(const struct config *config, struct buf *detail);

/* Gives the default user this password, or any if it is empty: requirepass. */
void acl_set_default_password(struct acl *acl, struct slice password);

/* Changes the user by rules, and makes him if there is none.  False, with an
 * error as a reply has it in 'why'; then nothing has changed. */
NODISCARD
bool acl_change(struct acl *acl, struct slice name, const struct slice *rules,
                size_t n, struct buf *why);

/* False if there was none. */
bool acl_remove(struct acl *acl, struct slice name);

/* Is there an aclfile? */
bool acl_has_file(const struct acl *acl);

/* Replaces all users by those of the file 'aclfile'.  False, with an error as
 * a reply has it in 'why'; then nothing has changed. */
NODISCARD
bool acl_load(struct acl *acl, struct buf *why);
/* Writes them there, in place of what it was.  False: the log says why. */
NODISCARD
bool acl_save(struct acl *acl);

/* A new reference to the user of this name; NULL: there is none. */
struct user *acl_find(struct acl *acl, struct slice name);
/* How many there are, and new references to all of them: an array that the
 * caller frees. */
struct user **acl_all(struct acl *acl, size_t *n);

/* Appends a line "user NAME RULE…" for each user, as a configuration file and
 * an aclfile have it. */
void acl_print(struct acl *acl, struct buf *out);

/* Has the directive 'user' say what the users are now, unless they are in a
 * file, or have not changed since they were configured: for CONFIG REWRITE. */
void acl_tell_config(struct acl *acl, struct config *config);

/* ---- clients; on their loops ---- */

/* A new client, or one after RESET, is the default user; authenticated if that
 * takes no password.  clients_remove() lets go of the user. */
void acl_welcome(struct client *client);

/* Makes the client this user if the password is right; else it stays who it
 * was, and ACL LOG says so. */
NODISCARD
bool acl_login(struct request *request, struct slice name,
               struct slice password);

/* Does the default user need a password? */
static inline bool acl_has_password(const struct acl *acl)
{
    return atomic_load_explicit(&acl->default_needs_password,
                                memory_order_relaxed);
}

/* Must it say who it is before it may do anything? */
static inline bool acl_awaits_login(const struct client *client)
{
    const struct acl *acl = client->server->acl;

    return !client->authenticated &&
           (acl_has_password(acl) ||
            atomic_load_explicit(&acl->default_is_off, memory_order_relaxed));
}

/* May the client do everything, so that acl_admit() need not be asked? */
static inline bool acl_is_trusted(const struct client *client)
{
    return client->trusted_in ==
           atomic_load_explicit(&client->server->acl->generation,
                                memory_order_acquire);
}

enum acl_answer {
    ACL_ADMITTED,
    ACL_REFUSED, /* 'why' has the error. */
    ACL_GONE     /* Its user was deleted: the connection ends, without a
                    reply. */
};

/* May the request run, now?  Counts and logs it if not. */
NODISCARD
enum acl_answer acl_admit(struct request *request, struct buf *why);

/* This user has changed (with no data: any may have): disconnects the clients
 * that are to be for it, each on its loop, soon. */
void acl_recheck(struct server *server, struct slice name);

#endif
