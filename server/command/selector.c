/* SPDX-License-Identifier: MIT */
#include "server/command/selector.h"

#include "server/command/pack.h"

#include <ctype.h>

const char *rule_error_text(enum rule_error error)
{
    static const char *const texts[] = {
        [RULE_OK] = "",
#define RULE_ERROR(name, text) [RULE_##name] = (text),
#include "server/command/rule_errors.def"
#undef RULE_ERROR
    };

    return texts[error];
}

/* Descriptions have spaces between their parts. */
static bool has_space(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\0' || isspace((unsigned char)text.data[i])) {
            return true;
        }
    }
    return false;
}

/* ---- life ---- */

void selector_init(struct selector *s, bool all_channels)
{
    *s = (struct selector){.all_channels = all_channels};
}

void selector_destroy(struct selector *s)
{
    buf_destroy(&s->rules);
    buf_destroy(&s->words);
    buf_destroy(&s->keys);
    buf_destroy(&s->channels);
}

bool selector_copy(struct selector *copy, const struct selector *s)
{
    *copy = *s;
    copy->rules = copy->words = copy->keys = copy->channels = (struct buf){0};
    if (buf_try_append_slice(&copy->rules, buf_slice(&s->rules)) &&
        buf_try_append_slice(&copy->words, buf_slice(&s->words)) &&
        buf_try_append_slice(&copy->keys, buf_slice(&s->keys)) &&
        buf_try_append_slice(&copy->channels, buf_slice(&s->channels))) {
        return true;
    }
    selector_destroy(copy);
    selector_init(copy, false);
    return false;
}

/* ---- commands ---- */

static size_t row_of(const struct command *command)
{
    return (size_t)(command - commands);
}

static void set_row(struct selector *s, size_t row, bool allow)
{
    const uint64_t bit = UINT64_C(1) << (row % 64);

    if (allow) {
        s->rows[row / 64] |= bit;
    } else {
        s->rows[row / 64] &= ~bit;
        s->all_commands = false;
    }
}

/* The words that may follow a command go with the right to it. */
static void forget_words(struct selector *s, size_t row)
{
    struct pack_item word;
    size_t at = 0;

    while (pack_next(&s->words, &at, &word)) {
        if (word.tag == row) {
            pack_remove(&s->words, &word);
            at = word.place;
        }
    }
}

/* The command and its subcommands. */
static void set_command(struct selector *s, const struct command *command,
                        bool allow)
{
    const size_t row = row_of(command);
    const size_t n = command_n_children(command);

    for (size_t i = 0; i <= n; i++) {
        set_row(s, row + i, allow);
    }
    forget_words(s, row);
}

static void set_all(struct selector *s, bool allow)
{
    memset(s->rows, allow ? 0xff : 0, sizeof s->rows);
    s->all_commands = allow;
    s->from_all = allow;
    buf_clear(&s->rules);
    buf_clear(&s->words);
}

static void set_category(struct selector *s, unsigned category, bool allow)
{
    for (const struct command *c = commands; c < commands + n_commands; c++) {
        if ((c->categories & category) != 0) {
            set_command(s, c, allow);
        }
    }
}

/* Is the rule about 'old' void after one about 'new'?  That is the same, or
 * about what it holds. */
static bool covers(struct slice new, struct slice old)
{
    return slice_has_prefix(old, new) &&
           (old.size == new.size || old.data[new.size] == '|');
}

/* Keeps the rule, in small letters, behind the others. */
static enum rule_error keep_rule(struct selector *s, char sign,
                                 struct slice what)
{
    struct pack_item old;
    struct buf lower = {0};
    size_t at = 0;

    char *copy = buf_try_reserve(&lower, what.size);
    if (copy == NULL) {
        return RULE_NO_MEMORY;
    }
    for (size_t i = 0; i < what.size; i++) {
        copy[i] = (char)tolower((unsigned char)what.data[i]);
    }
    buf_commit(&lower, what.size);
    while (pack_next(&s->rules, &at, &old)) {
        if (covers(buf_slice(&lower), old.text)) {
            pack_remove(&s->rules, &old);
            at = old.place;
        }
    }
    const bool kept =
        pack_add(&s->rules, buf_slice(&lower), (unsigned char)sign);
    buf_destroy(&lower);
    return kept ? RULE_OK : RULE_NO_MEMORY;
}

