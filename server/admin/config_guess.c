/* SPDX-License-Identifier: MIT */
/*
 * Which directive was probably meant: the one that takes the fewest slips of
 * the finger to get from.
 */
#include "server/admin/config.h"

/* Longer names are not looked at; ours have at most 25 letters. */
#define GUESS_MAX 40

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Without case.  What else it folds together are no letters of a name. */
static char fold(char c)
{
    return (char)(c | 0x20);
}

/* Insertions, deletions, substitutions and swaps of neighbours between 'a'
 * and 'b'.  Both are at most GUESS_MAX long.
 * Source: optimal string alignment distance. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][GUESS_MAX + 1]; /* Row i of the matrix is rows[i % 3]. */
    for (size_t j = 0; j <= b.size; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        const size_t *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            const char x = fold(a.data[i - 1]);
            const char y = fold(b.data[j - 1]);
            row[j] = min_of(min_of(above[j], row[j - 1]) + 1,
                            above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == fold(b.data[j - 2]) &&
                y == fold(a.data[i - 2])) {
                row[j] = min_of(row[j], above2[j - 2] + 1);
            }
        }
    }
    return rows[a.size % 3][b.size];
}

enum config_id config_guess(struct slice name)
{
    enum config_id best = CONFIG_COUNT;
    if (name.size > GUESS_MAX) {
        return best;
    }
    /* With more than a third of the letters wrong it is another word. */
    size_t best_distance = name.size / 3 + 1;
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        const size_t d =
            distance(name, slice_from_string(config_directives[id].name));
        if (d < best_distance) {
            best = id;
            best_distance = d;
        }
    }
    return best;
}
