/* SPDX-License-Identifier: MIT */
/*
 * Lines are as long as a cache line.  How many ghosts of a line count, its
 * ways, is count / n_lines rounded up: from half of LINE to LINE.  So the total
 * is near 'count' at any size, although the number of lines is a power of two.
 */
#include "server/cache/ghost.h"

#include <string.h>

#include "common/mem.h"

#define LINE 16u

/* 0 is an empty place, and stands behind all others. */
struct ghost_line {
    uint32_t prints[LINE];
};

void ghost_destroy(struct ghost *g)
{
    free(g->lines);
    *g = (struct ghost){.lines = NULL};
}

static uint32_t print_of(uint32_t hash)
{
    return hash == 0 ? 1 : hash;
}

/* The line is chosen by the high bits of a multiplicative hash, because the
 * low bits of 'print' are those that chose the bin of the index. */
static struct ghost_line *line_of(const struct ghost *g, uint32_t print)
{
    const uint64_t spread = (uint32_t)(print * UINT32_C(0x9E3779B1));

    return &g->lines[spread * g->n_lines >> 32];
}

static void add(struct ghost *g, uint32_t print)
{
    struct ghost_line *const line = line_of(g, print);

    memmove(line->prints + 1, line->prints, (LINE - 1) * sizeof(uint32_t));
    line->prints[0] = print;
}

/* Doubles the lines; those who were in one are in one of two, in order. */
static void grow(struct ghost *g)
{
    struct ghost bigger = {.n_lines = g->n_lines == 0 ? 1 : 2 * g->n_lines};

    bigger.lines = try_malloc(bigger.n_lines * sizeof(struct ghost_line));
    if (bigger.lines == NULL) {
        return;
    }
    memset(bigger.lines, 0, bigger.n_lines * sizeof(struct ghost_line));
    for (uint32_t i = 0; i < g->n_lines; i++) {
        for (uint32_t j = LINE; j > 0; j--) {
            if (g->lines[i].prints[j - 1] != 0) {
                add(&bigger, g->lines[i].prints[j - 1]);
            }
        }
    }
    ghost_destroy(g);
    *g = bigger;
}

void ghost_add(struct ghost *g, uint32_t hash, uint32_t count)
{
    if (count > g->n_lines * LINE) {
        grow(g);
    }
    if (g->n_lines == 0) {
        return;
    }
    const uint32_t print = print_of(hash);
    const uint32_t ways = (count + g->n_lines - 1) / g->n_lines;
    struct ghost_line *const line = line_of(g, print);

    add(g, print);
    for (uint32_t i = ways; i < LINE; i++) {
        line->prints[i] = 0;
    }
}

bool ghost_take(struct ghost *g, uint32_t hash)
{
    if (g->n_lines == 0) {
        return false;
    }
    const uint32_t print = print_of(hash);
    struct ghost_line *const line = line_of(g, print);

    for (uint32_t i = 0; i < LINE; i++) {
        if (line->prints[i] == print) {
            memmove(line->prints + i, line->prints + i + 1,
                    (LINE - 1 - i) * sizeof(uint32_t));
            line->prints[LINE - 1] = 0;
            return true;
        }
    }
    return false;
}

size_t ghost_size(const struct ghost *g)
{
    return g->n_lines * sizeof(struct ghost_line);
}
