/* SPDX-License-Identifier: MIT */
/*
 * The table of directives in four forms: a configuration file, --help, the
 * manual page, and a script for bash.
 *
 * All text is in config.def; here are only line breaks and markup.
 */
#include "server/admin/config.h"

#include "server/admin/config_limits.h"
#include "server/admin/config_tables.h"
#include "server/admin/config_text.h"

#include <assert.h>
#include <ctype.h>

#define COLUMNS 78
#define HELP_COLUMN 30 /* Where the text of --help begins. */

/* Appends 'text' in lines of at most COLUMNS, each after the first beginning
 * with 'prefix'.  'column' is where the first line stands already. */
static void wrap(struct slice text, const char *prefix, size_t column,
                 struct buf *out)
{
    for (size_t i = 0; i < text.size; i++) {
        const char *word = text.data + i;
        const char *space = memchr(word, ' ', text.size - i);
        const size_t size =
            space == NULL ? text.size - i : (size_t)(space - word);
        if (i > 0 && column + 1 + size > COLUMNS) {
            buf_append_char(out, '\n');
            buf_append_string(out, prefix);
            column = strlen(prefix);
        } else if (i > 0) {
            buf_append_char(out, ' ');
            column++;
        }
        buf_append(out, word, size);
        column += size;
        i += size;
    }
    buf_append_char(out, '\n');
}

/* Takes the first sentence of '*text', with its full stop. */
static bool take_sentence(const char **text, struct slice *sentence)
{
    if (**text == '\0') {
        return false;
    }
    const char *end = strstr(*text, ". ");
    const size_t size = end == NULL ? strlen(*text) : (size_t)(end - *text) + 1;
    *sentence = slice_make(*text, size);
    *text += size + (end != NULL);
    return true;
}

/* The words that sentences of a summary explain. */
static const char *words_of(const struct config_directive *d)
{
    switch (d->kind) {
    case CONFIG_CHOICE:
        return d->choices;
    case CONFIG_TABLES:
        return "prefix key columns writable max-age";
    default:
        return NULL;
    }
}

/* The length of the word that 'sentence' explains: "word: …"; else 0. */
static size_t explained_choice(const struct config_directive *d,
                               struct slice sentence)
{
    const char *colon = memchr(sentence.data, ':', sentence.size);
    const char *word = words_of(d);
    if (word == NULL || colon == NULL) {
        return 0;
    }
    const size_t size = (size_t)(colon - sentence.data);
    while (word != NULL && (strcspn(word, " ") != size ||
                            strncmp(word, sentence.data, size) != 0)) {
        word = strchr(word, ' ');
        word = word == NULL ? NULL : word + 1;
    }
    return word == NULL ? 0 : size;
}

/* True if 'id' is the first directive of its section. */
static bool begins_section(enum config_id id)
{
    return id == 0 || strcmp(config_directives[id - 1].section,
                             config_directives[id].section) != 0;
}

/* Appends the facts of the table's row: "A duration from 0s to 1d; a bare
 * number is seconds.  Only at start.  Default: 300s". */
static void append_facts(const struct config_directive *d, struct buf *out)
{
    const size_t begin = out->size;
    config_text_describe(d, out);
    char *first = buf_data(out) + begin;
    *first = (char)toupper((unsigned char)*first);
    if (d->bare != 0) {
        buf_printf(out, "; a bare number is %s",
                   d->kind == CONFIG_SIZE ? "bytes" : "seconds");
    }
    buf_append_string(out, d->at_run_time ? ". Default: "
                                          : ". Only at start. Default: ");
    if (d->kind == CONFIG_TABLES) {
        buf_append_string(out, "no entries");
    } else {
        config_text_quote(slice_from_string(d->default_text), out);
    }
}

/* ---- a configuration file ---- */

