/* SPDX-License-Identifier: MIT */
/*
 * Durations and sizes are a whole number and a unit from a table; a choice is
 * a word's place in a list.
 */
#include "server/admin/config_scalar.h"

#include "server/admin/config_events.h"

#include <assert.h>
#include <stdlib.h>

struct unit {
    const char *name;
    int64_t factor; /* In the unit the kind is kept in. */
    bool printed;   /* False: only read. */
};

/* Smallest first, as is the next. */
static const struct unit duration_units[] = {
    {"us", 1, true},
    {"ms", 1000, true},
    {"s", 1000000, true},
    {"m", INT64_C(60000000), true},
    {"h", INT64_C(3600000000), true},
    {"d", INT64_C(86400000000), true},
    {NULL, 0, false},
};

/* Without the 'b', powers of 1000.  Source: Redis, memtoull(). */
static const struct unit size_units[] = {
    {"b", 1, true},
    {"k", 1000, false},
    {"kb", INT64_C(1) << 10, true},
    {"m", 1000000, false},
    {"mb", INT64_C(1) << 20, true},
    {"g", 1000000000, false},
    {"gb", INT64_C(1) << 30, true},
    {"tb", INT64_C(1) << 40, true},
    {NULL, 0, false},
};

static const char switch_words[] = "no yes";

/* Millionths in one percent, and the decimals that leaves. */
#define PERCENT 10000
#define PERCENT_DECIMALS 4

/* ---- parsing ---- */

/* Reads digits in base 'base' at the front of '*s' and drops them from it.
 * Numbers too big become INT64_MAX, which no bound permits. */
static bool take_digits(struct slice *s, int base, int64_t *number)
{
    size_t i = 0;
    int64_t n = 0;
    bool too_big = false;
    for (; i < s->size; i++) {
        const int digit = s->data[i] - '0';
        if (digit < 0 || digit >= base) {
            break;
        }
        too_big = too_big || __builtin_mul_overflow(n, base, &n) ||
                  __builtin_add_overflow(n, digit, &n);
    }
    if (i == 0) {
        return false;
    }
    *s = slice_make(s->data + i, s->size - i);
    *number = too_big ? INT64_MAX : n;
    return true;
}

/* What one of the unit 'name' is; 0 if there is no such unit. */
static int64_t find_factor(const struct unit *u, struct slice name)
{
    while (u->name != NULL &&
           !slice_equal_nocase(name, slice_from_string(u->name))) {
        u++;
    }
    return u->factor;
}

static bool parse_units(const struct config_directive *d,
                        const struct unit *units, struct slice text,
                        int64_t *number)
{
    int64_t n;
    if (!take_digits(&text, 10, &n)) {
        return false;
    }
    const int64_t factor = text.size > 0 ? find_factor(units, text)
                           : n == 0      ? 1 /* Zero of any unit. */
                                         : d->bare;
    if (factor == 0) {
        return false;
    }
    *number = __builtin_mul_overflow(n, factor, &n) ? INT64_MAX : n;
    return true;
}

/* "5%", "0.1%", "0". */
static bool parse_percent(struct slice text, int64_t *number)
{
    int64_t whole;
    int64_t part = 0;
    if (!take_digits(&text, 10, &whole)) {
        return false;
    }
    if (text.size > 0 && text.data[0] == '.') {
        text = slice_make(text.data + 1, text.size - 1);
        size_t decimals = text.size;
        if (!take_digits(&text, 10, &part)) {
            return false;
        }
        decimals -= text.size;
        if (decimals > PERCENT_DECIMALS) {
            return false;
        }
        for (; decimals < PERCENT_DECIMALS; decimals++) {
            part *= 10;
        }
    }
    const bool bare_zero = text.size == 0 && whole == 0 && part == 0;
    if (!bare_zero && !slice_equal(text, SLICE("%"))) {
        return false;
    }
    if (__builtin_mul_overflow(whole, PERCENT, &whole) ||
        __builtin_add_overflow(whole, part, &whole)) {
        whole = INT64_MAX;
    }
    *number = whole;
    return true;
}

/* A share of something, "5%", is kept as a negative number of millionths, where
 * the bounds allow that. */
static bool parse_size(const struct config_directive *d, struct slice text,
                       int64_t *number)
{
    const bool is_share =
        d->min < 0 && text.size > 0 && text.data[text.size - 1] == '%';

    if (!is_share) {
        return parse_units(d, size_units, text, number);
    }
    if (!parse_percent(text, number)) {
        return false;
    }
    *number = -*number;
    return true;
}

