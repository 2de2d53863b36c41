/* SPDX-License-Identifier: MIT */
/*
 * Gates, failures and counts, and contents set by hand.  Every call of the
 * engine comes by here when it begins, and again before it returns.
 */
#include "tests/support/fake_store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define WAIT_US (INT64_C(30) * 1000000)

/* How often a key was read. */
struct tally {
    struct fake_item item;
    unsigned count;
};

struct fake_store *fake_current;

/* ---- rows ---- */

void fake_whole_key(const struct mapping *mapping, struct slice key,
                    struct buf *whole)
{
    if (mapping != NULL) {
        buf_append_slice(whole, mapping->prefix);
    }
    buf_append_slice(whole, key);
}

const struct fake_row *fake_row_of(const struct fake_store *fake,
                                   struct slice key, bool in_transaction)
    REQUIRES(fake->lock)
{
    const struct fake_item *item = NULL;

    if (in_transaction) {
        item = fake_list_find(&fake->pending, key);
    }
    if (item == NULL) {
        item = fake_list_find(&fake->rows, key);
    }
    return (const struct fake_row *)item;
}

void fake_commit_row(struct fake_store *fake, struct fake_row *row)
    REQUIRES(fake->lock)
{
    if (row->absent) {
        fake_row_free(
            (struct fake_row *)fake_list_take(&fake->rows, row->item.key));
        fake_row_free(row);
    } else {
        fake_row_free(
            (struct fake_row *)fake_list_put(&fake->rows, &row->item));
    }
}

void fake_drop_pending(struct fake_store *fake) REQUIRES(fake->lock)
{
    for (size_t i = 0; i < fake->pending.count; i++) {
        fake_row_free((struct fake_row *)fake->pending.items[i]);
    }
    fake->pending.count = 0;
    fake->n_applied = 0;
}

/* ---- entering and leaving calls ---- */

static bool key_matches(const char *wanted, struct slice key)
{
    return slice_equal(slice_from_string(wanted), key);
}

static bool is_held(const struct fake_store *fake, enum fake_call call,
                    enum fake_moment moment, struct slice key)
    REQUIRES(fake->lock)
{
    if (fake->gates[call][moment].closed) {
        return true;
    }
    for (size_t i = 0; i < FAKE_KEY_GATES_MAX; i++) {
        const struct fake_key_gate *gate = &fake->key_gates[i];
        if (gate->key != NULL && gate->call == call && gate->moment == moment &&
            key_matches(gate->key, key)) {
            return true;
        }
    }
    return false;
}

void fake_stand_at(struct fake_store *fake, enum fake_call call,
                   enum fake_moment moment, struct slice key)
    REQUIRES(fake->lock)
{
    struct fake_gate *gate = &fake->gates[call][moment];

    gate->held++;
    cond_broadcast(&fake->changed);
    while (is_held(fake, call, moment, key)) {
        if (gate->passes > 0) {
            gate->passes--;
            break;
        }
        cond_wait(&fake->changed, &fake->lock);
    }
    gate->held--;
    cond_broadcast(&fake->changed);
}

static enum err take_failure(struct fake_store *fake, enum fake_call call,
                             struct slice key) REQUIRES(fake->lock)
{
    for (size_t i = 0; i < FAKE_FAILURES_MAX; i++) {
        struct fake_failure *failure = &fake->failures[i];
        if (failure->left > 0 && failure->call == call &&
            (failure->key == NULL || key_matches(failure->key, key))) {
            failure->left--;
            if (failure->left == 0) {
                free(failure->key);
                failure->key = NULL;
            }
            return failure->err;
        }
    }
    return ERR_OK;
}

static void count_read(struct fake_store *fake, struct slice key)
    REQUIRES(fake->lock)
{
    struct tally *tally = (struct tally *)fake_list_find(&fake->reads, key);

    if (tally == NULL) {
        tally = xcalloc(1, sizeof(*tally));
        tally->item.key = fake_copy_slice(key);
        fake_list_put(&fake->reads, &tally->item);
    }
    tally->count++;
}

enum err fake_enter(struct fake_store *fake, enum fake_call call,
                    struct slice key, struct buf *detail) REQUIRES(fake->lock)
{
    fake->calls[call]++;
    if (call == FAKE_READ) {
        count_read(fake, key);
    }
    cond_broadcast(&fake->changed);
    fake_stand_at(fake, call, FAKE_BEFORE, key);
    const enum err err = take_failure(fake, call, key);
    if (err != ERR_OK && detail != NULL) {
        buf_append_string(detail, "as the test wanted");
    }
    return err;
}

/* ---- for the test ---- */