static const char file_heading[] =
    "# Configuration of bookd: a directive and its value on a line.\n"
    "#\n"
    "# What is commented out shows the default. Each directive is also an\n"
    "# option of the command line, which wins over this file:\n"
    "#     bookd FILE --port 7390\n"
    "# What does not say \"only at start\" changes in a running bookd by\n"
    "# CONFIG SET, or here, by a reload (SIGHUP).\n"
    "#\n"
    "# A duration is a whole number of us, ms, s, m, h or d: 250us 100ms 1h.\n"
    "# A size is a whole number of b, kb, mb, gb or tb, where 1kb is 1024\n"
    "# bytes: 64kb 2gb. A value with spaces stands in double quotes, and so\n"
    "# does an empty one: \"\". Inside quotes, these stand for one byte:\n"
    "#     \\\" \\\\ \\n \\r \\t \\xHH\n";

/* The length of a word of a 'table' that is in quotes. */
static size_t quoted_size(const char *word)
{
    size_t size = 1;

    while (word[size] != '"') {
        size += word[size] == '\\' ? 2 : 1;
    }
    return size + 1;
}

/* Appends words with a space between, each in quotes if it needs them. */
static void append_file_words(enum config_kind kind, const char *word,
                              struct buf *out)
{
    while (*word != '\0') {
        const bool in_quotes = kind == CONFIG_TABLES && *word == '"';
        const size_t size = in_quotes ? quoted_size(word) : strcspn(word, " ");
        if (in_quotes) {
            buf_append(out, word, size);
        } else {
            config_text_quote(slice_make(word, size), out);
        }
        word += size;
        if (*word == ' ') {
            buf_append_char(out, *word++);
        }
    }
}

/* Appends the value as it stands in a file, in quotes where it needs them. */
static void append_file_value(const struct config *c, enum config_id id,
                              struct buf *out)
{
    struct buf text = {0};
    config_format(c, id, &text);
    const enum config_kind kind = config_directives[id].kind;
    if ((kind == CONFIG_WORDS || kind == CONFIG_PERCENTILES ||
         kind == CONFIG_LIMITS) &&
        text.size > 0) {
        append_file_words(kind, buf_string(&text), out);
    } else {
        config_text_quote(buf_slice(&text), out);
    }
    buf_destroy(&text);
}

static bool is_default(const struct config *c, enum config_id id)
{
    struct buf now = {0};
    config_format(c, id, &now);
    const bool same = slice_equal(
        buf_slice(&now), slice_from_string(config_directives[id].default_text));
    buf_destroy(&now);
    return same;
}

/* Prints and empties a paragraph of comments, if there is one. */
static void print_paragraph(struct buf *paragraph, struct buf *out)
{
    if (paragraph->size > 0) {
        buf_append_string(out, "# ");
        wrap(buf_slice(paragraph), "# ", 2, out);
        buf_clear(paragraph);
    }
}

/* The summary as comments; choices that it explains become items. */
static void print_summary(const struct config_directive *d, struct buf *out)
{
    const char *rest = d->summary;
    struct slice sentence;
    struct buf paragraph = {0};
    while (take_sentence(&rest, &sentence)) {
        if (explained_choice(d, sentence) > 0) {
            print_paragraph(&paragraph, out);
            buf_append_string(out, "#   ");
            wrap(sentence, "#     ", 4, out);
            continue;
        }
        buf_append_string(&paragraph, paragraph.size > 0 ? " " : "");
        buf_append_slice(&paragraph, sentence);
    }
    print_paragraph(&paragraph, out);
    buf_destroy(&paragraph);
}

/* A line for each table; returns how many. */
static size_t append_tables(const struct config *c, enum config_id id,
                            struct buf *out)
{
    struct table_entries entries = {0};
    struct buf text = {0};
    config_format(c, id, &text);
    config_tables_apply_own(&entries, buf_string(&text));
    for (size_t i = 0; i < entries.count; i++) {
        buf_clear(&text);
        config_tables_format_entry(&entries.list[i], &text);
        buf_printf(out, "%s ", config_directives[id].name);
        append_file_words(CONFIG_TABLES, buf_string(&text), out);
        buf_append_char(out, '\n');
    }
    const size_t count = entries.count;
    config_tables_clear(&entries);
    buf_destroy(&text);
    return count;
}

