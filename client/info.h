/* SPDX-License-Identifier: MIT */
/*
 * What INFO answered, as named values.
 *
 * Thread-safety: none; one owner.
 */
#ifndef CLIENT_INFO_H
#define CLIENT_INFO_H

#include "client/status.h"
#include "common/attr.h"
#include "common/buf.h"

struct session;

struct info_field {
    struct slice name;
    struct slice value;
};

struct info {
    struct buf text; /* What the fields point into. */
    struct info_field *fields;
    size_t count;
    size_t capacity;
};

/* Asks for everything INFO has.  Complains on failure.
 * Ownership: info_destroy(), in any case; 'info' may be fetched into again. */
NODISCARD
enum status info_fetch(struct info *info, struct session *session);
void info_destroy(struct info *info);

/* Reads "name:value" lines; those that begin with '#' are headings. */
void info_parse(struct info *info, struct slice text);

/* The value of 'name' as text, or "" … */
struct slice info_text(const struct info *info, const char *name);
/* … or as a number, or 0. */
int64_t info_number(const struct info *info, const char *name);

/* Appends all as one JSON object; what is a number becomes one. */
void info_json(const struct info *info, struct buf *b);

#endif
