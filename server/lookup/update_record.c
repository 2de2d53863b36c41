/* SPDX-License-Identifier: MIT */
/*
 * What a row will be after some of its columns were written, as far as a
 * column's affinity tells.  Where SQLite converts in ways that take its own
 * code, where the database computes a column, or fills one in, we do not know.
 * Source: sqlite.org/datatype3.html, section 3.
 */
#include "common/mem.h"
#include "server/lookup/record.h"
#include "server/lookup/update_internal.h"

/* Integers below this in size are the same number, and the same digits, as a
 * REAL: 15 digits are printed. */
#define REAL_DIGITS_MAX INT64_C(999999999999999)

/* What a column of 'affinity' makes of the text 'value'; '*text' has room for a
 * number.  False: we do not know. */
static bool convert(enum column_affinity affinity, struct slice value,
                    struct buf *text, struct store_column *column)
{
    int64_t number;

    *column = (struct store_column){.type = COLUMN_TEXT, .bytes = value};
    switch (affinity) {
    case AFFINITY_BLOB:
        column->type = COLUMN_BLOB;
        return true;
    case AFFINITY_ANY:
    case AFFINITY_TEXT:
        return true;
    case AFFINITY_NUMERIC:
    case AFFINITY_INTEGER:
        column->type = COLUMN_INTEGER;
        return slice_to_int64(value, &number);
    case AFFINITY_REAL:
        if (!slice_to_int64(value, &number) || number > REAL_DIGITS_MAX ||
            number < -REAL_DIGITS_MAX) {
            return false;
        }
        column->type = COLUMN_REAL;
        column->bytes = SLICE("");
        buf_append_slice(text, value);
        buf_append_string(text, ".0");
        return true;
    }
    return false;
}

static bool has_generated(const struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->n_columns; i++) {
        if (mapping->generated != NULL && mapping->generated[i]) {
            return true;
        }
    }
    return false;
}

/* Writes one field into the row; 'texts' has a buffer for each column. */
static bool set(const struct mapping *mapping, struct store_column *columns,
                struct buf *texts, struct slice name, struct slice value,
                int64_t *n_new)
{
    const size_t i = mapping_column(mapping, name);

    if (i == mapping->n_columns || mapping_is_key(mapping, i)) {
        return false;
    }
    *n_new += columns[i].type == COLUMN_NULL ? 1 : 0;
    if (value.data == NULL) {
        columns[i] =
            (struct store_column){.type = COLUMN_NULL, .bytes = SLICE("")};
        return true;
    }
    buf_clear(&texts[i]);
    if (!convert(mapping->affinities[i], value, &texts[i], &columns[i])) {
        return false;
    }
    if (texts[i].size > 0) {
        columns[i].bytes = buf_slice(&texts[i]);
    }
    return true;
}

bool record_believe(const struct present *now, const struct slice *fields,
                    size_t n_fields, struct buf *out, int64_t *n_new)
{
    const struct mapping *mapping = now->mapping;

    if (now->kind != COPY_RECORD || n_fields % 2 != 0 ||
        mapping->affinities == NULL || has_generated(mapping)) {
        return false;
    }
    struct store_column *columns = xcalloc(mapping->n_columns, sizeof *columns);
    struct buf *texts = xcalloc(mapping->n_columns, sizeof *texts);
    const struct store_row row = {.mapping = mapping, .columns = columns};
    bool known = true;

    *n_new = 0;
    for (size_t i = 0; i < mapping->n_columns; i++) {
        columns[i].bytes = record_column(now->bytes, i, &columns[i].type);
    }
    for (size_t i = 0; i + 1 < n_fields && known; i += 2) {
        known = set(mapping, columns, texts, fields[i], fields[i + 1], n_new);
    }
    known = known && record_encode(&row, out) == ERR_OK;
    for (size_t i = 0; i < mapping->n_columns; i++) {
        buf_destroy(&texts[i]);
    }
    free(texts);
    free(columns);
    return known;
}
