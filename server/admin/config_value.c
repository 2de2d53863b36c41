/* SPDX-License-Identifier: MIT */
/*
 * One value at a time: from text, to text, and in words for people.
 *
 * Durations, sizes and percentages are a whole number and a unit; each of
 * these kinds is a table of units, smallest first.
 */
#include "server/admin/config_value.h"

#include "common/mem.h"

#include <assert.h>

struct unit {
    const char *name;
    int64_t factor; /* In the unit the kind is kept in. */
    bool printed;   /* False: only read. */
};

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

/* Millionths in one percent, and how many decimals that leaves. */
#define PERCENT 10000
#define PERCENT_DECIMALS 4

/* Bytes of a refused value that an error repeats. */
#define SHOWN_MAX 64

void config_value_destroy(struct config_value *value)
{
    free(value->text);
    value->text = NULL;
}

bool config_value_is_text(const struct config_directive *d)
{
    return d->kind == CONFIG_STRING || d->kind == CONFIG_WORDS;
}

bool config_value_equal(const struct config_value *a,
                        const struct config_value *b)
{
    if (a->text == NULL || b->text == NULL) {
        return a->text == b->text && a->number == b->number;
    }
    return strcmp(a->text, b->text) == 0;
}

static const struct unit *units_of(const struct config_directive *d)
{
    assert(d->kind == CONFIG_DURATION || d->kind == CONFIG_SIZE);
    return d->kind == CONFIG_DURATION ? duration_units : size_units;
}

/* ---- quoting ---- */

static bool is_plain(char c)
{
    return (unsigned char)c > ' ' && c != '"' && c != '\\' && c != 0x7f;
}

void config_value_quote(struct slice s, struct buf *out)
{
    bool plain = s.size > 0 && s.data[0] != '#';
    for (size_t i = 0; plain && i < s.size; i++) {
        plain = is_plain(s.data[i]);
    }
    if (plain) {
        buf_append_slice(out, s);
        return;
    }
    buf_append_char(out, '"');
    for (size_t i = 0; i < s.size; i++) {
        const char c = s.data[i];
        if (is_plain(c) || c == ' ') {
            buf_append_char(out, c);
        } else if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", c);
        } else if (c == '\n') {
            buf_append_string(out, "\\n");
        } else if (c == '\t') {
            buf_append_string(out, "\\t");
        } else {
            buf_printf(out, "\\x%02x", (unsigned)(unsigned char)c);
        }
    }
    buf_append_char(out, '"');
}

/* Appends 's' in quotes, cut to what fits into an error. */
static void show(struct slice s, struct buf *out)
{
    struct buf quoted = {0};
    const bool cut = s.size > SHOWN_MAX;
    if (cut) {
        s.size = SHOWN_MAX;
    }
    config_value_quote(s, &quoted);
    if (quoted.size > 0 && buf_data(&quoted)[0] == '"') {
        buf_append_slice(out, buf_slice(&quoted));
    } else {
        buf_printf(out, "\"%s\"", buf_string(&quoted));
    }
    if (cut) {
        buf_append_string(out, "...");
    }
    buf_destroy(&quoted);
}

/* ---- parsing ---- */

/* The sentence that every refusal is made of: "name: "text" is not …". */
static enum err refuse(const struct config_directive *d, struct slice text,
                       enum err err, struct buf *detail)
{
    buf_printf(detail, "%s: ", d->name);
    show(text, detail);
    buf_append_string(detail, " is not ");
    config_value_describe(d, detail);
    return err;
}

/* A number was right in itself: is it within the bounds? */
static enum err accept(const struct config_directive *d, struct slice text,
                       int64_t number, struct config_value *value,
                       struct buf *detail)
{
    if (number < d->min || number > d->max) {
        return refuse(d, text, ERR_RANGE, detail);
    }
    *value = (struct config_value){.number = number};
    return ERR_OK;
}

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

static enum err parse_units(const struct config_directive *d, struct slice text,
                            struct config_value *value, struct buf *detail)
{
    struct slice rest = text;
    int64_t n;
    if (!take_digits(&rest, 10, &n)) {
        return refuse(d, text, ERR_INVALID, detail);
    }
    int64_t factor = rest.size == 0 && n != 0 ? d->bare : 1;
    if (rest.size > 0) {
        const struct unit *u = units_of(d);
        while (u->name != NULL &&
               !slice_equal_nocase(rest, slice_from_string(u->name))) {
            u++;
        }
        factor = u->factor;
    }
    if (factor == 0) {
        const enum err err = refuse(d, text, ERR_INVALID, detail);
        if (rest.size == 0) {
            buf_append_string(detail, "; its unit is missing");
        }
        return err;
    }
    if (__builtin_mul_overflow(n, factor, &n)) {
        n = INT64_MAX;
    }
    return accept(d, text, n, value, detail);
}

