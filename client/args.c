/* SPDX-License-Identifier: MIT */
/*
 * One walk over the command line.  Every option is taken wherever it stands;
 * once the subcommand is known, those that have no meaning with it are
 * refused.  Why not getopt_long: it cannot be driven by our table without a
 * second one, and its messages name no alternative.
 */
#include "client/args.h"

#include "client/nearest.h"
#include "common/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define ANY SIZE_MAX

const struct subcommand subcommands[SUBCOMMAND_COUNT] = {
#define SUBCOMMAND(name, ...) {#name, __VA_ARGS__},
#include "client/subcommands.def"
};

#define EVERYWHERE (~0U)
#define NOWHERE 0U
#define ON(name) (1U << SUBCOMMAND_##name)

const struct option_info option_infos[OPTION_COUNT] = {
/* clang-format off */
#define OPTION(field, type, short_form, long_form, value, preset, where, text) \
    {.name = long_form, .argument = value, .standard = preset,                 \
     .summary = text, .kind = ARGS_##type, .letter = short_form,               \
     .commands = where, .offset = offsetof(struct options, field)},
/* clang-format on */
#include "client/options.def"
};

bool option_applies(enum option_id option, enum subcommand_id subcommand)
{
    return (option_infos[option].commands & (1U << subcommand)) != 0;
}

bool option_is_global(enum option_id option)
{
    return option_infos[option].commands == EVERYWHERE;
}

/* ---- values ---- */

bool args_duration(const char *text, int64_t *us)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"us", 1},       {"ms", 1000},      {"s", 1000000},
                 {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000}};
    const size_t digits = strspn(text, "0123456789");
    int64_t value;

    if (strcmp(text, "0") == 0) {
        *us = 0;
        return true;
    }
    if (!slice_to_int64(slice_make(text, digits), &value)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(text + digits, units[i].name) == 0) {
            return !__builtin_mul_overflow(value, units[i].us, us);
        }
    }
    return false;
}

/* The index of 'text' among the words of 'choices', or -1. */
static int find_choice(const char *choices, const char *text)
{
    const size_t size = strlen(text);
    int index = 0;

    for (const char *at = choices; at != NULL; index++) {
        const char *end = strchrnul(at, '|');
        if ((size_t)(end - at) == size && memcmp(at, text, size) == 0) {
            return index;
        }
        at = *end == '|' ? end + 1 : NULL;
    }
    return -1;
}

/* Stores 'text' as the value of 'info'; on failure returns what it ought to
 * have been. */
static const char *set_value(struct options *options,
                             const struct option_info *info, const char *text)
{
    void *field = (char *)options + info->offset;
    struct args_list *list = field;
    int64_t number;

    switch (info->kind) {
    case ARGS_FLAG:
        *(bool *)field = true;
        return NULL;
    case ARGS_TEXT:
        *(const char **)field = text;
        return NULL;
    case ARGS_COUNT:
        if (!slice_to_int64(slice_from_string(text), &number) || number < 0) {
            return "a whole number, 0 or more";
        }
        *(int64_t *)field = number;
        return NULL;
    case ARGS_DURATION:
        return args_duration(text, field)
                   ? NULL
                   : "a duration with its unit, as in 250us, 100ms, 5s, 1m";
    case ARGS_LIST:
        if (list->count == ARGS_LIST_MAX) {
            return "given less often";
        }
        list->items[list->count++] = text;
        return NULL;
    case ARGS_CHOICE:
        *(int *)field = find_choice(info->argument, text);
        return *(int *)field >= 0 ? NULL : info->argument;
    }
    return NULL;
}

static void set_defaults(struct options *options)
{
    *options = (struct options){0};
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *info = &option_infos[i];
        if (info->standard[0] != '\0') {
            (void)set_value(options, info, info->standard);
        }
    }
}

/* ---- names ---- */

const struct subcommand *args_find_subcommand(const char *name)
{
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        if (strcmp(subcommands[i].name, name) == 0) {
            return &subcommands[i];
        }
    }
    return NULL;
}

