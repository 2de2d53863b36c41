/* SPDX-License-Identifier: MIT */
/*
 * bookd: reads the command line and the configuration file, then serves.
 *
 * Exit status: 0 stopped in order; 1 could not start, or a file that was to be
 * checked has errors; 2 the command line is wrong.
 */
#include "common/attr.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/log.h"
#include "server/admin/config.h"
#include "server/admin/config_tables.h"
#include "server/command/acl.h"
#include "server/command/command.h"
#include "server/command/info.h"
#include "server/manual.h"
#include "server/server.h"
#include "server/store/mapping_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_STARTUP = 1, EXIT_USAGE = 2 };

static int print(struct buf *text)
{
    const bool written =
        fwrite(buf_data(text), 1, text->size, stdout) == text->size &&
        fflush(stdout) == 0;

    buf_destroy(text);
    return written ? EXIT_SUCCESS : EXIT_STARTUP;
}

/* Prints each line of 'detail' with the program's name in front. */
static void complain(struct buf *detail)
{
    char *rest = NULL;
    char *text = (char *)(uintptr_t)buf_string(detail);

    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        fprintf(stderr, "bookd: %s\n", line);
    }
    buf_destroy(detail);
}

/* The options that print something and end; returns false if 'argv[1]' is none
 * of them. */
static bool print_and_end(int argc, char **argv, int *status)
{
    struct buf text = {0};
    const char *option = argc > 1 ? argv[1] : "";

    if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
        manual_help(&text);
    } else if (strcmp(option, "--version") == 0 || strcmp(option, "-v") == 0) {
        buf_append_string(&text, "bookd " VERSION "\n");
    } else if (strcmp(option, "--man") == 0) {
        manual_bookd(&text);
    } else if (strcmp(option, "--man-config") == 0) {
        manual_config(&text);
    } else if (strcmp(option, "--completion") == 0) {
        config_completion(&text);
    } else if (strcmp(option, "--command-table") == 0) {
        command_print_docs(&text);
    } else if (strcmp(option, "--difference-table") == 0) {
        command_print_differences(&text);
    } else if (strcmp(option, "--counter-table") == 0) {
        manual_counters(&text);
    } else if (strcmp(option, "--field-table") == 0) {
        info_print_docs(&text);
    } else {
        return false;
    }
    *status = print(&text);
    return true;
}

/* Makes the set of tables that 'config' wants. */
static enum err make_tables(const struct config *config,
                            struct mapping_set **tablesp, struct buf *detail)
{
    struct table_entries entries = {0};
    struct buf text = {0};

    config_string(config, CONFIG_table, &text);
    config_tables_apply_own(&entries, buf_string(&text));
    const enum err err = mapping_set_new(tablesp, &entries, detail);
    config_tables_clear(&entries);
    buf_destroy(&text);
    return err;
}

static int check_config(int argc, char **argv)
{
    struct mapping_set *tables = NULL;
    struct buf detail = {0};

    if (argc != 3) {
        fprintf(stderr, "usage: bookd --check-config FILE\n");
        return EXIT_USAGE;
    }
    struct config *config = config_new();
    enum err err = config_load(config, argv[2], false, &detail);
    if (err == ERR_OK) {
        err = make_tables(config, &tables, &detail);
    }
    if (err == ERR_OK) {
        command_init();
        err = acl_check_config(config, &detail);
    }
    mapping_set_free(tables);
    config_free(config);
    if (err != ERR_OK) {
        complain(&detail);
        return EXIT_STARTUP;
    }
    buf_destroy(&detail);
    printf("%s: good\n", argv[2]);
    return EXIT_SUCCESS;
}

/* Reads the arguments, then the file: what the command line gives is left
 * alone by the file, now and at every reload. */
