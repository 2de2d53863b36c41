/* SPDX-License-Identifier: MIT */
#include "server/command/number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* The longest text that is read as a number; the largest long double has 4933
 * digits before its point.  Source: Redis. */
#define NUMBER_SIZE_MAX (5 * 1024)

bool number_parse(struct slice s, long double *value)
{
    char text[NUMBER_SIZE_MAX];
    char *end;

    if (s.size == 0 || s.size >= sizeof text ||
        isspace((unsigned char)s.data[0])) {
        return false;
    }
    memcpy(text, s.data, s.size);
    text[s.size] = '\0';
    errno = 0;
    const long double parsed = strtold(text, &end);
    if (end != text + s.size || isnan(parsed) ||
        (errno == ERANGE && (isinf(parsed) || parsed == 0))) {
        return false;
    }
    *value = parsed;
    return true;
}

void number_append(struct buf *out, long double value)
{
    const size_t start = out->size;

    buf_printf(out, "%.17Lf", value);
    const char *text = buf_data(out) + start;
    size_t size = out->size - start;
    while (text[size - 1] == '0') { /* There is a point. */
        size--;
    }
    size -= text[size - 1] == '.';
    buf_truncate(out, start + size);
    if (size == 2 && memcmp(text, "-0", 2) == 0) {
        buf_truncate(out, start);
        buf_append_char(out, '0');
    }
}
