/* SPDX-License-Identifier: MIT */
#include "client/client.h"

#include "client/print.h"

enum status client_connect(struct client *client)
{
    struct buf why = {0};
    const enum status status =
        session_open(&client->session, client->target,
                     client->args->options.timeout_us, &why);

    if (status != STATUS_OK) {
        complain("%s", buf_string(&why));
    }
    buf_destroy(&why);
    return status;
}

void client_close(struct client *client)
{
    session_close(client->session);
    client->session = NULL;
}
