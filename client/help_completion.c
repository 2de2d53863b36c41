/* SPDX-License-Identifier: MIT */
/*
 * Completion for bash: a function that looks for the command on the line and
 * offers its options, or the words its arguments can be.
 */
#include "client/help.h"

#include "client/args.h"
#include "client/print.h"

#include <stdio.h>

static void append_names(struct buf *b, char separator)
{
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        if (i > 0) {
            buf_append_char(b, separator);
        }
        buf_append_string(b, subcommands[i].name);
    }
}

/* What an option's own argument is completed with. */
enum value { VALUE_FREE, VALUE_FILE, VALUE_WORDS };

static enum value value_of(const struct option_info *info)
{
    if (info->kind == ARGS_CHOICE) {
        return VALUE_WORDS;
    }
    return strcmp(info->argument, "PATH") == 0 ? VALUE_FILE : VALUE_FREE;
}

static void append_spellings(struct buf *b, const struct option_info *info)
{
    if (info->letter != 0) {
        buf_printf(b, "-%c | ", info->letter);
    }
    buf_printf(b, "--%s", info->name);
}

/* The cases of the word before the cursor that want a value. */
static void append_values(struct buf *b)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_info *info = &option_infos[i];

        if (info->argument == NULL) {
            continue;
        }
        buf_append_string(b, "    ");
        append_spellings(b, info);
        buf_append_string(b, ")\n");
        switch (value_of(info)) {
        case VALUE_FREE:
            break;
        case VALUE_FILE:
            buf_append_string(b, "        compopt -o filenames\n"
                                 "        mapfile -t COMPREPLY < <(compgen -f "
                                 "-- \"$word\")\n");
            break;
        case VALUE_WORDS:
            buf_append_string(b,
                              "        mapfile -t COMPREPLY < <(compgen -W '");
            for (const char *at = info->argument; *at != '\0'; at++) {
                buf_append_char(b, *at == '|' ? ' ' : *at);
            }
            buf_append_string(b, "' -- \"$word\")\n");
            break;
        }
        buf_append_string(b, "        return\n        ;;\n");
    }
}

static void append_options(struct buf *b, size_t subcommand)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const bool applies =
            subcommand == SUBCOMMAND_COUNT
                ? option_is_global(i)
                : option_applies(i, (enum subcommand_id)subcommand) &&
                      !option_is_global(i);
        if (applies) {
            buf_printf(b, " --%s", option_infos[i].name);
        }
    }
}

/* For each command its options, and what its arguments are. */
static void append_subcommands(struct buf *b)
{
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        const struct subcommand *s = &subcommands[i];

        buf_printf(b, "    %s)\n        options+='", s->name);
        append_options(b, i);
        buf_append_string(b, "'\n");
        if (strstr(s->arguments, "FILE") != NULL) {
            buf_append_string(b, "        files=1\n");
        }
        if (strstr(s->arguments, "COLUMN=VALUE") != NULL) {
            buf_append_string(b, "        words='title= author= year='\n"
                                 "        compopt -o nospace\n");
        }
        if (i == SUBCOMMAND_help) {
            buf_append_string(b, "        words='");
            append_names(b, ' ');
            for (size_t t = 0; t < help_n_topics; t++) {
                buf_printf(b, " %s", help_topics[t].name);
            }
            buf_append_string(b, "'\n");
        }
        buf_append_string(b, "        ;;\n");
    }
}

void help_completion(void)
{
    struct buf b = {0};

    buf_append_string(&b, "# SPDX-License-Identifier: MIT\n"
                          "# Completion of bookctl for bash.\n"
                          "# Made by bookctl --completion from the tables in "
                          "client/*.def.\n\n"
                          "_bookctl()\n"
                          "{\n"
                          "    local word=${COMP_WORDS[COMP_CWORD]}\n"
                          "    local before=${COMP_WORDS[COMP_CWORD - 1]}\n"
                          "    local command='' files='' words='' options i\n\n"
                          "    COMPREPLY=()\n"
                          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                          "        case ${COMP_WORDS[i]} in\n"
                          "        ");
    append_names(&b, '|');
    buf_append_string(&b, ")\n"
                          "            command=${COMP_WORDS[i]}\n"
                          "            break\n"
                          "            ;;\n"
                          "        esac\n"
                          "    done\n\n"
                          "    case $before in\n");
    append_values(&b);
    buf_append_string(&b, "    esac\n\n    options='");
    append_options(&b, SUBCOMMAND_COUNT);
    buf_append_string(&b, "'\n    case $command in\n    '')\n        words='");
    append_names(&b, ' ');
    buf_append_string(&b, "'\n        ;;\n");
    append_subcommands(&b);
    buf_append_string(
        &b, "    esac\n\n"
            "    if [[ $word == -* ]]; then\n"
            "        compopt +o nospace\n"
            "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- "
            "\"$word\")\n"
            "    elif [[ $files ]]; then\n"
            "        compopt -o filenames\n"
            "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
            "    elif [[ $words ]]; then\n"
            "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
            "\"$word\")\n"
            "    fi\n"
            "}\n"
            "complete -F _bookctl bookctl\n");
    print_write(stdout, &b);
    buf_destroy(&b);
}
