/* SPDX-License-Identifier: MIT */
/*
 * simulate: has bookd play a store that is slow, failing, hung or gone.  What
 * the words mean is bookd's business: they go to BOOK.SIMULATE as they are.
 */
#include "client/client.h"
#include "common/mem.h"

enum status command_simulate(struct client *client)
{
    const struct args *args = client->args;
    const size_t n = args->n_words + 1;
    enum status status = client_connect(client);

    if (status != STATUS_OK) {
        return status;
    }
    struct slice *const words = xcalloc(n, sizeof(*words));
    words[0] = SLICE("BOOK.SIMULATE");
    for (size_t i = 1; i < n; i++) {
        words[i] = slice_from_string(args->words[i - 1]);
    }
    session_send(client->session, words, n);
    struct reply *const reply = session_receive(client->session);
    status = session_check(client->session, reply);
    reply_free(reply);
    free(words);
    return status;
}
