/* SPDX-License-Identifier: MIT */
/*
 * The command table: every command in one line of commands.def, looked up by
 * name.
 *
 * Thread-safety: the table is constant after command_init().
 */
#ifndef SERVER_COMMAND_COMMAND_H
#define SERVER_COMMAND_COMMAND_H

#include "common/attr.h"
#include "server/command/client.h"

#include <stddef.h>
#include <stdint.h>

enum command_status {
    COMMAND_DONE,   /* The reply is written. */
    COMMAND_PENDING /* request_finish() will be called. */
};

typedef enum command_status command_fn(struct request *request);

/* Flags of a command, CMD_…, a bit each; and their names. */
enum {
#define FLAG(id, ...) CMD_##id##_BIT,
#include "server/command/flags.def"
#undef FLAG
    COMMAND_FLAGS
};
enum {
#define FLAG(id, ...) CMD_##id = 1 << CMD_##id##_BIT,
#include "server/command/flags.def"
#undef FLAG
};
extern const char *const command_flag_names[COMMAND_FLAGS];

/* ACL categories, CAT_…, a bit each; and their names, with the '@'. */
enum {
#define CATEGORY(id, name) CAT_##id##_BIT,
#include "server/command/categories.def"
#undef CATEGORY
    COMMAND_CATEGORIES
};
enum {
#define CATEGORY(id, name) CAT_##id = 1 << CAT_##id##_BIT,
#include "server/command/categories.def"
#undef CATEGORY
};
extern const char *const command_category_names[COMMAND_CATEGORIES];
/* The category of this name, without the '@', in any case; 0 if there is none.
 */
unsigned command_category(struct slice name);

/* What a command does to its keys, as the key specifications of COMMAND INFO
 * name it: one of the first four, and then perhaps more; or KEY_NOT_KEY. */
enum {
    KEY_RO = 1 << 0, /* Reads it; */
    KEY_RW = 1 << 1, /* or changes it, by what is there; */
    KEY_OW = 1 << 2, /* or overwrites it, whatever is there; */
    KEY_RM = 1 << 3, /* or removes it. */

    KEY_ACCESS = 1 << 4,   /* Answers, copies or depends on what it holds. */
    KEY_UPDATE = 1 << 5,   /* Changes what it holds. */
    KEY_INSERT = 1 << 6,   /* Adds to what it holds, and changes nothing. */
    KEY_DELETE = 1 << 7,   /* Takes from what it holds. */
    KEY_VARIABLE = 1 << 8, /* The options decide which of these it is. */

    KEY_NOT_KEY = 1 << 9 /* It is none, though a cluster looks for it where it
                            looks for keys: a shard channel. */
};

/* What is done to the last key, if that is something else than to the others. */
#define KEY_LAST(flags) ((flags) << 16)

/* A row of the table; all strings are static. */
struct command {
    const char *name; /* "get", "client|list" */
    command_fn *run;  /* NULL: only holds subcommands. */
    int arity;        /* Words with the name(s); negative: at least. */
    unsigned flags;
    int first_key, last_key, key_step;
    unsigned keys;
    enum request_class class;
    unsigned categories;
    const char *group;
    const char *since;
    const char *syntax;
    const char *summary;
};

extern const struct command commands[];
extern const size_t n_commands;

/* Builds the index of names; call once, before any thread starts. */
void command_init(void);

/* The command called 'name' ("get", "client|list"), in any case; or NULL. */
const struct command *command_by_name(struct slice name);

/* The command that is called by this one word: "client|list" is none. */
const struct command *command_by_word(struct slice word);

/* The command that the words, at least one, ask for; NULL if there is none, or
 * no such subcommand. */
const struct command *command_of_words(const struct slice *words, size_t n);

/* True if 'command' is "parent|child" of 'parent'. */
bool command_is_child(const struct command *command,
                      const struct command *parent);
/* How many of these follow it in the table. */
size_t command_n_children(const struct command *command);
bool command_has_children(const struct command *command);

/* May 'command' have 'argc' words? */
static inline bool command_arity_fits(const struct command *command,
                                      size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity
                               : argc >= (size_t)-command->arity;
}

/* Does it change something, or tell others something?  Source: what Redis would
 * send on to replicas. */
bool command_writes(const struct command *command);

/* Which arguments of a request are keys: 'first', 'first' + 'step', … below
 * 'end'; none if 'first' is not below 'end'.  What is KEY_NOT_KEY is none. */
struct key_places {
    size_t first, end, step;
};
struct key_places command_keys(const struct request *request);
/* What is done to the key at 'place' by this very request: flags KEY_…; never
 * KEY_LAST() nor KEY_VARIABLE. */
unsigned command_key_flags(const struct request *request, size_t place);

/* Replies with the help of a container: its children with their syntax. */
void command_reply_help(struct request *request, const char *parent);

/* The commands as a section of docs/protocol.md. */
void command_print_docs(struct buf *out);
/* Likewise where bookd differs from Redis. */
void command_print_differences(struct buf *out);

#endif
