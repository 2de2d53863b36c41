/* SPDX-License-Identifier: MIT */
/*
 * LOLWUT: a bookcase, never the same twice.
 *
 *     LOLWUT [VERSION version] [columns [shelves]]
 *
 * A shelf is drawn from left to right: books with a word of this program on
 * their spines, and gaps.  A book of height h reaches from the board up through
 * h rows:
 *
 *      ┌───┐        row h    its top
 *      │ K │        row 3    its letters, from the top down
 *      │ E │        row 2
 *      │ Y │        row 1
 *     ═════════     row 0    the board
 */
#include "common/clock.h"
#include "common/config.h"
#include "common/hash.h"
#include "common/random.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/redis.h"

#define COLUMNS_MIN 8
#define COLUMNS_MAX 160
#define COLUMNS_DEFAULT 66
#define SHELVES_MAX 20
#define SHELVES_DEFAULT 2
#define HEIGHT_MAX 9 /* The longest word, and the top. */

static const char *const words[] = {
    "CACHE", "STORE",  "FLIGHT", "FENCE", "FRESH", "STALE", "ROW",  "KEY",
    "FILL",  "COMMIT", "RACE",   "BOOK",  "SHARD", "INDEX", "READ", "WRITE"};

/* What stands in each column of a shelf. */
struct column {
    enum { GAP, LEFT, RIGHT, PAGES, SPINE } part;
    size_t height;    /* Of the book; its top is in this row. */
    const char *word; /* On the SPINE. */
};

/* Puts books into all of 'columns'. */
static void fill(struct column *columns, size_t n, uint64_t *state)
{
    for (size_t i = 0; i < n;) {
        const char *word = words[random_next(state) % ARRAY_LEN(words)];
        /* An even number beside the spine, so that it is in the middle. */
        const size_t width = 3 + 2 * (random_next(state) % 3 == 0);
        const size_t spare = HEIGHT_MAX - 1 - strlen(word);
        const size_t height =
            strlen(word) + 1 + random_next(state) % (spare + 1) / 2;

        if (i + width > n || random_next(state) % 7 == 0) {
            columns[i++] = (struct column){.part = GAP};
            continue;
        }
        for (size_t k = 0; k < width; k++, i++) {
            columns[i] = (struct column){.part = k == 0           ? LEFT
                                                 : k == width - 1 ? RIGHT
                                                 : k == width / 2 ? SPINE
                                                                  : PAGES,
                                         .height = height,
                                         .word = word};
        }
    }
}

static void draw_cell(const struct column *c, size_t row, struct buf *out)
{
    static const char *const tops[] = {" ", "┌", "┐", "─", "─"};
    static const char *const sides[] = {" ", "│", "│", " ", " "};

    if (c->part == GAP || row > c->height) {
        buf_append_char(out, ' ');
    } else if (row == c->height) {
        buf_append_string(out, tops[c->part]);
    } else if (c->part == SPINE && c->height - row <= strlen(c->word)) {
        buf_append_char(out, c->word[c->height - row - 1]);
    } else {
        buf_append_string(out, sides[c->part]);
    }
}

static void draw_shelf(size_t n, uint64_t *state, struct buf *out)
{
    struct column columns[COLUMNS_MAX];

    fill(columns, n, state);
    for (size_t row = HEIGHT_MAX; row > 0; row--) {
        for (size_t i = 0; i < n; i++) {
            draw_cell(&columns[i], row, out);
        }
        buf_append_char(out, '\n');
    }
    for (size_t i = 0; i < n; i++) {
        buf_append_string(out, "═");
    }
    buf_append_char(out, '\n');
}

/* Reads argument 'i', if it is there, held to the bounds; replies on error. */
static bool take_size(struct request *r, size_t i, int64_t min, int64_t max,
                      int64_t *size)
{
    if (i < r->argc && !arg_integer(r, i, size)) {
        return false;
    }
    *size = *size < min ? min : *size > max ? max : *size;
    return true;
}

enum command_status cmd_lolwut(struct request *r)
{
    size_t first = 1;
    int64_t version;
    int64_t columns = COLUMNS_DEFAULT;
    int64_t shelves = SHELVES_DEFAULT;
    struct buf picture = {0};

    /* There is one picture, whichever version of it is asked for. */
    if (r->argc > 2 && arg_is(r, 1, "VERSION")) {
        if (!arg_integer(r, 2, &version)) {
            return COMMAND_DONE;
        }
        first = 3;
    }
    if (!take_size(r, first, COLUMNS_MIN, COLUMNS_MAX, &columns) ||
        !take_size(r, first + 1, 1, SHELVES_MAX, &shelves)) {
        return COMMAND_DONE;
    }
    const int64_t now_us = clock_now_us();
    uint64_t state =
        hash_bytes(slice_make((const char *)&now_us, sizeof now_us));
    for (int64_t i = 0; i < shelves; i++) {
        draw_shelf((size_t)columns, &state, &picture);
    }
    buf_append_string(&picture, "\nA bookcase, drawn by bookd " VERSION
                                ". Redis ver. " REDIS_VERSION "\n");
    reply_verbatim(&r->reply, "txt", buf_slice(&picture));
    buf_destroy(&picture);
    return COMMAND_DONE;
}