static int read_config(struct config *config, int argc, char **argv,
                       const char *file, struct mapping_set **tablesp)
{
    struct buf detail = {0};

    if (config_load_args(config, argc, argv, &detail) != ERR_OK) {
        complain(&detail);
        fprintf(stderr, "bookd: see bookd --help\n");
        return EXIT_USAGE;
    }
    if (file != NULL && config_load(config, file, false, &detail) != ERR_OK) {
        complain(&detail);
        return EXIT_STARTUP;
    }
    if (make_tables(config, tablesp, &detail) != ERR_OK) {
        complain(&detail);
        return EXIT_STARTUP;
    }
    buf_destroy(&detail);
    return EXIT_SUCCESS;
}

static int run(struct config *config, struct mapping_set *tables,
               const char *file)
{
    struct buf detail = {0};
    /* The daemon may change its directory before it reads the file again. */
    char *path = file != NULL ? realpath(file, NULL) : NULL;
    const enum err err = server_run(config, tables, path, &detail);

    if (err != ERR_OK && detail.size > 0) {
        log_error("server: cannot start: %s", buf_string(&detail));
    }
    buf_destroy(&detail);
    free(path);
    return err == ERR_OK ? EXIT_SUCCESS : EXIT_STARTUP;
}

static int maintain(struct config *config, struct mapping_set *tables,
                    enum store_task task)
{
    struct buf report = {0};
    struct buf detail = {0};

    if (server_maintain(config, tables, task, &report, &detail) != ERR_OK) {
        complain(&detail);
        buf_destroy(&report);
        return EXIT_STARTUP;
    }
    buf_destroy(&detail);
    return print(&report);
}

/* What else bookd can do with a configuration than serve. */
enum mode { SERVE, PRINT_CONFIG, MAINTAIN };

struct invocation {
    enum mode mode;
    enum store_task task; /* MAINTAIN. */
    const char *file;     /* NULL: none. */
};

/* Takes FILE and the options that are no directives off the front of the
 * arguments, in either order; returns how many those were. */
static int take_invocation(int argc, char **argv, struct invocation *asked)
{
    static const struct {
        const char *option;
        enum mode mode;
        enum store_task task;
    } options[] = {
        {"--print-config", PRINT_CONFIG, 0},
        {"--install-change-feed", MAINTAIN, STORE_INSTALL_FEED},
        {"--remove-change-feed", MAINTAIN, STORE_REMOVE_FEED},
        {"--install-plain-keys", MAINTAIN, STORE_INSTALL_PLAIN},
    };
    int taken = 0;

    for (; taken < argc; taken++) {
        size_t i = 0;
        if (strncmp(argv[taken], "--", 2) != 0 && asked->file == NULL) {
            asked->file = argv[taken];
            continue;
        }
        while (i < ARRAY_LEN(options) &&
               strcmp(argv[taken], options[i].option) != 0) {
            i++;
        }
        if (i == ARRAY_LEN(options) || asked->mode != SERVE) {
            break;
        }
        asked->mode = options[i].mode;
        asked->task = options[i].task;
    }
    return taken;
}

static int carry_out(struct config *config, struct mapping_set *tables,
                     const struct invocation *asked)
{
    struct buf text = {0};

    switch (asked->mode) {
    case SERVE:
        return run(config, tables, asked->file);
    case PRINT_CONFIG:
        config_print(config, &text);
        return print(&text);
    case MAINTAIN:
        return maintain(config, tables, asked->task);
    }
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct mapping_set *tables = NULL;
    struct invocation asked = {.mode = SERVE};
    int status;

    log_init();
    if (print_and_end(argc, argv, &status)) {
        return status;
    }
    if (argc > 1 && strcmp(argv[1], "--check-config") == 0) {
        return check_config(argc, argv);
    }
    const int first = 1 + take_invocation(argc - 1, argv + 1, &asked);
    struct config *config = config_new();
    status =
        read_config(config, argc - first, argv + first, asked.file, &tables);
    if (status == EXIT_SUCCESS) {
        status = carry_out(config, tables, &asked);
    }
    mapping_set_free(tables);
    config_free(config);
    return status;
}
