/* SPDX-License-Identifier: MIT */
#include "server/command/command.h"

#include "server/command/args.h"
#include "server/command/handlers.h"

#include <assert.h>
#include <ctype.h>

const struct command commands[] = {
#define COMMAND(name_, handler, arity_, flags_, first, last, step, keys_, \
                class_, categories_, group_, since_, syntax_, summary_)   \
    {.name = name_,                                                       \
     .run = cmd_##handler,                                                \
     .arity = arity_,                                                     \
     .flags = flags_,                                                     \
     .first_key = first,                                                  \
     .last_key = last,                                                    \
     .key_step = step,                                                    \
     .keys = keys_,                                                       \
     .class = class_,                                                     \
     .categories = categories_,                                           \
     .group = group_,                                                     \
     .since = since_,                                                     \
     .syntax = syntax_,                                                   \
     .summary = summary_},
#include "server/command/commands.def"
#undef COMMAND
};

const size_t n_commands = ARRAY_LEN(commands);

const char *const command_flag_names[COMMAND_FLAGS] = {
#define FLAG(id, name, says) [CMD_##id##_BIT] = name,
#include "server/command/flags.def"
#undef FLAG
};

const char *const command_category_names[COMMAND_CATEGORIES] = {
#define CATEGORY(id, name) [CAT_##id##_BIT] = name,
#include "server/command/categories.def"
#undef CATEGORY
};

unsigned command_category(struct slice name)
{
    for (size_t i = 0; i < COMMAND_CATEGORIES; i++) {
        if (slice_equal_nocase(
                name, slice_from_string(command_category_names[i] + 1))) {
            return 1U << i;
        }
    }
    return 0;
}

/* Nobody could say who may run a command of which this is not known. */
#define COMMAND(name, handler, arity, flags, first, last, step, keys, class, \
                categories, ...)                                             \
    _Static_assert(((categories) & (CAT_FAST | CAT_SLOW)) == CAT_FAST ||     \
                       ((categories) & (CAT_FAST | CAT_SLOW)) == CAT_SLOW,   \
                   name " is neither @fast nor @slow, or both");             \
    _Static_assert(((first) == 0) == ((keys) == 0),                          \
                   name ": where its keys are, or what is done to them?");
#include "server/command/commands.def"
#undef COMMAND

/* An open-addressed index of names: a power of two, at most a quarter full. */
#define INDEX_SIZE 2048
#define NAME_SIZE_MAX 64 /* Longer than every name in the table. */

static const struct command *name_index[INDEX_SIZE];

_Static_assert(ARRAY_LEN(commands) <= INDEX_SIZE / 4, "INDEX_SIZE too small");

/* Source: FNV-1a, by Fowler, Noll and Vo; over the lower-case name.  Chosen
 * keys are harmless here: the table is ours. */
static size_t name_hash(struct slice name)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < name.size; i++) {
        hash =
            (hash ^ (uint32_t)tolower((unsigned char)name.data[i])) * 16777619U;
    }
    return hash;
}

static const struct command **slot_of(struct slice name)
{
    size_t i = name_hash(name) % INDEX_SIZE;

    while (name_index[i] != NULL &&
           !slice_equal_nocase(slice_from_string(name_index[i]->name), name)) {
        i = (i + 1) % INDEX_SIZE;
    }
    return &name_index[i];
}

void command_init(void)
{
    for (size_t i = 0; i < n_commands; i++) {
        assert(strlen(commands[i].name) < NAME_SIZE_MAX);
        *slot_of(slice_from_string(commands[i].name)) = &commands[i];
    }
}

const struct command *command_by_name(struct slice name)
{
    return name.size < NAME_SIZE_MAX ? *slot_of(name) : NULL;
}

bool command_is_child(const struct command *command,
                      const struct command *parent)
{
    const size_t size = strlen(parent->name);

    return strncmp(command->name, parent->name, size) == 0 &&
           command->name[size] == '|';
}

size_t command_n_children(const struct command *command)
{
    const struct command *next = command + 1;

    while (next < commands + n_commands && command_is_child(next, command)) {
        next++;
    }
    return (size_t)(next - command - 1);
}

bool command_has_children(const struct command *command)
{
    /* Children follow their parent. */
    return command + 1 < commands + n_commands &&
           command_is_child(command + 1, command);
}

/* The child of 'parent' called 'name', or NULL. */
static const struct command *child(const struct command *parent,
                                   struct slice name)
{
    char full[2 * NAME_SIZE_MAX];
    const size_t size = strlen(parent->name);

