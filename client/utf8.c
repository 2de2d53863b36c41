/* SPDX-License-Identifier: MIT */
/*
 * The first byte says how many follow; the value says whether fewer would have
 * done.
 */
#include "client/utf8.h"

size_t utf8_decode(struct slice s, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)s.data;
    size_t size;
    uint32_t c;

    if (s.size == 0) {
        return 0;
    }
    if (at[0] < 0x80) {
        *code = at[0];
        return 1;
    }
    size = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
    if (at[0] < 0xC2 || at[0] > 0xF4 || size > s.size) {
        return 0;
    }
    c = at[0] & (0xFFU >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
        c = c << 6 | (at[i] & 0x3F);
    }
    if (c < smallest[size] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        return 0;
    }
    *code = c;
    return size;
}

bool utf8_is_valid(struct slice s)
{
    uint32_t code;
    size_t size;

    for (; s.size > 0; s = slice_make(s.data + size, s.size - size)) {
        size = utf8_decode(s, &code);
        if (size == 0) {
            return false;
        }
    }
    return true;
}