/* "5%", "0.1%", "0". */
static enum err parse_percent(const struct config_directive *d,
                              struct slice text, struct config_value *value,
                              struct buf *detail)
{
    struct slice rest = text;
    int64_t whole;
    int64_t part = 0;
    if (!take_digits(&rest, 10, &whole)) {
        return refuse(d, text, ERR_INVALID, detail);
    }
    if (rest.size > 0 && rest.data[0] == '.') {
        rest = slice_make(rest.data + 1, rest.size - 1);
        const size_t before = rest.size;
        if (!take_digits(&rest, 10, &part) ||
            before - rest.size > PERCENT_DECIMALS) {
            return refuse(d, text, ERR_INVALID, detail);
        }
        for (size_t n = before - rest.size; n < PERCENT_DECIMALS; n++) {
            part *= 10;
        }
    }
    const bool bare_zero = rest.size == 0 && whole == 0 && part == 0;
    if (!bare_zero && !slice_equal(rest, SLICE("%"))) {
        return refuse(d, text, ERR_INVALID, detail);
    }
    if (__builtin_mul_overflow(whole, PERCENT, &whole) ||
        __builtin_add_overflow(whole, part, &whole)) {
        whole = INT64_MAX;
    }
    return accept(d, text, whole, value, detail);
}

/* Takes the next of the words in '*words', which are separated by one space. */
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

static enum err parse_choice(const struct config_directive *d,
                             struct slice text, const char *choices,
                             struct config_value *value, struct buf *detail)
{
    struct slice word;
    for (int64_t i = 0; take_word(&choices, &word); i++) {
        if (slice_equal_nocase(text, word)) {
            *value = (struct config_value){.number = i};
            return ERR_OK;
        }
    }
    return refuse(d, text, ERR_INVALID, detail);
}

/* One space between words, none around them. */
static char *normalise_words(struct slice text)
{
    struct buf words = {0};
    bool space = false;
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            space = words.size > 0;
            continue;
        }
        if (space) {
            buf_append_char(&words, ' ');
            space = false;
        }
        buf_append_char(&words, c);
    }
    char *copy = xslicedup(buf_slice(&words));
    buf_destroy(&words);
    return copy;
}

static enum err parse_text(const struct config_directive *d, struct slice text,
                           struct config_value *value, struct buf *detail)
{
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL) {
        return refuse(d, text, ERR_INVALID, detail);
    }
    char *copy =
        d->kind == CONFIG_WORDS ? normalise_words(text) : xslicedup(text);
    const int64_t size = (int64_t)strlen(copy);
    if (size < d->min || size > d->max) {
        free(copy);
        return refuse(d, text, ERR_RANGE, detail);
    }
    *value = (struct config_value){.text = copy};
    return ERR_OK;
}

static enum err parse_integer(const struct config_directive *d,
                              struct slice text, struct config_value *value,
                              struct buf *detail)
{
    int64_t n;
    if (!slice_to_int64(text, &n)) {
        return refuse(d, text, ERR_INVALID, detail);
    }
    return accept(d, text, n, value, detail);
}

static enum err parse_mode(const struct config_directive *d, struct slice text,
                           struct config_value *value, struct buf *detail)
{
    struct slice rest = text;
    int64_t n;
    if (!take_digits(&rest, 8, &n) || rest.size > 0) {
        return refuse(d, text, ERR_INVALID, detail);
    }
    return accept(d, text, n, value, detail);
}

enum err config_value_parse(const struct config_directive *d, struct slice text,
                            struct config_value *value, struct buf *detail)
{
    switch (d->kind) {
    case CONFIG_INTEGER:
        return parse_integer(d, text, value, detail);
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return parse_units(d, text, value, detail);
    case CONFIG_PERCENT:
        return parse_percent(d, text, value, detail);
    case CONFIG_SWITCH:
        return parse_choice(d, text, "no yes", value, detail);
    case CONFIG_CHOICE:
        return parse_choice(d, text, d->choices, value, detail);
    case CONFIG_MODE:
        return parse_mode(d, text, value, detail);
    case CONFIG_STRING:
    case CONFIG_WORDS:
        return parse_text(d, text, value, detail);
    }
    abort();
}

struct config_value config_value_default(const struct config_directive *d)
{
    struct config_value value = {0};
    struct buf detail = {0};
    const enum err err = config_value_parse(
        d, slice_from_string(d->default_text), &value, &detail);
    buf_destroy(&detail);
    assert(err == ERR_OK); /* test_config.c tries each of the table. */
    (void)err;
    return value;
}

/* ---- formatting ---- */

/* Appends 'number' in the largest unit that needs no fraction. */
static void format_units(const struct unit *units, int64_t number,
                         struct buf *out)
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (u->printed && number % u->factor == 0) {
            best = u;
        }
    }
    buf_printf(out, "%lld%s", (long long)(number / best->factor), best->name);
}

static void format_percent(int64_t number, struct buf *out)
{
    buf_printf(out, "%lld", (long long)(number / PERCENT));
    int64_t part = number % PERCENT;
    if (part != 0) {
        buf_append_char(out, '.');
        for (int64_t place = PERCENT / 10; part != 0; place /= 10) {
            buf_append_int64(out, part / place);
            part %= place;
        }
    }
    buf_append_char(out, '%');
}