/* Takes the first of the words in '*words', which have a space between. */
static bool take_word(const char **words, struct slice *word)
{
    if (**words == '\0') {
        return false;
    }
    *word = slice_make(*words, strcspn(*words, " "));
    *words += word->size;
    *words += **words == ' ';
    return true;
}

static bool parse_choice(const char *choices, struct slice text,
                         int64_t *number)
{
    struct slice word;
    for (int64_t i = 0; take_word(&choices, &word); i++) {
        if (slice_equal_nocase(text, word)) {
            *number = i;
            return true;
        }
    }
    return false;
}

static bool parse(const struct config_directive *d, struct slice text,
                  int64_t *number)
{
    switch (d->kind) {
    case CONFIG_INTEGER:
        return slice_to_int64(text, number);
    case CONFIG_DURATION:
        return parse_units(d, duration_units, text, number);
    case CONFIG_SIZE:
        return parse_size(d, text, number);
    case CONFIG_PERCENT:
        return parse_percent(text, number);
    case CONFIG_SWITCH:
        return parse_choice(switch_words, text, number);
    case CONFIG_CHOICE:
        return parse_choice(d->choices, text, number);
    case CONFIG_MODE:
        return take_digits(&text, 8, number) && text.size == 0;
    case CONFIG_EVENTS:
        return config_events_parse(text, number);
    case CONFIG_STRING:
    case CONFIG_WORDS:
    case CONFIG_PERCENTILES:
    case CONFIG_TABLES:
    case CONFIG_LIMITS:
    case CONFIG_USERS:
        break;
    }
    abort();
}

enum err config_scalar_parse(const struct config_directive *d,
                             struct slice text, int64_t *number)
{
    int64_t n;
    if (!parse(d, text, &n)) {
        return ERR_INVALID;
    }
    if (d->kind != CONFIG_CHOICE && (n < d->min || n > d->max)) {
        return ERR_RANGE;
    }
    *number = n;
    return ERR_OK;
}

/* ---- formatting ---- */

static void format_units(const struct unit *units, int64_t number,
                         struct buf *out)
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (u->printed && number % u->factor == 0) {
            best = u;
        }
    }
    buf_append_int64(out, number / best->factor);
    buf_append_string(out, best->name);
}

static void format_percent(int64_t number, struct buf *out)
{
    buf_append_int64(out, number / PERCENT);
    int64_t part = number % PERCENT;
    if (part != 0) {
        buf_append_char(out, '.');
    }
    for (int64_t place = PERCENT / 10; place > 0 && part > 0; place /= 10) {
        buf_append_int64(out, part / place);
        part %= place;
    }
    buf_append_char(out, '%');
}

static void format_choice(const char *choices, int64_t index, struct buf *out)
{
    struct slice word = SLICE("");
    for (int64_t i = 0; i <= index && take_word(&choices, &word); i++) {
    }
    buf_append_slice(out, word);
}

void config_scalar_format(const struct config_directive *d, int64_t number,
                          struct buf *out)
{
    switch (d->kind) {
    case CONFIG_INTEGER:
        buf_append_int64(out, number);
        return;
    case CONFIG_DURATION:
        if (number == 0) { /* It fits every unit; this reads best. */
            buf_append_string(out, "0s");
            return;
        }
        format_units(duration_units, number, out);
        return;
    case CONFIG_SIZE:
        if (number == 0) {
            buf_append_string(out, "0b");
            return;
        }
        if (number < 0) {
            format_percent(-number, out);
            return;
        }
        format_units(size_units, number, out);
        return;
    case CONFIG_PERCENT:
        format_percent(number, out);
        return;
    case CONFIG_SWITCH:
        format_choice(switch_words, number, out);
        return;
    case CONFIG_CHOICE:
        format_choice(d->choices, number, out);
        return;
    case CONFIG_MODE:
        buf_printf(out, "%llo", (unsigned long long)number);
        return;
    case CONFIG_EVENTS:
        config_events_format(number, out);
        return;
    case CONFIG_STRING:
    case CONFIG_WORDS:
    case CONFIG_PERCENTILES:
    case CONFIG_TABLES:
    case CONFIG_LIMITS:
    case CONFIG_USERS:
        break;
    }
    abort();
}
