/* SPDX-License-Identifier: MIT */
/*
 * jemalloc is asked through mallctl(3), glibc's malloc through mallinfo2(3),
 * the kernel through /proc/self/statm and getrusage(2).
 */
#include "server/admin/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/config.h" /* HAVE_JEMALLOC */

#ifdef HAVE_JEMALLOC
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
#endif

#define TEXT(x) TEXT_OF(x)
#define TEXT_OF(x) #x

#ifdef HAVE_JEMALLOC

size_t memory_used_bytes(void)
{
    /* jemalloc shows the figures of the last epoch; this begins a new one. */
    uint64_t epoch = 1;
    size_t size = sizeof(epoch);
    size_t used = 0;
    if (mallctl("epoch", &epoch, &size, &epoch, size) != 0) {
        return 0;
    }
    size = sizeof(used);
    if (mallctl("stats.allocated", &used, &size, NULL, 0) != 0) {
        return 0; /* A jemalloc built without statistics. */
    }
    return used;
}

const char *memory_allocator(void)
{
    return "jemalloc-" TEXT(JEMALLOC_VERSION_MAJOR) "." TEXT(
        JEMALLOC_VERSION_MINOR) "." TEXT(JEMALLOC_VERSION_BUGFIX);
}

#else

size_t memory_used_bytes(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

const char *memory_allocator(void)
{
    return "libc-" TEXT(__GLIBC__) "." TEXT(__GLIBC_MINOR__);
}

#endif

size_t memory_rss_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return 0;
    }
    /* Pages: of the address space, then resident.  Source: proc(5). */
    size_t pages;
    const int n = fscanf(file, "%*s %zu", &pages);
    fclose(file);
    return n == 1 ? pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

size_t memory_peak_bytes(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (size_t)usage.ru_maxrss * 1024; /* Linux counts kilobytes. */
}

size_t memory_system_bytes(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

double memory_fragmentation(void)
{
    const size_t used = memory_used_bytes();
    return used == 0 ? 0 : (double)memory_rss_bytes() / (double)used;
}
