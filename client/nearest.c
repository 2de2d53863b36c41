/* SPDX-License-Identifier: MIT */
/*
 * The closest name by the number of slips of the fingers between the two.
 */
#include "client/nearest.h"

#include <stdint.h>
#include <string.h>

#define NAME_MAX_LEN 24 /* No name of ours is longer. */

/* How many insertions, deletions, replacements and swaps of neighbours lead
 * from 'a' to 'b' (Damerau's distance, each letter touched once). */
static size_t distance(const char *a, const char *b)
{
    const size_t n_a = strlen(a);
    const size_t n_b = strlen(b);
    size_t d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];

    if (n_a > NAME_MAX_LEN || n_b > NAME_MAX_LEN) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i <= n_a; i++) {
        for (size_t j = 0; j <= n_b; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
            best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best) {
                best = d[i - 2][j - 2] + 1;
            }
            d[i][j] = best;
        }
    }
    return d[n_a][n_b];
}

const char *nearest_name(const char *word, const char *const *names,
                         size_t count)
{
    const size_t size = strlen(word);
    /* One slip in a short word, two in a longer one. */
    size_t best = size <= 3 ? 2 : 3;
    const char *nearest = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, names[i]);
        if (size >= 3 && strncmp(word, names[i], size) == 0) {
            d = 1; /* Cut short: "exp" means "export". */
        }
        if (d < best && d < strlen(names[i])) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}