/* "+select|0": a command with this first argument. */
static enum rule_error add_word(struct selector *s,
                                const struct command *command,
                                struct slice word, struct slice whole)
{
    const unsigned row = (unsigned)row_of(command);
    struct pack_item item;
    size_t at = 0;

    while (pack_next(&s->words, &at, &item)) {
        if (item.tag == row && slice_equal_nocase(item.text, word)) {
            return RULE_OK;
        }
    }
    return pack_add(&s->words, word, row) ? keep_rule(s, '+', whole)
                                          : RULE_NO_MEMORY;
}

/* What stands behind a '+'. */
static enum rule_error allow(struct selector *s, struct slice what)
{
    const struct command *command = command_by_name(what);
    const char *bar = memrchr(what.data, '|', what.size);

    if (command != NULL) {
        set_command(s, command, true);
        return keep_rule(s, '+', what);
    }
    if (bar == NULL) {
        return RULE_UNKNOWN;
    }
    const size_t size = (size_t)(bar - what.data);
    const struct slice word = slice_make(bar + 1, what.size - size - 1);
    command = command_by_name(slice_make(what.data, size));
    if (command == NULL) {
        return RULE_UNKNOWN;
    }
    if (strchr(command->name, '|') != NULL) {
        return RULE_OF_SUBCOMMAND;
    }
    if (word.size == 0 || has_space(word)) {
        return RULE_SYNTAX;
    }
    return command_has_children(command) ? RULE_UNKNOWN
                                         : add_word(s, command, word, what);
}

/* "+get", "-@read". */
static enum rule_error apply_command(struct selector *s, struct slice rule)
{
    const bool add = rule.data[0] == '+';
    const struct slice what = slice_make(rule.data + 1, rule.size - 1);

    if (slice_has_prefix(what, SLICE("@"))) {
        const unsigned category =
            command_category(slice_make(what.data + 1, what.size - 1));
        if (category == 0) {
            return RULE_UNKNOWN;
        }
        set_category(s, category, add);
        return keep_rule(s, rule.data[0], what);
    }
    if (add) {
        return allow(s, what);
    }
    const struct command *command = command_by_name(what);
    if (command == NULL) {
        return RULE_UNKNOWN;
    }
    set_command(s, command, false);
    return keep_rule(s, '-', what);
}

/* ---- keys and channels ---- */

/* Reads "~", or "%R~" and the like, at the front of '*rule', and drops it. */
static bool take_rights(struct slice *rule, unsigned *rights)
{
    size_t i = 1;

    *rights = rule->data[0] == '~' ? SELECTOR_READ | SELECTOR_WRITE : 0;
    for (; *rights == 0 || rule->data[0] == '%'; i++) {
        const int letter =
            i < rule->size ? toupper((unsigned char)rule->data[i]) : 0;
        const unsigned right = letter == 'R'   ? SELECTOR_READ
                               : letter == 'W' ? SELECTOR_WRITE
                                               : 0;
        if (letter == '~' && *rights != 0) {
            i++;
            break;
        }
        if (right == 0 || (*rights & right) != 0) {
            return false;
        }
        *rights |= right;
    }
    *rule = slice_make(rule->data + i, rule->size - i);
    return true;
}

static enum rule_error add_keys(struct selector *s, struct slice rule)
{
    struct pack_item item;
    unsigned rights;

    if (s->all_keys) {
        return RULE_AFTER_ALL_KEYS;
    }
    if (!take_rights(&rule, &rights) || has_space(rule)) {
        return RULE_SYNTAX;
    }
    if (pack_find(&s->keys, rule, &item)) {
        pack_set_tag(&s->keys, &item, item.tag | rights);
        return RULE_OK;
    }
    return pack_add(&s->keys, rule, rights) ? RULE_OK : RULE_NO_MEMORY;
}

