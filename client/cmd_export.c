/* SPDX-License-Identifier: MIT */
/*
 * export: all books into a file.
 *
 * A regular file is written under another name in its directory, made durable
 * and then renamed, so that a failed export leaves the old file as it was.
 */
#include "client/client.h"
#include "client/fetch.h"
#include "client/print.h"
#include "client/progress.h"
#include "common/mem.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

struct exporter {
    const char *path; /* NULL: standard output. */
    FILE *file;
    bool special;    /* A device or a pipe: written as it is. */
    char *temporary; /* Else the name to be renamed to 'path'. */
    int error;       /* errno of the first write that failed, or 0. */
    struct output *output;
    struct progress progress;
    int64_t n_asked;
    int64_t n_written;
};

static bool is_special(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && !S_ISREG(about.st_mode);
}

/* Opens a new file beside 'path', readable as any new file would be. */
static FILE *open_beside(const char *path, char **temporary)
{
    struct buf name = {0};
    const mode_t mask = umask(0);
    FILE *file = NULL;
    int fd;

    (void)umask(mask);
    buf_printf(&name, "%s.XXXXXX", path);
    *temporary = xstrdup(buf_string(&name));
    buf_destroy(&name);
    fd = mkstemp(*temporary);
    if (fd >= 0) {
        (void)fchmod(fd, 0666 & ~mask);
        file = fdopen(fd, "w");
    }
    if (file == NULL) {
        const int error = errno;
        if (fd >= 0) {
            (void)close(fd);
            (void)unlink(*temporary);
        }
        free(*temporary);
        *temporary = NULL;
        errno = error;
    }
    return file;
}

static bool open_file(struct exporter *export)
{
    if (export->path == NULL) {
        export->file = stdout;
    } else if (export->special) {
        export->file = fopen(export->path, "we");
    } else {
        export->file = open_beside(export->path, &export->temporary);
    }
    if (export->file == NULL) {
        complain("cannot write %s: %s", export->path, strerror(errno));
        return false;
    }
    return true;
}

static enum status cannot_write(const struct exporter *export, int error)
{
    complain("cannot write %s: %s", export->path, strerror(error));
    return STATUS_REFUSED;
}

/* Closes the file; puts it in its place if 'status' is OK. */
static enum status close_file(struct exporter *export, enum status status)
{
    bool failed;

    if (export->path == NULL) {
        return status; /* main() looks after standard output. */
    }
    errno = export->error;
    failed = fflush(export->file) != 0 || ferror(export->file) ||
             (!export->special && fsync(fileno(export->file)) != 0);
    if (failed) {
        status = status_worse(status, cannot_write(export, errno));
    }
    if (fclose(export->file) != 0 && !failed) {
        status = status_worse(status, cannot_write(export, errno));
    }
    if (!export->special && status == STATUS_OK &&
        rename(export->temporary, export->path) != 0) {
        status = cannot_write(export, errno);
    }
    if (!export->special && status != STATUS_OK) {
        (void)unlink(export->temporary);
    }
    free(export->temporary);
    return status;
}

static bool write_book(int64_t id, const struct book *book, void *context)
{
    struct exporter *export = context;

    (void)id;
    export->n_asked++;
    if (book != NULL) { /* NULL: removed since the ids were read. */
        output_row(export->output, book->cells);
        export->n_written++;
    }
    if (export->path != NULL) {
        progress_update(&export->progress, export->n_asked, export->n_written);
    }
    if (ferror(export->file)) {
        export->error = errno;
        return false;
    }
    return true;
}

static void report(const struct exporter *export)
{
    struct buf line = {0};

    print_count(&line, export->n_written, "book", "books");
    buf_printf(&line, " written to %s\n", export->path);
    print_write(stdout, &line);
    buf_destroy(&line);
}

enum status command_export(struct client *client)
{
    const struct args *args = client->args;
    struct exporter export = {0};
    struct id_list list = {0};
    enum status status;

    if (args->n_words > 0 && strcmp(args->words[0], "-") != 0) {
        export.path = args->words[0];
        export.special = is_special(export.path);
    }
    status = client_connect(client);
    if (status != STATUS_OK) {
        return status;
    }
    if (!open_file(&export)) {
        return STATUS_REFUSED;
    }
    status = fetch_ids(client->session, &list);
    if (status == STATUS_OK) {
        progress_init(&export.progress, "books", (int64_t)list.count);
        export.output = output_new(
            export.file, args->options.json ? OUTPUT_JSON : OUTPUT_CSV, false,
            book_columns, BOOK_COLUMNS);
        status = fetch_books(client->session, list.ids, list.count, NULL,
                             write_book, &export);
        output_end(export.output);
        progress_clear(&export.progress);
    }
    status = close_file(&export, status);
    if (status == STATUS_OK && export.path != NULL && !export.special) {
        report(&export);
    }
    id_list_destroy(&list);
    return status;
}
