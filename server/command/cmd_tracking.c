/* SPDX-License-Identifier: MIT */
/*
 * CLIENT TRACKING CACHING TRACKINGINFO GETREDIR: clients with copies of their
 * own.
 */
#include "common/mem.h"
#include "server/command/args.h"
#include "server/command/clients.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/command/tracking.h"

/* What CLIENT TRACKING was asked. */
struct asked {
    struct tracking_options options;
    struct slice *prefixes; /* As many as there were words. */
    size_t n_prefixes;
};

/* ---- options ---- */

/* Reads the client to redirect to; replies on error. */
static bool read_redirect(struct request *r, size_t i, struct asked *asked)
{
    int64_t id;
    struct chan_tx home;

    if (asked->options.redirect != 0) {
        reply_error(&r->reply,
                    "ERR A client can only redirect to a single other client");
        return false;
    }
    if (!arg_integer(r, i, &id)) {
        return false;
    }
    if (id <= 0 ||
        !clients_home(r->client->server->clients, (uint64_t)id, &home)) {
        reply_error(&r->reply,
                    "ERR The client ID you want redirect to does not exist");
        return false;
    }
    asked->options.redirect = (uint64_t)id;
    return true;
}

/* Replies on error. */
static bool read_options(struct request *r, struct asked *asked)
{
    for (size_t i = 3; i < r->argc; i++) {
        const bool has_more = i + 1 < r->argc;
        if (arg_is(r, i, "REDIRECT") && has_more) {
            if (!read_redirect(r, ++i, asked)) {
                return false;
            }
        } else if (arg_is(r, i, "BCAST")) {
            asked->options.bcast = true;
        } else if (arg_is(r, i, "OPTIN")) {
            asked->options.optin = true;
        } else if (arg_is(r, i, "OPTOUT")) {
            asked->options.optout = true;
        } else if (arg_is(r, i, "NOLOOP")) {
            asked->options.noloop = true;
        } else if (arg_is(r, i, "PREFIX") && has_more) {
            asked->prefixes[asked->n_prefixes++] = r->argv[++i];
        } else {
            reply_err(&r->reply, ERR_SYNTAX, NULL);
            return false;
        }
    }
    return true;
}

/* What is wrong with the options, among each other and with what the client has
 * now; NULL if nothing is. */
static const char *conflict(const struct client *client,
                            const struct asked *asked)
{
    const struct tracking_options *wanted = &asked->options;
    const struct tracking_options now = tracking_options(client);

    if (!wanted->bcast && asked->n_prefixes > 0) {
        return "ERR PREFIX option requires BCAST mode to be enabled";
    }
    if (tracking_is_on(client) && now.bcast != wanted->bcast) {
        return "ERR You can't switch BCAST mode on/off before disabling "
               "tracking for this client, and then re-enabling it with a "
               "different mode.";
    }
    if (wanted->bcast && (wanted->optin || wanted->optout)) {
        return "ERR OPTIN and OPTOUT are not compatible with BCAST";
    }
    if (wanted->optin && wanted->optout) {
        return "ERR You can't specify both OPTIN mode and OPTOUT mode";
    }
    if ((wanted->optin && now.optout) || (wanted->optout && now.optin)) {
        return "ERR You can't switch OPTIN/OPTOUT mode before disabling "
               "tracking for this client, and then re-enabling it with a "
               "different mode.";
    }
    return NULL;
}

static bool overlap(struct slice a, struct slice b)
{
    return slice_has_prefix(a, b) || slice_has_prefix(b, a);
}

static void reply_overlap(struct request *r, struct slice prefix,
                          const char *which, struct slice other)
{
    reply_errorf(&r->reply,
                 "ERR Prefix '%.*s' overlaps with %s prefix '%.*s'. Prefixes "
                 "for a single client must not overlap.",
                 shown(prefix), prefix.data, which, shown(other), other.data);
}

struct search {
    struct slice prefix;
    struct slice found;
    bool is_found;
};

static void look_at(void *arg, struct slice prefix)
{
    struct search *s = arg;

    if (!s->is_found && overlap(s->prefix, prefix)) {
        s->found = prefix;
        s->is_found = true;
    }
}

