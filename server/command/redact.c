/* SPDX-License-Identifier: MIT */
#include "server/command/redact.h"

#include "server/command/args.h"

/* Directives whose values are secrets.  Source: the sensitive ones of Redis. */
static bool is_secret_directive(struct slice name)
{
    static const char *const names[] = {"requirepass", "masterauth",
                                        "masteruser", "tls-key-file-pass",
                                        "tls-client-key-file-pass"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_equal_nocase(name, slice_from_string(names[i]))) {
            return true;
        }
    }
    return false;
}

bool redact_is_secret(const struct request *r, size_t i)
{
    const char *name = r->command->name;

    if (strcmp(name, "auth") == 0) {
        return i >= 1;
    }
    if (strcmp(name, "acl|setuser") == 0) {
        return i >= 2;
    }
    if (strcmp(name, "hello") == 0) {
        return (i >= 3 && arg_is(r, i - 1, "AUTH")) ||
               (i >= 4 && arg_is(r, i - 2, "AUTH"));
    }
    return strcmp(name, "config|set") == 0 && i >= 3 && i % 2 == 1 &&
           is_secret_directive(r->argv[i - 1]);
}
