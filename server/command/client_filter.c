/* SPDX-License-Identifier: MIT */
#include "server/command/client_filter.h"

#include "server/command/acl.h"
#include "server/command/args.h"

bool client_filter_type(struct request *r, size_t i, enum client_type *type)
{
    static const struct {
        const char *word;
        enum client_type type;
    } types[] = {
        {"normal", CLIENT_TYPE_NORMAL},   {"master", CLIENT_TYPE_MASTER},
        {"replica", CLIENT_TYPE_REPLICA}, {"slave", CLIENT_TYPE_REPLICA},
        {"pubsub", CLIENT_TYPE_PUBSUB},
    };

    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        if (arg_is(r, i, types[t].word)) {
            *type = types[t].type;
            return true;
        }
    }
    reply_errorf(&r->reply, "ERR Unknown client type '%.*s'", shown(r->argv[i]),
                 r->argv[i].data);
    return false;
}

static bool take_id(struct request *r, size_t i, struct client_filter *f)
{
    int64_t id;

    if (!slice_to_int64(r->argv[i], &id) || id <= 0) {
        reply_error(&r->reply, "ERR client-id should be greater than 0");
        return false;
    }
    f->id = (uint64_t)id;
    return true;
}

static bool take_age(struct request *r, size_t i, struct client_filter *f)
{
    int64_t age_s;

    if (!slice_to_int64(r->argv[i], &age_s)) {
        reply_error(&r->reply, "ERR maxage is not an integer or out of range");
        return false;
    }
    if (age_s <= 0) {
        reply_error(&r->reply, "ERR maxage should be greater than 0");
        return false;
    }
    f->min_age_us = age_s <= INT64_MAX / 1000000 ? age_s * 1000000 : INT64_MAX;
    return true;
}

static bool take_user(struct request *r, size_t i, struct client_filter *f)
{
    struct user *user = acl_find(r->client->server->acl, r->argv[i]);

    user_unref(user);
    if (user == NULL) {
        reply_errorf(&r->reply, "ERR No such user '%.*s'", shown(r->argv[i]),
                     r->argv[i].data);
        return false;
    }
    f->user = r->argv[i];
    return true;
}

static bool take_skipme(struct request *r, size_t i, struct client_filter *f)
{
    if (arg_is(r, i, "yes")) {
        f->other_than = r->client;
    } else if (arg_is(r, i, "no")) {
        f->other_than = NULL;
    } else {
        (void)done_syntax_error(r);
        return false;
    }
    return true;
}

static bool take_pair(struct request *r, size_t i, struct client_filter *f)
{
    if (arg_is(r, i, "ID")) {
        return take_id(r, i + 1, f);
    }
    if (arg_is(r, i, "TYPE")) {
        return client_filter_type(r, i + 1, &f->type);
    }
    if (arg_is(r, i, "USER")) {
        return take_user(r, i + 1, f);
    }
    if (arg_is(r, i, "SKIPME")) {
        return take_skipme(r, i + 1, f);
    }
    if (arg_is(r, i, "MAXAGE")) {
        return take_age(r, i + 1, f);
    }
    if (arg_is(r, i, "ADDR")) {
        f->address = r->argv[i + 1];
        return true;
    }
    if (arg_is(r, i, "LADDR")) {
        f->local_address = r->argv[i + 1];
        return true;
    }
    (void)done_syntax_error(r);
    return false;
}

bool client_filter_parse(struct request *r, size_t first,
                         struct client_filter *filter)
{
    *filter = (struct client_filter){.other_than = r->client};
    for (size_t i = first; i < r->argc; i += 2) {
        if (i + 1 == r->argc) {
            (void)done_syntax_error(r);
            return false;
        }
        if (!take_pair(r, i, filter)) {
            return false;
        }
    }
    return true;
}