static void suggest_subcommand(const char *word, struct buf *why)
{
    const char *names[SUBCOMMAND_COUNT];
    const char *nearest;

    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        names[i] = subcommands[i].name;
    }
    nearest = nearest_name(word, names, SUBCOMMAND_COUNT);
    buf_printf(why, "there is no command %s", word);
    if (nearest != NULL) {
        buf_printf(why, "; did you mean %s?", nearest);
    }
}

static void suggest_option(const char *word, size_t size, struct buf *why)
{
    const char *names[OPTION_COUNT];
    char *name = xslicedup(slice_make(word, size));
    const char *nearest;

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        names[i] = option_infos[i].name;
    }
    nearest = nearest_name(name, names, OPTION_COUNT);
    buf_printf(why, "there is no option --%s", name);
    if (nearest != NULL) {
        buf_printf(why, "; did you mean --%s?", nearest);
    }
    free(name);
}

/* ---- the walk ---- */

struct walk {
    struct args *args;
    const char *const *argv;
    int argc;
    int at; /* Index of the next argument. */
    struct buf *why;
};

static enum err take(struct walk *w, size_t index, const char *value)
{
    const struct option_info *info = &option_infos[index];
    const char *wanted = set_value(&w->args->options, info, value);

    if (wanted != NULL) {
        buf_printf(w->why, "--%s %s: it must be %s", info->name, value, wanted);
        return ERR_INVALID;
    }
    w->args->given[index] = true;
    return ERR_OK;
}

/* Takes the option at 'index', whose value is 'joined' ("--name=value",
 * "-nvalue") or, if that is NULL, the next argument. */
static enum err take_option(struct walk *w, size_t index, const char *joined)
{
    const struct option_info *info = &option_infos[index];

    if (info->kind != ARGS_FLAG && joined == NULL) {
        if (w->at == w->argc) {
            buf_printf(w->why, "--%s wants its %s", info->name, info->argument);
            return ERR_INVALID;
        }
        joined = w->argv[w->at++];
    }
    return take(w, index, joined);
}

static enum err take_long(struct walk *w, const char *text)
{
    const char *equals = strchr(text, '=');
    const size_t size = equals != NULL ? (size_t)(equals - text) : strlen(text);
    const struct slice name = slice_make(text, size);

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!slice_equal(name, slice_from_string(option_infos[i].name))) {
            continue;
        }
        if (equals != NULL && option_infos[i].kind == ARGS_FLAG) {
            buf_printf(w->why, "--%s takes no value", option_infos[i].name);
            return ERR_INVALID;
        }
        return take_option(w, i, equals != NULL ? equals + 1 : NULL);
    }
    suggest_option(text, size, w->why);
    return ERR_INVALID;
}

/* "-n5", "-n 5", and flags in a row, "-hV". */
static enum err take_letters(struct walk *w, const char *text)
{
    while (*text != '\0') {
        const char letter = *text++;
        size_t i = 0;
        enum err err;

        while (i < OPTION_COUNT && option_infos[i].letter != letter) {
            i++;
        }
        if (i == OPTION_COUNT) {
            buf_printf(w->why, "there is no option -%c", letter);
            if (isdigit((unsigned char)letter)) {
                buf_append_string(w->why,
                                  " (negative ids go behind --, after the "
                                  "options)");
            }
            return ERR_INVALID;
        }
        if (option_infos[i].kind != ARGS_FLAG) {
            return take_option(w, i, *text != '\0' ? text : NULL);
        }
        err = take_option(w, i, NULL);
        if (err != ERR_OK) {
            return err;
        }
    }
    return ERR_OK;
}

static enum err walk(struct walk *w)
{
    struct args *args = w->args;
    bool options_end = false;
    enum err err = ERR_OK;

    while (err == ERR_OK && w->at < w->argc) {
        const char *text = w->argv[w->at++];

        if (options_end || text[0] != '-' || text[1] == '\0') {
            if (args->subcommand != NULL) {
                args->storage[args->n_words++] = text;
                options_end = options_end ||
                              args->subcommand == &subcommands[SUBCOMMAND_raw];
                continue;
            }
            args->subcommand = args_find_subcommand(text);
            if (args->subcommand == NULL) {
                suggest_subcommand(text, w->why);
                err = ERR_INVALID;
            }
        } else if (strcmp(text, "--") == 0) {
            options_end = true;
        } else if (text[1] == '-') {
            err = take_long(w, text + 2);
        } else {
            err = take_letters(w, text + 1);
        }
    }
    return err;
}