/* A line for each user. */
static void print_users(const struct config *c, enum config_id id,
                        struct buf *out)
{
    const char *name = config_directives[id].name;
    struct buf text = {0};
    config_format(c, id, &text);
    for (const char *entry = buf_string(&text); *entry != '\0';) {
        const size_t size = strcspn(entry, "\n");
        buf_printf(out, "%s %.*s\n", name, (int)size, entry);
        entry += size + (entry[size] == '\n');
    }
    buf_destroy(&text);
}

void config_print_lines(const struct config *c, enum config_id id,
                        struct buf *out)
{
    const struct config_directive *d = &config_directives[id];

    if (d->kind == CONFIG_TABLES) {
        (void)append_tables(c, id, out);
        return;
    }
    if (d->kind == CONFIG_USERS && !is_default(c, id)) {
        print_users(c, id, out);
        return;
    }
    buf_printf(out, "%s ", d->name);
    append_file_value(c, id, out);
    buf_append_char(out, '\n');
}

/* If no table has options, a line that changes nothing. */
static void print_tables(const struct config *c, enum config_id id,
                         struct buf *out)
{
    if (append_tables(c, id, out) == 0) {
        buf_printf(out, "# %s books max-age default\n",
                   config_directives[id].name);
    }
}

/* A line for each class of clients. */
static void print_limits(const struct config *c, enum config_id id,
                         struct buf *out)
{
    const struct config_directive *d = &config_directives[id];
    struct config_limits all = {0};
    struct buf text = {0};
    config_format(c, id, &text);
    config_limits_apply_own(&all, buf_string(&text));
    for (size_t i = 0; i < CONFIG_LIMITS_CLASSES; i++) {
        struct config_limits one = {0};
        one.said[i] = true;
        one.limits[i] = all.limits[i];
        buf_clear(&text);
        config_limits_format(&one, &text);
        const bool is_so = strstr(d->default_text, buf_string(&text)) != NULL;
        buf_printf(out, "%s%s %s\n", is_so ? "# " : "", d->name,
                   buf_string(&text));
    }
    buf_destroy(&text);
}

static void print_directive(const struct config *c, enum config_id id,
                            struct buf *out)
{
    const struct config_directive *d = &config_directives[id];
    struct buf facts = {0};
    append_facts(d, &facts);
    buf_append_char(out, '\n');
    print_summary(d, out);
    print_paragraph(&facts, out);
    buf_destroy(&facts);
    if (d->kind == CONFIG_TABLES) {
        print_tables(c, id, out);
        return;
    }
    if (d->kind == CONFIG_LIMITS) {
        print_limits(c, id, out);
        return;
    }
    if (is_default(c, id)) {
        buf_append_string(out, "# ");
    }
    config_print_lines(c, id, out);
}

void config_print(const struct config *c, struct buf *out)
{
    buf_append_string(out, file_heading);
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        if (begins_section(id)) {
            buf_printf(out, "\n\n# ---- %s ----\n",
                       config_directives[id].section);
        }
        print_directive(c, id, out);
    }
}

/* ---- --help ---- */

static void help_directive(const struct config_directive *d, struct buf *out)
{
    const size_t start = out->size;
    buf_printf(out, "  --%s ", d->name);
    config_text_placeholder(d, out);
    if (out->size - start + 2 > HELP_COLUMN) {
        buf_printf(out, "\n%*s", HELP_COLUMN, "");
    } else {
        buf_printf(out, "%*s", (int)(HELP_COLUMN - (out->size - start)), "");
    }
    struct buf text = {0};
    const char *summary = d->summary;
    struct slice first = SLICE("");
    (void)take_sentence(&summary, &first);
    buf_append(&text, first.data, first.size - 1); /* No full stop. */
    if (*d->default_text != '\0') {
        buf_printf(&text, " [%s]", d->default_text);
    }
    char margin[HELP_COLUMN + 1];
    memset(margin, ' ', HELP_COLUMN);
    margin[HELP_COLUMN] = '\0';
    wrap(buf_slice(&text), margin, HELP_COLUMN, out);
    buf_destroy(&text);
}

