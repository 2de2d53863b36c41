/* SPDX-License-Identifier: MIT */
/*
 * A field that is there keeps its place; new ones follow in the order in which
 * they were given, as in a small hash of Redis.
 */
#include "server/command/hash_edit.h"

#include "common/mem.h"
#include "server/command/names.h"
#include "server/lookup/hash_value.h"

#include <assert.h>
#include <string.h>

#define TOO_LARGE "ERR hash exceeds maximum allowed size (proto-max-bulk-len)"

/* What a command gives: 'values' has the last value of each name at the place
 * where the name came first; no data: it was used. */
struct given {
    struct names names;
    struct slice *values;
};

static bool given_init(struct given *given, const struct update *update)
{
    const size_t n = update->n_fields / 2;

    if (!names_init(&given->names, update->fields, n, 2)) {
        return false;
    }
    given->values = try_malloc(n * sizeof given->values[0]);
    if (given->values == NULL) {
        names_destroy(&given->names);
        return false;
    }
    memset(given->values, 0, n * sizeof given->values[0]);
    for (size_t i = 0; i < n; i++) {
        const struct slice name = update->fields[2 * i];
        const struct slice value = update->fields[2 * i + 1];
        given->values[names_find(&given->names, name)] =
            value.data == NULL ? SLICE("") : value;
    }
    return true;
}

static void given_destroy(struct given *given)
{
    names_destroy(&given->names);
    free(given->values);
}

/* Room for the hash that 'now' is and all that 'update' gives; NULL without
 * memory. */
static char *reserve(const struct present *now, const struct update *update,
                     struct buf *room)
{
    size_t bytes = HASH_VALUE_HEAD_BYTES + now->bytes.size;

    for (size_t i = 0; i < update->n_fields; i++) {
        bytes += update->fields[i].size + HASH_VALUE_FIELD_BYTES;
    }
    return buf_try_reserve(room, bytes);
}

/* Is each of the names and values one that a hash can have? */
static bool are_small(const struct update *update, size_t max_bytes)
{
    for (size_t i = 0; i < update->n_fields; i++) {
        if (update->fields[i].size > max_bytes ||
            update->fields[i].size > HASH_VALUE_MAX) {
            return false;
        }
    }
    return true;
}

/* The key becomes the hash in 'room'. */
static enum err become(const struct present *now, struct update *update,
                       const struct buf *room)
{
    update->op = STORE_PUT_PLAIN;
    update->type = PLAIN_HASH;
    update->value = buf_slice(room);
    update->expires_ms = now->expires_ms;
    update->fields = NULL;
    update->n_fields = 0;
    return ERR_OK;
}

/* ---- going through a hash ---- */

/* Fields that stay as they are are copied together. */
struct walk {
    struct slice rest; /* Behind the field that was told last. */
    const char *run;   /* Where those begin that are not copied yet … */
    size_t n;          /* … and how many they are. */
};

static struct walk walk_begin(const struct present *now, struct buf *room)
{
    struct walk walk = {.rest = now->kind == COPY_HASH
                                    ? hash_value_fields(now->bytes)
                                    : SLICE("")};

    walk.run = walk.rest.data;
    hash_value_begin(room);
    return walk;
}

/* Copies what stands before 'end', and goes on behind the last field. */
static void walk_copy(struct walk *walk, const char *end, struct buf *room)
{
    if (walk->n > 0) {
        hash_value_add_run(
            room, slice_make(walk->run, (size_t)(end - walk->run)), walk->n);
    }
    walk->run = walk->rest.data;
    walk->n = 0;
}

/* Goes on to the next field that 'names' has, at '*place' there, and copies all
 * before it; false, and all is copied, at the end. */
static bool walk_to(struct walk *walk, const struct names *names, size_t *place,
                    struct buf *room)
{
    const char *at = walk->rest.data;
    struct slice name;
    struct slice value;

    while (hash_value_next(&walk->rest, &name, &value)) {
        *place = names_find(names, name);
        if (*place < names->n) {
            walk_copy(walk, at, room);
            return true;
        }
        walk->n++;
        at = walk->rest.data;
    }
    walk_copy(walk, at, room);
    return false;
}

/* ---- the interface ---- */

enum err hash_edit_set(struct decision *d, const struct present *now,
                       size_t max_bytes, struct update *update,
                       struct buf *room, int64_t *n_new)
{
    struct given given;
    size_t place;

    assert(now->kind == COPY_HASH || now->kind == COPY_NEGATIVE);
    *n_new = 0;
    if (!are_small(update, max_bytes)) {
        return decision_refuse(d, update, TOO_LARGE);
    }
    if (reserve(now, update, room) == NULL || !given_init(&given, update)) {
        return decision_refuse(d, update, DECISION_NO_MEMORY);
    }
    struct walk walk = walk_begin(now, room);
    while (walk_to(&walk, &given.names, &place, room)) {
        /* A hash that somebody else has made may name a field twice. */
        if (given.values[place].data != NULL) {
            hash_value_add(room, update->fields[2 * place],
                           given.values[place]);
        }
        given.values[place] = (struct slice){0};
    }
    for (size_t i = 0; i < given.names.n; i++) {
        if (given.values[i].data != NULL) {
            hash_value_add(room, update->fields[2 * i], given.values[i]);
            *n_new += 1;
        }
    }
    given_destroy(&given);
    return room->size > max_bytes ? decision_refuse(d, update, TOO_LARGE)
                                  : become(now, update, room);
}

enum err hash_edit_delete(struct decision *d, const struct present *now,
                          struct update *update, struct buf *room,
                          int64_t *n_gone)
{
    struct names names;
    size_t place;

    assert(now->kind == COPY_HASH || now->kind == COPY_NEGATIVE);
    *n_gone = 0;
    if (buf_try_reserve(room, HASH_VALUE_HEAD_BYTES + now->bytes.size) ==
            NULL ||
        !names_init(&names, update->fields, update->n_fields, 1)) {
        return decision_refuse(d, update, DECISION_NO_MEMORY);
    }
    struct walk walk = walk_begin(now, room);
    while (walk_to(&walk, &names, &place, room)) {
        *n_gone += 1;
    }
    names_destroy(&names);
    if (*n_gone == 0) {
        return decision_nothing(update);
    }
    (void)become(now, update, room);
    if (hash_value_count(buf_slice(room)) == 0) {
        update->op = STORE_DELETE_PLAIN;
        update->value = SLICE("");
    }
    return ERR_OK;
}
