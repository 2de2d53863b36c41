/* SPDX-License-Identifier: MIT */
#include "server/admin/config_layout.h"

#include "server/admin/config_text.h"

/* ---- keys ---- */

static enum err refuse_key(struct slice text, const char *why,
                           struct buf *detail)
{
    buf_append_string(detail, "key ");
    config_text_show(text, detail);
    buf_printf(detail, " %s", why);
    return ERR_INVALID;
}

/* Takes "{column}text" off the front of '*rest'; returns what is wrong with
 * it, or NULL. */
static const char *take_key(struct slice *rest, struct layout_key *key)
{
    if (rest->data[0] != '{') {
        return "begins with fixed text, which belongs into the prefix";
    }
    const char *end = memchr(rest->data, '}', rest->size);
    if (end == NULL) {
        return "lacks a closing brace; write it as {column}:{column}";
    }
    key->column = slice_make(rest->data + 1, (size_t)(end - rest->data) - 1);
    if (key->column.size == 0) {
        return "has braces without a column in them";
    }
    if (memchr(key->column.data, '{', key->column.size) != NULL) {
        return "has a brace inside braces";
    }
    const char *after = end + 1;
    const size_t left = rest->size - (size_t)(after - rest->data);
    const char *next = left == 0 ? NULL : memchr(after, '{', left);
    const size_t size = next == NULL ? left : (size_t)(next - after);
    key->after = slice_make(after, size);
    if (size > 0 && memchr(after, '}', size) != NULL) {
        return "has a closing brace that none opens";
    }
    if (size == 0 && next != NULL) {
        return "has two columns with nothing between them, so that nobody "
               "can tell where the first one ends; write {a}:{b}";
    }
    *rest = slice_make(after + size, left - size);
    return NULL;
}

static bool has_column(const struct layout_key *keys, size_t n,
                       struct slice column)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_equal_nocase(keys[i].column, column)) {
            return true;
        }
    }
    return false;
}

enum err layout_parse_key(struct slice text,
                          struct layout_key keys[LAYOUT_KEYS_MAX],
                          size_t *n_keys, struct buf *detail)
{
    struct slice rest = text;
    size_t n = 0;

    if (text.size == 0) {
        return refuse_key(text, "names no column", detail);
    }
    if (memchr(text.data, '{', text.size) == NULL &&
        memchr(text.data, '}', text.size) == NULL) {
        keys[0] = (struct layout_key){.column = text, .after = SLICE("")};
        *n_keys = 1;
        return ERR_OK;
    }
    while (rest.size > 0) {
        if (n == LAYOUT_KEYS_MAX) {
            buf_printf(detail, "key has more than %d columns", LAYOUT_KEYS_MAX);
            return ERR_INVALID;
        }
        const char *wrong = take_key(&rest, &keys[n]);
        if (wrong == NULL && has_column(keys, n, keys[n].column)) {
            wrong = "names a column twice";
        }
        if (wrong != NULL) {
            return refuse_key(text, wrong, detail);
        }
        n++;
    }
    *n_keys = n;
    return ERR_OK;
}

/* ---- columns ---- */

bool layout_next_column(struct slice *rest, struct slice *column)
{
    if (rest->data == NULL) {
        return false;
    }
    const char *comma =
        rest->size == 0 ? NULL : memchr(rest->data, ',', rest->size);
    const size_t size =
        comma == NULL ? rest->size : (size_t)(comma - rest->data);

    *column = slice_make(rest->data, size);
    *rest = comma == NULL ? slice_make(NULL, 0)
                          : slice_make(comma + 1, rest->size - size - 1);
    return true;
}

enum err layout_check_columns(struct slice text, struct buf *detail)
{
    struct slice rest = text;
    struct slice column;

    while (layout_next_column(&rest, &column)) {
        struct slice others = rest;
        struct slice other;
        if (column.size == 0) {
            buf_append_string(detail, "columns ");
            config_text_show(text, detail);
            buf_append_string(detail, " has an empty name; write "
                                      "columns a,b,c without spaces");
            return ERR_INVALID;
        }
        while (layout_next_column(&others, &other)) {
            if (slice_equal_nocase(column, other)) {
                buf_append_string(detail, "columns names ");
                config_text_show(column, detail);
                buf_append_string(detail, " twice");
                return ERR_INVALID;
            }
        }
    }
    return ERR_OK;
}