struct fake_store *fake_store_new(void)
{
    if (fake_current != NULL) {
        log_fatal("fake_store: there is one already");
    }
    fake_current = xcalloc(1, sizeof(*fake_current));
    mutex_init(&fake_current->lock, LOCK_LEAF, "fake store");
    cond_init(&fake_current->changed);
    return fake_current;
}

void fake_store_free(struct fake_store *fake)
{
    if (fake == NULL) {
        return;
    }
    mutex_lock(&fake->lock);
    if (fake->n_open != 0) {
        log_fatal("fake_store: freed while a store is open over it");
    }
    fake_drop_pending(fake);
    for (size_t i = 0; i < fake->rows.count; i++) {
        fake_row_free((struct fake_row *)fake->rows.items[i]);
    }
    free(fake->rows.items);
    free(fake->pending.items);
    fake_list_free(&fake->reads);
    for (size_t i = 0; i < FAKE_KEY_GATES_MAX; i++) {
        free(fake->key_gates[i].key);
    }
    for (size_t i = 0; i < FAKE_FAILURES_MAX; i++) {
        free(fake->failures[i].key);
    }
    mutex_unlock(&fake->lock);
    cond_destroy(&fake->changed);
    mutex_destroy(&fake->lock);
    free(fake);
    fake_current = NULL;
}

const struct engine *fake_store_engine(struct fake_store *fake)
{
    (void)fake;
    return &engine_fake;
}

void fake_store_set_book(struct fake_store *fake, const char *id,
                         const char *title, const char *author,
                         const char *year)
{
    const struct mapping *books = &mappings_builtin.list[0];
    const char *const texts[] = {id, title, author, year};
    struct buf key = {0};

    fake_whole_key(books, slice_from_string(id), &key);
    struct fake_row *row = fake_row_new(books, buf_slice(&key));
    buf_destroy(&key);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i] != NULL) {
            fake_row_set(&row->values[i],
                         i == 0 || i == 3 ? COLUMN_INTEGER : COLUMN_TEXT,
                         slice_from_string(texts[i]));
        }
    }
    mutex_lock(&fake->lock);
    fake_commit_row(fake, row);
    mutex_unlock(&fake->lock);
}

void fake_store_set_plain(struct fake_store *fake, const char *key,
                          const char *value, int64_t expires_ms)
{
    struct fake_row *row = fake_row_new(NULL, slice_from_string(key));

    fake_row_set(&row->values[0], COLUMN_BLOB, slice_from_string(value));
    row->expires_ms = expires_ms;
    mutex_lock(&fake->lock);
    fake_commit_row(fake, row);
    mutex_unlock(&fake->lock);
}

void fake_store_set_hash(struct fake_store *fake, const char *key,
                         const char *value)
{
    struct fake_row *row = fake_row_new(NULL, slice_from_string(key));

    fake_row_set(&row->values[0], COLUMN_BLOB, slice_from_string(value));
    row->type = PLAIN_HASH;
    mutex_lock(&fake->lock);
    fake_commit_row(fake, row);
    mutex_unlock(&fake->lock);
}

bool fake_store_remove(struct fake_store *fake, const char *key)
{
    mutex_lock(&fake->lock);
    struct fake_row *row =
        (struct fake_row *)fake_list_take(&fake->rows, slice_from_string(key));
    mutex_unlock(&fake->lock);
    fake_row_free(row);
    return row != NULL;
}

bool fake_store_has(struct fake_store *fake, const char *key)
{
    mutex_lock(&fake->lock);
    const bool has = fake_row_of(fake, slice_from_string(key), false) != NULL;
    mutex_unlock(&fake->lock);
    return has;
}

bool fake_store_get(struct fake_store *fake, const char *key,
                    const char *column, struct buf *out)
{
    bool found = false;

    mutex_lock(&fake->lock);
    const struct fake_row *row =
        fake_row_of(fake, slice_from_string(key), false);
    if (row != NULL) {
        const size_t i =
            column == NULL
                ? 0
                : mapping_column(row->mapping, slice_from_string(column));
        found = row->values[i].type != COLUMN_NULL;
        buf_append_slice(out, row->values[i].bytes);
    }
    mutex_unlock(&fake->lock);
    return found;
}

/* ---- gates ---- */

void fake_store_hold(struct fake_store *fake, enum fake_call call,
                     enum fake_moment moment)
{
    mutex_lock(&fake->lock);
    fake->gates[call][moment].closed = true;
    mutex_unlock(&fake->lock);
}

void fake_store_hold_key(struct fake_store *fake, enum fake_call call,
                         enum fake_moment moment, const char *key)
{
    size_t i = 0;

