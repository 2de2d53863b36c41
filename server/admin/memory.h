/* SPDX-License-Identifier: MIT */
/*
 * What the process holds of memory, as INFO and the memory limit show it.
 *
 * The figures come from the allocator and from the kernel, each at its own
 * moment, and agree only roughly.
 *
 * Thread-safety: any thread.  Each call asks anew and takes microseconds: not
 * for the way of a request.
 */
#ifndef SERVER_ADMIN_MEMORY_H
#define SERVER_ADMIN_MEMORY_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Bytes that the program has allocated and not freed.  0 in sanitizer builds,
 * whose allocator does not say. */
size_t memory_used_bytes(void);

/* The most that any call of memory_used_bytes() has seen. */
size_t memory_used_peak_bytes(void);

/* What the allocator makes of it: bytes of pages with allocations in them, and
 * bytes that it keeps resident; 0 where it does not say. */
struct memory_pages {
    size_t active;
    size_t resident;
};
struct memory_pages memory_pages(void);

/* Gives pages that are not used back to the system, as far as that goes. */
void memory_purge(void);

/* Appends the allocator's own report; false if it has none. */
bool memory_report(struct buf *out);

/* Bytes of physical memory that the process occupies. */
size_t memory_rss_bytes(void);

/* The most it ever occupied, as the kernel saw it: no peak is missed between
 * two calls. */
size_t memory_peak_bytes(void);

/* Bytes of physical memory of the machine. */
size_t memory_system_bytes(void);

/* Resident bytes for each byte used; 0 if nothing is known to be used. */
double memory_fragmentation(void);

/* "jemalloc-5.3.0", or "libc-2.36"; static. */
const char *memory_allocator(void);

#endif
