/* SPDX-License-Identifier: MIT */
/*
 * How bins are found, filled, split and merged.
 *
 * A chain of bins is dense: all but the last are full.  Therefore a split needs
 * no memory but the new bin: two dense chains never need more extra bins than
 * the one dense chain they come from.  (A chain of k > 0 entries has
 * ceil((k - 1) / 6) - 1 extra bins, none for k = 1.)  Should there be no memory
 * for a new segment, the index stays as it is and its chains get longer.
 */
#include "server/cache/index.h"

#include <assert.h>

#include "common/mem.h"

#define SLOTS 7
#define BINS_MIN 8u

/* Entries per bin on average, at which a bin is added or taken away.  At 5 of
 * 7 places few bins need an extra one. */
#define FILL_MAX 5
#define FILL_MIN 2

struct index_bin {
    uint8_t tags[SLOTS];
    uint8_t count : 7;   /* Entries in this bin. */
    uint8_t chained : 1; /* The last slot leads to the next bin. */
    union {
        struct entry *entry;
        struct index_bin *next;
    } slots[SLOTS];
};

_Static_assert(sizeof(struct index_bin) == 64 || sizeof(void *) != 8,
               "a bin is one cache line");

static struct index_bin *next_of(const struct index_bin *b)
{
    return b->chained ? b->slots[SLOTS - 1].next : NULL;
}

/* ---- from hash to bin ---- */

/* The segment that holds 'bin': 0 for the first BINS_MIN, then one for each
 * power of two. */
static unsigned segment_of(uint32_t bin)
{
    return (unsigned)(__builtin_clz(BINS_MIN - 1) -
                      __builtin_clz(bin | (BINS_MIN - 1)));
}

/* The first bin of segment 's' > 0, and the number of bins in it. */
static uint32_t segment_start(unsigned s)
{
    return BINS_MIN << (s - 1);
}

static struct index_bin *bin_at(const struct index *ix, uint32_t bin)
{
    const unsigned s = segment_of(bin);

    return &ix->segments[s][s == 0 ? bin : bin - segment_start(s)];
}

static uint32_t bin_of(const struct index *ix, uint32_t hash)
{
    const uint32_t bin = hash & ix->mask;

    return bin < ix->n_bins ? bin : bin & ix->mask >> 1;
}

static void set_n_bins(struct index *ix, uint32_t n_bins)
{
    ix->n_bins = n_bins;
    ix->mask = UINT32_MAX >> __builtin_clz(n_bins - 1);
}

/* ---- life ---- */

void index_init(struct index *ix)
{
    *ix = (struct index){.n_entries = 0};
    set_n_bins(ix, BINS_MIN);
    ix->segments[0] = xcalloc(BINS_MIN, sizeof(struct index_bin));
}

void index_destroy(struct index *ix)
{
    for (uint32_t i = 0; i < ix->n_bins && ix->n_extra > 0; i++) {
        struct index_bin *b = next_of(bin_at(ix, i));
        while (b != NULL) {
            struct index_bin *const next = next_of(b);
            free(b);
            ix->n_extra--;
            b = next;
        }
    }
    for (unsigned s = 0; s < INDEX_SEGMENTS; s++) {
        free(ix->segments[s]);
    }
    *ix = (struct index){.n_entries = 0};
}

/* ---- finding ---- */

static bool is(const struct entry *e, const struct key *key)
{
    return e->hash == key->hash && slice_equal(entry_key(e), key->bytes);
}

struct entry *index_find(const struct index *ix, const struct key *key)
{
    const struct index_bin *b = bin_at(ix, bin_of(ix, key->hash));

    for (; b != NULL; b = next_of(b)) {
        for (unsigned i = 0; i < b->count; i++) {
            if (b->tags[i] == key->tag && is(b->slots[i].entry, key)) {
                return b->slots[i].entry;
            }
        }
    }
    return NULL;
}

/* ---- spare bins: those that a change of chains may take and give back ---- */

