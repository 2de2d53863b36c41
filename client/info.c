/* SPDX-License-Identifier: MIT */
#include "client/info.h"

#include "client/session.h"
#include "common/mem.h"

static void add(struct info *info, struct slice name, struct slice value)
{
    if (info->count == info->capacity) {
        info->capacity = info->capacity * 2 + 64;
        info->fields =
            xrealloc(info->fields, info->capacity * sizeof(*info->fields));
    }
    info->fields[info->count++] =
        (struct info_field){.name = name, .value = value};
}

static void parse_line(struct info *info, struct slice line)
{
    const char *colon = memchr(line.data, ':', line.size);

    if (line.size > 0 && line.data[line.size - 1] == '\r') {
        line.size--;
    }
    if (colon == NULL || line.data[0] == '#') {
        return;
    }
    const size_t size = (size_t)(colon - line.data);
    add(info, slice_make(line.data, size),
        slice_make(colon + 1, line.size - size - 1));
}

void info_parse(struct info *info, struct slice text)
{
    const char *at;
    const char *end;

    buf_clear(&info->text);
    buf_append_slice(&info->text, text);
    info->count = 0;
    at = buf_slice(&info->text).data;
    end = at + text.size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop != NULL ? stop : end;
        if (stop > at) {
            parse_line(info, slice_make(at, (size_t)(stop - at)));
        }
        at = stop + 1;
    }
}

enum status info_fetch(struct info *info, struct session *session)
{
    struct reply *reply = session_ask(session, "INFO", NULL);
    const enum status status = session_check(session, reply);

    if (status == STATUS_OK) {
        info_parse(info, reply_text(reply));
    }
    reply_free(reply);
    return status;
}

void info_destroy(struct info *info)
{
    buf_destroy(&info->text);
    free(info->fields);
    *info = (struct info){0};
}

struct slice info_text(const struct info *info, const char *name)
{
    for (size_t i = 0; i < info->count; i++) {
        if (slice_equal(info->fields[i].name, slice_from_string(name))) {
            return info->fields[i].value;
        }
    }
    return SLICE("");
}

int64_t info_number(const struct info *info, const char *name)
{
    int64_t value = 0;

    return slice_to_int64(info_text(info, name), &value) ? value : 0;
}

/* True if 's' is a number as JSON spells them: an integer, or one with digits
 * behind a point. */
static bool is_number(struct slice s)
{
    const char *point = memchr(s.data, '.', s.size);
    struct slice whole = s;
    int64_t value;

    if (point != NULL) {
        whole.size = (size_t)(point - s.data);
        const struct slice digits =
            slice_make(point + 1, s.size - whole.size - 1);
        for (size_t i = 0; i < digits.size; i++) {
            if (digits.data[i] < '0' || digits.data[i] > '9') {
                return false;
            }
        }
        if (digits.size == 0) {
            return false;
        }
    }
    return slice_to_int64(whole, &value);
}

void info_json(const struct info *info, struct buf *b)
{
    for (size_t i = 0; i < info->count; i++) {
        const struct info_field *field = &info->fields[i];
        buf_append_string(b, i == 0 ? "{\n  " : ",\n  ");
        buf_append_json(b, field->name);
        buf_append_string(b, ": ");
        if (is_number(field->value)) {
            buf_append_slice(b, field->value);
        } else {
            buf_append_json(b, field->value);
        }
    }
    buf_append_string(b, info->count == 0 ? "{}\n" : "\n}\n");
}
