/* SPDX-License-Identifier: MIT */
/*
 * The errors of the program, as one enum expanded from err.def.
 *
 * Functions that can fail return enum err and are NODISCARD.  Details for
 * people travel beside it, in a struct buf of the caller, never inside it.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

enum err {
#define ERR(name, text) ERR_##name,
#include "common/err.def"
#undef ERR
    ERR_COUNT
};

/* The words for people; static storage. */
const char *err_str(enum err err);

#endif