static void format_choice(const char *choices, int64_t index, struct buf *out)
{
    struct slice word = SLICE("");
    for (int64_t i = 0; i <= index; i++) {
        const bool found = take_word(&choices, &word);
        assert(found);
        (void)found;
    }
    buf_append_slice(out, word);
}

static void format_number(const struct config_directive *d, int64_t number,
                          struct buf *out)
{
    switch (d->kind) {
    case CONFIG_INTEGER:
        buf_append_int64(out, number);
        return;
    case CONFIG_DURATION:
        /* Zero fits every unit; seconds read best. */
        if (number == 0) {
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
        format_units(size_units, number, out);
        return;
    case CONFIG_PERCENT:
        format_percent(number, out);
        return;
    case CONFIG_SWITCH:
        buf_append_string(out, number != 0 ? "yes" : "no");
        return;
    case CONFIG_CHOICE:
        format_choice(d->choices, number, out);
        return;
    case CONFIG_MODE:
        buf_printf(out, "%llo", (unsigned long long)number);
        return;
    case CONFIG_STRING:
    case CONFIG_WORDS:
        break;
    }
    abort();
}

void config_value_format(const struct config_directive *d,
                         const struct config_value *value, struct buf *out)
{
    if (config_value_is_text(d)) {
        buf_append_string(out, value->text);
        return;
    }
    if (value->number == config_value_default(d).number) {
        buf_append_string(out, d->default_text);
        return;
    }
    format_number(d, value->number, out);
}

void config_value_format_redis(const struct config_directive *d,
                               const struct config_value *value,
                               struct buf *out)
{
    if (d->bare != 0 && value->number % d->bare == 0) {
        buf_append_int64(out, value->number / d->bare);
        return;
    }
    config_value_format(d, value, out);
}

/* ---- in words ---- */

/* "never, stale or always". */
static void describe_choice(const char *choices, struct buf *out)
{
    struct slice word;
    for (bool first = true; take_word(&choices, &word); first = false) {
        if (!first) {
            buf_append_string(out, *choices == '\0' ? " or " : ", ");
        }
        buf_append_slice(out, word);
    }
}

/* " from 1ms to 1d". */
static void describe_bounds(const struct config_directive *d, struct buf *out)
{
    buf_append_string(out, " from ");
    format_number(d, d->min, out);
    buf_append_string(out, " to ");
    format_number(d, d->max, out);
}

void config_value_describe(const struct config_directive *d, struct buf *out)
{
    switch (d->kind) {
    case CONFIG_INTEGER:
        if (d->min == d->max) {
            buf_printf(out, "%lld, the only value there is", (long long)d->min);
            return;
        }
        buf_append_string(out, "a whole number");
        describe_bounds(d, out);
        return;
    case CONFIG_DURATION:
        buf_append_string(out, "a duration");
        describe_bounds(d, out);
        buf_append_string(out, d->bare != 0
                                   ? ", in us ms s m h d; without a unit, s"
                                   : ", in us ms s m h d");
        return;
    case CONFIG_SIZE:
        buf_append_string(out, "a size");
        describe_bounds(d, out);
        buf_append_string(out, d->bare != 0
                                   ? ", in b kb mb gb tb; without a unit, b"
                                   : ", in b kb mb gb tb");
        return;
    case CONFIG_PERCENT:
        buf_append_string(out, "a percentage");
        describe_bounds(d, out);
        return;
    case CONFIG_SWITCH:
        buf_append_string(out, "yes or no");
        return;
    case CONFIG_CHOICE:
        describe_choice(d->choices, out);
        return;
    case CONFIG_MODE:
        buf_append_string(out, "an octal number");
        describe_bounds(d, out);
        return;
    case CONFIG_STRING:
    case CONFIG_WORDS:
        buf_printf(out, "%s, at most %lld bytes", d->choices,
                   (long long)d->max);
        if (d->min > 0) {
            buf_append_string(out, " and not empty");
        }
        return;
    }
    abort();
}

void config_value_placeholder(const struct config_directive *d, struct buf *out)
{
    switch (d->kind) {
    case CONFIG_INTEGER:
        buf_append_string(out, "N");
        return;
    case CONFIG_DURATION:
        buf_append_string(out, "DURATION");
        return;
    case CONFIG_SIZE:
        buf_append_string(out, "SIZE");
        return;
    case CONFIG_PERCENT:
        buf_append_string(out, "N%");
        return;
    case CONFIG_SWITCH:
        buf_append_string(out, "yes|no");
        return;
    case CONFIG_CHOICE:
        for (const char *c = d->choices; *c != '\0'; c++) {
            buf_append_char(out, *c == ' ' ? '|' : *c);
        }
        return;
    case CONFIG_MODE:
        buf_append_string(out, "MODE");
        return;
    case CONFIG_STRING:
    case CONFIG_WORDS:
        buf_append_string(out, d->choices);
        return;
    }
    abort();
}