void config_help(struct buf *out)
{
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        if (begins_section(id)) {
            buf_printf(out, "%s%s:\n", id == 0 ? "" : "\n",
                       config_directives[id].section);
        }
        help_directive(&config_directives[id], out);
    }
    buf_append_string(
        out,
        "\nIn brackets is the default. A DURATION is written 250us 100ms 5s "
        "1m 1h 1d,\na SIZE 64kb 256mb 2gb.\n");
}

/* ---- the manual page ---- */

/* Appends 'text' as a line for mdoc: nothing in it is taken for a request,
 * and '-' is as it is typed. */
static void append_mdoc(struct slice text, struct buf *out)
{
    assert(text.data != NULL);
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (i == 0 && (c == '.' || c == '\'')) {
            buf_append_string(out, "\\&");
        }
        if (c == '\\') {
            buf_append_string(out, "\\e");
        } else if (c == '-') {
            buf_append_string(out, "\\-");
        } else {
            buf_append_char(out, c);
        }
    }
    buf_append_char(out, '\n');
}

/* The summary, a sentence a line; choices that it explains become a list. */
static void man_summary(const struct config_directive *d, struct buf *out)
{
    const char *rest = d->summary;
    struct slice sentence;
    bool in_list = false;
    while (take_sentence(&rest, &sentence)) {
        const size_t size = explained_choice(d, sentence);
        if (in_list != (size > 0)) {
            buf_append_string(out, in_list ? ".El\n"
                                           : ".Bl -tag -width Ds -compact\n");
            in_list = !in_list;
        }
        if (in_list) {
            buf_append_string(out, ".It Cm ");
            append_mdoc(slice_make(sentence.data, size), out);
            sentence =
                slice_make(sentence.data + size + 2, sentence.size - size - 2);
        }
        append_mdoc(sentence, out);
    }
    if (in_list) {
        buf_append_string(out, ".El\n");
    }
}

static void man_directive(const struct config_directive *d, struct buf *out)
{
    struct buf text = {0};
    buf_append_string(out, ".It Ic ");
    buf_append_string(&text, d->name);
    buf_append_string(&text, " Ar ");
    config_text_placeholder(d, &text);
    append_mdoc(buf_slice(&text), out);
    man_summary(d, out);
    buf_clear(&text);
    append_facts(d, &text);
    const char *rest = buf_string(&text);
    struct slice sentence;
    buf_append_string(out, ".Pp\n");
    while (take_sentence(&rest, &sentence)) {
        append_mdoc(sentence, out);
    }
    buf_destroy(&text);
}

void config_man(struct buf *out)
{
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        if (begins_section(id)) {
            buf_printf(out, "%s.Ss %s\n.Bl -tag -width Ds\n",
                       id == 0 ? "" : ".El\n", config_directives[id].section);
        }
        man_directive(&config_directives[id], out);
    }
    buf_append_string(out, ".El\n");
}

/* ---- bash ---- */

/* Appends a case for the values of 'd', if they can be listed. */
static void complete_values(const struct config_directive *d, struct buf *out)
{
    const char *words = d->kind == CONFIG_CHOICE   ? d->choices
                        : d->kind == CONFIG_SWITCH ? "yes no"
                                                   : NULL;
    if (words != NULL) {
        buf_printf(out, "    --%s) words='%s' ;;\n", d->name, words);
    }
}

void config_completion(struct buf *out)
{
    buf_append_string(out, "# bash completion for bookd\n"
                           "_bookd() {\n"
                           "    local word=${COMP_WORDS[COMP_CWORD]} words\n"
                           "    case ${COMP_WORDS[COMP_CWORD - 1]} in\n");
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        complete_values(&config_directives[id], out);
    }
    buf_append_string(out, "    --*) words= ;;\n"
                           "    *) words='--help --version --check-config "
                           "--print-config --install-change-feed "
                           "--remove-change-feed --install-plain-keys");
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        buf_printf(out, "\n        --%s", config_directives[id].name);
    }
    buf_append_string(
        out,
        "' ;;\n"
        "    esac\n"
        "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
        "}\n"
        "complete -o default -F _bookd bookd\n");
}
