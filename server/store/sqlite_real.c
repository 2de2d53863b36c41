/* SPDX-License-Identifier: MIT */
/*
 * Reals as text, both ways exactly.
 *
 * SQLite prints 15 digits, too few to tell all reals apart, and what it reads
 * from 17 may be the next real but one.  The C library does both right; only
 * the form is SQLite's: "3.0", "1.0e+100".
 */
#include "server/store/sqlite_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits of a real: so many can always be kept, so many always suffice. */
#define DIGITS_MIN 15
#define DIGITS_MAX 17

void sqlite_real_text(double real, char text[SQLITE_REAL_TEXT])
{
    if (isinf(real)) {
        memcpy(text, real < 0 ? "-Inf" : "Inf", real < 0 ? 5 : 4);
        return;
    }
    for (int digits = DIGITS_MIN; digits <= DIGITS_MAX; digits++) {
        snprintf(text, SQLITE_REAL_TEXT, "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    if (strchr(text, '.') == NULL) { /* ".0" behind the digits. */
        const size_t size = strlen(text);
        const size_t at = strcspn(text, "e");
        memmove(&text[at + 2], &text[at], size - at + 1);
        memcpy(&text[at], ".0", 2);
    }
}

bool sqlite_real_parse(struct slice text, double *real)
{
    char copy[64]; /* More digits than this are SQLite's to read. */
    char *end;

    if (text.size == 0 || text.size >= sizeof(copy)) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (memchr("0123456789+-.eE", text.data[i], 15) == NULL) {
            return false; /* Nor hexadecimals, spaces, "inf". */
        }
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *real = strtod(copy, &end);
    return end == copy + text.size;
}
