/* SPDX-License-Identifier: MIT */
/*
 * bookd: reads the command line and the configuration file, then serves.
 *
 * Exit status: 0 stopped in order; 1 could not start, or a file that was to be
 * checked has errors; 2 the command line is wrong.
 */
#include "common/buf.h"
#include "common/config.h"
#include "common/log.h"
#include "server/admin/config.h"
#include "server/command/command.h"
#include "server/manual.h"
#include "server/server.h"
#include "server/store/mapping.h"

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
    } else if (strcmp(option, "--counter-table") == 0) {
        manual_counters(&text);
    } else {
        return false;
    }
    *status = print(&text);
    return true;
}

/* Tells 'config' which tables there are. */
static enum err check_tables(struct config *config, struct buf *detail)
{
    const char *names[CONFIG_TABLES_MAX];
    const size_t n = mappings_builtin.count;

    for (size_t i = 0; i < n && i < CONFIG_TABLES_MAX; i++) {
        names[i] = mappings_builtin.list[i].table;
    }
    return config_table_check(config, names, n, detail);
}

static int check_config(int argc, char **argv)
{
    struct buf detail = {0};

    if (argc != 3) {
        fprintf(stderr, "usage: bookd --check-config FILE\n");
        return EXIT_USAGE;
    }
    struct config *config = config_new();
    enum err err = config_load(config, argv[2], false, &detail);
    if (err == ERR_OK) {
        err = check_tables(config, &detail);
    }
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
                       const char *file)
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
    if (check_tables(config, &detail) != ERR_OK) {
        complain(&detail);
        return EXIT_STARTUP;
    }
    buf_destroy(&detail);
    return EXIT_SUCCESS;
}

static int run(struct config *config, const char *file)
{
    struct buf detail = {0};
    /* The daemon may change its directory before it reads the file again. */
    char *path = file != NULL ? realpath(file, NULL) : NULL;
    const enum err err = server_run(config, path, &detail);

    if (err != ERR_OK) {
        log_error("server: cannot start: %s", buf_string(&detail));
    }
    buf_destroy(&detail);
    free(path);
    return err == ERR_OK ? EXIT_SUCCESS : EXIT_STARTUP;
}

int main(int argc, char **argv)
{
    const char *file = NULL;
    bool only_print = false;
    int status;

    log_init();
    if (print_and_end(argc, argv, &status)) {
        return status;
    }
    if (argc > 1 && strcmp(argv[1], "--check-config") == 0) {
        return check_config(argc, argv);
    }
    int first = 1;
    if (first < argc && strcmp(argv[first], "--print-config") == 0) {
        only_print = true;
        first++;
    }
    if (first < argc && strncmp(argv[first], "--", 2) != 0) {
        file = argv[first++];
    }
    struct config *config = config_new();
    status = read_config(config, argc - first, argv + first, file);
    if (status == EXIT_SUCCESS && only_print) {
        struct buf text = {0};
        config_print(config, &text);
        status = print(&text);
    } else if (status == EXIT_SUCCESS) {
        status = run(config, file);
    }
    config_free(config);
    return status;
}