/* Replies if prefixes overlap, for then a key would be told twice. */
static bool overlaps(struct request *r, const struct asked *asked)
{
    for (size_t i = 0; i < asked->n_prefixes; i++) {
        struct search s = {.prefix = asked->prefixes[i]};
        tracking_visit_prefixes(r->client, look_at, &s);
        if (s.is_found) {
            reply_overlap(r, s.prefix, "an existing", s.found);
            return true;
        }
        for (size_t k = i + 1; k < asked->n_prefixes; k++) {
            if (overlap(s.prefix, asked->prefixes[k])) {
                reply_overlap(r, s.prefix, "another provided",
                              asked->prefixes[k]);
                return true;
            }
        }
    }
    return false;
}

static void start(struct request *r, const struct asked *asked)
{
    const char *wrong = conflict(r->client, asked);

    if (wrong != NULL) {
        reply_error(&r->reply, wrong);
    } else if (overlaps(r, asked)) {
        /* It is replied. */
    } else if (tracking_start(r->client, &asked->options, asked->prefixes,
                              asked->n_prefixes)) {
        reply_ok(&r->reply);
    } else {
        reply_err(&r->reply, ERR_NOMEM, NULL);
    }
}

/* ---- commands ---- */

enum command_status cmd_client_tracking(struct request *r)
{
    struct asked asked = {
        .prefixes = request_room(r, r->argc * sizeof *asked.prefixes)};

    if (asked.prefixes == NULL) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
    } else if (!read_options(r, &asked)) {
        /* It is replied. */
    } else if (arg_is(r, 2, "ON")) {
        start(r, &asked);
    } else if (arg_is(r, 2, "OFF")) {
        tracking_stop(r->client);
        reply_ok(&r->reply);
    } else {
        reply_err(&r->reply, ERR_SYNTAX, NULL);
    }
    return COMMAND_DONE;
}

enum command_status cmd_client_caching(struct request *r)
{
    const struct tracking_options now = tracking_options(r->client);

    if (!tracking_is_on(r->client)) {
        reply_error(&r->reply, "ERR CLIENT CACHING can be called only when the "
                               "client is in tracking mode with OPTIN or "
                               "OPTOUT mode enabled");
    } else if (!arg_is(r, 2, "YES") && !arg_is(r, 2, "NO")) {
        reply_err(&r->reply, ERR_SYNTAX, NULL);
    } else if (arg_is(r, 2, "YES") && !now.optin) {
        reply_error(&r->reply, "ERR CLIENT CACHING YES is only valid when "
                               "tracking is enabled in OPTIN mode.");
    } else if (arg_is(r, 2, "NO") && !now.optout) {
        reply_error(&r->reply, "ERR CLIENT CACHING NO is only valid when "
                               "tracking is enabled in OPTOUT mode.");
    } else {
        tracking_set_caching(r->client);
        reply_ok(&r->reply);
    }
    return COMMAND_DONE;
}

static int64_t redirect_of(const struct client *client)
{
    return tracking_is_on(client) ? (int64_t)tracking_options(client).redirect
                                  : -1;
}

enum command_status cmd_client_getredir(struct request *r)
{
    reply_integer(&r->reply, redirect_of(r->client));
    return COMMAND_DONE;
}

static void reply_prefix(void *arg, struct slice prefix)
{
    reply_bulk(arg, prefix);
}

enum command_status cmd_client_trackinginfo(struct request *r)
{
    const struct client *client = r->client;
    const struct tracking_options now = tracking_options(client);
    const bool caching = tracking_caching(client);
    const struct {
        const char *name;
        bool is_so;
    } flags[] = {
        {"on", tracking_is_on(client)},
        {"off", !tracking_is_on(client)},
        {"bcast", now.bcast},
        {"optin", now.optin},
        {"caching-yes", now.optin && caching},
        {"optout", now.optout},
        {"caching-no", now.optout && caching},
        {"noloop", now.noloop},
        {"broken_redirect", tracking_is_broken(client)},
    };
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        n += flags[i].is_so;
    }
    reply_map(&r->reply, 3);
    reply_bulk_string(&r->reply, "flags");
    reply_set(&r->reply, n);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (flags[i].is_so) {
            reply_bulk_string(&r->reply, flags[i].name);
        }
    }
    reply_bulk_string(&r->reply, "redirect");
    reply_integer(&r->reply, redirect_of(client));
    reply_bulk_string(&r->reply, "prefixes");
    reply_array(&r->reply, tracking_n_prefixes(client));
    tracking_visit_prefixes(client, reply_prefix, &r->reply);
    return COMMAND_DONE;
}