    mutex_lock(&fake->lock);
    while (i < FAKE_KEY_GATES_MAX && fake->key_gates[i].key != NULL) {
        i++;
    }
    if (i == FAKE_KEY_GATES_MAX) {
        log_fatal("fake_store: too many keys are held");
    }
    fake->key_gates[i] = (struct fake_key_gate){
        .key = xstrdup(key), .call = call, .moment = moment};
    mutex_unlock(&fake->lock);
}

static void open_key_gates(struct fake_store *fake, enum fake_call call,
                           enum fake_moment moment, const char *key)
    REQUIRES(fake->lock)
{
    for (size_t i = 0; i < FAKE_KEY_GATES_MAX; i++) {
        struct fake_key_gate *gate = &fake->key_gates[i];
        if (gate->key != NULL && gate->call == call && gate->moment == moment &&
            (key == NULL || strcmp(gate->key, key) == 0)) {
            free(gate->key);
            gate->key = NULL;
        }
    }
    cond_broadcast(&fake->changed);
}

void fake_store_release(struct fake_store *fake, enum fake_call call,
                        enum fake_moment moment)
{
    mutex_lock(&fake->lock);
    fake->gates[call][moment].closed = false;
    fake->gates[call][moment].passes = 0;
    open_key_gates(fake, call, moment, NULL);
    mutex_unlock(&fake->lock);
}

void fake_store_release_key(struct fake_store *fake, enum fake_call call,
                            enum fake_moment moment, const char *key)
{
    mutex_lock(&fake->lock);
    open_key_gates(fake, call, moment, key);
    mutex_unlock(&fake->lock);
}

void fake_store_pass(struct fake_store *fake, enum fake_call call,
                     enum fake_moment moment, unsigned n)
{
    mutex_lock(&fake->lock);
    fake->gates[call][moment].passes += n;
    cond_broadcast(&fake->changed);
    mutex_unlock(&fake->lock);
}

/* Waits until '*number', which the lock guards, is at least 'n'. */
static void wait_for(struct fake_store *fake, const unsigned *number,
                     unsigned n)
{
    const int64_t deadline_us = clock_real_us() + WAIT_US;

    mutex_lock(&fake->lock);
    while (*number < n) {
        if (!cond_wait_until(&fake->changed, &fake->lock, deadline_us)) {
            log_fatal("fake_store: waited in vain for=%u there=%u", n, *number);
        }
    }
    mutex_unlock(&fake->lock);
}

void fake_store_wait_held(struct fake_store *fake, enum fake_call call,
                          enum fake_moment moment, unsigned n)
{
    wait_for(fake, &fake->gates[call][moment].held, n);
}

/* ---- failures and counts ---- */

void fake_store_fail(struct fake_store *fake, enum fake_call call,
                     const char *key, unsigned n, enum err err)
{
    size_t i = 0;

    mutex_lock(&fake->lock);
    while (i < FAKE_FAILURES_MAX && fake->failures[i].left > 0) {
        i++;
    }
    if (i == FAKE_FAILURES_MAX) {
        log_fatal("fake_store: too many failures are waiting");
    }
    fake->failures[i] = (struct fake_failure){
        .left = n,
        .call = call,
        .key = key == NULL || n == 0 ? NULL : xstrdup(key),
        .err = err,
    };
    mutex_unlock(&fake->lock);
}

void fake_store_forgive(struct fake_store *fake)
{
    mutex_lock(&fake->lock);
    for (size_t i = 0; i < FAKE_FAILURES_MAX; i++) {
        free(fake->failures[i].key);
        fake->failures[i] = (struct fake_failure){0};
    }
    mutex_unlock(&fake->lock);
}

void fake_store_set_checkpoint_due(struct fake_store *fake, bool due)
{
    mutex_lock(&fake->lock);
    fake->checkpoint_due = due;
    mutex_unlock(&fake->lock);
}

unsigned fake_store_calls(struct fake_store *fake, enum fake_call call)
{
    mutex_lock(&fake->lock);
    const unsigned calls = fake->calls[call];
    mutex_unlock(&fake->lock);
    return calls;
}

unsigned fake_store_reads(struct fake_store *fake, const char *key)
{
    mutex_lock(&fake->lock);
    const struct tally *tally = (const struct tally *)fake_list_find(
        &fake->reads, slice_from_string(key));
    const unsigned count = tally == NULL ? 0 : tally->count;
    mutex_unlock(&fake->lock);
    return count;
}

void fake_store_wait_calls(struct fake_store *fake, enum fake_call call,
                           unsigned n)
{
    wait_for(fake, &fake->calls[call], n);
}

unsigned fake_store_group(struct fake_store *fake)
{
    mutex_lock(&fake->lock);
    const unsigned group = fake->group;
    mutex_unlock(&fake->lock);
    return group;
}
