/* SPDX-License-Identifier: MIT */
/*
 * jemalloc is asked through mallctl(3), glibc's malloc through mallinfo2(3),
 * the kernel through /proc/self/statm and getrusage(2).
 */
#include "server/admin/memory.h"

#include <stdatomic.h>
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

/* Relaxed: a figure for people. */
static _Atomic size_t used_peak_bytes;

#ifdef HAVE_JEMALLOC

/* A figure of the last epoch; 0 if jemalloc was built without statistics. */
static size_t figure(const char *name)
{
    size_t value = 0;
    size_t size = sizeof(value);
    return mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

static void begin_epoch(void)
{
    uint64_t epoch = 1;
    size_t size = sizeof(epoch);
    (void)mallctl("epoch", &epoch, &size, &epoch, size);
}

static size_t ask_used_bytes(void)
{
    begin_epoch(); /* jemalloc shows the figures of the last one. */
    return figure("stats.allocated");
}

struct memory_pages memory_pages(void)
{
    begin_epoch();
    return (struct memory_pages){.active = figure("stats.active"),
                                 .resident = figure("stats.resident")};
}

void memory_purge(void)
{
    (void)mallctl("arena." TEXT(MALLCTL_ARENAS_ALL) ".purge", NULL, NULL, NULL,
                  0);
}

static void append(void *out, const char *text)
{
    buf_append_string(out, text);
}

bool memory_report(struct buf *out)
{
    malloc_stats_print(append, out, NULL);
    return true;
}

const char *memory_allocator(void)
{
    return "jemalloc-" TEXT(JEMALLOC_VERSION_MAJOR) "." TEXT(
        JEMALLOC_VERSION_MINOR) "." TEXT(JEMALLOC_VERSION_BUGFIX);
}

#else

static size_t ask_used_bytes(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct memory_pages memory_pages(void)
{
    return (struct memory_pages){0};
}

void memory_purge(void)
{
    (void)malloc_trim(0);
}

bool memory_report(struct buf *out)
{
    (void)out;
    return false;
}

const char *memory_allocator(void)
{
    return "libc-" TEXT(__GLIBC__) "." TEXT(__GLIBC_MINOR__);
}

#endif

size_t memory_used_bytes(void)
{
    const size_t used = ask_used_bytes();
    size_t peak = memory_used_peak_bytes();

    while (used > peak && !atomic_compare_exchange_weak_explicit(
                              &used_peak_bytes, &peak, used,
                              memory_order_relaxed, memory_order_relaxed)) {
    }
    return used;
}

size_t memory_used_peak_bytes(void)
{
    return atomic_load_explicit(&used_peak_bytes, memory_order_relaxed);
}

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
