/* SPDX-License-Identifier: MIT */
#include "server/command/expiry.h"

#include "common/clock.h"
#include "server/command/args.h"

#include <stdio.h>

static const struct option {
    const char *name;
    int64_t unit_ms;
    bool absolute;
} all_options[] = {
    {"EX", 1000, false},
    {"PX", 1, false},
    {"EXAT", 1000, true},
    {"PXAT", 1, true},
};

bool expiry_option(const struct request *r, size_t i, struct expiry *expiry)
{
    if (i + 1 >= r->argc) {
        return false;
    }
    for (size_t k = 0; k < ARRAY_LEN(all_options); k++) {
        const struct option *option = &all_options[k];
        if (!arg_is(r, i, option->name)) {
            continue;
        }
        /* The same one may come again, as in Redis. */
        if (expiry_given(expiry) && (option->unit_ms != expiry->unit_ms ||
                                     option->absolute != expiry->absolute)) {
            return false;
        }
        *expiry = (struct expiry){.argument = i + 1,
                                  .unit_ms = option->unit_ms,
                                  .absolute = option->absolute};
        return true;
    }
    return false;
}

bool expiry_parse(const struct request *r, const struct expiry *expiry,
                  int64_t *expires_ms, char error[EXPIRY_ERROR_SIZE])
{
    int64_t n;

    if (!expiry_given(expiry)) {
        *expires_ms = 0;
        return true;
    }
    if (!slice_to_int64(r->argv[expiry->argument], &n)) {
        snprintf(error, EXPIRY_ERROR_SIZE,
                 "ERR value is not an integer or out of range");
        return false;
    }
    const int64_t base_ms = expiry->absolute ? 0 : clock_wall_ms();
    if (n <= 0 || __builtin_mul_overflow(n, expiry->unit_ms, &n) ||
        __builtin_add_overflow(n, base_ms, &n)) {
        snprintf(error, EXPIRY_ERROR_SIZE,
                 "ERR invalid expire time in '%s' command", r->command->name);
        return false;
    }
    *expires_ms = n;
    return true;
}

bool expiry_read(struct request *r, const struct expiry *expiry,
                 int64_t *expires_ms)
{
    char error[EXPIRY_ERROR_SIZE];

    if (!expiry_parse(r, expiry, expires_ms, error)) {
        reply_error(&r->reply, error);
        return false;
    }
    return true;
}
