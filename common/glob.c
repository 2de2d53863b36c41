/* SPDX-License-Identifier: MIT */
#include "common/glob.h"

#include <ctype.h>

static int fold(char c, bool ignore_case)
{
    const int byte = (unsigned char)c;

    return ignore_case ? tolower(byte) : byte;
}

/* Matches 'byte' against the class that begins behind the '[' at
 * pattern.data[*at - 1]; moves '*at' behind its ']', or to the end if that is
 * missing. */
static bool match_class(struct slice pattern, size_t *at, int byte,
                        bool ignore_case)
{
    const char *p = pattern.data;
    size_t i = *at;
    bool matched = false;
    const bool negated = i < pattern.size && p[i] == '^';

    if (negated) {
        i++;
    }
    while (i < pattern.size && p[i] != ']') {
        const bool escaped = p[i] == '\\' && i + 1 < pattern.size;
        i += escaped;
        int low = fold(p[i], ignore_case);
        int high = low;
        if (!escaped && i + 2 < pattern.size && p[i + 1] == '-') {
            high = fold(p[i + 2], ignore_case);
            i += 2;
        }
        if (low > high) {
            const int swap = low;
            low = high;
            high = swap;
        }
        matched = matched || (byte >= low && byte <= high);
        i++;
    }
    *at = i < pattern.size ? i + 1 : i;
    return matched != negated;
}

/* Matches one byte of text against the one element of 'pattern' at '*at' (not
 * a '*') and moves '*at' behind it. */
static bool match_one(struct slice pattern, size_t *at, char c,
                      bool ignore_case)
{
    const int byte = fold(c, ignore_case);
    char p = pattern.data[(*at)++];

    switch (p) {
    case '?':
        return true;
    case '[':
        return match_class(pattern, at, byte, ignore_case);
    case '\\':
        if (*at < pattern.size) {
            p = pattern.data[(*at)++];
        }
        break;
    default:
        break;
    }
    return fold(p, ignore_case) == byte;
}

bool glob_match(struct slice pattern, struct slice text, bool ignore_case)
{
    size_t p = 0, t = 0;
    size_t star_p = SIZE_MAX; /* Behind the last '*'; SIZE_MAX: none yet. */
    size_t star_t = 0;        /* Where the text goes on if it takes one more. */

    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star_p = ++p;
            star_t = t;
            continue;
        }
        if (p < pattern.size &&
            match_one(pattern, &p, text.data[t], ignore_case)) {
            t++;
            continue;
        }
        if (star_p == SIZE_MAX) {
            return false;
        }
        p = star_p;
        t = ++star_t;
    }
    while (p < pattern.size && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.size;
}
