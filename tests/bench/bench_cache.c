/* SPDX-License-Identifier: MIT */
/*
 * What the cache itself costs, without network and protocol.
 *
 *     bench_cache [KEYS [VALUE_BYTES]]
 *
 * Prints name=value lines: nanoseconds of CPU time per operation, the longest
 * single put in nanoseconds of wall time (whoever else uses the machine shows
 * there), and bytes per entry beside key and value, both as the cache counts
 * them and as the memory of the process grew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/mem.h"
#include "common/waitgroup.h"
#include "server/cache/cache.h"

#define READS 5000000u

/* "key:00001234" and its hash, made before the clock starts. */
#define KEY_SIZE 12

struct name {
    char bytes[KEY_SIZE + 1];
    uint64_t hash;
};

struct bench {
    struct cache *cache;
    struct name *names;
    uint32_t n_keys;
    size_t value_size;
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;

    (void)clock_gettime(clock, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Wall time. */
static int64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* Time that all threads have spent on a CPU. */
static int64_t cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* Resident bytes of the process; 0 if the system does not say. */
static size_t resident(void)
{
    unsigned long total = 0;
    unsigned long pages = 0;
    FILE *const file = fopen("/proc/self/statm", "r");

    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%lu %lu", &total, &pages) != 2) {
        pages = 0;
    }
    (void)fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static struct slice key_of(const struct name *name)
{
    return slice_make(name->bytes, KEY_SIZE);
}

static void report(const char *what, int64_t total_ns, uint64_t n)
{
    printf("%s=%.1f\n", what, (double)total_ns / (double)n);
}

static void make_names(struct bench *b)
{
    b->names = xcalloc(b->n_keys, sizeof(*b->names));
    for (uint32_t i = 0; i < b->n_keys; i++) {
        struct name *const name = &b->names[i];
        (void)snprintf(name->bytes, sizeof(name->bytes), "key:%08" PRIu32,
                       i % 100000000);
        name->hash = hash_bytes(key_of(name));
    }
}

/* Puts every key once and prints how long that took as 'what'. */
static void put_all(const struct bench *b, const char *what)
{
    char *const value = xcalloc(1, b->value_size + 1);
    const int64_t start_ns = cpu_ns();
    int64_t before_ns = now_ns();
    int64_t longest_ns = 0;

    for (uint32_t i = 0; i < b->n_keys; i++) {
        const struct name *const name = &b->names[i];
        struct copy copy = {.kind = COPY_STRING};
        if (cache_put(b->cache, key_of(name), name->hash, &copy,
                      slice_make(value, b->value_size)) != ERR_OK) {
            fprintf(stderr, "bench_cache: out of memory\n");
            exit(1);
        }
        const int64_t at_ns = now_ns();
        if (at_ns - before_ns > longest_ns) {
            longest_ns = at_ns - before_ns;
        }
        before_ns = at_ns;
    }
    report(what, cpu_ns() - start_ns, b->n_keys);
    printf("%s_longest=%" PRId64 "\n", what, longest_ns);
    free(value);
}

/* So that reads in the order of names are random in the cache. */
static void shuffle_names(struct bench *b)
{
    uint64_t seed = 1;

    for (uint32_t i = b->n_keys - 1; i > 0; i--) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        const uint32_t j = (uint32_t)(seed >> 33) % (i + 1);
        const struct name name = b->names[i];
        b->names[i] = b->names[j];
        b->names[j] = name;
    }
}

static void read_keys(void *arg)
{
    const struct bench *const b = arg;
    struct buf out = {.storage = NULL};
    struct copy copy;
    uint32_t n_missed = 0;

    for (uint32_t i = 0; i < READS; i++) {
        const struct name *const name = &b->names[i % b->n_keys];
        buf_clear(&out);
        n_missed +=
            !cache_get(b->cache, key_of(name), name->hash, 0, &copy, &out);
    }
    if (n_missed > 0) {
        fprintf(stderr, "bench_cache: %" PRIu32 " keys missed\n", n_missed);
        exit(1);
    }
    buf_destroy(&out);
}

static void read_by(struct bench *b, int n_threads, const char *what)
{
    struct waitgroup wg;

    wg_init(&wg);
    const int64_t start_ns = cpu_ns();
    for (int i = 0; i < n_threads; i++) {
        if (wg_go(&wg, "bench", read_keys, b) != ERR_OK) {
            fprintf(stderr, "bench_cache: no thread\n");
            exit(1);
        }
    }
    wg_wait(&wg);
    report(what, cpu_ns() - start_ns, (uint64_t)READS * (uint64_t)n_threads);
    wg_destroy(&wg);
}

int main(int argc, char **argv)
{
    struct bench b = {
        .n_keys = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000,
        .value_size = argc > 2 ? strtoul(argv[2], NULL, 10) : 100};
    const struct cache_options options = {.n_shards = 64,
                                          .max_bytes = (size_t)1 << 40};
    struct cache_usage usage;

    if (b.n_keys == 0) {
        fprintf(stderr, "usage: bench_cache [KEYS [VALUE_BYTES]]\n");
        return 2;
    }
    hash_init();
    make_names(&b);
    b.cache = cache_new(&options);

    const size_t before = resident();
    put_all(&b, "put_new_ns");
    const size_t after = resident();
    cache_usage(b.cache, &usage);
    const double n = (double)b.n_keys;
    const double payload = (double)(KEY_SIZE + b.value_size);
    printf("overhead_bytes_counted=%.1f\n",
           (double)usage.used_bytes / n - payload);
    printf("overhead_bytes_resident=%.1f\n",
           ((double)after - (double)before) / n - payload);

    shuffle_names(&b);
    read_by(&b, 1, "get_1_thread_ns");
    read_by(&b, 2, "get_2_threads_ns");
    put_all(&b, "put_again_ns");
    cache_set_max_bytes(b.cache, usage.used_bytes / 2);
    put_all(&b, "put_evicting_ns");
    cache_usage(b.cache, &usage);
    printf("evictions=%" PRIu64 "\n", usage.evictions);

    const int64_t start_ns = cpu_ns();
    cache_clear(b.cache);
    report("clear_ns", cpu_ns() - start_ns, usage.entries);
    cache_free(b.cache);
    free(b.names);
    return 0;
}