    if (name.size >= NAME_SIZE_MAX) {
        return NULL;
    }
    memcpy(full, parent->name, size);
    full[size] = '|';
    memcpy(full + size + 1, name.data, name.size);
    return command_by_name(slice_make(full, size + 1 + name.size));
}

const struct command *command_by_word(struct slice word)
{
    return memchr(word.data, '|', word.size) != NULL ? NULL
                                                     : command_by_name(word);
}

bool command_writes(const struct command *command)
{
    return (command->flags & CMD_WRITE) != 0 || command->run == cmd_publish ||
           command->run == cmd_spublish;
}

const struct command *command_of_words(const struct slice *words, size_t n)
{
    const struct command *found = command_by_word(words[0]);

    return found != NULL && n > 1 && command_has_children(found)
               ? child(found, words[1])
               : found;
}

struct key_places command_keys(const struct request *request)
{
    const struct command *command = request->command;
    struct key_places places = {.step = 1};

    if (command->first_key == 0 || (command->keys & KEY_NOT_KEY) != 0) {
        return places;
    }
    places.first = (size_t)command->first_key;
    places.step = (size_t)command->key_step;
    places.end =
        command->last_key >= 0 ? (size_t)command->last_key + 1 : request->argc;
    if (places.end > request->argc) {
        places.end = request->argc;
    }
    return places;
}

/* SET, the only one with KEY_VARIABLE, overwrites, and with GET also reads. */
static unsigned set_key_flags(const struct request *request)
{
    for (size_t i = 3; i < request->argc; i++) {
        if (arg_is(request, i, "GET")) {
            return KEY_RW | KEY_ACCESS | KEY_UPDATE;
        }
    }
    return KEY_OW | KEY_UPDATE;
}

unsigned command_key_flags(const struct request *request, size_t place)
{
    const struct command *command = request->command;
    const unsigned of_last = command->keys >> 16;

    if (of_last != 0 && command->last_key == (int)place) {
        return of_last;
    }
    if ((command->keys & KEY_VARIABLE) != 0) {
        return set_key_flags(request);
    }
    return command->keys & 0xffff;
}

enum command_status cmd_container(struct request *request)
{
    /* Reached only without a subcommand, which the arity refuses. */
    return done_wrong_count(request);
}

/* ---- the table as text ---- */

void command_reply_help(struct request *request, const char *parent)
{
    struct reply *reply = &request->reply;
    const struct command *top = command_by_name(slice_from_string(parent));
    const size_t n = command_n_children(top);
    struct buf line = {0};

    reply_array(reply, 1 + 2 * n);
    buf_append_upper(&line, parent);
    buf_append_string(&line, " <subcommand> [<arg> [value] [opt] ...]. "
                             "Subcommands are:");
    reply_simple(reply, buf_string(&line));
    for (const struct command *c = top + 1; c <= top + n; c++) {
        buf_clear(&line);
        buf_append_upper(&line, strchr(c->name, '|') + 1);
        if (c->syntax[0] != '\0') {
            buf_printf(&line, " %s", c->syntax);
        }
        reply_simple(reply, buf_string(&line));
        buf_clear(&line);
        buf_printf(&line, "    %s", c->summary);
        reply_simple(reply, buf_string(&line));
    }
    buf_destroy(&line);
}

void command_print_docs(struct buf *out)
{
    buf_append_string(out, "| command | arguments | what it does |\n"
                           "|---|---|---|\n");
    for (const struct command *c = commands; c < commands + n_commands; c++) {
        if (command_has_children(c) && c->run == cmd_container) {
            continue;
        }
        buf_append_string(out, "| ");
        for (const char *p = c->name; *p != '\0'; p++) {
            buf_append_char(out, *p == '|' ? ' ' : (char)toupper(*p));
        }
        buf_append_string(out, c->syntax[0] == '\0' ? " | " : " | `");
        for (const char *p = c->syntax; *p != '\0'; p++) {
            buf_append_string(out, *p == '|' ? "\\|" : (char[]){*p, '\0'});
        }
        buf_append_string(out, c->syntax[0] == '\0' ? "" : "`");
        buf_printf(out, " | %s |\n", c->summary);
    }
}

void command_print_differences(struct buf *out)
{
    static const char *const rows[][4] = {
#define DIFFERENCE(what, in_redis, in_bookd, why, theirs, ours) \
    {what, in_redis, in_bookd, why},
#include "server/command/differences.def"
#undef DIFFERENCE
    };

    buf_append_string(out, "| what | in Redis | in bookd | why |\n"
                           "|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_printf(out, "| %s | %s | %s | %s |\n", rows[i][0], rows[i][1],
                   rows[i][2], rows[i][3]);
    }
}
