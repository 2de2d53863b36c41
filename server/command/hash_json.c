/* SPDX-License-Identifier: MIT */
#include "server/command/hash_json.h"

#include "common/mem.h"
#include "server/command/names.h"

/* What a byte can become: "\\u001f". */
#define BYTES_PER_BYTE 6
/* Quotes, colon and comma of a member, or null in place of a value. */
#define BYTES_PER_MEMBER 16

/* Adds the room that a member may need; false if that is no number. */
static bool add_room(size_t *room, struct slice name, struct slice value)
{
    size_t bytes;

    return !__builtin_add_overflow(name.size, value.size, &bytes) &&
           !__builtin_mul_overflow(bytes, BYTES_PER_BYTE, &bytes) &&
           !__builtin_add_overflow(bytes, BYTES_PER_MEMBER, &bytes) &&
           !__builtin_add_overflow(*room, bytes, room);
}

static bool reserve(struct buf *json, size_t room)
{
    return buf_try_reserve(json, room + BYTES_PER_MEMBER) != NULL;
}

static void add(struct buf *json, bool is_first, struct slice name,
                struct slice value)
{
    if (!is_first) {
        buf_append_char(json, ',');
    }
    buf_append_json(json, name);
    buf_append_char(json, ':');
    if (value.data == NULL) {
        buf_append_string(json, "null");
    } else {
        buf_append_json(json, value);
    }
}

enum err hash_json_all(struct fields fields, struct buf *json)
{
    struct fields all = fields;
    struct slice name;
    struct slice value;
    size_t room = 0;
    bool is_first = true;

    while (fields_next(&all, &name, &value)) {
        if (!add_room(&room, name, value)) {
            return ERR_NOMEM;
        }
    }
    if (!reserve(json, room)) {
        return ERR_NOMEM;
    }
    buf_append_char(json, '{');
    while (fields_next(&fields, &name, &value)) {
        add(json, is_first, name, value);
        is_first = false;
    }
    buf_append_char(json, '}');
    return ERR_OK;
}

/* The values stand where their names do first. */
static enum err append_some(const struct names *names,
                            const struct slice *values, struct buf *json)
{
    size_t room = 0;

    for (size_t i = 0; i < names->n; i++) {
        if (!add_room(&room, names->list[i], values[i])) {
            return ERR_NOMEM;
        }
    }
    if (!reserve(json, room)) {
        return ERR_NOMEM;
    }
    buf_append_char(json, '{');
    for (size_t i = 0; i < names->n; i++) {
        if (names_find(names, names->list[i]) == i) {
            add(json, i == 0, names->list[i], values[i]);
        }
    }
    buf_append_char(json, '}');
    return ERR_OK;
}

enum err hash_json_some(struct fields fields, const struct slice *names,
                        size_t n, struct buf *json)
{
    struct slice *values = try_malloc(n * sizeof *values);
    struct names all;

    if (values == NULL || !names_init(&all, names, n, 1)) {
        free(values);
        return ERR_NOMEM;
    }
    memset(values, 0, n * sizeof *values);
    names_pick(&all, fields, values);
    const enum err err = append_some(&all, values, json);
    names_destroy(&all);
    free(values);
    return err;
}
