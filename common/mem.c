/* SPDX-License-Identifier: MIT */
/*
 * malloc and friends with one way to fail each: x*() end the program, try_*()
 * say so.  A size of 0 is served as 1, so that NULL always means failure.
 */
#include "common/mem.h"

#include <stdatomic.h>
#include <stdint.h>

#include "common/log.h"

/* try_*() calls left until one fails; 0 is "none ever".  Relaxed everywhere:
 * the count orders nothing but itself. */
static _Atomic long calls_to_failure;

/* Counts one try_*() call; true if this is the one to fail. */
static bool chosen_to_fail(void)
{
    long left = atomic_load_explicit(&calls_to_failure, memory_order_relaxed);

    while (left > 0) {
        if (atomic_compare_exchange_weak_explicit(
                &calls_to_failure, &left, left - 1, memory_order_relaxed,
                memory_order_relaxed)) {
            return left == 1;
        }
    }
    return false;
}

static void *or_die(void *pointer, size_t size)
{
    if (pointer == NULL) {
        log_fatal("mem: out of memory size=%zu", size);
    }
    return pointer;
}

void *xmalloc(size_t size)
{
    return or_die(malloc(size == 0 ? 1 : size), size);
}

void *xcalloc(size_t count, size_t size)
{
    const bool empty = count == 0 || size == 0;
    void *const pointer = empty ? calloc(1, 1) : calloc(count, size);

    if (pointer == NULL) {
        log_fatal("mem: out of memory count=%zu size=%zu", count, size);
    }
    return pointer;
}

void *xrealloc(void *pointer, size_t size)
{
    return or_die(realloc(pointer, size == 0 ? 1 : size), size);
}

char *xstrdup(const char *string)
{
    return xslicedup(slice_from_string(string));
}

char *xslicedup(struct slice s)
{
    char *const copy = xmalloc(s.size + 1);

    if (s.size > 0) {
        memcpy(copy, s.data, s.size);
    }
    copy[s.size] = '\0';
    return copy;
}

void *try_malloc(size_t size)
{
    if (chosen_to_fail()) {
        return NULL;
    }
    return malloc(size == 0 ? 1 : size);
}

void *try_realloc(void *pointer, size_t size)
{
    if (chosen_to_fail()) {
        return NULL;
    }
    return realloc(pointer, size == 0 ? 1 : size);
}

long mem_fail_nth(long n)
{
    return atomic_exchange_explicit(&calls_to_failure, n, memory_order_relaxed);
}
