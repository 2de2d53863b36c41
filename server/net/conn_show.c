/* SPDX-License-Identifier: MIT */
/*
 * What a connection lets others see of it: CLIENT LIST, and maxmemory-clients.
 */
#include "server/command/client_memory.h"
#include "server/command/parts.h"
#include "server/net/conn_internal.h"

#include <event2/event.h>

/* What OpenSSL keeps for a connection that is idle, as measured. */
#define TLS_BYTES ((size_t)17 * 1024)

#define SHOW(field, value) \
    atomic_store_explicit(&conn->client.field, value, memory_order_relaxed)

static size_t memory_bytes(const struct conn *conn)
{
    const struct resp_parser *parser = &conn->parser;

    return sizeof(*conn) + 2 * event_get_struct_event_size() +
           (conn->tls != NULL ? TLS_BYTES : 0) +
           parser->argv_capacity * sizeof(*parser->argv) +
           parser->words.capacity + conn->input.capacity +
           conn->output.capacity + conn->requests.held_bytes +
           conn->requests.count * sizeof(struct request);
}

void conn_show_memory(struct conn *conn)
{
    struct client *client = &conn->client;
    const size_t bytes = memory_bytes(conn);

    SHOW(memory_bytes, bytes);
    client_memory_charge(client->server->client_memory, client,
                         bytes + atomic_load_explicit(&client->queued_bytes,
                                                      memory_order_relaxed));
}

void conn_show(struct conn *conn)
{
    const struct requests *requests = &conn->requests;
    const bool is_busy =
        conn->input.storage != NULL || conn->output.storage != NULL ||
        requests->first != NULL || conn->client.transaction != NULL;

    SHOW(last_active_us, conn->conns->now_us);
    if (!is_busy && !conn->was_busy) {
        return; /* Nothing is kept for it, and that has been seen. */
    }
    conn->was_busy = is_busy;
    SHOW(input_bytes, conn->input.size);
    SHOW(input_capacity, conn->input.capacity);
    SHOW(output_bytes, conn->output.size);
    SHOW(output_capacity, conn->output.capacity);
    SHOW(held_replies, requests->count - requests->n_unfinished);
    SHOW(held_bytes, requests->held_bytes);
    SHOW(pending_requests, requests->n_unfinished);
    SHOW(blocked_requests, requests->n_blocked);
    conn_show_memory(conn);
    if (conn->output.capacity >
        atomic_load_explicit(&conn->client.output_peak, memory_order_relaxed)) {
        SHOW(output_peak, conn->output.capacity);
    }
}
