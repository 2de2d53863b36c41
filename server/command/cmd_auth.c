/* SPDX-License-Identifier: MIT */
/*
 * AUTH: a client says who it is.
 */
#include "server/command/acl.h"
#include "server/command/args.h"
#include "server/command/handlers.h"

enum command_status cmd_auth(struct request *r)
{
    const struct acl *acl = r->client->server->acl;
    const bool is_named = r->argc == 3;

    if (r->argc > 3) {
        return done_syntax_error(r);
    }
    if (!is_named && !acl_has_password(acl)) {
        reply_error(&r->reply, "ERR AUTH <password> called without any "
                               "password configured for the default user. Are "
                               "you sure your configuration is correct?");
        return COMMAND_DONE;
    }
    if (!acl_login(r, is_named ? r->argv[1] : SLICE(USER_DEFAULT),
                   r->argv[r->argc - 1])) {
        reply_error(&r->reply, ACL_WRONGPASS);
        return COMMAND_DONE;
    }
    return done_ok(r);
}
