/* SPDX-License-Identifier: MIT */
/*
 * main() for a fuzz target built without a fuzzer: feeds it the files named on
 * the command line, one after the other, so that every input that once broke
 * something is tried again by `make check`.
 *
 * With libFuzzer, link the target with -fsanitize=fuzzer instead of this file.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    long size;
    uint8_t *data;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 ||
        (size = ftell(file)) < 0) {
        perror(path);
        exit(1);
    }
    rewind(file);

    /* Exactly 'size' bytes, so that a sanitizer sees a read past the end. */
    data = malloc(size == 0 ? 1 : (size_t)size);
    if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size) {
        perror(path);
        exit(1);
    }
    fclose(file);

    /* A crash leaves the name of its input as the last line. */
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        replay(argv[i]);
    }
    if (argc == 1) {
        fprintf(stderr, "usage: %s FILE...\n", argv[0]);
        return 2;
    }
    return 0;
}
