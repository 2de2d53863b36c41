/* SPDX-License-Identifier: MIT */
/*
 * Redis' patterns over keys: '*' any run, '?' any byte, "[abc]", "[^a-z]",
 * and '\' before a byte that stands for itself.
 *
 * Only the last '*' is ever retried, so the time is at most the product of
 * both sizes, whatever the pattern.
 *
 * Thread-safety: a pure function.
 * Source: https://redis.io/commands/keys
 */
#ifndef COMMON_GLOB_H
#define COMMON_GLOB_H

#include "common/slice.h"

bool glob_match(struct slice pattern, struct slice text, bool ignore_case);

#endif
