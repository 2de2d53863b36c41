/* SPDX-License-Identifier: MIT */
/*
 * Allocation.  x*() abort with a message when memory is exhausted and serve
 * the small internal allocations; try_*() return NULL and serve every size
 * that a client chose, after it was checked against a limit.
 *
 * Thread-safety: any thread.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include "common/attr.h"
#include "common/slice.h"

#include <stdlib.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *pointer, size_t size);
char *xstrdup(const char *string);
/* A NUL-terminated copy of 's' on the heap. */
char *xslicedup(struct slice s);

NODISCARD
void *try_malloc(size_t size);
NODISCARD
void *try_realloc(void *pointer, size_t size);

/* For tests: the 'n'-th try_*() from now on (1 is the next) returns NULL, once;
 * 0 switches it off.  Returns how many calls were left before. */
long mem_fail_nth(long n);

#endif