static void spare_put(struct index_bin **spares, struct index_bin *b)
{
    *b = (struct index_bin){.count = 0};
    b->slots[0].next = *spares;
    *spares = b;
}

static struct index_bin *spare_take(struct index_bin **spares)
{
    struct index_bin *const b = *spares;

    assert(b != NULL);
    *spares = b->slots[0].next;
    *b = (struct index_bin){.count = 0};
    return b;
}

/* Makes 'n' spare bins; false when memory is exhausted. */
static bool spares_make(struct index *ix, struct index_bin **spares, int n)
{
    for (int i = 0; i < n; i++) {
        struct index_bin *const b = try_malloc(sizeof(*b));
        if (b == NULL) {
            return false;
        }
        ix->n_extra++;
        spare_put(spares, b);
    }
    return true;
}

static void spares_free(struct index *ix, struct index_bin **spares)
{
    while (*spares != NULL) {
        free(spare_take(spares));
        ix->n_extra--;
    }
}

/* ---- chains ---- */

/* Adds 'e' at the end of the chain of 'b', which may take a spare bin. */
static void append(struct index_bin *b, uint8_t tag, struct entry *e,
                   struct index_bin **spares)
{
    while (b->chained) {
        b = next_of(b);
    }
    if (b->count == SLOTS) {
        struct index_bin *const next = spare_take(spares);
        const unsigned last = SLOTS - 1;

        next->tags[0] = b->tags[last];
        next->slots[0] = b->slots[last];
        next->count = 1;
        b->slots[last].next = next;
        b->count = last;
        b->chained = true;
        b = next;
    }
    b->tags[b->count] = tag;
    b->slots[b->count].entry = e;
    b->count++;
}

/* True if append() would take a spare bin. */
static bool is_full(const struct index_bin *b)
{
    while (b->chained) {
        b = next_of(b);
    }
    return b->count == SLOTS;
}

/* Spreads the entries of the chain that begins with a copy of its first bin,
 * 'head', over two other chains by one bit of their hash.  The extra bins of
 * the chain become spare as they are emptied. */
static void spread(struct index_bin head, struct index_bin *zero,
                   struct index_bin *one, uint32_t bit,
                   struct index_bin **spares)
{
    for (;;) {
        for (unsigned i = 0; i < head.count; i++) {
            struct entry *const e = head.slots[i].entry;
            append((e->hash & bit) == 0 ? zero : one, head.tags[i], e, spares);
        }
        struct index_bin *const next = next_of(&head);
        if (next == NULL) {
            return;
        }
        head = *next;
        spare_put(spares, next);
    }
}

/* ---- growing and shrinking ---- */

/* Adds the bin 'n_bins' and moves into it what belongs there from the bin with
 * the same number but for the highest bit. */
static void split_one(struct index *ix)
{
    const uint32_t added = ix->n_bins;
    const unsigned s = segment_of(added);
    const uint32_t bit = segment_start(s);

    if (ix->segments[s] == NULL) {
        ix->segments[s] = try_malloc(bit * sizeof(struct index_bin));
        if (ix->segments[s] == NULL) {
            return;
        }
    }
    struct index_bin *const from = bin_at(ix, added - bit);
    struct index_bin *const to = bin_at(ix, added);
    const struct index_bin head = *from;
    struct index_bin *spares = NULL;

    *from = (struct index_bin){.count = 0};
    *to = (struct index_bin){.count = 0};
    spread(head, from, to, bit, &spares);
    spares_free(ix, &spares);
    set_n_bins(ix, added + 1);
}

