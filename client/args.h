/* SPDX-License-Identifier: MIT */
/*
 * The command line: one subcommand, its arguments, and options, which may
 * stand before and after it.  What there is comes from options.def and
 * subcommands.def.
 *
 *     bookctl [options] SUBCOMMAND [options and arguments]
 *
 * "--" ends the options.  Behind `raw COMMAND` everything is an argument.
 *
 * Thread-safety: plain values; args_parse() uses no global state.
 */
#ifndef CLIENT_ARGS_H
#define CLIENT_ARGS_H

#include "client/subcommand.h"
#include "client/target.h"
#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"

#define ARGS_LIST_MAX 16 /* Times a LIST option may be given. */

struct args_list {
    const char *items[ARGS_LIST_MAX];
    size_t count;
};

enum args_color { ARGS_COLOR_AUTO, ARGS_COLOR_ALWAYS, ARGS_COLOR_NEVER };

enum option_id {
#define OPTION(field, ...) OPTION_##field,
#include "client/options.def"
    OPTION_COUNT
};

enum option_kind {
    ARGS_FLAG,
    ARGS_TEXT,
    ARGS_COUNT,
    ARGS_DURATION,
    ARGS_LIST,
    ARGS_CHOICE
};

/* The values; an option that was not given has its default, or zero. */
struct options {
#define OPTION_TYPE_FLAG bool
#define OPTION_TYPE_TEXT const char *
#define OPTION_TYPE_COUNT int64_t
#define OPTION_TYPE_DURATION int64_t
#define OPTION_TYPE_LIST struct args_list
#define OPTION_TYPE_CHOICE int
#define OPTION(field, kind, ...) OPTION_TYPE_##kind field;
#include "client/options.def"
};

struct option_info {
    const char *name;
    const char *argument; /* NULL for a flag. */
    const char *standard; /* The default as text, or "". */
    const char *summary;
    enum option_kind kind;
    char letter;       /* 0: none. */
    unsigned commands; /* Bit 1 << subcommand_id: where it has a meaning. */
    size_t offset;     /* Of its value in struct options. */
};

extern const struct option_info option_infos[OPTION_COUNT];

/* 'option' has a meaning with 'subcommand' … */
bool option_applies(enum option_id option, enum subcommand_id subcommand);
/* … and with every one. */
bool option_is_global(enum option_id option);

struct args {
    const struct subcommand *subcommand; /* NULL: none was named. */
    const char *const *words;            /* Its arguments; borrowed strings. */
    size_t n_words;
    struct options options;
    bool given[OPTION_COUNT]; /* On this command line. */
    const char **storage;     /* Owned: what 'words' points into. */
};

/* Reads the command line 'argv'.  On failure one sentence in 'why', and
 * 'args' holds what was read until then.  Whether the subcommand is there and
 * has the right number of arguments is checked unless --help, --version or a
 * hidden option makes that unimportant.
 * Ownership: args_destroy(), in any case.  Errors: ERR_INVALID. */
NODISCARD
enum err args_parse(struct args *args, int argc, const char *const *argv,
                    struct buf *why);
void args_destroy(struct args *args);

/* Adds who asks: by the options, else as the URI says, else with the password
 * of BOOKCTL_AUTH ('env_password', may be NULL).  Does not ask on a terminal.
 * Errors: ERR_INVALID for options that exclude each other. */
NODISCARD
enum err args_credentials(const struct args *args, const char *env_password,
                          struct target *target, struct buf *why);

/* Where bookd is, by the options and BOOKCTL_URI ('env_uri', may be NULL). */
NODISCARD
enum err args_target(const struct args *args, const char *env_uri,
                     struct target *target, struct buf *why);

/* Reads "250us", "1h"; "0" needs no unit.  False if it is none or too big. */
bool args_duration(const char *text, int64_t *us);

/* The subcommand of that name, or NULL. */
const struct subcommand *args_find_subcommand(const char *name);

#endif
