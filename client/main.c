/* SPDX-License-Identifier: MIT */
/*
 * bookctl: asks bookd for books, from the command line.
 *
 *     main ─► args (options, subcommand) ─► command_NAME ─► fetch ─► session
 *                                               └─► output ─► print
 *
 * Each family of subcommands is a file, cmd_*.c.  A subcommand returns the
 * exit status and has said on standard error what went wrong.
 */
#include "client/client.h"
#include "client/help.h"
#include "client/print.h"
#include "client/prompt.h"
#include "common/config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static subcommand_fn *const functions[SUBCOMMAND_COUNT] = {
#define SUBCOMMAND(name, ...) command_##name,
#include "client/subcommands.def"
};

/* What --askpass wants, in place of every other password. */
static enum err ask_password(const struct args *args, struct target *target,
                             struct buf *why)
{
    char *password = NULL;

    if (!args->options.askpass) {
        return ERR_OK;
    }
    const enum err err = prompt_password("Password: ", &password, why);
    if (err == ERR_OK) {
        free(target->password);
        target->password = password;
    }
    return err;
}

static enum status run(const struct args *args)
{
    const enum subcommand_id id =
        (enum subcommand_id)(args->subcommand - subcommands);
    struct target target;
    struct client client = {.args = args, .target = &target};
    struct buf why = {0};
    enum status status;

    if (args_target(args, getenv("BOOKCTL_URI"), &target, &why) != ERR_OK) {
        complain("%s", buf_string(&why));
        buf_destroy(&why);
        return STATUS_USAGE;
    }
    if (args_credentials(args, getenv("BOOKCTL_AUTH"), &target, &why) ==
            ERR_OK &&
        ask_password(args, &target, &why) == ERR_OK) {
        status = functions[id](&client);
        client_close(&client);
    } else {
        complain("%s", buf_string(&why));
        status = STATUS_USAGE;
    }
    target_destroy(&target);
    buf_destroy(&why);
    return status;
}

static enum status refuse(const struct args *args, const char *why)
{
    complain("%s", why);
    if (args->subcommand != NULL) {
        complain("try: bookctl help %s", args->subcommand->name);
    } else {
        complain("try: bookctl help");
    }
    return STATUS_USAGE;
}

static enum status dispatch(const struct args *args)
{
    if (args->options.version) {
        printf("bookctl %s\n", VERSION);
    } else if (args->options.man) {
        help_manual();
    } else if (args->options.completion) {
        help_completion();
    } else if (args->options.help && args->subcommand != NULL) {
        help_subcommand(args->subcommand);
    } else if (args->options.help) {
        help_overview();
    } else {
        return run(args);
    }
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    struct args args;
    struct buf why = {0};
    enum status status;

    /* A server or a reader that goes away is an error of write(2), not the
     * end of this process. */
    (void)signal(SIGPIPE, SIG_IGN);
    const enum err err =
        args_parse(&args, argc, (const char *const *)argv, &why);
    print_init(args.options.color);
    status = err == ERR_OK ? dispatch(&args) : refuse(&args, buf_string(&why));
    status = status_worse(status, print_finish());
    args_destroy(&args);
    buf_destroy(&why);
    return status;
}
