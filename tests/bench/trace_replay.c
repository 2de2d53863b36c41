/* SPDX-License-Identifier: MIT */
/*
 * Replays a trace of keys through the cache and prints the hit ratio, to
 * measure the eviction policy.
 *
 *     trace_replay TRACE ENTRIES
 *
 * TRACE has one key per line, in the order of access; "-" is stdin, and a name
 * that ends in .xz is read through xz.  The cache holds at most ENTRIES, each
 * counting the same; a miss fills it.  One shard, so that a small cache is one
 * queue and not many.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/hash.h"
#include "server/cache/cache.h"

struct score {
    uint64_t n_hits;
    uint64_t n_requests;
};

static void replay(FILE *trace, struct cache *cache, struct score *score)
{
    char *line = NULL;
    size_t capacity = 0;

    while (getline(&line, &capacity, trace) >= 0) {
        const size_t size = strcspn(line, "\r\n");
        const struct slice key = slice_make(line, size);
        const uint64_t hash = hash_bytes(key);
        struct copy copy = {.kind = COPY_STRING};

        score->n_requests++;
        if (cache_get(cache, key, hash, 0, &copy, NULL)) {
            score->n_hits++;
        } else if (cache_put(cache, key, hash, &copy, SLICE("")) != ERR_OK) {
            fprintf(stderr, "trace_replay: cannot fill the cache\n");
            exit(1);
        }
    }
    free(line);
}

/* Sets '*closer' to what ends the use of the stream. */
static FILE *open_trace(const char *name, int (**closer)(FILE *))
{
    const size_t length = strlen(name);

    *closer = fclose;
    if (strcmp(name, "-") == 0) {
        return stdin;
    }
    if (length < 3 || strcmp(name + length - 3, ".xz") != 0) {
        return fopen(name, "r");
    }
    /* Through the environment the shell sees the name as one word, whatever
     * is in it. */
    *closer = pclose;
    if (setenv("TRACE", name, 1) != 0) {
        return NULL;
    }
    return popen("exec xz -dc -- \"$TRACE\"", "r");
}

int main(int argc, char **argv)
{
    int64_t n_entries;
    int (*closer)(FILE *);
    struct score score = {.n_requests = 0};

    if (argc != 3 || !slice_to_int64(slice_from_string(argv[2]), &n_entries) ||
        n_entries <= 0) {
        fprintf(stderr, "usage: trace_replay TRACE ENTRIES\n");
        return 2;
    }
    FILE *const trace = open_trace(argv[1], &closer);
    if (trace == NULL) {
        fprintf(stderr, "trace_replay: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }

    const struct cache_options options = {
        .n_shards = 1, .max_bytes = SIZE_MAX, .max_entries = (size_t)n_entries};
    struct cache *const cache = cache_new(&options);
    hash_init();
    replay(trace, cache, &score);
    cache_free(cache);

    const int status = closer(trace);
    if (status != 0 || score.n_requests == 0) {
        fprintf(stderr, "trace_replay: %s: cannot be read\n", argv[1]);
        return 1;
    }
    printf("hit_ratio=%.2f hits=%" PRIu64 " requests=%" PRIu64 "\n",
           100.0 * (double)score.n_hits / (double)score.n_requests,
           score.n_hits, score.n_requests);
    return 0;
}
