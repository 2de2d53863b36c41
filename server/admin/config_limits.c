/* SPDX-License-Identifier: MIT */
#include "server/admin/config_limits.h"

#include "common/mem.h"
#include "server/admin/config_scalar.h"
#include "server/admin/config_text.h"

#include <assert.h>

#define US_PER_S INT64_C(1000000)

static const char *const class_names[CONFIG_LIMITS_CLASSES] = {
    [CONFIG_LIMITS_NORMAL] = "normal",
    [CONFIG_LIMITS_REPLICA] = "replica",
    [CONFIG_LIMITS_PUBSUB] = "pubsub",
};

/* What the three numbers of a class are. */
static const struct config_directive bytes = {
    .kind = CONFIG_SIZE, .min = 0, .max = INT64_C(1) << 50, .bare = 1};
static const struct config_directive seconds = {
    .kind = CONFIG_INTEGER, .min = 0, .max = INT32_MAX};

static bool take_word(struct slice *text, struct slice *word)
{
    size_t begin = 0;
    while (begin < text->size && text->data[begin] == ' ') {
        begin++;
    }
    size_t end = begin;
    while (end < text->size && text->data[end] != ' ') {
        end++;
    }
    *word = slice_make(text->data + begin, end - begin);
    *text = slice_make(text->data + end, text->size - end);
    return word->size > 0;
}

static size_t find_class(struct slice word)
{
    size_t i = 0;

    if (slice_equal_nocase(word, SLICE("slave"))) {
        return CONFIG_LIMITS_REPLICA;
    }
    while (i < CONFIG_LIMITS_CLASSES &&
           !slice_equal_nocase(word, slice_from_string(class_names[i]))) {
        i++;
    }
    return i;
}

/* Reads the next word as a number of the kind of 'd'. */
static bool take_number(struct slice *text, const struct config_directive *d,
                        int64_t *number, struct buf *detail)
{
    struct slice word;

    if (!take_word(text, &word)) {
        buf_append_string(detail,
                          "client-output-buffer-limit: a class of clients "
                          "takes three numbers: hard limit, soft limit, "
                          "seconds");
        return false;
    }
    if (config_scalar_parse(d, word, number) != ERR_OK) {
        buf_append_string(detail, "client-output-buffer-limit: ");
        config_text_show(word, detail);
        buf_append_string(detail, d->kind == CONFIG_SIZE
                                      ? " is not a size, as in 64kb 256mb 2gb"
                                      : " is not a number of seconds");
        return false;
    }
    return true;
}

static bool take_class(struct config_limits *all, struct slice *text,
                       struct slice name, struct buf *detail)
{
    const size_t class = find_class(name);
    struct config_limit limit;

    if (class == CONFIG_LIMITS_CLASSES) {
        buf_append_string(detail, "client-output-buffer-limit: ");
        config_text_show(name, detail);
        buf_append_string(detail,
                          " is not one of normal, replica, slave, pubsub");
        return false;
    }
    if (!take_number(text, &bytes, &limit.hard_bytes, detail) ||
        !take_number(text, &bytes, &limit.soft_bytes, detail) ||
        !take_number(text, &seconds, &limit.soft_us, detail)) {
        return false;
    }
    limit.soft_us *= US_PER_S;
    all->said[class] = true;
    all->limits[class] = limit;
    return true;
}

enum err config_limits_apply(struct config_limits *all, const char *text,
                             struct buf *detail)
{
    struct config_limits sum = *all;
    struct slice rest = slice_from_string(text);
    struct slice name;

    while (take_word(&rest, &name)) {
        if (!take_class(&sum, &rest, name, detail)) {
            return ERR_INVALID;
        }
    }
    *all = sum;
    return ERR_OK;
}

void config_limits_apply_own(struct config_limits *all, const char *text)
{
    struct buf detail = {0};
    const enum err err = config_limits_apply(all, text, &detail);

    assert(err == ERR_OK);
    (void)err;
    buf_destroy(&detail);
}

static void append_size(int64_t number, struct buf *out)
{
    buf_append_char(out, ' ');
    if (number == 0) {
        buf_append_char(out, '0'); /* As people write it here. */
    } else {
        config_scalar_format(&bytes, number, out);
    }
}

void config_limits_format(const struct config_limits *all, struct buf *out)
{
    const char *between = "";

    for (size_t i = 0; i < CONFIG_LIMITS_CLASSES; i++) {
        const struct config_limit *limit = &all->limits[i];
        if (all->said[i]) {
            buf_printf(out, "%s%s", between, class_names[i]);
            append_size(limit->hard_bytes, out);
            append_size(limit->soft_bytes, out);
            buf_printf(out, " %lld", (long long)(limit->soft_us / US_PER_S));
            between = " ";
        }
    }
}

void config_limits_format_redis(const struct config_limits *all,
                                struct buf *out)
{
    for (size_t i = 0; i < CONFIG_LIMITS_CLASSES; i++) {
        const struct config_limit *limit = &all->limits[i];
        buf_printf(out, "%s%s %lld %lld %lld", i == 0 ? "" : " ",
                   i == CONFIG_LIMITS_REPLICA ? "slave" : class_names[i],
                   (long long)limit->hard_bytes, (long long)limit->soft_bytes,
                   (long long)(limit->soft_us / US_PER_S));
    }
}

char *config_limits_sum(const char *now, const char *change)
{
    struct config_limits all = {0};
    struct buf text = {0};

    config_limits_apply_own(&all, now);
    config_limits_apply_own(&all, change);
    config_limits_format(&all, &text);
    char *sum = xslicedup(buf_slice(&text));
    buf_destroy(&text);
    return sum;
}
