/* SPDX-License-Identifier: MIT */
/*
 * What a slice can do that is too long for the header.
 */
#include "common/slice.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Not strncasecmp(), for which a NUL ends the comparison. */
bool slice_equal_nocase(struct slice a, struct slice b)
{
    bool equal = a.size == b.size;

    for (size_t i = 0; equal && i < a.size; i++) {
        equal = lower(a.data[i]) == lower(b.data[i]);
    }
    return equal;
}

bool slice_to_int64(struct slice s, int64_t *value)
{
    const char *at = s.data;
    size_t left = s.size;
    bool negative = false;
    uint64_t limit = INT64_MAX;
    uint64_t sum = 0;

    if (left > 0 && *at == '-') {
        negative = true;
        limit = (uint64_t)INT64_MAX + 1;
        at++;
        left--;
    }
    /* "0" is the only number that may begin with a zero; "-0" is not one. */
    if (left == 0 || (*at == '0' && (left > 1 || negative))) {
        return false;
    }
    for (; left > 0; at++, left--) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        const uint64_t digit = (uint64_t)(*at - '0');
        if (sum > (limit - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    /* Negating as unsigned reaches INT64_MIN without overflow. */
    *value = (int64_t)(negative ? 0 - sum : sum);
    return true;
}