static enum err check(const struct args *args, struct buf *why)
{
    const struct subcommand *subcommand = args->subcommand;

    if (subcommand == NULL) {
        buf_append_string(why, "a command is missing");
        return ERR_INVALID;
    }
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (args->given[i] &&
            !option_applies(i,
                            (enum subcommand_id)(subcommand - subcommands))) {
            buf_printf(why, "--%s has no meaning with %s", option_infos[i].name,
                       subcommand->name);
            return ERR_INVALID;
        }
    }
    if (args->options.json && args->options.csv) {
        buf_append_string(why, "--json and --csv exclude each other");
        return ERR_INVALID;
    }
    if (args->n_words < subcommand->min) {
        buf_printf(why, "%s wants %s", subcommand->name, subcommand->arguments);
        return ERR_INVALID;
    }
    if (args->n_words > subcommand->max) {
        buf_printf(why, "%s does not know what to do with %s", subcommand->name,
                   args->words[subcommand->max]);
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err args_parse(struct args *args, int argc, const char *const *argv,
                    struct buf *why)
{
    struct walk w = {
        .args = args, .argv = argv, .argc = argc, .at = 1, .why = why};
    enum err err;

    *args = (struct args){
        .storage = xcalloc((size_t)argc + 1, sizeof(*args->storage))};
    args->words = args->storage;
    set_defaults(&args->options);
    err = walk(&w);
    if (err != ERR_OK || args->options.help || args->options.version ||
        args->options.man || args->options.completion) {
        return err;
    }
    return check(args, why);
}

void args_destroy(struct args *args)
{
    free(args->storage);
    *args = (struct args){0};
}

#define PORT_RANGE "a port is a number from 1 to 65535"

enum err args_target(const struct args *args, const char *env_uri,
                     struct target *target, struct buf *why)
{
    const struct options *options = &args->options;
    const bool tcp = args->given[OPTION_host] || args->given[OPTION_port];
    const char *uri = args->given[OPTION_uri] ? options->uri : env_uri;

    target_init(target);
    if (tcp && args->given[OPTION_socket]) {
        buf_append_string(why, "--socket excludes --host and --port");
        goto fail;
    }
    if (uri != NULL && uri[0] != '\0') {
        buf_append_string(why, args->given[OPTION_uri] ? "--uri: "
                                                       : "BOOKCTL_URI: ");
        if (target_parse(target, uri, why) != ERR_OK) {
            goto fail;
        }
        buf_clear(why);
    }
    if (args->given[OPTION_socket]) {
        target_set_socket(target, options->socket);
    }
    if (args->given[OPTION_port] && options->port == 0) {
        buf_append_string(why, "--port 0: " PORT_RANGE);
        goto fail;
    }
    if (tcp && target_set_tcp(
                   target, args->given[OPTION_host] ? options->host : NULL,
                   args->given[OPTION_port] ? options->port : 0) != ERR_OK) {
        buf_printf(why, "--port %" PRId64 ": " PORT_RANGE, options->port);
        goto fail;
    }
    return ERR_OK;
fail:
    target_destroy(target);
    return ERR_INVALID;
}

static void replace(char **string, const char *by)
{
    free(*string);
    *string = xstrdup(by);
}

enum err args_credentials(const struct args *args, const char *env_password,
                          struct target *target, struct buf *why)
{
    if (args->given[OPTION_pass] && args->options.askpass) {
        buf_append_string(why, "--pass and --askpass exclude each other");
        return ERR_INVALID;
    }
    if (args->given[OPTION_user]) {
        replace(&target->user, args->options.user);
    }
    if (args->given[OPTION_pass]) {
        replace(&target->password, args->options.pass);
    } else if (target->password == NULL && env_password != NULL) {
        replace(&target->password, env_password);
    }
    return ERR_OK;
}