static enum rule_error add_channels(struct selector *s, struct slice rule)
{
    const struct slice pattern = slice_make(rule.data + 1, rule.size - 1);
    struct pack_item item;

    if (s->all_channels) {
        return RULE_AFTER_ALL_CHANNELS;
    }
    if (has_space(pattern)) {
        return RULE_SYNTAX;
    }
    return pack_find(&s->channels, pattern, &item) ||
                   pack_add(&s->channels, pattern, 0)
               ? RULE_OK
               : RULE_NO_MEMORY;
}

static void set_all_keys(struct selector *s, bool all)
{
    s->all_keys = all;
    buf_clear(&s->keys);
}

static void set_all_channels(struct selector *s, bool all)
{
    s->all_channels = all;
    buf_clear(&s->channels);
}

/* Rules that are one word. */
static const struct {
    const char *word;
    void (*set)(struct selector *s, bool all);
    bool all;
} simple_rules[] = {
    {"allkeys", set_all_keys, true},
    {"~*", set_all_keys, true},
    {"resetkeys", set_all_keys, false},
    {"allchannels", set_all_channels, true},
    {"&*", set_all_channels, true},
    {"resetchannels", set_all_channels, false},
    {"allcommands", set_all, true},
    {"+@all", set_all, true},
    {"nocommands", set_all, false},
    {"-@all", set_all, false},
};

enum rule_error selector_apply(struct selector *s, struct slice rule)
{
    for (size_t i = 0; i < ARRAY_LEN(simple_rules); i++) {
        if (slice_equal_nocase(rule, slice_from_string(simple_rules[i].word))) {
            simple_rules[i].set(s, simple_rules[i].all);
            return RULE_OK;
        }
    }
    switch (rule.size > 0 ? rule.data[0] : '\0') {
    case '~':
    case '%':
        return add_keys(s, rule);
    case '&':
        return add_channels(s, rule);
    case '+':
    case '-':
        return apply_command(s, rule);
    default:
        return RULE_SYNTAX;
    }
}

/* ---- in words ---- */

void selector_print_commands(const struct selector *s, struct buf *out)
{
    struct pack_item rule;
    size_t at = 0;

    buf_append_string(out, s->from_all ? "+@all" : "-@all");
    while (pack_next(&s->rules, &at, &rule)) {
        buf_append_char(out, ' ');
        buf_append_char(out, (char)rule.tag);
        buf_append_slice(out, rule.text);
    }
}

/* "~*" would be read back as all keys, to which no pattern can be added. */
static const char *rights_in_words(const struct pack_item *keys)
{
    return keys->tag == SELECTOR_READ            ? "%R~"
           : keys->tag == SELECTOR_WRITE         ? "%W~"
           : slice_equal(keys->text, SLICE("*")) ? "%RW~"
                                                 : "~";
}

void selector_print_keys(const struct selector *s, struct buf *out)
{
    struct pack_item item;
    size_t at = 0;

    if (s->all_keys) {
        buf_append_string(out, "~*");
    }
    while (pack_next(&s->keys, &at, &item)) {
        buf_append_string(out, item.place > 0 ? " " : "");
        buf_append_string(out, rights_in_words(&item));
        buf_append_slice(out, item.text);
    }
}

void selector_print_channels(const struct selector *s, struct buf *out)
{
    struct pack_item item;
    size_t at = 0;

    if (s->all_channels) {
        buf_append_string(out, "&*");
    }
    while (pack_next(&s->channels, &at, &item)) {
        buf_append_string(out, item.place > 0 ? " &" : "&");
        buf_append_slice(out, item.text);
    }
}

void selector_print(const struct selector *s, struct buf *out)
{
    if (s->all_keys || s->keys.size > 0) {
        selector_print_keys(s, out);
        buf_append_char(out, ' ');
    }
    if (!s->all_channels) {
        buf_append_string(out, "resetchannels ");
    }
    if (s->all_channels || s->channels.size > 0) {
        selector_print_channels(s, out);
        buf_append_char(out, ' ');
    }
    selector_print_commands(s, out);
}