/* The reverse: the last bin goes back into the one it was split from. */
static void merge_one(struct index *ix)
{
    const uint32_t last = ix->n_bins - 1;
    const unsigned s = segment_of(last);
    const struct index_bin *const from = bin_at(ix, last);
    struct index_bin *const to = bin_at(ix, last - segment_start(s));
    const bool fits = !from->chained && !to->chained &&
                      (unsigned)(from->count + to->count) <= SLOTS;
    struct index_bin *spares = NULL;

    /* One chain may need two extra bins more than the two it is made of. */
    if (spares_make(ix, &spares, fits ? 0 : 2)) {
        spread(*from, to, to, 0, &spares);
        set_n_bins(ix, last);
        if (last == segment_start(s)) {
            free(ix->segments[s]);
            ix->segments[s] = NULL;
        }
    }
    spares_free(ix, &spares);
}

/* ---- changing ---- */

bool index_insert(struct index *ix, const struct key *key, struct entry *e)
{
    struct index_bin *const b = bin_at(ix, bin_of(ix, key->hash));
    struct index_bin *spares = NULL;

    if (is_full(b) && !spares_make(ix, &spares, 1)) {
        return false;
    }
    append(b, key->tag, e, &spares);
    ix->n_entries++;
    if (ix->n_entries / FILL_MAX >= ix->n_bins && ix->n_bins < UINT32_MAX / 2) {
        split_one(ix);
    }
    return true;
}

/* The slot that holds 'e', which must be there: its bin in '*binp'. */
static unsigned slot_of(const struct index *ix, const struct entry *e,
                        struct index_bin **binp)
{
    struct index_bin *b = bin_at(ix, bin_of(ix, e->hash));

    for (;; b = next_of(b)) {
        assert(b != NULL);
        for (unsigned i = 0; i < b->count; i++) {
            if (b->slots[i].entry == e) {
                *binp = b;
                return i;
            }
        }
    }
}

void index_replace(struct index *ix, const struct entry *old, struct entry *e)
{
    struct index_bin *b;
    const unsigned i = slot_of(ix, old, &b);

    b->slots[i].entry = e;
}

void index_remove(struct index *ix, const struct entry *e)
{
    struct index_bin *hole;
    const unsigned i = slot_of(ix, e, &hole);

    struct index_bin *before = NULL;
    struct index_bin *last = bin_at(ix, bin_of(ix, e->hash));
    while (last->chained) {
        before = last;
        last = next_of(last);
    }

    /* The last entry of the chain fills the hole, so the chain stays dense. */
    last->count--;
    hole->tags[i] = last->tags[last->count];
    hole->slots[i] = last->slots[last->count];
    if (last->count == 0 && before != NULL) {
        before->chained = false;
        free(last);
        ix->n_extra--;
    }
    ix->n_entries--;
    if (ix->n_bins > BINS_MIN && ix->n_entries / FILL_MIN < ix->n_bins) {
        merge_one(ix);
    }
}

size_t index_size(const struct index *ix)
{
    return (ix->n_bins + ix->n_extra) * sizeof(struct index_bin);
}

/* ---- walking ---- */

static uint32_t reverse(uint32_t x)
{
    x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
    x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
    x = (x >> 4 & 0x0F0F0F0F) | (x & 0x0F0F0F0F) << 4;
    return __builtin_bswap32(x);
}

uint32_t index_bin_at(const struct index *ix, uint32_t at)
{
    return bin_of(ix, reverse(at));
}

uint32_t index_after(const struct index *ix, uint32_t bin)
{
    const uint32_t half = (ix->mask >> 1) + 1;
    /* A bin that has been split, or came of a split, is chosen by one bit
     * more. */
    const bool is_split = bin >= half || bin + half < ix->n_bins;
    const uint32_t width = reverse(is_split ? half : half >> 1);

    return reverse(bin) + width;
}

struct entry *index_first(struct index_walk *walk, const struct index *ix,
                          uint32_t bin)
{
    *walk = (struct index_walk){.bin = bin_at(ix, bin)};
    return index_next(walk);
}

struct entry *index_next(struct index_walk *walk)
{
    while (walk->bin != NULL) {
        if (walk->next < walk->bin->count) {
            return walk->bin->slots[walk->next++].entry;
        }
        walk->bin = next_of(walk->bin);
        walk->next = 0;
    }
    return NULL;
}
