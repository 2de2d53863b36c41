/* SPDX-License-Identifier: MIT */
/*
 * Any bytes, read whole and read one byte at a time, must mean the same
 * commands, and arguments must lie within what the parser was given.
 */
#include "server/resp/parse.h"

#include "common/mem.h"

#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small, so that a fuzzer reaches them. */
static const struct resp_limits limits = {
    .max_args = 64,
    .max_bulk_bytes = 4096,
    .max_inline_bytes = 256,
    .max_command_bytes = 8192,
};

#define REQUIRE(condition)                                   \
    do {                                                     \
        if (!(condition)) {                                  \
            fprintf(stderr, "fuzz_parse: %s\n", #condition); \
            abort();                                         \
        }                                                    \
    } while (0)

/* Appends what was understood: "argument\0" … '\n' for each command, the
 * error text at the end. */
static void note(const struct resp_parser *p, enum resp_status status,
                 struct slice input, struct buf *out)
{
    if (status == RESP_ERROR) {
        buf_append_string(out, p->error);
        return;
    }
    REQUIRE(p->used_bytes > 0 && p->used_bytes <= input.size);
    REQUIRE((p->argc > 0) == (status == RESP_COMMAND));
    for (size_t i = 0; i < p->argc; i++) {
        const struct slice arg = p->argv[i];
        if (input.data[0] == '*') {
            REQUIRE(arg.data >= input.data &&
                    arg.data + arg.size <= input.data + p->used_bytes);
        }
        buf_append_slice(out, arg);
        buf_append_char(out, '\0');
    }
    buf_append_char(out, '\n');
}

/* Reads all of 'data', of which 'step' more bytes come each time. */
static void run(struct slice data, size_t step, struct buf *out)
{
    struct resp_parser parser;
    resp_parser_init(&parser);
    enum resp_status status = RESP_INCOMPLETE;
    size_t start = 0;
    size_t end = 0;
    while (status != RESP_ERROR &&
           (status != RESP_INCOMPLETE || end < data.size)) {
        if (status == RESP_INCOMPLETE) {
            end = data.size - end < step ? data.size : end + step;
        }
        const struct slice input = slice_make(data.data + start, end - start);
        status = resp_parse(&parser, &limits, input);
        if (status != RESP_INCOMPLETE) {
            note(&parser, status, input, out);
            start += status == RESP_ERROR ? 0 : parser.used_bytes;
        }
    }
    resp_parser_destroy(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct buf whole = {0};
    struct buf bytes = {0};
    run(slice_make(data, size), size, &whole);
    run(slice_make(data, size), 1, &bytes);
    /* A line that is too long is seen sooner or later, as its end is. */
    bool same = slice_equal(buf_slice(&whole), buf_slice(&bytes));
    const struct slice seen = buf_slice(&bytes);
    bool too_long = memmem(seen.data, seen.size, "too big", 7) != NULL;
    REQUIRE(same || too_long);
    buf_destroy(&whole);
    buf_destroy(&bytes);
    return 0;
}
