/* SPDX-License-Identifier: MIT */
/*
 * Between fake_store.c, which the test speaks to, and fake_engine.c, which the
 * store does.
 *
 * Thread-safety: one lock, held around everything but the store's callbacks.
 */
#ifndef TESTS_SUPPORT_FAKE_STORE_INTERNAL_H
#define TESTS_SUPPORT_FAKE_STORE_INTERNAL_H

#include "common/lock.h"
#include "tests/support/fake_rows.h"
#include "tests/support/fake_store.h"

#define FAKE_KEY_GATES_MAX 8
#define FAKE_FAILURES_MAX 16

struct fake_gate {
    bool closed;
    unsigned held;   /* Calls that stand here. */
    unsigned passes; /* Calls that may go through although it is closed. */
};

struct fake_key_gate {
    char *key; /* Owned; NULL: free. */
    enum fake_call call;
    enum fake_moment moment;
};

struct fake_failure {
    unsigned left; /* 0: free. */
    enum fake_call call;
    char *key; /* Owned; NULL: any. */
    enum err err;
};

struct fake_store {
    struct mutex lock; /* Rank LOCK_LEAF. */
    struct cond changed;
    struct fake_list rows GUARDED_BY(lock);
    struct fake_list pending GUARDED_BY(lock); /* Of the transaction. */
    unsigned n_applied GUARDED_BY(lock);
    unsigned group GUARDED_BY(lock);
    unsigned n_open GUARDED_BY(lock); /* Readers and writers. */
    unsigned calls[FAKE_CALLS] GUARDED_BY(lock);
    struct fake_list reads GUARDED_BY(lock); /* Of struct tally. */
    struct fake_gate gates[FAKE_CALLS][2] GUARDED_BY(lock);
    struct fake_key_gate key_gates[FAKE_KEY_GATES_MAX] GUARDED_BY(lock);
    struct fake_failure failures[FAKE_FAILURES_MAX] GUARDED_BY(lock);
    bool checkpoint_due GUARDED_BY(lock);
};

/* The one there is; set and cleared while no store is open. */
extern struct fake_store *fake_current;

extern const struct engine engine_fake;

/* The whole key of a row, or a plain one, appended to 'whole'. */
void fake_whole_key(const struct mapping *mapping, struct slice key,
                    struct buf *whole);

/* The committed row, or what the transaction made of it. */
const struct fake_row *fake_row_of(const struct fake_store *fake,
                                   struct slice key, bool in_transaction)
    REQUIRES(fake->lock);
/* Puts 'row' in for everybody to see, or takes it away if it is absent. */
void fake_commit_row(struct fake_store *fake, struct fake_row *row)
    REQUIRES(fake->lock);
void fake_drop_pending(struct fake_store *fake) REQUIRES(fake->lock);

/* At the begin of a call of the engine: counts it, holds it, and returns the
 * error that the test wanted. */
enum err fake_enter(struct fake_store *fake, enum fake_call call,
                    struct slice key, struct buf *detail) REQUIRES(fake->lock);
/* Stands at a gate as long as it is closed. */
void fake_stand_at(struct fake_store *fake, enum fake_call call,
                   enum fake_moment moment, struct slice key)
    REQUIRES(fake->lock);

#endif
