/* SPDX-License-Identifier: MIT */
/*
 * Floating-point numbers as Redis reads and writes them: long doubles, with
 * 17 digits behind the point at most and no exponent.
 *
 * Thread-safety: pure functions; the locale's decimal point is '.', as in "C".
 */
#ifndef SERVER_COMMAND_NUMBER_H
#define SERVER_COMMAND_NUMBER_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/slice.h"

#include <stdbool.h>

/* Reads the whole of 's'; false if it is no number, or out of range.  "inf" is
 * one, "nan" is not. */
NODISCARD
bool number_parse(struct slice s, long double *value);

/* Appends 'value', which is finite. */
void number_append(struct buf *out, long double value);

#endif
