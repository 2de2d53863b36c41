/* SPDX-License-Identifier: MIT */
/*
 * The words of err.def, in a table by number.
 */
#include "common/err.h"

#include <assert.h>

#include "common/attr.h"

static const char *const texts[] = {
#define ERR(name, text) [ERR_##name] = (text),
#include "common/err.def"
#undef ERR
};

_Static_assert(ARRAY_LEN(texts) == ERR_COUNT, "every error has its words");

const char *err_str(enum err err)
{
    assert((unsigned)err < ERR_COUNT);
    return (unsigned)err < ERR_COUNT ? texts[err] : "unknown error";
}
