/* SPDX-License-Identifier: MIT */
/*
 * Several updates in one transaction of the store: all of them, or none.
 */
#include "server/lookup/update_internal.h"

/* Called first of the group: its turn among all writes has come. */
static enum err on_turn(struct store_write *write, const struct store_row *now,
                        struct buf *detail)
{
    struct batch *b = container_of(write, struct batch, group);

    (void)now;
    (void)detail;
    return b->caller.check == NULL || b->caller.check(b->caller.arg)
               ? ERR_OK
               : ERR_CONFLICT;
}

static void settle(struct member *m)
{
    struct flights *flights = lookup_flights(m->batch->lookup);

    if (m->skipped || m->result.err != ERR_OK) {
        return;
    }
    flights_lock(flights, m->hash);
    member_settle(m);
    flights_unlock(flights, m->hash);
    m->result.n_changed = m->write.n_changed;
    m->result.n_created = m->write.n_created;
    m->result.n_new_fields = m->write.n_new_fields;
}

static void on_group_done(struct store_write *write, enum err err,
                          struct slice detail)
{
    struct batch *b = container_of(write, struct batch, group);

    if (err != ERR_OK) {
        batch_fail(b, err, detail);
    } else {
        for (size_t i = 0; i < b->n; i++) {
            settle(&b->members[i]);
        }
    }
    batch_deliver(b);
}

enum err group_start(struct batch *b, size_t n)
{
    b->group.op = STORE_GROUP;
    b->group.group = b->writes;
    b->group.n_group = n;
    b->group.decide = on_turn;
    b->group.done = on_group_done;
    return store_write_start(lookup_parts(b->lookup)->store, &b->group);
}
